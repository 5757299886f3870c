"""What the user is told: reports, limits, gaps, silence, other names; on the command line as a user would
ask."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
import re
import time
from pathlib import Path

import duckdb
import msgspec
import pytest
from click.testing import CliRunner, Result
from ingest_world import event, write

from ueba.cli import main
from ueba.contracts import report as contract
from ueba.contracts import versions
from ueba.contracts.manifest import Span
from ueba.errors import WorkspaceError
from ueba.ingest import ingest_all, lake, report, silence, tally
from ueba.ingest.tally import Day, Reason, Tally

HOUR = dt.timedelta(hours=1)
LANL = "5,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"


def run(folder: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["--workspace", str(folder / "ws"), *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def text(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_what_a_file_is_is_seen_by_its_content(tmp_path):
    log = text(tmp_path, "anything.at.all", LANL * 3)
    (found,) = json.loads(run(tmp_path, "ingest", log, "--format", "json").stdout)
    assert (found["format"], found["lines"], found["events"], found["edges"]) == ("lanl", 3, 3, 1)
    assert (
        found["dropped"] == {} and found["clock"] == {} and found["schema_version"] == versions.INGEST_REPORT
    )


def test_what_nobody_recognises_is_an_error_and_the_rest_is_read(tmp_path):
    logs = [text(tmp_path, "log", LANL), text(tmp_path, "LICENSE", "MIT License\n\nPermission is granted\n")]
    result = run(tmp_path, "ingest", *logs, code=1)
    assert "LICENSE: no format recognises it" in result.stderr and "--log-format" in result.stderr
    assert "1 events" in result.stdout
    assert run(tmp_path, "ingest", logs[0]).stdout.count("already ingested") == 1


def test_what_lies_in_a_folder_and_is_no_log_is_passed_over(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    text(folder, "log", LANL)
    text(folder, "LICENSE", "MIT License\n")
    (folder / "broken.gz").write_bytes(b"\x1f\x8bnot a gzip file at all")
    result = run(tmp_path, "ingest", str(folder), code=1)
    assert "LICENSE: no format recognises it; passed over" in result.stderr
    assert "Error: " in result.stderr and "broken.gz" in result.stderr.split("Error: ")[1]
    (folder / "broken.gz").unlink()
    run(tmp_path, "ingest", str(folder))
    (folder / "log").unlink()
    assert "LICENSE: no format recognises it, as" in run(tmp_path, "ingest", str(folder), code=1).stderr


def test_records_in_an_envelope_are_opened(tmp_path):
    """As Elasticsearch, EventBridge, Splunk and shippers export them; a line without the envelope is
    counted."""
    okta = {
        "uuid": "1",
        "published": "2026-03-02T09:00:00Z",
        "eventType": "user.session.start",
        "outcome": {"result": "SUCCESS"},
    }
    okta |= {
        "actor": {"id": "a", "type": "User", "alternateId": "ann@corp.example"},
        "client": {"ipAddress": "10.0.0.7"},
    }
    for envelope in ("_source", "detail", "_raw", "message"):
        inside = [okta | {"uuid": str(n)} for n in range(3)]
        wrapped = [
            {"other": 1, envelope: json.dumps(record) if envelope in ("_raw", "message") else record}
            for record in inside
        ]
        log = text(
            tmp_path, envelope, "".join(json.dumps(record) + "\n" for record in [*wrapped, {"other": 2}])
        )
        (found,) = ingest_all([log], "auto", tmp_path / f"lake{envelope}")
        assert (found.problem, found.format, found.events, sum(found.dropped.values())) == (
            None,
            "okta",
            3,
            1,
        )


def test_a_path_that_is_not_there_does_not_stop_the_others(tmp_path):
    """One file of three is missing: the other two are in the lake, the exit code is 1."""
    logs = [text(tmp_path, name, LANL.replace("5,", f"{n},", 1)) for n, name in enumerate(("a", "b"))]
    missing = str(tmp_path / "none")
    result = run(tmp_path, "ingest", logs[0], missing, logs[1], "--log-format", "lanl", code=1)
    assert f"{missing}: No such file" in result.stderr
    assert result.stdout.count("1 events") == 2
    assert lake.size(tmp_path / "ws/lake", dt.date(1970, 1, 1)) == 1
    reports = ingest_all([logs[0], missing, logs[1]], "lanl", tmp_path / "ws/lake")
    assert [(report.file, report.already_ingested, bool(report.problem)) for report in reports] == [
        (logs[0], True, False),
        (logs[1], True, False),
        (missing, False, True),
    ]


@pytest.mark.parametrize("argument", ["none", "none*.gz", "folder"])
def test_an_argument_that_names_no_file_has_a_report(tmp_path, argument):
    (tmp_path / "folder").mkdir()
    log = text(tmp_path, "log", LANL)
    (right, wrong) = ingest_all([str(tmp_path / argument), log], "auto", tmp_path / "lake")
    assert wrong.file == str(tmp_path / argument) and wrong.problem.startswith(f"{wrong.file}: ")
    assert right.events == 1
    result = run(tmp_path, "ingest", str(tmp_path / argument), code=1)
    assert wrong.problem in result.stderr


def test_misspelt_names_alone_make_no_lake(tmp_path):
    wrong = [str(tmp_path / name) for name in ("non", "nonne")]
    assert [report.file for report in ingest_all(wrong, "auto", tmp_path / "lake") if report.problem] == wrong
    assert not (tmp_path / "lake").exists()


def test_the_log_format_and_the_format_of_the_report(tmp_path):
    log = text(tmp_path, "log", LANL)
    printed = run(tmp_path, "ingest", log, "--log-format", "lanl", "--format", "json").stdout
    assert json.loads(printed)[0]["events"] == 1
    rows = list(csv.DictReader(run(tmp_path, "ingest", log, "--format", "csv").stdout.splitlines()))
    assert rows[0]["lines"] == "1"
    assert "unknown" in run(tmp_path, "ingest", log, "--log-format", "lnal", code=2).stderr
    assert "'lanl' is not one of 'table'" in run(tmp_path, "ingest", log, "--format", "lanl", code=2).stderr
    assert "nothing to read" in run(tmp_path, "ingest", code=2).stderr
    assert "'Berlin' is not a zone" in run(tmp_path, "ingest", log, "--log-timezone", "Berlin", code=2).stderr


@pytest.mark.parametrize(("limit", "code"), [("10%", 1), ("0.1", 1), ("50%", 0), ("x", 2), ("101%", 2)])
def test_a_limit_on_what_may_be_dropped(tmp_path, limit, code):
    """One of four lines is broken; a line of no interest does not count."""
    log = text(tmp_path, "log", LANL * 2 + "broken\n" + LANL.replace("LogOn", "LogOff"))
    result = run(tmp_path, "ingest", log, "--fail-on-drops", limit, code=code)
    if code == 1:
        assert "1 of 4 records dropped" in result.stderr and "not 9 fields: 1" in result.stderr
    if code == 0:
        assert "dropped 1: not 9 fields" in result.stdout


def test_clocks_and_unread_fields(tmp_path):
    future = (dt.datetime.now(dt.UTC) + dt.timedelta(days=400)).strftime("%Y-%m-%dT%H:%M:%S")
    lines = [
        event("09:00:00", "a", "s", "t", extra={"deep": 1}),
        event("1601-01-01T00:00:00", "a", "s", "t"),
        event(future, "a", "s", "t"),
    ]
    (found,) = ingest_all([write(tmp_path, "log", lines)], str(tmp_path / "all.toml"), tmp_path / "lake")
    assert found.events == 1 and len(found.clock) == 2 and "time in the future" in found.clock
    assert found.unread_fields == ("extra.deep",)
    assert found.examples["time in the future"].startswith(f"{tmp_path}/log:3: ")


def test_gaps_by_hand():
    """Ten events an hour but for a night and a day: a night that is always quiet is no gap, a working day
    is."""
    begin = dt.datetime(2026, 3, 2)
    hours = {
        begin + dt.timedelta(days=day, hours=hour): 10
        for day in range(6)
        for hour in range(8, 18)
        if day != 3
    }
    assert report.gaps(hours) == ((dt.datetime(2026, 3, 4, 18), dt.datetime(2026, 3, 6, 8)),)
    quiet_weekends = {
        begin + dt.timedelta(days=day, hours=hour): 10
        for day in range(12)
        for hour in range(24)
        if day % 7 < 5
    }
    assert report.gaps(quiet_weekends) == ()
    assert report.gaps({}) == ()
    assert report.gaps({begin: 1, begin + dt.timedelta(hours=5): 1}) == ()


def test_gaps_are_those_that_a_walk_through_the_hours_finds():
    rng, begin = random.Random(1), dt.datetime(2026, 1, 1)
    for _ in range(20):
        last = rng.choice([30, 200, 3000])
        active = rng.sample(range(last), rng.randrange(3, 25))
        hours = {begin + dt.timedelta(hours=n): rng.choice([1, 40, 900]) for n in active}
        expected, missed, found = report._expected(hours), 0.0, []
        hour = start = min(hours)
        while hour <= max(hours):
            if hour not in hours:
                missed += expected[hour.weekday() >= 5][hour.hour]
            else:
                found += [(start, hour)] if missed >= report.LEAST_MISSED else []
                start, missed = hour + dt.timedelta(hours=1), 0.0
            hour += dt.timedelta(hours=1)
        assert report.gaps(hours) == (*found,)


def test_one_wrong_time_does_not_make_gaps_slow():
    """A folder of thousands of files may have one in each of them."""
    hours = {dt.datetime(1970, 1, 1): 1, dt.datetime(2026, 1, 1): 5, dt.datetime(2026, 1, 1, 1): 5}
    began = time.process_time()
    for _ in range(100):
        assert len(report.gaps(hours)) <= 1
    assert time.process_time() - began < 1  # a walk through the hours takes half a second for each file


def test_who_fell_silent(tmp_path):
    """Two servers report every hour; one stops a day before the end. A third has reported but once."""
    begin = dt.datetime(2026, 3, 2)
    times = [
        (begin + dt.timedelta(hours=hour, minutes=minute)).isoformat()
        for hour in range(72)
        for minute in range(0, 60, 10)
    ]
    lines = [event(time, "a", "s", "srv1", reporter="SRV1") for time in times]
    lines += [event(time, "a", "s", "srv2", reporter="srv2") for time in times if time < "2026-03-04"]
    lines += [event(times[0], "a", "s", "srv3", reporter="srv3")]
    ingest_all([write(tmp_path, "log", lines)], str(tmp_path / "all.toml"), tmp_path / "ws/lake")
    found = {reporter.name: reporter for reporter in silence.reporters(tmp_path / "ws/lake", 30, "1GB")}
    assert {name: reporter.is_silent for name, reporter in found.items()} == {
        "srv1": False,
        "srv2": True,
        "srv3": False,
    }
    assert found["srv2"].silent_hours == 24.0 and found["srv2"].last == dt.datetime(2026, 3, 3, 23, 50)
    (shown,) = json.loads(run(tmp_path, "sources", "--silent", "--format", "json", code=1).stdout)
    assert (shown["reporter"], shown["state"], shown["gaps"]) == ("srv2", "silent", [])
    assert "srv1" in run(tmp_path, "sources").stdout


def test_an_entity_is_found_by_any_of_its_names(tmp_path):
    lines = [
        event(
            f"2026-03-0{day}T09:00:00",
            "CORP\\alice",
            "ws1",
            "srv1",
            source_ip="10.0.0.7",
            user_id="S-1-5-21-1-2-3-9",
        )
        for day in range(2, 5)
    ]
    lines += [
        event("09:00:00", "alice@corp.example", "ws1", "srv1", action="privilege", user_id="S-1-5-21-1-2-3-9")
    ]
    lines += [event("09:00:00", "S-1-5-21-1-2-3-9", "ws1.corp.example", "srv1")]
    ingest_all([write(tmp_path, "log", lines)], str(tmp_path / "all.toml"), tmp_path / "ws/lake")
    people = text(tmp_path, "people.csv", "user,department,tier\nalice@corp.example,Finance,0\n")
    run(tmp_path, "ingest", "--entities", people)
    for name in ("alice@corp.example", "CORP\\Alice", "S-1-5-21-1-2-3-9", "alice", "corp.example\\alice"):
        (found,) = json.loads(run(tmp_path, "entity", name, "--format", "json").stdout)
        assert found["name"] == "alice@corp.example" and found["is_admin"] and found["privileged_on"] == 1
        assert found["attributes"] == {"department": "Finance", "tier": "0"}
        assert [alias["name"] for alias in found["aliases"]] == ["alice@corp", "s-1-5-21-1-2-3-9"]
    shown = run(tmp_path, "entity", "10.0.0.7").stdout
    assert run(tmp_path, "entity", "\\\\WS1").stdout == run(tmp_path, "entity", "ws1$").stdout == shown
    assert shown.startswith("ws1: machine") and "seen with it" in shown and "ws1.corp.example" in shown
    assert "administrator" in run(tmp_path, "entity", "corp\\alice").stdout


def test_many_files_are_shown_as_totals(tmp_path):
    logs = [text(tmp_path, f"log{n}", LANL.replace("5,", f"{n},", 1) + "broken\n") for n in range(7)]
    shown = run(tmp_path, "ingest", *logs).stdout
    assert "lanl" in shown and "14" in shown and "dropped: not 9 fields" in shown and "log0:2" in shown


def test_a_manifest_survives_its_file(tmp_path):
    """The report of a file that is known comes from the manifest."""
    log = text(tmp_path, "log", LANL + "broken\n")
    (first,) = ingest_all([log], "lanl", tmp_path / "lake")
    (again,) = ingest_all([log], "lanl", tmp_path / "lake")
    assert again == msgspec.structs.replace(first, already_ingested=True)
    (manifest,) = lake.manifests(tmp_path / "lake")
    (file,) = manifest.files
    time = dt.datetime(1970, 1, 1, 0, 0, 5)
    assert file.spans == {time.date(): Span(time, time, 1)} and file.report == first


@pytest.mark.parametrize(
    ("old", "new"), [('"lake_version": 3', '"lake_version": 2'), ('"digest"', '"diggest"'), ("{", "")]
)
def test_a_damaged_manifest_is_named_with_what_to_do(tmp_path, old, new):
    ingest_all([text(tmp_path, "log", LANL)], "lanl", tmp_path / "lake")
    (path,) = tmp_path.glob("lake/batches/*.json")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(WorkspaceError, match=f"^{re.escape(str(path))}: .*`ueba ingest` its log files again"):
        lake.manifests(tmp_path / "lake")


def test_the_tally_of_two_files_by_hand():
    """File 0: two events with one identity, an hour apart and at the same time; one with a note; one dropped
    record. File 1: evidence alone."""
    columns = "file, time, user, source, target, action, event_id, witness, dropped, note, line, example"
    rows = [
        "(0, TIMESTAMP '2026-03-02 09:00', 'a', 's', 't', 'logon', '7', 'host', NULL, NULL, 1, NULL)",
        "(0, TIMESTAMP '2026-03-02 09:00', 'a', 's', 't', 'logon', '7', NULL, NULL, NULL, 2, NULL)",
        "(0, TIMESTAMP '2026-03-02 10:00', 'b', NULL, 't', NULL, '7', NULL, NULL, 'year guessed', 3, 'x')",
        "(0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'no user', 'year guessed', 4, 'y')",
        "(1, TIMESTAMP '2026-03-03 11:30', 'a', NULL, 't', 'privilege', NULL, NULL, NULL, NULL, 1, NULL)",
    ]
    quoted = columns.replace("user", '"user"')
    with duckdb.connect() as connection:
        found = tally.count(connection, f"(VALUES {', '.join(rows)}) AS rows({quoted})")
    nine, ten = dt.datetime(2026, 3, 2, 9), dt.datetime(2026, 3, 2, 10)
    last = dt.datetime(2026, 3, 3, 11, 30)
    assert found == {
        0: Tally(
            dropped=[Reason("no user", 1, "y", 4)],
            notes=[Reason("year guessed", 1, "x", 3)],
            days=[Day(nine.date(), nine, ten, 3, 3, 1, 0)],
            repeated=1,
            users=2,
            sources=1,
            targets=1,
            hours={nine: 2, ten: 1},
        ),
        1: Tally(
            days=[Day(last.date(), last, last, 1, 0, 0, 1)],
            users=1,
            targets=1,
            hours={last.replace(minute=0): 1},
        ),
    }
    assert (found[0].records, found[0].events) == (4, 3)


def test_totals_by_format_and_by_reason():
    """Two files of one format, one that could not be read, one of another format."""
    time = dt.datetime(2026, 3, 2)
    reports = [
        contract.IngestReport(
            file="a",
            format="lanl",
            lines=5,
            events=3,
            edges=2,
            dropped={"no user": 2},
            examples={"no user": "a:1: x"},
            first=time,
            last=time,
        ),
        contract.IngestReport(
            file="b",
            format="lanl",
            lines=4,
            events=3,
            edges=1,
            dropped={"no user": 1},
            notes={"year guessed": 3},
            examples={"no user": "b:1: x", "year guessed": "b:2: y"},
            first=time - HOUR,
            last=time + HOUR,
        ),
        contract.IngestReport(file="c", problem="c: broken"),
        contract.IngestReport(
            file="d", format="cert", lines=1, dropped={"header": 1}, examples={"header": "d:1: h"}
        ),
    ]
    assert report.by_format(reports) == [
        ("cert", 1, 1, 0, 0, 1, None, None),
        ("lanl", 2, 9, 6, 3, 3, time - HOUR, time + HOUR),
    ]
    assert report.reasons(reports) == [
        ("cert", "dropped: header", 1, 1, "d:1: h"),
        ("lanl", "dropped: no user", 3, 2, "a:1: x"),
        ("lanl", "assumed: year guessed", 3, 1, "b:2: y"),
    ]


def test_lost_records_and_doubtful_clocks():
    found = contract.IngestReport(
        file="a",
        dropped={"not a logon: 4634": 5, "header": 1, "no user": 2, "time before 1970": 3},
        notes={"year guessed": 7, "name guessed": 1},
    )
    assert found.lost == {"no user": 2, "time before 1970": 3}
    assert found.clock == {"time before 1970": 3, "year guessed": 7}
    stored = found.to_dict()
    assert stored["clock"] == found.clock and stored["schema_version"] == versions.INGEST_REPORT
    assert json.loads(json.dumps(stored)) == stored
