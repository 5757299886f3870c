"""Habits: who reaches what, from where, how often, at which hours, from which day to which. A table with a
row for each habit.

What everybody does, what teams and departments use, administrators, services and machines. Leaves out how
habits change (`change`) and the events themselves (`draw`): those are Poisson draws, so that a rare habit is
first seen late, as in real logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.arrays import Bools, Doubles, Ints
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
    Admin,
    Cast,
    People,
    Places,
    Strings,
)
from ueba.simulate.organisation import EVER, Organisation

TRUE_TO_TEAM = 0.6  # share of the places of the own department, role and team that a person uses
ELSEWHERE = 1.0  # places of the own department beside these, on average
ACTIONS = {"share": "share_access", "saas": "sso", "role": "assume_role"}  # by kind of place, else a logon
PACKAGES = {"saas": "SAML", "role": "SAML"}
NIGHTLY: dict[str, Any] = {"regular": True, "rate": 1, "logon_type": "Batch", "calendar": ALWAYS}
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
    """Everything that does not change, and movers. usual: who uses which place, [users, places]"""
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


def heavy_tailed(rng: np.random.Generator, n: int, median: float) -> Doubles:
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
    """Through a jump host to the estate; Wednesday nights to all of it. Help desks roll out software in one
    evening."""
    for admin in cast.admins:
        night = float(rng.uniform(18.5, 20.5))  # when a sweep of the estate begins
        yield from admin_desk(cast, admin)
        if admin.duty == "desks":
            yield from help_desk(organisation, cast, admin, night, rng)
        else:
            yield from server_estate(cast, admin, night, rng)


def office_hours(cast: Cast, admin: Admin) -> dict[str, Any]:
    """An administrator works when the owner of the account does."""
    return {"calendar": admin.owner, "hours": hours_of(cast.people, admin.owner)}


def admin_desk(cast: Cast, admin: Admin) -> Iterable[pa.Table]:
    """From the owner's workstation to the jump host, and a ticket from the controller."""
    own, day = cast.people.workstation[admin.owner], office_hours(cast, admin)
    remote: dict[str, Any] = {"logon_type": "RemoteInteractive", "desk": admin.owner}
    yield habit(admin.user, own, admin.jump, rate=2.0, **remote, **day)
    controller = CONTROLLERS[IT % len(CONTROLLERS)]
    yield habit(admin.user, own, controller, rate=1.5, action="ticket", logon_type="", **day)


def help_desk(
    organisation: Organisation, cast: Cast, admin: Admin, night: float, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """A few desks a day, and one roll-out to all of them."""
    own, day = cast.people.workstation[admin.owner], office_hours(cast, admin)
    n = organisation.days * 6
    when, desks = rng.integers(0, organisation.days, n), rng.choice(admin.estate, n)
    visit: dict[str, Any] = {"first": when, "last": when, "logon_type": "RemoteInteractive"}
    yield habit(admin.user, own, desks, rate=1.2, **visit, **day)
    rollout = int(rng.integers(1, organisation.days))
    evening: dict[str, Any] = {"first": rollout, "last": rollout, "calendar": ALWAYS}
    yield sweep(admin, label="benign_sweep", hours=(night, 1.0, 0.1), **evening)


def server_estate(cast: Cast, admin: Admin, night: float, rng: np.random.Generator) -> Iterable[pa.Table]:
    """A few servers of the estate often and the others seldom; patch nights, unless it is everything."""
    own = cast.people.workstation[admin.owner]
    weight = rng.permutation(1.0 / (1.0 + np.arange(len(admin.estate))))
    rate = weight / weight.sum() * (14.0 if admin.duty == "global" else 9.0)
    chance = rng.random(len(rate))  # a fifth is reached from the own machine, a tenth from another server
    source = np.select([chance < 0.2, chance < 0.3], [own, rng.permutation(admin.estate)], admin.jump)
    logon = np.where(rng.random(len(rate)) < 0.4, "RemoteInteractive", "Network")
    day = office_hours(cast, admin)
    yield habit(admin.user, source, admin.estate, rate=rate, logon_type=logon, **day)
    if admin.duty != "global":
        yield sweep(admin, label="patch_night", hours=(night, 2.5, 0.2), calendar=PATCH_NIGHTS)


def sweep(admin: Admin, **rest: Any) -> pa.Table:
    """The whole estate once, from the jump host."""
    return habit(admin.user, admin.jump, admin.estate, rate=1.0, regular=True, **rest)


def service_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Fixed accounts, fixed pairs of machines, fixed hours."""
    places = cast.places
    stores = places.name[np.isin(places.kind, ["db", "file"])]
    fronts = places.name[np.isin(places.kind, ["app", "web"])]
    yield habit(service(organisation, "backup"), BACKUP, stores, hours=(1.0, 1.5, 0.1), **NIGHTLY)
    monitor, deploy = service(organisation, "monitor"), service(organisation, "deploy")
    yield habit(monitor, MONITOR, cast.servers, rate=4, regular=True, calendar=ALWAYS)
    yield habit(deploy, BUILD, fronts, rate=0.5, calendar=WORKDAYS, hours=(9.0, 8.0, 0.3))
    for department, short in enumerate(DEPARTMENTS):
        yield from application(organisation, cast, department, service(organisation, f"{short}-app"), rng)
    yield from reports(organisation, fronts, stores, rng)
    yield scan(organisation, cast)


def service(organisation: Organisation, name: str) -> str:
    return f"svc-{name}@{organisation.domain}"


def application(
    organisation: Organisation, cast: Cast, department: int, account: str, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """The account of a department's applications. Each application has its own database and one other,
    whatever the size of the department; now and then a person tries the account out at their own desk."""
    people, places = cast.people, cast.places
    own = places.department == department
    front, back = places.name[own & (places.kind == "app")], places.name[own & (places.kind == "db")]
    databases = np.concatenate([np.resize(back, len(front)), np.resize(back[::-1], len(front))])
    logons: dict[str, Any] = {"rate": 6, "logon_type": "Service", "auth_package": "Negotiate"}
    yield habit(account, np.tile(front, 2), databases, regular=True, calendar=ALWAYS, **logons)
    steady = np.flatnonzero((people.department == department) & people.steady)
    who = rng.choice(steady, max(1, organisation.days // 6))
    day = rng.integers(0, organisation.days, len(who))
    trial: dict[str, Any] = {"calendar": who, "hours": hours_of(people, who), "first": day, "last": day}
    yield habit(account, people.workstation[who], rng.choice(back, len(who)), rate=2.0, **trial)


def reports(
    organisation: Organisation, fronts: Strings, stores: Strings, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """An account that collects data every night; its password expires for three days."""
    account = service(organisation, "report")
    expiry = int(rng.integers(0, max(1, organisation.days - 3)))  # day
    expired: dict[str, Any] = {"first": expiry, "last": expiry + 2, "outcome": "failure"}
    every_hour: dict[str, Any] = {"rate": 24, "regular": True, "calendar": ALWAYS, "auth_package": "NTLM"}
    yield habit(account, fronts[0], stores[0], **every_hour, **expired)
    yield habit(account, fronts[0], stores[:3], hours=(5.0, 1.0, 0.0), **NIGHTLY)


def scan(organisation: Organisation, cast: Cast) -> pa.Table:
    """The vulnerability scanner reaches a quarter of the machines every night."""
    quarter = np.array(SCANS)[np.arange(len(cast.machines)) % len(SCANS)]
    nightly: dict[str, Any] = {"calendar": quarter, "hours": (22.0, 5.0, 0.5), "rate": 1, "regular": True}
    how: dict[str, Any] = {"auth_package": "NTLM", "label": "benign_scan"}
    return habit(service(organisation, "scan"), SCANNER, cast.machines, **nightly, **how)


def machine_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Tickets of machine accounts, and logons without an account by old programs."""
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
    legacy = who[rng.random(len(who)) < 0.3]  # people with old programs
    anonymous, target = f"anonymous logon@{organisation.domain}", rng.choice(files, len(legacy))
    logons: dict[str, Any] = {"rate": 0.3, "auth_package": "NTLM", "hours": hours_of(people, legacy)}
    yield habit(anonymous, people.workstation[legacy], target, calendar=legacy, **logons)
