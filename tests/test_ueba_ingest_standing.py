"""What entity tables say of crown jewels, honey, leavers and maintenance, in the forms of other systems."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given as where
from hypothesis import strategies as st
from ingest_world import event, read

from ueba import state
from ueba.contracts.entity import Entity
from ueba.contracts.standing import STAYS, Standing, Window
from ueba.errors import InputError
from ueba.ingest import lake
from ueba.ingest.identity import entities, standing, tables

MARCH_31 = dt.date(2026, 3, 31)
NIGHT = Window(dt.datetime(2026, 1, 20, 22), dt.datetime(2026, 1, 21, 4))
WHOLE_DAY = Window(dt.datetime(2026, 1, 20), dt.datetime(2026, 1, 20, 23, 59, 59, 999999))


def of_table(folder: Path, text: str, name: str = "people.csv") -> dict[str, Standing]:
    """The standing of each entity of a table, by name."""
    (folder / name).write_text(text)
    return {listed.name: listed.standing for listed in tables.read(folder / name)}


def problem(folder: Path, text: str, name: str = "people.csv") -> str:
    """The message about a table that cannot be read."""
    with pytest.raises(InputError) as error:
        of_table(folder, text, name)
    return str(error.value).removeprefix(f"{folder}/")


# --- each column --------------------------------------------------------------------------------------------


def test_a_table_says_all_four(tmp_path: Path) -> None:
    found = of_table(
        tmp_path,
        "user,department,crown_jewel,honey,left,maintenance\n"
        "ann,Sales,yes,,,\n"
        "bait,,no,TRUE,,\n"
        "eve,,,,2026-03-31,\n"
        "svc,,0,false,no,2026-01-20T22:00/2026-01-21T04:00;2026-01-20\n"
        "bob,IT,,,,\n",
    )
    assert found == {
        "ann": Standing(crown_jewel=True),
        "bait": Standing(crown_jewel=False, honey=True),
        "eve": Standing(left=MARCH_31),
        "svc": Standing(crown_jewel=False, honey=False, left=STAYS, maintenance=(WHOLE_DAY, NIGHT)),
        "bob": Standing(),
    }
    assert [bool(says) for says in found.values()] == [True, True, True, True, False]
    [ann, *_] = tables.read(tmp_path / "people.csv")
    assert ann.attributes == {"department": "Sales"}  # and none of the columns with a meaning of their own


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("Crown Jewel", "Y", Standing(crown_jewel=True)),
        ("highvalue", "True", Standing(crown_jewel=True)),  # BloodHound
        ("isTierZero", "false", Standing(crown_jewel=False)),
        ("HVA", "1.0", Standing(crown_jewel=True)),  # a column of numbers with gaps
        ("is_honeypot", "x", Standing(honey=True)),
        ("Honey-Token", "n", Standing(honey=False)),
        ("Termination Date", "3/31/2026", Standing(left=MARCH_31)),  # Workday
        ("employeeLeaveDateTime", "2026-03-31T17:00:00Z", Standing(left=MARCH_31)),  # Entra
        ("lastDateWorked", "2026-03-31T00:00:00.000", Standing(left=MARCH_31)),  # SuccessFactors
        ("Last Working Day", "31.03.2026", Standing(left=MARCH_31)),
        ("left", "31-Mar-2026", Standing(left=MARCH_31)),
        ("left", "March 31, 2026", Standing(left=MARCH_31)),
        ("left", "20260331", Standing(left=MARCH_31)),
        ("left", "20260331170000.0Z", Standing(left=MARCH_31)),  # LDAP
        ("left", "2026-04-01T00:30:00+02:00", Standing(left=MARCH_31)),
        ("left", "2026/3/31", Standing(left=MARCH_31)),
        ("left", "31/03/2026 5:00 PM", Standing(left=MARCH_31)),
        ("left", "04/04/2026", Standing(left=dt.date(2026, 4, 4))),  # the same either way
        ("left", "9999-12-31", Standing(left=STAYS)),  # SAP: no end
        ("left", "never", Standing(left=STAYS)),
        ("left", "0000-00-00", Standing()),
        ("left", "NaT", Standing()),
        ("left", " - ", Standing()),
        ("maintenance", "2026-01-20 22:00 - 2026-01-21 04:00", Standing(maintenance=(NIGHT,))),
        ("maintenance", "2026-01-20T23:00+01:00 to 2026-01-21T04:00Z", Standing(maintenance=(NIGHT,))),
        ("maintenance_window", "20/01/2026 22:00 until 21/01/2026 04:00", Standing(maintenance=(NIGHT,))),
        ("Maintenance Windows", "1/20/2026 10:00 PM – 1/21/2026 4:00 AM", Standing(maintenance=(NIGHT,))),
        ("maintenance", "2026-01-20", Standing(maintenance=(WHOLE_DAY,))),
        ("maintenance", "no", Standing()),
    ],
)
def test_what_other_systems_write(tmp_path: Path, column: str, cell: str, says: Standing) -> None:
    quoted = f'"{cell}"'
    assert of_table(tmp_path, f"user,{column}\nann,{quoted}\n") == {"ann": says}


def test_two_columns_make_a_window_and_several_rows_several(tmp_path: Path) -> None:
    found = of_table(
        tmp_path,
        "cmdb_ci,planned_start_date,planned_end_date\n"
        "SRV1,2026-01-20 22:00:00,2026-01-21 04:00:00\n"
        "srv1,2026-01-20,2026-01-20\n"
        "srv2,,\n",
        "changes.csv",
    )
    assert found == {"srv1": Standing(maintenance=(WHOLE_DAY,)), "srv2": Standing()}  # of each row, the last
    tables.write(tmp_path / "changes.csv", tmp_path / "lake")
    srv1, _ = tables.stored(tmp_path / "lake")
    assert srv1.standing.maintenance == (WHOLE_DAY, NIGHT)


def test_the_order_of_day_and_month_is_that_of_the_column(tmp_path: Path) -> None:
    assert of_table(tmp_path, "user,left\nann,03/04/2026\nbob,25/12/2026\n")["ann"].left == dt.date(
        2026, 4, 3
    )
    assert of_table(tmp_path, "user,left\nann,03/04/2026\nbob,12/25/2026\n")["ann"].left == dt.date(
        2026, 3, 4
    )
    for rest in ("", "bob,25/12/2026\neve,12/25/2026\n"):
        message = problem(tmp_path, f"user,left\nann,03/04/2026\n{rest}")
        assert message == (
            "people.csv: line 2, column left: '03/04/2026': the day or the month may stand first; write a day"
            " as 2026-03-31, or no"
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "user,Crown_Jewel\nann,yes\nbob,maybe\n",
            "line 3, column crown_jewel: 'maybe': write true, yes or 1, or false, no or 0",
        ),
        ("user,honey\nann,2\n", "line 2, column honey: '2': write true, yes or 1, or false, no or 0"),
        ("user,left\nann,yes\n", "line 2, column left: 'yes': write a day as 2026-03-31, or no"),
        (
            "user,left\nann,2026-02-30\n",
            "line 2, column left: '2026-02-30': write a day as 2026-03-31, or no",
        ),
        ("user,left\nann,46112\n", "column left: '46112': write a day"),
        ("user,left\nann,31/3/26\n", "column left: '31/3/26': write a day"),
        ("user,left\nann,2026-03-31T25:00\n", "column left: '2026-03-31T25:00': write a day"),
        ("user,left\nann,٢٠٢٦-03-31\n", "column left: '٢٠٢٦-03-31': write a day"),
        (
            "host,maintenance\nsrv,2026-01-21/2026-01-20\n",
            "column maintenance: '2026-01-21/2026-01-20': it ends before it begins; write a window as",
        ),
        (
            "host,maintenance\nsrv,2026-01-01/2028-01-01\n",
            "'2026-01-01/2028-01-01': it is longer than 366 days; write a window as",
        ),
        ("host,maintenance\nsrv,yes\n", "'yes': write a window as 2026-01-20T22:00/2026-01-21T04:00"),
        (
            "host,maintenance_from,maintenance_until\nsrv,2026-01-20T22:00,\n",
            "line 2, column maintenance_from: '2026-01-20T22:00': a window has two ends; fill in both",
        ),
        (
            "host,maintenance_start,maintenance_end\nsrv,2026-01-20,2026-01-19\n",
            "line 2, column maintenance_end: '2026-01-19': it ends before it begins; write a window",
        ),
        (
            'user,note,honey\nann,"a\nb",no\n\nbob,,perhaps\n',  # a cell of two lines, then an empty line
            "line 5, column honey: 'perhaps'",
        ),
    ],
)
def test_an_unknown_value_is_named_by_file_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    found = problem(tmp_path, text)
    assert found.startswith("people.csv: line ") and message in found
    assert not (tmp_path / "lake").exists()


def test_rows_of_json_and_parquet_are_numbered(tmp_path: Path) -> None:
    rows = [{"user": "ann", "honey": True, "left": None}, {"user": "bob", "honey": None, "left": MARCH_31}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "people")
    assert {row.name: row.standing for row in tables.read(tmp_path / "people")} == {
        "ann": Standing(honey=True),
        "bob": Standing(left=MARCH_31),
    }
    lines = '{"user": "ann"}\n{"user": "bob", "honey": 7}\n'  # a column that the first row lacks
    assert problem(tmp_path, lines).startswith("people.csv: line 2, column honey: '7'")
    whole = json.dumps([{"user": "ann"}, {"user": "bob", "maintenance": ["2026-01-20", "later"]}])
    assert problem(tmp_path, whole).startswith("people.csv: row 2, column maintenance: 'later'")


def test_a_hostile_cell_stays_in_its_message(tmp_path: Path) -> None:
    cell = "\x1b[31mred\u202e" + "x" * 5000
    message = problem(tmp_path, f"user,honey\nann,{cell}\n")
    assert message.isprintable() and len(message) < 300
    assert of_table(tmp_path, 'user,honey\n"a\x1b]0;x\x07",yes\n') == {"a\x1b]0;x\x07": Standing(honey=True)}


@where(st.text(max_size=60))
def test_any_cell_is_understood_or_refused(text: str) -> None:
    for read_cell in (standing.boolean, standing.last_day, standing.start, standing.end, standing.window):
        try:
            read_cell(text, None)  # type: ignore[operator]
        except (ValueError, OverflowError):
            continue


def test_ten_thousand_rows_are_quick(tmp_path: Path) -> None:
    rows = "".join(
        f"user{n},{n % 2},{n % 28 + 1:02}/{n % 12 + 1:02}/2026,2026-01-20\n" for n in range(10_000)
    )
    (tmp_path / "people.csv").write_text(f"user,crown_jewel,left,maintenance\n{rows}")
    started = time.process_time()
    assert tables.write(tmp_path / "people.csv", tmp_path / "lake") == 10_000
    assert time.process_time() - started < 10
    assert tables.stored(tmp_path / "lake")[27].standing.left == dt.date(2026, 4, 28)


# --- resources, several tables, several names ---------------------------------------------------------------


def test_resources_have_tables_too(tmp_path: Path) -> None:
    (tmp_path / "shares.csv").write_text("share,crown_jewel\n\\\\FS1\\Payroll,yes\n")
    (tmp_path / "things.csv").write_text("name,kind,honey\nVault,application,1\nsrv9,server,1\nann,human,1\n")
    found = [row for name in ("shares", "things") for row in tables.read(tmp_path / f"{name}.csv")]
    assert [(row.kind, row.name) for row in found] == [
        ("resource", "\\\\FS1\\Payroll"),
        ("resource", "Vault"),
        ("host", "srv9"),
        ("user", "ann"),
    ]
    for name in ("shares", "things"):
        tables.write(tmp_path / f"{name}.csv", tmp_path / "lake")
    read(tmp_path, [event("09:00:00", "ann", "ws1", "\\\\FS1\\Payroll", target_kind="resource")])
    assert entities.standings(tmp_path / "lake") == {
        Entity("resource", "\\\\FS1\\Payroll"): Standing(crown_jewel=True),
        Entity("resource", "Vault"): Standing(honey=True),
        Entity("machine", "srv9"): Standing(honey=True),
        Entity("user", "ann"): Standing(honey=True),
    }


def test_of_two_tables_the_later_file_name_counts_and_an_empty_cell_says_nothing(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "user,crown_jewel,left,maintenance\nann,yes,2026-03-31,2026-01-20\nbob,yes,,\n"),
        ("b.csv", "user,crown_jewel,left,maintenance\nann,,no,2026-01-20T22:00/2026-01-21T04:00\nbob,no,,\n"),
    ):
        (tmp_path / name).write_text(text)
        tables.write(tmp_path / name, tmp_path / "lake")
    ann, bob = tables.stored(tmp_path / "lake")
    assert ann.standing == Standing(crown_jewel=True, left=STAYS, maintenance=(WHOLE_DAY, NIGHT))
    assert bob.standing == Standing(crown_jewel=False) and not bob.standing
    (tmp_path / "a.csv").write_text("user,left\nann,\n")  # the same table again: what it said is gone
    tables.write(tmp_path / "a.csv", tmp_path / "lake")
    assert tables.stored(tmp_path / "lake")[0].standing == Standing(left=STAYS, maintenance=(NIGHT,))


@pytest.mark.parametrize(
    ("column", "listed", "met"),
    [
        ("user", "alice", "alice@corp.example"),  # the only alice of the logs
        ("user", "CORP\\Alice", "alice@corp.example"),  # the domain's short name
        ("host", "db1.corp.example", "db1"),  # which the logs call db1
        ("host", "WS7", "ws7.corp.example"),  # which the logs call by its full name
    ],
)
def test_a_short_name_of_a_table_is_the_entity_that_logs_know(
    tmp_path: Path, column: str, listed: str, met: str
) -> None:
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp.example", "ws7.corp.example", "db1"),
            event("09:00:00", "bob@corp.example", "ws7.corp.example", "db1"),
        ],
    )
    (tmp_path / "list.csv").write_text(f"{column},honey,floor\n{listed},yes,3\n")
    tables.write(tmp_path / "list.csv", tmp_path / "lake")
    read(tmp_path, [event("10:00:00", "bob@corp.example", "ws7.corp.example", "db1")])
    found = entities.standings(tmp_path / "lake")
    assert found[Entity("user" if column == "user" else "machine", met)] == Standing(honey=True)
    [row] = [row for row in entities.read(tmp_path / "lake") if row.name == met]
    assert row.attributes == {"floor": "3"} and row.standing.honey


def test_a_short_name_that_may_be_two_is_neither_and_an_own_row_counts_most(tmp_path: Path) -> None:
    read(
        tmp_path,
        [event("09:00:00", f"{name}@{domain}", "ws1", "srv") for name in ("ann", "kim") for domain in "ab"]
        + [event("09:00:00", "alice@a", "ws1", "srv")],
    )
    (tmp_path / "list.csv").write_text(
        "user,honey,left\nann,yes,\nalice@a,no,\nalice,yes,2026-03-31\nkim@a,yes,\n"
    )
    tables.write(tmp_path / "list.csv", tmp_path / "lake")
    read(tmp_path, [event("10:00:00", "ann@a", "ws1", "srv")])
    assert entities.standings(tmp_path / "lake") == {
        Entity("user", "ann"): Standing(honey=True),
        Entity("user", "alice"): Standing(honey=True, left=MARCH_31),
        Entity("user", "alice@a"): Standing(honey=False, left=MARCH_31),
        Entity("user", "kim@a"): Standing(honey=True),
    }


def test_a_lake_of_a_version_that_knew_of_none_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("user,floor\nann,3\n")
    tables.write(tmp_path / "list.csv", tmp_path / "lake")
    read(tmp_path, [event("10:00:00", "ann", "ws1", "srv")])
    path = tmp_path / "lake" / "entities.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["standing"]), path)
    state.seal(path)
    assert entities.standings(tmp_path / "lake") == {}
    [ann] = [row for row in entities.read(tmp_path / "lake") if row.name == "ann"]
    assert ann.standing == Standing() and ann.attributes == {"floor": "3"}
    assert lake.read_entities(tmp_path / "lake") is not None
