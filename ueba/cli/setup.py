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
@click.option(
    "--deep",
    is_flag=True,
    help="Read every file of the workspace, score edges whose answer is known, check seals and modes.",
)
@format_option()
@pass_settings
def doctor(settings: Settings, deep: bool, output_format: str) -> None:
    """Check the installation: versions, disk, lake, model, verdicts, graph server. Exit code 1 if a check
    fails; a warning is no failure.

    \b
    Example:
      ueba doctor
      ueba doctor --deep
    """
    rows = [*_installed(), *_kept(settings, deep), *_graph_server(settings)]
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


def _kept(settings: Settings, deep: bool) -> list[dict[str, str]]:
    from ueba import health

    workspace = settings.workspace
    found = [
        {"check": check.name, "state": check.state, "detail": check.detail}
        for check in health.checks(workspace, deep)
    ]
    return [_disk(workspace), _private(workspace), *found]


def _disk(workspace: Workspace) -> dict[str, str]:
    """Whether there is room where the workspace is, or will be."""
    root = workspace.root.absolute()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    state = "ok" if free > 2**30 else "broken"
    return {"check": "disk", "state": state, "detail": f"{free / 2**30:.0f} GB free at {place}"}


def _private(workspace: Workspace) -> dict[str, str]:
    """Whether other users of the machine can get at what is kept."""
    exposure = workspace.exposure
    if exposure is not None:
        return {"check": "other users", "state": "broken", "detail": exposure}
    return {"check": "other users", "state": "ok", "detail": "cannot get into the workspace"}


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


@command()
@pass_settings
def seal(settings: Settings) -> None:
    """Seal the workspace as it is with the key that UEBA_KEY_FILE names: 32 bytes or more, kept where whoever
    may write into the workspace cannot read them.

    With the variable set, every file that ueba writes is sealed and every file that it reads must be. Call
    this once when you begin, and when you trust what somebody else put there; `ueba doctor --deep` looks.

    \b
    Example:
      head -c 32 /dev/urandom > /etc/ueba/key && chmod 600 /etc/ueba/key
      UEBA_KEY_FILE=/etc/ueba/key ueba seal
    """
    from ueba import state
    from ueba.errors import UsageError
    from ueba.triage import log

    root = settings.workspace.root
    if state.key() is None:
        raise UsageError(f"no key; set {state.KEY_FILE} to a file of 32 random bytes, outside the workspace")
    with settings.workspace.locked():
        log.begin(root)
        found = state.sealed_files(root)
        for path in found:
            state.seal(path)
    output.note(f"{len(found)} files of {root} are sealed")


COMMANDS = (config, doctor, seal)
