"""The formats that a simulated log can be written in, and the names of their files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from ueba.simulate.ocsf import write_ocsf
from ueba.simulate.windows import write_windows
from ueba.simulate.writers import write_csv, write_lanl

FILES = {"lanl": "auth.txt.gz", "csv": "events.csv", "windows": "windows.jsonl.gz", "ocsf": "ocsf.jsonl.gz"}


def write(events: pa.Table, format: str, folder: Path) -> None:
    """Events in one format under its usual name; LANL's seconds count from 1970."""
    path = folder / FILES[format]
    if format == "lanl":
        write_lanl(events, path, datetime(1970, 1, 1, tzinfo=UTC))
    else:
        {"csv": write_csv, "windows": write_windows, "ocsf": write_ocsf}[format](events, path)
