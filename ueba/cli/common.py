"""What every command takes, before or after its name: workspace, settings, how much is shown, and in which
zone.

    ueba --workspace ws train        ueba train --workspace ws        ueba graph --workspace ws server status

A command or group of the classes here has these options beside its own; they are not passed to its function,
which asks for what it needs with `pass_settings`. Where an option is given twice, the later one counts.
Errors of ours become messages here and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import textwrap
import time
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli.terminal import KEY, WORKSPACE, Common, common, echo, note, silence, warn
from ueba.errors import ConfigError, UebaError, UsageError
from ueba.text import brief, plain

if TYPE_CHECKING:
    from ueba.config import Config, Sources
    from ueba.workspace import Workspace

log = logging.getLogger("ueba.cli")
MOST_LINES = 20  # of a server's answer


# --- settings ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Where to work, with which settings, and where those come from."""

    workspace: Workspace
    config: Config
    sources: Sources


def pass_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a command the workspace and the settings in force, as its first argument."""

    def with_settings(*arguments: Any, **options: Any) -> Any:
        return function(settings(), *arguments, **options)

    return update_wrapper(with_settings, function)


def settings() -> Settings:
    """Of the call in progress. Raises ConfigError."""
    from ueba import config, state
    from ueba.workspace import Workspace

    asked = common()
    state.check_key(asked.workspace)
    found, sources = config.load(asked.config, os.environ)
    unknown = config.unknown_variables(os.environ)
    if unknown:
        note(f"ignored, as no setting has this name: {', '.join(unknown)}; see `ueba config show`")
    for name, source in sources.items():
        log.info("setting %s from %s", name, source)
    workspace = Workspace(asked.workspace, found.ingest.memory_limit)
    if workspace.exposure:
        warn(workspace.exposure)
    return Settings(workspace, found, sources)


# --- the options --------------------------------------------------------------------------------------------


class Zone(click.ParamType[zoneinfo.ZoneInfo]):
    """A time zone of the IANA database."""

    name = "ZONE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> zoneinfo.ZoneInfo:
        if isinstance(value, zoneinfo.ZoneInfo):
            return value
        if value not in zoneinfo.available_timezones():
            self.fail(
                f"{value!r} is not a zone; give a name of the IANA database, as Europe/Berlin", param, ctx
            )
        return zoneinfo.ZoneInfo(value)


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep the value of a common option that was given."""
    source = ctx.get_parameter_source(param.name or "")
    if source is None or source.name not in ("COMMANDLINE", "ENVIRONMENT"):
        return
    asked: Common = ctx.meta.setdefault(KEY, Common())
    name = str(param.name)
    setattr(asked, name, getattr(asked, name) + value if name == "verbose" else value)
    is_variable = source.name == "ENVIRONMENT"
    asked.sources[name] = str(param.envvar) if is_variable else param.opts[-1]


def common_options(is_root: bool) -> list[click.Option]:
    """The options. Only the root reads variables: what is given after a command must not lose to them."""

    def option(*names: str, more: str = "", variable: str | None = None, **options: Any) -> click.Option:
        text = options.pop("help") + (more if is_root else "")
        envvar = variable if is_root else None
        return click.Option(names, envvar=envvar, expose_value=False, callback=remember, help=text, **options)

    return [
        option(
            "-w",
            "--workspace",
            variable="UEBA_WORKSPACE",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder with lake, model, results and graph.",
            more=f"  [default: {WORKSPACE}; variable: UEBA_WORKSPACE]",
        ),
        option(
            "--config",
            variable="UEBA_CONFIG",
            type=click.Path(dir_okay=False, path_type=Path),
            help="TOML file with settings.",
            more="  [default: none; variable: UEBA_CONFIG]",
        ),
        option(
            "--timezone",
            variable="UEBA_TIMEZONE",
            type=Zone(),
            help="Zone of times in tables and text.",
            more="  JSON, CSV and the limits of days are in UTC.  [default: UTC; variable: UEBA_TIMEZONE]",
        ),
        option("-q", "--quiet", is_flag=True, help="Print results, warnings and errors only."),
        option("-v", "--verbose", count=True, help="Log what is done; -vv logs more."),
        option("--no-color", is_flag=True, help="Plain text.", more="  [variable: NO_COLOR]"),
    ]


# --- commands -----------------------------------------------------------------------------------------------


class _Common(click.Command):
    """A command with the common options, which its help lists last."""

    is_root = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params = [*self.params, *common_options(self.is_root)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        every = [(is_common(option), option.get_help_record(ctx)) for option in options]
        own = [record for is_shared, record in every if record and not is_shared]
        shared = [record for is_shared, record in every if record and is_shared]
        for title, records in (("Options", own), ("Options of every command, before or after it", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


def is_common(option: click.Option) -> bool:
    """Whether every command has an option."""
    return option.callback is remember or "--help" in option.opts


class Command(_Common):
    """A command: its errors are messages that name what to do next."""

    def invoke(self, ctx: click.Context) -> Any:
        began = time.perf_counter()
        with logging_to_standard_error(), answered(ctx):
            log.info("%s, workspace %s", ctx.command_path, common().workspace)
            result = super().invoke(ctx)
            sys.stdout.flush()
            log.info("%s: done in %.1f s", ctx.command_path, time.perf_counter() - began)
            return result


class Group(_Common, click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


class Root(Group):
    """`ueba` itself."""

    is_root = True

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with clean_messages(), may_end_early():  # help of this level is printed here
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with files_of_ones_own(), clean_messages(), may_end_early():
            return super().invoke(ctx)


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function."""
    return click.command(name, cls=Command)


def group(name: str | None = None, cls: type[Group] = Group, **options: Any) -> Callable[..., Group]:
    """Make a group of a function."""
    return click.group(name, cls=cls, **options)


def own_arguments(arguments: Sequence[str]) -> int:
    """How many of the first arguments are common options and their values."""
    options = {name: option for option in common_options(False) for name in option.opts}
    position = 0
    while position < len(arguments):
        name, _, value = arguments[position].partition("=")
        option = options.get(name) or options.get(name[:2])  # -vv, -wFOLDER
        if option is None:
            break
        has_no_value = option.is_flag or option.count
        position += 1 if has_no_value or value or name not in options else 2
    return min(position, len(arguments))


# --- errors and logging -------------------------------------------------------------------------------------


class Shown(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


@contextlib.contextmanager
def clean_messages() -> Iterator[None]:
    """Let messages, which repeat arguments, names of files and answers of servers, pass `text.brief` before
    `click` prints them."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # its text is the help
        raise
    except click.UsageError as error:
        raise click.UsageError(_clean(error), error.ctx) from error
    except click.ClickException as error:
        raise Shown(_clean(error), error.exit_code) from error


def _clean(error: click.ClickException) -> str:
    """In lines that are not too long, the first of which alone begins at the margin: a name with a line break
    cannot pass for a message of its own."""
    return "\n  ".join(map(brief, error.format_message().expandtabs(4).split("\n")))


@contextlib.contextmanager
def files_of_ones_own() -> Iterator[None]:
    """Whatever is written meanwhile is for the user alone: lake, results, exports, graph, temporary files."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def answered(ctx: click.Context) -> Iterator[None]:
    """Turn errors into messages and exit codes. Wrong use ends with where to read on, as click's own errors
    do."""
    try:
        yield
    except UebaError as error:
        if isinstance(error, UsageError) and not isinstance(error, ConfigError):
            raise click.UsageError(str(error), ctx) from error
        raise Shown(str(error), error.exit_code) from error
    except (BrokenPipeError, click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except OSError as error:
        raise Shown(
            f"{plain(error.filename)}: {error.strerror}" if error.filename else str(error), 1
        ) from error
    except MemoryError as error:
        raise Shown("not enough memory; give the machine more, or work on fewer days at a time", 1) from error
    except Exception as error:
        if type(error).__module__.startswith("graphdb."):
            raise Shown(_of_server(error), getattr(error, "exit_code", 1)) from error
        log.info("the fault", exc_info=error)
        raise Shown(
            f"{type(error).__name__}: {error}\nThis is a fault of ueba; -v shows where. Please report it.", 1
        ) from error


def _of_server(error: Exception) -> str:
    """What a graph server answered, which may be another's: not longer than a person reads."""
    return "\n".join(str(error).split("\n")[:MOST_LINES])


@contextlib.contextmanager
def may_end_early() -> Iterator[None]:
    """Exit code 0 if whoever reads the output has seen enough, as `head` does; 130 if the user interrupts."""
    try:
        yield
    except BrokenPipeError:
        silence(sys.stdout)
        raise click.exceptions.Exit(0) from None
    except KeyboardInterrupt:
        echo("\ninterrupted", err=True)
        raise click.exceptions.Exit(130) from None


class Echo(logging.Handler):
    """Log records on standard error, whatever that is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(self.format(record), err=True)


class OneLine(logging.Formatter):
    """A record in one line, whatever names are in it; a traceback follows, and does not begin at the
    margin."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return textwrap.indent(super().formatException(ei), "  ")


@contextlib.contextmanager
def logging_to_standard_error() -> Iterator[None]:
    """-v shows what the three packages log at INFO, -vv at DEBUG. Other libraries keep silent, but for their
    warnings."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(common().verbose, logging.DEBUG)
    handler = Echo()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in ("ueba", "graphdb", "models", "py.warnings")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger in loggers:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
