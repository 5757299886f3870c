"""Small lakes and edge tables for tests of detection."""

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa

from ueba.detect.past.history import History, day_number

DAY = dt.date(2024, 5, 1)
FIRST = [("ann", "pc1", "srv"), ("ann", "pc1", "pc1"), ("bob", "pc2", "srv")]
SECOND = [("ann", "pc1", "srv"), ("ann", "pc1", "pc2"), ("bob", None, "srv")]


def edge_table(
    day: dt.date, rows: Sequence[tuple[str, str | None, str]], hour: int = 9, logon_type: str = "Network"
) -> pa.Table:
    """Rows (user, source, target) as `lake.read_pairs` gives a day."""
    seen = dt.datetime.combine(day, dt.time(hour))
    return pa.table(
        {
            "day": pa.array([day] * len(rows), pa.date32()),
            "user": [user for user, _, _ in rows],
            "source": pa.array([source for _, source, _ in rows], pa.string()),
            "target": [target for _, _, target in rows],
            "target_kind": ["machine"] * len(rows),
            "count": pa.array([1] * len(rows), pa.int64()),
            "failures": pa.array([0] * len(rows), pa.int64()),
            "first_seen": pa.array([seen] * len(rows), pa.timestamp("us")),
            "last_seen": pa.array([seen] * len(rows), pa.timestamp("us")),
            "hours": pa.array([1 << hour] * len(rows), pa.int32()),
            "logon_types": pa.array([[logon_type]] * len(rows), pa.list_(pa.string())),
            "auth_packages": pa.array([["Kerberos"]] * len(rows), pa.list_(pa.string())),
            "user_kind": ["human"] * len(rows),
        }
    )


def learned(*days: list[tuple[str, str | None, str]]) -> History:
    """A history of consecutive days from DAY on, in which a day counts half after one."""
    history = History(half_life_days=1)
    for number, rows in enumerate(days):
        day = DAY + dt.timedelta(days=number)
        history.learn(day_number(day), history.encode(edge_table(day, rows)))
    return history
