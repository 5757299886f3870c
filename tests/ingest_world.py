"""Events by hand, through the whole ingest: each is a JSON line that a mapping file reads, so that every
column can be told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ueba.ingest import IngestReport, events, ingest_all, lake
from ueba.ingest.opening import candidates
from ueba.ingest.sample import Sample
from ueba.ingest.sources import Options, planned

MAPPING = """
format = "jsonl"
time_format = "iso8601"
[columns]
""" + "\n".join(f'{name} = "{name}"' for name in events.KEPT)
DEFAULTS = {"target_kind": "machine", "action": "logon", "outcome": "success"}


def event(time: str, user: str | None, source: str | None, target: str | None, **more: Any) -> str:
    """A line of the log. time: `HH:MM:SS`, on 2026-03-02 unless it tells a date"""
    when = time if "T" in time else f"2026-03-02T{time}"
    return json.dumps(
        DEFAULTS | {"time": f"{when}Z", "user": user, "source": source, "target": target} | more
    )


def write(folder: Path, name: str, lines: Iterable[str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.toml").write_text(MAPPING)
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return str(folder / name)


def read(folder: Path, *logs: Iterable[str]) -> list[IngestReport]:
    """Each log a file of its own, one after another into the lake of the folder."""
    count = len(list(folder.glob("log*"))) if folder.exists() else 0
    paths = [write(folder, f"log{count + number}", lines) for number, lines in enumerate(logs)]
    return [
        report for path in paths for report in ingest_all([path], str(folder / "all.toml"), folder / "lake")
    ]


def everything(folder: Path) -> list[dict[str, Any]]:
    return lake.read(folder / "lake", dt.date.min, dt.date.max, "1GB").to_pylist()  # type: ignore[no-any-return]


def detected(records: Sequence[str]) -> str:
    """The name of the log source that recognises these first records of a file."""
    sample = Sample("log", tuple(records), dt.datetime(2024, 1, 1))
    plan, _ = planned(("rows", "lines"), lambda frame: sample, "auto", Options())
    return plan.source.name


def table_of(records: Sequence[str]) -> Sample:
    """The rows below a header, as log sources see them."""
    sample = Sample("log", tuple(records), dt.datetime(2024, 1, 1))
    return [laid_bare for opening, laid_bare in candidates(sample, "rows") if opening.table][0]


def short(folder: Path, *columns: str) -> list[tuple[Any, ...]]:
    """user, source, target and more columns of every edge."""
    names = ("user", "source", "target", *columns)
    return [tuple(edge[name] for name in names) for edge in everything(folder)]
