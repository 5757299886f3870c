"""Who is new on a day: a small world worked out by hand, an oracle on random lakes, the command and the
page."""

import csv
import datetime as dt
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_world import event, read
from scored_world import incident_of, scored_edge, table
from small_workspace import run

from ueba import findings
from ueba.config import Config
from ueba.contracts import versions
from ueba.contracts.names import Identity
from ueba.contracts.newcomer import NEW_ACCOUNT, NEW_MACHINE, WOKEN_ACCOUNT, Newcomer, NewToday, With
from ueba.errors import WorkspaceError
from ueba.investigate import newcomers
from ueba.investigate.report import page
from ueba.workspace import Workspace

FIRST, TODAY = dt.date(2026, 3, 1), dt.date(2026, 3, 20)
INCIDENT = "20260320-aaaaaaaa"


def at(day: int, time: str, user: str, source: str | None, *targets: str, **more: Any) -> list[str]:
    """Lines of a day of March."""
    return [event(f"2026-03-{day:02}T{time}", user, source, target, **more) for target in targets]


def everything() -> list[str]:
    """Twenty days. ann and bob come every day; joe joined early, hal, tom and kim since the 11th; dan and gil
    were silent for nine days or more, hal was not."""
    lines = []
    for day in range(1, 21):
        lines += at(day, "08:00:00", "ann", "pc1", "srv", "db")
        lines += at(day, "08:30:00", "bob", "pc2", "srv", "web")
    lines += at(3, "09:00:00", "joe", "pc2", "srv", "db", "web", "mail")
    lines += at(12, "09:00:00", "tom", "pc9", "srv", "web") + at(
        14, "09:00:00", "kim", "pc2", "srv", "db", "web"
    )
    lines += at(5, "09:00:00", "dan", "pc3", "srv") + at(20, "11:00:00", "dan", "pc2", "vault", "srv")
    lines += at(10, "09:00:00", "gil", "pc4", "srv") + at(20, "12:00:00", "gil", "pc4", "srv")
    lines += at(11, "09:00:00", "hal", "pc5", "srv") + at(20, "12:00:00", "hal", "pc5", "srv")
    lines += at(20, "00:08:00", "eve", "kali", "srv", "web", "x1")
    lines += at(20, "00:09:00", "eve", "kali", "x1", target_kind="resource")
    lines += at(20, "10:00:00", "zoe", "pc1", "vault", "srv")
    lines += at(20, "13:00:00", "ann", "pc1", "srv9") + at(20, "14:00:00", "bob", "pc2", "srv9")
    return lines


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("world"))
    read(workspace.root, everything())
    edges = [
        scored_edge(user="eve", source="kali", target=name, incident=INCIDENT) for name in ("srv", "web")
    ]
    incident = incident_of(edges, day=TODAY, rank=1, score=9.0)
    findings.save(findings.Findings(TODAY, table(edges).assign(day=TODAY), (incident,)), workspace.findings)
    return workspace


@pytest.fixture(scope="module")
def today(world: Workspace) -> NewToday:
    return newcomers.new_today(world, TODAY)


def called(found: NewToday, name: str, what: str | None = None) -> Newcomer:
    (one,) = (one for one in found.newcomers if one.name == name and what in (None, one.what))
    return one


def test_who_is_new(today: NewToday) -> None:
    """The lake goes back 19 days: nine days of silence, and newcomers since the 11th to compare with."""
    assert (today.silent_days, today.since) == (9, dt.date(2026, 3, 11))
    names = {what: {one.name for one in today.newcomers if one.what == what} for what in today.counts}
    assert names == {
        NEW_ACCOUNT: {"eve", "zoe"},
        NEW_MACHINE: {"kali", "x1", "vault", "srv9"},
        WOKEN_ACCOUNT: {"dan", "gil"},
    }
    assert today.counts == {NEW_ACCOUNT: 2, NEW_MACHINE: 4, WOKEN_ACCOUNT: 2}


def test_a_new_account_from_a_new_machine(today: NewToday) -> None:
    """A machine and a resource called x1 are two places. hal reached one place on his first day, tom two,
    kim three; nobody of the organisation was on kali."""
    assert called(today, "eve") == Newcomer(
        what=NEW_ACCOUNT,
        name="eve",
        kind="human",
        first_seen=dt.datetime(2026, 3, 20, 0, 8),
        last_before=None,
        beside=(With("kali", is_new=True, usually=None),),
        reached=4,
        reached_usual=2.0,
        accounts=None,
        accounts_usual=None,
        compared=3,
        targets=("srv", "web", "x1"),
        known=None,
        colleagues="",
        incident=INCIDENT,
    )


def test_a_new_account_on_a_known_machine_is_asked_about_there(today: NewToday) -> None:
    """ann, whose machine it is, knows srv and not the vault."""
    zoe = called(today, "zoe")
    assert zoe.beside == (With("pc1", is_new=False, usually="ann"),)
    assert (zoe.reached, zoe.known, zoe.colleagues) == (2, 0.5, "accounts of its machines")
    assert zoe.incident is None


def test_a_woken_account_knows_what_it_knew(today: NewToday) -> None:
    """dan was last seen on the 5th, and nobody knows the vault. gil was silent for nine days, hal for
    eight. gil is alone on his machine."""
    dan, gil = called(today, "dan"), called(today, "gil")
    assert (dan.last_before, dan.known, dan.colleagues) == (
        dt.date(2026, 3, 5),
        0.5,
        "accounts of its machines",
    )
    assert dan.beside == (With("pc2", is_new=False, usually="bob"),)
    assert (gil.last_before, gil.known, gil.colleagues) == (dt.date(2026, 3, 10), 1.0, "itself before")
    assert (gil.reached_usual, gil.compared) == (None, 0)


def test_new_machines(today: NewToday) -> None:
    """pc5 and pc9 are the new machines of the days before: one account each, one place and two. A server
    that people begin to use reaches nothing itself."""
    kali, server = called(today, "kali"), called(today, "srv9")
    assert kali.beside == (With("eve", is_new=True, usually=None),)
    assert (kali.reached, kali.accounts, kali.known, kali.incident) == (4, 1, None, INCIDENT)
    assert server.beside == (With("ann", False, "pc1"), With("bob", False, "pc2"))
    assert (server.reached, server.accounts, server.targets, server.known) == (0, 2, (), None)
    assert (server.reached_usual, server.accounts_usual, server.compared) == (1.5, 1.0, 2)


def test_what_nobody_knows_comes_first(today: NewToday) -> None:
    assert [(one.name, one.reached_unknown) for one in today.newcomers] == [
        ("eve", 4),
        ("kali", 4),
        ("zoe", 1),
        ("dan", 1),
        ("gil", 0),
        ("srv9", 0),
        ("vault", 0),
        ("x1", 0),
    ]


def test_silence_can_be_shorter_or_longer(world: Workspace) -> None:
    def woken(days: int) -> set[str]:
        found = newcomers.new_today(world, TODAY, days)
        return {one.name for one in found.newcomers if one.what == WOKEN_ACCOUNT}

    assert woken(8) == {"dan", "gil", "hal"} and woken(10) == {"dan"} and woken(15) == set()


def test_days_that_begin_a_lake_or_are_not_in_it(world: Workspace) -> None:
    assert newcomers.new_today(world, FIRST).newcomers == ()
    early = newcomers.new_today(world, dt.date(2026, 3, 3))
    assert [one.name for one in early.newcomers] == ["joe", "mail"] and early.silent_days == 7
    with pytest.raises(WorkspaceError, match="no edges of 2026-04-01; it has days from 2026-03-01"):
        newcomers.new_today(world, dt.date(2026, 4, 1))


def test_a_department_is_asked_before_a_machine(tmp_path: Path) -> None:
    """zoe's department knows the vault, ann's machine does not; nobody of the department knows db."""
    staff = tmp_path / "people.csv"
    staff.write_text("user,Department\nann,sales\nzoe,legal\nlea,legal\n")
    lines = at(1, "08:00:00", "ann", "pc1", "srv", "db") + at(1, "08:00:00", "lea", "pc2", "vault")
    read(tmp_path, lines + at(2, "08:00:00", "zoe", "pc1", "vault", "db"))
    log = sorted(tmp_path.glob("log*"))[0]
    run(tmp_path, "ingest", str(log), "--log-format", str(tmp_path / "all.toml"), "--entities", str(staff))
    zoe = called(newcomers.new_today(Workspace(tmp_path), dt.date(2026, 3, 2)), "zoe")
    assert (zoe.known, zoe.colleagues) == (0.5, "department legal")


def test_departments_of_an_entity_table() -> None:
    def person(name: str, **attributes: str) -> Identity:
        return Identity("user", name, None, False, 0, (), (), attributes)

    people = [person("ann", Department="hr"), person("bob", department=""), person("eve", team="hr")]
    assert newcomers.departments(people) == {"ann": "hr"}


def test_an_oracle_on_random_lakes(tmp_path: Path) -> None:
    """Counted with sets: who has no edge before, or none for so many days."""
    rng = np.random.default_rng(3)
    rows = [
        (int(day), f"u{rng.integers(12)}", f"m{rng.integers(15)}", f"m{rng.integers(15)}")
        for day in np.sort(rng.integers(1, 29, 60))
    ]
    read(tmp_path, [line for row in rows for line in at(row[0], "10:00:00", row[1], row[2], row[3])])
    workspace, first = Workspace(tmp_path), min(rows)[0]
    for day, silent in itertools.product(sorted({row[0] for row in rows} - {first}), (3, 9)):
        today, before = [row for row in rows if row[0] == day], [row for row in rows if row[0] < day]
        lately = {user for other, user, _, _ in before if other >= day - silent}
        known_users = {row[1] for row in before}
        known_machines = {name for row in before for name in row[2:]}
        expected = {(NEW_ACCOUNT, row[1]) for row in today if row[1] not in known_users}
        expected |= {(WOKEN_ACCOUNT, row[1]) for row in today if row[1] in known_users - lately}
        expected |= {(NEW_MACHINE, name) for row in today for name in row[2:] if name not in known_machines}
        found = newcomers.new_today(workspace, dt.date(2026, 3, day), silent).newcomers
        assert {(one.what, one.name) for one in found} == expected and len(found) == len(expected)
        for one in found:
            if one.what == NEW_MACHINE:
                accounts = {row[1] for row in today if one.name in row[2:]}
                reached = {row[3] for row in today if row[2] == one.name != row[3]}
                assert (one.accounts, one.reached, set(one.targets)) == (len(accounts), len(reached), reached)
            else:
                assert set(one.targets) == {row[3] for row in today if row[1] == one.name}


# --- in words -----------------------------------------------------------------------------------------------


def test_a_newcomer_in_words(today: NewToday) -> None:
    eve, zoe = (newcomers.as_row(called(today, name)) for name in ("eve", "zoe"))
    assert eve["with"] == ["kali (new)"] and eve["reached"] == "4, usually 2" and eve["known"] == ""
    assert zoe["with"] == ["pc1 (of ann)"] and zoe["known"] == "50% to accounts of its machines"
    gil, server = newcomers.as_row(called(today, "gil")), newcomers.as_row(called(today, "srv9"))
    assert gil["new"] == "woken account, last seen 2026-03-10" and gil["with"] == ["pc4 (its own)"]
    assert gil["reached"] == "1"
    assert server["reached"] == "0, usually 1.5; 2 accounts, usually 1"
    assert server["with"] == ["ann (usually on pc1)", "bob (usually on pc2)"]
    assert newcomers.sentence(today).startswith(
        "2 new accounts, 4 new machines, 2 woken accounts on 2026-03-20"
    )
    nobody = NewToday(TODAY, 9, FIRST, ())
    assert newcomers.sentence(nobody) == "Nobody and nothing is new on 2026-03-20"


# --- the command --------------------------------------------------------------------------------------------


def test_the_command(world: Workspace) -> None:
    shown = run(world.root, "newcomers")
    assert "eve" in shown.stdout and "kali (new)" in shown.stdout and INCIDENT in shown.stdout
    assert "2 new accounts" in shown.stderr and "not seen for 9 days" in shown.stderr
    short = run(world.root, "newcomers", "--limit", "1")
    assert "zoe" not in short.stdout and "and 7 more; --limit 8 shows them" in short.stderr
    records = json.loads(run(world.root, "newcomers", "--format", "json").stdout)
    lines = run(world.root, "newcomers", "--format", "jsonl", "--day", "2026-03-20").stdout.splitlines()
    assert [json.loads(line) for line in lines] == records and len(records) == 8
    assert records[0]["schema_version"] == versions.NEWCOMER and records[0]["day"] == "2026-03-20"
    assert records[0]["beside"] == [{"name": "kali", "is_new": True, "usually": None}]
    assert records[0]["first_seen"] == "2026-03-20T00:08:00" and records[0]["targets"] == ["srv", "web", "x1"]
    [row, *others] = csv.DictReader(io.StringIO(run(world.root, "newcomers", "--format", "csv").stdout))
    assert (row["name"], row["reached"], row["incident"], row["beside"]) == ("eve", "4", INCIDENT, "kali")
    assert len(others) == 7


def test_the_command_without_newcomers(world: Workspace, tmp_path: Path) -> None:
    quiet = run(world.root, "newcomers", "--day", "2026-03-15")
    assert quiet.stdout == "" and "Nobody and nothing is new on 2026-03-15" in quiet.stderr
    assert "no edges of 2026-05-01" in run(world.root, "newcomers", "--day", "2026-05-01", code=1).output
    assert "ueba ingest" in run(tmp_path, "newcomers", code=1).output


# --- the page -----------------------------------------------------------------------------------------------


def section(html: str) -> str:
    return html.partition('<section aria-labelledby="new">')[2].partition("</section>")[0]


def test_the_page_has_a_section(world: Workspace, today: NewToday, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = page.facts(world, TODAY, Config())
    assert facts.new_today == today
    shown = section(page.render(facts))
    assert f'<a href="#{INCIDENT}">' in shown and "kali (new)" in shown and "4, usually 2" in shown
    assert "The other" not in shown
    monkeypatch.setattr(page, "SHOWN_NEW", 3)
    assert "The other 5" in section(page.render(facts))


def test_the_page_of_a_day_that_is_gone_or_begins_the_lake(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    rows = table([scored_edge()]).assign(day=TODAY)
    findings.save(findings.Findings(TODAY, rows, ()), workspace.findings)
    assert "holds the day no longer" in section(page.page(workspace, TODAY, Config()))
    read(tmp_path, at(20, "08:00:00", "ann", "pc1", "srv"))
    assert "begins on this day" in section(page.page(workspace, TODAY, Config()))
