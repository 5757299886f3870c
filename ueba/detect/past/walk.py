"""The lake's days in order, before they are learned; and the history before a day.

A stored history is continued, so that a night reads only its own edges. All days of the window are learned
again
if the files of the lake changed (late data, names resolved later), a verdict changed the excluded edges, or a
setting changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ueba import state
from ueba.config import Config
from ueba.detect.past import lessons
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import REMEDY, History, date_of, day_number
from ueba.detect.past.lessons import EVERYTHING, Lessons
from ueba.ingest import lake


class DayEdges(NamedTuple):
    """A day's edges.

    encoded: as arrays with the ids of a history
    table:   pair rows of the lake in the same order, see `ueba.contracts.daily_edge.PAIR_COLUMNS`
    """

    day: dt.date
    encoded: EncodedEdges
    table: pa.Table


def walk(
    root: Path,
    history: History,
    first: dt.date,
    last: dt.date,
    memory_limit: str,
    learning: Lessons = EVERYTHING,
) -> Iterator[DayEdges]:
    """The days from `first` to `last` that have edges, before the history learns them. A day is learned when
    the caller asks for the next one."""
    for day in lake.days(root):
        if not first <= day <= last:
            continue
        edges = day_edges(root, history, day, memory_limit)
        yield edges
        history.learn(day_number(day), edges.encoded, lessons.p_values(edges.table, learning.excluded(day)))
        history.batches += batches_of(root, day)


def day_edges(root: Path, history: History, day: dt.date, memory_limit: str) -> DayEdges:
    """The edges of a day of the lake, with the ids of a history. New entities get an id."""
    table = lake.read_pairs(root, day, day, memory_limit)
    return DayEdges(day, history.encode(table), table)


def batches_of(root: Path, day: dt.date) -> list[str]:
    """The edge files of a day in the lake, `<day>/<file>`, in order."""
    return sorted(f"{day}/{path.name}" for path in lake.stored(root, day, day))


def window_start(day: dt.date, config: Config) -> dt.date:
    """The first day of the window of the history before `day`."""
    return day - dt.timedelta(days=config.history.window_days)


def history_before(
    root: Path, day: dt.date, config: Config, stored: Path | None = None, learning: Lessons = EVERYTHING
) -> History:
    """The history before a day. stored: folder of a history to continue, if it still agrees with the lake."""
    last, start = day - dt.timedelta(days=1), window_start(day, config)
    history = _carried_on(root, stored, last, config, learning) if stored else None
    if history is None:
        history = History(config.history.half_life_days)
    else:
        start = max(start, date_of(history.last_day) + dt.timedelta(days=1))
    for _ in walk(root, history, start, last, config.ingest.memory_limit, learning):
        pass
    return history


def _carried_on(root: Path, stored: Path, last: dt.date, config: Config, learning: Lessons) -> History | None:
    """The stored history; None if it cannot be continued to the day after `last`."""
    history = History.load(stored)
    if history is None or not history.batches:
        return None
    learned_until, start = date_of(history.last_day), window_start(last + dt.timedelta(days=1), config)
    if learned_until > last or history.half_life_days != config.history.half_life_days:
        return None
    if history.fingerprint != learning.fingerprint(learned_until):
        return None
    with state.reading(stored / "history.json", REMEDY):
        began = dt.date.fromisoformat(history.batches[0].split("/")[0])
    days = lake.days(root)
    stands = [batch for day in days if began <= day <= learned_until for batch in batches_of(root, day)]
    earlier = [day for day in days if start <= day < began]
    return history if stands == history.batches and not earlier else None
