"""Who and what there is: people in teams and departments, places, projects, administrators, names that
change.

Places belong to a department, a role, a team or a project: that is the structure which new edges follow, see
`habits`. Leaves out who reaches what (`habits`) and when (`calendar`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.arrays import Bools, Doubles, Ints
from ueba.simulate.organisation import EVER, Organisation

Strings = npt.NDArray[np.str_]

DEPARTMENTS = "fin sal eng ops hr leg it".split()
SHARES_OF_STAFF = np.array([0.16, 0.22, 0.24, 0.15, 0.07, 0.06, 0.10])
ENGINEERING, OPERATIONS, IT = (DEPARTMENTS.index(name) for name in ("eng", "ops", "it"))
TECHNICAL = (
    ENGINEERING,
    OPERATIONS,
    IT,
)  # departments that are on call, use cloud roles and work on terminal servers
ROLES = "lead specialist clerk".split()
TEAM_SIZE = 13
ESTATE = 40  # machines that an administrator looks after at most
INITIALS = "abcdefghijklmnoprstvwyz"
SURNAMES = """
adler alvarez baker bauer bianchi brown chen costa diaz dubois evans fischer garcia gomez haddad hansen
hughes ivanov jansen jones kaur keller khan kim klein kowalski kumar lopez marino martin meyer moreau mori
murphy nguyen novak okafor olsen patel petrov quinn ramos reed rossi ruiz santos sato schmidt silva singh
smith tanaka torres vargas visser wagner walsh weber wong yilmaz young zhang
""".split()
SERVER_KINDS = "db app file web ts".split()
RESOURCE_KINDS = "share saas role".split()  # file share, application by single sign-on, cloud role
OF_DEPARTMENT = ("db", "share", "saas")  # for all of a department
OF_ROLE = ("app", "share", "web")  # one for each of ROLES
OF_TEAM = (
    "ts",
    "db",
    "share",
    "saas",
    "app",
    "share",
    "file",
    "web",
    "app",
    "db",
)  # a technical team's saas is a cloud role
OF_PROJECT = ("app", "db", "share", "share")
PROJECTS = (
    "aurora basalt cedar delta ember falcon granite harbor indigo juniper kestrel lumen meridian nova".split()
)

CONTROLLERS = np.array(["dc-001", "dc-002", "dc-003"])
MAIL = np.array(["srv-mail-001", "srv-mail-002"])
PRINTERS = np.array(["srv-print-001", "srv-print-002", "srv-print-003"])
JUMP_HOSTS = np.array(["srv-jump-001", "srv-jump-002"])
NEW_SERVERS = np.array(["srv-web-wiki", "srv-app-expenses"])  # everybody visits them once they are there
INTRANET, BACKUP, MONITOR, SCANNER, BUILD = (
    "srv-web-intranet",
    "srv-backup-001",
    "srv-mon-001",
    "srv-scan-001",
    "srv-build-001",
)
COMMON = np.array(
    [*CONTROLLERS, *MAIL, *PRINTERS, *JUMP_HOSTS, *NEW_SERVERS, INTRANET, BACKUP, MONITOR, SCANNER, BUILD]
)
PORTALS = np.array(["sso/mail", "sso/timesheet", "sso/travel"])  # applications for everybody


@dataclass(frozen=True)
class People:
    """One row a person; every array is [users]. Sorted by department. Days count from the first of the
    period."""

    name: Strings  # account without domain
    user: Strings
    workstation: Strings
    department: Ints
    role: Ints  # index into ROLES
    team: Ints  # numbered through the organisation
    manager: Ints  # index of a person; the head of a department is their own
    opens: Doubles  # hour the working day begins
    stays: Doubles  # its length, hours
    spread: Doubles  # standard deviation of each event's hour
    joined: Ints  # first day; 0 for those who were always there
    left: Ints  # first day without them, EVER for those who stay
    moved: Ints  # first day in another department, EVER for those who do not move
    new_department: Ints  # where to; the own one for those who do not move
    new_team: Ints

    @property
    def steady(self) -> Bools:
        """Those who were there before and are there after, in the same department."""
        found: Bools = (self.joined == 0) & (self.left == EVER) & (self.moved == EVER)
        return found


@dataclass(frozen=True)
class Places:
    """Servers and resources people go to; every array is [places]. -1: not limited to one department, role,
    team or project."""

    name: Strings
    kind: Strings  # one of SERVER_KINDS or RESOURCE_KINDS
    department: Ints
    role: Ints
    team: Ints
    project: Ints

    @property
    def is_machine(self) -> Bools:
        return np.isin(self.kind, SERVER_KINDS)


class Project(NamedTuple):
    """People of several departments who share servers and shares for a while."""

    members: Ints  # [members]
    since: Ints  # [members] day on which each one joins in; may lie before the period
    last: int  # day


class Admin(NamedTuple):
    """A privileged account beside the owner's own."""

    user: str
    owner: int  # index of the person
    duty: str  # "global", "servers" or "desks"
    jump: str
    estate: Strings  # machines looked after


class Rename(NamedTuple):
    """A machine that has another name from a day on."""

    old: str
    new: str
    day: int


@dataclass(frozen=True)
class Cast:
    people: People
    places: Places
    projects: list[Project]  # in the order of Places.project
    admins: list[Admin]
    servers: Strings  # every machine that is not a workstation
    renames: list[Rename]

    @property
    def machines(self) -> Strings:
        return np.concatenate([self.people.workstation, self.servers])


def gather(organisation: Organisation, rng: np.random.Generator) -> Cast:
    people = hire(organisation, rng)
    places = furnish(organisation, people)
    servers = np.concatenate([places.name[places.is_machine], COMMON])
    projects = plan_projects(organisation, people, rng)
    admins = appoint_admins(organisation, people, places, servers, rng)
    return Cast(people, places, projects, admins, servers, rename(organisation, people, places, rng))


def hire(organisation: Organisation, rng: np.random.Generator) -> People:
    n = organisation.users
    department = np.searchsorted(np.cumsum(SHARES_OF_STAFF), (np.arange(n) + 0.5) / n)
    within = np.arange(n) - np.searchsorted(department, department)  # place in the department
    teams = np.maximum(1, np.bincount(department, minlength=len(DEPARTMENTS)) // TEAM_SIZE)  # [departments]
    first_team = np.cumsum(teams) - teams
    team = within % teams[department] + first_team[department]
    role = np.where(
        within < teams[department], 0, rng.choice([1, 2], n, p=[0.6, 0.4])
    )  # the first of a team leads it
    lead = np.searchsorted(department, department) + team - first_team[department]
    manager = np.where(role == 0, np.searchsorted(department, department), lead)
    names = rng.permutation([initial + surname for initial in INITIALS for surname in SURNAMES])
    name = np.array(
        [names[i % len(names)] + (str(i // len(names) + 1) if i >= len(names) else "") for i in range(n)]
    )
    fate, day = rng.random(n), rng.integers(2, organisation.days - 1, n)
    bounds = np.cumsum([organisation.joiners, organisation.leavers, organisation.movers])
    what = np.where(role == 0, 3, np.searchsorted(bounds, fate, side="right"))  # leads stay
    new_department = np.where(
        what == 2, (department + rng.integers(1, len(DEPARTMENTS), n)) % len(DEPARTMENTS), department
    )
    new_team = np.where(
        what == 2, first_team[new_department] + rng.integers(0, 10**6, n) % teams[new_department], team
    )
    return People(
        name=name,
        user=np.char.add(name, f"@{organisation.domain}"),
        workstation=np.array(
            [f"{DEPARTMENTS[d]}-ws-{i + 1:03d}" for d, i in zip(department, within, strict=True)]
        ),
        department=department,
        role=role,
        team=team,
        manager=manager,
        opens=np.where(rng.random(n) < 0.02, 21.5, rng.normal(8.3, 0.8, n)),  # a few work at night
        stays=rng.normal(8.7, 0.7, n),
        spread=rng.gamma(2.0, 0.2, n),
        joined=np.where(what == 0, day, 0),
        left=np.where(what == 1, day, EVER),
        moved=np.where(what == 2, day, EVER),
        new_department=new_department,
        new_team=new_team,
    )


def furnish(organisation: Organisation, people: People) -> Places:
    """The places of each department, role, team and project."""
    rows: list[tuple[str, str, int, int, int, int]] = []
    numbers = dict.fromkeys(SERVER_KINDS, 0)

    def place(
        kind: str, owner: str, department: int = -1, role: int = -1, team: int = -1, project: int = -1
    ) -> None:
        if kind in SERVER_KINDS:
            numbers[kind] += 1
            name = f"srv-{kind}-{numbers[kind]:03d}"
        else:
            of_owner = sum(row[0].startswith(f"{kind}/{owner}-") for row in rows[-len(OF_TEAM) :]) + 1
            name = f"{kind}/{owner}-{of_owner}"
        rows.append((name.replace("saas/", "sso/"), kind, department, role, team, project))

    for department, short in enumerate(DEPARTMENTS):
        for kind in OF_DEPARTMENT:
            place(kind, short, department)
        for role, kind in enumerate(OF_ROLE):
            place(kind, f"{short}-{ROLES[role]}", department, role)
        for team in np.unique(people.team[people.department == department]).tolist():
            for kind in OF_TEAM:
                cloud = kind == "saas" and department in TECHNICAL
                place("role" if cloud else kind, f"{short}-team{team:02d}", department, team=team)
    for project in range(organisation.users // 15):
        title = PROJECTS[project % len(PROJECTS)] + (
            str(project // len(PROJECTS) + 1) if project >= len(PROJECTS) else ""
        )
        for kind in OF_PROJECT:
            place(kind, title, project=project)
    return Places(*[np.array(column) for column in zip(*rows, strict=True)])


def plan_projects(organisation: Organisation, people: People, rng: np.random.Generator) -> list[Project]:
    """A project takes about half of two or three teams, mostly of different departments; they join in one
    after the other."""
    projects = []
    for _ in range(organisation.users // 15):
        leads = rng.choice(organisation.users, rng.integers(2, 4), replace=False)
        candidates = np.flatnonzero(np.isin(people.team, people.team[leads]))
        members = candidates[rng.random(len(candidates)) < 0.55]
        first = int(rng.integers(-10, organisation.days - 2))
        since = first + np.minimum(rng.exponential(6.0, len(members)), organisation.days).astype(np.int64)
        projects.append(Project(members, since, first + int(rng.integers(12, 40))))
    return projects


def appoint_admins(
    organisation: Organisation, people: People, places: Places, servers: Strings, rng: np.random.Generator
) -> list[Admin]:
    """Global administrators, and estates: desks of two departments, their servers, or two kinds of server."""
    owners = rng.permutation(np.flatnonzero((people.department == IT) & people.steady))
    count = min(len(owners), max(7, organisation.users // 20))
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
            duty, estate = "servers", places.name[places.is_machine & np.isin(places.department, departments)]
        else:
            duty, estate = "servers", places.name[np.isin(places.kind, kinds)]
        if duty != "global":
            begin = int(rng.integers(max(1, len(estate) - ESTATE + 1)))
            estate = estate[begin : begin + ESTATE]
        user = f"adm-{people.name[owner]}@{organisation.domain}"
        admins.append(Admin(user, int(owner), duty, str(JUMP_HOSTS[i % len(JUMP_HOSTS)]), estate))
    return admins


def rename(
    organisation: Organisation, people: People, places: Places, rng: np.random.Generator
) -> list[Rename]:
    """A desk becomes a laptop, a server a virtual machine."""
    chosen = []
    for names, before, after in (
        (people.workstation, "-ws-", "-lt-"),
        (places.name[places.is_machine], "srv-", "vm-"),
    ):
        renamed = rng.choice(names, max(1, round(organisation.renames * len(names))), replace=False)
        day = rng.integers(2, organisation.days - 1, len(renamed))
        chosen += [
            Rename(str(old), str(old).replace(before, after), int(when))
            for old, when in zip(renamed, day, strict=True)
        ]
    return chosen


def staff_list(organisation: Organisation, cast: Cast) -> pa.Table:
    """user, department, role, manager, kind (human, admin), left (ISO date, the last day; empty for those who
    stay), as the directory has them on the last day."""
    people, admins = cast.people, cast.admins
    department = np.where(people.moved < organisation.days, people.new_department, people.department)
    owner = np.array([admin.owner for admin in admins], int)
    return pa.table(
        {
            "user": [*people.user.tolist(), *(admin.user for admin in admins)],
            "department": np.array(DEPARTMENTS)[np.concatenate([department, department[owner]])].tolist(),
            "role": [*np.array(ROLES)[people.role].tolist(), *(f"admin-{admin.duty}" for admin in admins)],
            "manager": people.user[np.concatenate([people.manager, owner])].tolist(),
            "kind": ["human"] * len(people.user) + ["admin"] * len(admins),
            "left": [last_day(organisation, day) for day in people.left.tolist()] + [""] * len(admins),
        }
    )


def last_day(organisation: Organisation, left: int) -> str:
    """The last day of a person, empty if it does not lie in the period. left: the first day without them"""
    return organisation.date_of(left - 1).isoformat() if left < organisation.days else ""
