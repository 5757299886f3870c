"""The files of the question pack, read: a question is what the comments at the beginning of its file say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from ueba.errors import UsageError

# What a value can be; see the package's docstring.
TYPES = ("text", "user", "machine", "place", "places", "entity", "incident", "number", "day", "time")
_SECTIONS = ("Title", "Purpose", "Parameters", "Columns", "Example")
_PARAMETER = re.compile(r"(\w+) \((\w+)(?:, default (.+?))?\): (.+)")


@dataclass(frozen=True)
class Parameter:
    """type: of TYPES; default: as on the command line, None if a value must be given."""

    name: str
    type: str
    default: str | None
    meaning: str

    def __str__(self) -> str:
        usage = f"{self.name}={self.type.upper()}"
        return usage if self.default is None else f"[{usage}, default {self.default}]"


@dataclass(frozen=True)
class Question:
    """columns: the meaning of each column of the answer, in order; text: the whole file."""

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


def names() -> list[str]:
    """The names of all questions."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".cypher") for file in files if file.name.endswith(".cypher"))


def load(name: str) -> Question:
    """A question by its name. Raises UsageError if there is none."""
    if name not in names():
        raise UsageError(f"no question is called {name[:100]!r}; `ueba ask list` lists them")
    return parse(name, resources.files(__package__).joinpath(f"{name}.cypher").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Question:
    """A question from the text of its file. Raises ValueError if a section is missing, misplaced or
    malformed."""
    sections = _sections(text)
    if list(sections) != list(_SECTIONS):
        expected, found = ", ".join(_SECTIONS), ", ".join(sections)
        raise ValueError(f"{name}: its comments must be {expected}, in this order, and are {found}")
    parameters = [line for line in sections["Parameters"] if line != "none" and not line.startswith(":param")]
    columns = (line.partition(": ") for line in sections["Columns"])
    return Question(
        name,
        " ".join(sections["Title"]),
        " ".join(sections["Purpose"]),
        tuple(_parameter(name, line) for line in parameters),
        {column: meaning for column, _, meaning in columns},
        " ".join(sections["Example"]),
        text,
    )


def _sections(text: str) -> dict[str, list[str]]:
    """The lines of each section of the comments at the beginning."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        content = line.removeprefix("//").strip()
        head, colon, rest = content.partition(":")
        if head in _SECTIONS and colon and not line.startswith("//  "):
            sections[head] = [rest.strip()] if rest.strip() else []
        elif sections:
            sections[list(sections)[-1]].append(content)
    return sections


def _parameter(question: str, line: str) -> Parameter:
    found = _PARAMETER.fullmatch(line)
    if found is None or found[2] not in TYPES:
        raise ValueError(f"{question}: not a parameter: {line!r}")
    return Parameter(*found.groups())
