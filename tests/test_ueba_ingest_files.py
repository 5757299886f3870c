"""Files, folders, archives and addresses: what is given comes out as files, whatever they are packed in."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ueba.errors import InputError
from ueba.ingest import files, ingest_all
from ueba.ingest.read import Feed

LINE = "{second},U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"
LOGS = {
    f"{name}.txt": "".join(LINE.format(second=n + 100 * number) for n in range(50)).encode() for number, name in enumerate("abc")
}
REAL = Path(__file__).parents[2] / "shared/data/windows_json/schtask_create.zip"


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()


def folder(root: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def read(given: str) -> dict[str, str]:
    """Name -> digest of each file, read to its end in turn."""
    found = {}
    for file in files.find(given):
        with contextlib.closing(Feed(file)) as feed:
            list(feed.slices())
            found[file.name.rsplit("/", 1)[-1]] = feed.digest
    return found


PACKED = {
    "zip": zipped(LOGS),
    "stored.zip": zipped(LOGS, zipfile.ZIP_STORED),
    "tar": tarred(LOGS),
    "tar.gz": tarred(LOGS, "w:gz"),
    "tar.bz2": tarred(LOGS, "w:bz2"),
    "no ending": zipped(LOGS),
    "zip of gz": zipped({name: gzip.compress(content) for name, content in LOGS.items()}),
    "tar of a zip": tarred({"inner.zip": zipped(LOGS)}),
    "zip of a tar.gz": zipped({"inner.tar.gz": tarred(LOGS, "w:gz")}),
}


@pytest.mark.parametrize("how", PACKED)
def test_what_logs_are_packed_in_does_not_matter(tmp_path, how):
    plain = read(str(folder(tmp_path / "plain", LOGS)))
    (tmp_path / how).write_bytes(PACKED[how])
    assert read(str(tmp_path / how)) == plain and len(plain) == 3
    reports = ingest_all([str(tmp_path / how)], "auto", tmp_path / "lake")
    assert [(report.events, report.already_ingested) for report in reports] == [(50, False)] * 3
    again = ingest_all([str(tmp_path / "plain")], "auto", tmp_path / "lake")
    assert all(report.already_ingested for report in again)


def test_standard_input_may_be_an_archive(tmp_path, monkeypatch):
    for packed in (PACKED["zip"], PACKED["tar.gz"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(packed))))
        assert len(read("-")) == 3


def test_folders_and_globs(tmp_path):
    root = folder(tmp_path / "logs", {"b/c.txt": b"c\n", "a.txt": b"a\n", ".hidden": b"h\n", "b/empty": b"", "b/[x].txt": b"x\n"})
    os.symlink(root, root / "b/loop")
    said: list[str] = []
    assert [file.name for file in files.find(str(root), said.append)] == [
        f"{root}/{name}" for name in ("a.txt", "b/[x].txt", "b/c.txt")
    ]
    assert "1 hidden" in said[0] and "1 empty" in said[0]
    assert [file.name for file in files.find(f"{root}/**/*.txt")] == [
        f"{root}/{name}" for name in ("a.txt", "b/[x].txt", "b/c.txt")
    ]
    assert [file.name for file in files.find(f"{root}/b/[x].txt")] == [f"{root}/b/[x].txt"]
    for nothing in (f"{root}/*.json", f"{root}/none", f"{root}/b/loop/b/*.gz"):
        with pytest.raises(InputError, match=r"No such file|no files|matches"):
            list(files.find(nothing))


def test_addresses():
    memory = fsspec.filesystem("memory")
    for name, content in LOGS.items():
        memory.pipe(f"/bucket/day/{name}", content)
    memory.pipe("/bucket/all.zip", PACKED["zip"])
    assert set(read("memory://bucket/day")) == set(read("memory://bucket/**/*.txt")) == set(LOGS)
    assert set(read("memory://bucket/day/a.txt")) == {"a.txt"}
    assert set(read("memory://bucket/all.zip")) == set(LOGS)
    with pytest.raises(InputError):
        list(files.find("memory://bucket/none"))
    with pytest.raises(InputError, match="nosuch"):
        list(files.find("nosuch://bucket/a"))


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path):
    packed = bytearray(PACKED["stored.zip"])
    at = packed.index(LINE.format(second=120).encode())
    packed[at] ^= 1  # in the second member
    (tmp_path / "broken.zip").write_bytes(packed)
    first, second, third = ingest_all([str(tmp_path / "broken.zip")], "auto", tmp_path / "lake")
    assert first.events == third.events == 50
    assert second.problem and "broken.zip/b.txt" in second.problem
    cut = PACKED["tar.gz"][:-40]
    (tmp_path / "cut.tar.gz").write_bytes(cut)
    problems = [
        report.problem for report in ingest_all([str(tmp_path / "cut.tar.gz")], "auto", tmp_path / "lake2") if report.problem
    ]
    assert problems and all("cut.tar.gz" in problem for problem in problems)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_one_may_not_read(tmp_path):
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0)
    (report,) = ingest_all([str(path)], "auto", tmp_path / "lake")
    assert report.problem and "secret" in report.problem


@given(st.binary(max_size=600), st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\x08", *(packed[:400] for packed in PACKED.values())]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_it_is_read_or_an_input_error(tmp_path, junk, start):
    (tmp_path / "log").write_bytes(start + junk)
    with contextlib.suppress(InputError):
        for file in files.find(str(tmp_path / "log")):
            with contextlib.suppress(InputError), contextlib.closing(Feed(file)) as feed:
                list(feed.slices())


@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
def test_a_real_zip(tmp_path):
    (report,) = ingest_all([str(REAL)], "auto", tmp_path / "lake")
    assert report.file.startswith(f"{REAL}/schtask_create") and (report.lines, report.format) == (1042, "windows")
