"""Why an incident was reported, as facts that a person can check: what is new, what was expected, what would
have been normal.

    habits           how often the account does new things, and its peers do: those of its kind with as many partners
    expected         with whom, when and how it is on most days
    counterfactuals  the same edge with one thing changed, judged by the same model against the same past and the same day: from a
                     usual machine, by a peer who knows the target (from where the peer would reach it), at a usual hour, in a usual
                     way, to a usual target
    parts            what each part of the evidence adds to the log odds, beside an ordinary edge of the day: Shapley values of the
                     groups of features and of the graph, which add up exactly; a part is put in or left out by taking it from
                     the edge or from the ordinary one

All of it needs the model and the past that judged the day, so it is worked out when the day is scored, for
the strangest edges of each incident, and kept beside its findings: `explained=<day>.json`. The events of an
edge are looked up in the lake when they are shown. Contributions as in Lundberg and Lee (2017), exactly,
since the parts are few; counterfactuals after Wachter et al. (2017). Leaves out causes: it says what the
model saw.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy import sparse

from models import inference
from ueba.detect import persistence
from ueba.detect.detector import Detector, breadth_rank
from ueba.detect.findings import Finding, held_before, load_edges, records
from ueba.detect.history import (
    NEVER,
    RELATIONS,
    EdgeBatch,
    Floats,
    History,
    Ints,
    day_number,
    pair_ends,
    pair_keys,
)
from ueba.detect.look import features, peers, tensors
from ueba.detect.look.features import FEATURES
from ueba.ingest import raw
from ueba.text import plain
from ueba.workspace import Workspace, write_json

Array = npt.NDArray[Any]
EdgeKey = tuple[str, str | None, str, str]
Explained = dict[str, list[dict[str, Any]]]  # by incident
SCHEMA_VERSION = 2
EDGES = 5  # of an incident, the strangest: those that are explained
YOUNG_DAYS = 14  # for which an entity is known; what is younger is said to be
TELLING = 1.0  # log odds, from which a part of the evidence is put in words of its own
FEW = 3  # usual partners, hours; alternatives of a kind
ORDINARY = 2000  # edges of a day that stand for the ordinary one
ORDINARY_P = 0.1  # at least; and of a change that makes an edge normal
LEAST_P = 1e-5  # in words: to know what is rarer takes more days than a model is calibrated by
EVENTS = 5  # of an edge that are shown
VERBS = {"user_target": "reached", "user_source": "acted from", "source_target": "reached"}
PARTS = {
    "user_target": "user and target",
    "user_source": "user and source",
    "source_target": "source and target",
    "hour": "hours",
    "type": "logon type",
    "volume": "events and failures",
    "kind": "kinds of the entities",
    "parts_new": "pairs that are new at once",
}
GRAPH = "the graph"
CHANGES = {
    "source": "from {}",
    "user": "by {}",
    "target": "to {}",
    "hour": "at {} h UTC",
    "logon_type": "by a {} logon",
}


def part_of(feature: str) -> str:
    """The part of the evidence that a feature belongs to."""
    relation = feature.partition(".")[0]
    if relation in PARTS:
        return relation
    if "hour" in feature:
        return "hour"
    if "type" in feature:
        return "type"
    return "volume" if feature in ("events", "failures") else "kind"


MEMBERS = {part: np.array([part_of(feature.name) == part for feature in FEATURES]) for part in PARTS}


@dataclass(frozen=True)
class Judge:
    """The model as it stands before a day. z: the embeddings by each of its members; seen: the day as a
    whole."""

    model: Detector
    history: History
    day: int
    seen: features.Today
    z: list[dict[str, Array]]

    @classmethod
    def of(cls, model: Detector, history: History, day: dt.date, batch: EdgeBatch) -> Judge:
        rows = model.users.find(history.users.names), model.places.find(history.places.names)
        graph = tensors.snapshot(history, *rows)
        z = [inference.encode(weights, graph.x, graph.row, graph.pairs) for weights in model.models]
        return cls(model, history, day_number(day), features.today(history, batch), z)

    def describe(self, batch: EdgeBatch) -> Floats:
        return features.describe(self.history, batch, self.day, self.seen)

    def together(self, batch: EdgeBatch) -> list[Array]:
        """The graph's say, by each model: float32 [edges, pairs * dim]"""
        nodes = tensors.edge_nodes(batch)
        members = zip(self.model.models, self.z, strict=True)
        return [np.concatenate(inference.products(weights, z, nodes), axis=1) for weights, z in members]

    def log_odds(self, together: Sequence[Array], described: Floats) -> Array:
        """Averaged over the models, float64 [edges]."""
        members = zip(self.model.models, together, strict=True)
        mean = np.mean(
            [inference.judge(weights, each, described) for weights, each in members], axis=0, dtype=np.float64
        )
        return np.asarray(mean)

    def score(self, batch: EdgeBatch) -> tuple[Array, Array]:
        """Surprise in nats and p-value. float64 [edges] each"""
        surprise = inference.surprise(self.log_odds(self.together(batch), self.describe(batch)))
        return surprise, self.model.calibration.p_values(breadth_rank(self.history, batch.user), surprise)


# --- when a day is scored -----------------------------------------------------------------------------------


def facts(
    model: Detector, history: History, batch: EdgeBatch, table: pa.Table, finding: Finding
) -> dict[str, list[dict[str, Any]]]:
    """By incident, what there is to say of its strangest edges, JSON values only. `history`: as of before
    the day; `table` and `batch`: all edges of it."""
    strangest = finding.edges[finding.edges["incident"].notna()].groupby("incident", sort=False).head(EDGES)
    if not len(strangest):
        return {}
    keys = ["user", "source", "target", "target_kind"]
    every = pd.MultiIndex.from_frame(table.select(keys).to_pandas().fillna(""))
    rows = every.get_indexer(pd.MultiIndex.from_frame(strangest[keys].fillna("")))
    judge = Judge.of(model, history, finding.day, batch)
    mine = batch.take(rows)
    described = judge.describe(mine)
    ordinary = _ordinary(judge, batch)
    weighed = weigh(judge, mine, described, ordinary)
    changes = counterfactuals(judge, mine)
    held = held_before(history, mine)
    told: Explained = {}
    for number, edge in enumerate(records(strangest)):
        new = [relation for relation in RELATIONS if described[number, _column(f"{relation}.new")]]
        told.setdefault(edge["incident"], []).append(
            {
                "user": edge["user"],
                "source": edge["source"],
                "target": edge["target"],
                "target_kind": edge["target_kind"],
                "new": [
                    _habit(judge, mine, number, relation, bool(held[relation][number]), edge)
                    for relation in new
                ],
                "expected": _expected(history, int(mine.user[number])),
                **_shares(history, mine, number),
                "counterfactuals": changes[number],
                **weighed[number],
                "backoff": _backoff(edge, described[number]),
            }
        )
    return told


def _column(name: str) -> int:
    return features.FEATURE_NAMES.index(name)


def _ordinary(judge: Judge, batch: EdgeBatch) -> EdgeBatch:
    """Edges of the day that are not strange, evenly picked."""
    some = batch.take(np.linspace(0, len(batch) - 1, min(len(batch), ORDINARY)).astype(np.int64))
    _, p = judge.score(some)
    return some.take(p >= min(ORDINARY_P, p.max()))


def weigh(judge: Judge, batch: EdgeBatch, described: Floats, ordinary: EdgeBatch) -> list[dict[str, Any]]:
    """What each part adds to the log odds of each edge: `log_odds` = `ordinary_log_odds` + the sum over
    `parts`; and the features whose own functions say most."""
    usual = np.median(judge.describe(ordinary), axis=0).astype(np.float32)
    graph, usual_graph = (
        judge.together(batch),
        [each.mean(0, dtype=np.float32) for each in judge.together(ordinary)],
    )
    members = list(MEMBERS.values())

    def value(chosen: Array) -> Array:
        taken = np.any(
            [member for member, is_in in zip(members, chosen, strict=False) if is_in]
            or [np.zeros(len(usual), bool)],
            0,
        )
        mixed = np.where(taken, described, usual)
        together = (
            graph
            if chosen[-1]
            else [np.broadcast_to(each, mine.shape) for each, mine in zip(usual_graph, graph, strict=True)]
        )
        return judge.log_odds(together, mixed)

    brought = inference.shapley(value, len(members) + 1)
    none, every = value(np.zeros(len(members) + 1, bool)), value(np.ones(len(members) + 1, bool))
    own = _own(judge, described) - _own(judge, usual[None])
    return [
        {
            "log_odds": float(every[edge]),
            "ordinary_log_odds": float(none[edge]),
            "parts": {name: float(brought[edge, part]) for part, name in enumerate([*PARTS.values(), GRAPH])},
            "features": [
                {
                    "feature": FEATURES[j].name,
                    "value": float(described[edge, j]),
                    "ordinary": float(usual[j]),
                    "unit": FEATURES[j].unit,
                    "meaning": FEATURES[j].meaning,
                    "log_odds": float(own[edge, j]),
                }
                for j in np.argsort(-np.abs(own[edge]), kind="stable")[:EDGES]
                if own[edge, j]
            ],
        }
        for edge in range(len(batch))
    ]


def _own(judge: Judge, described: Floats) -> Array:
    """What each feature's own function, line and bends, gives the log odds, averaged over the models.
    float64 [edges, features]"""
    total = np.zeros(described.shape)
    for weights in judge.model.models:
        line = inference.standardised(weights, described) * weights.arrays["linear.weight"][0]
        total += line + inference.contributions(weights, described)
    return total / len(judge.model.models)


def _habit(
    judge: Judge, batch: EdgeBatch, number: int, relation: str, held: bool, edge: Mapping[str, Any]
) -> dict[str, Any]:
    """A pair that is new, and how often the first of it meets new ones."""
    history, (a, b) = judge.history, relation.split("_")
    entity = int(batch.pairs(relation)[0][number])
    table, group = history.sides[relation][0], history.peer_groups(relation, 0)
    alike = (group == group[entity]) & (table.trials > 0)
    trials = float(table.trials[alike].sum())
    return {
        "relation": relation,
        "who": edge[a],
        "met": edge[b],
        "was_strange_before": held,
        "new_today": int(judge.seen.new[relation][0][entity]),
        "new_a_day": float(history.new_per_day(relation, 0)[entity]),
        "most_new": float(table.most_new[entity]),
        "novelty": float(history.novelty_rates(relation, 0)[entity]),
        "novelty_of_peers": float(table.novel[alike].sum()) / trials if trials else None,
        "peers": max(int(alike.sum()) - int(alike[entity]), 0),
        "partners": int(table.breadth[entity]),
        "partners_held": int(np.count_nonzero(pair_ends(history.pairs[relation].held)[0] == entity)),
        "known_days": judge.day - int(table.first_day[entity]) if table.first_day[entity] < NEVER else 0,
    }


def _backoff(edge: Mapping[str, Any], described: Floats) -> list[str]:
    """Who of an edge has no history, by its features."""
    unknown = {
        "user": "user_target.unknown_user",
        "source": "source_target.unknown_source",
        "target": "user_target.unknown_target",
    }
    return [edge[who] for who, name in unknown.items() if edge[who] is not None and described[_column(name)]]


def _expected(history: History, user: int) -> dict[str, list[dict[str, Any]]]:
    """What a user does on most days: share of its active days for partners, of its activity for hours and
    logon types."""
    usual = {
        role: [
            {"name": history.places.names[place], "days": round(share, 4)}
            for place, share in _usual(history, f"user_{role}", user, FEW)
        ]
        for role in ("target", "source")
    }
    hours, types = history.user_hours[user], history.user_types[user]
    return {
        **usual,
        "hour": [{"name": int(hour), "share": share} for hour, share in _most(hours)],
        "logon_type": [{"name": history.types.names[each], "share": share} for each, share in _most(types)],
    }


def _shares(history: History, batch: EdgeBatch, row: int) -> dict[str, list[dict[str, Any]]]:
    """How much of the user's activity falls on each hour and logon type of an edge."""
    user, told = int(batch.user[row]), {}
    for what, counts, mine, names in (
        ("hours", history.user_hours[user], batch.hours[row], range(24)),
        ("logon_types", history.user_types[user], batch.types[row], history.types.names),
    ):
        total = max(float(counts.sum()), 1e-9)
        told[what] = [
            {"name": names[each], "share": round(float(counts[each]) / total, 4)}
            for each in np.flatnonzero(mine)
        ]
    return told


def _most(counts: Floats) -> list[tuple[int, float]]:
    """The largest of some counts, and their shares."""
    best = [int(each) for each in np.argsort(-counts, kind="stable")[:FEW] if counts[each] > 0]
    return [(each, round(float(counts[each] / counts.sum()), 4)) for each in best]


def _usual(history: History, relation: str, entity: int, few: int, side: int = 0) -> list[tuple[int, float]]:
    """The partners that an entity is with on most days, and the share of its days."""
    pairs = history.pairs[relation]
    partners, days = pairs.ends[1 - side], max(float(history.sides[relation][side].days[entity]), 1e-6)
    return [
        (int(partners[row]), min(float(pairs.count[row]) / days, 1.0))
        for row in pairs.commonest(side, entity, few)
    ]


# --- what would have been normal ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """An edge with one thing changed: row of the edges, what (a key of CHANGES), to what, by number, and why
    that; acts_from: the number of the machine that comes with another user, -1 for the same machine."""

    row: int
    what: str
    to: int
    why: str
    acts_from: int = -1


def counterfactuals(judge: Judge, batch: EdgeBatch) -> list[list[dict[str, Any]]]:
    """For each edge, one thing changed at a time, the least surprising first."""
    history = judge.history
    near = _peers(history, batch.user)
    choices = [choice for row in range(len(batch)) for choice in _choices(history, batch, row, near)]
    if not choices:
        return [[] for _ in range(len(batch))]
    changed = batch.take(np.array([choice.row for choice in choices]))
    columns = {name: getattr(changed, name).copy() for name in ("user", "source", "target", "hours", "types")}
    for number, choice in enumerate(choices):
        if choice.what in ("hour", "logon_type"):
            column = columns["hours" if choice.what == "hour" else "types"]
            column[number] = np.arange(column.shape[1]) == choice.to
        else:
            columns[choice.what][number] = choice.to
        if choice.acts_from >= 0:
            columns["source"][number] = choice.acts_from
    surprise, p = judge.score(replace(changed, **columns))
    names: dict[str, Sequence[Any]] = {
        "user": history.users.names,
        "logon_type": history.types.names,
        "hour": range(24),
    }
    places = history.places.names
    told: list[list[dict[str, Any]]] = [[] for _ in range(len(batch))]
    for choice, nats, p_value in zip(choices, surprise, p, strict=True):
        told[choice.row].append(
            {
                "change": choice.what,
                "to": names.get(choice.what, places)[choice.to],
                "from": places[choice.acts_from] if choice.acts_from >= 0 else None,
                "why": choice.why,
                "surprise": float(nats),
                "p_value": float(p_value),
            }
        )
    return [sorted(some, key=lambda each: (-each["p_value"], each["surprise"])) for some in told]


def _choices(history: History, batch: EdgeBatch, row: int, near: dict[int, Ints]) -> list[Choice]:
    """What of an edge may be changed to what is usual."""
    user, source, target = int(batch.user[row]), int(batch.source[row]), int(batch.target[row])
    found = [
        Choice(row, "source", each, "where the user usually acts from")
        for each, _ in _usual(history, "user_source", user, FEW)
    ]
    from_there = _usual(history, "source_target", target, FEW, side=1)
    found += [
        Choice(row, "source", each, "where the target is usually reached from") for each, _ in from_there
    ]
    found += [
        Choice(row, "target", each, "what the user usually reaches")
        for each, _ in _usual(history, "user_target", user, FEW)
    ]
    knows = near[user][_known(history, "user_target", near[user], target)]
    found += [
        Choice(
            row,
            "user",
            int(peer),
            "a peer who knows the target",
            _acts_from(history, int(peer), source, target),
        )
        for peer in knows[:FEW]
    ]
    found += [
        Choice(row, "hour", hour, "when the user is usually active")
        for hour, _ in _most(history.user_hours[user])[:1]
    ]
    found += [
        Choice(row, "logon_type", each, "how the user usually logs on")
        for each, _ in _most(history.user_types[user])[:1]
    ]
    same = {("source", source), ("target", target), ("user", user)}
    same |= (
        {("hour", int(hour)) for hour in np.flatnonzero(batch.hours[row])}
        if batch.hours[row].sum() == 1
        else set()
    )
    same |= (
        {("logon_type", int(each)) for each in np.flatnonzero(batch.types[row])}
        if batch.types[row].sum() == 1
        else set()
    )
    once: dict[tuple[str, int], Choice] = {}
    for choice in found:
        if (choice.what, choice.to) not in same:
            once.setdefault((choice.what, choice.to), choice)
    return list(once.values())


def _acts_from(history: History, peer: int, source: int, target: int) -> int:
    """Where another user would reach the target from: its most usual machine, rather one that is known to
    reach it; -1 if that may as well be the machine of the edge, or none is known."""
    usual = np.array([place for place, _ in _usual(history, "user_source", peer, FEW)], np.int64)
    here = np.array([source])
    as_well = _known(history, "user_source", np.array([peer]), source) & _known(
        history, "source_target", here, target
    )
    if source < 0 or not len(usual) or as_well[0] or source in usual[:1]:
        return -1
    return int([*usual[_known(history, "source_target", usual, target)], *usual][0])


def _known(history: History, relation: str, some: Ints, other: int) -> npt.NDArray[np.bool_]:
    """Which of some entities were seen with another before. bool [some]"""
    return history.pairs[relation].find(pair_keys(some, np.full_like(some, other)))[1]


def _peers(history: History, users: Ints) -> dict[int, Ints]:
    """The peers of each of some users, nearest first."""
    ends = history.pairs["user_target"].ends
    met = sparse.csr_matrix((np.ones(len(ends[0]), np.float32), ends), history.sizes("user_target"))
    some = np.unique(users)
    peer, weight = peers.nearest(met, some)
    return {int(user): mine[share > 0] for user, mine, share in zip(some, peer, weight, strict=True)}


# --- kept ---------------------------------------------------------------------------------------------------


def save(told: Explained, folder: Path, day: dt.date) -> None:
    """Beside the day's findings; scoring it again replaces it."""
    write_json(folder / f"explained={day}.json", {"schema_version": SCHEMA_VERSION, "incidents": told})


def load(folder: Path, day: dt.date) -> Explained:
    """By incident; nothing for a day that was scored before there were explanations of this form."""
    path = folder / f"explained={day}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    incidents: Explained = content["incidents"] if content.get("schema_version") == SCHEMA_VERSION else {}
    return incidents


def by_edge(told: Iterable[dict[str, Any]]) -> dict[EdgeKey, dict[str, Any]]:
    """What was said of an incident's edges, by edge."""
    return {key(each): each for each in told}


def key(edge: Mapping[str, Any]) -> EdgeKey:
    """What an edge of a day is told by: a name may be both a machine's and a resource's."""
    return edge["user"], edge["source"], edge["target"], edge["target_kind"]


# --- in words -----------------------------------------------------------------------------------------------


def explanation(workspace: Workspace, incident: dict[str, Any]) -> dict[str, Any]:
    """All there is to say of an incident, JSON values only: its edges e1, e2, ... the strangest first, each
    with its reasons, the first of its events in the log, and, for the strangest, what was worked out when
    the day was scored; and `sentences`."""
    day = dt.date.fromisoformat(incident["day"])
    table = load_edges(workspace.findings, day)
    mine = table[table["incident"] == incident["id"]]
    told = by_edge(load(workspace.findings, day).get(incident["id"], ()))
    found = raw.of_edges(workspace.lake, mine, EVENTS)
    edges = []
    for number, edge in enumerate(records(mine), start=1):
        numbers = {name: float(edge[name]) for name in ("surprise", "p_value", "strangeness", "carried")}
        edges.append(
            {
                "edge": f"e{number}",
                **{name: edge[name] for name in ("user", "source", "target")},
                "target_kind": edge["target_kind"],
                "logon_types": list(edge["logon_types"]),
                "count": int(edge["count"]),
                "failures": int(edge["failures"]),
                "first_seen": edge["first_seen"].isoformat(),
                "last_seen": edge["last_seen"].isoformat(),
                **numbers,
                "reasons": list(edge["reasons"]),
                "explained": told.get(key(edge)),
                "events": [_event(event) for event in found[key(edge)]],
            }
        )
    facts = {
        "schema_version": SCHEMA_VERSION,
        **{name: value for name, value in incident.items() if name != "edges"},
    }
    facts["edges"] = edges
    return facts | {"sentences": sentences(facts)}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    """When, what, how it went, and where in which file."""
    shown = {name: event[name] for name in ("action", "logon_type", "outcome", "detail")}
    return {"time": event["time"].isoformat(), **shown, "event": f"{event['path']}:{event['line']}"}


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """An explanation in words, each sentence naming its edge."""
    edges = facts["edges"]
    users = list(dict.fromkeys(edge["user"] for edge in edges))
    first, last = min(edge["first_seen"] for edge in edges), max(edge["last_seen"] for edge in edges)
    said = [
        f"{_named(users)} made {len(edges)} strange edge{'s' if len(edges) > 1 else ''} between {first[:19]} and {last[11:19]} UTC;"
        f" rank {facts['rank']} of {facts['day']}, {facts['score']:.1f} nats."
    ]
    told: set[str] = set()  # users of whom it was said what they do otherwise
    for edge in edges[:EDGES]:
        said += [f"{edge['edge']}: {sentence}" for sentence in _of_edge(edge, edge["user"] not in told)]
        told.add(edge["user"])
    return said


def _of_edge(edge: Mapping[str, Any], with_usual: bool) -> list[str]:
    start = edge["source"] or "an unknown machine"
    verb = "tried to reach" if edge["failures"] == edge["count"] else "reached"
    said = [
        f"{edge['user']} {verb} {edge['target']} from {start} at {edge['first_seen'][11:19]}, {_times(edge)};"
        f" {one_in(edge['p_value'])} of accounts as broad is so strange ({edge['surprise']:.1f} nats)."
    ]
    told = edge["explained"]
    if told is None:
        return [*said, f"{'; '.join(edge['reasons'])}."]
    said += [_new(habit) for habit in told["new"]]
    said += _rare(edge["user"], told)
    said += [usually(edge["user"], told["expected"])] if with_usual and any(told["expected"].values()) else []
    said.append(would_be_normal(told["counterfactuals"]))
    parts = sorted(told["parts"].items(), key=lambda item: -abs(item[1]))
    weighed = ", ".join(f"{name} {nats:+.1f}" for name, nats in parts if abs(nats) >= 0.05)
    said.append(
        f"what weighed, in log odds: {weighed or 'nothing'}; together {told['log_odds']:.1f}, where an ordinary edge of the day has"
        f" {told['ordinary_log_odds']:.1f}."
    )
    said += [f"{name} has no history: it was judged as its group is (back-off)." for name in told["backoff"]]
    if edge["carried"] >= persistence.LEAST_TOLD:
        said.append(f"{edge['user']} was strange on the days before as well ({edge['carried']:.1f} nats).")
    return said


def _times(edge: Mapping[str, Any]) -> str:
    """How often, and how often in vain."""
    count, failures = edge["count"], edge["failures"]
    times = "once" if count == 1 else f"{count} times"
    if not failures:
        return times
    failed = "it" if count == 1 else "all" if failures == count else failures
    return f"{times} ({failed} failed)"


def _rare(user: str, told: Mapping[str, Any]) -> list[str]:
    """Hours and logon types that weigh, and how much of the user's activity they are otherwise."""
    said = []
    for part, what, form in (("hour", "hours", "{} h UTC"), ("type", "logon_types", "{} logons")):
        if told["parts"][PARTS[part]] >= TELLING:
            some = ", ".join(f"{form.format(each['name'])} {each['share']:.1%}" for each in told[what])
            said.append(f"of what {user} does otherwise, {some}.")
    return said


def one_in(p_value: float) -> str:
    """A p-value for a person."""
    return (
        f"one in {round(1 / p_value):,} edges"
        if p_value >= LEAST_P
        else f"fewer than one in {round(1 / LEAST_P):,} edges"
    )


def _new(habit: Mapping[str, Any]) -> str:
    verb = VERBS[habit["relation"]]
    partner = habit["relation"].split("_")[1]
    again = "again, which was strange the first time" if habit["was_strange_before"] else "for the first time"
    knew = f"it knew {_count(habit['partners'], partner)}"
    knew += f" (and {habit['partners_held']} by a strange edge alone)" if habit["partners_held"] else ""
    knew = (
        f"known for {_count(habit['known_days'], 'day')}, {knew}"
        if habit["known_days"] < YOUNG_DAYS
        else knew
    )
    others = (
        f", of those of the {habit['peers']:,} as broad {habit['novelty_of_peers']:.1%}"
        if habit["novelty_of_peers"] is not None and habit["peers"]
        else ""
    )
    return (
        f"{habit['who']} {verb} {habit['met']} {again}; {knew}, and of those it meets in a day {habit['novelty']:.1%} are"
        f" new{others}; this day it met {_count(habit['new_today'], 'new one')}, {habit['new_a_day']:.1f} are usual."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def usually(user: str, expected: Mapping[str, Any]) -> str:
    """What a user does otherwise."""
    said = []
    for role, verb in (("target", "reaches"), ("source", "acts from")):
        some = ", ".join(f"{each['name']} (on {each['days']:.0%} of its days)" for each in expected[role])
        said += [f"{verb} {some}"] if some else []
    hours = ", ".join(
        f"{each['name']} h" for each in sorted(expected["hour"], key=lambda each: int(each["name"]))
    )
    said += [f"is active most at {hours} UTC"] if hours else []
    types = ", ".join(f"{each['name']} ({each['share']:.0%})" for each in expected["logon_type"])
    said += [f"logs on by {types}"] if types else []
    return f"expected instead: {user} {'; '.join(said)}."


def would_be_normal(changes: Sequence[Mapping[str, Any]]) -> str:
    """The changes that would have made it normal, or how far the best would go."""
    best: dict[str, Mapping[str, Any]] = {}
    for each in changes:
        best.setdefault(each["change"], each)
    normal = [each for each in best.values() if each["p_value"] >= ORDINARY_P]
    told = [_changed(each) for each in normal or best.values()]
    if normal:
        return f"it would have been normal {'; or '.join(told)}."
    return (
        f"no single change makes it normal; the nearest is {told[0]}."
        if told
        else "there is no usual behaviour to compare it with."
    )


def next_steps(incident: Mapping[str, Any], user: str, since: dt.datetime) -> list[str]:
    """What to ask next of an incident and the user of its strangest edge, as a shell takes it; nothing of a
    name that cannot be typed. since: when that user was strange first"""
    name = shlex.quote(user)
    of_user = [
        f"ueba day {name} {incident['day']}",
        f"ueba perimeter --from {name} --since {since:%Y-%m-%dT%H:%M:%S} --hops 2",
    ]
    return [
        *(of_user if typed(user) else ()),
        f"ueba triage {incident['id']} --verdict true --reason '...'      # or benign, expected",
    ]


def typed(name: str) -> bool:
    """Whether a name can be typed as it is."""
    return name == plain(name) and not name.startswith("-")


def _changed(change: Mapping[str, Any]) -> str:
    start = "" if change["from"] is None else f" from {change['from']}"
    return f"{CHANGES[change['change']].format(change['to'])}{start}, {change['why']} (p {change['p_value']:.2g})"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
