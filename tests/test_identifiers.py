"""Names are nouns: no variable, parameter, function or class is called by a pronoun or a participle that
says nothing of what it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_NOUNS = frozenset("some each mine ours theirs told said given made held".split())


def is_python(path: Path) -> bool:
    """Whether a file is a module, or a script that starts so."""
    return path.suffix == ".py" or (
        path.is_file() and path.suffix == "" and path.read_bytes().startswith(b"#!/usr/bin/env python")
    )


SOURCES = sorted(
    path
    for folder in ("ueba", "models", "graphdb", "tests", "scripts")
    for path in (ROOT / folder).rglob("*")
    if is_python(path)
)


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module binds, loops and comprehensions included."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store(), lineno=line):
                yield line, name
            case ast.arg(arg=name, lineno=line):
                yield line, name
            case (
                ast.FunctionDef(name=name, lineno=line)
                | ast.AsyncFunctionDef(name=name, lineno=line)
                | ast.ClassDef(name=name, lineno=line)
            ):
                yield line, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_is_a_noun(path: Path) -> None:
    names = bound_names(ast.parse(path.read_text()))
    assert [f"{line}: {name}" for line, name in names if name in NOT_NOUNS] == []


def test_the_names_of_loops_arguments_and_functions_are_seen() -> None:
    tree = ast.parse("def f(given):\n    return [each for each in given]\nmade: int = 1\nmine, b = 1, 2")
    assert sorted(bound_names(tree)) == [
        (1, "f"),
        (1, "given"),
        (2, "each"),
        (3, "made"),
        (4, "b"),
        (4, "mine"),
    ]
