"""Pandas tables as rows."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
