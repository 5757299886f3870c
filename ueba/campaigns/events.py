"""Events of campaigns: plans of every kind, put into hours and days, as the logons that they leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ueba.arrays import Ints
from ueba.campaigns.kinds import KINDS, Kind, Plan
from ueba.campaigns.scene import HOURS, Rng, Scene
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
DAY_S = 86_400
SCHEMA = pa.schema(
    [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in EVENT_COLUMNS[1:])]
    + [("kind", pa.string()), ("campaign", pa.int64())]
)


class Wanted(NamedTuple):
    """How many campaigns, and how visible."""

    per_kind: int  # campaigns of each kind
    strength: float = 1.0  # above 1: more steps, farther from what colleagues use; below 1: fewer and closer
    seed: int = 0  # the same seed gives the same campaigns


def invent(scene: Scene, days: Sequence[dt.date], wanted: Wanted) -> pa.Table:
    """Events of campaigns on some of the days, sorted by time: the columns of SCHEMA.

    Each campaign has its own victim: a kind with fewer possible victims has fewer campaigns. Raises
    UsageError without days, or if the strength is not above 0."""
    if not days or wanted.strength <= 0:
        raise UsageError("campaigns need a day to happen on, and a strength above 0")
    rng = np.random.default_rng(wanted.seed)
    days_s = np.array(sorted((day - dt.date(1970, 1, 1)).days for day in days)) * DAY_S  # [days]
    taken: set[int] = set()
    campaigns: list[pa.Table] = []
    for name, kind in KINDS.items():
        victims = [int(user) for user in rng.permutation(kind.victims(scene)) if int(user) not in taken]
        for victim in victims[: wanted.per_kind]:
            plan = shortened(kind.plan(scene, victim, wanted.strength, rng), len(days))
            seconds = schedule(scene, plan, victim, kind.gap_s, days_s, rng)
            events = logons(scene, plan, seconds, kind, rng)
            campaigns.append(labelled(events, name, len(campaigns)))
            taken.add(victim)
    order = [(name, "ascending") for name in ("time", "campaign", "target")]
    return pa.concat_tables([SCHEMA.empty_table(), *campaigns]).sort_by(order)


def shortened(plan: Plan, days: int) -> Plan:
    """A plan of one step a day has no more steps than there are days."""
    if plan.when != "daily":
        return plan
    return Plan(plan.user[:days], plan.source[:days], plan.target[:days], plan.when)


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


def logons(scene: Scene, plan: Plan, seconds: Ints, kind: Kind, rng: Rng) -> pa.Table:
    """Events of a plan, EVENT_COLUMNS: each step once or a few times within minutes, in the way in which the
    target is usually reached."""
    step = np.repeat(np.arange(len(seconds)), rng.geometric(0.6, len(seconds)))  # [events]
    again = np.concatenate([[False], step[1:] == step[:-1]])[: len(step)]
    midnight = seconds[step] - seconds[step] % DAY_S
    time = np.minimum(seconds[step] + again * rng.integers(1, 600, len(step)), midnight + DAY_S - 1)
    target = plan.target[step]
    ways = [way(scene, int(place), rng) for place in plan.target]  # [steps]
    failed = rng.random(len(step)) < kind.failures
    columns = {
        "user": scene.users[plan.user[step]].tolist(),
        "source": scene.places[plan.source[step]].tolist(),
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


def way(scene: Scene, place: int, rng: Rng) -> Way:
    """The way of a random edge to a place, one from another machine if there is any."""
    rows = scene.edges_to(place)
    remote = rows[scene.source[rows] != place]
    row = int(rng.choice(remote if len(remote) else rows))

    def one_of(column: str) -> str | None:
        values = scene.edges[column][row].as_py() if column in scene.edges.column_names else []
        present = [value for value in values if value is not None]
        return str(rng.choice(present)) if present else None

    if "action" in scene.edges.column_names:
        action = scene.edges["action"][row].as_py()
    else:
        action = "object_access" if scene.is_resource[place] else "logon"
    return Way(action, one_of("logon_types"), one_of("auth_packages"))


def labelled(events: pa.Table, kind: str, campaign: int) -> pa.Table:
    """Events with the name of their kind and the number of their campaign: the columns of SCHEMA."""
    count = len(events)
    kinds, campaigns = pa.array([kind] * count, pa.string()), pa.array(np.full(count, campaign))
    return events.append_column("kind", kinds).append_column("campaign", campaigns).cast(SCHEMA)


def labels(events: pa.Table) -> pa.Table:
    """LABEL_COLUMNS of invented events."""
    malicious = pa.array(np.ones(len(events), np.int64))
    return events.append_column("malicious", malicious).select(LABEL_COLUMNS)
