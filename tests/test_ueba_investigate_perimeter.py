"""The perimeter: rules in worlds worked out by hand, and chains of random events beside an oracle that tries
them all."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scored_world
import verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_world import event, read
from small_workspace import run

from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.contracts.perimeter import ReachedEntity
from ueba.errors import WorkspaceError
from ueba.investigate import indicators as lists
from ueba.investigate.names import EntityIndex
from ueba.investigate.perimeter import draw_up, forms, reach
from ueba.investigate.perimeter.reach import NEVER, Events
from ueba.workspace import Workspace

M365 = Path(__file__).parents[2] / "shared/data/m365/unified_audit_log.csv.gz"
DAY = dt.date(2026, 3, 2)
INCIDENT = "20260302-aaaaaaaa"
BEGIN, END = dt.datetime(2026, 3, 2), dt.datetime(2026, 3, 2, 23, 59, 59)

# --- the oracle ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class One:
    """An event, as `Events` has it in columns."""

    time: int
    user: int
    source: int
    target: int
    flagged: bool
    contact: bool
    actor: int
    leads: bool
    at_source: bool
    at_target: bool

    def exposes_on(self, place):
        return (self.at_source and self.source == place) or (self.at_target and self.target == place)


def chains(events, owned_since, on, hops):
    """What is reached, by trying every chain of events, and the rows that moved: {("owned", account), ("on",
    place) or ("exposed", account, by the row of the event that exposes it): (earliest, fewest events)},
    confirmed and possible."""
    starts = [("owned", i, t) for i, t in enumerate(owned_since) if t != NEVER] + [
        ("on", i, t) for i, t in enumerate(on) if t != NEVER
    ]
    best = {True: {}, False: {}}
    moved = {True: set(), False: set()}

    def arrive(certain, what, number, when, length):
        """Something is reached by `length` events; go on from there unless it was reached so early by as
        few. when: a time; the row of the event that exposes."""
        known = best[certain].setdefault((what, number), [])
        if any((t == when if what == "exposed" else t <= when) and n <= length for t, n in known):
            return  # a later exposure is another one: it counts for longer
        known.append((when, length))
        if certain:
            arrive(False, what, number, when, length)
        for row, e in enumerate(events):
            if what == "on" and e.exposes_on(number) and e.time >= when:
                arrive(certain, "exposed", e.user, row, length)
            cost = 2 if what == "exposed" else 1  # the event that exposed is one of the chain
            if length + cost <= hops and not e.contact and (e.flagged or not certain):
                by_account = what in ("owned", "exposed") and number in (e.user, e.actor)
                after = (
                    e.flagged and row > when and e.time - events[when].time <= LATELY
                    if what == "exposed"
                    else e.time >= when
                )
                if after and (by_account or (what == "on" and e.leads and e.source == number)):
                    happens(row, certain, by_account, length + cost)

    def happens(row, certain, by_account, length):
        e = events[row]
        moved[certain].add(row)
        if (
            certain
        ):  # a flagged event of the attacker's: so it is possible too, and its account is in his hands
            moved[False].add(row)
            arrive(certain, "owned", e.user, e.time, length)
        arrive(certain, "on", e.target, e.time, length)
        if by_account and e.source >= 0:
            arrive(certain, "on", e.source, e.time, length)

    for what, number, time in starts:
        arrive(True, what, number, time, 0)
    for row, e in enumerate(events):
        if e.contact and hops > 0:
            happens(row, True, True, 1)
    return [
        (
            {
                key: (min(t for t, _ in arrivals), min(n for _, n in arrivals))
                for key, arrivals in best[certain].items()
            },
            moved[certain],
        )
        for certain in (True, False)
    ]


def table(events):
    kinds = {field.name: np.int64 if field.type == "int" else bool for field in fields(One)}
    columns = {name: np.array([getattr(e, name) for e in events], kind) for name, kind in kinds.items()}
    return Events(**columns | {"flagged": columns["flagged"] | columns["contact"]})


PLACES, USERS, LATELY = 5, 3, 2
one = st.builds(
    One,
    time=st.integers(0, 6),
    user=st.integers(0, USERS - 1),
    source=st.integers(-1, PLACES - 1),
    target=st.integers(0, PLACES - 1),
    flagged=st.booleans(),
    contact=st.sampled_from([False, False, False, True]),
    actor=st.sampled_from([-1, -1, *range(USERS)]),
    leads=st.sampled_from([True, True, False]),
    at_source=st.booleans(),
    at_target=st.booleans(),
)
log = st.lists(one, min_size=1, max_size=9).map(lambda events: sorted(events, key=lambda e: e.time))
began = st.sampled_from([NEVER, NEVER, 0, 3])


def test_the_oracle_knows_who_is_exposed_and_what_comes_of_it():
    """On place 0 account 0 is exposed at 2 and flagged elsewhere at 3; not so if that is not flagged, or
    came before."""
    rest = {"contact": False, "actor": -1, "leads": True}
    there = One(2, 0, -1, 0, False, at_source=False, at_target=True, **rest)
    elsewhere = One(3, 0, 3, 4, True, at_source=True, at_target=False, **rest)
    on = [0, *[NEVER] * 4]
    confirmed, moved = chains([there, elsewhere], [NEVER], on, 9)[0]
    assert confirmed == {
        ("on", 0): (0, 0),
        ("exposed", 0): (0, 0),
        ("on", 4): (3, 2),
        ("on", 3): (3, 2),
        ("owned", 0): (3, 2),
    }
    assert moved == {1}
    assert set(chains([there, replace(elsewhere, flagged=False)], [NEVER], on, 9)[1][0]) == {
        ("on", 0),
        ("exposed", 0),
    }
    assert set(chains([replace(elsewhere, time=1), there], [NEVER], on, 9)[1][0]) == {
        ("on", 0),
        ("exposed", 0),
    }
    late = replace(elsewhere, time=5)
    assert set(chains([there, late], [NEVER], on, 9)[1][0]) == {("on", 0), ("exposed", 0)}
    assert ("on", 4) in chains([there, replace(there, time=3), late], [NEVER], on, 9)[1][0]


@given(
    log,
    st.lists(began, min_size=USERS, max_size=USERS),
    st.lists(began, min_size=PLACES, max_size=PLACES),
    st.integers(1, 9),
)
@settings(max_examples=400, deadline=None)
def test_it_is_what_trying_every_chain_gives(events, owned_since, on, hops):
    owned, *states = reach.reach(table(events), np.array(owned_since), np.array(on), hops, LATELY)
    for state, (expected, moved) in zip(states, chains(events, owned_since, on, hops), strict=True):
        actual = {
            (what, number): (int(arrivals.time[number]), int(arrivals.hops[number]))
            for what, arrivals in (("owned", owned), ("on", state.on), ("exposed", state.exposed))
            for number in np.flatnonzero(arrivals.time < NEVER).tolist()
        }
        assert actual == expected
        assert set(np.flatnonzero(state.moved).tolist()) == moved


@given(log, st.lists(began, min_size=PLACES, max_size=PLACES))
@settings(max_examples=100, deadline=None)
def test_confirmed_is_part_of_possible_and_more_hops_reach_no_less(events, on):
    owned_since, on = np.full(USERS, NEVER), np.array(on)
    before = None
    for hops in (1, 2, 3, None):
        _, confirmed, possible = reach.reach(table(events), owned_since, on, hops)
        assert (possible.on.time <= confirmed.on.time).all() and (
            possible.exposed.time <= confirmed.exposed.time
        ).all()
        assert (possible.on.hops <= confirmed.on.hops)[confirmed.on.time < NEVER].all()
        assert before is None or (possible.on.time <= before).all()
        before = possible.on.time


@given(log, st.lists(began, min_size=PLACES, max_size=PLACES))
@settings(max_examples=100, deadline=None)
def test_who_is_exposed_is_who_was_there(events, on):
    found = reach.exposed(table(events), reach.Arrivals.of(np.array(on)))
    actual = {(int(row.user), int(row.place)): (int(row.time), int(row.event)) for row in found.itertuples()}
    expected = {}
    for row, e in reversed([*enumerate(events)]):
        expected |= {
            (e.user, place): (e.time, row)
            for place in range(PLACES)
            if e.exposes_on(place) and on[place] <= e.time
        }
    assert actual == expected


# --- by hand ------------------------------------------------------------------------------------------------


def found(folder, *names, since=BEGIN, until=END, hops=None, indicators=()):
    return draw_up(Workspace(folder), names, indicators, since, until, hops)


def reached_rows(result):
    return {
        (row.entity.name, row.entity.kind, row.certainty, f"{row.at:%H:%M}", row.hops)
        for row in result.reached
    }


def lines(result):
    """The lines of the drawing, by the ends' kinds and names."""
    return {(":".join(line.start), ":".join(line.end)) for line in forms.to_drawing(result).lines}


def names(rows):
    return {(row.entity if isinstance(row, ReachedEntity) else row).name for row in rows}


def flag(folder, *edges):
    """Findings of the day, in which these edges, to machines, are in an incident."""
    rows = [
        scored_world.on_day(DAY, Edge(user, source, target, "machine"), INCIDENT)
        for user, source, target in edges
    ]
    scored_world.save(folder, rows)


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
    assert reached_rows(result) == {
        ("srv1", "machine", "possible", "09:30", 1),
        ("srv2", "machine", "possible", "09:40", 2),
        ("bob", "user", "possible", "09:30", 0),
        ("carol", "user", "possible", "09:40", 1),
    }
    assert names(result.not_reached) == {"dave", "ws5", "ws9", "elsewhere", "unrelated", "toosoon"}
    assert [(row.machine, row.account) for row in result.exposed] == [("ws1", "bob"), ("srv1", "carol")]
    (first,) = [row for row in result.reached if row.entity.name == "srv1"]
    assert first.event.endswith("log0:2") and first.via_user == "bob" and first.start.name == "ws1"
    assert names(found(tmp_path, "ws1", since=BEGIN.replace(hour=9), hops=1).reached) == {
        "srv1",
        "bob",
        "carol",
    }


def test_an_account_leads_wherever_it_goes_and_to_where_it_acts_from(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("10:00:00", "bob", None, "srv2", logon_type="Network"),
        event("10:30:00", "eve", "ws1", "srv3", logon_type="Network"),
        event("11:00:00", "bob", "ws2", "failed", outcome="failure"),
    ]
    read(tmp_path, log)
    assert reached_rows(found(tmp_path, "bob")) == {
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
    assert {(row.machine, row.account) for row in result.exposed} == {
        ("ws1", "bob"),
        ("srv1", "ann"),
        ("srv1", "eli"),
    }
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
    classes = {(row.entity.name, row.certainty) for row in result.reached}
    confirmed = {(name, "confirmed") for name in ("srv1", "srv2", "bob", "adm")}
    assert classes == confirmed | {(name, "possible") for name in ("srv8", "srv7", "srv3", "ann")}
    assert {row.incident for row in result.reached if row.certainty == "confirmed"} == {INCIDENT}
    verdicts.write(tmp_path, verdicts.verdict(INCIDENT, "benign"))
    assert {row.certainty for row in found(tmp_path, "ws1").reached} == {"possible"}


def test_a_flagged_event_of_an_exposed_account_moves_wherever_it_is(tmp_path):
    log = [
        event("08:50:00", "adm", "srv6", "dc1", logon_type="Network"),
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:10:00", "adm", "ws2", "srv1", logon_type="RemoteInteractive"),
        event("10:00:00", "adm", "srv7", "dc1", logon_type="Network"),
        event("11:00:00", "adm", "srv8", "dc2", logon_type="Network"),
    ]
    read(tmp_path, log)
    elsewhere = {"srv7", "dc1"}
    assert not elsewhere & names(found(tmp_path, "ws1").reached)  # unflagged
    flag(tmp_path, ("bob", "ws1", "srv1"), ("adm", "srv7", "dc1"), ("adm", "srv6", "dc1"))
    classes = {(row.entity.name, row.certainty, row.hops) for row in found(tmp_path, "ws1").reached}
    confirmed = {
        ("srv1", "confirmed", 1),
        ("bob", "confirmed", 1),
        ("srv7", "confirmed", 3),
        ("dc1", "confirmed", 3),
    }
    assert classes == confirmed | {
        ("adm", "confirmed", 3),
        ("srv8", "possible", 4),
        ("dc2", "possible", 4),
    }  # not srv6: before
    assert not elsewhere & names(found(tmp_path, "ws1", hops=2).reached)
    flag(
        tmp_path, ("adm", "srv7", "dc1")
    )  # where srv1 is only possible, so is what follows, and the account is not in his hands
    classes = {(row.entity.name, row.certainty) for row in found(tmp_path, "ws1").reached}
    assert classes == {(name, "possible") for name in ("srv1", "bob", "adm", "srv7", "dc1")}


def test_the_event_that_exposes_an_account_does_not_itself_lead_back_to_where_it_came_from(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:10:00", "adm", "ws2", "srv1", logon_type="RemoteInteractive"),
    ]
    read(tmp_path, log)
    flag(tmp_path, ("bob", "ws1", "srv1"), ("adm", "ws2", "srv1"))
    assert ("adm", "possible") in {(row.entity.name, row.certainty) for row in found(tmp_path, "ws1").reached}
    assert "ws2" in names(found(tmp_path, "ws1").not_reached)


def test_nobody_is_exposed_on_a_resource(tmp_path):
    okta = {"target_kind": "resource", "action": "logon"}
    log = [event("09:00:00", "bob", "ws1", "Okta", **okta), event("09:10:00", "ann", "ws2", "Okta", **okta)]
    read(tmp_path, log)
    result = found(tmp_path, "bob")
    assert names(result.reached) == {"ws1", "Okta"}
    assert names(result.not_reached) == {"ann", "ws2"} and {row.account for row in result.exposed} == {"bob"}


def test_nobody_is_on_an_address_though_it_is_reached(tmp_path):
    """The office's address, behind which everybody is."""
    log = [
        event("09:00:00", "bob", "198.51.100.1", "vpn", logon_type="Network"),
        event("09:10:00", "ann", "198.51.100.1", "srv1", logon_type="Network"),
        event("09:20:00", "bob", "ws1", "198.51.100.9"),
        event("09:30:00", "cat", "198.51.100.9", "srv2"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "bob")
    assert {(row.entity.name, row.entity.kind) for row in result.reached} == {
        ("198.51.100.1", "address"),
        ("vpn", "machine"),
        ("ws1", "machine"),
        ("198.51.100.9", "address"),
    }
    assert names(result.not_reached) == {"ann", "srv1", "cat", "srv2"}
    assert [(row.machine, row.account) for row in result.exposed] == [("ws1", "bob")]


def test_who_is_at_work_on_a_machine_without_a_logon_is_exposed_but_not_nobody(tmp_path):
    at_work = {"action": "object_access"}
    log = [
        event("09:00:00", "bob", "ws1", "ws6.corp.example", logon_type="Network"),
        event("09:10:00", "sam", None, "ws6.corp.example", **at_work),
        event("09:11:00", "tim", "ws6.corp.example", "ws6.corp.example", **at_work),
        event("09:12:00", "una", "ws3", "ws6.corp.example", **at_work),
        event("09:13:00", "val", None, "ws6.corp.example", action="ticket"),
        event("09:14:00", "wes", None, "ws6.corp.example", action="service_ticket"),
        event("09:15:00", "xia", None, "ws6.corp.example", logon_type="Network"),
        event("09:15:30", "yan", None, "ws6.corp.example", action="credential_validation"),
        event("09:16:00", "ANONYMOUS LOGON@nt authority", "ws6.corp.example", "dc1", logon_type="Network"),
        event("09:17:00", "ws6$@corp.example", "ws6.corp.example", "dc1", logon_type="Network"),
        event("09:18:00", "ws6$@corp.example", None, "ws6.corp.example", **at_work),
        event("09:19:00", "ws7$@corp.example", "ws6.corp.example", "dc2", logon_type="Network"),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "ws1")
    on_it = {row.account for row in result.exposed if row.machine != "ws1"}
    assert on_it == {"sam", "tim", "ws7$@corp.example"}
    assert {"ws6.corp.example", "dc1", "dc2"} <= names(result.reached)  # whoever acts from there leads on
    assert names(result.not_reached) == {"una", "ws3", "val", "wes", "xia", "yan"}


def test_a_machine_and_a_resource_of_one_name_are_two(tmp_path):
    app = {"target_kind": "resource", "action": "sso"}
    log = [
        event("09:00:00", "bob", "ws1", "fs01", **app),
        event("09:10:00", "ann", "fs01", "srv2", logon_type="Network"),
        event("09:20:00", "bob", "ws1", "fs02", logon_type="Network"),
        event("09:30:00", "cat", "fs02", "srv3", logon_type="Network"),
        event("09:40:00", "cat", "ws8", "fs02", **app),
    ]
    read(tmp_path, log)
    flag(tmp_path, ("bob", "ws1", "fs01"))  # the machine's edge, of which there is no event
    result = found(tmp_path, "ws1")
    kinds = {
        (row.entity.name, row.entity.kind, row.certainty)
        for row in result.reached
        if row.entity.kind != "user"
    }
    assert kinds == {(name, "machine", "possible") for name in ("fs02", "srv3")} | {
        ("fs01", "resource", "possible")
    }
    others = {(entity.name, entity.kind) for entity in result.not_reached}
    assert {("fs01", "machine"), ("srv2", "machine"), ("fs02", "resource")} <= others
    assert ("machine:fs02", "machine:srv3") in lines(result)
    both = found(tmp_path, "fs02", since=BEGIN.replace(hour=9, minute=30))
    assert both.origins == (Entity("machine", "fs02"), Entity("resource", "fs02"))
    reached = {("cat", "confirmed"), ("ws8", "confirmed"), ("srv3", "possible")}
    assert {(row.entity.name, row.certainty) for row in both.reached} == reached


def test_a_step_begins_at_what_is_of_its_kind(tmp_path):
    """An account is called as a machine is: from nowhere that is known, bob is the account."""
    read(
        tmp_path,
        [
            event("09:00:00", "bob", None, "srv1"),
            event("09:10:00", "bob", "ws1", "bob", logon_type="Network"),
        ],
    )
    result = found(tmp_path, "bob")
    (first,) = [row for row in result.reached if row.entity.name == "srv1"]
    assert (first.start.name, first.start.kind) == ("bob", "user")
    assert {("user:bob", "machine:srv1"), ("machine:ws1", "machine:bob")} <= lines(result)


def test_hops_are_the_fewest_and_the_time_is_the_earliest(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "s1", logon_type="Network"),
        event("09:10:00", "cat", "s1", "s2", logon_type="Network"),
        event("09:20:00", "dan", "s2", "s3", logon_type="Network"),
        event("11:00:00", "bob", "ws1", "s3", logon_type="Network"),
    ]
    read(tmp_path, log)
    (row,) = [row for row in found(tmp_path, "ws1").reached if row.entity.name == "s3"]
    assert (row.hops, f"{row.at:%H:%M}", row.start.name) == (1, "09:20", "s2")
    (row,) = [row for row in found(tmp_path, "ws1", hops=2).reached if row.entity.name == "s3"]
    assert (row.hops, f"{row.at:%H:%M}", row.start.name) == (1, "11:00", "ws1")


def test_an_address_has_contacts_whose_accounts_lead_on(tmp_path):
    mail = {"target_kind": "resource", "action": "mailbox_access"}
    log = [
        event(
            "09:00:00",
            "joe@x.example",
            "203.0.113.9",
            "joe@x.example",
            source_ip="203.0.113.9",
            detail="\\Inbox",
            **mail,
        ),
        event(
            "09:05:00",
            "joe@x.example",
            "203.0.113.9",
            "joe@x.example",
            source_ip="203.0.113.9",
            detail="rule 1",
            **mail,
        ),
        event(
            "10:00:00",
            "joe@x.example",
            "198.51.100.1",
            "boss@x.example",
            source_ip="198.51.100.1",
            detail="\\Inbox",
            **mail,
        ),
        event(
            "08:00:00", "joe@x.example", "198.51.100.1", "before@x.example", source_ip="198.51.100.1", **mail
        ),
        event("10:00:00", "pat@x.example", "198.51.100.7", "pat@x.example", source_ip="198.51.100.7", **mail),
    ]
    read(tmp_path, log)
    result = found(tmp_path, "203.0.113.9")
    assert {(row.entity.name, row.entity.kind, row.certainty) for row in result.reached} == {
        ("joe@x.example", "user", "confirmed"),
        ("joe@x.example", "resource", "confirmed"),
        ("boss@x.example", "resource", "possible"),
        ("198.51.100.1", "address", "possible"),
    }
    assert [(row.user, row.target, row.events) for row in result.contacts] == [
        ("joe@x.example", "joe@x.example", 2)
    ]
    touched = {(row.target, row.detail, row.certainty) for row in result.touched}
    assert touched == {
        ("joe@x.example", "\\Inbox", "confirmed"),
        ("joe@x.example", "rule 1", "confirmed"),
        ("boss@x.example", "\\Inbox", "possible"),
    }


def test_a_mail_address_is_looked_for_in_what_events_tell(tmp_path):
    forward = {"target_kind": "resource", "action": "forward", "detail": "to Evil@Out.example"}
    read(
        tmp_path,
        [
            event("09:00:00", "joe@x.example", None, "joe@x.example", **forward),
            event("10:00:00", "ann", "ws1", "srv1"),
        ],
    )
    result = found(tmp_path, indicators=["evil@out.example", "nobody@out.example"])
    assert {(row.entity.name, row.entity.kind, row.certainty) for row in result.reached} == {
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
    contacts = [(row.indicator, row.user, row.outcome, row.events) for row in result.contacts]
    assert contacts == [("203.0.113.9", "ann", "failure", 2), ("203.0.113.9", "bob", "success", 1)]
    assert {"ann", "ws1", "srv1"} <= names(result.not_reached) and names(result.reached) == {"bob", "vpn"}
    only = found(tmp_path, indicators=["203.0.113.9", "203.0.113.10"], until=BEGIN.replace(hour=9, second=30))
    assert only.unknown == ("203.0.113.10",) and len(only.contacts) == 1 and not only.reached


def test_who_uses_anothers_account_leads_on(tmp_path):
    """Run as: alice is at a machine that nobody knew to be reached, and uses the administrator's password
    there."""
    runas = {"actor": "alice", "action": "explicit_credential"}
    log = [
        event("09:00:00", "adm", "ws9", "srv1", **runas),
        event("09:30:00", "adm", "ws8", "srv2", logon_type="Network"),
    ]
    read(tmp_path, log)
    reached = {(row.entity.name, row.entity.kind, row.hops) for row in found(tmp_path, "alice").reached}
    assert {("srv1", "machine", 1), ("ws9", "machine", 1)} <= reached and "srv2" not in {
        name for name, _, _ in reached
    }


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
    assert [(row.indicator, row.user) for row in result.contacts] == [
        ("evil@out.example", "lee@x.example"),
        ("2001:db8::1", "ann"),
    ]


def test_what_is_touched_is_no_further_away_than_was_asked(tmp_path):
    share = {"target_kind": "resource", "action": "object_access"}
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("10:00:00", "ann", "srv1", "vault", **share),
    ]
    read(tmp_path, log)
    assert not found(tmp_path, "ws1", hops=1).touched
    assert [row.target for row in found(tmp_path, "ws1", hops=2).touched] == ["vault"]


def test_what_is_too_far_away_is_not_listed_because_another_touched_the_same(tmp_path):
    share = {"target_kind": "resource", "action": "object_access"}
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("09:10:00", "bob", "ws1", "vault", detail="near", **share),
        event("10:00:00", "ann", "srv1", "vault", detail="far", **share),
    ]
    read(tmp_path, log)
    assert [row.detail for row in found(tmp_path, "ws1", hops=1).touched] == ["near"]
    assert [row.detail for row in found(tmp_path, "ws1", hops=2).touched] == ["near", "far"]


def test_whoever_touches_a_resource_is_a_contact(tmp_path):
    share = {"target_kind": "resource", "action": "share_access"}
    log = [
        event("09:00:00", "ann", "ws1", "\\\\srv\\tools", **share),
        event("10:00:00", "ann", "ws1", "srv2", logon_type="Network"),
    ]
    read(tmp_path, [*log, event("08:00:00", "bob", "ws2", "\\\\srv\\tools", **share)])
    result = found(tmp_path, "\\\\srv\\tools", since=BEGIN.replace(hour=8, minute=30))
    assert {(row.entity.name, row.certainty) for row in result.reached} == {
        ("ann", "confirmed"),
        ("ws1", "confirmed"),
        ("srv2", "possible"),
    }


def test_all_that_an_indicator_does_is_the_attackers(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("10:00:00", "ann", "srv1", "srv2"),
    ]
    read(tmp_path, log)
    classes = {(row.entity.name, row.certainty) for row in found(tmp_path, indicators=["WS1"]).reached}
    assert classes == {("bob", "confirmed"), ("srv1", "confirmed"), ("srv2", "possible"), ("ann", "possible")}


def test_a_list_may_be_long_and_say_a_thing_twice(tmp_path):
    forward = {"target_kind": "resource", "action": "forward", "detail": "to m7@out.example, M8@out.example"}
    log = [
        event("09:00:00", "bob", "ws1", "srv1", source_ip="203.0.113.1"),
        event("09:10:00", "ann", "ws2", "ann", **forward),
    ]
    read(tmp_path, log)
    mails = [f"m{number}@out.example" for number in range(9)]
    result = found(tmp_path, indicators=["203.0.113.1", "WS1", "ws1", *mails, "ws3", "ws4"])
    assert result.unknown == (*mails[:7], "ws3", "ws4")
    origins = [
        ("203.0.113.1", "address"),
        ("ws1", "machine"),
        ("m7@out.example", "mail"),
        ("m8@out.example", "mail"),
    ]
    assert [(entity.name, entity.kind) for entity in result.origins] == origins
    assert [(row.indicator, row.user) for row in result.contacts] == [
        ("203.0.113.1", "bob"),
        ("m7@out.example", "ann"),
    ]


def test_mail_addresses_are_found_by_their_whole():
    texts = [
        "to B@x.example",
        "ab@x.example",
        "b@x.example.org",
        "#EXT#@c.example;b@x.example.",
        "",
        "@b@x.example@",
    ]
    found = lists.mails_in(texts, ["b@x.example", "a#ext#@c.example", "#ext#@c.example"])
    assert [{*mails} for mails in found] == [
        {"b@x.example"},
        set(),
        set(),
        {"#ext#@c.example", "b@x.example"},
        set(),
        {"b@x.example"},
    ]


def test_a_mistyped_account_is_told_with_what_may_have_been_meant_and_an_indicator_is_noted(tmp_path):
    read(tmp_path, [event("09:00:00", "mlopez@corp.example", "ws1", "srv1")])
    with pytest.raises(
        WorkspaceError, match="is called 'mlopz@corp.example'. Did you mean mlopez@corp.example"
    ):
        found(tmp_path, "mlopz@corp.example")
    assert found(tmp_path, indicators=["mlopz@corp.example"]).unknown == ("mlopz@corp.example",)


def test_until_ends_it_and_names_are_found_in_other_spellings(tmp_path):
    read(
        tmp_path,
        [event("09:00:00", "CORP\\Bob", "WS1", "srv1"), event("10:00:00", "CORP\\Bob", "WS1", "srv2")],
    )
    result = found(tmp_path, "corp\\BOB", until=BEGIN.replace(hour=9, minute=30))
    assert result.origins == (Entity("user", "bob@corp"),) and "srv2" not in names(result.reached)
    assert found(tmp_path, "bob").origins == result.origins


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path):
    log = [
        event("09:00:00", "bob", "ws1", "srv1", logon_type="Network"),
        event("10:00:00", "<b>ann\x1b[1m", "srv1", "srv2"),
    ]
    read(tmp_path, log)
    return tmp_path


def ask(world, *arguments, **more):
    return run(world, "perimeter", *arguments, **more)


def test_every_form_tells_the_same(world):
    begin = ("--from", "ws1", "--since", "2026-03-02")
    table = ask(world, *begin).stdout
    assert (
        "possible: 2 machines, 2 users" in table and "not reached: nothing" in table and "\x1b" not in table
    )
    whole = json.loads(ask(world, *begin, "--format", "json").stdout)
    lines = [json.loads(line) for line in ask(world, *begin, "--format", "jsonl").stdout.splitlines()]
    assert [{**row, "schema_version": 1} for row in whole["reached"]] == lines and len(lines) == 4
    assert len(ask(world, *begin, "--format", "csv").stdout.splitlines()) == 5
    graph = nx.parse_graphml(ask(world, *begin, "--format", "graphml").stdout)
    assert (
        graph.nodes["machine:ws1"]["mark"] == "origin" and graph.nodes["machine:srv2"]["mark"] == "possible"
    )
    assert graph.has_edge("machine:ws1", "machine:srv1") and graph.has_edge("machine:srv1", "machine:srv2")
    bundle = json.loads(ask(world, *begin, "--format", "stix").stdout)
    assert bundle["type"] == "bundle" and {"srv1", "srv2"} <= {item.get("name") for item in bundle["objects"]}


def test_a_picture_and_a_list_of_indicators(world, tmp_path):
    (tmp_path / "list.txt").write_text("# known\nws1   # the first\n\n203.0.113.7\n")
    result = ask(
        world,
        "--indicators",
        str(tmp_path / "list.txt"),
        "--since",
        "2026-03-02",
        "--picture",
        str(tmp_path / "p.svg"),
    )
    assert (
        "203.0.113.7: no event of that time" in result.stderr
        and "confirmed: 1 machine, 1 user" in result.stdout
    )
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_a_list_has_guests_and_is_text(world, tmp_path):
    lines = ["\ufeff# seen", "joe_out.example#EXT#@corp.example # a guest", "\t# 203.0.113.8", "ws1\t#"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    with open(tmp_path / "list.txt", encoding="utf-8-sig") as file:
        assert lists.read_indicators(file, "list.txt") == ["joe_out.example#EXT#@corp.example", "ws1"]
    assert (
        "confirmed: 1 machine, 1 user"
        in ask(world, "--indicators", str(tmp_path / "list.txt"), "--since", "2026-03-02").stdout
    )
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    assert (
        "list.txt: is no UTF-8 text"
        in ask(world, "--indicators", str(tmp_path / "list.txt"), "--since", "2026-03-02", code=1).output
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--since", "2026-03-02"], 2, "--indicators"),
        (["--from", "ws11", "--since", "2026-03-02"], 1, "Did you mean ws1"),
        (["--from", "203.0.113.7", "--since", "2026-03-02"], 1, "203.0.113.7"),
        (
            ["--from", "bobb@corp.example", "--since", "2026-03-02"],
            1,
            "no user, machine or resource is called 'bobb@corp.example'. Did you mean bob?",
        ),
        (["--from", "ws1", "--since", "yesterday"], 2, "YYYY-MM-DDTHH:MM:SS"),
        (["--from", "ws1", "--since", "0001-01-01T00:00+14:00"], 2, "YYYY-MM-DDTHH:MM:SS"),
        (["--from", "ws1", "--since", "2026-03-02", "--until", "2026-03-01"], 2, "before"),
        (["--from", "ws1", "--since", "2026-03-02", "--picture", "x.pdf"], 2, ".svg"),
        (["--from", "ws1", "--since", "2026-03-05", "--until", "2026-03-06"], 1, "ws1"),
    ],
)
def test_wrong_use_is_told(world, arguments, code, message):
    assert message in ask(world, *arguments, code=code).output


# --- real logs ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not M365.exists(), reason=f"needs {M365}")
def test_one_address_leads_to_every_mailbox_file_and_rule_it_touched(tmp_path):
    """Counted beside it from the CSV, without any of the engine's reading."""
    import csv
    import gzip

    address, day = "34.99.77.38", "2021-04-16"
    with gzip.open(M365, "rt", encoding="utf-8-sig", newline="") as file:
        records = [json.loads(row["AuditData"]) for row in csv.DictReader(file)]
    of_address = [
        record
        for record in records
        if address in str(record.get("ClientIP", record.get("ClientIPAddress", "")))
        and day in record["CreationTime"]
    ]
    accounts = {record["UserId"].casefold() for record in of_address}
    mailboxes = {
        record["MailboxOwnerUPN"].casefold() for record in of_address if record.get("MailboxOwnerUPN")
    }
    files = {
        record["ObjectId"]
        for record in of_address
        if record.get("Workload") in ("OneDrive", "SharePoint") and record["Operation"].startswith("File")
    }
    rules = [record for record in of_address if record["Operation"] == "New-InboxRule"]
    assert accounts and mailboxes and files and rules
    run(tmp_path, "ingest", str(M365))
    result = found(
        tmp_path, address, since=dt.datetime(2021, 4, 16), until=dt.datetime(2021, 4, 16, 23, 59, 59)
    )
    confirmed = {(row.entity.kind, row.entity.name) for row in result.reached if row.certainty == "confirmed"}
    assert {("user", name) for name in accounts} <= confirmed and {
        ("resource", name) for name in mailboxes
    } <= confirmed
    touched = {row.detail for row in result.touched if row.certainty == "confirmed"}
    assert files <= touched
    assert "Move meetings to junk folder" in touched


# --- what a name is -----------------------------------------------------------------------------------------


def meant(there, name, is_attacker=False):
    """there: entities, as (kind, name)"""
    addresses = [name for kind, name in there if kind == "address"]
    found = lists.origins(EntityIndex(Entity(*pair) for pair in there), addresses, name, is_attacker)
    return [(row.kind, row.name) for row in found]


def test_a_short_name_is_the_account_and_not_a_service_that_is_called_so():
    service = ("resource", "pat")
    assert meant([service, ("user", "pat@x.example")], "pat") == [("user", "pat@x.example")]
    assert meant([service], "pat") == [service]
    assert meant([service, ("machine", "pat"), ("user", "pat@x.example")], "pat") == [
        ("machine", "pat"),
        service,
    ]
    two = [service, ("user", "pat@x.example"), ("user", "pat@y.example")]
    with pytest.raises(WorkspaceError, match="may be any of the users pat@x.example, pat@y.example"):
        meant(two, "pat")
    assert meant(two, "pat@y.example") == [("user", "pat@y.example")]


def test_a_network_is_its_addresses_that_there_are():
    there = [
        ("address", address) for address in ("203.0.113.9", "203.0.113.77", "198.51.100.1", "2001:db8::1")
    ]
    assert meant(there, "203.0.113.0/24") == [("address", "203.0.113.77"), ("address", "203.0.113.9")]
    assert meant(there, "2001:db8::/32") == [("address", "2001:db8::1")] and meant(there, "10.0.0.0/8") == []
    assert not lists.is_network("\\\\srv/share") and not lists.is_network("203.0.113.9")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113[.]9", "203.0.113.9"),
        ("evil[at]out[dot]example", "evil@out.example"),
        ("hxxps://evil[.]example:8080/login?x=1", "evil.example"),
        ("http://[2001:db8::1]/x", "2001:db8::1"),
        ("2001[:]db8::1", "2001:db8::1"),
        ("guest_x.example#EXT#@y.example  # a guest", "guest_x.example#EXT#@y.example"),
        ("https://x.sharepoint.com/sites/kilo", "https://x.sharepoint.com/sites/kilo"),
        ("http://203.0.113.9/x", "203.0.113.9"),
    ],
)
def test_indicators_are_read_as_people_write_them(written, read):
    assert lists.read_indicators([written], "x") == [read]


def test_who_was_quiet_is_told_with_the_day_it_was_seen_last(tmp_path):
    read(
        tmp_path,
        [event("2026-03-01T09:00:00", "ann", "ws1", "srv1"), event("09:00:00", "bob", "ws2", "srv1")],
    )
    with pytest.raises(
        WorkspaceError, match="nothing had to do with ws1 in this time; it was last seen on 2026-03-01"
    ):
        found(tmp_path, "ws1")
    with pytest.raises(WorkspaceError, match="no user, machine or resource is called 'ws7'. Did you mean"):
        found(tmp_path, "ws7")
