"""How a name is spelt: by example, and the same in Python and in the database."""

from __future__ import annotations

import sys

import duckdb
import ibis
import pyarrow as pa
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from ueba import spelling
from ueba.ingest.identity import expressions

SPELLINGS = {"user": spelling.USER, "host": spelling.HOST, "resource": spelling.RESOURCE}

USERS = {
    "CORP\\Alice": "alice@corp",
    "alice@CORP.": "alice@corp",
    "alice.": "alice",
    ".\\Alice": "alice",
    " . \\.\\Alice": "alice",
    "\\Alice": "alice",
    "  Alice ": "alice",
    "NT AUTHORITY\\SYSTEM": "system@nt authority",
    "C1862$@DOM1": "c1862$@dom1",
    "CORP\\alice@corp.example": "corp\\alice@corp.example",  # which of the two domains?
    "A\\B\\c": "b\\c@a",
    "::ffff:10.0.0.7": "::ffff:10.0.0.7",  # an account may be called so
    "ΑΛΈΞΗΣ@CORP": "αλέξησ@corp",  # DuckDB has one small sigma
    "İnci": "inci",
    "STRAẞE": "straße",
    "a\u00a0": "a\u00a0",  # a space to Python, not to RE2
    "a\v": "a\v",
    "a\n": "a",
    "'}) DETACH DELETE n //": "'}) detach delete n //",
    "?": None,
    "-": None,
    " - ": None,
    "": None,
    "..": None,
    "CORP\\": "@corp",
    "alice@corp.example\\": "alice@corp.example",
    "alice@corp.example.\\\\": "alice@corp.example",
    "CORP\\alice@corp.example\\": "corp\\alice@corp.example",
}
HOSTS = {
    "WS7.Corp.Example.": "ws7.corp.example",
    "\\\\WS7": "ws7",
    "::ffff:10.0.0.7": "10.0.0.7",
    "::FFFF:::ffff:10.0.0.7": "10.0.0.7",
    "::ffff:10.0.0.7\n": "10.0.0.7",
    "::ffff:::ffff:": "::ffff:::ffff:",
    "::ffff:1٠.0.0.7": "::ffff:1٠.0.0.7",  # an Arabic digit is none in an address
    "fe80::1": "fe80::1",
    "CORP\\ws7": "corp\\ws7",
    "ws7$": "ws7$",
    "?": None,
    " - ": None,
    "..": None,
}
RESOURCES = {"\\\\Srv\\Share ": "\\\\Srv\\Share", " a.": "a.", " - ": None, "İ": "İ", "a\u00a0": "a\u00a0"}
EXAMPLES = [
    *(
        (kind, name, spelt)
        for kind, spellings in (("user", USERS), ("host", HOSTS))
        for name, spelt in spellings.items()
    ),
    *(("resource", name, spelt) for name, spelt in RESOURCES.items()),
]


def in_the_database(kind: str, names: list[str]) -> list[str | None]:
    """All names in one query."""
    table = ibis.memtable(pa.table({"name": names}))
    column: list[str | None] = expressions.spelt(table.name, SPELLINGS[kind]).to_pyarrow().to_pylist()
    return column


@pytest.mark.parametrize("kind", SPELLINGS)
def test_names_are_spelt_as_the_examples_say(kind):
    expected = {name: spelt for example_kind, name, spelt in EXAMPLES if example_kind == kind}
    assert {name: SPELLINGS[kind].spell(name) for name in expected} == expected
    assert dict(zip(expected, in_the_database(kind, list(expected)), strict=True)) == expected


PIECES = st.sampled_from(
    ["\\", "@", ".", ":", "-", "?", "$", " ", "\t", "\n", "\v", "\r", "\x0c", "\u00a0", "\u2028", "\x85"]
    + ["a", "B", "1", "f", "İ", "ẞ", "Σ", "ς", "ǅ", "é", "e\u0301", "\U00010400", "٣"]
    + ["corp", "CORP.example", "10.0.0.7", "::ffff:", "::FFFF:", "ws7", ".\\", "\\\\", "NT AUTHORITY"]
)
NAME = st.lists(PIECES | st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map("".join)
FIVE = ["alice@CORP.", "alice.", "::ffff:10.0.0.7", "CORP\\alice@corp.example", "-"]


@pytest.mark.parametrize("kind", SPELLINGS)
@given(names=st.lists(NAME, min_size=100, max_size=100))
@example(names=FIVE)
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))  # a failure names the few
def test_python_spells_as_the_database_does(kind, names):
    """25 queries of 100 names for each kind of name."""
    pairs = zip(names, in_the_database(kind, names), strict=True)
    assert [(name, spelt) for name, spelt in pairs if SPELLINGS[kind].spell(name) != spelt] == []


@given(NAME)
@settings(max_examples=1000, deadline=None)
def test_what_is_spelt_keeps_its_form(name):
    """Except an account with a second backslash, whose first part may end as `.\\` begins."""
    for kind, rules in SPELLINGS.items():
        spelt = rules.spell(name)
        assert spelt is None or (kind == "user" and name.count("\\") > 1) or rules.spell(spelt) == spelt


def test_every_character_is_lowered_as_in_the_database():
    characters = [chr(n) for n in range(1, sys.maxunicode + 1) if not 0xD800 <= n <= 0xDFFF]
    lowered = duckdb.sql("SELECT unnest($all) AS c, lower(c)", params={"all": characters}).fetchall()
    assert [(c, low) for c, low in lowered if spelling.lowered(c) != low] == []


def test_a_name_that_is_no_text_is_not_a_fault():
    """Bytes of a command line that are no text come as lone surrogates."""
    assert spelling.USER.spell("CORP\\\udcff") == "\udcff@corp"
