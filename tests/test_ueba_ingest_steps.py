"""SQL in named steps: order, parameters, and what UEBA_SHOW_SQL prints."""

from pathlib import Path

import duckdb
import pytest

import ueba
from ueba.ingest import steps
from ueba.ingest.steps import Step

FILE = """-- Squares of a few numbers.
-- step: numbers
-- Smaller than $less.
SELECT range AS number FROM range($less)

-- step: squares
SELECT number * number AS square FROM numbers WHERE number >= $least
"""


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "squares.sql"
    path.write_text(FILE)
    return path


def test_a_file_is_its_steps_in_order(path):
    numbers, squares = steps.read(path)
    assert numbers == Step("numbers", "-- Smaller than $less.\nSELECT range AS number FROM range($less)")
    assert squares.name == "squares"
    assert squares.sql.startswith("SELECT number * number")


@pytest.mark.parametrize("text", ["SELECT 1", "-- step: a\nSELECT 1\n-- step: a\nSELECT 2"])
def test_a_file_without_steps_or_with_two_of_a_name_is_a_fault(tmp_path, text):
    (tmp_path / "bad.sql").write_text(text)
    with pytest.raises(ValueError, match="bad.sql"):
        steps.read(tmp_path / "bad.sql")


def test_each_step_is_a_table_for_later_ones(connection, path):
    steps.run(connection, steps.read(path), {"less": 5, "least": 2, "unused": "x"})
    assert connection.execute("FROM squares ORDER BY ALL").fetchall() == [(4,), (9,), (16,)]


def test_temporary_tables_are_seen_by_their_cursor_alone(connection, path):
    cursor = connection.cursor()
    for less in (7, 5):  # the second run replaces what the first one made
        steps.run(cursor, steps.read(path), {"less": less, "least": 2}, temporary=True)
    assert cursor.execute("SELECT count(*) FROM squares").fetchall() == [(3,)]
    assert connection.execute("SHOW TABLES").fetchall() == []


def test_a_parameter_that_is_not_given_is_a_fault(connection, path):
    with pytest.raises(duckdb.InvalidInputException, match="least"):
        steps.run(connection, steps.read(path), {"less": 5})


def test_a_statement_returns_how_many_rows_it_wrote(connection, tmp_path):
    copy = f"COPY (FROM range(7)) TO '{tmp_path}/seven.csv'"
    assert steps.execute(connection, Step("seven", copy)) == 7
    assert steps.execute(connection, Step("view", "CREATE VIEW v AS SELECT 1")) is None


@pytest.mark.parametrize(
    "shown, names",
    [(None, []), ("1", ["numbers", "squares"]), ("squares", ["squares"]), ("other", [])],
)
def test_steps_are_printed_on_demand(connection, path, capsys, monkeypatch, shown, names):
    monkeypatch.delenv(steps.SHOW, raising=False)
    if shown:
        monkeypatch.setenv(steps.SHOW, shown)
    steps.run(connection, steps.read(path), {"less": 5, "least": 2})
    printed = capsys.readouterr().err
    assert [line.removeprefix("-- step: ") for line in printed.splitlines() if "step:" in line] == names
    assert ("CREATE TABLE squares AS\nSELECT number * number" in printed) == ("squares" in names)
    assert ("-- 3 rows" in printed) == ("squares" in names)
    assert ("-- 5 rows" in printed) == ("numbers" in names)


def test_every_sql_file_of_the_package_can_be_read():
    for path in Path(ueba.__file__).parent.rglob("*.sql"):
        assert steps.read(path), path
