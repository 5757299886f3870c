"""The command that lists what trainings set aside on days that were never scored: suspects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import day_option, format_option, limit_option
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.contracts.suspect import Review
    from ueba.suspects import Actor
    from ueba.workspace import Workspace

COLUMNS = (
    "rank",
    "kind",
    "name",
    "stands_out",
    "nats",
    "edges",
    "first_day",
    "last_day",
    "days",
    "users",
    "targets",
)
EDGE_COLUMNS = ("day", "user", "source", "target", "target_kind", "p_value")


@command()
@click.argument("name", required=False)
@day_option("Only suspects of this day.  [default: of all days that were reviewed]")
@limit_option(10, "Rows of a table; the other formats print all.")
@format_option()
@pass_settings
def suspects(
    settings: Settings, name: str | None, day: dt.date | None, limit: int, output_format: str
) -> None:
    """List what training set aside on days that were never scored, by machine; with NAME, edge by edge.

    A training reviews the days before it that nothing has scored. What is strangest there it does not learn
    as usual, so that an intruder who is there already can be found later. Some edges of every day are
    strangest, also where nobody broke in: look at who stands out. docs/suspects.md.

    \b
    Example:
      ueba suspects
      ueba suspects srv-app-007 --format csv
    """
    from ueba import suspects as kept

    reviews = [one for one in kept.load_all(settings.workspace.findings) if day in (None, one.day)]
    found = kept.actors({one.day: one.suspects for one in reviews})
    named = [actor for actor in found if name and actor.name.casefold() == name.casefold()]
    if name is None:
        emit(found, limit, output_format)
    else:
        emit_edges(named, limit, output_format)
    if not reviews:
        asked = f"{day} was not" if day else "no day was"
        output.note(f"{asked} reviewed: `ueba train` reviews days that were never scored")
    elif name is not None and not named:
        output.note(f"nothing that {name} did was set aside; `ueba suspects` lists whose edges were")


def emit(found: Sequence[Actor], limit: int, output_format: str) -> None:
    """Print who acted in suspects, the strangest first."""
    rows = [
        {
            "rank": rank,
            "kind": actor.kind,
            "name": actor.name,
            "stands_out": "yes" if actor.stands_out else "",
            "nats": round(actor.nats, 1),
            "edges": len(actor.edges),
            "first_day": actor.days[0],
            "last_day": actor.days[-1],
            "days": len(actor.days),
            "users": len({suspect.edge.user for _, suspect in actor.edges}),
            "targets": len({suspect.edge.target for _, suspect in actor.edges}),
        }
        for rank, actor in enumerate(found, 1)
    ]
    output.emit(rows[:limit] if output_format == "table" else rows, output_format, versions.ACTOR, COLUMNS)


def emit_edges(found: Sequence[Actor], limit: int, output_format: str) -> None:
    """Print the suspects of actors, by day."""
    rows = [
        {"day": day, **suspect.edge._asdict(), "p_value": suspect.p_value}
        for actor in found
        for day, suspect in actor.edges
    ]
    output.emit(
        rows[:limit] if output_format == "table" else rows, output_format, versions.SUSPECT, EDGE_COLUMNS
    )


def note_reviewed(workspace: Workspace, days: Collection[dt.date]) -> None:
    """Tell of days that a training reviewed: how many edges it set aside, and whose most are."""
    from ueba import suspects as kept

    reviews: list[Review] = [one for one in kept.load_all(workspace.findings) if one.day in days]
    found = kept.actors({one.day: one.suspects for one in reviews})
    if not found:
        return
    edges = sum(len(actor.edges) for actor in found)
    first = ", ".join(f"{actor.name} ({len(actor.edges)})" for actor in found[:3])
    output.note(
        f"reviewed {len(reviews)} days from {reviews[0].day} to {reviews[-1].day} that were never scored:"
        f" {edges} edges are not learned as usual, first {first}; `ueba suspects` lists them"
    )


COMMANDS = (suspects,)
