"""Incidents of all days -> cases: which incident goes on from which, and why.

An incident goes on from an earlier one of the last DAYS days in three ways:

    same user      an account of it was in the earlier one
    same machine   it was acted from a machine that the earlier one was acted from, by an account that is new
                   there, or was in the earlier one
    pivot          it was acted from a machine that the earlier one reached, in order of time

Each account and each machine leads to one earlier incident, the last. Who and what is shared leads to none:
accounts that act from many machines, as anonymous ones do, and machines where many accounts meet, as jump
hosts, controllers and mail servers are. What is shared is decided by the history before the day, when the day
is scored, and kept with the incident. Nor does an edge lead anywhere that hardly counts in its incident.

Machines are reached all day, and whoever owns one acts from it every day: a pivot must be no chance. The
chance that a machine is among the last n that incidents reached is n of all machines from which accounts act:
it may be CHANCE_NEW for an account that is new there, CHANCE_KNOWN for one that is at home. The idea of
following credentials from machine to machine is that of Hopper (Ho et al. 2021). Leaves out verdicts and
rules: the caller chooses the incidents.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import networkx as nx
import numpy as np

from ueba.arrays import Bools, Ints
from ueba.contracts.case import PREFIX, Case, Link, Pivot, SameMachine, SameUser, Step
from ueba.contracts.incident import Incident
from ueba.contracts.scored import ScoredEdge
from ueba.detect import incidents as scoring
from ueba.detect.past.history import History, Side

DAYS = 7  # at most, from an incident to the one that goes on from it: a week, with its weekend
CHANCE_NEW, CHANCE_KNOWN = 1 / 50, 1 / 200  # the one machine that was reached last is always near enough
LIGHT = 4.0  # nats below its incident's strangest edge: such an edge adds less than a fiftieth to the score
MACHINES_A_DAY = 5.0  # an account that acts from so many on a usual day is shared
ACTORS_A_DAY = 3.0  # so many accounts act from a shared machine: its owner and its own account are two
VISITORS_A_DAY = 20.0  # a machine that so many accounts reach on a usual day is shared

Steps = Mapping[str, Sequence[Step]]  # by the id of the incident


# --- what is shared -----------------------------------------------------------------------------------------


def shared_users(history: History, edges: Sequence[ScoredEdge]) -> tuple[str, ...]:
    """The users of edges that are shared, sorted, by the history before the day."""
    anonymous = {edge.user for edge in edges if edge.user_kind == scoring.ANONYMOUS}
    users = sorted({edge.user for edge in edges})
    many = _partners_a_day(history.sides["user_source"][0], history.users.find(users), MACHINES_A_DAY)
    return tuple(user for user, is_shared in zip(users, many, strict=True) if is_shared or user in anonymous)


def shared_machines(history: History, edges: Sequence[ScoredEdge]) -> tuple[str, ...]:
    """The machines of edges that are shared, sorted, by the history before the day."""
    machines = {edge.source for edge in edges} | {e.target for e in edges if e.target_kind == "machine"}
    names = sorted(name for name in machines if name is not None)
    ids = history.places.find(names)
    many = _partners_a_day(history.sides["user_source"][1], ids, ACTORS_A_DAY)
    many |= _partners_a_day(history.sides["user_target"][1], ids, VISITORS_A_DAY)
    return tuple(name for name, is_shared in zip(names, many, strict=True) if is_shared)


def _partners_a_day(side: Side, ids: Ints, limit: float) -> Bools:
    """Whether entities meet at least so many partners on a usual active day, bool [ids]; False for an entity
    without history."""
    known = ids >= 0
    days, partners = side.days[ids[known]], side.pair_days[ids[known]]
    found = np.zeros(len(ids), bool)
    found[known] = (days > 0) & (partners >= limit * days)
    return found


# --- links --------------------------------------------------------------------------------------------------


class _Arrival(NamedTuple):
    """A machine that an incident reached, when and by whom."""

    at: dt.datetime
    machine: str
    incident: str
    user: str


class _Visit(NamedTuple):
    """An incident that was acted from a machine, and its steps from there."""

    incident: Incident
    steps: Sequence[Step]


class _Trail:
    """Where the incidents so far were: the last of each user, the last that was acted from each machine, and
    all arrivals, in order of time."""

    def __init__(self) -> None:
        self.user: dict[str, Incident] = {}
        self.machine: dict[str, _Visit] = {}
        self.arrivals: list[_Arrival] = []

    def arrive(self, incidents: Sequence[Incident], steps: Steps) -> None:
        """Note the machines that a day's incidents reached."""
        first = dt.datetime.combine(incidents[0].day - dt.timedelta(days=DAYS), dt.time.min)
        new = (arrival for incident in incidents for arrival in _arrivals(incident, steps[incident.id]))
        self.arrivals = sorted([*(old for old in self.arrivals if old.at >= first), *new])

    def links(self, incident: Incident, steps: Sequence[Step]) -> list[Link]:
        """From which earlier incidents an incident goes on."""
        heavy = max(step.strangeness for step in steps) - LIGHT
        steps = [step for step in steps if step.strangeness >= heavy]
        users = sorted({step.user for step in steps} - {*incident.shared_users})
        found: list[Link] = []
        for user in users:
            earlier = self.user.get(user)
            if earlier and _is_recent(earlier, incident):
                found.append(SameUser(incident.id, earlier.id, user))
        self.user |= dict.fromkeys(users, incident)
        for machine in sorted({step.source for step in steps if step.source} - {*incident.shared_machines}):
            found += self._from_machine(incident, machine, [step for step in steps if step.source == machine])
        return found

    def _from_machine(self, incident: Incident, machine: str, acted: Sequence[Step]) -> Iterator[Link]:
        """From which incidents one goes on by a machine that it was acted from."""
        earlier, self.machine[machine] = self.machine.get(machine), _Visit(incident, acted)
        if earlier and _is_recent(earlier.incident, incident) and _is_newcomer(earlier.steps, acted):
            yield SameMachine(incident.id, earlier.incident.id, machine)
        acting = min(acted, key=lambda step: (step.first_seen, step.user, step.target))
        chance = CHANCE_NEW if acting.is_new_there else CHANCE_KNOWN
        near = max(int(chance * incident.acting_machines), 1)
        arrival = self._arrival(incident, machine, acting.first_seen, near)
        if arrival:
            yield Pivot(
                incident.id,
                arrival.incident,
                machine,
                reached_by=arrival.user,
                reached_at=arrival.at,
                user=acting.user,
                acted_at=acting.first_seen,
            )

    def _arrival(self, incident: Incident, machine: str, before: dt.datetime, near: int) -> _Arrival | None:
        """The last arrival at a machine before a time, if the machine is among the last `near` that other
        incidents reached, and the incident did not go there itself."""
        others: set[str] = set()
        for arrival in reversed(self.arrivals):
            if arrival.at > before:
                continue
            if arrival.machine == machine:
                return arrival if arrival.incident != incident.id else None
            if arrival.incident != incident.id:
                others.add(arrival.machine)
                if len(others) >= near:
                    return None
        return None


def _arrivals(incident: Incident, steps: Sequence[Step]) -> list[_Arrival]:
    reached = [step for step in steps if step.is_through and step.target_kind == "machine"]
    return [_Arrival(step.first_seen, step.target, incident.id, step.user) for step in reached]


def _is_newcomer(earlier: Sequence[Step], acted: Sequence[Step]) -> bool:
    """Whether a machine is acted from by an account that is new there, or was in the earlier incident."""
    newcomers = {step.user for step in (*earlier, *acted) if step.is_new_there}
    return not newcomers.isdisjoint(step.user for step in acted)


def _is_recent(earlier: Incident, incident: Incident) -> bool:
    return (incident.day - earlier.day).days <= DAYS


# --- cases --------------------------------------------------------------------------------------------------


def cases(incidents: Sequence[Incident], steps: Steps) -> tuple[Case, ...]:
    """The cases of incidents, by the time of their earliest; the order of the incidents is of no importance.

    steps: at least one of every incident"""
    ordered = sorted(incidents, key=lambda incident: _time(incident, steps))
    trail, links = _Trail(), list[Link]()
    for _, group in groupby(ordered, key=lambda incident: incident.day):
        of_day = list(group)
        trail.arrive(of_day, steps)
        for incident in of_day:
            links += trail.links(incident, steps[incident.id])
    place = {incident.id: number for number, incident in enumerate(ordered)}
    joined = nx.Graph()
    joined.add_nodes_from(place.values())
    joined.add_edges_from((place[link.incident], place[link.goes_on_from]) for link in links)
    components = sorted(sorted(places) for places in nx.connected_components(joined))
    return tuple(_case([ordered[number] for number in places], links) for places in components)


def _time(incident: Incident, steps: Steps) -> tuple[dt.date, dt.datetime, str]:
    return incident.day, min(step.first_seen for step in steps[incident.id]), incident.id


def _case(incidents: Sequence[Incident], links: Sequence[Link]) -> Case:
    """The case of incidents in order of time. links: of all cases"""
    ids = tuple(incident.id for incident in incidents)

    def names(what: str) -> tuple[str, ...]:
        return tuple(sorted({name for incident in incidents for name in getattr(incident, what)}))

    return Case(
        id=PREFIX + ids[0],
        first_day=incidents[0].day,
        last_day=incidents[-1].day,
        score=round(scoring.score(np.array([incident.score for incident in incidents])), 4),
        incidents=ids,
        users=names("users"),
        machines=names("machines"),
        resources=names("resources"),
        links=tuple(link for link in links if link.incident in {*ids}),
    )
