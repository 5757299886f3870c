"""Exports of two incidents made by hand: one with its events in a lake, one whose names are hostile."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import datetime as dt
import functools
import http.server
import io
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import jsonschema
import msgspec
import pytest
import stix2
import verdicts
from hypothesis import given
from hypothesis import strategies as st
from ingest_world import event, read
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from scored_world import MODEL, explanation, incident_of, save, scored_edge, table
from small_workspace import run

from ueba import findings, words
from ueba.contracts.entity import Entity
from ueba.contracts.explanation import Counterfactual, Expected, Usual
from ueba.contracts.perimeter import Perimeter, ReachedEntity
from ueba.contracts.reason import Combination, NewPair
from ueba.errors import UebaError
from ueba.files import write_text
from ueba.investigate import export
from ueba.investigate.explain import kept
from ueba.investigate.export import alerts, ecs, ocsf, opengraph, spreadsheet, stix, timesketch, webhook
from ueba.investigate.export.alerts import Alert, AlertEdge
from ueba.text import in_a_cell, out_of_a_cell, plain
from ueba.workspace import Workspace

DAY = dt.date(2026, 3, 2)
FOUND = dt.datetime(2026, 3, 3, 4, 5, 6, tzinfo=dt.UTC)
NINE = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
FIRST, SECOND = "20260302-aaaaaaaa", "20260302-bbbbbbbb"
FORMULA, EVIL = "=cmd|' /C calc'!A0", 'a"b\n\x1b[31m\u202e,;\u2028</script>\x00'
FORMS = {"ocsf": ocsf.finding, "ecs": ecs.document}


def new_target(user, target):
    return NewPair("user_target", user, target, False, 7.2, 0.16, 0.0)


def edge(user, source, target, kind, incident, minutes, count=1, failures=0, **fields):
    first = dt.datetime(2026, 3, 2, 9) + dt.timedelta(minutes=minutes)
    return scored_edge(
        user=user,
        source=source,
        target=target,
        target_kind=kind,
        incident=incident,
        first_seen=first,
        last_seen=first + dt.timedelta(minutes=count - 1),
        count=count,
        failures=failures,
        **fields,
    )


ALICE, SERVER = "alice@corp.example", "srv1.corp.example"
EDGES = [
    edge(
        ALICE,
        "ws1",
        SERVER,
        "machine",
        FIRST,
        0,
        2,
        logon_types=("RemoteInteractive",),
        reasons=(new_target(ALICE, SERVER), Combination()),
        p_value=1e-4,
        once_in_days=250.0,
    ),
    edge("bob@corp.example", None, "Payroll", "resource", FIRST, 10, 6, 6),
    edge(FORMULA, "10.0.0.9", EVIL, "machine", SECOND, 30, reasons=(new_target(FORMULA, EVIL),)),
    edge("carol@corp.example", "ws3", SERVER, "machine", None, 40),
]
NEW = words.sentence(EDGES[0].reasons[0])


def incident(name, rank, score, **fields):
    return incident_of([e for e in EDGES if e.incident == name], rank=rank, score=score, **fields)


BOTH = (incident(FIRST, 1, 30.0), incident(SECOND, 2, 10.0))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    alice = {"logon_type": "RemoteInteractive", "source_ip": "10.0.0.7", "user_id": "s-1-5-21-1"}
    lines = [
        event(f"09:0{n}:00", "alice@corp.example", "ws1", "srv1.corp.example", event_id=f"e-{n}", **alice)
        for n in (0, 1)
    ]
    failed = {"target_kind": "resource", "outcome": "failure", "action": "sso"}
    lines += [event(f"09:1{n}:00", "bob@corp.example", None, "Payroll", **failed) for n in range(6)]
    lines += [event("09:40:00", "carol@corp.example", "ws3", "srv1.corp.example")]
    read(root, lines)
    scored = Workspace(root)
    findings.save(findings.Findings(DAY, table(EDGES), BOTH), scored.findings)
    expected = Expected(target=(Usual("mail", 0.9),), hour=(Usual("9", 0.5),))
    change = Counterfactual("source", "ws9", None, "where the user usually acts from", 0.1, 0.5)
    alices = explanation(EDGES[0].edge, expected=expected, counterfactuals=(change,))
    kept.save({FIRST: (alices,)}, scored.findings, DAY)
    os.utime(scored.findings / f"day={DAY}.json", (FOUND.timestamp(), FOUND.timestamp()))
    return scored


@pytest.fixture(scope="module")
def found(workspace) -> list[Alert]:
    return list(alerts.alerts(workspace, BOTH))


def changed(alert: Alert, *edges, **more) -> Alert:
    """The alert with other edges and other facts of its incident."""
    rows = [AlertEdge(edge) for edge in edges] or alert.edges
    changed_incident = msgspec.structs.replace(alert.incident, **more)
    return Alert(changed_incident, rows, alert.events, alert.found, alert.verdict)


def lines(text: str) -> list[dict]:
    assert text.isascii() and text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_case_has_its_edges_and_their_events(found):
    first, second = found
    assert (first.found, first.first, first.last, first.count) == (
        FOUND,
        NINE,
        NINE + dt.timedelta(minutes=15),
        8,
    )
    assert [edge.edge.user for edge in first.edges] == ["alice@corp.example", "bob@corp.example"]
    assert [(event["time"].minute, event["line"]) for event in first.events] == [
        (0, 1),
        (1, 2),
        *((10 + n, 3 + n) for n in range(6)),
    ]
    assert second.events == [] and second.edges[0].edge.target == EVIL


@pytest.mark.parametrize(
    ("score", "risk", "severity"),
    [
        (0, 0, "Low"),
        (13.8, 49.8, "Low"),
        (13.9, 50.1, "Medium"),
        (27.6, 74.8, "Medium"),
        (27.7, 75.0, "High"),
        (500, 100, "High"),
    ],
)
def test_risk_and_severity_follow_the_score(found, score, risk, severity):
    """100 (1 - exp(-13.9 / 20)) = 100 (1 - 0.4991) = 50.1"""
    alert = changed(found[0], score=score)
    assert alerts.risk(alert) == pytest.approx(risk, abs=0.05)
    assert alerts.severity(alert) == severity


def test_title_and_message_tell_who_what_and_why(found):
    assert (
        alerts.title(found[0])
        == "Unusual access: alice@corp.example from ws1 to srv1.corp.example and 1 more"
    )
    assert alerts.message(found[0]) == (
        f"{alerts.title(found[0])}: {NEW} (rank 1 of 2026-03-02; there is no day to compare it with yet)"
    )
    assert not re.search(r"\b(nats|log odds|p)\b", alerts.message(found[0]))
    assert (
        alerts.title(changed(found[0], EDGES[1]))
        == "Unusual access: bob@corp.example from an unknown machine to Payroll"
    )
    assert alerts.title(found[1]).isprintable() and alerts.message(found[1]).isprintable()


def test_techniques_are_those_that_an_edge_shows(found):
    def named(*edges):
        return [
            technique.part or technique.technique
            for technique in alerts.techniques(changed(found[0], *edges))
        ]

    def failing(count, failures, user="a", source="ws1"):
        return edge(user, source, "t", "machine", FIRST, 0, count, failures)

    assert named(edge("a", "ws1", "t", "machine", FIRST, 0, logon_types=("Network", "Interactive"))) == []
    assert named(edge("a", "ws1", "t", "machine", FIRST, 0, logon_types=("RemoteInteractive",))) == [
        ("T1021.001", "Remote Desktop Protocol")
    ]
    assert named(failing(10, 5)) == [("T1110", "Brute Force")]
    assert named(failing(4, 4)) == named(failing(11, 5)) == []
    assert named(*(failing(1, 1, f"u{n}") for n in range(5))) == [("T1110.003", "Password Spraying")]
    assert named(*(failing(1, 1, f"u{n}") for n in range(4)), failing(1, 1, "u5", "ws2")) == []
    assert named(*(failing(1, 1, f"u{n}", None) for n in range(5))) == []


@pytest.mark.parametrize("form", export.FORMATS)
def test_exported_again_it_is_the_same_again(workspace, form):
    assert (
        run(workspace.root, "export", form).stdout
        == run(workspace.root, "export", form, "--day", str(DAY)).stdout
        != ""
    )


def test_rules_put_in_force_do_not_change_when_a_day_was_scored(workspace, tmp_path):
    shutil.copytree(workspace.findings, tmp_path / "findings")
    rule = '[[rule]]\nname = "r"\nreason = "planned"\nowner = "ann"\nexpires = 2026-03-31\nuser = "alice*"\n'
    (tmp_path / "rules.toml").write_text(rule + rule.replace('"r"', '"s"').replace("alice", "bob"))
    before = run(tmp_path, "export", "ecs", SECOND).stdout
    run(tmp_path, "triage", "rules", "--apply", str(tmp_path / "rules.toml"), "--yes")
    assert [
        incident.id for incident in findings.load_incidents(tmp_path / "findings") if incident.hidden_by
    ] == [FIRST]
    assert run(tmp_path, "export", "ecs", SECOND).stdout == before.replace('"rank": 2', '"rank": 1').replace(
        "rank 2 of", "rank 1 of"
    )


def test_the_lake_may_be_gone(workspace, tmp_path):
    (tmp_path / "findings").symlink_to(workspace.findings)
    gone = list(alerts.alerts(Workspace(tmp_path), [incident(FIRST, 1, 30.0)]))
    assert gone[0].events == []
    info = valid(ocsf.finding(gone[0]))["finding_info"]
    assert info["related_events_count"] == 8 and "related_events" not in info
    assert len(list(timesketch.rows(gone[0]))) == 1


# --- ocsf ---------------------------------------------------------------------------------------------------


@functools.cache
def ocsf_validator(version: str) -> jsonschema.Validator:
    """Of the official schema of the class, by a library of JSON Schema."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version)).get_class_schema(
        class_name="detection_finding", profiles=[]
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(record: dict, version: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in ocsf_validator(version).iter_errors(record)]


def valid(record: dict) -> dict:
    """The record, if the official schema takes it: that of its version, and the newest."""
    record = json.loads(json.dumps(record))
    for version in (record["metadata"]["version"], "1.8.0"):
        assert problems(record, version) == []
    return record


def test_ocsf_is_taken_by_the_official_schema(found):
    for alert in found:
        valid(ocsf.finding(alert))


def test_the_schema_can_refuse(found):
    good = json.loads(json.dumps(ocsf.finding(found[0])))
    broken = {
        "$: 'finding_info' is a required property": lambda it: it.pop("finding_info"),
        "$: Additional properties are not allowed ('anomalies' was unexpected)": lambda it: it.update(
            anomalies=[]
        ),
        "$.severity_id: 7 is not one of": lambda it: it.update(severity_id=7),
        "$.class_uid: 2004 was expected": lambda it: it.update(class_uid=2001),
        "$.time: '2026' is not of type 'integer'": lambda it: it.update(time="2026"),
        "$.anomaly_analyses[0]: 'anomalies' is a required property": lambda it: it["anomaly_analyses"][0].pop(
            "anomalies"
        ),
        "$.evidences[1]: {'uid': 'x'} is not valid under any of the given schemas": lambda it: it[
            "evidences"
        ].__setitem__(1, {"uid": "x"}),
        "$.evidences[0].src_endpoint.ip: 'ws1' does not match": lambda it: it["evidences"][0][
            "src_endpoint"
        ].update(ip="ws1"),
        "$.observables[0]: 'type_id' is a required property": lambda it: it["observables"][0].pop("type_id"),
    }
    for message, break_it in broken.items():
        record = copy.deepcopy(good)
        break_it(record)
        refused = problems(record, "1.5.0")
        assert len(refused) == 1 and refused[0].startswith(message), (message, refused)


def test_ocsf_says_what_happened(found):
    record = valid(ocsf.finding(found[0]))
    assert (record["class_uid"], record["type_uid"], record["activity_id"], record["is_alert"]) == (
        2004,
        200401,
        1,
        True,
    )
    assert record["time"] == 1772510706000 and record["start_time"] == 1772442000000
    assert (record["severity_id"], record["risk_score"], record["status_id"]) == (4, 78, 1)
    info = record["finding_info"]
    assert info["uid"] == record["metadata"]["uid"] == FIRST
    assert info["analytic"]["type_id"] == 4 and info["analytic"]["version"] == "2026-03-01"
    assert [attack["technique"]["uid"] for attack in info["attacks"]] == ["T1021", "T1110"]
    assert info["related_events_count"] == 8
    assert info["related_events"][0]["uid"] == "e-0" and info["related_events"][2]["uid"].endswith("log0:3")
    assert info["data_sources"] == [info["related_events"][0]["tags"][0]["value"]]
    alice, bob = record["evidences"]
    assert alice["user"] == {"name": "alice", "domain": "corp.example", "uid": "s-1-5-21-1"}
    assert alice["src_endpoint"] == {"hostname": "ws1", "ip": "10.0.0.7"} and alice["dst_endpoint"] == {
        "hostname": "srv1.corp.example"
    }
    assert (
        bob["resources"] == [{"uid": "Payroll", "name": "Payroll"}]
        and "src_endpoint" not in bob
        and "dst_endpoint" not in bob
    )
    patterns = [
        (
            analysis["analysis_targets"][0]["name"],
            anomaly["observation_parameter"],
            anomaly["observed_pattern"],
        )
        for analysis in record["anomaly_analyses"]
        for anomaly in analysis["anomalies"]
    ]
    assert patterns == [
        ("alice@corp.example", "user -> target access", "UNSEEN"),
        ("bob@corp.example", "user -> source -> target access", "RARE"),
    ]
    assert [
        (observable["type_id"], observable["name"].removeprefix("evidences."), observable["value"])
        for observable in record["observables"]
    ] == [
        (4, "user.name", "alice@corp.example"),
        (4, "user.name", "bob@corp.example"),
        (1, "dst_endpoint.hostname", "srv1.corp.example"),
        (1, "src_endpoint.hostname", "ws1"),
        (2, "src_endpoint.ip", "10.0.0.7"),
        (10, "resources.uid", "Payroll"),
    ]
    unmapped = record["unmapped"]
    assert (unmapped["score"], unmapped["p_value"], unmapped["model"]) == (
        30.0,
        1e-4,
        {name: value for name, value in msgspec.to_builtins(MODEL).items() if name != "quiet_scores"},
    )
    reason = unmapped["edges"][0]["reasons"][0]
    assert (reason["kind"], reason["partner"], reason["sentence"]) == ("new_pair", SERVER, NEW)
    assert [edge["uid"] for edge in unmapped["edges"]] == [
        evidence["uid"] for evidence in record["evidences"]
    ]


OTHERWISE = "it would have been normal from ws9, where the user usually acts from."


def test_what_was_expected_and_what_would_be_normal_go_along(found):
    record = valid(ocsf.finding(found[0]))
    baselines = [analysis.get("baselines") for analysis in record["anomaly_analyses"]]
    assert [(baseline["observation_parameter"], baseline["observations"]) for baseline in baselines[0]] == [
        ("user -> target access", [{"value": "mail"}]),
        ("hour of activity, UTC", [{"value": "9"}]),
    ]
    assert baselines[1:] == [None]  # bob's edge was not explained
    assert [edge.get("would_be_normal") for edge in record["unmapped"]["edges"]] == [OTHERWISE, None]
    assert [edge.get("would_be_normal") for edge in ecs.document(found[0])["ueba"]["edges"]] == [
        OTHERWISE,
        None,
    ]
    rows = csv.DictReader(io.StringIO(spreadsheet.text(found[:1])))
    assert [row["would_be_normal"] for row in rows] == [OTHERWISE, ""]


def test_a_crowd_is_told_of_by_its_strangest_edges_and_its_number(found):
    crowd = [edge(f"u{n}", "ws1", "t", "machine", FIRST, n) for n in range(60)]
    record = valid(ocsf.finding(changed(found[0], *crowd)))
    parts = [record["evidences"], record["anomaly_analyses"], record["unmapped"]["edges"]]
    assert [len(rows) for rows in parts] == [50, 50, 50] and record["unmapped"]["edges_total"] == 60
    assert sum(observable["type_id"] == 4 for observable in record["observables"]) == 60


def test_an_incident_that_was_judged_says_so(found, workspace, tmp_path):
    (tmp_path / "findings").symlink_to(workspace.findings)

    def status(word: str, **more) -> str:
        verdicts.write(tmp_path, verdicts.verdict(FIRST, word))
        (alert,) = alerts.alerts(Workspace(tmp_path), [msgspec.structs.replace(found[0].incident, **more)])
        record = valid(ocsf.finding(alert))
        fields = set(alerts.VERDICT_FIELDS)
        assert set(record["unmapped"]["verdict"]) == set(ecs.document(alert)["ueba"]["verdict"]) == fields
        return record["status"]

    assert status("benign") == status("expected") == "Suppressed"
    assert (
        status("true") == status("true", hidden_by="patches") == "In Progress"
    )  # what was confirmed is not over
    hidden = changed(found[0], hidden_by="patches")
    assert valid(ocsf.finding(hidden))["status"] == "Suppressed" and ocsf.finding(found[0])["status"] == "New"


def test_what_rules_hide_is_exported_if_it_is_asked_for_or_was_called_true(workspace, tmp_path):
    hidden = (BOTH[0], incident(SECOND, 2, 10.0, hidden_by="patches"))
    findings.save(findings.Findings(DAY, table(EDGES), hidden), tmp_path / "findings")

    def exported(*arguments) -> list[str]:
        return [
            record["metadata"]["uid"] for record in lines(run(tmp_path, "export", "ocsf", *arguments).stdout)
        ]

    assert exported() == [FIRST]
    assert exported("--all") == [FIRST, SECOND] and exported(SECOND) == [SECOND]
    verdicts.write(tmp_path, verdicts.verdict(SECOND, "true"))
    assert exported() == [FIRST, SECOND]


def test_every_form_names_the_case_and_ocsf_the_other_incidents_of_it(workspace, tmp_path):
    """alice comes back on the next day; bob's incident is a case of its own."""
    later = "20260303-cccccccc"
    next_day = DAY + dt.timedelta(days=1)
    findings.save(findings.Findings(DAY, table(EDGES), BOTH), tmp_path / "findings")
    again = scored_edge(user=ALICE, incident=later, first_seen=dt.datetime(2026, 3, 3, 9))
    save(tmp_path, [again])

    def exported(form: str, *arguments: str) -> list[dict]:
        return lines(run(tmp_path, "export", form, "--from", str(DAY), *arguments).stdout)

    first, alone, second = map(valid, exported("ocsf"))
    case = f"case-{FIRST}"
    assert [record["unmapped"]["case"]["id"] for record in (first, alone, second)] == [
        case,
        f"case-{SECOND}",
        case,
    ]
    [other] = first["finding_info"]["related_events"]
    why = f"{later} goes on from {FIRST}: {ALICE} was in it too"
    assert (other["uid"], other["type_uid"], other["desc"]) == (second["metadata"]["uid"], 200401, why)
    assert second["finding_info"]["related_events"][-1]["uid"] == FIRST
    assert first["finding_info"]["related_events_count"] == 8 + 1
    assert "related_events" not in alone["finding_info"]
    [link] = exported("ecs")[0]["ueba"]["case"]["links"]
    assert link == {"kind": "same_user", "incident": later, "goes_on_from": FIRST, "user": ALICE}
    assert {record["case"] for record in exported("timesketch")} == {case, f"case-{SECOND}"}
    text = run(tmp_path, "export", "csv", "--day", str(next_day)).stdout
    assert [row["case"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [case]


# --- ecs ----------------------------------------------------------------------------------------------------

KEYWORD, DATE, FLOAT, LONG, TEXT, IP, MANY = "keyword", "date", "float", "long", "text", "ip", "keyword[]"
ECS_FIELDS = {  # those that we write, with their types in ECS 8.11 and whether ECS wants a list
    "@timestamp": DATE,
    "message": TEXT,
    "tags": MANY,
    "ecs.version": KEYWORD,
    "event.kind": KEYWORD,
    "event.category": MANY,
    "event.type": MANY,
    "event.module": KEYWORD,
    "event.dataset": KEYWORD,
    "event.provider": KEYWORD,
    "event.id": KEYWORD,
    "event.action": KEYWORD,
    "event.reason": KEYWORD,
    "event.created": DATE,
    "event.start": DATE,
    "event.end": DATE,
    "event.severity": LONG,
    "event.risk_score": FLOAT,
    "event.risk_score_norm": FLOAT,
    "rule.id": KEYWORD,
    "rule.name": KEYWORD,
    "rule.category": KEYWORD,
    "rule.ruleset": KEYWORD,
    "rule.version": KEYWORD,
    "observer.product": KEYWORD,
    "observer.vendor": KEYWORD,
    "observer.type": KEYWORD,
    "observer.version": KEYWORD,
    "user.name": KEYWORD,
    "user.domain": KEYWORD,
    "source.address": KEYWORD,
    "source.ip": IP,
    "source.domain": KEYWORD,
    "destination.address": KEYWORD,
    "destination.ip": IP,
    "destination.domain": KEYWORD,
    "related.user": MANY,
    "related.hosts": MANY,
    "related.ip": "ip[]",
    "threat.framework": KEYWORD,
    "threat.tactic.id": MANY,
    "threat.tactic.name": MANY,
    "threat.technique.id": MANY,
    "threat.technique.name": MANY,
    "threat.technique.subtechnique.id": MANY,
    "threat.technique.subtechnique.name": MANY,
}


def flat(document, prefix=""):
    for name, value in document.items():
        if isinstance(value, dict) and name != "ueba":
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def fits(value, kind) -> bool:
    if kind.endswith("[]"):
        return isinstance(value, list) and bool(value) and all(fits(item, kind[:-2]) for item in value)
    if kind == IP:
        return bool(ipaddress.ip_address(value))
    if kind == DATE:
        return dt.datetime.fromisoformat(value).tzinfo is not None
    wanted = {KEYWORD: str, TEXT: str, LONG: int, FLOAT: (int, float)}[kind]
    return isinstance(value, wanted) and not isinstance(value, bool)


def test_ecs_has_the_fields_of_ecs_and_their_types(found):
    for alert in found:
        document = json.loads(json.dumps(ecs.document(alert)))
        for name, value in flat(document):
            assert name == "ueba" or fits(value, ECS_FIELDS[name]), (name, value)


def test_ecs_says_what_happened(found):
    document = ecs.document(found[0])
    assert document["event"]["kind"] == "alert" and document["event"]["category"] == ["authentication"]
    assert (document["event"]["id"], document["event"]["risk_score_norm"], document["event"]["severity"]) == (
        FIRST,
        77.7,
        73,
    )
    assert (
        document["@timestamp"] == "2026-03-03T04:05:06.000000Z"
        and document["event"]["start"] == "2026-03-02T09:00:00.000000Z"
    )
    assert document["user"] == {"name": "alice", "domain": "corp.example"}
    assert document["source"] == {"address": "ws1", "domain": "ws1"}
    assert document["related"]["user"] == ["alice@corp.example", "alice", "bob@corp.example", "bob"]
    assert document["related"]["ip"] == ["10.0.0.7"]
    assert document["threat"]["technique"]["id"] == ["T1021", "T1110"]
    assert document["threat"]["technique"]["subtechnique"]["id"] == ["T1021.001"]
    assert [edge["count"] for edge in document["ueba"]["edges"]] == [2, 6]
    other = ecs.document(found[1])
    assert other["source"] == {"address": "10.0.0.9", "ip": "10.0.0.9"} and "threat" not in other
    assert other["user"] == {"name": FORMULA} and other["destination"]["address"] == EVIL


# --- csv ----------------------------------------------------------------------------------------------------


def test_csv_is_a_row_for_each_edge_and_no_cell_is_a_formula(found):
    text = spreadsheet.text(found)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["incident"], row["user"]) for row in rows] == [
        (FIRST, "alice@corp.example"),
        (FIRST, "bob@corp.example"),
        (SECOND, in_a_cell(FORMULA)),
    ]
    assert out_of_a_cell(rows[2]["user"]) == FORMULA and rows[2]["target"] == plain(EVIL)
    assert (rows[0]["count"], rows[0]["incident_score"], rows[1]["source"]) == ("2", "30.0", "")
    assert rows[0]["reasons"] == f"{NEW} | {words.sentence(Combination())}"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row.values())


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1))
def test_csv_gives_every_name_back(names):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(
        [in_a_cell(name) for name in names]
    )
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert [out_of_a_cell(cell) for cell in row] == names
    parts = [
        part for cell in row for part in re.split("[,;\t\n\r]", cell)
    ]  # whatever separator the reader is set to
    assert not any(part.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) for part in parts)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("svc;=cmd|' /C calc'!A0", "svc;'=cmd|'' /C calc'!A0"),  # behind another separator
        ("ann | =1", "ann |' =1"),
        (" =1+1", "' =1+1"),  # blanks may be taken off
        ("\xa0\u3000 @sum(1)", "'\xa0\u3000 @sum(1)"),
        ("\n\n=1", "'\n'\n'=1"),
        ('"=1"', '\'"=1"'),  # and quotes
        ("\u201c-1", "'\u201c-1"),
        ("\u200b\ufeff=1", "'\u200b\ufeff=1"),  # and what nobody sees
        ("\x00+1", "'\x00+1"),
        ("＝1", "'＝1"),
        ("﹣1", "'﹣1"),
        ("−1", "'−1"),
        ("'tis; 'tis", "''tis; 'tis"),
        ("a=b, c-d", "a=b, c-d"),
    ],
)
def test_what_would_be_a_formula_is_none(text, cell):
    assert in_a_cell(text) == cell and out_of_a_cell(cell) == text


def test_a_cell_is_made_in_time_that_grows_with_the_text():
    began = time.perf_counter()
    for part in ("\n", '"', " ", "|'", "\x00", ' "', "\t ", ";"):
        in_a_cell(part * 100_000)
    assert time.perf_counter() - began < 5


def test_no_control_character_gets_into_csv(found):
    evil = msgspec.structs.replace(found[0].edges[0].edge, user="\x1b]0;x\x07\x9b31m\u202e\n=1")
    text = spreadsheet.text([dataclasses.replace(found[0], edges=[AlertEdge(evil)])])
    assert text.count("\n") == 2 and text.replace("\n", "").isprintable()
    assert "\\x1b]0;x\\x07\\x9b31m\\u202e\\n=1" in text


# --- timesketch ---------------------------------------------------------------------------------------------


def test_timesketch_has_the_incident_and_each_event(found):
    rows = list(timesketch.rows(found[0]))
    assert [row["timestamp_desc"] for row in rows] == ["Start of the incident", *["Event Logged"] * 8]
    assert (
        rows[1]["datetime"] == "2026-03-02T09:00:00.000000+00:00" and rows[1]["timestamp"] == 1772442000000000
    )
    assert rows[0]["timestamp"] == rows[1]["timestamp"] and rows[0]["found"] == "2026-03-03T04:05:06.000000Z"
    assert (
        rows[1]["message"]
        == "alice@corp.example from ws1 to srv1.corp.example: logon, RemoteInteractive, success"
    )
    assert rows[3]["message"] == "bob@corp.example from an unknown machine to Payroll: sso, failure"
    assert (rows[3]["path"].rsplit("/", 1)[1], rows[3]["line"]) == ("log0", 3)
    assert len({row["id"] for row in rows}) == 9 and {row["incident"] for row in rows} == {FIRST}
    (other,) = timesketch.rows(found[1])
    assert other["message"].isprintable() and other["users"] == [FORMULA]


# --- opengraph ----------------------------------------------------------------------------------------------

BUILT_IN = {"Base", "User", "Computer", "Group", "Domain", "AZBase", "AZUser"}


def holds_rules(document: dict) -> list[dict]:
    """The rules of BloodHound's documentation of nodes, edges and metadata; the nodes."""
    assert set(document.get("metadata", {"source_kind": ""})) == {"source_kind"}
    nodes, edges = document["graph"]["nodes"], document["graph"]["edges"]
    assert len({node["id"] for node in nodes}) == len(nodes)
    for node in nodes:
        assert ":" not in node["id"] and node["id"] == node["id"].upper()
        assert 1 <= len(node["kinds"]) <= 3 and not set(node["kinds"]) & BUILT_IN
        assert all(re.fullmatch("Ueba_[A-Z][A-Za-z]+", kind) for kind in node["kinds"])
        assert not {"objectid", "lastseen", "reconcile"} & set(node["properties"])
    for edge in edges:
        assert re.fullmatch("[A-Za-z0-9_]+", edge["kind"]) and re.fullmatch(
            "Ueba_([A-Z][a-z]+)+", edge["kind"]
        )
        assert set(edge) == {"kind", "start", "end", "properties"} and "lastseen" not in edge["properties"]
        for end in (edge["start"], edge["end"]):
            wanted = {"id": {"match_by", "value"}, "property": {"match_by", "kind", "property_matchers"}}[
                end["match_by"]
            ]
            assert set(end) == wanted
            assert all(
                set(m) == {"key", "operator", "value"} and m["operator"] == "equals"
                for m in end.get("property_matchers", [])
            )
    for thing in (*nodes, *edges):
        for name, value in thing["properties"].items():
            assert re.fullmatch("[a-z]+", name)
            values = value if isinstance(value, list) else [value]
            assert (
                all(isinstance(item, str | int | float) for item in values)
                and len({type(item) for item in values}) <= 1
            )
            assert all(item.isprintable() for item in values if isinstance(item, str))
    return nodes


def test_opengraph_holds_to_its_rules_and_no_node_is_alone(found):
    document = json.loads(export.text("opengraph", found))
    nodes = holds_rules(document)
    name = {node["id"]: node["properties"]["displayname"] for node in nodes}
    edges = [
        (edge["kind"], name[edge["start"]["value"]], name[edge["end"]["value"]])
        for edge in document["graph"]["edges"]
    ]
    assert edges[:6] == [
        ("Ueba_Used", "alice@corp.example", "ws1"),
        ("Ueba_Reached", "ws1", "srv1.corp.example"),
        ("Ueba_Involves", FIRST, "alice@corp.example"),
        ("Ueba_Involves", FIRST, "ws1"),
        ("Ueba_Involves", FIRST, "srv1.corp.example"),
        ("Ueba_Reached", "bob@corp.example", "Payroll"),
    ]
    assert {end for _, *ends in edges for end in ends} == set(name.values())
    assert document["metadata"] == {"source_kind": "Ueba"}
    reached = document["graph"]["edges"][1]["properties"]
    assert (reached["count"], reached["pvalue"], reached["users"], reached["incidents"]) == (
        2,
        1e-4,
        ["alice@corp.example"],
        [FIRST],
    )


def test_opengraph_has_one_edge_of_a_kind_between_two_nodes(found):
    both = [
        changed(found[0], EDGES[0], edge("zoe@x.y", "ws1", "srv1.corp.example", "machine", FIRST, 50, 3)),
        found[0],
    ]
    document = opengraph.graph(both)
    holds_rules(document)
    keys = [
        (edge["kind"], edge["start"]["value"], edge["end"]["value"]) for edge in document["graph"]["edges"]
    ]
    assert len(set(keys)) == len(keys)
    reached = next(
        edge["properties"] for edge in document["graph"]["edges"] if edge["kind"] == "Ueba_Reached"
    )
    assert (reached["count"], reached["users"]) == (2 + 3 + 2, ["alice@corp.example", "zoe@x.y"])


def test_opengraph_links_are_a_document_of_their_own(found):
    more = [
        edge("ws5$@corp.example", "ws5", "ws5", "machine", FIRST, 0),
        edge("dan@CORP", "10.0.0.1", "fe80::1", "machine", FIRST, 0),
    ]
    document = opengraph.links([found[0], changed(found[0], *more), found[1]])
    holds_rules(document)
    assert "metadata" not in document and document["graph"]["nodes"] == []
    ids = {opengraph.node_id(entity): entity for entity in [("user", e.user) for e in (*EDGES, *more)]}
    ids |= {
        opengraph.node_id(("machine", name)): ("machine", name)
        for name in ("ws1", "ws5", "srv1.corp.example")
    }
    matched = [
        (
            *ids[edge["start"]["value"]],
            edge["end"]["kind"],
            *(edge["end"]["property_matchers"][0][key] for key in ("key", "value")),
        )
        for edge in document["graph"]["edges"]
    ]
    assert matched == [
        ("user", "alice@corp.example", "User", "name", "ALICE@CORP.EXAMPLE"),
        ("machine", "ws1", "Computer", "samaccountname", "WS1$"),
        ("machine", "srv1.corp.example", "Computer", "name", "SRV1.CORP.EXAMPLE"),
        ("user", "bob@corp.example", "User", "name", "BOB@CORP.EXAMPLE"),
        ("user", "ws5$@corp.example", "Computer", "name", "WS5.CORP.EXAMPLE"),
        ("machine", "ws5", "Computer", "samaccountname", "WS5$"),
    ]


# --- stix ---------------------------------------------------------------------------------------------------

WS1, SRV1 = Entity("machine", "ws1"), Entity("machine", "srv1")


def step(entity, start, via_user, certainty="confirmed"):
    return ReachedEntity(entity, certainty, 1, NINE, via_user, start, "log:1", None)


REACHED = (
    step(Entity("user", "alice"), WS1, "alice"),
    step(SRV1, WS1, "alice"),
    step(Entity("address", "10.0.0.7"), SRV1, "alice", "possible"),
    step(Entity("resource", EVIL), SRV1, "alice", "possible"),
)


def perimeter_of(*reached, origin=WS1):
    return Perimeter(NINE, FOUND, (origin,), (), (), reached, (), (), ())


def test_stix_is_taken_by_the_library_and_ids_follow_from_the_content():
    document = stix.perimeter(perimeter_of(*REACHED))
    bundle = stix2.parse(json.dumps(document), allow_custom=False)
    by_type: dict[str, list] = {}
    for item in bundle.objects:
        by_type.setdefault(item["type"], []).append(item)
    assert by_type["user-account"][0].id == stix2.UserAccount(user_id="alice", account_login="alice").id
    assert by_type["ipv4-addr"][0].id == stix2.IPv4Address(value="10.0.0.7").id
    assert [item.name for item in by_type["infrastructure"]] == ["ws1", "srv1", EVIL]
    name = {item.id: item.get("name", item.get("value", item.get("user_id"))) for item in bundle.objects}
    assert {item.name: [name[ref] for ref in item.object_refs] for item in by_type["grouping"]} == {
        "perimeter: origin": ["ws1"],
        "perimeter: confirmed": ["alice", "srv1"],
        "perimeter: possible": ["10.0.0.7", EVIL],
    }
    assert [
        (name[item.source_ref], name[item.target_ref], item.start_time) for item in by_type["relationship"]
    ] == [
        ("ws1", "alice", NINE),
        ("ws1", "srv1", NINE),
        ("srv1", "10.0.0.7", NINE),
        ("srv1", EVIL, NINE),
    ]
    assert by_type["relationship"][1].description == "ws1 to srv1 as alice"
    assert document == stix.perimeter(perimeter_of(*REACHED))
    assert document["id"] != stix.perimeter(perimeter_of(*REACHED[:3]))["id"]
    assert len({item["id"] for item in document["objects"]}) == len(document["objects"])


def test_a_step_in_stix_begins_at_what_is_of_that_kind():
    rows = [
        step(Entity("resource", "fs01"), WS1, "fs01", "possible"),
        step(SRV1, Entity("user", "fs01"), "fs01", "possible"),
    ]
    objects = stix.perimeter(perimeter_of(*rows, origin=Entity("machine", "fs01")))["objects"]
    (relationship,) = [
        item
        for item in objects
        if item["type"] == "relationship" and item["description"] == "fs01 to srv1 as fs01"
    ]
    assert relationship["source_ref"].startswith("user-account--")


# --- web hook -----------------------------------------------------------------------------------------------


class Receiver(http.server.ThreadingHTTPServer):
    """Answers as told, the last answer for ever; keeps what came."""

    def __init__(self, *answers: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.got = list(answers), []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), json.loads(body)))
        self.send_response(
            self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        )
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def slept(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(webhook.time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize("form", ["ocsf", "ecs"])
def test_a_web_hook_gets_each_record_with_its_key_and_the_token_is_never_shown(
    workspace, found, monkeypatch, form
):
    monkeypatch.setenv("UEBA_WEBHOOK_TOKEN", "s3cret")
    with Receiver(204) as receiver:
        result = run(workspace.root, "export", form, "--webhook", f"{receiver.url}/hidden?key=hidden")
    assert [body for _, body in receiver.got] == [
        json.loads(json.dumps(FORMS[form](alert))) for alert in found
    ]
    for headers, _ in receiver.got:
        assert headers["Authorization"] == "Bearer s3cret" and headers["Content-Type"] == "application/json"
    keys = [headers["Idempotency-Key"] for headers, _ in receiver.got]
    assert [key.rpartition("-")[0] for key in keys] == [FIRST, SECOND]
    assert result.stdout == "" and result.stderr == "2 incidents delivered\n"


def test_a_busy_web_hook_is_tried_again(found, slept):
    with Receiver(503, 429, 200) as receiver:
        assert webhook.deliver(receiver.url, "ecs", found) == 2
    assert slept == [1, 2] and len(receiver.got) == 4
    first, again, third, second = [headers["Idempotency-Key"] for headers, _ in receiver.got]
    assert first == again == third and first.startswith(FIRST) and second.startswith(SECOND)
    judged = dataclasses.replace(found[0], verdict=verdicts.verdict(FIRST, "true"))
    with Receiver(200) as receiver:
        webhook.deliver(receiver.url, "ecs", [judged])
    assert receiver.got[0][0]["Idempotency-Key"] != first  # it says something new
    assert "Authorization" not in receiver.got[0][0]


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("7", 7),
        ("3600", 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 60),
        ("soon", 1),
        ("", 1),
    ],
)
def test_a_receiver_says_when_to_come_again(retry_after, waits):
    assert min(webhook._asked(retry_after, otherwise=1.0), webhook.LONGEST_WAIT_S) == waits


@pytest.mark.parametrize("status", [400, 401, 302, 307])
def test_a_final_answer_is_final(workspace, slept, monkeypatch, status):
    monkeypatch.setenv("UEBA_WEBHOOK_TOKEN", "s3cret")
    with Receiver(200, status) as receiver:
        result = run(
            workspace.root, "export", "ocsf", "--webhook", f"{receiver.url}/hidden?key=hidden", code=1
        )
    assert len(receiver.got) == 2 and slept == []
    assert (
        f"{receiver.url}: answered {status}" in result.stderr
        and f"1 of 2 delivered, {SECOND} was not" in result.stderr
    )
    assert "s3cret" not in result.output and "hidden" not in result.output


def test_a_web_hook_that_stays_broken_is_given_up(workspace, slept):
    with Receiver(500) as receiver:
        result = run(workspace.root, "export", "ocsf", "--webhook", receiver.url, code=1)
    assert len(receiver.got) == 5 and slept == [1, 2, 4, 8]
    assert "answered 500 Internal Server Error, 5 times; 0 of 2 delivered" in result.stderr


def test_a_web_hook_that_is_not_there_is_told(workspace, slept):
    with Receiver(200) as receiver:
        url = receiver.url
    result = run(workspace.root, "export", "ocsf", "--webhook", url, code=1)
    assert f"{url}: cannot be reached: " in result.stderr and "refused" in result.stderr and len(slept) == 4


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("file:///etc/passwd", "", "https://"),
        ("hooks.example/x", "", "https://"),
        ("https://me:s3cret@hooks.example/", "", "UEBA_WEBHOOK_TOKEN"),
        ("https://hooks.example:x/", "", "not a URL"),
        ("https://hooks.example/", "s3cret\nX-Evil: 1", "UEBA_WEBHOOK_TOKEN"),
        ("https://hooks.example/", "s3cret\u20ac", "UEBA_WEBHOOK_TOKEN"),
    ],
)
def test_wrong_addresses_and_tokens_are_refused_and_not_shown(workspace, monkeypatch, url, token, message):
    monkeypatch.setenv("UEBA_WEBHOOK_TOKEN", token)
    result = run(workspace.root, "export", "ocsf", "--webhook", url, code=2)
    assert message in result.stderr and "s3cret" not in result.output


@pytest.mark.parametrize("url", ["http://hooks.example/x", "http://10.0.0.7:8080/", "http://127.0.0.1.evil/"])
def test_a_token_does_not_travel_in_clear_and_incidents_only_with_a_warning(
    workspace, monkeypatch, slept, url
):
    monkeypatch.setenv("UEBA_WEBHOOK_TOKEN", "s3cret")
    result = run(workspace.root, "export", "ocsf", "--webhook", url, code=2)
    assert "http:// would show UEBA_WEBHOOK_TOKEN" in result.stderr and "s3cret" not in result.output
    monkeypatch.delenv("UEBA_WEBHOOK_TOKEN")
    monkeypatch.setattr(webhook, "deliver", lambda *arguments: 2)
    assert "can read the incidents" in run(workspace.root, "export", "ocsf", "--webhook", url).stderr
    assert "can read" not in run(workspace.root, "export", "ocsf", "--webhook", "https://x.example/").stderr


def test_here_a_token_may_travel_in_clear():
    for url in ("http://localhost:1/", "http://127.0.0.9/", "http://[::1]:8080/", "https://hooks.example/"):
        assert webhook.checked(url, "s3cret") == url.rstrip("/")


def test_a_proxy_of_the_environment_sees_neither_token_nor_incident(found, monkeypatch, slept):
    with Receiver(200) as receiver, Receiver(200) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert webhook.deliver(receiver.url, "ecs", found, "s3cret") == 2
    assert len(receiver.got) == 2 and proxy.got == []


def test_a_proxy_for_https_sees_the_name_of_the_server_and_no_more(found, monkeypatch, slept):
    with Raw(b"HTTP/1.1 502 no\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(UebaError, match="cannot be reached"):
            webhook.deliver("https://hooks.example/hidden", "ecs", found, "s3cret")
    assert proxy.got and all(got.startswith(b"CONNECT hooks.example:443 ") for got in proxy.got)
    assert not any(word in got for got in proxy.got for word in (b"s3cret", b"hidden", b"alice"))


class Raw:
    """A server that reads a little and answers with these bytes, and then again and again with `drip`."""

    def __init__(self, answer: bytes, drip: bytes = b"", context=None):
        self.answer, self.drip, self.context = answer, drip, context
        self.got: list[bytes] = []
        self.sent = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listening.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.got.append(connection.recv(65536))
            connection.sendall(self.answer)
            while self.drip:
                connection.sendall(self.drip)
                self.sent += len(self.drip)
                threading.Event().wait(0 if len(self.drip) > 1 else 0.02)  # time.sleep does not, here


def failure(found, url) -> str:
    with pytest.raises(UebaError) as caught:
        webhook.deliver(url, "ecs", found, "s3cret")
    return str(caught.value)


def test_what_a_receiver_answers_is_shown_short_and_steers_nothing(found, slept, workspace):
    evil = b"\x1b]0;pwn\x07\x9b31m" + b"z" * 60_000
    with Raw(b"HTTP/1.1 400 " + evil + b"\r\n\r\n") as receiver:
        message = failure(found, receiver.url)
        result = run(workspace.root, "export", "ecs", "--webhook", receiver.url, code=1)
    assert "answered 400 \\x1b]0;pwn\\x07\\x9b31m" in message and len(message) < 500
    assert len(result.stderr) < 500 and result.stderr.replace("\n", "").isprintable()
    with Raw(evil + b"\r\n\r\n") as receiver:  # no HTTP at all
        message = failure(found, receiver.url)
    assert "cannot be reached" in message and len(message) < 500 and message.isprintable()


@pytest.mark.parametrize(
    ("answer", "drip"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),  # a header without end
        (b"", b"x"),  # a status without end
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2, b"H"),
    ],
)
def test_a_receiver_has_a_limit_of_time_for_its_whole_answer(found, slept, monkeypatch, answer, drip):
    """Though it sends something all the time."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)
    began = time.monotonic()
    with Raw(answer, drip) as receiver:
        assert "no answer within 0.3 s, 5 times" in failure(found, receiver.url)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_without_end_is_not_read(found, slept, status):
    head = f"HTTP/1.1 {status} x\r\nContent-Length: 5000000000\r\n\r\n".encode()
    with Raw(head, b"x" * 65536) as receiver:
        if status == 200:
            assert webhook.deliver(receiver.url, "ecs", found) == 2
        else:
            assert "answered 500" in failure(found, receiver.url)
        assert receiver.sent < 200_000_000


def test_a_certificate_is_checked(found, slept, tmp_path):
    """Of a server that made its own."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run(
            ["openssl", "req", *options, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Raw(b"HTTP/1.1 200 OK\r\n\r\n", context=context) as receiver:
        message = failure(found, receiver.url.replace("http://127.0.0.1", "https://localhost"))
    assert "CERTIFICATE_VERIFY_FAILED" in message and receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/\r\nX-Evil: 1",
        "https://hooks.example/\x1b[31m",
        "https://hooks.example/a b",
        "https://hooks\r\n.example/",
        "https://a..b/",
        f"https://{'a' * 70}.example/",
        "https://[::1/",
        "ftp://hooks.example/",
    ],
)
def test_an_address_has_nothing_that_a_request_could_break_at(workspace, url):
    result = run(workspace.root, "export", "ocsf", "--webhook", url, code=2)
    assert "--webhook" in result.stderr and "\x1b" not in result.output


@pytest.mark.parametrize(
    "header", ["9" * 5000, "٣", "Mon, 01 Jan 99999 00:00:00 GMT", "x" * 60_000, "-5", "nan"]
)
def test_a_receiver_cannot_make_us_wait_for_long(header):
    assert 0 <= min(webhook._asked(header, 1.0), webhook.LONGEST_WAIT_S) <= 60


# --- command line -------------------------------------------------------------------------------------------


def test_incidents_are_named_or_those_of_days(workspace, tmp_path):
    def ids(*arguments):
        return [
            record["event"]["id"] for record in lines(run(workspace.root, "export", "ecs", *arguments).stdout)
        ]

    assert (
        ids()
        == ids("--day", str(DAY))
        == ids("--from", "2026-03-01", "--to", "2026-03-09")
        == [FIRST, SECOND]
    )
    assert ids("20260302-b") == [SECOND] and ids("20260302-b", "20260302-a", "BBBB ") == [SECOND, FIRST]
    assert (
        f"2 incidents begin with '2026': {FIRST}, {SECOND}"
        in run(workspace.root, "export", "ecs", "2026", code=1).stderr
    )
    assert (
        "not both" in run(workspace.root, "export", "ecs", "--day", str(DAY), "--to", str(DAY), code=2).stderr
    )
    assert (
        "is after --to"
        in run(workspace.root, "export", "ecs", "--from", "2026-03-09", "--to", "2026-03-01", code=2).stderr
    )
    assert "no incident is called" in run(workspace.root, "export", "ecs", "x", code=1).stderr
    assert "was not scored" in run(workspace.root, "export", "ecs", "--day", "2026-03-01", code=1).stderr
    assert "not both" in run(workspace.root, "export", "ecs", FIRST, "--day", str(DAY), code=2).stderr
    assert (
        "takes ocsf or ecs"
        in run(workspace.root, "export", "csv", "--webhook", "https://x.y/", code=2).stderr
    )
    none = run(workspace.root, "export", "ecs", "--from", "2026-04-01")
    assert none.stdout == "" and "scored days: 2026-03-02 to 2026-03-02" in none.stderr
    assert "no day was scored yet" in run(tmp_path, "export", "ecs", code=1).stderr


def test_damaged_findings_are_named_and_doctor_sees_them(workspace, tmp_path):
    shutil.copytree(workspace.findings, tmp_path / "findings")
    assert "2026-03-02 to 2026-03-02" in run(tmp_path, "doctor").stdout
    edges, incidents = tmp_path / "findings" / f"day={DAY}.parquet", tmp_path / "findings" / f"day={DAY}.json"
    for path, content in ((edges, b"x"), (edges, None), (incidents, b"x")):
        path.write_bytes(content) if content else path.unlink()
        stderr = run(tmp_path, "export", "ecs", code=1).stderr
        assert path.name in stderr and "ueba score --day" in stderr
        assert "broken" in run(tmp_path, "doctor", code=1).stdout
    log = verdicts.write(tmp_path, verdicts.verdict(FIRST, "true"))
    log.write_text(log.read_text() + "{half")
    shutil.copytree(workspace.findings, tmp_path / "findings", dirs_exist_ok=True)
    assert (
        "not a verdict" in run(tmp_path, "export", "ecs").stderr
        and "not a verdict" in run(tmp_path, "report", "--output", "-").stderr
    )
    assert "broken" in run(tmp_path, "doctor", code=1).stdout


def test_a_file_is_written_whole(workspace, tmp_path):
    path = tmp_path / "new" / "findings.jsonl"
    result = run(workspace.root, "export", "ocsf", "--output", str(path))
    assert result.stdout == "" and result.stderr == f"2 incidents in {path}\n"
    assert path.read_text() == run(workspace.root, "export", "ocsf", "--output", "-").stdout
    link = tmp_path / "link"
    link.symlink_to(path)
    write_text(path, "other")
    write_text(link, "its own")
    assert link.read_text() == "its own" and not link.is_symlink()
    assert path.read_text() == "other" and os.listdir(path.parent) == [path.name]
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half\ud800")
    assert path.read_text() == "other" and os.listdir(path.parent) == [path.name]
    pipe = Path(tmp_path / "pipe")
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    got: list[str] = []
    reader.start()
    write_text(pipe, "through")
    reader.join()
    assert got == ["through"] and pipe.is_fifo()


@pytest.mark.parametrize("form", ["ocsf", "ecs", "timesketch"])
def test_hostile_names_are_data(found, form):
    text = export.text(form, found)
    assert "\x1b" not in text and len(lines(text)) == text.count("\n")
    assert EVIL in set(texts(lines(text)))


def texts(value):
    """All texts in a record."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


@pytest.mark.parametrize(
    ("user", "target"),
    [
        ("no history", "srv (old) never reached x before ("),
        ("ann", "srv (old)"),
        ("a\nb", "x was strange on the days before"),
        ("bob never reached y before (", "(back-off)"),
    ],
)
def test_names_that_look_like_sentences_are_names(user, target, tmp_path):
    """Reasons are data: no mark, pattern or headline is read from a sentence."""
    twice = NewPair("user_target", user, target, True, 7.2, 0.16, 0.0)
    odd = edge(user, "ws1", target, "machine", FIRST, 0, reasons=(twice,))
    alert = Alert(incident_of([odd]), [AlertEdge(odd)], [], FOUND)
    record = valid(ocsf.finding(alert))
    (anomaly,) = record["anomaly_analyses"][0]["anomalies"]
    assert anomaly["observed_pattern"] == "RARE"  # the pair was seen once before
    assert record["unmapped"]["backoff"] is False
    assert words.headline(odd.reasons) == f"{user} reached {target} again, which was strange the first time"
    first = msgspec.structs.replace(twice, was_quarantined=False)
    new = msgspec.structs.replace(odd, reasons=(first,))
    record = valid(ocsf.finding(Alert(incident_of([new]), [AlertEdge(new)], [], FOUND)))
    assert record["anomaly_analyses"][0]["anomalies"][0]["observed_pattern"] == "UNSEEN"
    assert words.headline(new.reasons) == f"{user} never reached {target} before"
    findings.save(findings.Findings(DAY, table([new]), (incident_of([new]),)), tmp_path)
    again = findings.load(tmp_path, DAY)
    assert again.edges_of(again.incidents[0]) == [new] and again.incidents == (incident_of([new]),)
