"""The perimeter: rules in worlds worked out by hand, and chains of random events beside an oracle that tries them all."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_world import event, read
from small_workspace import run

from ueba.detect import findings
from ueba.investigate import perimeter
from ueba.investigate.perimeter import NEVER, Events
from ueba.workspace import Workspace

M365 = Path(__file__).parents[2] / "shared/data/m365/unified_audit_log.csv.gz"
DAY = dt.date(2026, 3, 2)
BEGIN, END = dt.datetime(2026, 3, 2), dt.datetime(2026, 3, 2, 23, 59, 59)

# --- the oracle ------------------------------------------------------------------------------------------------


def chains(events, held, on, hops):
    """Arrival of everything, by trying every chain of events: {("held" or "on", entity): (time, events)} confirmed and possible."""
    starts = [("held", i, t) for i, t in enumerate(held) if t != NEVER] + [("on", i, t) for i, t in enumerate(on) if t != NEVER]
    best = {True: {}, False: {}}

    def arrive(certain, what, number, time, length):
        """Something is reached by `length` events; go on from there unless it was reached so early by as few."""
        known = best[certain].setdefault((what, number), [])
        if any(t <= time and n <= length for t, n in known):
            return
        known.append((time, length))
        if certain:
            arrive(False, what, number, time, length)
        if length == hops:
            return
        for e, (t, user, source, _, flagged, contact, actor) in enumerate(events):
            mine = (what, number) in (("held", user), ("held", actor), ("on", source))
            if not contact and mine and t >= time and (flagged or not certain):
                happens(e, certain, what == "held", length + 1)

    def happens(e, certain, by_account, length):
        t, user, source, target, *_ = events[e]
        arrive(certain, "on", target, t, length)
        if certain:  # a flagged event of the attacker's: so its account is in his hands
            arrive(certain, "held", user, t, length)
        if by_account and source >= 0:
            arrive(certain, "on", source, t, length)

    for what, number, time in starts:
        arrive(True, what, number, time, 0)
    for e, each in enumerate(events):
        if each[5] and hops > 0:
            happens(e, True, True, 1)
    return [{key: min(some) for key, some in best[certain].items()} for certain in (True, False)]


def table(events):
    time, user, source, target, flagged, contact, actor = (list(column) for column in zip(*events, strict=True))
    whole = [np.array(column, np.int64) for column in (time, user, source, target)]
    contact = np.array(contact, bool)
    return Events(*whole, np.ones(len(time), bool), np.array(flagged, bool) | contact, contact, np.array(actor, np.int64))


PLACES, USERS = 5, 3
one = st.tuples(
    st.integers(0, 6),
    st.integers(0, USERS - 1),
    st.integers(-1, PLACES - 1),
    st.integers(0, PLACES - 1),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([-1, -1, *range(USERS)]),
)
began = st.sampled_from([NEVER, NEVER, 0, 3])


@given(
    st.lists(one, min_size=1, max_size=9),
    st.lists(began, min_size=USERS, max_size=USERS),
    st.lists(began, min_size=PLACES, max_size=PLACES),
    st.integers(1, 9),
)
@settings(max_examples=300, deadline=None)
def test_it_is_what_trying_every_chain_gives(events, held, on, hops):
    events = sorted(events)
    expected = chains(events, held, on, hops)
    found = perimeter.reach(table(events), np.array(held), np.array(on), hops)
    for state, oracle in zip(found, expected, strict=True):
        told = {
            (what, i): (int(arrivals.time[i]), int(arrivals.hops[i]))
            for what, arrivals in (("held", state.held), ("on", state.on))
            for i in range(len(arrivals.time))
            if arrivals.time[i] < NEVER
        }
        assert told == oracle


@given(st.lists(one, min_size=1, max_size=9), st.lists(began, min_size=PLACES, max_size=PLACES))
@settings(max_examples=100, deadline=None)
def test_confirmed_is_part_of_possible_and_more_hops_reach_no_less(events, on):
    held, on = np.full(USERS, NEVER), np.array(on)
    before = None
    for hops in (1, 2, 3, None):
        confirmed, possible = perimeter.reach(table(sorted(events)), held, on, hops)
        assert (possible.on.time <= confirmed.on.time).all() and (possible.held.time <= confirmed.held.time).all()
        assert before is None or (possible.on.time <= before).all()
        before = possible.on.time


def exposures(events, leaves, on):
    """By hand: {(user, place): first time}"""
    found = {}
    for (t, user, source, target, *_), leaving in zip(events, leaves, strict=True):
        for place, shown in ((source, True), (target, leaving)):
            if shown and place >= 0 and on[place] <= t:
                found[user, place] = min(t, found.get((user, place), t))
    return found


@given(st.lists(st.tuples(one, st.booleans()), min_size=1, max_size=9), st.lists(began, min_size=PLACES, max_size=PLACES))
@settings(max_examples=100, deadline=None)
def test_who_is_exposed_is_who_was_there(rows, on):
    rows = sorted(rows)
    events, leaves = [each for each, _ in rows], [leaving for _, leaving in rows]
    whole = replace(table(events), leaves=np.array(leaves))
    found = perimeter.exposed(whole, perimeter.Arrivals.of(np.array(on)))
    told = {(int(row.user), int(row.place)): int(row.time) for row in found.itertuples()}
    assert told == exposures(events, leaves, on)


# --- by hand ---------------------------------------------------------------------------------------------------


def found(folder, *names, since=BEGIN, until=END, hops=None, indicators=()):
    return perimeter.draw_up(Workspace(folder), names, indicators, since, until, hops)


def told(result):
    return {(row["entity"], row["kind"], row["class"], row["at"][11:16], row["hops"]) for row in result.reached}


def names(rows):
    return {row["entity"] for row in rows}


def flag(folder, *edges):
    """Findings of the day, in which these edges are in an incident."""
    columns = ["user", "source", "target"]
    rows = pd.DataFrame(
        [[DAY, *edge, "20260302-aaaaaaaa", 9.0] for edge in edges],
        columns=["day", *columns, "incident", "strangeness"],
        dtype=object,
    )
    findings.save(findings.Finding(DAY, rows, []), Workspace(folder).findings)


def test_a_machine_leads_on_by_who_acts_from_it_and_only_after(tmp_path):
    log = [
        event("08:00:00", "bob", "ws1", "early"),
        event("09:30:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:40:00", "carol", "srv1", "srv2", logon_type="Network"),
        event("09:20:00", "carol", "srv1", "toosoon"),
        event("10:00:00", "bob", "ws9", "elsewhere"),
        event("11:00:00", "dave", "ws5", "unrelated"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "ws1", since=BEGIN.replace(hour=9))
    assert told(result) == {
        ("srv1", "machine", "possible", "09:30", 1),
        ("srv2", "machine", "possible", "09:40", 2),
        ("bob", "user", "possible", "09:30", 0),
        ("carol", "user", "possible", "09:40", 1),
    }
    assert names(result.not_reached) == {"dave", "ws5", "ws9", "elsewhere", "unrelated", "toosoon"}
    assert [(row["machine"], row["account"]) for row in result.exposed] == [("ws1", "bob"), ("srv1", "carol")]
    (first,) = [row for row in result.reached if row["entity"] == "srv1"]
    assert first["event"].endswith("log0:2") and first["via_user"] == "bob" and first["from"] == "ws1"
    assert names(found(tmp_path, "ws1", since=BEGIN.replace(hour=9), hops=1).reached) == {"srv1", "bob", "carol"}


def test_an_account_leads_wherever_it_goes_and_to_where_it_acts_from(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("10:00:00", "bob", None, "srv2", logon_type="Network"),
        event("10:30:00", "eve", "ws1", "srv3", logon_type="Network"),
        event("11:00:00", "bob", "ws2", "failed", outcome="failure"),
    ]
    read(tmp_path, log)
    assert told(found(tmp_path, "bob")) == {
        ("ws1", "machine", "possible", "09:00", 1),
        ("srv1", "machine", "possible", "09:00", 1),
        ("srv2", "machine", "possible", "10:00", 1),
        ("srv3", "machine", "possible", "10:30", 2),
        ("eve", "user", "possible", "10:30", 1),
    }


def test_what_leaves_credentials_exposes_and_a_network_logon_or_a_ticket_does_not(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:10:00", "ann", "ws2", "srv1", logon_type="RemoteInteractive"),
        event("09:20:00", "cat", "ws3", "srv1", logon_type="Network"),
        event("09:25:00", "dan", "ws3", "srv1", action="service_ticket"),
        event("09:30:00", "ann", "ws2", "srv9", logon_type="Network"),
        event("09:40:00", "eli", "ws3", "srv1"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "ws1")
    assert {(row["machine"], row["account"]) for row in result.exposed} == {("ws1", "bob"), ("srv1", "ann"), ("srv1", "eli")}
    assert "srv9" in names(result.not_reached)  # what ann does elsewhere is hers


def test_flagged_edges_confirm_and_make_the_account_the_attackers_unless_called_harmless(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:30:00", "adm", "srv1", "srv2", logon_type="Network"),
        event("10:00:00", "adm", "srv7", "srv8", logon_type="Network"),
        event("10:30:00", "ann", "srv1", "srv3", logon_type="Network"),
    ]
    read(tmp_path, log)
    flag(tmp_path, ("bob", "ws1", "srv1"), ("adm", "srv1", "srv2"))
    result = found(tmp_path, "ws1")
    classes = {(row["entity"], row["class"]) for row in result.reached}
    confirmed = {(name, "confirmed") for name in ("srv1", "srv2", "bob", "adm")}
    assert classes == confirmed | {(name, "possible") for name in ("srv8", "srv7", "srv3", "ann")}
    assert {row["incident"] for row in result.reached if row["class"] == "confirmed"} == {"20260302-aaaaaaaa"}
    verdicts.write(tmp_path, {"incident": "20260302-aaaaaaaa", "verdict": "benign"})
    assert {row["class"] for row in found(tmp_path, "ws1").reached} == {"possible"}


def test_an_address_has_contacts_whose_accounts_lead_on(tmp_path):
    mail = {"target_kind": "resource", "action": "mailbox_access"}
    log = [
        event("09:00:00", "joe@x.example", "203.0.113.9", "joe@x.example", source_ip="203.0.113.9", detail="\\Inbox", **mail),
        event("09:05:00", "joe@x.example", "203.0.113.9", "joe@x.example", source_ip="203.0.113.9", detail="rule 1", **mail),
        event("10:00:00", "joe@x.example", "198.51.100.1", "boss@x.example", source_ip="198.51.100.1", detail="\\Inbox", **mail),
        event("08:00:00", "joe@x.example", "198.51.100.1", "before@x.example", source_ip="198.51.100.1", **mail),
        event("10:00:00", "pat@x.example", "198.51.100.7", "pat@x.example", source_ip="198.51.100.7", **mail),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "203.0.113.9")
    assert {(row["entity"], row["kind"], row["class"]) for row in result.reached} == {
        ("joe@x.example", "user", "confirmed"),
        ("joe@x.example", "resource", "confirmed"),
        ("boss@x.example", "resource", "possible"),
        ("198.51.100.1", "address", "possible"),
    }
    assert [(row["user"], row["target"], row["events"]) for row in result.contacts] == [("joe@x.example", "joe@x.example", 2)]
    touched = {(row["target"], row["detail"], row["class"]) for row in result.touched}
    assert touched == {
        ("joe@x.example", "\\Inbox", "confirmed"),
        ("joe@x.example", "rule 1", "confirmed"),
        ("boss@x.example", "\\Inbox", "possible"),
    }


def test_a_mail_address_is_looked_for_in_what_events_tell(tmp_path):
    forward = {"target_kind": "resource", "action": "forward", "detail": "to Evil@Out.example"}
    read(tmp_path, [event("09:00:00", "joe@x.example", None, "joe@x.example", **forward), event("10:00:00", "ann", "ws1", "srv1")])
    result = found(tmp_path, indicators=["evil@out.example", "nobody@out.example"])
    assert {(row["entity"], row["kind"], row["class"]) for row in result.reached} == {
        ("joe@x.example", "user", "confirmed"),
        ("joe@x.example", "resource", "confirmed"),
    }


def test_an_attempt_is_told_and_reaches_nothing(tmp_path):
    spray = {"source_ip": "203.0.113.9", "logon_type": "Network"}
    log = [
        event("09:00:00", "ann", "203.0.113.9", "vpn", outcome="failure", **spray),
        event("09:00:01", "ann", "203.0.113.9", "vpn", outcome="failure", **spray),
        event("09:01:00", "bob", "203.0.113.9", "vpn", **spray),
        event("10:00:00", "ann", "ws1", "srv1", logon_type="Network"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "203.0.113.9")
    told = [(row["indicator"], row["user"], row["outcome"], row["events"]) for row in result.contacts]
    assert told == [("203.0.113.9", "ann", "failure", 2), ("203.0.113.9", "bob", "success", 1)]
    assert {"ann", "ws1", "srv1"} <= names(result.not_reached) and names(result.reached) == {"bob", "vpn"}
    only = found(tmp_path, indicators=["203.0.113.9", "203.0.113.10"], until=BEGIN.replace(hour=9, second=30))
    assert only.unknown == ["203.0.113.10"] and len(only.contacts) == 1 and not only.reached


def test_who_uses_anothers_account_leads_on(tmp_path):
    """Run as: alice is at a machine that nobody knew to be reached, and uses the administrator's password there."""
    runas = {"actor": "alice", "action": "explicit_credential"}
    log = [event("09:00:00", "adm", "ws9", "srv1", **runas), event("09:30:00", "adm", "ws8", "srv2", logon_type="Network")]
    read(tmp_path, log)
    reached = {(row["entity"], row["kind"], row["hops"]) for row in found(tmp_path, "alice").reached}
    assert {("srv1", "machine", 1), ("ws9", "machine", 1)} <= reached and "srv2" not in {name for name, _, _ in reached}


def test_an_indicator_is_the_whole_of_an_address_in_any_spelling(tmp_path):
    forward = {"target_kind": "resource", "action": "forward"}
    log = [
        event("09:00:00", "joe@x.example", None, "joe@x.example", detail="to notevil@out.example", **forward),
        event("09:10:00", "kim@x.example", None, "kim@x.example", detail="evil@out.example.org", **forward),
        event("09:20:00", "lee@x.example", None, "lee@x.example", detail="smtp:Evil@out.example.", **forward),
        event("09:30:00", "ann", "2001:db8::1", "vpn", source_ip="2001:db8::1"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, indicators=["evil@out.example", "2001:0DB8:0::1"])
    assert [(row["indicator"], row["user"]) for row in result.contacts] == [
        ("evil@out.example", "lee@x.example"),
        ("2001:db8::1", "ann"),
    ]


def test_what_is_touched_is_no_further_away_than_was_asked(tmp_path):
    share = {"target_kind": "resource", "action": "object_access"}
    log = [event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"), event("10:00:00", "ann", "srv1", "vault", **share)]
    read(tmp_path, log)
    assert not found(tmp_path, "ws1", hops=1).touched
    assert [row["target"] for row in found(tmp_path, "ws1", hops=2).touched] == ["vault"]


def test_whoever_touches_a_resource_is_a_contact(tmp_path):
    share = {"target_kind": "resource", "action": "share_access"}
    log = [
        event("09:00:00", "ann", "ws1", "\\\\srv\\tools", **share),
        event("10:00:00", "ann", "ws1", "srv2", logon_type="Network"),
    ]
    read(tmp_path, [*log, event("08:00:00", "bob", "ws2", "\\\\srv\\tools", **share)])
    result = found(tmp_path, "\\\\srv\\tools", since=BEGIN.replace(hour=8, minute=30))
    assert {(row["entity"], row["class"]) for row in result.reached} == {
        ("ann", "confirmed"),
        ("ws1", "confirmed"),
        ("srv2", "possible"),
    }


def test_all_that_an_indicator_does_is_the_attackers(tmp_path):
    log = [event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"), event("10:00:00", "ann", "srv1", "srv2")]
    read(tmp_path, log)
    classes = {(row["entity"], row["class"]) for row in found(tmp_path, indicators=["WS1"]).reached}
    assert classes == {("bob", "confirmed"), ("srv1", "confirmed"), ("srv2", "possible"), ("ann", "possible")}


def test_until_ends_it_and_names_are_found_in_other_spellings(tmp_path):
    read(tmp_path, [event("09:00:00", "CORP\\Bob", "WS1", "srv1"), event("10:00:00", "CORP\\Bob", "WS1", "srv2")])
    result = found(tmp_path, "corp\\BOB", until=BEGIN.replace(hour=9, minute=30))
    assert result.origins == [{"entity": "bob@corp", "kind": "user"}] and "srv2" not in names(result.reached)
    assert found(tmp_path, "bob").origins == result.origins


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path):
    log = [event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"), event("10:00:00", "<b>ann\x1b[1m", "srv1", "srv2")]
    read(tmp_path, log)
    return tmp_path


def ask(world, *arguments, **more):
    return run(world, "perimeter", *arguments, **more)


def test_every_form_tells_the_same(world):
    begin = ("--from", "ws1", "--since", "2026-03-02")
    table = ask(world, *begin).stdout
    assert "possible: 2 machines, 2 users" in table and "not reached: nothing" in table and "\x1b" not in table
    whole = json.loads(ask(world, *begin, "--format", "json").stdout)
    lines = [json.loads(line) for line in ask(world, *begin, "--format", "jsonl").stdout.splitlines()]
    assert [{**row, "schema_version": 1} for row in whole["reached"]] == lines and len(lines) == 4
    assert len(ask(world, *begin, "--format", "csv").stdout.splitlines()) == 5
    graph = nx.parse_graphml(ask(world, *begin, "--format", "graphml").stdout)
    assert graph.nodes["machine:ws1"]["mark"] == "origin" and graph.nodes["machine:srv2"]["mark"] == "possible"
    assert graph.has_edge("machine:ws1", "machine:srv1") and graph.has_edge("machine:srv1", "machine:srv2")
    bundle = json.loads(ask(world, *begin, "--format", "stix").stdout)
    assert bundle["type"] == "bundle" and {"srv1", "srv2"} <= {each.get("name") for each in bundle["objects"]}


def test_a_picture_and_a_list_of_indicators(world, tmp_path):
    (tmp_path / "list.txt").write_text("# known\nws1   # the first\n\n203.0.113.7\n")
    result = ask(world, "--indicators", str(tmp_path / "list.txt"), "--since", "2026-03-02", "--picture", str(tmp_path / "p.svg"))
    assert "203.0.113.7: nothing in that time" in result.stderr and "confirmed: 1 machine, 1 user" in result.stdout
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_a_list_has_guests_and_is_text(world, tmp_path):
    lines = ["\ufeff# seen", "joe_out.example#EXT#@corp.example # a guest", "\t# 203.0.113.8", "ws1\t#"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    with open(tmp_path / "list.txt", encoding="utf-8-sig") as file:
        assert perimeter.read_indicators(file, "list.txt") == ["joe_out.example#EXT#@corp.example", "ws1"]
    assert "confirmed: 1 machine, 1 user" in ask(world, "--indicators", str(tmp_path / "list.txt"), "--since", "2026-03-02").stdout
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    assert (
        "list.txt: is no UTF-8 text"
        in ask(world, "--indicators", str(tmp_path / "list.txt"), "--since", "2026-03-02", code=1).output
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "2026-03-02"], 2, "--indicators"),
        (["--from", "ws11", "--since", "2026-03-02"], 1, "Did you mean ws1"),
        (["--from", "203.0.113.7", "--since", "2026-03-02"], 1, "203.0.113.7"),
        (["--from", "ws1", "--since", "yesterday"], 2, "YYYY-MM-DDTHH:MM:SS"),
        (["--from", "ws1", "--since", "0001-01-01T00:00+14:00"], 2, "YYYY-MM-DDTHH:MM:SS"),
        (["--from", "ws1", "--since", "2026-03-02", "--until", "2026-03-01"], 2, "before"),
        (["--from", "ws1", "--since", "2026-03-02", "--picture", "x.pdf"], 2, ".svg"),
        (["--from", "ws1", "--since", "2026-03-05", "--until", "2026-03-06"], 1, "ws1"),
    ],
)
def test_wrong_use_is_told(world, arguments, code, said):
    assert said in ask(world, *arguments, code=code).output


# --- real logs -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not M365.exists(), reason=f"needs {M365}")
def test_one_address_leads_to_every_mailbox_file_and_rule_it_touched(tmp_path):
    """Counted beside it from the CSV, without any of the engine's reading."""
    import csv
    import gzip

    address, day = "34.99.77.38", "2021-04-16"
    with gzip.open(M365, "rt", encoding="utf-8-sig", newline="") as file:
        records = [json.loads(row["AuditData"]) for row in csv.DictReader(file)]
    mine = [
        each
        for each in records
        if address in str(each.get("ClientIP", each.get("ClientIPAddress", ""))) and day in each["CreationTime"]
    ]
    accounts = {each["UserId"].casefold() for each in mine}
    mailboxes = {each["MailboxOwnerUPN"].casefold() for each in mine if each.get("MailboxOwnerUPN")}
    files = {
        each["ObjectId"]
        for each in mine
        if each.get("Workload") in ("OneDrive", "SharePoint") and each["Operation"].startswith("File")
    }
    rules = [each for each in mine if each["Operation"] == "New-InboxRule"]
    assert accounts and mailboxes and files and rules
    run(tmp_path, "ingest", str(M365))
    result = found(tmp_path, address, since=dt.datetime(2021, 4, 16), until=dt.datetime(2021, 4, 16, 23, 59, 59))
    confirmed = {(row["kind"], row["entity"]) for row in result.reached if row["class"] == "confirmed"}
    assert {("user", name) for name in accounts} <= confirmed and {("resource", name) for name in mailboxes} <= confirmed
    touched = {row["detail"] for row in result.touched if row["class"] == "confirmed"}
    assert files <= touched
    assert "Move meetings to junk folder" in touched
