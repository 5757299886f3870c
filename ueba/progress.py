"""How far a piece of work is, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # what is done, how far, of how many


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
