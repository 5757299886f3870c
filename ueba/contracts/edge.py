"""An edge: who reached what from where. Four parts identify it on a day.

Leaves out what happened on the edge: a daily edge counts that.
"""

from __future__ import annotations

from typing import NamedTuple


class Edge(NamedTuple):
    """source is None if the log does not name it. target_kind: machine or resource; one name may be both."""

    user: str
    source: str | None
    target: str
    target_kind: str
