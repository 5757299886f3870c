"""Whether what lies in a workspace is whole: what `ueba doctor` looks at, and what `--deep` looks at too.

Leaves out the installation and the graph server; those are `ueba.cli.setup` and `ueba.graph.health`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ueba import findings, scores, state, suspects
from ueba.detect.past.history import History, date_of
from ueba.detect.score import detector, probe
from ueba.detect.score.detector import Detector
from ueba.errors import UebaError
from ueba.ingest import lake
from ueba.ingest.identity import entities, tables
from ueba.investigate.explain import kept
from ueba.investigate.report import trust
from ueba.triage import log, rules
from ueba.workspace import Workspace

MOST_SHOWN = 3  # problems of one check


class Check(NamedTuple):
    """One line of `ueba doctor`. state: ok, empty, warning or broken"""

    name: str
    state: str
    detail: str


Answer = tuple[str, str]  # state and detail


def checks(workspace: Workspace, deep: bool) -> Iterator[Check]:
    """The checks of a workspace, in order. deep: also those that read all of it"""
    quick: dict[str, Callable[[Workspace], Answer]] = {
        "lake": _lake,
        "model": _model,
        "scored days": _scored,
        "scores of all edges": _sizes,
        "verdicts, rules": _decided,
    }
    slow: dict[str, Callable[[Workspace], Answer]] = {
        "tables of the lake": _lake_tables,
        "history": _history,
        "known answer": _known_answer,
        "explanations, runs": _kept,
        "rows of scores": _scores,
        "seals": _seals,
        "modes": _modes,
    }
    for name, check in (quick | slow if deep else quick).items():
        try:
            yield Check(name, *check(workspace))
        except UebaError as problem:
            yield Check(name, "broken", str(problem))


# --- quick --------------------------------------------------------------------------------------------------


def _lake(workspace: Workspace) -> Answer:
    """Which days the lake has."""
    days = lake.days(workspace.lake)
    if not days:
        return "empty", "no edges yet; `ueba ingest` a log file"
    return "ok", f"{len(days)} days, {days[0]} to {days[-1]}"


def _model(workspace: Workspace) -> Answer:
    """Whether the model can be read."""
    if not state.is_there(workspace.model):
        return "empty", f"{workspace.model}: there is no model yet; make one with `ueba train`"
    return "ok", f"trained until {Detector.load(workspace.model).facts.trained_until}"


def _scored(workspace: Workspace) -> Answer:
    """Whether the results of each day, and the reviews of days before them, can be read."""
    for day in findings.scored_days(workspace.findings):
        findings.load(workspace.findings, day, below=True)
    suspects.load_all(workspace.findings)
    return "ok", findings.days_text(workspace.findings)


def _sizes(workspace: Workspace) -> Answer:
    """How much the scores of all edges take, and whether they are of this version."""
    sizes = scores.sizes(workspace.findings)
    if not sizes:
        return "ok", "none yet; `ueba score` keeps those of the day"
    edges, taken = sum(size.edges for size in sizes), sum(size.bytes for size in sizes)
    an_edge = f"{taken / max(edges, 1):.1f} bytes an edge"
    return "ok", f"{scores.days_text(workspace.findings)}, {edges:,} edges, {an_edge}"


def _decided(workspace: Workspace) -> Answer:
    """Whether verdicts and rules can be read, and the verdicts are those that were entered."""
    entered, chosen = log.read(workspace.root), rules.installed(workspace.root)
    if entered.damaged:
        return "broken", "; ".join(entered.damaged)
    return "ok", f"{len(entered.verdicts)} verdicts, {len(chosen)} rules"


# --- deep ---------------------------------------------------------------------------------------------------


def _lake_tables(workspace: Workspace) -> Answer:
    """Whether every row of every table of the lake can be read."""
    lake.check_all(workspace.lake)
    known, listed = entities.read(workspace.lake), tables.stored(workspace.lake)
    batches = len(lake.manifests(workspace.lake))
    return "ok", f"{batches} batches, {len(known)} entities, {len(listed)} of entity tables"


def _history(workspace: Workspace) -> Answer:
    """Whether the stored history can be read."""
    history = History.load(workspace.history)
    if history is None:
        return "empty", "no history of this version; it is made when it is needed"
    return "ok", f"{history.days_learned} days, until {date_of(history.last_day)}"


def _known_answer(workspace: Workspace) -> Answer:
    """Whether the model gives the edges of its probe the scores that it gave them after training."""
    if not state.is_there(workspace.model):
        return "empty", "no model yet"
    if not state.is_there(workspace.model / "probe.json"):
        return "warning", "the model has no edges with a known answer; `ueba train` makes one that has"
    model, asked = Detector.load(workspace.model), detector.read_probe(workspace.model)
    with state.reading(workspace.model / "probe.json", detector.REMEDY):
        wrong = probe.differences(model.models, model.calibration, asked)
    if wrong:
        return "broken", f"{workspace.model}: {_few(wrong)}; it was changed: {detector.REMEDY}"
    return "ok", f"{len(asked.surprise)} edges have the scores that they had after training"


def _kept(workspace: Workspace) -> Answer:
    """Whether explanations and the records of nights can be read."""
    days = findings.scored_days(workspace.findings)
    explained = sum(bool(kept.load(workspace.findings, day)) for day in days)
    return "ok", f"{explained} days explained, {len(list(trust.nightly_runs(workspace)))} nights"


def _scores(workspace: Workspace) -> Answer:
    """Whether every row of the scores of all edges can be read."""
    rows = sum(len(scores.load(workspace.findings, day)) for day in scores.days(workspace.findings))
    return "ok", f"{rows:,} edges"


def _seals(workspace: Workspace) -> Answer:
    """Whether each file was written with the key."""
    if state.key() is None:
        return "warning", f"no key: set {state.KEY_FILE}, or only accidents are found; see docs/security.md"
    state.check_key(workspace.root)
    found = state.sealed_files(workspace.root)
    problems = list(filter(None, map(_seal_problem, found)))
    return ("broken", _few(problems)) if problems else ("ok", f"{len(found)} files have a valid seal")


def _seal_problem(path: Path) -> str | None:
    try:
        state.check_seal(path)
    except UebaError as problem:
        return str(problem)
    return None


def _modes(workspace: Workspace) -> Answer:
    """Whether other users of the machine can read or change a file, once they are in the workspace."""
    if not workspace.root.exists():
        return "empty", "no workspace yet"
    places = [place for place in workspace.root.rglob("*") if not place.is_symlink()]
    exposed = [str(place) for place in places if place.stat().st_mode & 0o077]
    if exposed:
        return "warning", f"other users may read or change {_few(exposed)}; `{workspace.closing}`"
    return "ok", f"{len(places):,} files and folders are for their owner alone"


def _few(problems: list[str]) -> str:
    more = len(problems) - MOST_SHOWN
    return ", ".join(problems[:MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
