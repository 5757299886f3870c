"""The lake's days, their results and the similarity of entities, in the graph.

    days      edges of a day, from the lake
    results   incidents and scores of a day, from its findings and verdicts
    standing  what the organisation knows of entities
    risk      the risk of users and machines over the last weeks
    cases     incidents that are one case
    similar   embeddings, and the entities most similar to each
    health    what the server could be set to better

Loading again changes nothing, and loading after an interruption gives what an uninterrupted load gives. The
server is the one that NEO4J_URI names, else the bundled one of the workspace, which is started when it is
needed and left running. What stands in the graph is declared in `ueba.ontology`. Leaves out statements and
connections; those are `graphdb`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

from graphdb import from_environment, server
from graphdb.store import Store
from ueba import findings, ontology
from ueba.config import Config
from ueba.findings import Findings
from ueba.graph import health
from ueba.graph.cases import write_cases
from ueba.graph.days import MOST_TABLES, day_tables, load_day
from ueba.graph.results import write_findings
from ueba.graph.risk import write_risk
from ueba.graph.similar import write_similar
from ueba.graph.standing import write_standing
from ueba.ingest import lake
from ueba.ingest.identity import entities
from ueba.investigate import cases, periods
from ueba.memory import Memory
from ueba.progress import Progress, quiet
from ueba.workspace import Workspace

__all__ = [
    "connect",
    "day_tables",
    "health",
    "load",
    "load_day",
    "prune",
    "write_cases",
    "write_findings",
    "write_risk",
    "write_scored_day",
    "write_similar",
    "write_standing",
]


def connect(workspace: Workspace, config: Config, environment: Mapping[str, str]) -> Store:
    """An open store. Raises graphdb.ServerError if no server can be reached or started."""
    connection = from_environment(environment) or server.start(workspace.graph, config.graph.heap)
    health.warn_of_clear_text(connection.uri)
    return Store(connection, config.graph.batch_rows)


def load(
    store: Store, memory: Memory, first: dt.date, last: dt.date, progress: Progress = quiet
) -> dict[str, int]:
    """Load the lake's days from `first` to `last`, with the results of those that were scored, and what the
    organisation knows of entities. Skips what the graph already holds. Returns the number of days, and of
    rows by label and relationship type."""
    workspace, verdicts = memory.workspace, memory.verdict_log.words
    days = [day for day in lake.days(workspace.lake) if first <= day <= last]
    scored = {*findings.scored_days(workspace.findings)}
    store.ensure_schema(ontology.SCHEMA)
    counts: Counter[str] = Counter(days=len(days))
    steps = len(days) * MOST_TABLES
    for done, day in enumerate(days):
        progress("load", done * MOST_TABLES, steps)
        loaded = load_day(store, workspace.lake, day, workspace.memory_limit)
        for table, (name, rows) in enumerate(loaded, start=1):
            progress("load", done * MOST_TABLES + table, steps)
            counts[name] += rows
        if day in scored:
            write_scored_day(store, workspace, findings.load(workspace.findings, day), verdicts)
        if done == 0:
            store.ensure_schema(ontology.SCHEMA)  # a server makes some indexes only once there are rows
    write_standing(store, entities.standings(workspace.lake))
    write_risk(store, workspace, memory.verdicts)
    if scored:
        write_cases(store, cases.read(workspace, verdicts), workspace.findings)
    progress("load", steps, steps)
    return dict(counts)


def write_scored_day(
    store: Store, workspace: Workspace, found: Findings, verdicts: Mapping[str, str]
) -> None:
    """Write the results of a scored day with return periods, see `write_findings`. verdicts: by incident"""
    often = periods.of_incidents(workspace.findings, verdicts, found.incidents)
    write_findings(store, found, verdicts, often)


def prune(store: Store, oldest: dt.date) -> int:
    """Delete the days before `oldest`. Returns how many relationships and nodes were deleted."""
    return store.prune(ontology.SCHEMA, "day", oldest.isoformat())
