"""Commands about the installation: config show, doctor."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, group, pass_settings
from ueba.cli.options import format_option
from ueba.cli.terminal import common
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.workspace import Workspace


@group()
def config() -> None:
    """Settings: what is in force, and why.

    \b
    Example:
      ueba config show
    """


@config.command("show")
@format_option()
@pass_settings
def show(settings: Settings, output_format: str) -> None:
    """Print every setting, its value, where the value comes from, what is allowed, and what it means.

    Precedence: environment (UEBA_<SECTION>_<KEY>) over --config FILE over the default.

    \b
    Example:
      UEBA_INCIDENTS_BUDGET=25 ueba config show
    """
    from ueba.config import settings as every

    rows: list[dict[str, Any]] = [
        {
            "setting": entry.name,
            "value": entry.value,
            "source": settings.sources.get(entry.name, "default"),
            "allowed": entry.allowed,
            "meaning": entry.meaning,
        }
        for entry in every(settings.config)
    ]
    workspace = {"setting": "workspace", "value": str(settings.workspace.root)}
    rows.append({**workspace, "source": common().sources.get("workspace", "default")})
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_DATABASE"):
        if name in os.environ:
            value = re.sub(
                r"//[^?]*@", "//…@", os.environ[name]
            )  # a name or password, which has no place there
            rows.append({"setting": name, "value": value, "source": "environment"})
    output.emit(rows, output_format, versions.SETTING)


@command()
@format_option()
@pass_settings
def doctor(settings: Settings, output_format: str) -> None:
    """Check the installation: versions, disk, lake, model, graph server. Exit code 1 if a check fails; a
    warning is no failure.

    \b
    Example:
      ueba doctor
    """
    rows = [*_installed(), *_kept(settings), *_graph_server(settings)]
    output.emit(rows, output_format, versions.CHECK)
    if any(row["state"] == "broken" for row in rows):
        raise click.exceptions.Exit(1)


def _installed() -> list[dict[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    rows = []
    for name in ("torch", "torch-geometric", "duckdb", "neo4j", "arcadedb-embedded"):
        try:
            rows.append({"check": name, "state": "ok", "detail": version(name)})
        except PackageNotFoundError:
            rows.append({"check": name, "state": "broken", "detail": f"not installed; pip install {name}"})
    return rows


def _kept(settings: Settings) -> list[dict[str, str]]:
    workspace = settings.workspace
    return [_disk(workspace), _lake(workspace), _model(workspace), _scored(workspace), _decided(workspace)]


def _disk(workspace: Workspace) -> dict[str, str]:
    """Whether there is room where the workspace is, or will be."""
    root = workspace.root.absolute()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    state = "ok" if free > 2**30 else "broken"
    return {"check": "disk", "state": state, "detail": f"{free / 2**30:.0f} GB free at {place}"}


def _lake(workspace: Workspace) -> dict[str, str]:
    """Which days the lake has."""
    from ueba.ingest import lake

    days = lake.days(workspace.lake)
    if not days:
        return {"check": "lake", "state": "empty", "detail": "no edges yet; `ueba ingest` a log file"}
    return {"check": "lake", "state": "ok", "detail": f"{len(days)} days, {days[0]} to {days[-1]}"}


def _model(workspace: Workspace) -> dict[str, str]:
    """Whether the model can be read."""
    from ueba.detect.score.detector import Detector
    from ueba.errors import WorkspaceError

    try:
        facts = Detector.load(workspace.model).facts
    except WorkspaceError as reason:
        state = "broken" if workspace.model.exists() else "empty"
        return {"check": "model", "state": state, "detail": str(reason)}
    return {"check": "model", "state": "ok", "detail": f"trained until {facts.trained_until}"}


def _scored(workspace: Workspace) -> dict[str, str]:
    """Whether the results of each day can be read."""
    from ueba import findings
    from ueba.errors import WorkspaceError

    try:
        for day in findings.scored_days(workspace.findings):
            findings.load(workspace.findings, day)
    except WorkspaceError as reason:
        return {"check": "scored days", "state": "broken", "detail": str(reason)}
    return {"check": "scored days", "state": "ok", "detail": findings.days_text(workspace.findings)}


def _decided(workspace: Workspace) -> dict[str, str]:
    """Whether verdicts and rules can be read."""
    from ueba.errors import UebaError
    from ueba.triage import log as verdicts
    from ueba.triage import rules

    log = verdicts.read(workspace.root)
    try:
        allowed = rules.installed(workspace.root)
    except UebaError as reason:
        return {"check": "verdicts, rules", "state": "broken", "detail": str(reason)}
    if log.damaged:
        return {"check": "verdicts, rules", "state": "broken", "detail": "; ".join(log.damaged)}
    return {
        "check": "verdicts, rules",
        "state": "ok",
        "detail": f"{len(log.verdicts)} verdicts, {len(allowed)} rules",
    }


def _graph_server(settings: Settings) -> list[dict[str, str]]:
    """Whether the graph server answers, and what it could be set to better."""
    from graphdb import ServerError, from_environment, server
    from graphdb.store import Store
    from ueba.graph import health

    check = {"check": "graph"}
    try:
        connection = from_environment(os.environ)
        if connection is None and not server.running(settings.workspace.graph):
            return [
                {**check, "state": "ok", "detail": "bundled server, stopped; it starts when it is needed"}
            ]
        connection = connection or server.connection(settings.workspace.graph)
        with Store(connection) as store:
            answers = {**check, "state": "ok", "detail": f"{connection.uri} answers"}
            return [answers, *health.checks(store)]
    except ServerError as reason:
        return [{**check, "state": "broken", "detail": str(reason)}]


COMMANDS = (config, doctor)
