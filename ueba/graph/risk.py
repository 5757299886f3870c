"""The risk of users and machines in the graph, as of the last scored day."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from graphdb.store import Store
from ueba import findings, ontology
from ueba.contracts.verdict import Verdict
from ueba.investigate import risk
from ueba.investigate.risk import Standing
from ueba.workspace import Workspace

_NODES = {"user": ontology.USER, "machine": ontology.MACHINE}


def write_risk(store: Store, workspace: Workspace, verdicts: Sequence[Verdict]) -> int:
    """Write the risk of the graph's users and machines in place of what was there; those without a risk lose
    theirs. Nothing is written if no day was scored. verdicts: the last on every incident. Returns how many
    have a risk."""
    if not findings.scored_days(workspace.findings):
        return 0
    found = risk.standings(workspace, findings.last_scored(workspace.findings), verdicts)
    written = 0
    for kind, node in _NODES.items():
        names = store.keys(node)
        rows = _rows(names, risk.ranked(found, kind))
        store.load_nodes(node, rows)
        written += len(rows) - rows["risk"].null_count
    return written


def _rows(names: Sequence[str], ranked: Sequence[Standing]) -> pa.Table:
    """A row for each node of the graph."""
    by_name = {row.name: row for row in ranked}
    rows = [by_name.get(name) for name in names]
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "risk": pa.array([row and row.risk for row in rows], pa.float64()),
            "risk_change": pa.array([row and row.change for row in rows], pa.float64()),
        }
    )
