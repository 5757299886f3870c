"""Habits: who reaches what, from where, how often, at which hours, from which day to which. One row each, a
table in all.

What everybody does, what teams and departments use, administrators, services and machines. Leaves out how
all of it changes (`change`) and the events themselves (`draw`): those are Poisson draws, so that a rare
habit is first seen late, as in real logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.simulate.calendar import ALWAYS, PATCH_NIGHTS, SCANS, WORKDAYS
from ueba.simulate.cast import (
    BACKUP,
    BUILD,
    CONTROLLERS,
    DEPARTMENTS,
    INTRANET,
    IT,
    MAIL,
    MONITOR,
    NEW_SERVERS,
    PORTALS,
    PRINTERS,
    SCANNER,
    Bools,
    Cast,
    Floats,
    Ints,
    People,
    Places,
    Strings,
)
from ueba.simulate.organisation import EVER, Organisation

TRUE_TO_TEAM = 0.6  # share of the places of the own department, role and team that a person uses
ELSEWHERE = 1.0  # places of the own department beside these, on average
ACTIONS = {"share": "share_access", "saas": "sso", "role": "assume_role"}  # by kind of place, else a logon
PACKAGES = {"saas": "SAML", "role": "SAML"}
TEXTS = "user source target target_kind action logon_type auth_package outcome label".split()


def habit(
    user: npt.ArrayLike,
    source: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    rate: npt.ArrayLike,  # events on a fully active day
    calendar: npt.ArrayLike,  # row of the activity: a person's index, or one of the schedules
    hours: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike] = (0.0, 24.0, 0.0),  # opens, stays, spread
    desk: npt.ArrayLike = -1,  # the person whose own workstation is the source, -1 for none
    first: npt.ArrayLike = 0,
    last: npt.ArrayLike = EVER,
    regular: bool = False,  # exactly `rate` times a day, evenly spaced
    target_kind: npt.ArrayLike = "machine",
    action: npt.ArrayLike = "logon",
    logon_type: npt.ArrayLike = "Network",  # empty: the action has none
    auth_package: npt.ArrayLike = "Kerberos",
    outcome: str = "success",
    label: str = "",  # kind of benign sweep
) -> pa.Table:
    """Rows of the table of habits; scalars are repeated to the length of the longest argument."""
    opens, stays, spread = hours
    columns: dict[str, npt.ArrayLike] = {
        "user": user, "source": source, "target": target,
        "rate": np.asarray(rate, float), "calendar": calendar,
        "opens": np.asarray(opens, float), "stays": np.asarray(stays, float),
        "spread": np.asarray(spread, float),
        "desk": desk, "first": first, "last": last, "regular": regular,
        "target_kind": target_kind, "action": action, "logon_type": logon_type, "auth_package": auth_package,
        "outcome": outcome, "label": label,
    }  # fmt: skip
    arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(column)) for column in columns.values()])
    return pa.table(dict(zip(columns, arrays, strict=True)))


def lasting_habits(
    organisation: Organisation, cast: Cast, usual: Bools, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """All that does not change in the period, but for movers. usual: who uses which place, [users, places]"""
    yield from everyday_habits(organisation, cast, rng)
    yield from team_habits(cast, usual, rng)
    yield from admin_habits(organisation, cast, rng)
    yield from service_habits(organisation, cast, rng)
    yield from machine_habits(organisation, cast, rng)


def hours_of(people: People, who: Ints | int) -> tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]:
    return people.opens[who], people.stays[who], people.spread[who]


def from_desk(cast: Cast, who: Ints, target: npt.ArrayLike, **rest: Any) -> pa.Table:
    """A person's own account, own workstation, own hours."""
    people = cast.people
    place: dict[str, Any] = {"calendar": who, "desk": who, "hours": hours_of(people, who)}
    return habit(people.user[who], people.workstation[who], target, **(place | rest))


def visits(cast: Cast, who: Ints, where: Ints, **rest: Any) -> pa.Table:
    """People `who` [n] go to places `where` [n]; old servers, one in nine, still speak NTLM."""
    kind = cast.places.kind[where]
    logon_type = np.select(
        [kind == "ts", np.isin(kind, list(PACKAGES))], ["RemoteInteractive", ""], "Network"
    )
    old = cast.places.is_machine[where] & (where % 9 == 4)
    how: dict[str, Any] = {
        "target_kind": np.where(cast.places.is_machine[where], "machine", "resource"),
        "action": by_kind(kind, ACTIONS, "logon"),
        "logon_type": logon_type,
        "auth_package": np.where(old, "NTLM", by_kind(kind, PACKAGES, "Kerberos")),
    }
    return from_desk(cast, who, cast.places.name[where], **(how | rest))


def by_kind(kind: Strings, table: dict[str, str], otherwise: str) -> Strings:
    return np.select([kind == name for name in table], list(table.values()), otherwise)


def heavy_tailed(rng: np.random.Generator, n: int, median: float) -> Floats:
    return np.minimum(rng.lognormal(np.log(median), 1.2, n), 12.0)


# --- people -------------------------------------------------------------------------------------------------


def everyday_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """What all do; and some days a new server opens, which within a week or so everybody visits."""
    people, who = cast.people, np.arange(organisation.users)
    for logon_type in ("Interactive", "Unlock"):
        own = people.workstation
        yield from_desk(cast, who, own, rate=1.5, logon_type=logon_type, auth_package="Negotiate")
    nearest = people.department % len(CONTROLLERS)
    yield from_desk(cast, who, CONTROLLERS[nearest], rate=2.5, action="ticket", logon_type="")
    yield from_desk(cast, who, CONTROLLERS[nearest - 1], rate=0.05, action="ticket", logon_type="")
    yield from_desk(cast, who, MAIL[who % len(MAIL)], rate=2.0)
    yield from_desk(cast, who, INTRANET, rate=heavy_tailed(rng, len(who), 0.6))
    yield from_desk(cast, who, PRINTERS[nearest], rate=heavy_tailed(rng, len(who), 0.2), auth_package="NTLM")
    portal: dict[str, Any] = {
        "target_kind": "resource",
        "action": "sso",
        "logon_type": "",
        "auth_package": "SAML",
    }
    for name, rate in zip(PORTALS, (1.0, 0.3, 0.05), strict=True):
        yield from_desk(cast, who, name, rate=heavy_tailed(rng, len(who), rate), **portal)
    for number, server in enumerate(NEW_SERVERS):
        opening = int(organisation.days * (0.4 + 0.3 * number)) + rng.geometric(0.3, len(who)) - 1
        yield from_desk(cast, who, server, rate=heavy_tailed(rng, len(who), 0.6), first=opening)


def belonging(places: Places, department: Ints, role: Ints, team: Ints) -> Bools:
    """Which places are those of somebody's department, role or team, [people, places]. Projects are not."""
    of_department = (places.department == department[:, None]) & (places.team < 0) & (places.role < 0)
    of_role = (places.department == department[:, None]) & (places.role == role[:, None])
    found: Bools = of_department | of_role | (places.team == team[:, None])
    return found


def usual_places(cast: Cast, rng: np.random.Generator) -> Bools:
    """Who uses which place all along: most of what belongs to them, and something elsewhere. [users,
    places]"""
    people, places = cast.people, cast.places
    own = belonging(places, people.department, people.role, people.team)
    usual: Bools = own & (rng.random(own.shape) < TRUE_TO_TEAM)
    near = places.department == people.department[:, None]  # [users, places]
    usual |= near & (rng.random(own.shape) < ELSEWHERE / near.sum(1, keepdims=True))
    who = rng.choice(len(people.user), len(people.user) // 5)
    usual[who, rng.choice(np.flatnonzero(places.project < 0), len(who))] = True
    return usual


def team_habits(cast: Cast, usual: Bools, rng: np.random.Generator) -> Iterable[pa.Table]:
    """People go to their places, some by way of their team's terminal server; movers leave old places for
    new ones."""
    people, places = cast.people, cast.places
    who, where = np.nonzero(usual)
    last = people.moved[who] + rng.geometric(0.4, len(who))
    yield visits(cast, who, where, rate=heavy_tailed(rng, len(who), 0.5), last=last)
    new = (
        belonging(places, people.new_department, people.role, people.new_team)
        & (people.moved < EVER)[:, None]
    )
    mover, place = np.nonzero(new & (rng.random(new.shape) < TRUE_TO_TEAM))
    first = people.moved[mover] + rng.geometric(0.4, len(mover)) - 1
    yield visits(cast, mover, place, rate=heavy_tailed(rng, len(mover), 0.6), first=first)
    from_terminal = (
        (places.kind[where] != "ts") & places.is_machine[where] & (places.team[where] == people.team[who])
    )
    who, where, last = who[from_terminal], where[from_terminal], last[from_terminal]
    terminal = np.full(people.team.max() + 1, -1)
    terminal[places.team[places.kind == "ts"]] = np.flatnonzero(places.kind == "ts")
    source, rate = places.name[terminal[people.team[who]]], heavy_tailed(rng, len(who), 0.1)
    yield visits(cast, who, where, rate=rate, last=last, desk=-1).set_column(1, "source", pa.array(source))


# --- administrators, services, machines ---------------------------------------------------------------------


def admin_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Through a jump host to the estate; Wednesday nights all of it. Help desks roll out software in one
    evening."""
    people = cast.people
    for admin in cast.admins:
        mine = people.workstation[admin.owner]
        day: dict[str, Any] = {"calendar": admin.owner, "hours": hours_of(people, admin.owner)}
        night = float(rng.uniform(18.5, 20.5))
        yield habit(
            admin.user, mine, admin.jump, rate=2.0, logon_type="RemoteInteractive", desk=admin.owner, **day
        )
        yield habit(
            admin.user,
            mine,
            CONTROLLERS[IT % len(CONTROLLERS)],
            rate=1.5,
            action="ticket",
            logon_type="",
            **day,
        )
        if admin.duty == "desks":
            n = organisation.days * 6
            when, desks = rng.integers(0, organisation.days, n), rng.choice(admin.estate, n)
            yield habit(
                admin.user,
                mine,
                desks,
                rate=1.2,
                first=when,
                last=when,
                logon_type="RemoteInteractive",
                **day,
            )
            rollout = int(rng.integers(1, organisation.days))
            sweep: dict[str, Any] = {
                "first": rollout,
                "last": rollout,
                "calendar": ALWAYS,
                "hours": (night, 1.0, 0.1),
            }
        else:
            weight = rng.permutation(1.0 / (1.0 + np.arange(len(admin.estate))))
            rate = weight / weight.sum() * (14.0 if admin.duty == "global" else 9.0)
            chance = rng.random(len(rate))  # some go directly, some from server to server
            origin = np.select(
                [chance < 0.2, chance < 0.3], [mine, rng.permutation(admin.estate)], admin.jump
            )
            logon = np.where(rng.random(len(rate)) < 0.4, "RemoteInteractive", "Network")
            yield habit(admin.user, origin, admin.estate, rate=rate, logon_type=logon, **day)
            sweep = {"calendar": PATCH_NIGHTS, "hours": (night, 2.5, 0.2)}
        if admin.duty != "global":
            label = "benign_sweep" if admin.duty == "desks" else "patch_night"
            yield habit(admin.user, admin.jump, admin.estate, rate=1.0, regular=True, label=label, **sweep)


def service_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Fixed accounts, fixed pairs of machines, fixed hours; one account's password expires for three days."""
    people, places = cast.people, cast.places

    def account(name: str) -> str:
        return f"svc-{name}@{organisation.domain}"

    stores = places.name[np.isin(places.kind, ["db", "file"])]
    fronts = places.name[np.isin(places.kind, ["app", "web"])]
    nightly: dict[str, Any] = {"regular": True, "rate": 1, "logon_type": "Batch", "calendar": ALWAYS}
    yield habit(account("backup"), BACKUP, stores, hours=(1.0, 1.5, 0.1), **nightly)
    yield habit(account("monitor"), MONITOR, cast.servers, rate=4, regular=True, calendar=ALWAYS)
    yield habit(account("deploy"), BUILD, fronts, rate=0.5, calendar=WORKDAYS, hours=(9.0, 8.0, 0.3))
    for department, short in enumerate(DEPARTMENTS):
        own = places.department == department
        front, back = places.name[own & (places.kind == "app")], places.name[own & (places.kind == "db")]
        # An application has its own database and one other, whatever the size of the department.
        source, target = (
            np.tile(front, 2),
            np.concatenate([np.resize(back, len(front)), np.resize(back[::-1], len(front))]),
        )
        logons: dict[str, Any] = {
            "rate": 6,
            "regular": True,
            "logon_type": "Service",
            "auth_package": "Negotiate",
        }
        yield habit(account(f"{short}-app"), source, target, calendar=ALWAYS, **logons)
        # Somebody of the department tries the account out, at their own desk.
        who = rng.choice(
            np.flatnonzero((people.department == department) & people.steady), max(1, organisation.days // 6)
        )
        day = rng.integers(0, organisation.days, len(who))
        trial: dict[str, Any] = {
            "calendar": who,
            "hours": hours_of(people, who),
            "first": day,
            "last": day,
            "rate": 2.0,
        }
        yield habit(account(f"{short}-app"), people.workstation[who], rng.choice(back, len(who)), **trial)
    day_of_expiry = int(rng.integers(0, max(1, organisation.days - 3)))
    expired: dict[str, Any] = {
        "first": day_of_expiry,
        "last": day_of_expiry + 2,
        "outcome": "failure",
        "auth_package": "NTLM",
    }
    yield habit(account("report"), fronts[0], stores[0], rate=24, regular=True, calendar=ALWAYS, **expired)
    yield habit(account("report"), fronts[0], stores[:3], hours=(5.0, 1.0, 0.0), **nightly)
    round_robin = np.array(SCANS)[
        np.arange(len(cast.machines)) % len(SCANS)
    ]  # a quarter of the machines a night
    scan: dict[str, Any] = {"rate": 1, "regular": True, "auth_package": "NTLM", "label": "benign_scan"}
    yield habit(account("scan"), SCANNER, cast.machines, calendar=round_robin, hours=(22.0, 5.0, 0.5), **scan)


def machine_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    people, who = cast.people, np.arange(organisation.users)

    def accounts(hosts: Strings) -> Strings:
        return np.char.add(hosts, f"$@{organisation.domain}")

    ticket: dict[str, Any] = {"action": "service_ticket", "rate": 2.5, "logon_type": ""}
    controller, hours = CONTROLLERS[people.department % len(CONTROLLERS)], hours_of(people, who)
    yield habit(
        accounts(people.workstation), people.workstation, controller, calendar=who, hours=hours, **ticket
    )
    yield habit(accounts(cast.servers), cast.servers, CONTROLLERS[0], calendar=ALWAYS, **ticket)
    files = cast.places.name[cast.places.kind == "file"]
    some = who[rng.random(len(who)) < 0.3]
    nobody, target = f"anonymous logon@{organisation.domain}", rng.choice(files, len(some))
    legacy: dict[str, Any] = {"rate": 0.3, "auth_package": "NTLM", "hours": hours_of(people, some)}
    yield habit(nobody, people.workstation[some], target, calendar=some, **legacy)
