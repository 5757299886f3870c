"""The graph's answers: the rows of a question, the last day, and why an answer may be empty."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ueba.errors import WorkspaceError
from ueba.investigate.questions.files import Question

if TYPE_CHECKING:
    import pandas as pd

    from graphdb.store import Store

LAST_DAY = """OPTIONAL MATCH (i:Incident) WITH max(i.day) AS scored
OPTIONAL MATCH (d:LoadedDay) WITH scored, max(d.day) AS loaded RETURN scored, loaded"""

_PLACE = ("Machine|Resource", "no machine or resource is called {}")
_NAMED = {  # by type of parameter: the labels that a value names, and the message if no node has the name
    "user": ("User", "no account is called {}"),
    "machine": ("Machine", "no machine is called {}"),
    "place": _PLACE,
    "places": _PLACE,
    "entity": ("User|Machine|Resource", "no account, machine or resource is called {}"),
    "incident": ("Incident", "no incident's id begins with {}"),
}
# Names close to one that was written: they contain it, or begin with the same two letters.
_CLOSE = """MATCH (n:%s) WITH coalesce(n.name, n.id) AS name
WITH name, toLower(name) AS lower WHERE lower STARTS WITH $begins OR lower CONTAINS $written
RETURN name ORDER BY CASE WHEN lower CONTAINS $written THEN 0 ELSE 1 END,
  abs(size(name) - size($written)), name LIMIT 1000"""
FEW = 3  # names that a message offers


def ask(
    store: Store, question: Question, parameters: Mapping[str, Any], timeout_s: float = 30, limit: int = 1000
) -> pd.DataFrame:
    """The answer, with the question's columns. Raises what `Store.query` raises."""
    import pandas as pd

    found = store.query(question.text, parameters, timeout_s, limit)
    # A server may leave out the names of columns where there are no rows.
    return found if len(found) else pd.DataFrame(columns=list(question.columns))


def last_day(store: Store) -> tuple[str, str]:
    """The last day with incidents, or the last day that was loaded if there is none; and which: scored or
    loaded.

    Raises WorkspaceError if the graph is empty."""
    found = store.query(LAST_DAY)
    scored, loaded = found["scored"][0], found["loaded"][0]
    if scored is None and loaded is None:
        raise WorkspaceError("the graph holds no days yet; `ueba graph load` loads them")
    return (scored, "scored") if scored is not None else (loaded, "loaded")


def unknown(store: Store, question: Question, parameters: Mapping[str, Any]) -> list[str]:
    """For an empty answer: a sentence for each name among the parameters that no node has, with close
    names."""
    sentences = []
    for parameter in question.parameters:
        if parameter.type in _NAMED:
            value = parameters[parameter.name]
            for name in value if isinstance(value, list) else [value]:
                sentences += _unless_found(store, parameter.type, name)
    return sentences


def _unless_found(store: Store, type_: str, name: str) -> list[str]:
    """The sentence about a name, none if a node has it."""
    labels, message = _NAMED[type_]
    written = name.lower()
    found = store.query(_CLOSE % labels, {"written": written, "begins": written[:2]})
    names: list[str] = found["name"].tolist() if len(found) else []
    if any(other.startswith(name) if type_ == "incident" else other == name for other in names):
        return []
    close = [other for other in names if written in other.lower()] or difflib.get_close_matches(name, names)
    hint = f"; did you mean {', '.join(map(repr, close[:FEW]))}?" if close else ""
    return [f"{message.format(repr(name))} in the graph{hint}"]
