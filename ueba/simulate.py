"""A made-up organisation whose logs hold what rules cannot tell apart: benign change and hidden attacks.

An organisation is a *cast* (people, places, projects, administrators) and a table of *habits*: who reaches what, from
where, how often, at which hours, on which days. Events are Poisson draws from the habits, so that a rare habit is first
seen late, as in real logs; and new edges follow teams, roles and projects, which is what a graph model can learn.
Campaigns of nine kinds are hidden in the last days and labelled; so are the benign sweeps that look like them.
Left out: log-offs, DHCP and IP addresses, people who change department, holidays, time zones (working hours are UTC).

Mixing scripted attacks into the drawn life of an organisation is the idea of the CERT insider threat data (Glasser and
Lindauer 2013, "Bridging the Gap", https://doi.org/10.1109/SPW.2013.37); most kinds are the lateral movement of Hopper
(Ho et al. 2021, https://arxiv.org/abs/2105.13442).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ueba.errors import ConfigError

Strings = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY_S = 86_400
EVENT_COLUMNS = "time user source target target_kind action logon_type auth_package outcome".split()
LABEL_COLUMNS = "time user source target kind campaign malicious".split()


@dataclass(frozen=True)
class Organisation:
    """What to simulate; the same values give the same events."""

    users: int = 260  # people; administrator and service accounts come on top. Servers and projects grow with it
    days: int = 24  # length of the period
    start: date = date(2026, 1, 5)  # first day, a Monday
    seed: int = 0  # another seed, another organisation
    domain: str = "corp.example"  # what follows the @ of every account
    campaigns: int = 3  # hidden attacks of each kind
    attack_days: int = 8  # attacks happen in this many last days only
    joiners: float = 0.06  # share of people who arrive during the period
    errands: float = 0.03  # one-day trips a person makes a day to places not usual for anybody of the department
    stand_ins: float = 0.02  # times a day a person takes over a colleague's places, for days or for good
    late_work: float = 0.004  # nights a day on which a person works, benignly
    desk_swaps: float = 0.008  # share of person-days spent at a colleague's workstation
    mistypes: float = 0.015  # failures in front of a person's logons

    def __post_init__(self) -> None:
        if self.users < 60 or not 0 < self.attack_days < self.days:
            raise ConfigError("an organisation needs at least 60 users, and more days than attack_days (at least 1)")


# ---- The cast: who exists ------------------------------------------------------------------------------------------

DEPARTMENTS = "fin sal eng ops hr leg it".split()
SHARES_OF_STAFF = np.array([0.16, 0.22, 0.24, 0.15, 0.07, 0.06, 0.10])
IT = DEPARTMENTS.index("it")
INITIALS = "abcdefghijklmnoprstvwyz"
SURNAMES = """adler alvarez baker bauer bianchi brown chen costa diaz dubois evans fischer garcia gomez haddad hansen
hughes ivanov jansen jones kaur keller khan kim klein kowalski kumar lopez marino martin meyer moreau mori murphy nguyen
novak okafor olsen patel petrov quinn ramos reed rossi ruiz santos sato schmidt silva singh smith tanaka torres vargas
visser wagner walsh weber wong yilmaz young zhang""".split()
SERVER_KINDS = "db app file web ts".split()
PROJECTS = "aurora basalt cedar delta ember falcon granite harbor indigo juniper kestrel lumen meridian nova".split()

CONTROLLERS = np.array(["dc-001", "dc-002", "dc-003"])
MAIL = np.array(["srv-mail-001", "srv-mail-002"])
PRINTERS = np.array(["srv-print-001", "srv-print-002", "srv-print-003"])
JUMP_HOSTS = np.array(["srv-jump-001", "srv-jump-002"])
INTRANET, NEW_SERVER = "srv-web-intranet", "srv-web-wiki"
BACKUP, MONITOR, SCANNER, BUILD = "srv-backup-001", "srv-mon-001", "srv-scan-001", "srv-build-001"
COMMON = np.array([*CONTROLLERS, *MAIL, *PRINTERS, *JUMP_HOSTS, INTRANET, NEW_SERVER, BACKUP, MONITOR, SCANNER, BUILD])


@dataclass(frozen=True)
class People:
    """One row a person; every array is [users]. Sorted by department, so that neighbours are colleagues."""

    name: Strings  # account without domain
    user: Strings
    workstation: Strings
    department: Ints
    role: Ints  # 0 lead, 1 specialist, 2 clerk
    team: Ints  # numbered through the organisation
    opens: Floats  # hour the working day begins
    stays: Floats  # its length, hours
    spread: Floats  # standard deviation of each event's hour
    joined: Ints  # first day; 0 for those who were always there


@dataclass(frozen=True)
class Places:
    """Servers and shares people go to; every array is [places]. -1: not limited to one department, role or team."""

    name: Strings
    kind: Strings  # one of SERVER_KINDS, or "share"
    department: Ints
    role: Ints
    team: Ints


class Project(NamedTuple):
    """People of several departments who share servers and shares for a while."""

    places: Ints
    members: Ints
    first: int  # may lie before the period
    last: int


class Admin(NamedTuple):
    """A privileged account beside the owner's own."""

    user: str
    owner: int  # index of the person
    duty: str  # "global", "servers" or "desks"
    jump: str
    estate: Strings  # machines looked after


@dataclass(frozen=True)
class Cast:
    people: People
    places: Places
    projects: list[Project]
    admins: list[Admin]
    servers: Strings  # every machine that is not a workstation

    @property
    def machines(self) -> Strings:
        return np.concatenate([self.people.workstation, self.servers])


def gather(organisation: Organisation, rng: np.random.Generator) -> Cast:
    people = hire(organisation, rng)
    places = furnish(organisation, people)
    servers = np.concatenate([places.name[places.kind != "share"], COMMON])
    projects = plan_projects(organisation, people, places, rng)
    return Cast(people, places, projects, appoint_admins(organisation, people, places, servers, rng), servers)


def hire(organisation: Organisation, rng: np.random.Generator) -> People:
    n = organisation.users
    department = np.searchsorted(np.cumsum(SHARES_OF_STAFF), (np.arange(n) + 0.5) / n)
    place_in_department = np.arange(n) - np.searchsorted(department, department)
    teams = np.maximum(1, np.bincount(department, minlength=len(DEPARTMENTS)) // 13)  # [departments]
    team = place_in_department % teams[department] + (np.cumsum(teams) - teams)[department]
    names = rng.permutation([initial + surname for initial in INITIALS for surname in SURNAMES])
    name = np.array([names[i % len(names)] + (str(i // len(names) + 1) if i >= len(names) else "") for i in range(n)])
    late = rng.random(n) < organisation.joiners
    night_shift = rng.random(n) < 0.02
    return People(
        name=name,
        user=np.char.add(name, f"@{organisation.domain}"),
        workstation=np.array([f"{DEPARTMENTS[d]}-ws-{i + 1:03d}" for d, i in zip(department, place_in_department, strict=True)]),
        department=department,
        role=rng.choice(3, n, p=[0.15, 0.5, 0.35]),
        team=team,
        opens=np.where(night_shift, 21.5, rng.normal(8.3, 0.8, n)),
        stays=rng.normal(8.7, 0.7, n),
        spread=rng.gamma(2.0, 0.2, n),
        joined=np.where(late, rng.integers(2, organisation.days, n), 0),
    )


def furnish(organisation: Organisation, people: People) -> Places:
    """A department has two places for all, one a role, some a team; every third is a share. A project has its own two
    servers and two shares."""
    rows: list[tuple[str, str, int, int, int]] = []
    numbers = dict.fromkeys(SERVER_KINDS, 0)

    def server(kind: str) -> str:
        numbers[kind] += 1
        return f"srv-{kind}-{numbers[kind]:03d}"

    for department, short in enumerate(DEPARTMENTS):
        staff = people.department == department
        teams = np.unique(people.team[staff])
        for i in range(5 + len(teams) + int(staff.sum()) // 10):
            kind = "share" if i % 3 == 1 else SERVER_KINDS[i % len(SERVER_KINDS)]
            name = f"{short}-share-{i // 3 + 1:02d}" if kind == "share" else server(kind)
            team = int(teams[i % len(teams)]) if i >= 5 else -1
            rows.append((name, kind, department, i - 2 if 2 <= i < 5 else -1, team))
    for i in range(organisation.users // 20):
        title = PROJECTS[i % len(PROJECTS)] + (str(i // len(PROJECTS) + 1) if i >= len(PROJECTS) else "")
        shares = [(f"prj-{title}-{part}", "share") for part in ("docs", "data")]
        rows += [(name, kind, -1, -1, -1) for name, kind in [(server("app"), "app"), (server("db"), "db"), *shares]]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Places(*columns)


def plan_projects(organisation: Organisation, people: People, places: Places, rng: np.random.Generator) -> list[Project]:
    """A project takes about half of two or three teams, mostly of different departments."""
    own_places = np.flatnonzero(places.department < 0).reshape(-1, 4)  # [projects, places of one]
    projects = []
    for own in own_places:
        leads = rng.choice(organisation.users, rng.integers(2, 4), replace=False)
        candidates = np.flatnonzero(np.isin(people.team, people.team[leads]))
        first = int(rng.integers(-10, organisation.days - 2))
        members = candidates[rng.random(len(candidates)) < 0.55]
        projects.append(Project(own, members, first, first + int(rng.integers(7, 25))))
    return projects


def appoint_admins(
    organisation: Organisation, people: People, places: Places, servers: Strings, rng: np.random.Generator
) -> list[Admin]:
    """Global administrators, and estates: desks of two departments, their servers, or two kinds of server."""
    owners = rng.permutation(np.flatnonzero((people.department == IT) & (people.joined == 0)))
    count = min(len(owners), max(7, organisation.users // 20))
    machine = places.kind != "share"
    admins = []
    for i, owner in enumerate(owners[:count]):
        turn = i // 3
        departments = [turn % len(DEPARTMENTS), (turn + 3) % len(DEPARTMENTS)]
        kinds = [SERVER_KINDS[turn % len(SERVER_KINDS)], SERVER_KINDS[(turn + 2) % len(SERVER_KINDS)]]
        if i < max(2, count // 10):
            duty, estate = "global", servers
        elif i % 3 == 0:
            duty, estate = "desks", people.workstation[np.isin(people.department, departments)]
        elif i % 3 == 1:
            duty, estate = "servers", places.name[machine & np.isin(places.department, departments)]
        else:
            duty, estate = "servers", places.name[np.isin(places.kind, kinds)]
        user = f"adm-{people.name[owner]}@{organisation.domain}"
        admins.append(Admin(user, int(owner), duty, str(JUMP_HOSTS[i % len(JUMP_HOSTS)]), estate))
    return admins


# ---- Habits: who reaches what, when --------------------------------------------------------------------------------

# Rows of the calendar that follow the people's, counted from its end.
ALWAYS, WORKDAYS, PATCH_NIGHTS, SCANS = -1, -2, -3, (-4, -5, -6, -7)
EVER = 10**6  # a last day that never comes


def make_calendar(organisation: Organisation, people: People, rng: np.random.Generator) -> Floats:
    """How active each person, and each kind of schedule, is on each day: a factor on the rate, [users + 7, days]."""
    day = np.arange(organisation.days)
    weekday = (day + organisation.start.weekday()) % 7
    workday = weekday < 5
    present = rng.random((organisation.users, organisation.days)) < np.where(workday, 0.93, 0.05)
    pace = rng.lognormal(0.0, 0.25, (organisation.users, 1)) * np.where(workday, 1.0, 0.4)
    persons = present * pace * (day >= people.joined[:, None])
    schedules = [day % 4 == 3, day % 4 == 2, day % 4 == 1, day % 4 == 0, weekday == 2, workday, day >= 0]
    return np.vstack([persons, np.array(schedules, float)])


def habit(
    user: npt.ArrayLike,
    source: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    rate: npt.ArrayLike,  # events on a fully active day
    calendar: npt.ArrayLike,  # row of the calendar: a person's index, or one of the schedules
    hours: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike] = (0.0, 24.0, 0.0),  # opens, stays, spread
    desk: npt.ArrayLike = -1,  # the person whose own workstation is the source, -1 for none
    first: npt.ArrayLike = 0,
    last: npt.ArrayLike = EVER,
    regular: bool = False,  # exactly `rate` times a day, evenly spaced
    target_kind: npt.ArrayLike = "machine",
    action: npt.ArrayLike = "logon",
    logon_type: npt.ArrayLike = "Network",
    auth_package: npt.ArrayLike = "Kerberos",
    outcome: str = "success",
    label: str = "",  # kind of benign sweep
) -> pa.Table:
    """Rows of the table of habits; scalars are repeated to the length of the longest argument."""
    opens, stays, spread = hours
    columns: dict[str, npt.ArrayLike] = {
        "user": user, "source": source, "target": target, "rate": np.asarray(rate, float), "calendar": calendar,
        "opens": np.asarray(opens, float), "stays": np.asarray(stays, float), "spread": np.asarray(spread, float),
        "desk": desk, "first": first, "last": last, "regular": regular, "target_kind": target_kind, "action": action,
        "logon_type": logon_type, "auth_package": auth_package, "outcome": outcome, "label": label,
    }  # fmt: skip
    arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(column)) for column in columns.values()])
    return pa.table(dict(zip(columns, arrays, strict=True)))


def form_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> pa.Table:
    who, where = usual_places(cast, rng)
    tables = [
        *everyday_habits(organisation, cast, rng),
        visits(cast, who, where, rate=heavy_tailed(rng, len(who), 0.35)),
        *project_habits(cast, rng),
        *benign_surprises(organisation, cast, who, where, rng),
        *admin_habits(organisation, cast, rng),
        *service_habits(organisation, cast, rng),
        *machine_habits(organisation, cast, rng),
    ]
    return pa.concat_tables(tables)


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
    return from_desk(
        cast,
        who,
        cast.places.name[where],
        target_kind=np.where(kind == "share", "resource", "machine"),
        action=np.where(kind == "share", "share_access", "logon"),
        logon_type=np.where(kind == "ts", "RemoteInteractive", "Network"),
        auth_package=np.where(where % 9 == 4, "NTLM", "Kerberos"),
        **rest,
    )


def heavy_tailed(rng: np.random.Generator, n: int, median: float) -> Floats:
    return np.minimum(rng.lognormal(np.log(median), 1.2, n), 12.0)


def everyday_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """What all do; and one day a new server opens, which within a week or so everybody visits."""
    people, who = cast.people, np.arange(organisation.users)
    for logon_type in ("Interactive", "Unlock"):
        own = people.workstation
        yield from_desk(cast, who, own, rate=1.5, logon_type=logon_type, auth_package="Negotiate")
    nearest = people.department % len(CONTROLLERS)
    yield from_desk(cast, who, CONTROLLERS[nearest], rate=2.5, action="ticket")
    yield from_desk(cast, who, CONTROLLERS[nearest - 1], rate=0.05, action="ticket")
    yield from_desk(cast, who, MAIL[who % len(MAIL)], rate=2.0)
    yield from_desk(cast, who, INTRANET, rate=heavy_tailed(rng, len(who), 0.6))
    yield from_desk(cast, who, PRINTERS[nearest], rate=heavy_tailed(rng, len(who), 0.2), auth_package="NTLM")
    opening = int(organisation.days * 0.7) + rng.geometric(0.3, len(who)) - 1
    yield from_desk(cast, who, NEW_SERVER, rate=heavy_tailed(rng, len(who), 0.6), first=opening)


def usual_places(cast: Cast, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Who uses which place, [pairs] each: what department, role and team use, some of what the neighbours do, and
    a few ties across departments."""
    people, places = cast.people, cast.places
    who = rng.choice(len(people.user), len(people.user) // 3)
    pairs = [(who, rng.choice(np.flatnonzero(places.department >= 0), len(who)))]
    for department in range(len(DEPARTMENTS)):
        staff = np.flatnonzero(people.department == department)
        own = np.flatnonzero(places.department == department)
        same_role = people.role[staff][:, None] == places.role[own]  # [staff, own]
        same_team = people.team[staff][:, None] == places.team[own]  # [staff, own]
        for_all = (places.role[own] < 0) & (places.team[own] < 0)  # [own]
        fit = np.where(for_all | same_role | same_team, 0.85, 0.06)
        row, column = np.nonzero(rng.random(fit.shape) < fit)
        pairs.append((staff[row], own[column]))
    return np.concatenate([who for who, _ in pairs]), np.concatenate([where for _, where in pairs])


def project_habits(cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    for project in cast.projects:
        who = np.repeat(project.members, len(project.places))
        where = np.tile(project.places, len(project.members))
        first = project.first + rng.geometric(0.4, len(who)) - 1
        yield visits(cast, who, where, rate=heavy_tailed(rng, len(who), 0.6), first=first, last=project.last)


def benign_surprises(
    organisation: Organisation, cast: Cast, who: Ints, where: Ints, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """Stand-ins, late work and errands; `who` uses `where` otherwise, [pairs]. Much of it is new to the person, and no
    count of new targets tells it from an attack."""
    users, days, machines = organisation.users, organisation.days, cast.places.kind != "share"

    def occasions(rate: float) -> tuple[Ints, Ints]:
        n = int(users * days * rate)
        return rng.integers(0, users, n), rng.integers(0, days, n)

    person, day = occasions(organisation.stand_ins)
    near = np.clip(person + rng.integers(-20, 21, len(person)), 0, users - 1)
    colleague = np.where(rng.random(len(person)) < 0.6, near, rng.integers(0, users, len(person)))
    one, pair = rows_of(who, colleague)
    last = np.where(rng.random(len(person)) < 0.25, EVER, day + rng.integers(1, 6, len(person)))
    rate = heavy_tailed(rng, len(one), 0.7)
    yield visits(cast, person[one], where[pair], rate=rate, first=day[one], last=last[one])

    person, day = occasions(organisation.late_work)
    one, pair = rows_of(who, person)
    hours = (rng.uniform(20.0, 28.0, len(person))[one], 1.5, 0.2)
    night: dict[str, Any] = {"calendar": ALWAYS, "hours": hours, "first": day[one], "last": day[one]}
    yield visits(cast, person[one], where[pair], rate=0.5, **night)

    person, day = occasions(organisation.errands)  # several stops close to each other, in machines of one department
    stops = np.minimum(rng.geometric(0.3, len(person)), 25)
    one = np.repeat(np.arange(len(person)), stops)
    around = rng.random(len(person))[one] + rng.normal(0.0, 0.05, len(one))  # where in the lists, 0 to 1
    office, desk = (
        names[np.clip(around * len(names), 0, len(names) - 1).astype(np.int64)]
        for names in (cast.places.name[machines], cast.people.workstation)
    )
    target = np.where(rng.random(len(one)) < 0.6, office, desk)
    yield from_desk(cast, person[one], target, rate=1.5, first=day[one], last=day[one])


def rows_of(who: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """For each of `chosen` the rows where `who` is equal: index into chosen, index into who, [matches] each."""
    order = np.argsort(who, kind="stable")
    begin, end = np.searchsorted(who[order], chosen), np.searchsorted(who[order], chosen, side="right")
    one = np.repeat(np.arange(len(chosen)), end - begin)
    return one, order[begin[one] + count_up(end - begin)]


def count_up(counts: Ints) -> Ints:
    """0, 1, .. counts[0] - 1, 0, 1, .. counts[1] - 1, and so on."""
    numbers: Ints = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers


def admin_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Through a jump host to the estate; Wednesday nights all of it. Help desks roll out software in one evening."""
    people = cast.people
    for admin in cast.admins:
        mine = people.workstation[admin.owner]
        day: dict[str, Any] = {"calendar": admin.owner, "hours": hours_of(people, admin.owner)}
        night = float(rng.uniform(18.5, 20.5))
        yield habit(admin.user, mine, admin.jump, rate=2.0, logon_type="RemoteInteractive", desk=admin.owner, **day)
        yield habit(admin.user, mine, CONTROLLERS[IT % len(CONTROLLERS)], rate=1.5, action="ticket", **day)
        if admin.duty == "desks":
            n = organisation.days * 6
            when, desks = rng.integers(0, organisation.days, n), rng.choice(admin.estate, n)
            yield habit(admin.user, mine, desks, rate=1.2, first=when, last=when, logon_type="RemoteInteractive", **day)
            rollout = int(rng.integers(1, organisation.days))
            sweep: dict[str, Any] = {"first": rollout, "last": rollout, "calendar": ALWAYS, "hours": (night, 1.0, 0.1)}
        else:
            weight = rng.permutation(1.0 / (1.0 + np.arange(len(admin.estate))))
            rate = weight / weight.sum() * (14.0 if admin.duty == "global" else 9.0)
            origin = np.where(rng.random(len(rate)) < 0.2, mine, admin.jump)  # some go directly
            logon = np.where(rng.random(len(rate)) < 0.4, "RemoteInteractive", "Network")
            yield habit(admin.user, origin, admin.estate, rate=rate, logon_type=logon, **day)
            sweep = {"calendar": PATCH_NIGHTS, "hours": (night, 2.5, 0.2)}
        if admin.duty != "global":
            yield habit(admin.user, admin.jump, admin.estate, rate=1.0, regular=True, label="benign_sweep", **sweep)


def service_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Fixed accounts, fixed pairs of machines, fixed hours; one account's password expires for three days."""
    places = cast.places

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
        source, target = np.repeat(front, len(back)), np.tile(back, len(front))
        logons: dict[str, Any] = {"rate": 12, "regular": True, "logon_type": "Service", "auth_package": "Negotiate"}
        yield habit(account(f"{short}-app"), source, target, calendar=ALWAYS, **logons)
    day = int(rng.integers(0, max(1, organisation.days - 3)))
    expired: dict[str, Any] = {"first": day, "last": day + 2, "outcome": "failure", "auth_package": "NTLM"}
    yield habit(account("report"), fronts[0], stores[0], rate=24, regular=True, calendar=ALWAYS, **expired)
    yield habit(account("report"), fronts[0], stores[:3], hours=(5.0, 1.0, 0.0), **nightly)
    round_robin = np.array(SCANS)[np.arange(len(cast.machines)) % len(SCANS)]  # a quarter of the machines a night
    scan: dict[str, Any] = {"rate": 1, "regular": True, "auth_package": "NTLM", "label": "benign_scan"}
    yield habit(account("scan"), SCANNER, cast.machines, calendar=round_robin, hours=(22.0, 5.0, 0.5), **scan)


def machine_habits(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    people, who = cast.people, np.arange(organisation.users)

    def accounts(hosts: Strings) -> Strings:
        return np.char.add(hosts, f"$@{organisation.domain}")

    ticket: dict[str, Any] = {"action": "service_ticket", "rate": 2.5}
    controller, hours = CONTROLLERS[people.department % len(CONTROLLERS)], hours_of(people, who)
    yield habit(accounts(people.workstation), people.workstation, controller, calendar=who, hours=hours, **ticket)
    yield habit(accounts(cast.servers), cast.servers, CONTROLLERS[0], calendar=ALWAYS, **ticket)
    files = cast.places.name[cast.places.kind == "file"]
    some = who[rng.random(len(who)) < 0.3]
    nobody, target = f"anonymous logon@{organisation.domain}", rng.choice(files, len(some))
    legacy: dict[str, Any] = {"rate": 0.3, "auth_package": "NTLM", "hours": hours_of(people, some)}
    yield habit(nobody, people.workstation[some], target, calendar=some, **legacy)


# ---- Events --------------------------------------------------------------------------------------------------------


def simulate(organisation: Organisation) -> tuple[pa.Table, pa.Table]:
    """Events and labels of an organisation, both sorted by time; times are whole seconds, as in most logs."""
    rng = np.random.default_rng(organisation.seed)
    cast = gather(organisation, rng)
    habits = form_habits(organisation, cast, rng)
    calendar = make_calendar(organisation, cast.people, rng)
    benign = swap_desks(organisation, cast, draw_events(habits, calendar, rng), rng)
    attacks = run_campaigns(organisation, cast, habits, rng)
    everything = pa.concat_tables([benign, mistyped(organisation, benign, rng), attacks], promote_options="permissive")
    midnight = int(datetime.combine(organisation.start, datetime.min.time(), UTC).timestamp())
    time = pc.multiply(pc.add(everything["second"], midnight), 1_000_000).cast(pa.timestamp("us", "UTC"))
    order = [(name, "ascending") for name in ("time", "user", "target", "source", "action", "logon_type", "outcome")]
    everything = everything.append_column("time", time).sort_by(order)
    labels = everything.filter(pc.not_equal(everything["label"], "")).rename_columns({"label": "kind"})
    malicious = pc.greater_equal(labels["campaign"], 0).cast(pa.int64())
    return everything.select(EVENT_COLUMNS), labels.append_column("malicious", malicious).select(LABEL_COLUMNS)


def draw_events(habits: pa.Table, calendar: Floats, rng: np.random.Generator) -> pa.Table:
    """Each day each habit happens Poisson(rate x activity) times, a regular one exactly `rate` times."""
    row, rate, regular, first, last, opens, stays, spread = (
        habits[name].to_numpy() for name in "calendar rate regular first last opens stays spread".split()
    )
    which, seconds = [], []
    for day in range(calendar.shape[1]):
        mean = rate * calendar[row, day] * ((first <= day) & (day <= last))  # [habits]
        count = np.where(regular, np.rint(mean).astype(np.int64), rng.poisson(mean))  # [habits]
        index = np.repeat(np.arange(len(count)), count)  # [events]
        nth = count_up(count)  # [events] 0, 1, .. within the habit
        chance = rng.random(len(index))
        phase = np.where(regular[index], (nth + 0.1 * chance) / np.maximum(count[index], 1), chance)
        hour = opens[index] + stays[index] * phase + spread[index] * rng.standard_normal(len(index))
        which.append(index)
        seconds.append(day * DAY_S + np.minimum((hour % 24 * 3600).astype(np.int64), DAY_S - 1))
    events = habits.select([*EVENT_COLUMNS[1:], "label", "desk"]).take(np.concatenate(which))
    events = events.append_column("campaign", pa.array(np.full(len(events), -1)))
    return events.append_column("second", pa.array(np.concatenate(seconds)))


def swap_desks(organisation: Organisation, cast: Cast, events: pa.Table, rng: np.random.Generator) -> pa.Table:
    """On some days a person works at the workstation of a colleague (a near neighbour in the list of people)."""
    n = organisation.users
    shape = (n, organisation.days)
    colleague = np.clip(np.arange(n)[:, None] + rng.integers(-6, 7, shape), 0, n - 1)
    colleague[rng.random(shape) >= organisation.desk_swaps] = -1
    desk, day = events["desk"].to_numpy(), events["second"].to_numpy() // DAY_S
    sits_at = np.where(desk >= 0, colleague[desk, day], -1)  # [events]
    elsewhere = pa.array(cast.people.workstation).take(pa.array(sits_at, mask=sits_at < 0))
    at_own_desk = pc.equal(events["source"], events["target"])
    target = pc.if_else(at_own_desk, pc.coalesce(elsewhere, events["target"]), events["target"])
    source = pc.coalesce(elsewhere, events["source"])
    for name, column in (("source", source), ("target", target)):
        events = events.set_column(events.column_names.index(name), name, column)
    return events


def mistyped(organisation: Organisation, events: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Copies of some logons from a desk, seconds earlier, that failed."""
    at_desk = (events["desk"].to_numpy() >= 0) & pc.equal(events["action"], "logon").to_numpy()
    wrong = events.filter(pa.array(at_desk & (rng.random(len(events)) < organisation.mistypes)))
    second = np.maximum(wrong["second"].to_numpy() - rng.integers(3, 40, len(wrong)), 0)
    failed = {"second": pa.array(second), "outcome": pa.array(["failure"] * len(wrong))}
    return pa.table({name: failed.get(name, wrong[name]) for name in wrong.column_names})


# ---- Campaigns: what is hidden -------------------------------------------------------------------------------------

Moves = list[tuple[str, str, str]]  # user, source, target


@dataclass(frozen=True)
class Scene:
    """What a campaign is written from: who exists, where each account usually goes, and chance."""

    cast: Cast
    reach: dict[str, set[str]]  # account -> usual targets
    days: int  # that attacks may last
    rng: np.random.Generator

    def some(self, pool: Iterable[str], low: int, high: int) -> list[str]:
        """Between low and high members of the pool (fewer if it is smaller), in random order."""
        ordered = sorted(set(pool))
        return [str(name) for name in self.rng.permutation(ordered)[: self.rng.integers(low, high + 1)]]

    def user(self, person: int) -> str:
        return str(self.cast.people.user[person])

    def desk(self, victim: int) -> str:
        """Mostly the victim's own workstation, else that of a neighbour in the list of people."""
        return str(self.cast.people.workstation[victim if self.rng.random() < 0.85 else victim - 2])

    def stranger(self, victim: int) -> int:
        """Somebody of another department."""
        department = self.cast.people.department
        return int(self.rng.choice(np.flatnonzero(department != department[victim])))

    def familiar(self, victim: int) -> set[str]:
        """What the victim's department uses, workstations aside."""
        people = self.cast.people
        department = people.user[people.department == people.department[victim]]
        return set().union(*(self.reach[str(user)] for user in department)) - set(people.workstation.tolist())

    def unfamiliar(self, victim: int) -> set[str]:
        """Servers the victim's department does not use, and a third as many workstations."""
        servers = set(self.cast.servers.tolist()) - self.familiar(victim)
        return servers | set(self.some(self.cast.people.workstation, len(servers) // 3, len(servers) // 3))


def novel_target(scene: Scene, victim: int) -> Moves:
    user, desk = scene.user(victim), scene.desk(victim)
    return [(user, desk, target) for target in scene.some(scene.unfamiliar(victim), 3, 8)]


def credential_switch(scene: Scene, victim: int) -> Moves:
    """Another person's credential from this machine, to where that person and close colleagues go."""
    other, desk = scene.stranger(victim), scene.desk(victim)
    usual = scene.reach[scene.user(other)] & scene.familiar(other)
    return [(scene.user(other), desk, target) for target in scene.some(usual, 2, 7)]


def pivot_chain(scene: Scene, victim: int) -> Moves:
    """From machine to machine; half-way the credential may change."""
    hops = [scene.desk(victim), *scene.some(scene.unfamiliar(victim), 3, 7)]
    second = scene.user(victim if scene.rng.random() < 0.4 else scene.stranger(victim))
    return [(scene.user(victim) if i < len(hops) // 2 else second, hops[i], hops[i + 1]) for i in range(len(hops) - 1)]


def peer_mimic(scene: Scene, victim: int) -> Moves:
    """The victim's credential goes where only colleagues go, from a machine of another department."""
    user, desk = scene.user(victim), scene.desk(scene.stranger(victim))
    return [(user, desk, target) for target in scene.some(scene.familiar(victim) - scene.reach[user], 2, 6)]


def odd_hours(scene: Scene, victim: int) -> Moves:
    """The victim's own targets and some of the colleagues'; what is strange is the hour."""
    user, desk, familiar = scene.user(victim), str(scene.cast.people.workstation[victim]), scene.familiar(victim)
    targets = scene.some(familiar & scene.reach[user], 2, 5) + scene.some(familiar - scene.reach[user], 1, 3)
    return [(user, desk, target) for target in targets]


def service_abuse(scene: Scene, victim: int) -> Moves:
    """A service account from a workstation, to its own targets and to others."""
    desk, service = scene.desk(victim), scene.some((user for user in scene.reach if user.startswith("svc-")), 1, 1)[0]
    targets = scene.some(scene.reach[service], 1, 4) + scene.some(scene.cast.servers, 1, 4)
    return [(service, desk, target) for target in targets]


def low_and_slow(scene: Scene, victim: int) -> Moves:
    user, desk = scene.user(victim), scene.desk(victim)
    targets = scene.some(scene.unfamiliar(victim), scene.days, scene.days)
    return [(user, desk, target) for target in targets]


def admin_misuse(scene: Scene, victim: int) -> Moves:
    """An administrator's credential outside the estate, from the owner's workstation or the victim's."""
    limited = [admin for admin in scene.cast.admins if admin.duty != "global"]
    admin = limited[scene.rng.integers(len(limited))]
    desk = scene.desk(victim if scene.rng.random() < 0.5 else admin.owner)
    outside = set(scene.cast.machines.tolist()) - scene.reach[admin.user]
    return [(admin.user, desk, target) for target in scene.some(outside, 3, 10)]


def burst(scene: Scene, victim: int) -> Moves:
    """One machine tries many in half an hour, with the victim's credential and perhaps another."""
    desk, users = scene.desk(victim), [scene.user(victim)]
    if scene.rng.random() < 0.5:
        users.append(scene.user(scene.stranger(victim)))
    targets = scene.some(set(scene.cast.machines.tolist()) - {desk}, 20, 60)
    return [(str(scene.rng.choice(users)), desk, target) for target in targets]


class Kind(NamedTuple):
    moves: Callable[[Scene, int], Moves]
    gap_s: float  # mean time between moves
    when: str = "office"  # "office": the victim's hours of one day; "night"; "daily": one move a day


KINDS = {
    "novel_target": Kind(novel_target, 900),
    "credential_switch": Kind(credential_switch, 600),
    "pivot_chain": Kind(pivot_chain, 1200),
    "peer_mimic": Kind(peer_mimic, 900),
    "odd_hours": Kind(odd_hours, 400, "night"),
    "service_abuse": Kind(service_abuse, 700),
    "low_and_slow": Kind(low_and_slow, 600, "daily"),
    "admin_misuse": Kind(admin_misuse, 500),
    "burst": Kind(burst, 40),
}


def run_campaigns(organisation: Organisation, cast: Cast, habits: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Each campaign has its own victim, one of those who were always there. On working days: weekends hide nothing."""
    usual = habits.group_by("user").aggregate([("target", "distinct")]).to_pydict()
    reach = {user: set(targets) for user, targets in zip(usual["user"], usual["target_distinct"], strict=True)}
    victims = rng.permutation(np.flatnonzero(cast.people.joined == 0))
    window = np.arange(organisation.days - organisation.attack_days, organisation.days)
    workdays = window[(window + organisation.start.weekday()) % 7 < 5]
    days = workdays if len(workdays) else window
    scene = Scene(cast, reach, len(days), rng)
    rows: list[tuple[int, str, str, str, str, int]] = []
    for campaign, kind in enumerate(kind for kind in KINDS for _ in range(organisation.campaigns)):
        victim = int(victims[campaign % len(victims)])
        moves = KINDS[kind].moves(scene, victim)
        seconds = schedule(KINDS[kind], len(moves), float(cast.people.opens[victim]), days, rng)
        rows += [(second, *move, kind, campaign) for second, move in zip(seconds.tolist(), moves, strict=True)]
    return attack_events(cast, rows, rng)


def schedule(kind: Kind, moves: int, opens: float, days: Ints, rng: np.random.Generator) -> Ints:
    """Seconds of a campaign's moves, [moves]."""
    hour = (opens + (rng.uniform(16.0, 19.0) if kind.when == "night" else rng.uniform(0.5, 6.0))) % 24
    if kind.when == "daily":
        day, offset_s = days[:moves], rng.uniform(0, 5400, moves)
    else:
        day, offset_s = rng.choice(days, 1), np.cumsum(rng.exponential(kind.gap_s, moves))
    seconds: Ints = day * DAY_S + np.minimum(hour * 3600 + offset_s, DAY_S - 1).astype(np.int64)
    return seconds


def attack_events(cast: Cast, rows: list[tuple[int, str, str, str, str, int]], rng: np.random.Generator) -> pa.Table:
    """Attackers log on as people do, with more NTLM and some failures."""
    names = ["second", "user", "source", "target", "label", "campaign"]
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    kind = table["label"].to_numpy(zero_copy_only=False)
    share = np.isin(table["target"].to_pylist(), cast.places.name[cast.places.kind == "share"])
    drawn = {
        "target_kind": np.where(share, "resource", "machine"),
        "action": np.where(share, "share_access", "logon"),
        "logon_type": np.where(share | (rng.random(len(rows)) < 0.7), "Network", "RemoteInteractive"),
        "auth_package": rng.choice(["Kerberos", "NTLM"], len(rows), p=[0.75, 0.25]),
        "outcome": np.where(rng.random(len(rows)) < np.where(kind == "burst", 0.3, 0.04), "failure", "success"),
        "desk": np.full(len(rows), -1),
    }
    for name, column in drawn.items():
        table = table.append_column(name, pa.array(column))
    return table


# ---- Writers: the same events as files people have -----------------------------------------------------------------


def write_lanl(events: pa.Table, path: Path, epoch: datetime) -> None:
    """Lines of LANL `auth.txt`: seconds since `epoch`, no header, `?` for unknown; gzip when the name ends in .gz.

    The format knows computers only, so a share is written where a destination computer stands.
    """
    orientation = {"ticket": "TGT", "service_ticket": "TGS"}
    ticket = pc.is_in(events["action"], value_set=pa.array(list(orientation)))
    codes = pc.index_in(events["action"], value_set=pa.array(list(orientation)))
    user, source = events["user"], pc.fill_null(events["source"], "?")
    columns = [
        seconds_since(events["time"], epoch), user, user, source, events["target"],
        pc.if_else(ticket, "?", events["auth_package"]),
        pc.if_else(ticket, "?", events["logon_type"]),
        pc.fill_null(pc.take(pa.array(list(orientation.values())), codes), "LogOn"),
        pc.if_else(pc.equal(events["outcome"], "failure"), "Fail", "Success"),
    ]  # fmt: skip
    write_rows(pa.table(columns, names=[f"f{i}" for i in range(len(columns))]), path, header=None)


def write_csv(events: pa.Table, path: Path) -> None:
    """A CSV with a header, as a VPN gateway or a SIEM exports it."""
    columns = {
        "timestamp": iso(events["time"]), "account": events["user"], "from_host": events["source"],
        "to_host": events["target"], "protocol": events["auth_package"], "type": events["logon_type"],
        "result": events["outcome"],
    }  # fmt: skip
    write_rows(pa.table(columns), path, header=",".join(columns))


def write_labels(labels: pa.Table, path: Path, epoch: datetime | None = None) -> None:
    """Labels as CSV; times are ISO 8601, or seconds since `epoch` to go with `write_lanl`."""
    time = iso(labels["time"]) if epoch is None else seconds_since(labels["time"], epoch)
    write_rows(labels.set_column(0, "time", time), path, header=",".join(labels.column_names))


def seconds_since(time: pa.ChunkedArray, epoch: datetime) -> pa.ChunkedArray:
    return pc.subtract(pc.divide(time.cast(pa.int64()), 1_000_000), int(epoch.timestamp()))


def iso(time: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.strftime(time.cast(pa.timestamp("s", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")


def write_rows(table: pa.Table, path: Path, header: str | None) -> None:
    """Unquoted: a name with a comma or a quote is an error. The header is by hand, as pyarrow would quote it."""
    with pa.output_stream(str(path)) as sink:  # compresses by the ending of the name
        if header is not None:
            sink.write(f"{header}\n".encode())
        pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none"))
