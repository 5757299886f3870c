"""Explanations on disk, beside the findings of their day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from ueba import findings, state
from ueba.contracts import explanation as contract
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Explanation, Explanations


def save(explanations: Explanations, folder: Path, day: dt.date) -> None:
    """Keep a day's explanations; scoring it again replaces them. folder: of the findings."""
    state.write(_path(folder, day), contract.to_json(day, explanations))


def load(folder: Path, day: dt.date) -> Explanations:
    """A day's explanations; none if they were not kept. Raises WorkspaceError if the file is damaged."""
    path = _path(folder, day)
    if not state.is_there(path):
        return {}
    data = state.content(path, findings.remedy(day))
    with state.reading(path, findings.remedy(day)):
        return contract.from_json(data, day)


def by_edge(explanations: tuple[Explanation, ...]) -> dict[Edge, Explanation]:
    """An incident's explanations by edge."""
    return {explanation.edge: explanation for explanation in explanations}


def _path(folder: Path, day: dt.date) -> Path:
    return folder / f"explained={day}.json"
