r"""How a name is spelt: one table of rewrite rules for accounts, machines and resources.

    CORP\Alice, alice@CORP, ALICE@corp.  ->  alice@corp         .\Alice  ->  alice (a local account)
    WS7.corp.example., \\WS7.Corp.Example  ->  ws7.corp.example    ::ffff:10.0.0.7  ->  10.0.0.7
    ?, -, empty  ->  no name

`Spelling.spell` applies the rules to a Python text: a name that a person wrote, or a cell of an entity table.
`ueba.ingest.identity.expressions` builds the database expression for columns of events from the same table.
DuckDB is the reference where the two could differ: `lowered` folds case as its `lower` does, and patterns use
only what RE2 and Python's `re` understand alike. Names are lower case because Windows names are
case-insensitive; a resource (a path, an application) keeps its case.

Leaves out what needs other events: that two names are one account (`ueba.ingest.identity.entities`). Log
sources with canonical names (`Source.canonical`) keep them as written and are not spelt at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

NOT_NAMES = ("", "?", "-")  # what logs write where they know no name
SPACE = r"\t\n\f\r "  # RE2's \s, between brackets; Python's \s knows more


class Rewrite(NamedTuple):
    """Every match of `pattern` becomes `replacement`, in which \\1 is the first group."""

    pattern: str
    replacement: str


@dataclass(frozen=True)
class Spelling:
    """The rules for one kind of name.

    ignores_case: the name is lower case before any rule is applied
    needed:       pattern; a name without a match keeps its form. Most names need no rewriting, and one search
                  is cheaper than all rewrites. None: rewrite always
    rewrites:     applied in order"""

    ignores_case: bool
    needed: str | None
    rewrites: tuple[Rewrite, ...]

    def spell(self, name: str) -> str | None:
        """The name as events have it; None if it says that there is no name."""
        text = lowered(name) if self.ignores_case else name
        if self._needed is None or self._needed.search(text):
            for pattern, replacement in self._compiled:
                text = pattern.sub(replacement, text)
        return None if text in NOT_NAMES else text

    @cached_property
    def _needed(self) -> re.Pattern[str] | None:
        return None if self.needed is None else _python_pattern(self.needed)

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_python_pattern(rewrite.pattern), rewrite.replacement) for rewrite in self.rewrites]


def _python_pattern(pattern: str) -> re.Pattern[str]:
    """RE2's `$` is the end of the text; Python's also matches before a final line break."""
    return re.compile(re.sub(r"\$(?=$|\|)", r"\\Z", pattern))


def lowered(text: str) -> str:
    """Lower case as DuckDB's `lower`: character by character, one for one. Python's `str.lower` looks at the
    neighbours of a sigma, and makes two characters of one I with a dot."""
    return text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)


def forms(text: str, *spellings: Spelling) -> list[str]:
    """A text as it is and as these spellings have it, in lower case, each form once; for finding a name that
    a person wrote."""
    spelt = [text, *(form for spelling in spellings if (form := spelling.spell(text)) is not None)]
    return list(dict.fromkeys(filter(None, map(lowered, spelt))))


_TRIM_NAME = Rewrite(rf"^[{SPACE}\\]+|[{SPACE}.]+$", "")

USER = Spelling(
    ignores_case=True,
    needed=rf"\\|^[{SPACE}]|[{SPACE}.]$",
    rewrites=(
        Rewrite(rf"^([{SPACE}]*\.[{SPACE}]*\\)+", ""),  # .\alice: an account of the machine itself
        _TRIM_NAME,
        Rewrite(r"(@[^\\@]+)\\+$", r"\1"),  # alice@corp\: no account is called so
        Rewrite(r"^([^\\@]+)\\([^@]*)$", r"\2@\1"),  # corp\alice
        _TRIM_NAME,
    ),
)
HOST = Spelling(
    ignores_case=True,
    needed=rf"^[{SPACE}\\:]|[{SPACE}.]$",
    rewrites=(
        _TRIM_NAME,
        Rewrite(r"^(::ffff:)+([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$", r"\2"),  # IPv4 mapped into IPv6
    ),
)
RESOURCE = Spelling(ignores_case=False, needed=None, rewrites=(Rewrite(rf"^[{SPACE}]+|[{SPACE}]+$", ""),))
