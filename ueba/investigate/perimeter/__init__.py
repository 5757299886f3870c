"""The perimeter: what a stolen account, a lost machine or an attacker's address can have touched, in the
order of time.

    log        the events of a span of time as numbers
    origins    what names and indicators mean          contacts   events in which an indicator appears
    flags      events whose edge is in an incident     events     the log as `reach` takes it
    reach      the rules, and when each account and place is reached
    classes    confirmed, possible, not reached
    rows       numbers back to names, with the place in the log
    forms      JSON, table, drawing

The result is `ueba.contracts.perimeter.Perimeter`. The rules stand at the top of `reach`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np

from ueba.arrays import Ints
from ueba.contracts.entity import Entity
from ueba.contracts.names import Identity
from ueba.contracts.perimeter import Perimeter
from ueba.ingest import raw
from ueba.ingest.identity import entities as identity
from ueba.investigate.perimeter import classes, reach, rows
from ueba.investigate.perimeter.events import anonymous_accounts, to_events
from ueba.investigate.perimeter.flags import find_flags
from ueba.investigate.perimeter.log import COLUMNS, Log, equals
from ueba.investigate.perimeter.origins import find_origins
from ueba.investigate.perimeter.reach import NEVER
from ueba.workspace import Workspace


def draw_up(
    workspace: Workspace,
    names: Sequence[str],
    indicators: Sequence[str],
    since: dt.datetime,
    until: dt.datetime,
    hops: int | None = None,
) -> Perimeter:
    """The perimeter of names and indicators, from the events of the lake, both times included.

    Raises WorkspaceError for a name that no event of that time has to do with; an indicator may be
    unknown."""
    whole = Log.of(raw.events(workspace.lake, since, until, workspace.memory_limit, columns=COLUMNS))
    identities = identity.read(workspace.lake)
    origins = find_origins(workspace, whole, identities, names, indicators)
    succeeded = ~equals(whole.table["outcome"], "failure")
    log = whole.where(succeeded)
    flags, anonymous = find_flags(workspace, log), anonymous_accounts(log, _anonymous(identities))
    events = to_events(log, origins.met[succeeded] >= 0, flags.incident >= 0, anonymous)
    spreads = reach.reach(events, *_beginnings(log, origins.present, since), hops)
    _, confirmed, possible = spreads
    exposures = reach.exposed(events, possible.on)
    reached = classes.reached(log, flags, spreads, exposures, {*origins.present})
    listed = {*origins.present, *(row.entity for row in reached)}
    return Perimeter(
        since=since,
        until=until,
        origins=tuple(origins.present),
        unknown=tuple(origins.unknown),
        contacts=tuple(rows.contact_rows(whole, origins.met, [origin.name for origin in origins.every])),
        reached=tuple(reached),
        exposed=tuple(rows.exposure_rows(log, exposures)),
        touched=tuple(rows.touch_rows(log, confirmed, possible)),
        not_reached=tuple(sorted(classes.everything(log, possible.on, anonymous) - listed)),
    )


def _anonymous(identities: Sequence[Identity]) -> set[str]:
    """The accounts that the lake knows as anonymous, whatever their names."""
    return {identity.name for identity in identities if identity.account_kind == "anonymous"}


def _beginnings(log: Log, origins: Sequence[Entity], since: dt.datetime) -> tuple[Ints, Ints]:
    """From when each account is owned and each place is on: the beginning for origins, else NEVER. int64
    [accounts] and [places]"""
    began, present = int(np.datetime64(since, "us").astype(np.int64)), {*origins}
    owned = [began if Entity("user", name) in present else NEVER for name in log.accounts]
    on = [began if place in present else NEVER for place in log.places]
    return np.array(owned, np.int64), np.array(on, np.int64)
