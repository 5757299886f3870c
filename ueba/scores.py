"""The scores of all edges of the last days on disk: `findings/scores=YYYY-MM-DD.parquet`.

Any edge of these days can be asked for, also one that was not strange. Days older than
`incidents.scores_days` are removed when a day is scored. Takes neither the model nor the lake. Leaves out
incidents and reasons (`ueba.findings`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ueba import findings, state
from ueba.contracts import day_scores
from ueba.errors import WorkspaceError

if TYPE_CHECKING:
    import pyarrow as pa


class Size(NamedTuple):
    """How much a day's scores take on disk."""

    day: dt.date
    edges: int
    bytes: int


def path(folder: Path, day: dt.date) -> Path:
    """Where the scores of a day are. folder: the findings"""
    return folder / f"scores={day}.parquet"


def days(folder: Path) -> list[dt.date]:
    """The days with scores, in order. Raises WorkspaceError if a file is called as if it were of a day."""
    return sorted(map(_day_of, folder.glob("scores=*.parquet")))


def _day_of(file: Path) -> dt.date:
    with state.reading(file, "its name is of no day, so remove it"):
        return dt.date.fromisoformat(file.stem.removeprefix("scores="))


def save(scores: pa.Table, folder: Path, day: dt.date, keep_days: int) -> None:
    """Store the scores of a day in place of earlier ones, and remove those older than `keep_days` days before
    the last. A day that is itself older has none."""
    last = max([day, *days(folder)])
    if (last - day).days < keep_days:
        state.write_table(path(folder, day), scores, compact=day_scores.NUMBERS)
    for old in days(folder):
        if (last - old).days >= keep_days:
            state.remove(path(folder, old))


def load(folder: Path, day: dt.date) -> pa.Table:
    """The scores of a day, columns of `ueba.contracts.day_scores`. Raises WorkspaceError if the day has none,
    or the file is damaged."""
    file = path(folder, day)
    if not state.is_there(file):
        findings.check_scored(folder, day)
        raise WorkspaceError(
            f"{day} was scored, but the scores of all its edges are not kept (days that have them:"
            f" {days_text(folder)}); {findings.remedy(day)}, and `incidents.scores_days` keeps more days"
        )
    stored = state.table(file, findings.remedy(day))
    with state.reading(file, findings.remedy(day)):
        return day_scores.checked(stored)


def days_text(folder: Path) -> str:
    """The days with scores, for a message."""
    found = days(folder)
    return f"{found[0]} to {found[-1]}" if found else "none"


def chosen_days(
    folder: Path, day: dt.date | None, first: dt.date | None, last: dt.date | None
) -> list[dt.date]:
    """The days with scores that are asked for, by default the last scored one. Raises UsageError if both a
    day and several are named, WorkspaceError if none of them has scores."""
    findings.check_span(day, first, last)
    if first is None and last is None:
        return [day or findings.last_scored(folder)]
    found = [kept for kept in days(folder) if (first or kept) <= kept <= (last or kept)]
    if not found:
        raise WorkspaceError(f"no scores of these days are kept; days that have them: {days_text(folder)}")
    return found


def matching(scores: pa.Table, names: Mapping[str, Iterable[str]]) -> pa.Table:
    """The rows whose columns have one of the names. names: by column"""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column, wanted in names.items():
        values = pa.array(list(wanted), pa.string())
        scores = scores.filter(pc.fill_null(pc.is_in(scores[column].cast(pa.string()), values), False))
    return scores


def sizes(folder: Path) -> list[Size]:
    """How much each day takes. Raises WorkspaceError if a file is not of this version."""
    import pyarrow.parquet as pq

    found = []
    for day in days(folder):
        file, remedy = path(folder, day), findings.remedy(day)
        types = dict(zip(day_scores.SCHEMA.names, day_scores.SCHEMA.types, strict=True))
        state.check_columns(file, remedy, types)
        found.append(Size(day, pq.read_metadata(file).num_rows, file.stat().st_size))
    return found
