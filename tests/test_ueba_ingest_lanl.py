"""LANL lines through the whole ingest; expected edges are worked out by hand."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ueba.contracts.manifest import LAKE_VERSION
from ueba.errors import InputError, UsageError, WorkspaceError
from ueba.ingest import IngestOptions, Options, build, ingest, lake, sources
from ueba.ingest.reading import find as files
from ueba.ingest.reading.feed import MAX_LINE, Feed

DAY = 86400
ROAD = """\
0,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success
3599,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Fail
82800,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success
86400,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success
86401,U9@DOM1,C7$@DOM1,?,C2,?,?,TGS,Success
86402,U2@DOM1,?,C3,C3,MICROSOFT_AUTHENTICATION_PAC,Batch,LogOn,?
86403,U1@DOM1,U1@DOM1,C1,C2,?,Network,LogOff,Success
86404,U1@DOM1,U1@DOM1,C1,C2
"""
SAMPLE = Path(__file__).parents[2] / "shared/data/lanl_auth_sample/auth_sample.txt.gz"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def everything(root: Path) -> list[dict]:
    """All edges, less that nobody else saw them."""
    edges = lake.read(root, dt.date.min, dt.date.max, "1GB")
    assert set(edges["witnesses"].to_pylist()) <= {0}
    return edges.drop_columns(["witnesses"]).to_pylist()


def hours(*with_events: int) -> int:
    return sum(1 << hour for hour in with_events)


def line(second: int = 5, user: str = "U1@DOM1") -> str:
    return f"{second},{user},{user},C1,C2,Kerberos,Network,LogOn,Success\n"


def test_edges_by_hand(tmp_path):
    report = ingest(write(tmp_path / "auth.txt", ROAD), "lanl", tmp_path / "lake")
    one, two = dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 2)
    kerberos = {
        "target_kind": "machine",
        "action": "logon",
        "logon_type": "Network",
        "auth_package": "Kerberos",
    }
    assert everything(tmp_path / "lake") == [
        {"day": one.date(), "user": "U1@DOM1", "source": "C1", "target": "C2"}
        | kerberos
        | {
            "count": 3,
            "failures": 1,
            "first_seen": one,
            "last_seen": one.replace(hour=23),
            "hours": hours(0, 23),
        },
        {"day": two.date(), "user": "C7$@DOM1", "source": None, "target": "C2"}
        | {"target_kind": "machine", "action": "service_ticket", "logon_type": None, "auth_package": None}
        | {"count": 1, "failures": 0, "first_seen": two.replace(second=1), "last_seen": two.replace(second=1)}
        | {"hours": hours(0)},
        {"day": two.date(), "user": "U1@DOM1", "source": "C1", "target": "C2"}
        | kerberos
        | {"count": 1, "failures": 0, "first_seen": two, "last_seen": two, "hours": hours(0)},
        {"day": two.date(), "user": "U2@DOM1", "source": "C3", "target": "C3"}
        | {"target_kind": "machine", "action": "logon", "logon_type": "Batch"}
        | {"auth_package": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0", "count": 1, "failures": 0}
        | {"first_seen": two.replace(second=2), "last_seen": two.replace(second=2), "hours": hours(0)},
    ]
    assert (report.lines, report.events, report.edges) == (8, 6, 4)
    assert report.dropped == {"not 9 fields": 1, "not a logon: LogOff": 1}
    assert report.examples["not 9 fields"] == f"{tmp_path}/auth.txt:8: 86404,U1@DOM1,U1@DOM1,C1,C2"
    assert (report.users, report.sources, report.targets) == (3, 2, 2)
    assert lake.days(tmp_path / "lake") == [one.date(), two.date()]
    assert json.loads(json.dumps(report.to_dict()))["first"] == "1970-01-01T00:00:00"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "empty line"),
        ("x" * (MAX_LINE + 1), "line longer than 1 MB"),
        ("x" * (5 * MAX_LINE), "line longer than 1 MB"),
        ("a,b", "not 9 fields"),
        (line()[:-1] + ",", "not 9 fields"),
        ("-1" + line()[1:-1], "time out of range"),
        ("9999999999" + line()[1:-1], "time out of range"),
        ("9" * 40 + line()[1:-1], "time is not a number"),
        ("today" + line()[1:-1], "time is not a number"),
        ("5,?,?,C1,C2,Kerberos,Network,LogOn,Success", "no user"),
        ("5,U1@DOM1,U1@DOM1,C1,?,Kerberos,Network,LogOn,Success", "no target"),
        ("5,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,ScreenLock,Success", "not a logon: ScreenLock"),
        ("5,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,Elsewhere,Success", "unknown orientation"),
    ],
)
def test_a_bad_line_is_counted(tmp_path, bad, reason):
    report = ingest(write(tmp_path / "auth.txt", f"{line()}{bad}\n{line()}"), "lanl", tmp_path / "lake")
    assert (report.events, report.dropped) == (2, {reason: 1})
    assert report.examples[reason].startswith(f"{tmp_path}/auth.txt:2: ")
    assert len(report.examples[reason]) <= len(f"{tmp_path}/auth.txt:2: ") + 120


def test_examples_are_harmless_on_a_terminal(tmp_path):
    report = ingest(write(tmp_path / "auth.txt", line() + "\x1b[31m\x07\0,\n"), "lanl", tmp_path / "lake")
    assert report.examples["not 9 fields"].endswith(":2: \\x1b[31m\\x07\N{REPLACEMENT CHARACTER},")


def test_hostile_names_are_names(tmp_path):
    names = [
        "'}) DETACH DELETE n //",
        '"; DROP TABLE edges; --',
        "${jndi:ldap:x}",
        "\\N",
        "null",
        "Ünïcode@DOM1",
    ]
    ingest(
        write(tmp_path / "auth.txt", "".join(line(user=name) for name in names)), "lanl", tmp_path / "lake"
    )
    assert sorted(edge["user"] for edge in everything(tmp_path / "lake")) == sorted(names)


def test_bytes_that_are_not_utf8_are_letters_or_marked(tmp_path):
    text = line(user="M\xfcller").encode("latin-1") + line(user="Иван").encode("cp1251")
    report = ingest(write(tmp_path / "auth.txt", text), "lanl", tmp_path / "lake")
    mark = "\N{REPLACEMENT CHARACTER}"
    assert {edge["user"] for edge in everything(tmp_path / "lake")} == {"M\xfcller", mark * 4}
    assert report.notes == {f"bytes that are no UTF-8: guessed, or marked with {mark}": 2}


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(tmp_path, ending, last):
    text = ROAD.replace("\n", ending)
    report = ingest(
        write(tmp_path / "auth.txt", text if last else text.removesuffix(ending)), "lanl", tmp_path / "lake"
    )
    assert (report.lines, report.events) == (8, 6)


def test_how_a_file_is_packed_does_not_matter(tmp_path):
    member = gzip.compress(ROAD.encode()[:100]), gzip.compress(ROAD.encode()[100:])
    packed = {
        "a": ROAD.encode(),
        "b": gzip.compress(ROAD.encode()),
        "c": b"".join(member),
        "d": bz2.compress(ROAD.encode()),
    }
    reports = [
        ingest(write(tmp_path / name, data), "lanl", tmp_path / "lake") for name, data in packed.items()
    ]
    assert len({report.batch for report in reports}) == 1
    assert [report.already_ingested for report in reports] == [False, True, True, True]
    assert len(list((tmp_path / "lake").glob("batches/*"))) == 1


def test_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(ROAD.encode()))))
    )
    assert ingest("-", "lanl", tmp_path / "lake").events == 6


def test_a_named_pipe(tmp_path):
    write(tmp_path / "auth.txt", ROAD)
    subprocess.run(["mkfifo", str(tmp_path / "pipe")], check=True)
    with subprocess.Popen(["sh", "-c", f"cat {tmp_path}/auth.txt > {tmp_path}/pipe"]):
        assert ingest(tmp_path / "pipe", "lanl", tmp_path / "lake").events == 6


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_twice_changes_nothing(tmp_path):
    file = write(tmp_path / "auth.txt", ROAD)
    first = ingest(file, "lanl", tmp_path / "lake")
    before = tree(tmp_path / "lake")
    second = ingest(file, "lanl", tmp_path / "lake")
    assert tree(tmp_path / "lake") == before
    assert second.already_ingested and second.to_dict() | {"already_ingested": False} == first.to_dict()


def test_another_epoch_replaces_the_batch(tmp_path):
    file = write(tmp_path / "auth.txt", ROAD)
    ingest(file, "lanl", tmp_path / "lake")
    ingest(file, "lanl", tmp_path / "lake", IngestOptions(Options(epoch=dt.datetime(2015, 3, 1))))
    assert lake.days(tmp_path / "lake") == [dt.date(2015, 3, 1), dt.date(2015, 3, 2)]
    assert (
        len(list((tmp_path / "lake").glob("edges/*/*"))) == 2
        and len(list((tmp_path / "lake").glob("events/*"))) == 1
    )
    assert sum(edge["count"] for edge in everything(tmp_path / "lake")) == 6


def bad_inputs() -> dict[str, tuple[bytes, str]]:
    packed = gzip.compress((ROAD * 50_000).encode(), compresslevel=1)
    return {
        "empty": (b"", "empty"),
        "empty.gz": (gzip.compress(b""), "empty"),
        "truncated.gz": (packed[: len(packed) // 2], "cannot be read to its end"),
        "broken.gz": (packed[:1000] + b"xxxx" + packed[1004:], "cannot be read to its end"),
        "binary": (random.Random(1).randbytes(300_000), "no record reads as lanl"),
        "prose": (b"dear diary\nnothing happened\n", "not 9 fields: 2"),
    }


@pytest.mark.parametrize("name", bad_inputs())
def test_an_input_that_cannot_be_read_changes_nothing(tmp_path, name):
    data, message = bad_inputs()[name]
    ingest(write(tmp_path / "good", ROAD), "lanl", tmp_path / "lake")
    before = tree(tmp_path / "lake")
    with pytest.raises(InputError, match=message) as error:
        ingest(write(tmp_path / name, data), "lanl", tmp_path / "lake")
    assert name in str(error.value)
    assert tree(tmp_path / "lake") == before


def test_wrong_format_says_what_to_do(tmp_path):
    with pytest.raises(InputError) as error:
        ingest(write(tmp_path / "log", "dear diary\n"), "lanl", tmp_path / "lake")
    assert "no record reads as lanl (not 9 fields: 1)" in str(error.value)
    assert f"{tmp_path}/log:1: dear diary" in str(error.value)


def test_a_file_without_logons_is_no_error(tmp_path):
    log = line().replace("LogOn", "LogOff")
    report = ingest(write(tmp_path / "log", log), "lanl", tmp_path / "lake")
    assert (report.events, report.edges, report.days) == (0, 0, ())
    assert (
        everything(tmp_path / "lake") == []
        and lake.read_pairs(tmp_path / "lake", dt.date.min, dt.date.max, "1GB").num_rows == 0
    )


def test_missing_file_directory_and_unknown_format(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        ingest(tmp_path / "none", "lanl", tmp_path / "lake")
    with pytest.raises(InputError, match="no files in it"):
        ingest(tmp_path, "lanl", tmp_path / "lake")
    for name in ("os", "../lanl", "mapped", ""):
        with pytest.raises(UsageError, match="lanl"):
            ingest(write(tmp_path / "log", ROAD), name, tmp_path / "lake")
    assert not (tmp_path / "lake").exists()
    assert "lanl" in sources.formats()


@pytest.mark.parametrize("step", ["write_manifest", "publish", "index"])
def test_interrupted_ingest_leaves_nothing_to_be_seen(tmp_path, monkeypatch, step):
    """Killed before a manifest, before a batch, before the index: what is there is what was, and the next
    ingest puts it right."""
    root = tmp_path / "lake"
    ingest(write(tmp_path / "a", line()), "lanl", root)
    before = everything(root)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lake if step != "index" else build, step if step != "index" else "keep_entities", stop)
        with pytest.raises(KeyboardInterrupt):
            ingest(write(tmp_path / "b", line(7)), "lanl", root)
    assert everything(root) == before
    ingest(write(tmp_path / "b", line(7)), "lanl", root)
    assert sum(edge["count"] for edge in everything(root)) == 2
    assert (
        len(list(root.rglob("events/*/*.parquet"))) == 2 and len(list(root.rglob("edges/*/*.parquet"))) == 1
    )
    assert not (root / ".tmp").exists()


def test_one_writer_at_a_time(tmp_path):
    with lake.writing(tmp_path / "lake"), pytest.raises(WorkspaceError, match="another ingest"):
        ingest(write(tmp_path / "a", line()), "lanl", tmp_path / "lake")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_batches_of_one_day_are_merged_in_any_order(tmp_path, order):
    lines = [line(second=random.Random(n).randrange(3 * DAY), user=f"U{n % 4}@DOM1") for n in range(90)]
    for part in order:
        ingest(write(tmp_path / f"part{part}", "".join(lines[part::3])), "lanl", tmp_path / "parts")
    ingest(write(tmp_path / "whole", "".join(lines)), "lanl", tmp_path / "one")
    assert everything(tmp_path / "parts") == everything(tmp_path / "one")


def test_pairs_by_hand(tmp_path):
    other = line(7200).replace("Kerberos,Network", "NTLM,Batch").replace("Success", "Fail")
    unknown = line(7201).replace("Kerberos,Network", "?,?")
    ingest(write(tmp_path / "a", line() + other + unknown), "lanl", tmp_path / "lake")
    day = dt.date(1970, 1, 1)
    assert lake.read_pairs(tmp_path / "lake", day, day, "1GB").to_pylist() == [
        {"day": day, "user": "U1@DOM1", "source": "C1", "target": "C2", "target_kind": "machine"}
        | {"count": 3, "failures": 1, "first_seen": dt.datetime(1970, 1, 1, 0, 0, 5)}
        | {"last_seen": dt.datetime(1970, 1, 1, 2, 0, 1), "hours": hours(0, 2)}
        | {
            "logon_types": ["Batch", "Network"],
            "auth_packages": ["Kerberos", "NTLM"],
            "user_kind": "human",
            "witnesses": 0,
        }
    ]
    assert lake.read_pairs(tmp_path / "lake", dt.date(1970, 1, 2), dt.date(1970, 1, 2), "1GB").num_rows == 0


def test_progress_and_many_blocks(tmp_path):
    seen: list[tuple[int, int, int | None]] = []
    text = "".join(line(second) for second in range(60_000))  # over three blocks, lines cut at each
    report = ingest(
        write(tmp_path / "a", text), "lanl", tmp_path / "lake", progress=lambda *step: seen.append(step)
    )
    assert report.events == 60_000 and len(seen) > 3
    assert seen[-1] == (60_000, len(text), len(text))


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_where_a_log_is_cut_does_not_matter(tmp_path, monkeypatch, size):
    text = (
        ROAD
        + "".join(line(second % 3 * 86400 + second, f"U{second % 7}@DOM1") for second in range(60))
        + ROAD
    )
    whole = ingest(write(tmp_path / "a", text), "lanl", tmp_path / "whole")
    monkeypatch.setattr("ueba.ingest.reading.feed.BLOCK", size)
    monkeypatch.setattr("ueba.ingest.reading.feed.SLICE", size)
    monkeypatch.setattr("ueba.ingest.batch.SLICE", size)
    cut = ingest(tmp_path / "a", "lanl", tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert msgspec.structs.replace(cut, seconds=0) == msgspec.structs.replace(whole, seconds=0)
    assert cut.edges == len(everything(tmp_path / "cut"))


@pytest.mark.parametrize("name", ["index.json", "batches/*.json"])
def test_a_lake_of_another_version_says_what_to_do(tmp_path, name):
    root = tmp_path / "lake"
    ingest(write(tmp_path / "a", ROAD), "lanl", root)
    for path in root.glob(name):
        path.write_text(path.read_text().replace(f'"lake_version": {LAKE_VERSION}', '"lake_version": 2'))
    if name != "index.json":
        (root / "index.json").unlink()
    with pytest.raises(WorkspaceError, match="`ueba ingest` its log files again"):
        everything(root)
    with pytest.raises(WorkspaceError, match="`ueba ingest` its log files again"):
        ingest(tmp_path / "a", "lanl", root)


def test_a_failing_progress_is_the_error_that_is_raised(tmp_path):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(write(tmp_path / "a", ROAD), "lanl", tmp_path / "lake", progress=stop)


def test_standard_output_is_left_alone(tmp_path):
    with lake.connect("100MB", tmp_path) as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (False,)


REAL = [text.encode() for text in ROAD.splitlines()]


@given(
    st.lists(
        st.tuples(st.sampled_from(REAL), st.integers(0, 60), st.binary(max_size=4)), min_size=1, max_size=25
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_lines_never_raise_and_are_all_counted(tmp_path_factory, mutations):
    """The good line comes first, so that something reads as LANL; the rest may be anything, newlines
    included."""
    data = line().encode() + b"\n".join(real[:cut] + junk + real[cut + 1 :] for real, cut, junk in mutations)
    folder = tmp_path_factory.mktemp("mutated")
    report = ingest(write(folder / "log", data), "lanl", folder / "lake")
    assert report.lines == data.count(b"\n") + (not data.endswith(b"\n"))
    assert report.events + sum(report.dropped.values()) == report.lines
    assert sum(edge["count"] for edge in everything(folder / "lake")) == report.events


@given(st.binary(min_size=1, max_size=50), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_whole_lines_keep_every_byte(data, size):
    from ueba.ingest.reading.framing import whole_lines

    whole = list(whole_lines(data[start : start + size] for start in range(0, len(data), size)))
    assert b"".join(whole) == data + (b"" if data.endswith(b"\n") else b"\n")
    assert all(block.endswith(b"\n") for block in whole)


def test_feed_knows_the_first_line(tmp_path):
    feed = Feed(next(files.find(str(write(tmp_path / "log", b"\xef\xbb\xbfa,b\r\n1,2\r\n")))), "1GB")
    feed.close()
    assert feed.sample("lines")[:2] == ("a,b", "1,2")


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"needs {SAMPLE}")
def test_every_real_line_is_accounted_for(tmp_path):
    report = ingest(SAMPLE, "lanl", tmp_path / "lake")
    with gzip.open(SAMPLE, "rt") as lines:
        orientation = [text.split(",")[7] for text in lines]
    kept = sum(word in ("LogOn", "TGT", "TGS") for word in orientation)
    assert (report.lines, report.events) == (len(orientation), kept) == (15_000, 8_671)
    assert all(reason.startswith("not a logon: ") for reason in report.dropped)
    assert sum(report.dropped.values()) == report.lines - kept
