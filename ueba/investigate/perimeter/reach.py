"""Reach that respects time: when the attacker can have been at each account and place. Numbers in, numbers
out.

Every event that did not fail says that at its time an account reached a target, acting from a source. A
*chain* of events leads on from the origins; each event of it happens at or after the time at which the one
before it arrived:

    owned(account)    the attacker uses the account, from this time on
    on(place)         the attacker is on the machine, from this time on
    exposed(account)  from the account's first event on a machine that the attacker is on: it acts from there,
                      or leaves credentials there
    moves             an event whose account, or the actor that used the account, is owned by its time; or
                      whose source the attacker is on by its time; or a flagged event whose account or actor
                      was exposed by an event of the day before it, on any machine
    reaches           a moving event reaches its target from its time on; and its source, if it moves by its
                      account or actor

Origins, from the beginning on
    account      owned                  machine      on
    resource     every event that touches it is a contact
    address      every event that comes from it, or reaches it, is a contact; for a mail address also every
                 event that names it
    indicator    one of any kind; every event in which it appears is a contact
A *contact* is an event that the attacker is known to have had a part in: it moves by its account. A failed
attempt is listed among the contacts, and reaches nothing.

    confirmed    reached by a chain of flagged events only: contacts, and events whose edge is in an incident
                 that no verdict calls harmless. The account of such an event is owned from then on
    possible     reached by a chain of any events; and the accounts that are exposed
    not reached  all other entities of that time

An account leaves credentials on a machine by any event on it except a network logon and a mere ticket: by a
logon, or by an event that does not say where it came from. Two sorts of account are never exposed, as nobody
renews their passwords: an anonymous account, and a machine's own account on that machine. Resources and
addresses are reached, but nobody is on them: many users are behind one address. Exposed accounts lead on
from machines that are reached, and by flagged events, but not by other events elsewhere: on every server
some account is exposed that goes everywhere, and the perimeter would be the whole network. A place is its
kind and its name: a machine and a resource of one name are two.

The arrival is the earliest by any chain of at most `hops` events, as of Wu et al. (2014, "Path problems in
temporal graphs"), found as Bellman (1958) and Ford do: one hop a round, over all events at once. The hops
that are reported are the fewest of any chain, so of another chain where a longer one arrives earlier. Leaves
out credentials that were on a machine before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba.arrays import Bools, Ints

NEVER = np.iinfo(np.int64).max
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Events:
    """What happened, ordered by time. Every array is [events].

    time:    int64, microseconds since 1970, UTC
    user, actor: int64, numbers of accounts: the one that was used, and the one that used it, -1 if the same
    source, target: int64, numbers of places; a source is -1 if unknown
    leads:   bool, the source is a machine, so that the attacker can be on it
    at_source, at_target: bool, the account is exposed there once that place is reached
    flagged: bool, its edge is in an incident, or it is a contact
    contact: bool, the attacker had a part in it
    """

    time: Ints
    user: Ints
    actor: Ints
    source: Ints
    target: Ints
    leads: Bools
    at_source: Bools
    at_target: Bools
    flagged: Bools
    contact: Bools


@dataclass
class Arrivals:
    """When accounts or places are reached. int64 [entities + 1] each: the last element is for -1, and never
    reached.

    time: NEVER if not reached
    hops: the fewest events
    event: the row of the last event of the earliest chain, -1 for an origin"""

    time: Ints
    hops: Ints
    event: Ints

    @classmethod
    def of(cls, time: Ints) -> Arrivals:
        """Origins, from these times on. int64 [entities]"""
        time = np.append(time, NEVER)
        return cls(time, np.zeros_like(time), np.full_like(time, -1))

    def by(self, entity: Ints, time: Ints) -> Bools:
        """Whether each of these entities, -1 for none, is reached by its time. bool [events]"""
        reached: Bools = self.time[entity] <= time
        return reached

    def arrive(self, entity: Ints, time: Ints, moving: Bools, hops: int) -> bool:
        """Let moving events, ordered by time, reach their entities. True if one is reached earlier than
        before."""
        rows = np.flatnonzero(moving)
        rows = rows[(entity[rows] >= 0) & (time[rows] < self.time[entity[rows]])]
        first = np.full_like(self.time, NEVER)
        np.minimum.at(first, entity[rows], rows)
        reached = np.flatnonzero(first < NEVER)
        self.hops[reached] = np.where(self.time[reached] == NEVER, hops, self.hops[reached])
        self.time[reached], self.event[reached] = time[first[reached]], first[reached]
        return len(reached) > 0


@dataclass
class Spread:
    """How far chains have come.

    on:       of places
    exposed:  of accounts; its time is the row of the event, as what moves comes after it in the log too
    moved:    which events moved within the hops, bool [events]
    exposing: which events expose their account, bool [events]
    leading:  which events exposed it a round ago, so that they count as an event of a chain, bool [events]"""

    on: Arrivals
    exposed: Arrivals
    moved: Bools
    exposing: Bools
    leading: Bools

    @classmethod
    def of(cls, events: Events, accounts: int, on: Ints) -> Spread:
        """The beginning. accounts: how many there are; on: from when the attacker is at each place."""
        none, never = np.zeros_like(events.flagged), np.full(accounts, NEVER)
        state = cls(Arrivals.of(on), Arrivals.of(never), none, none, none)
        state.expose(events, 0)
        return state

    def expose(self, events: Events, hops: int) -> bool:
        """Expose the accounts of events on places that are reached by now. True if this can lead to more."""
        before, self.leading = self.leading, self.exposing
        self.exposing = events.at_source & self.on.by(events.source, events.time)
        self.exposing |= events.at_target & self.on.by(events.target, events.time)
        self.exposed.arrive(events.user, np.arange(len(events.time)), self.exposing, hops)
        return bool((before != self.leading).any() or (self.leading != self.exposing).any())

    def exposed_lately(self, events: Events, account: Ints, rows: Ints, lately: int) -> Bools:
        """Whether each account was exposed in the `lately` microseconds before its row. bool [rows]"""
        length, asked = len(events.time), np.zeros(len(self.exposed.time), bool)
        asked[account] = True
        leading = np.flatnonzero(self.leading & asked[events.user])
        keys = np.append(-length, np.sort(events.user[leading] * length + leading))
        last = keys[np.searchsorted(keys, account * length + rows) - 1]
        same = (account >= 0) & (last // length == account)
        exposed: Bools = same & (events.time[last % length] >= events.time[rows] - lately)
        return exposed


def reach(
    events: Events, owned_since: Ints, on_since: Ints, hops: int | None = None, lately: int = DAY
) -> tuple[Arrivals, Spread, Spread]:
    """The accounts that are owned; what is confirmed, by at most `hops` flagged events; what is possible, by
    at most `hops` events of any sort.

    owned_since, on_since: when origins begin, NEVER for other entities, int64 [accounts] and [places];
    lately: microseconds for which an exposure counts elsewhere"""
    owned = Arrivals.of(owned_since)
    confirmed, possible = (Spread.of(events, len(owned_since), on_since) for _ in range(2))
    for done in range(1, (len(events.time) if hops is None else hops) + 1):
        # All moves of a round are found before any of them counts, so that a round is one event.
        certain, certain_by_account = (
            moves & events.flagged for moves in _moves(events, owned, confirmed, lately)
        )
        moving, by_account = _moves(events, owned, possible, lately)
        changed = [owned.arrive(events.user, events.time, certain, done)]
        for state, moves, by in ((confirmed, certain, certain_by_account), (possible, moving, by_account)):
            changed.append(state.on.arrive(events.target, events.time, moves, done))
            changed.append(state.on.arrive(events.source, events.time, by, done))
            changed.append(state.expose(events, done))
            state.moved |= moves
        if not any(changed):
            break
    return owned, confirmed, possible


def _moves(events: Events, owned: Arrivals, state: Spread, lately: int) -> tuple[Bools, Bools]:
    """Which events move, and which of them by their account. bool [events] each"""
    by_account = events.contact | owned.by(events.user, events.time) | owned.by(events.actor, events.time)
    rows = np.flatnonzero(events.flagged)
    for account in (events.user, events.actor):
        by_account[rows] |= state.exposed_lately(events, account[rows], rows, lately)
    return by_account | (events.leads & state.on.by(events.source, events.time)), by_account


def exposed(events: Events, on: Arrivals) -> pd.DataFrame:
    """The accounts exposed on reached machines, by time: one row for each user and place, with the time and
    the row of the first event that exposes. Columns user, place, time, event; int64."""
    found = []
    for place, is_exposing in ((events.source, events.at_source), (events.target, events.at_target)):
        rows = np.flatnonzero(is_exposing & on.by(place, events.time))
        rows = rows[~pd.Series(events.user[rows] * len(on.time) + place[rows]).duplicated().to_numpy()]
        columns = {"user": events.user[rows], "place": place[rows], "time": events.time[rows], "event": rows}
        found.append(pd.DataFrame(columns))
    every = pd.concat(found).sort_values("event", kind="stable")
    return every.drop_duplicates(["user", "place"]).reset_index(drop=True)
