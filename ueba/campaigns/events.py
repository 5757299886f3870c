"""Events of campaigns: plans of every kind, put into hours and days, as the logons that they leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ueba.arrays import Ints
from ueba.campaigns.kinds import KINDS, NEW, Kind, Plan, silent
from ueba.campaigns.names import new_account, new_machine
from ueba.campaigns.scene import DAY_S, HOURS, INTERACTIVE, Rng, Scene
from ueba.contracts.label import LABEL_COLUMNS
from ueba.errors import UsageError

EVENT_COLUMNS = (
    "time",
    "user",
    "source",
    "target",
    "target_kind",
    "action",
    "logon_type",
    "auth_package",
    "outcome",
)
SCHEMA = pa.schema(
    [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in EVENT_COLUMNS[1:])]
    + [("kind", pa.string()), ("campaign", pa.int64())]
)


class Wanted(NamedTuple):
    """How many campaigns, and how visible."""

    per_kind: int  # campaigns of each kind
    strength: float = 1.0  # above 1: more steps, farther from what colleagues use; below 1: fewer and closer
    seed: int = 0  # the same seed gives the same campaigns


def invent(
    scene: Scene, days: Sequence[dt.date], wanted: Wanted, with_silent: Scene | None = None
) -> pa.Table:
    """Events of campaigns on some of the days, sorted by time: the columns of SCHEMA.

    Each campaign has its own victim: a kind with fewer possible victims has fewer campaigns. with_silent:
    the scene with accounts that nobody uses any more, if they are not in the other one. Raises UsageError
    without days, or if the strength is not above 0."""
    if not days or wanted.strength <= 0:
        raise UsageError("campaigns need a day to happen on, and a strength above 0")
    rng = np.random.default_rng(wanted.seed)
    days_s = np.array(sorted((day - dt.date(1970, 1, 1)).days for day in days)) * DAY_S  # [days]
    taken: set[str] = set()  # victims
    names = {*scene.names, *scene.users.tolist(), *scene.places.tolist()}
    campaigns: list[pa.Table] = []
    for name, kind in KINDS.items():
        around = with_silent if with_silent is not None and kind.victims is silent else scene
        victims = [
            user for user in rng.permutation(kind.victims(around)).tolist() if around.users[user] not in taken
        ]
        for victim in victims[: wanted.per_kind]:
            plan = shortened(kind.plan(around, victim, wanted.strength, rng), len(days))
            seconds = schedule(around, plan, victim, plan.gap_s or kind.gap_s, days_s, rng)
            called = cast(around, plan, names, rng)
            events = logons(around, plan, called, seconds, kind, rng)
            campaigns.append(labelled(events, name, len(campaigns)))
            taken.add(around.users[victim])
    order = [(name, "ascending") for name in ("time", "campaign", "target")]
    return pa.concat_tables([SCHEMA.empty_table(), *campaigns]).sort_by(order)


def shortened(plan: Plan, days: int) -> Plan:
    """A plan of one step a day has no more steps than there are days."""
    if plan.when != "daily":
        return plan
    return plan._replace(user=plan.user[:days], source=plan.source[:days], target=plan.target[:days])


class Called(NamedTuple):
    """What the account and the machine of each step are called, [steps]."""

    user: list[str]
    source: list[str]


def cast(scene: Scene, plan: Plan, names: set[str], rng: Rng) -> Called:
    """The names of a plan's accounts and machines. Names of NEW ones are added to the names that exist."""
    user, source = scene.users[plan.user].tolist(), scene.places[plan.source].tolist()
    if plan.account_like >= 0:
        alike = rng.permutation(np.flatnonzero(scene.kind == scene.kind[plan.account_like]))
        new = new_account(str(scene.users[plan.account_like]), scene.users[alike].tolist(), names)
        user = [new if number == NEW else name for number, name in zip(plan.user, user, strict=True)]
        names.add(new)
    if plan.machine_like >= 0:
        new = new_machine(str(scene.places[plan.machine_like]), names)
        source = [new if number == NEW else name for number, name in zip(plan.source, source, strict=True)]
        names.add(new)
    return Called(user, source)


def schedule(scene: Scene, plan: Plan, victim: int, gap_s: float, days_s: Ints, rng: Rng) -> Ints:
    """Seconds since 1970 of a plan's steps, [steps]; all on one day, unless it is one step a day."""
    active = scene.hours[victim] + 1e-9  # [24]
    if plan.when == "odd":  # the hours farthest from all that are usual
        near = active + np.roll(active, 1) + np.roll(active, -1)
        active = (near <= near.min() + 1e-6).astype(float)
    count = len(plan.target)
    begin_s = int(rng.choice(HOURS, p=active / active.sum())) * 3600 + rng.uniform(0, 3600)
    if plan.when == "daily":
        first = int(rng.integers(len(days_s) - count + 1))
        day_s = days_s[first : first + count]
        offset_s = begin_s + rng.uniform(-1800, 1800, count)
    else:
        day_s = np.full(count, rng.choice(days_s))
        offset_s = begin_s + np.cumsum(rng.exponential(gap_s, count)) - gap_s / 2
    seconds: Ints = day_s + np.clip(offset_s, 0, DAY_S - 1).astype(np.int64)
    return seconds


def logons(scene: Scene, plan: Plan, called: Called, seconds: Ints, kind: Kind, rng: Rng) -> pa.Table:
    """Events of a plan, EVENT_COLUMNS: each step once or a few times within minutes, in the way in which the
    target is usually reached, or at a screen."""
    step = np.repeat(np.arange(len(seconds)), rng.geometric(0.6, len(seconds)))  # [events]
    again = np.concatenate([[False], step[1:] == step[:-1]])[: len(step)]
    midnight = seconds[step] - seconds[step] % DAY_S
    time = np.minimum(seconds[step] + again * rng.integers(1, 600, len(step)), midnight + DAY_S - 1)
    target = plan.target[step]
    ways = [way(scene, int(place), rng, plan.interactive) for place in plan.target]  # [steps]
    failed = rng.random(len(step)) < kind.failures
    columns = {
        "user": [called.user[i] for i in step],
        "source": [called.source[i] for i in step],
        "target": scene.places[target].tolist(),
        "target_kind": np.where(scene.is_resource[target], "resource", "machine").tolist(),
        "action": [ways[i].action for i in step],
        "logon_type": [ways[i].logon_type for i in step],
        "auth_package": [ways[i].auth_package for i in step],
        "outcome": np.where(failed, "failure", "success").tolist(),
    }
    texts = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return pa.table({"time": pa.array(time * 1_000_000).cast(pa.timestamp("us", "UTC")), **texts})


class Way(NamedTuple):
    """How a place is reached."""

    action: str
    logon_type: str | None
    auth_package: str | None


def way(scene: Scene, place: int, rng: Rng, interactive: bool = False) -> Way:
    """The way of a random edge to a place, one from another machine if there is any; at a screen, if any
    place is reached so."""
    rows = scene.edges_to(place)
    remote = rows[scene.source[rows] != place]
    rows = remote if len(remote) else rows
    if interactive:
        elsewhere = np.flatnonzero(scene.is_interactive & (scene.source != scene.target))
        rows = next((found for found in (rows[scene.is_interactive[rows]], elsewhere) if len(found)), rows)
    row = int(rng.choice(rows))

    def one_of(column: str, preferred: Collection[str] = ()) -> str | None:
        values = scene.edges[column][row].as_py() if column in scene.edges.column_names else []
        present = [value for value in values if value is not None]
        present = [value for value in present if value in preferred] or present
        return str(rng.choice(present)) if present else None

    if "action" in scene.edges.column_names:
        action = scene.edges["action"][row].as_py()
    else:
        action = "object_access" if scene.is_resource[place] else "logon"
    screens = INTERACTIVE.to_pylist() if interactive else ()
    return Way(action, one_of("logon_types", screens), one_of("auth_packages"))


def labelled(events: pa.Table, kind: str, campaign: int) -> pa.Table:
    """Events with the name of their kind and the number of their campaign: the columns of SCHEMA."""
    count = len(events)
    kinds, campaigns = pa.array([kind] * count, pa.string()), pa.array(np.full(count, campaign))
    return events.append_column("kind", kinds).append_column("campaign", campaigns).cast(SCHEMA)


def labels(events: pa.Table) -> pa.Table:
    """LABEL_COLUMNS of invented events."""
    malicious = pa.array(np.ones(len(events), np.int64))
    return events.append_column("malicious", malicious).select(LABEL_COLUMNS)
