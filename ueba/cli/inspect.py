"""Commands that look at what was learned: calibration, entity; and at who is new: newcomers."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path

import click

from ueba import words
from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import day_option, format_option, limit_option, picture_option, span_options
from ueba.contracts import versions
from ueba.contracts.entity_facts import EntityFacts, NearEntity, RoleFacts, UsualPartner, address_json

TITLES = {
    "breadth": "share of edges with p at most 0.01 and 0.001, by tenth of users by breadth",
    "cohorts": "the same by cohort: kind of account and least breadth",
    "prices": "what a threshold costs: edges and incidents on an average day, and the most incidents on one",
}
ROLE_COLUMNS = (
    "role",
    "breadth",
    "active_days",
    "novelty",
    "novelty_of_peers",
    "novelty_typical",
    "new_a_day",
    "most_new",
)
NEWCOMER_COLUMNS = (
    "day",
    "what",
    "name",
    "kind",
    "first_seen",
    "last_before",
    "beside",
    "reached",
    "reached_usual",
    "accounts",
    "accounts_usual",
    "compared",
    "known",
    "colleagues",
    "incident",
)


@command()
@span_options("First day.  [default: the last 5 after training, or those held out of it]")
@picture_option((".svg", ".png"))
@format_option()
@pass_settings
def calibration(
    settings: Settings, first: dt.date | None, last: dt.date | None, picture: Path | None, output_format: str
) -> None:
    """Check whether p-values are right, and what a threshold costs.

    Days that the model did not train on are scored again. Of their edges one in a hundred should have a
    p-value of at most 0.01, for users of every breadth and for all kinds of account. Attacks on these days,
    noticed or not, count as normal: choose days without. Nothing is kept.

    \b
    Example:
      ueba calibration --picture calibration.svg
    """
    from ueba import stages
    from ueba.investigate.draw import charts
    from ueba.memory import Memory

    with output.progress() as report:
        found = stages.inspect(Memory(settings.workspace, settings.config), first, last, report)
    output.note(f"days inspected: {', '.join(map(str, found.days))}; {found.how}")
    output.emit_tables(found.tables(), TITLES, output_format, versions.CALIBRATION)
    if picture is not None:
        charts.draw_calibration(found, picture)
        output.note(f"picture: {picture}")


@command()
@click.argument("name", required=False)
@day_option("As known before this day.  [default: after the last day of the lake]")
@limit_option(20, "Names to list if NAME is not given.")
@format_option()
@pass_settings
def entity(settings: Settings, name: str | None, day: dt.date | None, limit: int, output_format: str) -> None:
    """Show what is known of a user, machine or resource, and why its novelties count less or more. Without
    NAME: list the entities.

    JSON has all facts; a name that is both a user and a machine gives two records.

    \b
    Example:
      ueba entity --limit 5
      ueba entity mlopez@corp.example --day 2026-01-21
    """
    from ueba import stages
    from ueba.investigate import entity as entities
    from ueba.investigate.names import EntityIndex
    from ueba.memory import Memory

    memory = Memory(settings.workspace, settings.config)
    memory.last_day()  # an error if the lake is empty, with --day as well
    context = stages.entity_context(memory, day)
    if name is None:
        rows = entities.listing(context)
        shown = rows[:limit] if output_format == "table" else rows
        output.emit(shown, output_format, versions.ENTITY_NAME, entities.LIST_COLUMNS)
        return
    with entities.naming_standing(context, name):
        named = EntityIndex.of_workspace(settings.workspace).find(name)
        numbers = entities.in_history(context, named)
    found = [entities.describe(context, number) for number in numbers]
    if output_format != "table":
        output.emit([facts.to_json() for facts in found], output_format, versions.ENTITY)
        return
    for facts in found:
        _show(facts)


@command()
@day_option("The day.  [default: the last day of the lake]")
@click.option(
    "--silent-days",
    type=click.IntRange(1),
    help="Days without an event after which an account is woken.  [default: 30, or half as long as the lake"
    " goes back, at least 7]",
)
@limit_option(20, "Newcomers to list in a table.")
@format_option()
@pass_settings
def newcomers(
    settings: Settings, day: dt.date | None, silent_days: int | None, limit: int, output_format: str
) -> None:
    """List the accounts and machines that are new on a day, and the accounts that come back after a long
    silence.

    Beside each stands from where it came, how much it reached and what newcomers of its kind usually reach on
    their first day, and how much of that its colleagues knew. First come those that reached the most that
    their colleagues do not know. Nothing is scored: this is what the lake has, strange or not.

    \b
    Example:
      ueba newcomers --day 2026-01-21
      ueba newcomers --silent-days 14 --format jsonl
    """
    from ueba.investigate import newcomers as arrivals
    from ueba.memory import Memory

    last = Memory(settings.workspace, settings.config).last_day()  # an error if the lake is empty
    found = arrivals.new_today(settings.workspace, day or last, silent_days)
    if output_format != "table":
        records = [{"day": str(found.day), **one.to_json()} for one in found.newcomers]
        if output_format == "csv":
            records = [{**row, "beside": [other["name"] for other in row["beside"]]} for row in records]
        output.emit(records, output_format, versions.NEWCOMER, NEWCOMER_COLUMNS)
        return
    output.note(arrivals.sentence(found))
    if found.newcomers:
        rows = [arrivals.as_row(one) for one in found.newcomers[:limit]]
        output.table(rows, list(rows[0]))
    if more := found.newcomers[limit:]:
        output.note(f"and {len(more):,} more; --limit {len(found.newcomers)} shows them")


def _show(facts: EntityFacts) -> None:
    """An entity's facts for a person."""
    output.line(f"{facts.name}: {facts.kind}, as known before {facts.before}")
    output.echo(
        f"seen {facts.first_seen} to {facts.last_seen}; active on {facts.active_days:.1f} of"
        f" {facts.days_that_count:.1f} days (a day counts half after {facts.half_life_days:g})"
    )
    output.echo(f"hours, UTC     0h {sparkline(facts.hours_utc)} 23h")
    if facts.logon_types:
        types = ", ".join(f"{name} {share:.0%}" for name, share in facts.logon_types.items())
        output.line(f"logon types    {types}")
    _show_identity(facts)
    _show_roles(facts.roles)
    _show_nearest(facts)
    output.echo("why its novelties count less or more")
    for sentence in facts.why:
        output.line(f"- {sentence}")


def _show_nearest(facts: EntityFacts) -> None:
    """Who is most like an entity, and the shared partners that this rests on, with how many know each."""
    output.echo(f"most like it, by {facts.nearest_by}; it rests on those that few know (how many do)")
    rows = [
        near._asdict() | {"rests_on": ", ".join(f"{one.name} ({one.known_by})" for one in near.rests_on)}
        for near in facts.nearest
    ]
    output.table(rows, NearEntity._fields)


def _show_roles(roles: Sequence[RoleFacts]) -> None:
    """An entity's partners in each role, for example as the user of targets."""
    output.echo(
        "\nin each role: distinct partners ever, share of a day's partners that are new, new partners a day"
    )
    rows = [{name: getattr(role, name) for name in ROLE_COLUMNS} for role in roles]
    output.table(
        [{**row, "role": _phrase(role)} for row, role in zip(rows, roles, strict=True)], ROLE_COLUMNS
    )
    output.echo("with whom on most days (decayed)")
    usual = [{"role": _phrase(role), **partner._asdict()} for role in roles for partner in role.usual]
    output.table(usual, ("role", *UsualPartner._fields))
    quarantined = [{"role": _phrase(role), "name": name} for role in roles for name in role.quarantined]
    if quarantined:
        output.echo("met once, in a strange edge, and so news until it comes again")
        output.table(quarantined)


def _phrase(role: RoleFacts) -> str:
    return f"{role.role} {role.partner}s"


def _show_identity(facts: EntityFacts) -> None:
    """Rights, what the organisation says, attributes and other names, as far as there are any."""
    if facts.is_admin:
        machines = (
            f", seen with administrator rights on {facts.privileged_on} machines"
            if facts.privileged_on
            else ""
        )
        output.echo(f"administrator{machines}")
    for phrase in words.standing(facts.standing, facts.what):
        output.line(phrase)
    for name, value in facts.attributes.items():
        output.line(f"{name:14} {value}")
    if facts.aliases or facts.addresses:
        output.echo("\nalso known as, and how we know")
        names = [alias._asdict() for alias in facts.aliases]
        addresses = [{"name": lease.address, **address_json(lease)} for lease in facts.addresses]
        output.table([*names, *addresses], ("name", "why", "since", "until"))


def sparkline(shares: Sequence[float]) -> str:
    """A bar for each share, the largest full."""
    most = max(shares) or 1.0
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(8 * share / most)] for share in shares)


COMMANDS = (calibration, entity, newcomers)
