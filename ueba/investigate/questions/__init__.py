"""Questions an investigator asks the graph, each a `.cypher` file in this folder that anybody can open in
Neo4j Browser.

A file begins with comments that say what it asks, with which parameters, and what the columns of the answer
mean; the rest is Cypher. The comments are the one source of truth: names, types, defaults and columns are
read from them. Values travel as parameters of the query and never become its text, and only the server
decides that it is read-only.

    // Title: one line
    // Purpose: why one would ask
    // Parameters:
    //   day (day, default last): what it means
    //   :param day => '2026-01-21'
    // Columns:
    //   user: what it means
    // Example: ueba ask first-time-logons --param day=2026-01-21

Types: text; user, machine, place (a machine or resource), entity (any of the three) and incident (the
beginning of its id will do), which are texts that name what is in the graph; places (a list: the parameter
is given once for each); number; day (ISO date; `last` is the last day scored, or loaded if none was; a
default of `day - 7` is so many days before another parameter); time (ISO, UTC unless it says otherwise).

So that both servers are fast and stay within memory, a question about a whole day finds the day's
relationships by their index: of one type at a time, between unlabelled ends, and days compared with
parameters alone; of LOGGED_ON and ACCESSED it collects the one and then, in a subquery, the other. A
question about somebody or some (a user, an incident, all service accounts) begins at their nodes and looks
through what these have; there a day may be compared with anything. What does not exist is asked of every
node of a label. All go one hop a stage, and no pattern is of variable length.

Leaves out pictures, and questions that nobody wrote down: those are `ueba graph query`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from ueba.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    import pandas as pd

    from graphdb.store import Store

LAST = "last"
LAST_DAY = """OPTIONAL MATCH (i:Incident) WITH max(i.day) AS scored
OPTIONAL MATCH (d:LoadedDay) WITH scored, max(d.day) AS loaded RETURN scored, loaded"""

_PLACE = ("Machine|Resource", "no machine or resource is called {}")
_NAMED = {  # what a value of a type names: its labels, and what is said if nothing is called so
    "user": ("User", "no account is called {}"),
    "machine": ("Machine", "no machine is called {}"),
    "place": _PLACE,
    "places": _PLACE,
    "entity": ("User|Machine|Resource", "no account, machine or resource is called {}"),
    "incident": ("Incident", "no incident's id begins with {}"),
}
_CLOSE = """MATCH (n:%s) WITH coalesce(n.name, n.id) AS name
WITH name, toLower(name) AS lower WHERE lower STARTS WITH $begins OR lower CONTAINS $written
RETURN name ORDER BY CASE WHEN lower CONTAINS $written THEN 0 ELSE 1 END, abs(size(name) - size($written)), name LIMIT 1000"""

_BEFORE = re.compile(r"([a-z_]+) - (\d+)")
_SECTIONS = ("Title", "Purpose", "Parameters", "Columns", "Example")
_PARAMETER = re.compile(r"(\w+) \((\w+)(?:, default (.+?))?\): (.+)")


@dataclass(frozen=True)
class Parameter:
    """default: as it would be written on the command line; None if a value must be given."""

    name: str
    type: str
    default: str | None
    meaning: str

    def __str__(self) -> str:
        said = f"{self.name}={self.type.upper()}"
        return said if self.default is None else f"[{said}, default {self.default}]"


@dataclass(frozen=True)
class Question:
    """columns: what each column of the answer means, in order. text: the whole file."""

    name: str
    title: str
    purpose: str
    parameters: tuple[Parameter, ...]
    columns: Mapping[str, str]
    example: str
    text: str

    @property
    def takes(self) -> str:
        """The parameters, for a message."""
        return f"{self.name} takes {' '.join(map(str, self.parameters)) or 'no parameters'}"


# --- the files ----------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Every question, by name."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".cypher") for file in files if file.name.endswith(".cypher"))


def load(name: str) -> Question:
    """A question by its name. Raises UsageError if there is none."""
    if name not in names():
        raise UsageError(f"no question is called {name!r}; `ueba ask list` lists them")
    return parse(name, resources.files(__name__).joinpath(f"{name}.cypher").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Question:
    """A question from the text of its file. Raises ValueError naming the section that is not as it should
    be."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        said = line.removeprefix("//").strip()
        head, colon, rest = said.partition(":")
        if head in _SECTIONS and colon and not line.startswith("//  "):
            sections[head] = [rest.strip()] if rest.strip() else []
        elif sections:
            sections[list(sections)[-1]].append(said)
    if list(sections) != list(_SECTIONS):
        raise ValueError(
            f"{name}: its comments must be {', '.join(_SECTIONS)}, in this order, and are {', '.join(sections)}"
        )
    columns = (line.partition(": ") for line in sections["Columns"])
    return Question(
        name,
        " ".join(sections["Title"]),
        " ".join(sections["Purpose"]),
        tuple(
            _parameter(name, line)
            for line in sections["Parameters"]
            if line != "none" and not line.startswith(":param")
        ),
        {column: meaning for column, _, meaning in columns},
        " ".join(sections["Example"]),
        text,
    )


def _parameter(question: str, line: str) -> Parameter:
    found = _PARAMETER.fullmatch(line)
    if found is None or found[2] not in _READ:
        raise ValueError(f"{question}: not a parameter: {line!r}")
    return Parameter(*found.groups())


# --- asking -------------------------------------------------------------------------------------------------


def check(question: Question, given: Sequence[str]) -> dict[str, list[str]]:
    """What was given for each parameter, as text, from NAME=VALUE; one that was not given has its default.

    Raises UsageError that names the question's parameters."""
    texts: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--param {each}: write NAME=VALUE; {question.takes}")
        texts.setdefault(name, []).append(value)
    known = {parameter.name: parameter for parameter in question.parameters}
    for name, written in texts.items():
        if name not in known:
            raise UsageError(f"no parameter is called {name!r}; {question.takes}")
        if len(written) > 1 and known[name].type != "places":
            raise UsageError(f"{name} is given {len(written)} times; {question.takes}")
    for name, parameter in known.items():
        if name not in texts and parameter.default is None:
            raise UsageError(f"{name} is missing; {question.takes}")
        for text in texts.get(name, ()):
            _read(question, parameter, text)
    return {name: texts.get(name, [parameter.default or ""]) for name, parameter in known.items()}


def values(question: Question, given: Sequence[str], last_day: Callable[[], str]) -> dict[str, Any]:
    """The query's parameters from NAME=VALUE. last_day: gives the day that `last` stands for; called if it
    is needed.

    Raises UsageError as `check` does."""
    found: dict[str, Any] = {}
    for parameter, some in zip(question.parameters, check(question, given).values(), strict=True):
        before = _BEFORE.fullmatch(some[0]) if parameter.default == some[0] else None
        if before is not None:
            day = dt.date.fromisoformat(found[before[1]]).toordinal() - int(before[2])
            found[parameter.name] = dt.date.fromordinal(max(day, 1)).isoformat()
        elif parameter.type == "day" and some[0] == LAST:
            found[parameter.name] = last_day()
        else:
            values = [_read(question, parameter, text) for text in some]
            found[parameter.name] = values if parameter.type == "places" else values[0]
    return found


def _read(question: Question, parameter: Parameter, text: str) -> Any:
    try:
        text.encode()  # bytes of the command line that are no text come as lone surrogates, which no server takes
        return _READ[parameter.type](text)
    except (ValueError, OverflowError) as reason:
        said = text.encode(errors="backslashreplace").decode()
        raise UsageError(f"{parameter.name}={said} is not a {parameter.type}; {question.takes}") from reason


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else _finite(text)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is not finite")
    return number


def _time(text: str) -> str:
    """UTC without zone, as the graph has it."""
    time = dt.datetime.fromisoformat(text)
    return (time.astimezone(dt.UTC) if time.tzinfo else time).replace(tzinfo=None).isoformat()


_READ: dict[str, Callable[[str], Any]] = {
    "text": str,
    **dict.fromkeys(_NAMED, str),
    "number": _number,
    "day": lambda text: text if text == LAST else dt.date.fromisoformat(text).isoformat(),
    "time": _time,
}


def ask(
    store: Store, question: Question, parameters: Mapping[str, Any], timeout_s: float = 30, limit: int = 1000
) -> pd.DataFrame:
    """The answer, with the question's columns. Raises what `Store.query` does."""
    import pandas as pd

    found = store.query(question.text, parameters, timeout_s, limit)
    return (
        found if len(found) else pd.DataFrame(columns=list(question.columns))
    )  # a server may not name columns without rows


def unknown(store: Store, question: Question, parameters: Mapping[str, Any]) -> list[str]:
    """For after an empty answer: a sentence for each name given that nothing in the graph has, with a few
    that come close to it."""
    said = []
    for parameter in question.parameters:
        labels, nobody = _NAMED.get(parameter.type, ("", ""))
        given = parameters[parameter.name]
        for name in (given if isinstance(given, list) else [given]) if labels else ():
            written = name.lower()
            found = store.query(_CLOSE % labels, {"written": written, "begins": written[:2]})
            names = found["name"].tolist() if len(found) else []
            if not any(
                each.startswith(name) if parameter.type == "incident" else each == name for each in names
            ):
                like = [each for each in names if written in each.lower()] or difflib.get_close_matches(
                    name, names
                )
                hint = f"; did you mean {', '.join(map(repr, like[:3]))}?" if like else ""
                said.append(f"{nobody.format(repr(name))} in the graph{hint}")
    return said


def last_day(store: Store) -> tuple[str, str]:
    """The last day with incidents, or the last one loaded if there are none; and which of the two it is.

    Raises WorkspaceError if the graph is empty."""
    found = store.query(LAST_DAY)
    scored, loaded = found["scored"][0], found["loaded"][0]
    if scored is None and loaded is None:
        raise WorkspaceError("the graph holds no days yet; `ueba graph load` loads them")
    return (scored, "scored") if scored is not None else (loaded, "loaded")
