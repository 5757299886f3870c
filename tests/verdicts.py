"""Verdicts by hand, in the log of a workspace."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from ueba.contracts.verdict import Verdict, to_json
from ueba.triage import log


def verdict(incident: str, word: Any, **fields: Any) -> Verdict:
    """A verdict of kim of the second of January, on an incident of the first."""
    rest = {
        "day": dt.date(2026, 1, 1),
        "reason": "",
        "who": "kim",
        "entered": dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC),
        "since": dt.date(2026, 1, 2),
        "expires": dt.date(2026, 6, 1) if word in ("benign", "expected") else None,
    }
    return Verdict(incident=incident, verdict=word, **{**rest, **fields})


def write(root: Path, *verdicts: Verdict) -> Path:
    """A log with these verdicts alone."""
    path = log.path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(to_json(verdict)) + "\n" for verdict in verdicts), encoding="utf-8")
    return path
