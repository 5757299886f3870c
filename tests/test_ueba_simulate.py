"""One small organisation with the default shape, looked at from every side; the numbers are wide on purpose."""

import gzip
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ueba.errors import ConfigError
from ueba.simulate import (
    EVENT_COLUMNS,
    KINDS,
    LABEL_COLUMNS,
    Organisation,
    gather,
    simulate,
    write_csv,
    write_labels,
    write_lanl,
)

ORGANISATION = Organisation()
EPOCH = datetime.combine(ORGANISATION.start, datetime.min.time(), UTC)
SMALL = Organisation(users=60, days=10, attack_days=7, campaigns=1)
KEY = ["time", "user", "source", "target"]


@pytest.fixture(scope="module")
def world() -> tuple[pa.Table, pa.Table]:
    return simulate(ORGANISATION)


@pytest.fixture(scope="module")
def events(world: tuple[pa.Table, pa.Table]) -> pd.DataFrame:
    return world[0].to_pandas()


@pytest.fixture(scope="module")
def labels(world: tuple[pa.Table, pa.Table]) -> pd.DataFrame:
    return world[1].to_pandas()


def test_columns_types_and_order(world):
    events, labels = world
    assert events.column_names == EVENT_COLUMNS
    assert labels.column_names == LABEL_COLUMNS
    for table in world:
        assert table.schema.field("time").type == pa.timestamp("us", "UTC")
        assert table["time"].to_pandas().is_monotonic_increasing
        assert sum(column.null_count for column in table.columns) == 0


def test_vocabulary(events):
    assert set(events.target_kind) == {"machine", "resource"}
    assert set(events.action) == {"logon", "ticket", "service_ticket", "share_access"}
    assert set(events.outcome) == {"success", "failure"}
    assert set(events.logon_type) == {"Network", "Interactive", "Unlock", "RemoteInteractive", "Batch", "Service"}
    assert (events.user == events.user.str.lower()).all()
    assert events.user.str.fullmatch(r"[^@]+@corp\.example").all()
    assert ((events.action == "share_access") == (events.target_kind == "resource")).all()


def test_same_seed_same_tables_other_seed_others():
    events, labels = simulate(SMALL)
    again, labels_again = simulate(SMALL)
    other, _ = simulate(replace(SMALL, seed=1))
    assert events.equals(again)
    assert labels.equals(labels_again)
    assert not events.equals(other)


def test_size_and_time():
    started = time.perf_counter()
    events, _ = simulate(ORGANISATION)
    assert time.perf_counter() - started < 5
    assert 80_000 < len(events) < 200_000


def test_who_there_is(events):
    people = events.user[~events.user.str.contains(r"\$|^svc-|^adm-|^anonymous", regex=True)].nunique()
    machines = set(events.source) | set(events.target[events.target_kind == "machine"])
    assert people == ORGANISATION.users
    assert 330 < len(machines) < 400
    for kind_of_account in (r"\$@", "^svc-", "^adm-", "^anonymous logon@"):
        assert events.user.str.contains(kind_of_account).any()


def test_names_are_unique_where_there_are_more_people_than_names():
    people = gather(Organisation(users=3000), np.random.default_rng(0)).people
    assert len(set(people.user)) == len(set(people.workstation)) == 3000


def test_every_label_is_an_event(events, labels):
    joined = labels.merge(events[KEY].drop_duplicates(), on=KEY, how="left", indicator=True)
    assert (joined["_merge"] == "both").all()


def test_kinds_and_campaign_numbers(labels):
    attacks, sweeps = labels[labels.malicious == 1], labels[labels.malicious == 0]
    assert set(attacks.kind) == set(KINDS)
    assert set(sweeps.kind) == {"benign_sweep", "benign_scan"}
    assert (sweeps.campaign == -1).all()
    assert sorted(attacks.campaign.unique()) == list(range(len(KINDS) * ORGANISATION.campaigns))
    assert (attacks.groupby("campaign").kind.nunique() == 1).all()
    assert (attacks.groupby("kind").campaign.nunique() == ORGANISATION.campaigns).all()


@pytest.mark.parametrize("seed", range(4))
def test_campaigns_are_small_and_late(seed):
    organisation = replace(ORGANISATION, seed=seed)
    attacks = simulate(organisation)[1].to_pandas().query("malicious == 1")
    begin = EPOCH + timedelta(days=organisation.days - organisation.attack_days)
    assert (attacks.time >= begin).all()
    assert (attacks.time < EPOCH + timedelta(days=organisation.days)).all()
    sizes = attacks.groupby(["kind", "campaign"]).size()
    assert sizes.drop("burst").between(2, 12).all()
    assert sizes["burst"].between(20, 60).all()


def test_shape_of_the_kinds(labels):
    attacks = labels[labels.malicious == 1].assign(day=lambda table: table.time.dt.date)
    by_kind = {kind: table.groupby("campaign") for kind, table in attacks.groupby("kind")}
    assert (by_kind["low_and_slow"].day.nunique() == 6).all()  # 21 to 28 January 2026 without a weekend
    assert attacks.time.dt.day_of_week.max() < 5
    assert (by_kind["burst"].source.nunique() == 1).all()
    for _, chain in by_kind["pivot_chain"]:
        assert list(chain.source[1:]) == list(chain.target[:-1])
    assert attacks.user[attacks.kind == "service_abuse"].str.startswith("svc-").all()
    assert attacks.user[attacks.kind == "admin_misuse"].str.startswith("adm-").all()


def test_no_event_outside_the_period(events):
    assert events.time.min() >= EPOCH
    assert events.time.max() < EPOCH + timedelta(days=ORGANISATION.days)


def test_weekends_are_quieter(events):
    per_day = events.groupby(events.time.dt.date).size()
    weekend = pd.to_datetime(per_day.index).day_of_week >= 5
    assert per_day[weekend].max() * 3 < per_day[~weekend].min()


def test_admins_are_broader(events):
    reach = events.groupby("user").target.nunique()
    admins = reach[reach.index.str.startswith("adm-")]
    people = reach[~reach.index.str.contains(r"\$|^svc-|^adm-|^anonymous", regex=True)]
    assert admins.mean() > 2 * people.mean()
    assert admins.max() > people.quantile(0.99)


def test_colleagues_share_more_than_strangers(events):
    """What a graph can learn: two of one team have more targets in common than two of different departments."""
    people = gather(ORGANISATION, np.random.default_rng(ORGANISATION.seed)).people
    reach = events[events.target.str.contains(r"srv-(?:db|app|file|ts)|share")].groupby("user").target.agg(set)
    usual = [reach.get(user, set()) for user in people.user]

    def common(a: int, b: int) -> float:
        return len(usual[a] & usual[b]) / max(1, len(usual[a] | usual[b]))

    pairs = [(a, b) for a in range(ORGANISATION.users) for b in range(a)]
    same = np.mean([common(a, b) for a, b in pairs if people.team[a] == people.team[b]])
    apart = np.mean([common(a, b) for a, b in pairs if people.department[a] != people.department[b]])
    assert same > 0.3 > 5 * apart


def test_lanl_file_round_trip(world, tmp_path: Path):
    events, _ = world
    for name in ("auth.txt", "auth.txt.gz"):
        write_lanl(events, tmp_path / name, EPOCH)
        rows = duckdb.sql(f"select * from read_csv('{tmp_path / name}', header=false)").df()
        assert rows.shape == (len(events), 9)
    assert gzip.open(tmp_path / "auth.txt.gz").read() == (tmp_path / "auth.txt").read_bytes()
    original = events.to_pandas()
    assert (pd.to_datetime(rows.iloc[:, 0], unit="s", origin=EPOCH.replace(tzinfo=None), utc=True) == original.time).all()
    for position, column in enumerate(["user", "user", "source", "target"], start=1):
        assert (rows.iloc[:, position] == original[column]).all()
    assert set(rows.iloc[:, 7]) == {"LogOn", "TGT", "TGS"}
    assert ((rows.iloc[:, 8] == "Fail") == (original.outcome == "failure")).all()


def test_lanl_lines_by_hand(tmp_path: Path):
    columns = {name: ["x", "y"] for name in EVENT_COLUMNS} | {
        "time": pa.array([EPOCH + timedelta(seconds=7), EPOCH + timedelta(days=1)], pa.timestamp("us", "UTC")),
        "source": ["pc", None],
        "action": ["logon", "ticket"],
        "outcome": ["failure", "success"],
    }
    write_lanl(pa.table(columns), tmp_path / "auth.txt", EPOCH)
    assert (tmp_path / "auth.txt").read_text() == "7,x,x,pc,x,x,x,LogOn,Fail\n86400,y,y,?,y,?,?,TGT,Success\n"


def test_csv_and_labels_files(world, tmp_path: Path):
    events, labels = world
    write_csv(events, tmp_path / "vpn.csv")
    lines = (tmp_path / "vpn.csv").read_text().splitlines()
    assert lines[0] == "timestamp,account,from_host,to_host,protocol,type,result"
    assert len(lines) == len(events) + 1
    assert lines[1].startswith("2026-01-05T00:") and lines[1].split(",")[0].endswith("Z")
    for epoch in (None, EPOCH):
        write_labels(labels, tmp_path / "labels.csv", epoch)
        read = pd.read_csv(tmp_path / "labels.csv")
        assert list(read.columns) == LABEL_COLUMNS
        when = pd.to_datetime(read.time, utc=True, **({} if epoch is None else {"unit": "s", "origin": EPOCH.replace(tzinfo=None)}))
        assert (when == labels.to_pandas().time).all()
        assert (read.campaign == labels.to_pandas().campaign).all()


@pytest.mark.parametrize("wrong", [{"users": 10}, {"days": 5, "attack_days": 5}, {"attack_days": 0}])
def test_an_impossible_organisation_is_an_error(wrong):
    with pytest.raises(ConfigError, match="organisation needs"):
        Organisation(**wrong)
