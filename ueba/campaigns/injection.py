"""Campaigns into a copy of a lake. Nothing in the lake itself changes."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ueba.campaigns.events import Wanted, invent, labels
from ueba.campaigns.scene import OBSERVED_DAYS, as_observed, observe
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import batch, lake


def inject(
    root: Path, copy: Path, first: dt.date, last: dt.date, wanted: Wanted, memory_limit: str
) -> pd.DataFrame:
    """Make `copy`, the lake of `root` with campaigns on its working days from `first` to `last`. Returns
    their labels, LABEL_COLUMNS.

    Habits are taken from the days before `first`. Raises UsageError if `copy` exists, and WorkspaceError
    without days before `first` or without days to attack on."""
    if copy.exists():
        raise UsageError(f"{copy}: is already there; name a folder that does not exist yet")
    before = [day for day in lake.days(root) if first - dt.timedelta(days=OBSERVED_DAYS) <= day < first]
    if not before:
        raise WorkspaceError(
            f"{root}: no edges in the {OBSERVED_DAYS} days before {first}, from which campaigns are written"
        )
    names = lake.query(root, dt.date.min, dt.date.max, every_name, memory_limit)["name"].to_pylist()
    scene = observe(lake.query(root, before[0], before[-1], as_observed, memory_limit), names=names)
    events = invent(scene, working_days(root, first, last), wanted)
    copy_lake(root, copy)
    if len(events):
        name = f"campaigns, seed={wanted.seed}, strength={wanted.strength}"
        batch.keep(events.drop_columns(["kind", "campaign"]), name, copy, memory_limit)
    frame: pd.DataFrame = labels(events).to_pandas()
    return frame


def every_name(daily: ir.Table) -> ir.Table:
    """The names of all accounts, machines and resources of daily edges; column `name`."""
    columns = (daily.select(name=daily[end]) for end in ("user", "source", "target"))
    names = ibis.union(*columns, distinct=True)
    return names.filter(names.name.notnull())


def working_days(root: Path, first: dt.date, last: dt.date) -> list[dt.date]:
    """The days that have at least half as many edges as the median day: on a quiet day every step shows."""
    days = [day for day in lake.days(root) if first <= day <= last]
    if not days:
        raise WorkspaceError(f"{root}: no edges from {first} to {last} to hide campaigns in")
    size = {day: lake.size(root, day) for day in days}
    return [day for day in days if size[day] >= np.median(list(size.values())) / 2]


def copy_lake(root: Path, copy: Path) -> None:
    """Copy the published files of a lake: hard links if the file system has them. That is safe because files
    of a lake are replaced, never written to."""
    for path in root.rglob("*"):
        if path.is_file() and not path.relative_to(root).parts[0].startswith("."):
            to = copy / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, to)
            except OSError:
                shutil.copy2(path, to)
