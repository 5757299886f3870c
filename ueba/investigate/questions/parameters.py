"""The values of a question's parameters, from NAME=VALUE on the command line. Values are checked before a
server starts."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

from ueba import files
from ueba.errors import UsageError
from ueba.investigate.names import SHOWN
from ueba.investigate.questions.files import TYPES, Parameter, Question
from ueba.text import shortened

LAST = "last"  # a day: the last one in the graph
NONE = "none"  # places: no name
_BEFORE = re.compile(r"([a-z_]+) - (\d+)")  # a default: so many days before another parameter


def check(question: Question, arguments: Sequence[str]) -> dict[str, list[str]]:
    """The values of each parameter as text; the default of a parameter that is not among the arguments.

    Raises UsageError with the question's parameters."""
    texts = _by_name(question, arguments)
    parameters = {parameter.name: parameter for parameter in question.parameters}
    for name, values in texts.items():
        if name not in parameters:
            raise UsageError(f"no parameter is called {shortened(repr(name), SHOWN)}; {question.takes}")
        if len(values) > 1 and parameters[name].type != "places":
            raise UsageError(f"{name} is given {len(values)} times; {question.takes}")
        for text in values:
            _read(question, parameters[name], text)
    for name, parameter in parameters.items():
        if name not in texts and parameter.default is None:
            raise UsageError(f"{name} is missing; {question.takes}")
    return {name: texts.get(name, [parameter.default or ""]) for name, parameter in parameters.items()}


def _by_name(question: Question, arguments: Sequence[str]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"--param {shortened(argument, SHOWN)}: write NAME=VALUE; {question.takes}")
        texts.setdefault(name, []).append(value)
    return texts


def values(question: Question, arguments: Sequence[str], last_day: Callable[[], str]) -> dict[str, Any]:
    """The parameters of the query from NAME=VALUE. last_day: returns the day that `last` means; called if
    needed.

    Raises UsageError as `check` does."""
    found: dict[str, Any] = {}
    for parameter, texts in zip(question.parameters, check(question, arguments).values(), strict=True):
        before = _BEFORE.fullmatch(texts[0]) if parameter.default == texts[0] else None
        if before is not None:
            found[parameter.name] = _days_before(found[before[1]], int(before[2]))
        elif parameter.type == "day" and texts[0] == LAST:
            found[parameter.name] = last_day()
        elif parameter.type == "places" and parameter.default == NONE and texts == [NONE]:
            found[parameter.name] = []
        else:
            read = [_read(question, parameter, text) for text in texts]
            found[parameter.name] = read if parameter.type == "places" else read[0]
    return found


def _days_before(day: str, days: int) -> str:
    return dt.date.fromordinal(max(dt.date.fromisoformat(day).toordinal() - days, 1)).isoformat()


def _read(question: Question, parameter: Parameter, text: str) -> Any:
    """A value by the type of its parameter. Raises UsageError if the text is not of that type."""
    try:
        text.encode()  # bytes that are not text arrive as lone surrogates, which no server takes
        return _READERS[parameter.type](text)
    except (ValueError, OverflowError) as reason:
        shown = shortened(text.encode(errors="backslashreplace").decode(), SHOWN)
        raise UsageError(f"{parameter.name}={shown} is not a {parameter.type}; {question.takes}") from reason


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else _finite(text)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is not finite")
    return number


def _time(text: str) -> str:
    """UTC without zone, as in the graph."""
    return files.utc(text).isoformat()


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(TYPES, str),
    "number": _number,
    "day": lambda text: text if text == LAST else dt.date.fromisoformat(text).isoformat(),
    "time": _time,
}
