"""Commands that are told whether an incident was right, and what to hide: triage."""

from __future__ import annotations

import datetime as dt
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings
from ueba.contracts.verdict import WORDS, Word

if TYPE_CHECKING:
    from ueba.memory import Memory
    from ueba.triage.hiding import DryRun

LOG_COLUMNS = ("entered", "who", "incident", "verdict", "reason", "expires", "state", "changed")
RULE_COLUMNS = ("name", "owner", "effect", "from", "until", "conditions", "reason", "state")
DRY_COLUMNS = ("day", "rank", "id", "score", "verdict", "hidden_by", "users", "machines")
LONGEST_REASON = 500  # characters: it stands beside every edge that a verdict changes
SHOWN = 10  # incidents of a dry run


class Triage(click.Group):
    """`ueba triage ID ...` is short for `ueba triage incident ID ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["incident", *args]
        return super().parse_args(ctx, args)


class Expiry(click.ParamType[dt.date | int]):
    """An ISO date, or a number of days."""

    name = "DATE|DAYS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date | int:
        if str(value).isdigit() and 0 < int(value) < 100_000:
            return int(value)
        if str(value).removeprefix("-").isdigit():
            self.fail(f"{value!r} days; give 1 to 99999 days, or a date as YYYY-MM-DD", param, ctx)
        return Day().convert(value, param, ctx)


def who_option(function: Any) -> Any:
    """`--who`."""
    return click.option("--who", help="Your name.  [default: the user of this machine]")(function)


@click.group(cls=Triage, subcommand_metavar="ID|COMMAND [OPTIONS]")
def triage() -> None:
    """Say whether an incident was right (`ueba triage ID --verdict ...`), see what was said, and hide what
    is planned.

    \b
    Example:
      ueba triage 20260121-3fa9 --verdict benign --reason "new job in finance" --expires 60
      ueba triage log
      ueba triage rules --dry-run --rules patch-night.toml
    """


@triage.command("incident")
@click.argument("incident_id", metavar="ID")
@click.option(
    "--verdict",
    type=click.Choice(WORDS),
    required=True,
    help="What it was; `withdrawn` takes back what was said.",
)
@click.option("--reason", required=True, help="Why; it is shown wherever the verdict changes something.")
@click.option(
    "--expires",
    type=Expiry(),
    help="Last day, or days, for which it counts.  [default: 90 days; true: for ever]",
)
@who_option
@pass_settings
def judge(
    settings: Settings,
    incident_id: str,
    verdict: Word,
    reason: str,
    expires: dt.date | int | None,
    who: str | None,
) -> None:
    """Say what an incident was. ID may be cut short. The last verdict counts, for the days after the
    incident's.

    \b
    true: its edges are never learned, and its users and machines are watched for ten days.
    benign: what is like it counts less, half as much so every 30 days.
    expected: exactly its edges count less until it expires.
    Example:
      ueba triage 20260121-3fa9c1d2 --verdict true --reason "mlopez gave away her password"
    """
    from ueba.errors import UsageError
    from ueba.memory import Memory
    from ueba.text import plain
    from ueba.triage import desk
    from ueba.triage.desk import Decision

    said = plain(" ".join(reason.split()))
    if not 0 < len(said) <= LONGEST_REASON:
        long = f"has {len(said):,} characters, more than {LONGEST_REASON}" if said else "is empty"
        raise UsageError(
            f"--reason {long}; who reads the verdict in a month wants to know why, in a sentence"
        )
    decision = Decision(verdict, said, plain(who or user_name()), expires)
    found, news = desk.decide(settings.workspace, incident_id, decision)
    output.note_damage(settings.workspace.root)
    if not news:
        output.note(f"{found.incident}: this was said before, nothing is added")
        return
    until = f" until {found.expires}" if found.expires else ""
    output.note(
        f"{found.incident} is called {found.verdict} by {found.who}{until}: {len(found.edges)} edges; see `ueba triage log`"
    )
    if verdict == "true" and knows(Memory(settings.workspace, settings.config), found.day):
        output.note(
            f"the model has learned from {found.day}; `ueba train` makes one that has not seen these edges"
        )


@triage.command("log")
@click.option("--from", "first", type=Day(), help="Verdicts given on this day or later.")
@click.option("--to", "last", type=Day(), help="Verdicts given on this day or before.")
@output.format_option
@pass_settings
def log(settings: Settings, first: dt.date | None, last: dt.date | None, output_format: str) -> None:
    """List all verdicts: who, when, what, why, whether it still counts, and what it has changed so far.

    \b
    Example:
      ueba triage log --from 2026-01-20
    """
    from ueba.triage import desk

    rows = [
        row
        for row in desk.log_rows(settings.workspace)
        if (first is None or row["entered"][:10] >= str(first))
        and (last is None or row["entered"][:10] <= str(last))
    ]
    output.note_damage(settings.workspace.root)
    if not rows:
        when = " on these days (of the clock, not of the logs)" if first or last else ""
        output.note(f"no verdict was given{when}; `ueba triage ID --verdict ...` gives one")
    output.emit(rows, output_format, LOG_COLUMNS)


@triage.command("rules")
@click.option(
    "--rules",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Rules to try instead of those in force.",
)
@click.option("--dry-run", is_flag=True, help="Say what the rules would have hidden.")
@click.option(
    "--apply",
    "apply",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put this file's rules in force.",
)
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@click.option("--from", "first", type=Day(), help="First day of the dry run.  [default: the first scored]")
@click.option("--to", "last", type=Day(), help="Last day of the dry run.")
@who_option
@output.format_option
@pass_settings
def rules(
    settings: Settings,
    file: Path | None,
    dry_run: bool,
    apply: Path | None,
    yes: bool,
    first: dt.date | None,
    last: dt.date | None,
    who: str | None,
    output_format: str,
) -> None:
    """List the rules in force that hide what is planned or allowed; try others on scored days; put them in
    force.

    \b
    A rule has name, reason, owner, a window (from, to) or a last day (expires), and what it hides:
    user, source, target, logon_type (* ? [] match), kind. See docs/triage.md.
    Example:
      ueba triage rules --apply patch-night.toml
    """
    from ueba.errors import UsageError
    from ueba.text import plain
    from ueba.triage import desk
    from ueba.triage import rules as hide

    output.in_order(first, last)
    if apply is not None and file is not None:
        raise UsageError("give --rules to try a file or --apply to put it in force, not both")
    if apply is not None and dry_run:
        raise UsageError("--apply puts rules in force; to try them, use --dry-run --rules FILE")
    if apply is not None and (first or last):
        raise UsageError(
            "--from and --to are for a dry run; --apply hides on all days, and shows them all first"
        )
    workspace, text = settings.workspace, None
    if apply is not None:
        text = hide.read(apply)
        chosen = hide.parse(text, str(apply))
    else:
        chosen = hide.load(file) if file is not None else hide.installed(workspace.root)
    if apply is None and not dry_run and file is None:
        if not chosen:
            output.note("no rules are in force; `ueba triage rules --apply FILE` puts some in force")
        output.emit([hide.shown(rule, desk.today(workspace)) for rule in chosen], output_format, RULE_COLUMNS)
        return
    found = desk.try_rules(workspace, chosen, first, last)
    _show(found, output_format)
    if text is not None:
        if not yes:
            click.confirm("put these rules in force?", abort=True, err=True)
        desk.install_rules(workspace, text, chosen, plain(who or user_name()))
        output.note(f"{len(chosen)} rules are in force; `ueba incidents --all` shows what they hide")


def _show(found: DryRun, output_format: str) -> None:
    """What rules would have hidden."""
    from ueba import words

    output.note(found.sentence())
    if found.true:
        named = ", ".join(incident.id for incident in found.true)
        output.note(
            f"WARNING: {len(found.true)} of them were called TRUE and would never have been seen: {named}"
        )
    rows = [
        {**words.incident_json(each), "verdict": found.words.get(each.id)}
        for each in (found.hidden if output_format != "table" else found.hidden[:SHOWN])
    ]
    output.emit(rows, output_format, DRY_COLUMNS)


def knows(memory: Memory, day: dt.date) -> bool:
    """Whether there is a model that has learned from a day."""
    return memory.model_facts is not None and not memory.can_score(day)


def user_name() -> str:
    """Of the operating system; its number where it has no name."""
    import os

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


COMMANDS = (triage,)
