"""The command line: parse, call, print. One group, one module per noun; every command's help ends with an
example.

Data goes to standard output, progress and messages to standard error. Exit codes: 0 done, 1 the work could
not be done, 2 wrong use, 130 interrupted. Heavy libraries are imported inside the commands that need them,
so that help and reading incidents are quick. Errors of ours become messages here and nowhere else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ueba import __version__
from ueba.cli import (
    ask,
    data,
    detect,
    evaluate,
    explain,
    export,
    graph,
    inspect,
    perimeter,
    report,
    setup,
    triage,
)
from ueba.errors import UebaError


class Ueba(click.Group):
    """The group that turns our errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UebaError as error:
            raise _Shown(str(error), error.exit_code) from error
        except BrokenPipeError:
            raise  # who reads us has seen enough; click ends quietly
        except (OSError, MemoryError) as error:
            raise _Shown(f"{type(error).__name__}: {error}", 1) from error
        except Exception as error:
            if type(error).__module__.startswith("graphdb."):
                raise _Shown(str(error), getattr(error, "exit_code", 1)) from error
            raise


class _Shown(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


@click.group(cls=Ueba, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "UEBA"})
@click.version_option(__version__)
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ueba-workspace"),
    show_default=True,
    show_envvar=True,
    help="Folder that holds lake, model, findings and graph.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="TOML file with settings that differ from the defaults.",
)
@click.pass_context
def main(ctx: click.Context, workspace: Path, config_path: Path | None) -> None:
    """From authentication logs to a handful of ranked, explained incidents a day.

    \b
    Exit codes: 0 done, 1 the work could not be done, 2 wrong use, 130 interrupted.
    Example:
      ueba ingest auth.txt.gz --format lanl && ueba train && ueba incidents
    """
    from ueba import config
    from ueba.workspace import Workspace

    settings, sources = config.load(config_path, os.environ)
    ctx.obj = setup.Settings(Workspace(workspace, settings.ingest.memory_limit), settings, sources)


for command in (
    *data.COMMANDS,
    *detect.COMMANDS,
    *explain.COMMANDS,
    *perimeter.COMMANDS,
    *ask.COMMANDS,
    *triage.COMMANDS,
    *report.COMMANDS,
    *export.COMMANDS,
    *graph.COMMANDS,
    *inspect.COMMANDS,
    *evaluate.COMMANDS,
    *setup.COMMANDS,
):
    main.add_command(command)
