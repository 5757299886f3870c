"""Every log source reads its own records whole, and loses none of them whatever they contain.

The records are those of `tests/records`: `<log source>.<extension>`, or `<log source>-<form>.<extension>` for
a log that comes in several forms. A log source is tested from the day on which its module exists, and fails
until it has records.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import ODD

from ueba.ingest import events, ingest_all, lake, sources
from ueba.ingest.batch import compiled
from ueba.ingest.reading.characters import safe
from ueba.ingest.reading.feed import LINES
from ueba.ingest.reading.stream import now
from ueba.ingest.sources import Options, Sample
from ueba.spelling import NOT_NAMES

RECORDS = Path(__file__).parent / "records"
FILES = sorted(path for path in RECORDS.iterdir() if path.suffix != ".toml")
MAPPING = RECORDS / "mapped.toml"
DELIMITERS = (",", "\t", ";", "|", "<", " ")  # of fields, of records that are no JSON


def name_of(path: Path) -> str:
    """The log source whose records a file has."""
    return path.name.split(".")[0].split("-")[0]


def format_of(path: Path) -> str:
    return str(MAPPING) if name_of(path) == sources.MAPPED else name_of(path)


@pytest.mark.parametrize("name", sources.modules())
def test_every_log_source_has_records(name: str) -> None:
    assert name in map(name_of, FILES), (
        f"no valid records of {name}: add tests/records/{name}.<extension>, one record of every kind a line"
        " (a header first if the format has one)"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_valid_records_are_read_whole(tmp_path: Path, path: Path) -> None:
    """None is dropped, except headers and what is no logon; and nobody has to name the format."""
    format = "auto" if name_of(path) != sources.MAPPED else str(MAPPING)
    compiled.cache_clear()  # each file by itself
    (report,) = ingest_all([str(path)], format, tmp_path / "lake")
    assert (report.problem, report.format) == (None, Path(format_of(path)).name)
    assert report.events and report.lines == len(path.read_text().splitlines())
    assert [name for name in report.dropped if name != events.HEADER and not is_no_logon(name)] == []


def is_no_logon(reason: str) -> bool:
    return reason.startswith(events.NOT_A_LOGON)


# --- anything that may be wrong with a record ---------------------------------------------------------------

VALUES = st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=9)
VALUES |= st.lists(st.text(max_size=3), max_size=2)
JUNK = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=4)


def replaced(draw: st.DrawFn, place: dict[str, Any], key: str) -> None:
    place[key] = json.loads(json.dumps(draw(VALUES), default=str))


def removed(draw: st.DrawFn, place: dict[str, Any], key: str) -> None:
    del place[key]


def renamed(draw: st.DrawFn, place: dict[str, Any], key: str) -> None:
    place[draw(st.text(max_size=5) | st.just(key.upper()))] = place.pop(key)


def nested(draw: st.DrawFn, place: dict[str, Any], key: str) -> None:
    inner = place.pop(key)
    place[key] = draw(st.sampled_from([[inner], {key: inner}, [[inner]], {"": {"a": inner}}]))


def as_text(draw: st.DrawFn, place: dict[str, Any], key: str) -> None:
    place[key] = json.dumps(place[key])


CHANGES: list[Callable[[st.DrawFn, dict[str, Any], str], None]] = [
    replaced,
    replaced,
    removed,
    renamed,
    nested,
    as_text,
]


def changed_object(draw: st.DrawFn, text: str) -> str:
    """A JSON object with up to three of its keys changed, at any depth."""
    record = json.loads(text)
    for _ in range(draw(st.integers(0, 3))):
        place = record
        while place:
            key = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or not place[key] or draw(st.booleans()):
                draw(st.sampled_from(CHANGES))(draw, place, key)
                break
            place = place[key]
    return json.dumps(record)


def changed_fields(draw: st.DrawFn, text: str, delimiter: str) -> str:
    """A line with up to three of its fields replaced, removed, or written twice."""
    fields = text.split(delimiter)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(fields) - 1)) if fields else 0
        fields[at : at + 1] = draw(
            st.sampled_from([[], fields[at : at + 1] * 2, [str(draw(VALUES))], [draw(JUNK)]])
        )
    return delimiter.join(fields)


@st.composite
def mutated(draw: st.DrawFn, path: Path, records: list[str]) -> str:
    """A record of a file with something wrong in it."""
    text = draw(st.sampled_from(records))
    if path.suffix == ".jsonl":
        text = changed_object(draw, text)
    else:
        commonest = max(DELIMITERS, key=text.count)
        text = changed_fields(draw, text, draw(st.sampled_from([commonest, " "])))
    at, end = draw(st.integers(0, len(text))), draw(st.integers(0, 9))
    junk = draw(JUNK)
    text = draw(
        st.sampled_from([text, text, text[:at], text[:at] + junk + text[at:], text[:at] + text[at + end :]])
    )
    return " ".join(text.splitlines())


@functools.cache
def query(path: Path) -> tuple[str, list[str]]:
    """SQL of the events of a file like this one, and the file's records."""
    records = path.read_text().splitlines()
    sample = Sample(str(path), tuple(records), now())
    frames = ("rows", "lines") if path.suffix == ".csv" else ("lines",)
    plan, _ = sources.planned(frames, lambda frame: sample, format_of(path), Options())
    return ibis.to_sql(plan.events(ibis.table(events.LINES, name="lines")), dialect="duckdb"), records


def events_of(sql: str, texts: list[str]) -> list[dict[str, Any]]:
    numbered = [(number + 1, safe(text.encode())[0].decode(), False) for number, text in enumerate(texts)]
    lines = pa.table(list(zip(*numbered, strict=True)), schema=LINES)
    with lake.connect("1GB") as connection:
        connection.register("lines", lines)
        rows: list[dict[str, Any]] = connection.sql(f"{sql} ORDER BY line").to_arrow_table().to_pylist()
    return rows


@functools.cache
def valid_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file's own records."""
    return events_of(*query(path))


def is_accounted_for(event: dict[str, Any]) -> bool:
    """Whether a record is dropped for a reason, or has what an edge or evidence needs."""
    is_edge = event["action"] not in events.EVIDENCE
    is_named = all((event[name] or "").strip() not in NOT_NAMES for name in ("user", "target"))
    return bool(event["dropped"]) or bool(event["time"] and (not is_edge or is_named))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@given(st.data())
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_record_is_lost_whatever_it_contains(path: Path, data: st.DataObject) -> None:
    """The good records come first, and stay what they are: one bad record does not change another one."""
    sql, records = query(path)
    texts = [*records, *data.draw(st.lists(mutated(path, records), min_size=20, max_size=60))]
    found = events_of(sql, texts)
    assert [event["line"] for event in found] == list(range(1, len(texts) + 1))
    assert [event for event in found if not is_accounted_for(event)] == []
    assert found[: len(records)] == valid_events(path)
