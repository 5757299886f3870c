"""Log families, one file each: `ueba/ingest/sources/<name>.py` is `--format <name>`. Adding a file adds the format.

Each has a function `source(format, epoch) -> Source` and, as the first line of its docstring, what `formats` shows.
A format that ends in `.toml` is a mapping file, which `mapped` reads.
"""

from __future__ import annotations

import datetime as dt
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import ibis.expr.types as ir

from ueba.errors import UsageError


@dataclass(frozen=True)
class Source:
    """How to read one log family.

    name:      for reports
    settings:  all that changes what comes out of the same file; JSON values
    canonical: names are spelt one way already, and kept as written
    events:    (lines, first line of the file) -> events
    """

    name: str
    settings: dict[str, Any]
    canonical: bool
    events: Callable[[ir.Table, str], ir.Table]


def formats() -> dict[str, str]:
    """Name and one line on each format."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: (import_module(f"{__name__}.{name}").__doc__ or "").splitlines()[0] for name in names}


def find(format: str, epoch: dt.datetime) -> Source:
    """The source that `--format` names."""
    name = "mapped" if format.endswith(".toml") else format
    if name not in formats() or (name == "mapped" and name == format):
        known = ", ".join(known for known in formats() if known != "mapped")
        raise UsageError(f"--format {format}: unknown; use one of: {known}, or the path of a mapping file (*.toml)")
    source: Source = import_module(f"{__name__}.{name}").source(format, epoch)
    return source
