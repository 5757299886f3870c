"""Explanations on disk, beside the findings of their day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from ueba import files
from ueba.contracts import explanation as contract
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Explanation, Explanations
from ueba.errors import WorkspaceError


def save(explanations: Explanations, folder: Path, day: dt.date) -> None:
    """Keep a day's explanations; scoring it again replaces them. folder: of the findings."""
    files.write_bytes(_path(folder, day), contract.to_json(day, explanations))


def load(folder: Path, day: dt.date) -> Explanations:
    """A day's explanations; none if they were not kept. Raises WorkspaceError if the file is damaged."""
    path = _path(folder, day)
    if not path.exists():
        return {}
    try:
        return contract.from_json(path.read_bytes())
    except ValueError as reason:
        raise WorkspaceError(
            f"{path} is damaged ({reason}); `ueba score --day {day}` makes it anew"
        ) from reason


def by_edge(explanations: tuple[Explanation, ...]) -> dict[Edge, Explanation]:
    """An incident's explanations by edge."""
    return {explanation.edge: explanation for explanation in explanations}


def _path(folder: Path, day: dt.date) -> Path:
    return folder / f"explained={day}.json"
