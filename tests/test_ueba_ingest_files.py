"""What is given -> files: the same log in every packing, in folders and by patterns; archives that are
broken; any bytes at all."""

from __future__ import annotations

import bz2
import contextlib
import datetime as dt
import gzip
import hashlib
import http.server
import io
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packing import WHEN, tarred, zipped

from ueba.config import IngestConfig
from ueba.errors import InputError
from ueba.ingest import ingest_all
from ueba.ingest.reading import find as files
from ueba.ingest.reading.feed import Feed

LOG = b"".join(b"%d,U%d@DOM1,C%d,C%d\n" % (n, n % 7, n % 11, n % 13) for n in range(5000))
DIGEST = hashlib.sha256(LOG).hexdigest()[:32]
DATA = Path(__file__).parents[2] / "shared/data"


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


LONG = random.Random(0).randbytes(2_000_000).hex().encode()  # does not become much smaller

PACKED = {
    "plain": (LOG, ""),
    "gzip": (gzip.compress(LOG), ""),
    "gzip in two parts": (gzip.compress(LOG[:9]) + gzip.compress(LOG[9:]), ""),
    "bzip2": (bz2.compress(LOG), ""),
    "zstd": (zstd(LOG), ""),
    "zip": (zipped({"a.csv": LOG}), "/a.csv"),
    "zip, stored": (zipped({"a.csv": LOG}, zipfile.ZIP_STORED), "/a.csv"),
    "zip, deep": (zipped({"x/": b"", "x/y/": b"", "x/y/a.csv": LOG}), "/x/y/a.csv"),
    "tar": (tarred({"./x/a.csv": LOG}), "/x/a.csv"),
    "tar, old": (tarred({"a" * 200: LOG}, tarfile.GNU_FORMAT), "/" + "a" * 200),
    "tar, ustar": (tarred({"a.csv": LOG}, tarfile.USTAR_FORMAT), "/a.csv"),
    "tar.gz": (gzip.compress(tarred({"a.csv": LOG})), "/a.csv"),
    "tar.bz2": (bz2.compress(tarred({"a.csv": LOG})), "/a.csv"),
    "tar.zst": (zstd(tarred({"a.csv": LOG})), "/a.csv"),
    "zip.gz": (gzip.compress(zipped({"a.csv": LOG})), "/a.csv"),
    "gzip in zip": (zipped({"a.gz": gzip.compress(LOG)}), "/a.gz"),
    "zstd in tar.gz": (gzip.compress(tarred({"a.zst": zstd(LOG)})), "/a.zst"),
    "zip in tar.zst": (zstd(tarred({"a.zip": zipped({"b": LOG})})), "/a.zip/b"),
    "tar.gz in zip": (zipped({"a.tgz": gzip.compress(tarred({"b": LOG}))}), "/a.tgz/b"),
    "tar.gz in tar": (tarred({"a.tgz": gzip.compress(tarred({"b": LOG}))}), "/a.tgz/b"),
    "zip in zip in zip": (zipped({"a": zipped({"b": zipped({"c": LOG})})}), "/a/b/c"),
}


def read(found: Iterable[files.File]) -> dict[str, str]:
    """Name -> digest, or what is wrong."""
    result = {}
    for file in found:
        try:
            with contextlib.closing(Feed(file, "1GB")) as feed:
                for _ in feed.slices("lines"):
                    pass
                result[file.name] = feed.digest
        except InputError as problem:
            result[file.name] = str(problem)
    return result


def written(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def stdin(monkeypatch):
    def is_now(stream: io.IOBase) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))

    return is_now


@pytest.fixture
def memory():
    """An object store."""
    system = fsspec.filesystem("memory")
    yield lambda name, content: system.pipe(name, content)
    system.store.clear()
    system.pseudo_dirs[:] = [""]


# --- packings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", PACKED)
def test_the_same_log_in_every_packing(packed, tmp_path, stdin, memory):
    content, inner = PACKED[packed]
    path = written(tmp_path / "log", content)
    assert read(files.find(path)) == {f"{path}{inner}": DIGEST}
    assert read(files.find(str(tmp_path))) == {f"{path}{inner}": DIGEST}
    source = io.BytesIO(content)
    stdin(source)
    assert read(files.find("-")) == {f"-{inner}": DIGEST} and not source.closed
    memory("/logs/log", content)
    assert read(files.find("memory://logs/log")) == {f"memory://logs/log{inner}": DIGEST}


@pytest.mark.parametrize("packed", PACKED)
def test_a_file_can_be_opened_late_and_again(packed, tmp_path, memory):
    """Archives are read anew from their beginning; one after another is quicker."""
    content, inner = PACKED[packed]
    path = written(tmp_path / "log", content)
    memory("/log", content)
    for given_ in (path, "memory://log"):
        (file,) = files.find(given_)
        assert read([file]) == read([file]) == {f"{given_}{inner}": DIGEST}


@pytest.mark.parametrize("packed", ["plain", "zip", "gzip in zip", "zip in zip in zip"])
def test_standard_input_opened_late(packed, stdin):
    content, inner = PACKED[packed]
    stdin(io.BytesIO(content))
    (file,) = files.find("-")
    assert read([file]) == {f"-{inner}": DIGEST}


def test_a_tar_from_a_pipe_is_read_once_and_in_order(stdin):
    stdin(io.BytesIO(tarred({"a": LOG, "b": LOG})))
    late = list(files.find("-"))
    assert read(late) == {f"-/{name}": "-: can be read only once, and in order" for name in "ab"}


def test_a_member_that_is_still_open_ends_when_the_next_is_asked_for(tmp_path):
    found = files.find(written(tmp_path / "log", tarred({"a": LOG * 99, "b": LOG})))
    first = next(found).open()
    assert first.read(7) == LOG[:7]
    with contextlib.closing(next(found).open()) as second:
        with pytest.raises(InputError, match="log/a: can be read only once, and in order"):
            first.read(1)
        assert second.read(7) == LOG[:7]
    found.close()


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_members_in_order_with_size_and_time(pack, tmp_path):
    path = written(tmp_path / "log", pack({"b/a.csv": LOG, "a.csv": LOG[:10]}))
    found = [(file.name, file.size, file.modified, file.local) for file in files.find(path)]
    assert found == [(f"{path}/b/a.csv", len(LOG), WHEN, None), (f"{path}/a.csv", 10, WHEN, None)]


def test_times_that_cannot_be_are_those_of_the_archive(tmp_path):
    path = Path(written(tmp_path / "log", zipped({"a": LOG})))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("none"), LOG)
        archive.writestr(zipfile.ZipInfo("future", (2107, 1, 1, 0, 0, 0)), LOG)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert {file.modified for file in files.find(str(path))} == {dt.datetime(2023, 11, 14, 22, 13, 20)}


def test_progress_ends_at_the_size(tmp_path):
    for packed in ("zip", "gzip in zip", "tar.gz", "plain", "gzip"):
        (file,) = files.find(written(tmp_path / packed, PACKED[packed][0]))
        progress = []
        with contextlib.closing(
            Feed(file, "1GB", lambda *numbers, progress=progress: progress.append(numbers))
        ) as feed:
            for _ in feed.slices("lines"):
                pass
        assert progress[-1] == (5000, file.size, file.size)


def test_names_that_are_not_utf8(tmp_path):
    names = {b"\xff.csv".decode("utf-8", "surrogateescape"): LOG}
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.tar")
    Path(path).write_bytes(tarred(names, tarfile.GNU_FORMAT))
    Path(path + ".csv").write_bytes(LOG)
    assert list(read(files.find(str(tmp_path))).items()) == [
        (f"{tmp_path}/\\udcfe.tar/\\udcff.csv", DIGEST),
        (f"{tmp_path}/\\udcfe.tar.csv", DIGEST),
    ]
    assert read(files.find(path + ".csv")) == {f"{tmp_path}/\\udcfe.tar.csv": DIGEST}


# --- folders and patterns -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Files, hidden ones, empty ones, links that go round in circles."""
    for name in ("b/1.json", "b/2.json.gz", "a.json", "c/d/e/3.json.gz", "b.txt"):
        written(tmp_path / name, gzip.compress(LOG) if name.endswith("gz") else LOG)
    for name in (".hidden", ".git/config", "c/.swp"):
        written(tmp_path / name, LOG)
    written(tmp_path / "c/empty.json", b"")
    written(tmp_path / "c/empty.json.gz", gzip.compress(b""))
    (tmp_path / "c/d/up").symlink_to(tmp_path)
    (tmp_path / "b/self").symlink_to(".")
    (tmp_path / "z.json").symlink_to("a.json")
    os.mkfifo(tmp_path / "c/pipe")
    return tmp_path


def test_a_folder(folder, monkeypatch):
    notes = []
    found = read(files.find(str(folder), notes.append))
    assert list(found) == [f"{folder}/{name}" for name in FOLDER] and set(found.values()) == {DIGEST}
    assert notes == [f"{folder}: skipped 3 hidden, 2 empty, 1 links, pipes or devices"]
    monkeypatch.chdir(folder / "b")
    assert list(read(files.find("../c/"))) == [
        "../c/d/e/3.json.gz",
        *(f"../c/d/up/{name}" for name in FOLDER if name[0] != "c"),
    ]


FOLDER = ["a.json", "b/1.json", "b/2.json.gz", "b.txt", "c/d/e/3.json.gz", "z.json"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.json", ["a.json", "z.json"]),
        ("[ac].json", ["a.json"]),
        ("?/*.gz", ["b/2.json.gz"]),
        ("b*", ["b/1.json", "b/2.json.gz", "b.txt"]),
        ("**/*.json.gz", ["b/2.json.gz", "c/d/e/3.json.gz"]),
        ("**", FOLDER),
        ("**/e", ["c/d/e/3.json.gz"]),
        ("c/**/d/**/*.gz", ["c/d/e/3.json.gz", "c/d/up/b/2.json.gz"]),
        ("*/**/[0-9].json", ["b/1.json", "c/d/up/b/1.json"]),
    ],
)
def test_patterns(pattern, expected, folder, monkeypatch):
    assert list(read(files.find(f"{folder}/{pattern}"))) == [f"{folder}/{name}" for name in expected]
    monkeypatch.chdir(folder)
    assert list(read(files.find(pattern))) == expected


def test_a_pattern_says_what_it_passed_over(folder):
    notes = []
    assert len(list(files.find(f"{folder}/**/*.json*", notes.append))) == 5
    assert notes == [f"{folder}/**/*.json*: skipped 2 empty"]
    with pytest.raises(InputError, match=r"c/empty.\*: no files in it; skipped 2 empty"):
        list(files.find(f"{folder}/c/empty.*"))


def test_a_name_with_brackets_comes_before_the_pattern(tmp_path):
    path = written(tmp_path / "a[1].csv", LOG)
    written(tmp_path / "a1.csv", LOG[:9])
    assert read(files.find(path)) == {path: DIGEST}


def test_what_is_not_there(tmp_path):
    for name, why in (
        ("none", "No such file"),
        ("*.csv", "no file matches"),
        ("**/*.csv", "no file matches"),
        ("", "no files in it"),
        ("x\0y", "null"),
    ):
        with pytest.raises(InputError, match=why):
            list(files.find(f"{tmp_path}/{name}"))
    with pytest.raises(InputError, match="No such file"):
        list(files.find(""))


def test_what_cannot_be_opened_is_there_and_says_so(folder, monkeypatch):
    """The tests may be run by root, who may read all."""
    (folder / "b/gone").symlink_to("nothing")
    real_open, real_list = open, os.listdir
    monkeypatch.setattr(
        "builtins.open", lambda path, *more, **others: denied(path, "a.json", real_open, *more, **others)
    )
    monkeypatch.setattr(os, "listdir", lambda path: denied(path, "e", real_list))
    found = read(files.find(str(folder)))
    problems = {name.removeprefix(f"{folder}/"): why for name, why in found.items() if why != DIGEST}
    assert problems == {
        "a.json": f"{folder}/a.json: Permission denied",
        "b/gone": f"{folder}/b/gone: No such file or directory",
        "c/d/e": f"{folder}/c/d/e: Permission denied",
    }
    assert len(found) == len(FOLDER) + 1


def denied(path, name, real, *more, **others):
    if str(path).endswith(f"/{name}"):
        raise PermissionError(13, "Permission denied")
    return real(path, *more, **others)


def test_a_file_that_vanishes(tmp_path):
    for name in "ab":
        written(tmp_path / name, LOG)
    found = files.find(str(tmp_path))
    (tmp_path / "b").rename(tmp_path / "c")
    first = next(found)
    (tmp_path / "a").unlink()
    assert read([first]) == {first.name: f"{tmp_path}/a: No such file or directory"}
    assert read(found) == {f"{tmp_path}/c": DIGEST}


@pytest.mark.parametrize("packed", ["plain", "gzip", "tar.gz", "zip"])
def test_pipes_that_are_slow(packed, tmp_path, stdin):
    content, inner = PACKED[packed]

    def write(end: int | Path) -> None:
        with open(end, "wb", buffering=0) as pipe:
            for start in range(0, 300, 3):
                pipe.write(content[start : start + 3])
                time.sleep(0.0001)
            pipe.write(content[300:])

    out, into = os.pipe()
    writer = threading.Thread(target=write, args=[into])
    writer.start()
    with open(out, "rb") as pipe:
        stdin(pipe)
        assert read(files.find("-")) == {f"-{inner}": DIGEST}
    writer.join()
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=write, args=[tmp_path / "fifo"])
    writer.start()
    assert read(files.find(str(tmp_path / "fifo"))) == {f"{tmp_path}/fifo{inner}": DIGEST}
    writer.join()


def test_real_standard_input(tmp_path):
    written(tmp_path / "log", PACKED["zip in tar.zst"][0])
    code = (
        "from ueba.ingest.reading import find as files\nfrom ueba.ingest.reading.feed import Feed\n"
        "for file in files.find('-'):\n feed = Feed(file, '1GB'); list(feed.slices(\"lines\")); "
        "feed.close(); print(file.name, feed.digest)"
    )
    with open(tmp_path / "log") as log:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], stdin=log, capture_output=True, text=True
        )
    assert (done.stdout, done.stderr) == (f"-/a.zip/b {DIGEST}\n", "")


# --- what is in archives and is not read --------------------------------------------------------------------


def test_members_that_are_passed_over(tmp_path):
    hidden = {
        "__MACOSX/._a.csv": b"x",
        ".DS_Store": b"x",
        ".x/y": b"x",
        "empty": b"",
        "empty.gz": gzip.compress(b""),
    }
    notes = []
    path = written(tmp_path / "log", zipped({"a.csv": LOG, **hidden}))
    assert read(files.find(path, notes.append)) == {f"{path}/a.csv": DIGEST}
    path = written(
        tmp_path / "log.tar", tarred({**hidden, "a.csv": LOG, "link": "a.csv", "gone": "/etc/passwd"})
    )
    assert read(files.find(path, notes.append)) == {f"{path}/a.csv": DIGEST}
    assert notes == [
        f"{tmp_path}/log: skipped 3 hidden, 2 empty",
        f"{tmp_path}/log.tar: skipped 3 hidden, 2 empty, 2 links, pipes or devices",
    ]


def test_archives_with_nothing_in_them(tmp_path):
    for name, content in {"a": zipped({}), "b": zipped({"x/": b""}), "c": zipped({"d": zipped({})})}.items():
        with pytest.raises(InputError, match="no files in it; skipped 1 empty"):
            list(files.find(written(tmp_path / name, content)))
    with pytest.raises(InputError, match="no files in it; skipped 3 empty"):
        list(files.find(str(tmp_path)))
    path = written(tmp_path / "none", b"")
    assert read(files.find(path)) == {path: f"{path}: the file is empty; nothing to ingest"}


def test_archives_too_deep(tmp_path):
    content, name = LOG, str(tmp_path / "log")
    for _ in range(4):
        content = zipped({"a": content})
    assert read(files.find(written(tmp_path / "log", content))) == {
        f"{name}/a/a/a": f"{name}/a/a/a: archives in archives, more than 3 deep, cannot be read; unpack it "
        f"first"
    }


@pytest.mark.parametrize(
    ("start", "kind"), [(b"\xfd7zXZ\0", "xz"), (b"7z\xbc\xaf'\x1c", "7-Zip"), (b"Rar!\x1a\x07\1\0", "RAR")]
)
def test_what_cannot_be_unpacked_says_so(start, kind, tmp_path):
    path = written(tmp_path / "log", start + LOG)
    assert read(files.find(path)) == {path: f"{path}: {kind} files cannot be read; unpack it first"}


# --- archives that are broken -------------------------------------------------------------------------------


def zip_with(change: bytes, at: int, name: str = "b") -> bytes:
    """A zip of a, b and c, with bytes changed in the headers of one member."""
    content = bytearray(zipped(dict.fromkeys("abc", LOG)))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        header = archive.getinfo(name).header_offset
    entry = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[header + at : header + at + len(change)] = change
    content[entry + at + 2 : entry + at + 2 + len(change)] = change
    return bytes(content)


@pytest.mark.parametrize(
    ("change", "at", "why"),
    [
        (b"\1\0", 6, "is encrypted; unpack it with its password"),
        (b"\x09\0", 8, "is compressed by a method that cannot be read (deflate64); unpack it first"),
        (b"\x0c\0", 8, "is compressed by a method that cannot be read (bzip2); unpack it first"),
        (b"\x63\0", 8, "is compressed by a method that cannot be read (99); unpack it first"),
        (b"abcd", 14, "cannot be read to its end (Bad CRC-32 for file 'b'); was it copied completely?"),
    ],
)
def test_a_member_of_a_zip_that_is_broken(change, at, why, tmp_path):
    """The others are read."""
    path = written(tmp_path / "log.zip", zip_with(change, at))
    assert read(files.find(path)) == {
        f"{path}/a": DIGEST,
        f"{path}/b": f"{path}/b: {why}",
        f"{path}/c": DIGEST,
    }


def test_junk_in_the_middle_of_a_zip(tmp_path):
    path = written(tmp_path / "log.zip", damaged(zipped(dict.fromkeys("abc", LOG))))
    found = read(files.find(path))
    assert (
        list(found) == [f"{path}/{name}" for name in "abc"]
        and found[f"{path}/a"] == found[f"{path}/c"] == DIGEST
    )
    assert found[f"{path}/b"].startswith(f"{path}/b: cannot be read to its end (")


def damaged(content: bytes) -> bytes:
    """Junk in the middle of an archive."""
    middle = len(content) // 2
    return content[: middle - 20] + b"\xff" * 40 + content[middle + 20 :]


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.01])
def test_a_zip_that_breaks_off(kept, tmp_path, stdin, memory):
    content = zipped({"a": LOG})
    content = content[: int(len(content) * kept)]
    path = written(tmp_path / "log.zip", content)
    why = "cannot be read to its end (File is not a zip file); was it copied completely?"
    assert read(files.find(path)) == {path: f"{path}: {why}"}
    stdin(io.BytesIO(content))
    assert read(files.find("-")) == {"-": f"-: {why}"}
    inside = written(tmp_path / "log.tar", tarred({"in.zip": content, "b": LOG}))
    assert read(files.find(inside)) == {f"{inside}/in.zip": f"{inside}/in.zip: {why}", f"{inside}/b": DIGEST}


@pytest.mark.parametrize(
    "pack", [lambda text: text, gzip.compress, zstd, bz2.compress], ids=["tar", "gz", "zst", "bz2"]
)
def test_a_tar_that_breaks_off(pack, tmp_path):
    """The member that breaks off says so, and the archive that there may have been more."""
    content = pack(tarred({"a": LOG, "b": LONG, "c": LOG}))
    path = written(tmp_path / "log.tar", content[: len(content) * 2 // 3])
    found = read(files.find(path))
    assert list(found) == [f"{path}/a", f"{path}/b", path] and found[f"{path}/a"] == DIGEST
    for name in (f"{path}/b", path):
        assert found[name].startswith(f"{name}: cannot be read to its end (") and found[name].endswith(
            "copied completely?"
        )


def test_a_tar_with_a_wrong_checksum_of_gzip(tmp_path):
    content = bytearray(gzip.compress(tarred({"a": LOG, "b": LONG})))
    content[-6] ^= 1
    path = written(tmp_path / "log.tgz", content)
    assert read(files.find(path)) == {
        f"{path}/a": DIGEST,
        **{
            name: f"{name}: cannot be read to its end (zlib inflate failed: incorrect data check); "
            f"was it copied completely?"
            for name in (f"{path}/b", path)
        },
    }


def test_a_tar_with_a_broken_header(tmp_path):
    content = bytearray(tarred({"a": LOG, "b": LOG, "c": LOG}))
    at = content.index(b"ustar", content.index(b"ustar") + 1)
    content[at + 100] ^= 1
    path = written(tmp_path / "log.tar", content)
    assert read(files.find(path)) == {
        f"{path}/a": DIGEST,
        path: f"{path}: cannot be read to its end (bad checksum); was it copied completely?",
    }


def test_a_tar_without_end_and_two_in_one(tmp_path):
    whole = tarred({"a": LOG})
    end = 512 + -(-len(LOG) // 512) * 512
    path = written(tmp_path / "log.tar", whole[:end])
    assert read(files.find(path)) == {
        f"{path}/a": DIGEST,
        path: f"{path}: cannot be read to its end (it ends early); was it copied completely?",
    }
    path = written(tmp_path / "two.tar", whole + whole)
    assert read(files.find(path)) == {
        f"{path}/a": DIGEST,
        path: f"{path}: has more after its end; are these two archives in one?",
    }


def test_a_broken_member_that_is_compressed(tmp_path):
    packed = gzip.compress(LOG)
    path = written(tmp_path / "log.zip", zipped({"a.gz": packed[:-9], "b.gz": packed}))
    assert read(files.find(path)) == {
        f"{path}/a.gz": f"{path}/a.gz: cannot be read to its end (Truncated compressed stream); was it "
        f"copied completely?",
        f"{path}/b.gz": DIGEST,
    }


WHOLE = [content for content, _ in PACKED.values()]


@given(
    st.one_of(
        st.binary(max_size=2000),
        st.builds(
            lambda start, junk: start + junk,
            st.sampled_from([content[:600] for content in WHOLE]),
            st.binary(max_size=300),
        ),
        st.builds(
            lambda whole, at, junk: whole[: at % len(whole)] + junk + whole[at % len(whole) + len(junk) :],
            st.sampled_from(WHOLE),
            st.integers(0, 1 << 20) | st.integers(-700, 0),
            st.binary(max_size=30),
        ),
        st.builds(
            lambda whole, at: whole[: at % len(whole)], st.sampled_from(WHOLE), st.integers(0, 1 << 20)
        ),
    )
)
@example(b"\0" * 10_240)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_files_or_an_input_error(tmp_path, content):
    path = written(tmp_path / "log", content)
    try:
        found = read(files.find(path))
    except InputError as problem:
        assert str(problem).startswith(f"{path}: no files in it; skipped ")
        return
    for name, digest in found.items():
        assert name.startswith(path) and (len(digest) == 32 or digest.startswith(path)), (name, digest)


# --- objects ------------------------------------------------------------------------------------------------


def test_objects_below_a_prefix_and_by_pattern(memory):
    for name in (
        "/logs/2024/a.json",
        "/logs/b.zip",
        "/logs/.tmp",
        "/logs/2024/c.gz",
        "/other/d.gz",
        "/logs/empty",
    ):
        memory(name, b"" if "empty" in name else zipped({"x": LOG}) if "zip" in name else LOG)
    notes = []
    expected = {"memory://logs/2024/a.json", "memory://logs/2024/c.gz", "memory://logs/b.zip/x"}
    for given_ in ("memory://logs", "memory://logs/"):
        found = read(files.find(given_, notes.append))
        assert {name.replace(":///", "://") for name in found} == expected and set(found.values()) == {DIGEST}
    assert notes == ["memory://logs: skipped 1 hidden, 1 empty", "memory://logs/: skipped 1 hidden, 1 empty"]
    assert [name.rpartition("/")[2] for name in read(files.find("memory://**/*.gz"))] == ["c.gz", "d.gz"]
    assert len(read(files.find("memory://logs/20*"))) == 2
    assert list(read(files.find("memory://logs/2024/*.gz"))) == ["memory:///logs/2024/c.gz"]
    memory("/.logs/a.gz", LOG)
    assert list(read(files.find("memory://.logs/*"))) == ["memory:///.logs/a.gz"]


def test_objects_have_sizes_and_times(memory):
    memory("/a.csv", LOG)
    (file,) = files.find("memory://a.csv")
    assert (file.name, file.size) == ("memory://a.csv", len(LOG)) and abs(
        files.now() - file.modified
    ) < dt.timedelta(minutes=1)


def test_objects_that_are_not_there(memory, monkeypatch):
    for given_, why in (
        ("memory://none", "no such object"),
        ("memory://none/*.gz", "nothing matches"),
        ("what://x", "what"),
    ):
        with pytest.raises(InputError, match=why):
            list(files.find(given_))
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"s3://bucket/x: needs another package: pip install ueba\[s3\]"):
        list(files.find("s3://bucket/x"))


def test_an_object_that_fails_halfway(memory, monkeypatch):
    memory("/a.csv", LOG * 100)
    (file,) = files.find("memory://a.csv")
    stream = file.open()
    stream.read(1)

    def fails(size: int) -> bytes:
        raise RuntimeError("connection reset")

    monkeypatch.setattr(stream._source, "read", fails)
    with pytest.raises(InputError, match=r"memory://a.csv: cannot be read to its end \(connection reset\)"):
        while stream.read():
            pass
    stream.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *message: object) -> None:
        pass


def test_the_web(tmp_path):
    for name in ("zip", "tar.gz", "gzip"):
        written(tmp_path / name, PACKED[name][0])
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *more: Quiet(*more, directory=str(tmp_path))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        at = f"http://127.0.0.1:{server.server_port}"
        for name in ("zip", "tar.gz", "gzip"):
            assert read(files.find(f"{at}/{name}")) == {f"{at}/{name}{PACKED[name][1]}": DIGEST}
        with pytest.raises(InputError, match="no such object"):
            list(files.find(f"{at}/none"))
        server.shutdown()
        thread.join()


# --- size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress, zstd], ids=["zip", "gz", "bz2", "zst"])
def test_memory_is_bounded_whatever_comes_out(pack, tmp_path):
    """300 MB of zeros in a few kB."""
    huge = b"\0" * 300_000_000
    written(tmp_path / "log", pack(tarred({"a": huge})) if pack else zipped({"a": huge}))
    del huge
    tracemalloc.start()
    for file in files.find(str(tmp_path / "log"), limits=IngestConfig(ratio_limit=1_000_000)):
        with contextlib.closing(file.open()) as stream:
            size = sum(map(len, iter(stream.read, b"")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 300_000_000 and peak < 20_000_000


def test_a_header_of_a_tar_that_is_too_long_is_not_read(tmp_path):
    """It says how long it is, and all of it would be in memory."""
    with tarfile.open(tmp_path / "log", "w") as archive:
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, 50_000_000
        archive.addfile(info, io.BytesIO(b"9 a=b c\n" * 6_250_000))
    (name, why), *_ = read(files.find(str(tmp_path / "log"))).items()
    assert name == str(tmp_path / "log") and "cannot be read to its end" in why


# --- the whole ingest ---------------------------------------------------------------------------------------

LINE = "{second},U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"
LOGONS = {
    f"{name}.txt": "".join(LINE.format(second=n + 100 * at) for n in range(50)).encode()
    for at, name in enumerate("abc")
}


@pytest.mark.parametrize(
    "packed",
    [zipped(LOGONS), tarred(LOGONS), gzip.compress(tarred(LOGONS)), tarred({"in.zip": zipped(LOGONS)})],
    ids=["zip", "tar", "tar.gz", "zip in tar"],
)
def test_what_logs_are_packed_in_does_not_matter(packed, tmp_path):
    path = written(tmp_path / "log", packed)
    reports = ingest_all([path], "auto", tmp_path / "lake")
    assert [(report.events, report.already_ingested) for report in reports] == [(50, False)] * 3
    for name, content in LOGONS.items():
        written(tmp_path / "plain" / name, content)
    again = ingest_all([str(tmp_path / "plain")], "auto", tmp_path / "lake")
    assert [report.already_ingested for report in again] == [True] * 3


def test_what_cannot_be_read_has_a_report_and_the_rest_is_read(tmp_path):
    packed = bytearray(zipped(LOGONS, zipfile.ZIP_STORED))
    packed[packed.index(LINE.format(second=120).encode())] ^= 1  # in the second member
    written(tmp_path / "logs/broken.zip", packed)
    written(tmp_path / "logs/cut.tar.gz", gzip.compress(tarred({**LOGONS, "long": LONG}))[:-40])
    reports = {
        report.file.removeprefix(f"{tmp_path}/logs/"): (report.events, report.problem)
        for report in ingest_all([str(tmp_path / "logs")], "lanl", tmp_path / "lake")
    }
    broken = {name: problem for name, (_, problem) in reports.items() if problem}
    assert list(broken) == ["broken.zip/b.txt", "cut.tar.gz/long", "cut.tar.gz"]
    assert all(
        f"{tmp_path}/logs/{name}: cannot be read to its end" in problem for name, problem in broken.items()
    )
    assert [reports[f"broken.zip/{name}.txt"] for name in "ac"] == [(50, None)] * 2
    assert [reports[f"cut.tar.gz/{name}.txt"] for name in "abc"] == [(50, None)] * 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_one_may_not_read(tmp_path):
    path = Path(written(tmp_path / "secret", LOG))
    path.chmod(0)
    assert read(files.find(str(path))) == {str(path): f"{path}: Permission denied"}


# --- real archives ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (DATA / "windows_json").exists(), reason=f"needs {DATA}/windows_json")
def test_real_zips():
    found = read(files.find(f"{DATA}/windows_json/*.zip"))
    assert len(found) == 14
    for name, digest in found.items():
        archive, inner = name.split(".zip/")
        with zipfile.ZipFile(f"{archive}.zip") as members:
            assert hashlib.sha256(members.read(inner)).hexdigest()[:32] == digest


@pytest.mark.skipif(not (DATA / "darpa_stream").exists(), reason=f"needs {DATA}/darpa_stream")
def test_the_first_slice_of_a_real_zip():
    (file,) = files.find(f"{DATA}/darpa_stream")
    assert file.size == 248_935_910 and file.modified.date() == dt.date(2020, 3, 14)
    with contextlib.closing(Feed(file, "1GB")) as feed:
        first = next(feed.slices("lines"))
    assert first["line"][0].as_py() == 1 and len(first["text"][0].as_py().split(",")) == 4


@pytest.mark.skipif(not (DATA / "windows_json").exists(), reason=f"needs {DATA}/windows_json")
def test_a_real_zip_through_ingest(tmp_path):
    (report,) = ingest_all([f"{DATA}/windows_json/schtask_create.zip"], "auto", tmp_path / "lake")
    assert (report.lines, report.format) == (1042, "windows")
