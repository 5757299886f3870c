"""The graph's answers: the rows of a question, the last day, and why an answer may be empty."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ueba.contracts.entity import Entity
from ueba.contracts.names import Identity
from ueba.errors import WorkspaceError
from ueba.investigate.names import CLOSE, KINDS, SHOWN, EntityIndex, did_you_mean
from ueba.investigate.questions.files import Question
from ueba.text import shortened

if TYPE_CHECKING:
    import pandas as pd

    from graphdb.store import Store

LAST_DAY = """OPTIONAL MATCH (i:Incident) WITH max(i.day) AS scored
OPTIONAL MATCH (d:LoadedDay) WITH scored, max(d.day) AS loaded RETURN scored, loaded"""

_NAMED = {  # by type of parameter: the kinds of entities that a value names
    "user": ("user",),
    "machine": ("machine",),
    "place": ("machine", "resource"),
    "places": ("machine", "resource"),
    "entity": KINDS,
}
_LABELS = {"user": "User", "machine": "Machine", "resource": "Resource"}
_EVERY_NAME = 100_000_000  # the limit of rows of a query that reads the names of all nodes


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


def name_entities(
    store: Store, question: Question, parameters: Mapping[str, Any], identities: Sequence[Identity] = ()
) -> dict[str, Any]:
    """The parameters, with each name as the graph has it.

    identities: whose aliases may be written instead
    Raises WorkspaceError for a name that no node has, or that may be of several."""
    named = dict(parameters)
    index: EntityIndex | None = None
    for parameter in question.parameters:
        kinds = _NAMED.get(parameter.type, ())
        value = parameters[parameter.name]
        texts = value if isinstance(value, list) else [value]
        if kinds and not all(_is_node(store, kinds, text) for text in texts):
            index = index or index_of(store, identities)
            found = [index.find(text, kinds)[0].name for text in texts]
            named[parameter.name] = found if isinstance(value, list) else found[0]
    return named


def _is_node(store: Store, kinds: Sequence[str], name: str) -> bool:
    """Whether a node has exactly this name."""
    queries = (f"MATCH (n:{_LABELS[kind]} {{name: $name}}) RETURN n.name AS name" for kind in kinds)
    return any(len(store.query(query, {"name": name}, limit=1)) for query in queries)


def index_of(store: Store, identities: Sequence[Identity] = ()) -> EntityIndex:
    """All names in the graph."""
    names = set()
    for kind, label in _LABELS.items():
        found = store.query(f"MATCH (n:{label}) RETURN n.name AS name", limit=_EVERY_NAME)
        names |= {Entity(kind, name) for name in (found["name"] if len(found) else ())}
    return EntityIndex(names, identities)


def unknown_incident(store: Store, question: Question, parameters: Mapping[str, Any]) -> str | None:
    """For an empty answer: the message that no incident's id begins as a parameter says, with close ids; None
    if one does, or no parameter is an incident."""
    written = next((parameters[one.name] for one in question.parameters if one.type == "incident"), None)
    if written is None:
        return None
    found = store.query("MATCH (i:Incident) RETURN i.id AS id", limit=_EVERY_NAME)
    ids = sorted(found["id"]) if len(found) else []
    if any(id_.startswith(written) for id_ in ids):
        return None
    close = [id_ for id_ in ids if written in id_] or difflib.get_close_matches(written, ids)
    asked = shortened(repr(written), SHOWN)
    return f"no incident's id begins with {asked} in the graph.{did_you_mean(close[:CLOSE])}"
