"""What every command is given, and commands about the installation: config show, doctor."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output

if TYPE_CHECKING:
    from ueba.config import Config, Sources
    from ueba.workspace import Workspace


@dataclass(frozen=True)
class Settings:
    """Where to work, with which settings, and where those come from."""

    workspace: Workspace
    config: Config
    sources: Sources


pass_settings = click.make_pass_decorator(Settings)


@click.group()
def config() -> None:
    """Settings: what is in force, and why."""


@config.command("show")
@output.format_option
@pass_settings
def show(settings: Settings, output_format: str) -> None:
    """Print every setting, its value and where the value comes from.

    \b
    Precedence: environment (UEBA_<SECTION>_<KEY>) over --config FILE over the default.
    Example:
      UEBA_INCIDENTS_BUDGET=25 ueba config show
    """
    from ueba.config import settings as every

    rows: list[dict[str, Any]] = [
        {"setting": name, "value": value, "source": settings.sources.get(name, "default")}
        for name, value in every(settings.config)
    ]
    context = click.get_current_context().find_root()
    source = context.get_parameter_source("workspace")
    how = {"ENVIRONMENT": "UEBA_WORKSPACE", "COMMANDLINE": "--workspace"}.get(
        source.name if source else "", "default"
    )
    rows.append({"setting": "workspace", "value": str(settings.workspace.root), "source": how})
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_DATABASE"):
        if name in os.environ:
            rows.append({"setting": name, "value": os.environ[name], "source": "environment"})
    output.emit(rows, output_format)


@click.command()
@output.format_option
@pass_settings
def doctor(settings: Settings, output_format: str) -> None:
    """Check the installation: versions, disk, lake, model, graph server. Exit code 1 if something is broken.

    \b
    Example:
      ueba doctor
    """
    rows = [*_installed(), *_kept(settings), _graph_server(settings)]
    output.emit(rows, output_format)
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
    from ueba.detect.score.detector import Detector
    from ueba.errors import WorkspaceError
    from ueba.ingest import lake

    workspace = settings.workspace
    place = next(
        parent
        for parent in (workspace.root.absolute(), *workspace.root.absolute().parents)
        if parent.exists()
    )
    free = shutil.disk_usage(place).free
    rows = [
        {
            "check": "disk",
            "state": "ok" if free > 2**30 else "broken",
            "detail": f"{free / 2**30:.0f} GB free at {place}",
        }
    ]
    days = lake.days(workspace.lake)
    detail = (
        f"{len(days)} days, {days[0]} to {days[-1]}" if days else "no edges yet; `ueba ingest` a log file"
    )
    rows.append({"check": "lake", "state": "ok" if days else "empty", "detail": detail})
    try:
        facts = Detector.load(workspace.model).facts
        rows.append({"check": "model", "state": "ok", "detail": f"trained until {facts.trained_until}"})
    except WorkspaceError as reason:
        rows.append(
            {
                "check": "model",
                "state": "broken" if workspace.model.exists() else "empty",
                "detail": str(reason),
            }
        )
    return [*rows, _scored(workspace), _said(workspace)]


def _scored(workspace: Workspace) -> dict[str, str]:
    """Whether what was found on each day can be read."""
    from ueba import findings
    from ueba.errors import WorkspaceError

    try:
        for day in findings.scored_days(workspace.findings):
            findings.load(workspace.findings, day)
    except WorkspaceError as reason:
        return {"check": "scored days", "state": "broken", "detail": str(reason)}
    return {"check": "scored days", "state": "ok", "detail": findings.days_text(workspace.findings)}


def _said(workspace: Workspace) -> dict[str, str]:
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


def _graph_server(settings: Settings) -> dict[str, str]:
    from graphdb import ServerError, from_environment, server
    from graphdb.store import Store

    connection = from_environment(os.environ)
    if connection is None and not server.running(settings.workspace.graph):
        return {
            "check": "graph",
            "state": "ok",
            "detail": "bundled server, stopped; it starts when it is needed",
        }
    try:
        connection = connection or server.connection(settings.workspace.graph)
        with Store(connection):
            return {"check": "graph", "state": "ok", "detail": f"{connection.uri} answers"}
    except ServerError as reason:
        return {"check": "graph", "state": "broken", "detail": str(reason)}


COMMANDS = (config, doctor)
