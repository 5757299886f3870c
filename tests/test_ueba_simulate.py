"""The simulated organisation looked at from every side: a default one, and a small one in which much
changes."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from ueba import campaigns
from ueba.cli import main
from ueba.errors import ConfigError, UsageError
from ueba.evaluate import measure
from ueba.ingest import ingest, lake
from ueba.simulate import (
    EVENT_COLUMNS,
    LABEL_COLUMNS,
    Organisation,
    World,
    formats,
    ocsf,
    simulate,
    windows,
    writers,
)
from ueba.simulate.calendar import Calendar, easter, is_holiday, make_calendar
from ueba.simulate.cast import TECHNICAL, Cast, gather
from ueba.simulate.change import rows_of
from ueba.simulate.json_lines import fill

DEFAULT = Organisation()
RESTLESS = Organisation(
    users=80, days=20, joiners=0.2, leavers=0.2, movers=0.2, renames=0.2, campaigns=1, attack_days=6
)
TINY = Organisation(users=60, days=8, attack_days=4, campaigns=1)
ROOT = Path(__file__).parent.parent
KEY = ["time", "user", "source", "target"]
DAY = timedelta(days=1)
PERSON = r"(?!svc-|adm-|anonymous)[a-z0-9]+@"


def start(organisation: Organisation) -> datetime:
    return datetime.combine(organisation.start, datetime.min.time(), UTC)


def frame(table: pa.Table, organisation: Organisation) -> pd.DataFrame:
    found = writers.texts(table).to_pandas()
    return found.assign(day=(found.time - pd.Timestamp(start(organisation))) // pd.Timedelta(days=1))


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(DEFAULT)


@pytest.fixture(scope="module")
def events(world: World) -> pd.DataFrame:
    return frame(world.events, DEFAULT)


@pytest.fixture(scope="module")
def labels(world: World) -> pd.DataFrame:
    return frame(world.labels, DEFAULT)


@pytest.fixture(scope="module")
def restless() -> pd.DataFrame:
    """Benign events of the organisation in which much changes."""
    world = simulate(RESTLESS)
    events, labels = frame(world.events, RESTLESS), frame(world.labels, RESTLESS)
    attacks = labels[labels.malicious == 1][[*KEY, "malicious"]].drop_duplicates()
    merged = events.merge(attacks, on=KEY, how="left")
    return merged[merged.malicious.isna()]


def cast_of(organisation: Organisation) -> tuple[Cast, Calendar]:
    rng = np.random.default_rng(organisation.seed)
    cast = gather(organisation, rng)
    return cast, make_calendar(organisation, cast, rng)


# --- tables -------------------------------------------------------------------------------------------------


def test_columns_types_and_order(world: World) -> None:
    assert world.events.column_names == list(EVENT_COLUMNS)
    assert world.labels.column_names == list(LABEL_COLUMNS)
    assert world.staff.column_names == ["user", "department", "role", "manager", "kind", "left"]
    for table in (world.events, world.labels):
        assert table.schema.field("time").type == pa.timestamp("us", "UTC")
        assert table["time"].to_pandas().is_monotonic_increasing
    assert {name for name in EVENT_COLUMNS if world.events[name].null_count} == {"logon_type"}


def test_vocabulary(events: pd.DataFrame) -> None:
    assert set(events.target_kind) == {"machine", "resource"}
    assert set(events.action) == {"logon", "ticket", "service_ticket", "share_access", "sso", "assume_role"}
    assert set(events.outcome) == {"success", "failure"}
    assert set(events.logon_type.dropna()) == {
        "Network",
        "Interactive",
        "Unlock",
        "RemoteInteractive",
        "Batch",
        "Service",
    }
    assert events.user.str.fullmatch(r"[^@]+@corp\.example").all()
    resource = events.action.isin(["share_access", "sso", "assume_role"])
    assert (resource == (events.target_kind == "resource")).all()
    assert (
        events.logon_type.isna() == events.action.isin(["ticket", "service_ticket", "sso", "assume_role"])
    ).all()


def test_same_seed_same_tables_other_seed_others() -> None:
    once, again, other = simulate(TINY), simulate(TINY), simulate(replace(TINY, seed=1))
    for table, same in zip(once, again, strict=True):
        assert table.equals(same)
    assert not once.events.equals(other.events)


def test_who_there_is(events: pd.DataFrame, labels: pd.DataFrame, world: World) -> None:
    invented = set(labels.user[labels.kind == "new_account"])
    people = set(events.user[events.user.str.match(PERSON)]) - invented
    staff = world.staff.to_pandas()
    assert people <= set(staff.user[staff.kind == "human"])
    assert (
        len(people) > 0.97 * len(staff.user[staff.kind == "human"]) == 0.97 * DEFAULT.users
    )  # some join and are away
    assert set(events.user[events.user.str.startswith("adm-")]) == set(staff.user[staff.kind == "admin"])
    assert set(staff.manager) <= set(staff.user)
    leavers = staff[staff.left != ""]
    assert len(leavers) and set(leavers.kind) == {"human"}
    woken = set(labels.user[labels.kind == "woken_account"])  # an account that nobody closed may be woken
    acted = events[events.user.isin(set(leavers.user) - woken)].groupby("user").time.max()
    last_day = leavers.set_index("user").left[acted.index]
    assert len(acted) and (acted.dt.strftime("%Y-%m-%d") <= last_day).all()  # they simply leave
    for kind_of_account in (r"\$@", "^svc-", "^adm-", "^anonymous logon@"):
        assert events.user.str.contains(kind_of_account).any()


def test_names_are_unique_where_there_are_more_people_than_names() -> None:
    people = gather(Organisation(users=3000), np.random.default_rng(0)).people
    assert len(set(people.user)) == len(set(people.workstation)) == 3000


def test_no_event_outside_the_period(events: pd.DataFrame) -> None:
    assert events.day.min() == 0 and events.day.max() == DEFAULT.days - 1


# --- days ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "day"), [(2024, date(2024, 3, 31)), (2025, date(2025, 4, 20)), (2026, date(2026, 4, 5))]
)
def test_easter(year: int, day: date) -> None:
    assert easter(year) == day


def test_holidays() -> None:
    """2026: Good Friday 3 April, Easter Monday 6 April, Ascension 14 May, Whit Monday 25 May, and the fixed
    days."""
    days = [date(2026, 1, 1) + DAY * number for number in range(365)]
    expected = {
        (1, 1),
        (1, 6),
        (4, 3),
        (4, 6),
        (5, 1),
        (5, 14),
        (5, 25),
        (8, 15),
        (11, 1),
        (12, 25),
        (12, 26),
    }
    assert {(day.month, day.day) for day in days if is_holiday(day)} == expected


def test_weekends_and_holidays_are_quiet(events: pd.DataFrame) -> None:
    per_day = events[events.user.str.match(PERSON)].groupby("day").size()
    days = [DEFAULT.date_of(int(day)) for day in per_day.index]
    quiet = np.array([day.weekday() >= 5 or is_holiday(day) for day in days])
    assert date(2026, 1, 6) in np.array(days)[quiet]
    assert per_day[quiet].max() * 5 < per_day[~quiet].min()


def test_joiners_and_leavers(restless: pd.DataFrame) -> None:
    people = cast_of(RESTLESS)[0].people
    days = restless.groupby("user").day.agg(["min", "max"]).reindex(people.user)
    joins, leaves = people.joined > 0, people.left < RESTLESS.days
    assert joins.sum() > 5 and leaves.sum() > 5
    assert not (days["min"].to_numpy() < people.joined).any()
    assert not (days["max"].to_numpy() >= people.left).any()
    machines = restless[restless.user.isin([f"{name}$@corp.example" for name in people.workstation[leaves]])]
    assert len(machines)
    last = dict(zip([f"{name}$@corp.example" for name in people.workstation], people.left, strict=True))
    assert (machines.day < machines.user.map(last)).all()


def test_movers_leave_old_places_for_new_ones(restless: pd.DataFrame) -> None:
    cast = cast_of(RESTLESS)[0]
    people, places = cast.people, cast.places
    department = dict(zip(places.name, places.department, strict=True))
    moved = np.flatnonzero(people.moved < RESTLESS.days - 6)
    assert len(moved) > 3
    own = pd.DataFrame(
        {"user": people.user, "moved": people.moved, "old": people.department, "new": people.new_department}
    )
    visits = (
        restless.merge(own.iloc[moved], on="user")
        .assign(to=lambda table: table.target.map(department))
        .dropna(subset="to")
    )
    before, long_after = visits[visits.day < visits.moved], visits[visits.day > visits.moved + 5]
    assert (before.to == before.old).mean() > 3 * (before.to == before.new).mean()
    assert (long_after.to == long_after.new).mean() > 3 * (long_after.to == long_after.old).mean()


def test_a_renamed_machine_has_one_name_at_a_time(restless: pd.DataFrame) -> None:
    renames = cast_of(RESTLESS)[0].renames
    assert {change.old.split("-")[0] == "srv" for change in renames} == {True, False}
    followed = 0
    for change in renames:
        old, new = (
            restless[(restless.source == name) | (restless.target == name)]
            for name in (change.old, change.new)
        )
        assert (old.day < change.day).all() and (new.day >= change.day).all()
        followed += len(set(old.user) & set(new.user)) > 0
    assert followed > len(renames) / 2
    accounts = restless.groupby("user").day.agg(["min", "max"])
    for change in renames:
        old, new = f"{change.old}$@corp.example", f"{change.new}$@corp.example"
        if {old, new} <= set(accounts.index):
            assert accounts.loc[old, "max"] < change.day <= accounts.loc[new, "min"]


def test_on_call_changes_weekly_and_works_at_night() -> None:
    organisation = Organisation(days=28, late_work=0)
    cast, calendar = cast_of(organisation)
    rota, people = calendar.on_call, cast.people
    assert rota.shape == (4, len(TECHNICAL))
    assert (people.department[rota] == TECHNICAL).all()
    assert (rota[1:] != rota[:-1]).all()
    world = simulate(organisation)
    labels = frame(world.labels, organisation)
    attacks = set(labels.user[labels.malicious == 1])
    events = frame(world.events, organisation)
    places = set(cast.places.name[cast.places.is_machine])
    night = events[events.target.isin(places) & events.user.str.match(PERSON) & ~events.user.isin(attacks)]
    office = dict(zip(people.user, people.opens, strict=True))
    hour = night.time.dt.hour + night.time.dt.minute / 60
    night = night[((hour < 4) | (hour >= 23)) & (night.user.map(office) < 12)]
    assert len(night) > 10
    on_call = [user in people.user[rota[day // 7]] for user, day in zip(night.user, night.day, strict=True)]
    assert np.mean(on_call) > 0.9


# --- structure ----------------------------------------------------------------------------------------------


def test_admins_are_broader(events: pd.DataFrame) -> None:
    reach = events.groupby("user").target.nunique()
    admins, people = reach[reach.index.str.startswith("adm-")], reach[reach.index.str.match(PERSON)]
    assert admins.mean() > 1.5 * people.mean()


def test_colleagues_share_more_than_strangers(events: pd.DataFrame) -> None:
    """What a graph can learn: two of one team have more targets in common than two of different
    departments."""
    people = cast_of(DEFAULT)[0].people
    reach = (
        events[events.target.str.contains(r"srv-(?:db|app|file|ts|web-0)|/")].groupby("user").target.agg(set)
    )
    usual = [reach.get(user, set()) - {"sso/mail", "sso/travel", "sso/timesheet"} for user in people.user]

    def common(a: int, b: int) -> float:
        return len(usual[a] & usual[b]) / max(1, len(usual[a] | usual[b]))

    pairs = [(a, b) for a in range(0, DEFAULT.users, 2) for b in range(a)]
    same = np.mean([common(a, b) for a, b in pairs if people.team[a] == people.team[b]])
    apart = np.mean([common(a, b) for a, b in pairs if people.department[a] != people.department[b]])
    assert same > 0.25 > 5 * apart


def test_benign_new_edges_follow_the_structure_and_attacks_do_not(
    events: pd.DataFrame, labels: pd.DataFrame
) -> None:
    """Of people's new targets in the last days: how often somebody of the department was there before."""
    people = cast_of(DEFAULT)[0].people
    department = dict(zip(people.user, people.new_department, strict=True))
    human = events[events.user.isin(department)].assign(department=lambda table: table.user.map(department))
    attacks = labels[labels.kind == "novel_target"][[*KEY, "kind"]].drop_duplicates()
    human = human.merge(attacks, on=KEY, how="left")
    first = human.drop_duplicates(["user", "target"])
    first = first.assign(known=first.duplicated(["department", "target"]))  # rows are in order of time
    late = first[first.day >= DEFAULT.days - DEFAULT.attack_days]
    benign, attack = late[late.kind.isna()], late[late.kind.notna()]
    assert len(benign) > 5 * len(attack) > 50
    assert benign.known.mean() > 0.75 and attack.known.mean() < 0.35


def test_benign_and_malicious_overlap_in_what_counts_see(events: pd.DataFrame, labels: pd.DataFrame) -> None:
    """As many people come to four or more new places in a day benignly, and places are as popular."""
    human = events[events.user.str.match(PERSON)]
    popularity = human.groupby("target").user.nunique()
    attacks = labels[labels.malicious == 1].assign(kind=lambda table: table.kind)
    known = human.merge(attacks[[*KEY, "kind"]].drop_duplicates(), on=KEY, how="left")
    first = known.drop_duplicates(["user", "target"])
    late = first[first.day >= DEFAULT.days - DEFAULT.attack_days]
    benign, novel = late[late.kind.isna()], late[late.kind == "novel_target"]
    busy = benign.groupby(["user", "day"]).size()
    assert (busy >= 4).sum() > 3 * novel.groupby(["user", "day"]).ngroups
    spread = benign.target.map(popularity).quantile([0.05, 0.95])
    assert spread.iloc[0] <= novel.target.map(popularity).median() <= spread.iloc[1]


def test_rows_of() -> None:
    """Who has rows: 5 at 0 and 2, 7 at 1; chosen 7, 9, 5."""
    one, row = rows_of(np.array([5, 7, 5]), np.array([7, 9, 5]))
    assert one.tolist() == [0, 2, 2] and row.tolist() == [1, 0, 2]


# --- labels -------------------------------------------------------------------------------------------------


def test_every_label_is_an_event(events: pd.DataFrame, labels: pd.DataFrame) -> None:
    joined = labels.merge(events[KEY].drop_duplicates(), on=KEY, how="left", indicator=True)
    assert (joined["_merge"] == "both").all()


def test_kinds_and_campaign_numbers(labels: pd.DataFrame) -> None:
    attacks, sweeps = labels[labels.malicious == 1], labels[labels.malicious == 0]
    assert set(attacks.kind) == set(campaigns.KINDS)
    assert set(sweeps.kind) == {"benign_sweep", "benign_scan", "patch_night"}
    assert (sweeps.campaign == -1).all()
    assert sorted(attacks.campaign.unique()) == list(range(len(campaigns.KINDS) * DEFAULT.campaigns))
    assert (attacks.groupby("kind").campaign.nunique() == DEFAULT.campaigns).all()


def test_what_is_new_was_never_seen_and_what_is_woken_was_silent(
    events: pd.DataFrame, labels: pd.DataFrame
) -> None:
    """In all other events of the whole period; who comes back from vacation has not been woken."""
    joined = events.merge(labels[labels.malicious == 1][[*KEY, "kind"]].drop_duplicates(), on=KEY, how="left")
    others = joined[joined.kind.isna()]
    accounts = set(labels.user[labels.kind == "new_account"])
    assert len(accounts) == DEFAULT.campaigns and not accounts & set(others.user)
    machines = set(labels.source[labels.kind == "new_machine"])
    assert len(machines) == DEFAULT.campaigns and not machines & {*others.source, *others.target}
    woken = labels[labels.kind == "woken_account"].drop_duplicates("user")
    last = others.groupby("user").day.max()
    assert len(woken) == DEFAULT.campaigns and (last[woken.user] < DEFAULT.first_attack_day // 2).all()
    assert (woken.day.to_numpy() - last[woken.user].to_numpy() > 7).all()


@pytest.mark.parametrize("seed", range(3))
def test_attacks_are_late_and_on_working_days(seed: int) -> None:
    organisation = replace(TINY, seed=seed)
    labels = frame(simulate(organisation).labels, organisation)
    attacks = labels[labels.malicious == 1]
    assert (attacks.day >= organisation.first_attack_day).all()
    assert attacks.time.dt.day_of_week.max() < 5


@pytest.mark.parametrize("wrong", [{"users": 10}, {"days": 5, "attack_days": 5}, {"attack_days": 0}])
def test_an_impossible_organisation_is_an_error(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="organisation needs"):
        Organisation(**wrong)


# --- files --------------------------------------------------------------------------------------------------


def by_hand(**columns: list[str | None]) -> pa.Table:
    """Events of the second 7 January 2026, 08:00:00, with what is given."""
    n = len(columns["user"])
    plain = {"target_kind": ["machine"] * n, "action": ["logon"] * n, "logon_type": ["Network"] * n}
    plain |= {"auth_package": ["Kerberos"] * n, "outcome": ["success"] * n} | columns
    times = pa.array([datetime(2026, 1, 7, 8, tzinfo=UTC)] * n, pa.timestamp("us", "UTC"))
    return pa.table(
        {"time": times} | {name: pa.array(plain[name], pa.string()) for name in EVENT_COLUMNS[1:]}
    )


ALICE = "alice@corp.example"
NAMES = np.array(
    ["adm-alice@corp.example", ALICE, "dc-001", "share/x", "srv-1", "ws-1", "ws-1$@corp.example"]
)  # sorted


def test_lanl_by_hand(tmp_path: Path) -> None:
    logons = by_hand(
        user=["x", "y"],
        source=["pc", None],
        target=["x", "y"],
        outcome=["failure", "success"],
        action=["logon", "ticket"],
    )
    writers.write_lanl(logons, tmp_path / "auth.txt", datetime(2026, 1, 7, tzinfo=UTC))
    expected = "28800,x,x,pc,x,Kerberos,Network,LogOn,Fail\n28800,y,y,?,y,?,?,TGT,Success\n"
    assert (tmp_path / "auth.txt").read_text() == expected


def test_csv_and_staff_by_hand(tmp_path: Path) -> None:
    writers.write_csv(
        by_hand(user=["x"], source=["pc"], target=["y"], logon_type=[None]), tmp_path / "events.csv"
    )
    header = "timestamp,account,from_host,to_host,protocol,type,result"
    assert (
        tmp_path / "events.csv"
    ).read_text() == f"{header}\n2026-01-07T08:00:00Z,x,pc,y,Kerberos,,success\n"
    staff = {"user": ["x"], "department": ["it"], "role": ["lead"], "manager": ["x"], "kind": ["human"]}
    writers.write_staff(pa.table(staff), tmp_path / "people.csv")
    assert (tmp_path / "people.csv").read_text() == "user,department,role,manager,kind\nx,it,lead,x,human\n"


def windows_of(**columns: list[str | None]) -> list[dict]:
    return [json.loads(line) for line in windows.records(by_hand(**columns), NAMES).to_pylist()]


def facts(record: dict, *names: str) -> tuple[str, ...]:
    """Code, computer and some fields."""
    data = record["winlog"]["event_data"]
    return (record["winlog"]["event_id"], record["winlog"]["computer_name"], *(data[name] for name in names))


def test_windows_kerberos_logon() -> None:
    """At the controller a service ticket of alice's for SRV-1, at SRV-1 a logon; ws-1 has number 5:
    10.0.0.5, controller 5 % 3."""
    ticket, logon = windows_of(user=[ALICE], source=["ws-1"], target=["srv-1"])
    fields = ("TargetUserName", "TargetDomainName", "ServiceName", "IpAddress", "Status")
    expected = (
        "4769",
        "DC-003.corp.example",
        "alice@CORP.EXAMPLE",
        "CORP.EXAMPLE",
        "SRV-1$",
        "::ffff:10.0.0.5",
        "0x0",
    )
    assert facts(ticket, *fields) == expected
    fields = (
        "TargetUserName",
        "TargetDomainName",
        "LogonType",
        "IpAddress",
        "WorkstationName",
        "LogonProcessName",
    )
    assert facts(logon, *fields) == (
        "4624",
        "SRV-1.corp.example",
        "alice",
        "CORP",
        "3",
        "10.0.0.5",
        "-",
        "Kerberos",
    )
    assert logon["winlog"]["event_data"]["TargetUserSid"].endswith("-1101")
    assert logon["@timestamp"] == "2026-01-07T08:00:00Z" and logon["event"]["outcome"] == "success"
    assert [record["winlog"]["record_id"] for record in (ticket, logon)] == ["2", "3"]


def test_windows_ntlm_logon_and_failure() -> None:
    valid, logon = windows_of(user=[ALICE], source=["ws-1"], target=["srv-1"], auth_package=["NTLM"])
    assert facts(valid, "TargetUserName", "Workstation", "Status") == (
        "4776",
        "DC-003.corp.example",
        "alice",
        "WS-1",
        "0x0",
    )
    fields = ("WorkstationName", "IpAddress", "LmPackageName", "KeyLength")
    assert facts(logon, *fields) == ("4624", "SRV-1.corp.example", "WS-1", "10.0.0.5", "NTLM V2", "128")
    invalid, failure = windows_of(
        user=[ALICE], source=["ws-1"], target=["srv-1"], auth_package=["NTLM"], outcome=["failure"]
    )
    assert facts(invalid, "Status") == ("4776", "DC-003.corp.example", "0xc000006a")
    assert facts(failure, "TargetUserSid", "Status", "SubStatus") == (
        "4625",
        "SRV-1.corp.example",
        "S-1-0-0",
        "0xc000006d",
        "0xc000006a",
    )
    assert invalid["event"]["outcome"] == failure["event"]["outcome"] == "failure"


def test_windows_expired_password_of_a_service() -> None:
    *_, failure = windows_of(
        user=["svc-x@corp.example"], source=["ws-1"], target=["srv-1"], outcome=["failure"]
    )
    assert facts(failure, "Status", "FailureReason") == ("4625", "SRV-1.corp.example", "0xc0000071", "%%2309")


def test_windows_at_the_own_desk() -> None:
    """Nothing at the controller; the address is the loopback."""
    (logon,) = windows_of(
        user=[ALICE], source=["ws-1"], target=["ws-1"], auth_package=["Negotiate"], logon_type=["Interactive"]
    )
    fields = ("LogonType", "IpAddress", "IpPort", "WorkstationName", "LogonProcessName")
    assert facts(logon, *fields) == ("4624", "WS-1.corp.example", "2", "127.0.0.1", "0", "WS-1", "User32 ")


def test_windows_other_account() -> None:
    """An administrator's remote desktop: at the desk, alice uses adm-alice."""
    records = windows_of(
        user=["adm-alice@corp.example"], source=["ws-1"], target=["srv-1"], logon_type=["RemoteInteractive"]
    )
    assert [record["event"]["code"] for record in records] == ["4648", "4769", "4624"]
    fields = ("SubjectUserName", "TargetUserName", "TargetServerName")
    assert facts(records[0], *fields) == (
        "4648",
        "WS-1.corp.example",
        "alice",
        "adm-alice",
        "SRV-1.corp.example",
    )
    assert records[0]["winlog"]["event_data"]["SubjectUserSid"].endswith("-1101")


def test_windows_tickets() -> None:
    (ticket,) = windows_of(
        user=[ALICE], source=["ws-1"], target=["dc-001"], action=["ticket"], logon_type=[None]
    )
    fields = ("TargetUserName", "ServiceName", "IpAddress")
    assert facts(ticket, *fields) == ("4768", "DC-001.corp.example", "alice", "krbtgt", "::ffff:10.0.0.5")
    machine = "ws-1$@corp.example"
    (ticket,) = windows_of(
        user=[machine], source=["ws-1"], target=["dc-001"], action=["service_ticket"], logon_type=[None]
    )
    assert facts(ticket, "TargetUserName", "ServiceName") == (
        "4769",
        "DC-001.corp.example",
        "WS-1$@CORP.EXAMPLE",
        "DC-001$",
    )


def test_windows_share_and_what_windows_does_not_see() -> None:
    """Folder x is number 3: on the first of three file servers."""
    (share,) = windows_of(
        user=[ALICE], source=["ws-1"], target=["share/x"], action=["share_access"], target_kind=["resource"]
    )
    fields = ("SubjectUserName", "ShareName", "IpAddress")
    assert facts(share, *fields) == ("5140", "SRV-FS-001.corp.example", "alice", r"\\*\x", "10.0.0.5")
    assert (
        windows_of(user=[ALICE], source=["ws-1"], target=["sso/mail"], action=["sso"], logon_type=[None])
        == []
    )


def test_windows_anonymous() -> None:
    _, logon = windows_of(
        user=["anonymous logon@corp.example"], source=["ws-1"], target=["srv-1"], auth_package=["NTLM"]
    )
    fields = ("TargetUserName", "TargetDomainName", "TargetUserSid")
    assert facts(logon, *fields) == (
        "4624",
        "SRV-1.corp.example",
        "ANONYMOUS LOGON",
        "NT AUTHORITY",
        "S-1-5-7",
    )


def ocsf_of(**columns: list[str | None]) -> dict:
    (line,) = ocsf.records(by_hand(**columns)).to_pylist()
    return json.loads(line)


def test_ocsf_logon_by_hand() -> None:
    assert ocsf_of(user=[ALICE], source=["ws-1"], target=["srv-1"], outcome=["failure"]) == {
        "time": 1767772800000,
        "class_uid": 3002,
        "class_name": "Authentication",
        "category_uid": 3,
        "category_name": "Identity & Access Management",
        "activity_id": 1,
        "activity_name": "Logon",
        "type_uid": 300201,
        "severity_id": 1,
        "status_id": 2,
        "status": "Failure",
        "metadata": {"version": "1.3.0", "product": {"name": "simulation", "vendor_name": "ueba"}},
        "user": {"name": "alice", "domain": "corp.example", "type_id": 1},
        "src_endpoint": {"hostname": "ws-1"},
        "dst_endpoint": {"hostname": "srv-1"},
        "auth_protocol": "Kerberos",
        "auth_protocol_id": 2,
        "logon_type": "Network",
        "logon_type_id": 3,
        "is_remote": True,
    }


def test_ocsf_access() -> None:
    resource: dict[str, list[str | None]] = {
        "user": [ALICE],
        "source": ["ws-1"],
        "target_kind": ["resource"],
        "logon_type": [None],
    }
    share = ocsf_of(**resource, target=["share/x"], action=["share_access"])
    assert (share["type_uid"], share["file"]["name"], share["actor"]["user"]["name"]) == (
        600614,
        "share/x",
        "alice",
    )
    role = ocsf_of(**resource, target=["role/x"], action=["assume_role"])
    assert (role["class_uid"], role["api"]["operation"], role["resources"][0]["name"]) == (
        6003,
        "AssumeRole",
        "role/x",
    )
    sign_on = ocsf_of(**resource, target=["sso/mail"], action=["sso"], auth_package=["SAML"])
    assert (sign_on["type_uid"], sign_on["service"]["name"], sign_on["auth_protocol_id"]) == (
        300201,
        "sso/mail",
        5,
    )


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_name_that_breaks_json_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="quote"):
        fill({"user": "<user>"}, {"user": pa.array([name])})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    world, folder = simulate(TINY), tmp_path_factory.mktemp("logs")
    for name in formats.FILES:
        formats.write(world.events, name, folder)
    writers.write_labels(world.labels, folder / "labels.csv")
    return world, folder


def counted(events: pd.DataFrame, *columns: str) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(events[name].astype(str) for name in columns), strict=True))


def test_formats_tell_the_same_events(tiny: tuple[World, Path]) -> None:
    """Every format, read back with nothing but its own fields, says who reached what when, and whether it
    worked."""
    world, folder = tiny
    events = frame(world.events, TINY).assign(
        second=lambda table: table.time.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    columns = ("second", "user", "source", "target", "outcome")

    lanl = duckdb.sql(f"SELECT * FROM read_csv('{folder / formats.FILES['lanl']}', header=false)").df()
    lanl.columns = [
        "second",
        "actor",
        "user",
        "source",
        "target",
        "package",
        "type",
        "orientation",
        "outcome",
    ]
    lanl["second"] = pd.to_datetime(lanl.second, unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    lanl["outcome"] = lanl.outcome.map({"Success": "success", "Fail": "failure"})
    assert counted(lanl, *columns) == counted(events, *columns)

    table = pd.read_csv(folder / formats.FILES["csv"]).rename(
        columns={
            "timestamp": "second",
            "account": "user",
            "from_host": "source",
            "to_host": "target",
            "result": "outcome",
        }
    )
    assert counted(table, *columns) == counted(events, *columns)

    rows = []
    for line in gzip.open(folder / formats.FILES["ocsf"], "rt"):
        record = json.loads(line)
        user = record.get("user") or record["actor"]["user"]
        target = record.get("dst_endpoint", {}).get("hostname") or record.get("service", {}).get("name")
        target = target or record.get("file", {}).get("name") or record["resources"][0]["name"]
        second = datetime.fromtimestamp(record["time"] / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows.append(
            (
                second,
                f"{user['name']}@{user['domain']}",
                record["src_endpoint"]["hostname"],
                target,
                record["status"].lower(),
            )
        )
    assert Counter(rows) == counted(events, *columns)


def test_windows_tells_the_same_logons(tiny: tuple[World, Path]) -> None:
    """4624, 4625, 4768 and 5140 are one record an event; 4769 and 4776 are the controller's view of the same
    logons."""
    world, folder = tiny
    events = frame(world.events, TINY)
    found: Counter[tuple[str, str, str]] = Counter()
    codes: Counter[str] = Counter()
    for line in gzip.open(folder / formats.FILES["windows"], "rt"):
        record = json.loads(line)
        code, data = record["event"]["code"], record["winlog"]["event_data"]
        codes[code] += 1
        if code in ("4624", "4625"):
            name = data["TargetUserName"].lower()
            found[record["@timestamp"], f"{name}@corp.example", record["host"]["name"].lower()] += 1
    logons = events[events.action == "logon"]
    expected = counted(
        logons.assign(
            second=logons.time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), host=logons.target + ".corp.example"
        ),
        "second",
        "user",
        "host",
    )
    assert found == expected
    actions = Counter(events.action)
    kerberos = logons[(logons.auth_package == "Kerberos") & (logons.outcome == "success")]
    assert codes["4625"] == (logons.outcome == "failure").sum()
    assert codes["4768"] == actions["ticket"] and codes["5140"] == actions["share_access"]
    assert codes["4769"] == len(kerberos) + actions["service_ticket"]
    assert codes["4776"] == (logons.auth_package == "NTLM").sum()


def test_what_is_written_can_be_ingested(tiny: tuple[World, Path], tmp_path: Path) -> None:
    world, folder = tiny
    days = (date(2026, 1, 1), date(2026, 2, 1))
    report = ingest(folder / formats.FILES["lanl"], "lanl", tmp_path / "lanl")
    again = ingest(
        folder / formats.FILES["csv"], str(ROOT / "configs/sources/vpn_csv.toml"), tmp_path / "csv"
    )
    assert report.events == again.events == len(world.events)
    one, other = (lake.read_pairs(tmp_path / name, *days, "1GB").to_pandas() for name in ("lanl", "csv"))
    assert counted(one, "day", "user", "source", "target", "count") == counted(
        other, "day", "user", "source", "target", "count"
    )


def test_labels_name_events_as_the_lake_does(tiny: tuple[World, Path], tmp_path: Path) -> None:
    """In the OCSF log, which keeps resources, every label is an edge of its day. A controller's tickets are
    left out: a ticket is the same logon as one that follows from the same machine."""
    _, folder = tiny
    ingest(folder / formats.FILES["ocsf"], "ocsf", tmp_path / "lake")
    edges = lake.read_pairs(tmp_path / "lake", date(2026, 1, 1), date(2026, 2, 1), "1GB").to_pandas()
    key = ["day", "user", "source", "target"]
    labels = measure.read_labels(folder / "labels.csv")[key].drop_duplicates()
    labels = labels[~labels.target.str.startswith("dc-")]
    found = labels.merge(edges[[*key, "target_kind"]], on=key, how="left")
    assert len(found) == len(labels) > 100 and found.target_kind.notna().all()
    is_resource = found.target.str.contains("/")  # share/x, sso/x, role/x
    assert ((found.target_kind == "resource") == is_resource).all() and is_resource.any()


def test_people_csv_says_who_is_an_administrator(tiny: tuple[World, Path], tmp_path: Path) -> None:
    world, folder = tiny
    writers.write_staff(world.staff, tmp_path / "people.csv")
    files = (str(folder / formats.FILES["ocsf"]), "--entities", str(tmp_path / "people.csv"))
    assert CliRunner().invoke(main, ["--workspace", str(tmp_path), "ingest", *files]).exit_code == 0
    staff = world.staff.to_pandas()
    assert lake.administrators(tmp_path / "lake") == set(staff.user[staff.kind == "admin"])


@pytest.mark.parametrize("epoch", [None, start(TINY)])
def test_labels_file(tiny: tuple[World, Path], tmp_path: Path, epoch: datetime | None) -> None:
    world, _ = tiny
    writers.write_labels(world.labels, tmp_path / "labels.csv", epoch)
    read = pd.read_csv(tmp_path / "labels.csv")
    assert list(read.columns) == list(LABEL_COLUMNS)
    when = pd.to_datetime(
        read.time, utc=True, **({} if epoch is None else {"unit": "s", "origin": epoch.replace(tzinfo=None)})
    )
    labels = world.labels.to_pandas()
    assert (when == labels.time).all() and (read.campaign == labels.campaign).all()


def test_the_command_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    chosen = [argument for name in formats.FILES for argument in ("--log-format", name)]
    for name in ("a", "b"):
        arguments = [
            "simulate",
            "--output",
            str(tmp_path / name),
            "--users",
            "60",
            "--days",
            "10",
            "--campaigns",
            "1",
            *chosen,
        ]
        assert CliRunner().invoke(main, arguments).exit_code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert set(files) == {*formats.FILES.values(), "labels.csv", "people.csv"}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
