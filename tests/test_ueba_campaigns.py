"""Campaigns on a small scene drawn by hand: four departments, an administrator of two, a service account."""

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ueba.campaigns import KINDS, Scene, Wanted, inject, injection, invent, names, observe
from ueba.campaigns.events import way
from ueba.contracts.label import LABEL_COLUMNS
from ueba.detect.look.negatives import FAMILIES
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import IngestOptions, Options, ingest, lake

DAYS = [dt.date(2026, 1, 12) + dt.timedelta(days=number) for number in range(8)]
OFFICE = range(8, 17)
NIGHT = range(24)


BEGIN, END = dt.datetime(2025, 12, 22), dt.datetime(2026, 1, 11, 23)  # what is observed
GONE = ("c11@x", "d11@x")  # not seen after Christmas


def rows() -> Iterator[tuple[str, str, str, range]]:
    """user, source, target, hours: 12 clerks of each department use most of their ten servers, and one file
    share, by day."""
    for department, number in itertools.product("abcd", range(12)):
        user, desk = f"{department}{number}@x", f"{department}-ws{number}"
        for server in range(10):
            if (server + number) % 4:
                yield user, desk, f"{department}-srv{server}", OFFICE
        yield user, desk, f"{department}-share", OFFICE
    for department, server in itertools.product("ab", range(10)):
        yield "boss@x", "jump", f"{department}-srv{server}", OFFICE
    for server in range(4):
        yield "svc-backup@x", "backup", f"a-srv{server}", NIGHT


@pytest.fixture(scope="module")
def scene() -> Scene:
    user, source, target, hours = zip(*rows(), strict=True)
    table = {
        "user": user,
        "source": source,
        "target": target,
        "user_kind": ["service" if name.startswith("svc") else "human" for name in user],
        "target_kind": ["resource" if "share" in name else "machine" for name in target],
        "hours": pa.array([sum(1 << hour for hour in when) for when in hours], pa.int32()),
        "logon_types": [["Network"]] * len(user),
        "auth_packages": [["Kerberos"]] * len(user),
        "count": [1] * len(user),
        "first_seen": pa.array([BEGIN] * len(user), pa.timestamp("us")),
        "last_seen": pa.array(
            [dt.datetime(2025, 12, 24) if name in GONE else END for name in user], pa.timestamp("us")
        ),
    }
    return observe(pa.table(table), names=["a12@x"])


@pytest.fixture(scope="module")
def attacks(scene: Scene) -> pd.DataFrame:
    table = pd.concat(
        [invent(scene, DAYS, Wanted(1, seed=seed)).to_pandas().assign(seed=seed) for seed in range(20)]
    )
    return table.assign(day=table.time.dt.date, hour=table.time.dt.hour)


def campaigns_of(attacks: pd.DataFrame, kind: str) -> Iterator[pd.DataFrame]:
    chosen = attacks[attacks.kind == kind]
    assert len(chosen)
    return (campaign for _, campaign in chosen.groupby("seed"))


def usual(user: str) -> set[str]:
    return {target for name, _, target, _ in rows() if name == user}


def desk(user: str) -> str:
    return next(source for name, source, _, _ in rows() if name == user)


def department(name: str) -> str:
    return name[0]


def number(scene: Scene, user: str) -> int:
    return scene.users.tolist().index(user)


def test_what_is_seen_of_an_account(scene: Scene) -> None:
    user = number(scene, "a0@x")
    assert scene.places[scene.home[user]] == "a-ws0"
    assert set(scene.places[scene.reach(user)]) == usual("a0@x")
    assert set(scene.users[scene.colleagues(user)]) <= {f"a{number}@x" for number in range(12)}
    familiar = set(scene.places[scene.familiar(user)])
    assert {f"a-srv{number}" for number in range(10)} < familiar
    assert set(scene.users[scene.services]) == {"svc-backup@x"}
    assert "boss@x" in scene.users[scene.administrators]
    assert "boss@x" not in scene.users[scene.people]
    assert scene.hours[user].nonzero()[0].tolist() == list(OFFICE)


def test_likeness_by_hand() -> None:
    """a and b share `one` (audience 3), a has `two` besides (audience 1), c only `one`: (1/3) / sqrt(4/3 *
    1/3) = 1/2."""
    table = {"user": ["a", "a", "b", "c"], "source": ["s"] * 4, "target": ["one", "two", "one", "one"]}
    table |= {"user_kind": ["human"] * 4, "target_kind": ["machine"] * 4, "logon_types": [["Network"]] * 4}
    table["hours"] = pa.array([1] * 4, pa.int32())
    found = observe(pa.table(table), {"a": "x", "c": "x"})
    assert found.likeness(0) == pytest.approx([0, 0.5, 1.5])


def test_every_kind_says_what_it_is() -> None:
    assert {kind.resembles for kind in KINDS.values()} <= {"", *FAMILIES}
    for kind in KINDS.values():
        assert kind.meaning
        assert all(technique.startswith("T1") for technique in kind.techniques)


def test_events_read_as_events(attacks: pd.DataFrame) -> None:
    assert set(attacks.kind) == set(KINDS)
    assert set(attacks.day) <= set(DAYS)
    assert ((attacks.target_kind == "resource") == attacks.target.str.contains("share")).all()
    assert set(attacks.logon_type) == {"Network"}
    assert set(attacks.outcome) == {"success", "failure"}
    assert attacks.groupby("seed").time.is_monotonic_increasing.all()


def test_each_campaign_has_its_own_victim(scene: Scene) -> None:
    for seed in range(5):
        drawn = invent(scene, DAYS, Wanted(2, seed=seed)).to_pandas()
        own = drawn[
            drawn.kind.isin(["novel_target", "low_and_slow", "peer_mimic", "odd_hours", "credential_switch"])
        ]
        assert own.groupby("user").campaign.nunique().max() == 1
        assert (drawn.groupby("campaign").kind.nunique() == 1).all()


def test_novel_target(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "novel_target"):
        (user,) = set(campaign.user)
        assert set(campaign.source) == {desk(user)}
        assert not set(campaign.target.map(department)) & {department(user)}
        assert campaign.day.nunique() == 1 and 3 <= campaign.target.nunique() <= 8


def test_low_and_slow(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "low_and_slow"):
        (user,) = set(campaign.user)
        assert (campaign.groupby("day").target.nunique() == 1).all()
        assert 4 <= campaign.day.nunique() == campaign.target.nunique()
        assert not set(campaign.target.map(department)) & {department(user)}


def test_low_and_slow_has_no_more_steps_than_days(scene: Scene) -> None:
    drawn = invent(scene, DAYS[:2], Wanted(1, strength=3.0)).to_pandas()
    slow = drawn[drawn.kind == "low_and_slow"]
    assert slow.target.nunique() == slow.time.dt.date.nunique() == 2


def test_places_that_people_come_to_lately_are_chosen() -> None:
    """Thirty days: both have five visitors, who came to `old` on the first day and to `new` on the last, and
    `own` has one."""
    edges = (
        [(f"u{number}", "old", 1) for number in range(5)]
        + [(f"u{number}", "new", 30) for number in range(5)]
        + [("u0", "own", 1)]
    )
    user, target, day = zip(*edges, strict=True)
    table = {
        "user": user,
        "source": user,
        "target": target,
        "user_kind": ["human"] * 11,
        "target_kind": ["machine"] * 11,
    }
    table |= {"logon_types": [["Network"]] * 11, "hours": pa.array([1] * 11, pa.int32())}
    table["first_seen"] = pa.array(
        [dt.datetime(2026, 1, day_of_month) for day_of_month in day], pa.timestamp("us")
    )
    found = observe(pa.table(table))
    appeal = dict(zip(found.places.tolist(), found.appeal.tolist(), strict=True))
    assert {name: appeal[name] for name in ("old", "new", "own")} == pytest.approx(
        {"old": 0.3, "new": 5.3, "own": 0.05}
    )


def test_credential_switch(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "credential_switch"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert source != desk(user)
        assert set(campaign.target) <= usual(user)


def test_peer_mimic(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "peer_mimic"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert source != desk(user)
        assert set(campaign.target.map(department)) == {department(user)}
        assert not set(campaign.target) & usual(user)


def test_pivot_chain(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "pivot_chain"):
        hops = campaign.drop_duplicates(["source", "target"])
        if len(hops) == campaign.groupby("target").ngroups:  # repeated events do not reorder the first ones
            follows = dict(zip(hops.source, hops.target, strict=True))
            place = desk(next(user for user in campaign.user if desk(user) in follows))
            for _ in range(len(follows)):
                place = follows[place]
            assert set(campaign.target_kind) == {"machine"} and place not in follows


def test_odd_hours(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "odd_hours"):
        (user,) = set(campaign.user)
        assert set(campaign.source) == {desk(user)}
        assert set(campaign.target.map(department)) == {department(user)}
        assert campaign.time.min().hour not in OFFICE


@pytest.mark.parametrize(
    "kind",
    [name for name in KINDS if name not in ("odd_hours", "admin_inside", "service_abuse", "new_account")],
)
def test_others_begin_at_usual_hours(attacks: pd.DataFrame, kind: str) -> None:
    for campaign in campaigns_of(attacks, kind):
        assert campaign.time.min().hour in range(7, 18)


def test_service_abuse(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "service_abuse"):
        assert set(campaign.user) == {"svc-backup@x"}
        (source,) = set(campaign.source)
        assert "-ws" in source or source == "jump"
        assert set(campaign.target) & usual("svc-backup@x") and set(campaign.target) - usual("svc-backup@x")


def test_administrators(scene: Scene, attacks: pd.DataFrame) -> None:
    admins = set(scene.users[scene.administrators])
    for campaign in campaigns_of(attacks, "admin_inside"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert user in admins and set(campaign.target) <= usual(user)
        assert source != desk(user) or campaign.time.min().hour not in OFFICE
    for campaign in campaigns_of(attacks, "admin_outside"):
        (user,) = set(campaign.user)
        assert user in admins and not set(campaign.target) & usual(user)
        assert set(campaign.source) == {desk(user)}


def test_burst(attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "burst"):
        assert campaign.source.nunique() == 1
        assert campaign.target.nunique() >= 20
        assert campaign.time.max() - campaign.time.min() < pd.Timedelta(hours=2)


def test_new_account(scene: Scene, attacks: pd.DataFrame) -> None:
    """Many servers within minutes at an hour when nobody works, or a handful; never a workstation."""
    quiet, few = 0, 0
    for campaign in campaigns_of(attacks, "new_account"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert user not in scene.users and user not in scene.names
        assert re.fullmatch(r"[abcd]1[23]@x|svc-backup2@x|coss@x|poss@x", user)
        assert source in scene.places or re.fullmatch(r"[abcd]-ws1[23]|jump2", source)
        assert set(campaign.target) <= {*scene.places[scene.servers]}
        if campaign.target.nunique() >= 12:
            assert campaign.time.max() - campaign.time.min() < pd.Timedelta(hours=1)
            assert campaign.time.min().hour not in OFFICE
            quiet += 1
        else:
            assert campaign.target.nunique() <= 8 and set(campaign.target) <= {*scene.places[scene.important]}
            few += 1
    assert quiet >= 3 and few >= 3


def test_servers_are_nobodys_own(scene: Scene) -> None:
    assert all("-srv" in name for name in scene.places[scene.servers]) and len(scene.servers) == 40
    assert set(scene.places[scene.important]) < set(scene.places[scene.servers])


def test_new_machine(scene: Scene, attacks: pd.DataFrame) -> None:
    for campaign in campaigns_of(attacks, "new_machine"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert user in scene.users and source not in scene.places
        assert re.fullmatch(rf"{department(user)}-ws1[23]", source)
        assert not set(campaign.target.map(department)) & {department(user)}


def test_woken_account(scene: Scene, attacks: pd.DataFrame) -> None:
    assert set(scene.users[scene.silent]) == set(GONE)
    for campaign in campaigns_of(attacks, "woken_account"):
        (user,), (source,) = set(campaign.user), set(campaign.source)
        assert user in GONE and source != desk(user) and source in scene.places
        assert set(campaign.target) & usual(user) and set(campaign.target) - usual(user)


@pytest.mark.parametrize(
    ("last", "silent"),
    [("2026-01-10", ["u1"]), ("2026-01-11", []), ("2026-01-21", []), (None, [])],
)
def test_silent_for_half_of_the_time(last: str | None, silent: list[str]) -> None:
    """Of twenty days, from the first on: u1 was seen last on the given day, u2 to the end; without times
    nobody is silent."""
    edges = [(user, f"t{number}") for user in ("u1", "u2") for number in range(3)]
    user, target = zip(*edges, strict=True)
    table = {"user": user, "source": user, "target": target, "user_kind": ["human"] * 6}
    table |= {"target_kind": ["machine"] * 6, "logon_types": [["Network"]] * 6}
    table["hours"] = pa.array([1] * 6, pa.int32())
    if last is not None:
        times = (
            [pd.Timestamp("2026-01-01")] * 6,
            [pd.Timestamp(last)] * 3 + [pd.Timestamp("2026-01-20T12")] * 3,
        )
        table |= {
            name: pa.array(column, pa.timestamp("us"))
            for name, column in zip(("first_seen", "last_seen"), times, strict=True)
        }
    found = observe(pa.table(table))
    assert found.users[found.silent].tolist() == silent


def test_no_name_is_used_twice(scene: Scene) -> None:
    """Many campaigns at once: every new account and machine has a name of its own that nobody had."""
    drawn = invent(scene, DAYS, Wanted(3)).to_pandas()
    accounts = drawn[drawn.kind == "new_account"].groupby("campaign").user.agg(["nunique", "first"])
    assert len(accounts) == 3 and (accounts["nunique"] == 1).all() and accounts["first"].is_unique
    assert not set(accounts["first"]) & {*scene.users, *scene.names}
    machines = drawn[~drawn.source.isin(scene.places)].groupby("campaign").source.agg(["nunique", "first"])
    assert len(machines) >= 3 and (machines["nunique"] == 1).all() and machines["first"].is_unique


def test_important_places_are_reached_at_a_screen() -> None:
    """Two of three edges to the server are at a screen; nobody is at a screen of the other one."""
    table = {"user": ["a", "b", "c", "a"], "source": ["pa", "pb", "pc", "pa"], "target": ["s"] * 3 + ["t"]}
    table |= {"user_kind": ["human"] * 4, "target_kind": ["machine"] * 4}
    table["logon_types"] = [["Network"], ["Network", "RemoteInteractive"], ["Interactive"], ["Network"]]
    found = observe(pa.table(table | {"hours": pa.array([1] * 4, pa.int32())}))
    assert found.is_interactive.tolist() == [False, True, True, False]
    rng = np.random.default_rng(0)
    types = {
        name: {way(found, number, rng, interactive=True).logon_type for _ in range(40)}
        for name, number in zip(
            "st", (found.places.tolist().index("s"), found.places.tolist().index("t")), strict=True
        )
    }
    assert types == dict.fromkeys("st", {"RemoteInteractive", "Interactive"})
    assert {way(found, int(found.target[3]), rng).logon_type for _ in range(9)} == {"Network"}


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("u017@x", {"u017@x", "u099@x", "u0100@y"}, "u100@x"),  # the largest of its form
        ("u9@x", {"u9@x"}, "u10@x"),
        ("mlopez2@x", {"mlopez@x", "mlopez2@x"}, "mlopez3@x"),
        ("mlopez@x", {"mlopez@x", "eramos@x"}, "elopez@x"),
        ("mlopez@x", {"mlopez@x", "eramos@x", "elopez@x"}, "mlopez2@x"),
        ("maria.lopez", {"maria.lopez", "eva.ramos"}, "eva.lopez"),
        ("svc-scan@x", {"svc-scan@x", "svc-backup@x"}, "svc-scan2@x"),
    ],
)
def test_the_name_of_a_new_account(name: str, taken: set[str], expected: str) -> None:
    assert names.new_account(name, sorted(taken), taken) == expected


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("hr-ws-013", {"hr-ws-013", "hr-ws-114", "it-ws-900"}, "hr-ws-115"),
        ("ws7.site2.example", {"ws7.site2.example", "ws9.site3.example"}, "ws8.site2.example"),
        ("kiosk.site2.example", {"kiosk.site2.example"}, "kiosk2.site2.example"),
        ("jump", {"jump", "jump2"}, "jump3"),
        ("10.0.3.9", {"10.0.3.1", "10.0.3.2", "10.0.3.9"}, "10.0.3.3"),
        ("10.0.3.9", set(), "10.0.3.1"),
        ("10.0.3.9", {f"10.0.3.{host}" for host in range(255)}, "10.0.4.1"),
    ],
)
def test_the_name_of_a_new_machine(name: str, taken: set[str], expected: str) -> None:
    assert names.new_machine(name, taken) == expected


def test_seeded(scene: Scene) -> None:
    assert invent(scene, DAYS, Wanted(2, seed=3)).equals(invent(scene, DAYS, Wanted(2, seed=3)))
    assert not invent(scene, DAYS, Wanted(2, seed=3)).equals(invent(scene, DAYS, Wanted(2, seed=4)))


def test_strength_orders_the_number_of_steps(scene: Scene) -> None:
    def steps(strength: float) -> pd.Series:
        drawn = pd.concat(
            [
                invent(scene, DAYS, Wanted(1, strength, seed)).to_pandas().assign(seed=seed)
                for seed in range(12)
            ]
        )
        return drawn.drop_duplicates(["seed", "kind", "source", "target"]).groupby("kind").target.count()

    weak, plain, strong = steps(0.4), steps(1.0), steps(2.0)
    few = {"peer_mimic"}  # colleagues have hardly more places than these
    assert (weak < plain).all()
    assert (plain < strong).drop(few).all() and (plain <= strong).all()


def test_strength_goes_farther_from_colleagues() -> None:
    """Three servers that a's colleagues do not use: b, who is somewhat like a, uses one; strangers use the
    others."""
    edges = [("a", "own"), ("a", "common"), ("b", "common"), ("b", "near")]
    edges += [(f"mate{number}", target) for number in range(12) for target in ("own", "common")]
    edges += [(f"other{number}", target) for number in range(3) for target in ("far1", "far2")]
    user, target = zip(*edges, strict=True)
    table = {"user": user, "source": user, "target": target, "user_kind": ["human"] * len(edges)}
    table |= {"target_kind": ["machine"] * len(edges), "logon_types": [["Network"]] * len(edges)}
    found = observe(pa.table(table | {"hours": pa.array([1] * len(edges), pa.int32())}))
    assert set(found.places[found.unfamiliar(0, 0.01)]) == {"near", "far1", "far2"}
    assert set(found.places[found.unfamiliar(0, 1.0)]) == {"far1", "far2"}


@pytest.mark.parametrize(("days", "strength"), [([], 1.0), (DAYS, 0.0), (DAYS, -1.0)])
def test_impossible_wishes_are_errors(scene: Scene, days: list[dt.date], strength: float) -> None:
    with pytest.raises(UsageError, match="need a day"):
        invent(scene, days, Wanted(1, strength))


def test_an_account_that_never_sleeps_stands_for_a_service_where_names_do_not_tell(scene: Scene) -> None:
    user, source, target, hours = zip(*rows(), strict=True)
    table = {"user": [name.replace("svc-", "q") for name in user], "source": source, "target": target}
    table |= {"user_kind": ["human"] * len(user), "target_kind": ["machine"] * len(user)}
    table["hours"] = pa.array([sum(1 << hour for hour in when) for when in hours], pa.int32())
    found = observe(pa.table(table | {"logon_types": [["Network"]] * len(user)}))
    assert found.users[found.services].tolist() == ["qbackup@x"]


# --- into a lake --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of the scene in a lake."""
    folder = tmp_path_factory.mktemp("lake")
    lines = []
    for day, (user, source, target, hours) in itertools.product(range(10), rows()):
        second = day * 86_400 + hours[day % len(hours)] * 3600
        lines.append(f"{second},{user},{user},{source},{target},Kerberos,Network,LogOn,Success")
    (folder / "auth.txt").write_text("\n".join(lines) + "\n")
    ingest(
        folder / "auth.txt", "lanl", folder / "lake", IngestOptions(Options(epoch=dt.datetime(2026, 1, 5)))
    )
    return folder / "lake"


FIRST, LAST = dt.date(2026, 1, 12), dt.date(2026, 1, 14)


def content(folder: Path) -> list[dict]:
    return lake.read(folder, dt.date.min, dt.date.max, "1GB").to_pylist()


def test_injecting_adds_the_campaigns_and_nothing_else(root: Path, tmp_path: Path) -> None:
    before = content(root)
    labels = inject(root, tmp_path / "copy", FIRST, LAST, Wanted(1), "1GB")
    assert content(root) == before
    assert list(labels.columns) == list(LABEL_COLUMNS)
    assert set(labels.kind) == set(KINDS) - {"woken_account"}  # in seven days nobody is silent for weeks
    assert (labels.malicious == 1).all()
    assert labels.time.dt.date.between(FIRST, LAST).all()

    def counts(folder: Path) -> pd.Series:
        pairs = lake.read_pairs(folder, dt.date(2026, 1, 1), dt.date(2026, 1, 31), "1GB").to_pandas()
        return pairs.set_index(["day", "user", "source", "target"])["count"]

    added = labels.assign(day=labels.time.dt.date).groupby(["day", "user", "source", "target"]).size()
    expected = counts(root).add(added, fill_value=0).astype(int)
    pd.testing.assert_series_equal(
        counts(tmp_path / "copy").sort_index(), expected.sort_index(), check_names=False
    )


def test_injecting_is_seeded(root: Path, tmp_path: Path) -> None:
    one, again, other = (
        inject(root, tmp_path / name, FIRST, LAST, Wanted(1, seed=seed), "1GB")
        for name, seed in zip("abc", (0, 0, 1), strict=True)
    )
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_names_of_other_days_are_not_used(root: Path, tmp_path: Path) -> None:
    """Accounts that appear after the days that campaigns are written from exist all the same."""
    injection.copy_lake(root, tmp_path / "with")
    late = [
        f"{9 * 86_400},{team}12@x,{team}12@x,{team}-ws12,a-srv2,Kerberos,Network,LogOn,Success"
        for team in "abcd"
    ]
    (tmp_path / "late.txt").write_text("\n".join(late) + "\n")
    ingest(
        tmp_path / "late.txt",
        "lanl",
        tmp_path / "with",
        IngestOptions(Options(epoch=dt.datetime(2026, 1, 5))),
    )

    labels = inject(tmp_path / "with", tmp_path / "copy", FIRST, LAST, Wanted(6), "1GB")
    there = {name for row in content(tmp_path / "with") for name in (row["user"], row["source"])}
    assert {"a12@x", "a-ws12"} <= there
    assert not there & {
        *labels.user[labels.kind == "new_account"],
        *labels.source[labels.kind == "new_machine"],
    }


def test_a_quiet_day_hides_nothing(root: Path, tmp_path: Path) -> None:
    """A Sunday with a single edge."""
    line = f"{13 * 86_400},a1@x,a1@x,a-ws1,a-srv2,Kerberos,Network,LogOn,Success\n"
    injection.copy_lake(root, tmp_path / "with")
    (tmp_path / "sunday.txt").write_text(line)
    ingest(
        tmp_path / "sunday.txt",
        "lanl",
        tmp_path / "with",
        IngestOptions(Options(epoch=dt.datetime(2026, 1, 5))),
    )
    sunday = dt.date(2026, 1, 18)
    assert injection.working_days(tmp_path / "with", FIRST, sunday) == [
        FIRST + dt.timedelta(days=number) for number in range(3)
    ]


def test_no_campaigns_is_a_copy(root: Path, tmp_path: Path) -> None:
    assert not len(inject(root, tmp_path / "copy", FIRST, LAST, Wanted(0), "1GB"))
    assert lake.read_pairs(tmp_path / "copy", FIRST, LAST, "1GB").equals(
        lake.read_pairs(root, FIRST, LAST, "1GB")
    )


def test_what_cannot_be_injected(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already there"):
        inject(root, tmp_path, FIRST, LAST, Wanted(1), "1GB")
    with pytest.raises(WorkspaceError, match="days before"):
        inject(root, tmp_path / "a", dt.date(2026, 1, 5), LAST, Wanted(1), "1GB")
    with pytest.raises(WorkspaceError, match="no edges from"):
        inject(root, tmp_path / "b", dt.date(2026, 1, 20), dt.date(2026, 1, 21), Wanted(1), "1GB")
