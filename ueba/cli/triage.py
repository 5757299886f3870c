"""The command `triage`: verdicts on incidents, and rules that hide incidents."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.common import Group, Settings, group, own_arguments, pass_settings
from ueba.cli.options import Day, format_option, span_options
from ueba.contracts import versions
from ueba.contracts.verdict import WORDS, Word

if TYPE_CHECKING:
    from ueba.memory import Memory
    from ueba.triage.hiding import DryRun
    from ueba.triage.rules import Rule

LOG_COLUMNS = ("entered", "who", "incident", "verdict", "reason", "expires", "state", "changed")
RULE_COLUMNS = ("name", "owner", "effect", "from", "until", "conditions", "reason", "state")
DRY_COLUMNS = ("day", "rank", "id", "score", "verdict", "hidden_by", "users", "machines")
LONGEST_REASON = 500  # characters: it stands beside every edge that a verdict changes
SHOWN = 10  # incidents of a dry run in a table


class Triage(Group):
    """`ueba triage ID ...` is short for `ueba triage incident ID ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = own_arguments(args)
        rest = args[first:]
        if rest and rest[0] not in {*self.commands, *ctx.help_option_names}:
            args = [*args[:first], "incident", *rest]
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
    """`--who`: the analyst."""
    return click.option("--who", help="Your name.  [default: the user of this machine]")(function)


@group(cls=Triage, subcommand_metavar="ID|COMMAND [OPTIONS]")
def triage() -> None:
    """Enter a verdict on an incident (`ueba triage ID --verdict ...`), list verdicts, and hide what is
    planned.

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
    help="What the incident was; `withdrawn` takes an earlier verdict back.",
)
@click.option("--reason", required=True, help="Why; shown wherever the verdict changes something.")
@click.option(
    "--expires",
    type=Expiry(),
    help="Last day, or number of days, for which it counts.  [default: 90 days; true: for ever]",
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
    """Enter a verdict on an incident. ID may be cut short. The last verdict counts, for the days after the
    incident's.

    \b
    true: its edges are never learned, and its users and machines are watched for ten days.
    benign: edges like its own count less, half as much so every 30 days.
    expected: exactly its edges count less until it expires.

    \b
    Example:
      ueba triage 20260121-3fa9c1d2 --verdict true --reason "mlopez gave away her password"
    """
    from ueba.text import plain
    from ueba.triage import desk
    from ueba.triage.desk import Decision

    decision = Decision(verdict, checked_reason(reason), plain(who or user_name()), expires)
    found, is_news = desk.decide(settings.workspace, incident_id, decision)
    output.note_damage(settings.workspace.root)
    if not is_news:
        output.note(f"{found.incident} has this verdict already; nothing is added")
        return
    until = f" until {found.expires}" if found.expires else ""
    entered = f"{found.incident} is called {found.verdict} by {found.who}{until}"
    output.note(f"{entered}: {len(found.edges)} edges; see `ueba triage log`")
    note_if_learned(settings, verdict, found.day)


def checked_reason(text: str) -> str:
    """A reason in one line. Raises UsageError if it is empty or too long."""
    from ueba.errors import UsageError
    from ueba.text import plain

    reason = plain(" ".join(text.split()))
    if not 0 < len(reason) <= LONGEST_REASON:
        long = f"has {len(reason):,} characters, more than {LONGEST_REASON}" if reason else "is empty"
        raise UsageError(f"--reason {long}; write a sentence that explains the verdict in a month")
    return reason


def note_if_learned(settings: Settings, verdict: Word, day: dt.date) -> None:
    """Say so if the model has learned from a day with an attack."""
    from ueba.memory import Memory

    if verdict == "true" and knows(Memory(settings.workspace, settings.config), day):
        output.note(f"the model has learned from {day}; `ueba train` makes one that has not seen these edges")


@triage.command("log")
@span_options("Verdicts entered on this day or later.", "Verdicts entered on this day or before.")
@format_option()
@pass_settings
def log(settings: Settings, first: dt.date | None, last: dt.date | None, output_format: str) -> None:
    """List all verdicts: who, when, what, why, whether it still counts, and how many edges it has changed.

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
        output.note(f"no verdict was entered{when}; `ueba triage ID --verdict ...` enters one")
    output.emit(rows, output_format, versions.VERDICT, LOG_COLUMNS)


RULES_FILE = click.Path(dir_okay=False, path_type=Path)


@triage.command("rules")
@click.option("--rules", "trial", type=RULES_FILE, help="Rules to try instead of those in force.")
@click.option("--dry-run", is_flag=True, help="Show what the rules would have hidden.")
@click.option("--apply", "new", type=RULES_FILE, help="Put this file's rules in force.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@span_options("First day of the dry run.  [default: the first scored]", "Last day of the dry run.")
@who_option
@format_option()
@pass_settings
def rules(
    settings: Settings,
    trial: Path | None,
    dry_run: bool,
    new: Path | None,
    yes: bool,
    first: dt.date | None,
    last: dt.date | None,
    who: str | None,
    output_format: str,
) -> None:
    """List the rules in force, which hide what is planned or allowed; try others on scored days; put them in
    force.

    A rule has name, reason, owner, a window (from, to) or a last day (expires), and what it hides: user,
    source, target, logon_type (* ? [] match), kind. See docs/triage.md.

    \b
    Example:
      ueba triage rules --apply patch-night.toml
    """
    from ueba.triage import desk
    from ueba.triage import rules as hide

    check_rule_options(trial, dry_run, new, bool(first or last))
    if new is not None:
        apply_rules(settings, new, yes, who, output_format)
        return
    chosen = hide.installed(settings.workspace.root) if trial is None else hide.load(trial)
    if dry_run or trial is not None:
        show_dry_run(desk.try_rules(settings.workspace, chosen, first, last), output_format)
    else:
        show_rules(settings, chosen, output_format)


def check_rule_options(trial: Path | None, dry_run: bool, new: Path | None, has_days: bool) -> None:
    """Raises UsageError for options that exclude each other."""
    from ueba.errors import UsageError

    if new is None:
        return
    if trial is not None:
        raise UsageError("give --rules to try a file or --apply to put it in force, not both")
    if dry_run:
        raise UsageError("--apply puts rules in force; to try them, use --dry-run --rules FILE")
    if has_days:
        raise UsageError("--apply hides on all days; --from and --to are for --dry-run, leave them out")


def show_rules(settings: Settings, chosen: Sequence[Rule], output_format: str) -> None:
    """Print the rules in force."""
    from ueba.triage import desk
    from ueba.triage import rules as hide

    if not chosen:
        output.note("no rules are in force; `ueba triage rules --apply FILE` puts some in force")
    rows = [hide.shown(rule, desk.today(settings.workspace)) for rule in chosen]
    output.emit(rows, output_format, versions.RULE, RULE_COLUMNS)


def apply_rules(settings: Settings, file: Path, yes: bool, who: str | None, output_format: str) -> None:
    """Show what the rules of a file would have hidden, ask, and put them in force."""
    from ueba.text import plain
    from ueba.triage import desk
    from ueba.triage import rules as hide

    text = hide.read(file)
    chosen = hide.parse(text, str(file))
    show_dry_run(desk.try_rules(settings.workspace, chosen, None, None), output_format)
    if not yes:
        click.confirm("put these rules in force?", abort=True, err=True)
    desk.install_rules(settings.workspace, text, chosen, plain(who or user_name()))
    output.note(f"{len(chosen)} rules are in force; `ueba incidents --all` shows what they hide")


def show_dry_run(found: DryRun, output_format: str) -> None:
    """Print what rules would have hidden."""
    from ueba import words

    output.note(found.sentence())
    if found.true:
        named = ", ".join(incident.id for incident in found.true)
        output.warn(
            f"WARNING: {len(found.true)} of them were called TRUE and would never have been seen: {named}"
        )
    shown = found.hidden[:SHOWN] if output_format == "table" else found.hidden
    rows = [{**words.incident_json(incident), "verdict": found.words.get(incident.id)} for incident in shown]
    output.emit(rows, output_format, versions.INCIDENT, DRY_COLUMNS)


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
