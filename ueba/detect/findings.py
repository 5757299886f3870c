"""A scored day: its strangest edges and its incidents, with reasons that a person can check.

An edge's finding carries the facts it was judged by, in words: what is new, how often this user does new
things, what else was unusual, and whether an entity had no history, in which case the score is a back-off to
its group. Leaves out exact contributions of the model's parts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ueba.config import Config
from ueba.detect import archive, feedback, incidents, persistence
from ueba.detect.detector import Array, Detector, Edge
from ueba.detect.feedback import Effect, Verdict
from ueba.detect.history import HELD_P, RELATIONS, EdgeBatch, Floats, History, day_number, pair_keys
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.rules import Rule, that_hides
from ueba.errors import WorkspaceError
from ueba.workspace import write_json

SCHEMA_VERSION = 1
BURSTS = (
    ("user_target", "user"),
    ("source_target", "source"),
    ("user_source", "source"),
)  # relation, and who met many
ODD_HOUR, ODD_TYPE = 5, 4  # nats beyond which an hour, a logon type is said to be unusual
MOST_FAIL = 0.5  # share of attempts
EDGE_COLUMNS = ("day", "user", "source", "target", "surprise", "p_value", "incident")


@dataclass(frozen=True)
class Finding:
    """edges: the strangest edges of the day, strangest first, with `reasons`; incidents: best first, JSON
    values only."""

    day: dt.date
    edges: pd.DataFrame
    incidents: list[dict[str, Any]]


Evidence = Sequence[
    tuple[dt.date, pd.Series]
]  # earlier days and what they left with their users, see `persistence`


def find(
    detector: Detector,
    history: History,
    day: dt.date,
    batch: EdgeBatch,
    table: pa.Table,
    config: Config,
    earlier: Evidence = (),
    said: Sequence[Verdict] = (),
    allowed: Sequence[Rule] = (),
) -> tuple[Finding, Array]:
    """Score a day that was not learned yet. Returns what was found, and the surprise of every edge of the
    day.

    said: the last verdicts on incidents, see `feedback`; those of earlier days count. allowed: what rules
    hide."""
    score, described = detector.score(history, batch, day_number(day))
    columns = [
        "user",
        "user_kind",
        "source",
        "target",
        "target_kind",
        "count",
        "failures",
        "first_seen",
        "last_seen",
        "logon_types",
    ]
    edges = table.select(columns).to_pandas().astype({"source": object})
    edges["source"] = edges["source"].where(edges["source"].notna(), None)
    edges["surprise"], edges["p_value"], edges["strangeness"] = (
        score.surprise,
        score.p_value,
        score.strangeness,
    )
    past = persistence.carried(earlier, day)
    edges["carried"] = past.reindex(edges["user"], fill_value=0.0).to_numpy()
    edges["strangeness"] = persistence.strengthened(
        score.strangeness, score.p_value, edges["user"].to_numpy(), past, incidents.STRANGE_P
    )
    edges["row"] = np.arange(len(edges))
    edges, told = with_feedback(edges, described, day, said, config.incidents.candidates)
    edges = incidents.strangest(edges, config.incidents.candidates)
    edges["rule"] = pd.Series([that_hides(allowed, edge) for edge in records(edges)], dtype=object)
    limits = (
        config.incidents.candidates,
        config.incidents.budget,
        detector.least_score(config.incidents.budget),
    )
    strangest, found = incidents.incidents(day, edges, *limits)
    strangest.insert(0, "day", day)
    rows = strangest.pop("row").to_numpy()
    held = held_before(history, batch.take(rows))
    strangest["reasons"] = [
        reasons(
            described[row], edge, {relation for relation in held if held[relation][number]}, told.get(row, ())
        )
        for number, (row, edge) in enumerate(zip(rows, records(strangest), strict=True))
    ]
    strangest["pattern"] = [
        pattern(described[row], types) for row, types in zip(rows, strangest["logon_types"], strict=True)
    ]
    for incident in found:
        mine = strangest[strangest["incident"] == incident["id"]]
        incident["reasons"] = mine.iloc[0]["reasons"]
        incident["backoff"] = any("no history" in reason for some in mine["reasons"] for reason in some)
        incident["schema_version"] = SCHEMA_VERSION
        incident["model"] = detector.facts
    return Finding(day, strangest, found), score.surprise


def with_feedback(
    edges: pd.DataFrame, described: Floats, day: dt.date, said: Sequence[Verdict], candidates: int
) -> tuple[pd.DataFrame, dict[int, list[Effect]]]:
    """Edges with what verdicts add to their strangeness: `original` is without, `feedback` the difference,
    `said_by` the verdicts; and the effects by `row`. Those are left that are among the `candidates` with
    what lifts them, not with what lowers them: what is learned of a day, see `suspicious`, is not to depend
    on what was called harmless."""
    columns = (edges[name].tolist() for name in ("user", "source", "target"))
    strange = (edges["p_value"] <= incidents.STRANGE_P).tolist()
    types = edges["logon_types"].tolist()

    def words(row: int) -> frozenset[str]:
        return frozenset(pattern(described[row], types[row]))

    told = feedback.effects(
        said, day, list(zip(*columns, strict=True)), words, edges["strangeness"].tolist(), strange
    )
    nats = np.zeros((len(edges), 2))  # what lowers, what lifts
    for row, some in told.items():
        for effect in some:
            nats[row, int(effect.nats > 0)] += effect.nats
    found = edges.assign(original=edges["strangeness"], feedback=nats.sum(1))
    found["said_by"] = [[effect.verdict for effect in told.get(row, ())] for row in range(len(edges))]
    if told:
        found = found.iloc[np.argsort(-(edges["strangeness"] + nats[:, 1]), kind="stable")[:candidates]]
        found["strangeness"] = found["original"] + found["feedback"]
    return found, told


def pattern(described: Floats, logon_types: Iterable[str]) -> list[str]:
    """In what an edge is strange, whoever it is about, by the limits of `reasons`; and how its user logged
    on."""
    value = dict(zip(FEATURE_NAMES, described.tolist(), strict=True))
    words = [f"new {relation}" for relation in RELATIONS if value[f"{relation}.new"]]
    words += [f"many {relation} of {whom}" for relation, whom in BURSTS if _is_burst(value, relation, whom)]
    words += ["hour"] if value["hour_surprise_worst"] > ODD_HOUR else []
    words += ["type"] if value["type_surprise_user"] > ODD_TYPE else []
    words += ["failures"] if value["failures"] > MOST_FAIL else []
    return [*words, *logon_types]


def _is_burst(value: dict[str, float], relation: str, whom: str) -> bool:
    return value[f"{relation}.new_today_{whom}"] > np.log(3) and value[f"{relation}.record_{whom}"] > 0.5


def verdict(
    edges: pd.DataFrame,
    incident: dict[str, Any],
    said: str,
    reason: str,
    who: str,
    since: dt.date,
    expires: dt.date | None,
) -> Verdict:
    """What somebody says now of an incident, of which these are the edges."""
    return Verdict(
        incident=incident["id"],
        day=dt.date.fromisoformat(incident["day"]),
        verdict=said,
        reason=reason,
        who=who,
        when=dt.datetime.now(dt.UTC),
        since=since,
        expires=expires,
        edges=tuple(zip(edges["user"], edges["source"], edges["target"], strict=True)),
        patterns=tuple(None if words is None else frozenset(words) for words in edges["pattern"]),
        strangeness=tuple(map(float, edges["original"])),
    )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def held_before(history: History, batch: EdgeBatch) -> dict[str, npt.NDArray[np.bool_]]:
    """For each relation: which edges have a pair that was seen once, in a strange edge. bool [edges]"""
    return {
        relation: np.isin(pair_keys(*batch.pairs(relation)), history.pairs[relation].held)
        for relation in RELATIONS
    }


def reasons(
    described: Floats, edge: dict[str, Any], held: Collection[str] = (), told: Collection[Effect] = ()
) -> list[str]:
    """Why an edge is strange, strongest first. described: its features [features]; held: relations whose
    pair was seen once, in a strange edge; told: what verdicts do to it."""
    value = dict(zip(FEATURE_NAMES, described.tolist(), strict=True))
    user, source, target = edge["user"], edge["source"] or "an unknown machine", edge["target"]
    names = {"user": user, "source": source, "target": target}
    said: list[str] = []
    for relation, verb in (
        ("user_target", "reached"),
        ("user_source", "acted from"),
        ("source_target", "reached"),
    ):
        a, b = relation.split("_")
        if value[f"{relation}.new"]:
            nats = value[f"{relation}.surprise_{b}_given_{a}"]
            novelty = 1 / (1 + np.exp(-value[f"{relation}.novelty_{a}"]))
            peers = value[f"{relation}.peers_{a}"]
            first = (
                f"{names[a]} {verb} {names[b]} again, which was strange the first time"
                if relation in held
                else f"{names[a]} never {verb} {names[b]} before"
            )
            said.append(
                f"{first} ({nats:.1f} nats; {novelty:.0%} of its partners on a day are new,"
                f" {peers:.0%} of its peers know {names[b]})"
            )
    for relation, whom in BURSTS:
        if _is_burst(value, relation, whom):
            new, record = value[f"{relation}.new_today_{whom}"], value[f"{relation}.record_{whom}"]
            other = relation.replace(whom, "").strip("_")
            said.append(
                f"{names[whom]} met {np.expm1(new):.0f} new {other}s this day; its most so far was {np.expm1(new - record):.0f}"
            )
    if value["hour_surprise_worst"] > ODD_HOUR:
        said.append(f"at an hour when {user} is rarely active ({value['hour_surprise_worst']:.1f} nats)")
    if value["type_surprise_user"] > ODD_TYPE:
        said.append(
            f"{', '.join(edge['logon_types'])}: not how {user} logs on ({value['type_surprise_user']:.1f} nats)"
        )
    if value["failures"] > MOST_FAIL:
        said.append(f"{value['failures']:.0%} of {edge['count']} attempts failed")
    for whom, feature in (
        ("user", "user_target.unknown_user"),
        ("source", "source_target.unknown_source"),
        ("target", "user_target.unknown_target"),
    ):
        if value[feature] and names[whom] is not None:
            said.append(f"{names[whom]} has no history as a {whom}: scored through its group (back-off)")
    if edge["carried"] >= persistence.LEAST_TOLD and edge["p_value"] <= incidents.STRANGE_P:
        said.append(f"{user} was strange on the days before as well ({edge['carried']:.1f} nats)")
    return [
        *(said or ["known to each other, but in an unusual combination"]),
        *(effect.why for effect in told),
    ]


# --- on disk ------------------------------------------------------------------------------------------------


def save(finding: Finding, folder: Path) -> None:
    """`day=<day>.parquet` and `day=<day>.json`; scoring a day again replaces both."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"day={finding.day}.parquet"
    temporary = folder / f".{path.name}.tmp"
    pq.write_table(pa.Table.from_pandas(finding.edges, preserve_index=False), temporary)
    temporary.replace(path)
    write_json(folder / f"day={finding.day}.json", finding.incidents)


def load_edges(folder: Path, day: dt.date) -> pd.DataFrame:
    """The strangest edges of a scored day."""
    path = folder / f"day={day}.parquet"
    if not path.exists():
        if day in archive.scored_days(folder):
            raise WorkspaceError(f"{path} is missing; `ueba score --day {day}` makes it anew")
        raise WorkspaceError(f"{day} was not scored; days that were: {archive.listed(folder)}")
    try:
        table = pq.read_table(path).to_pandas()
    except pa.ArrowException as reason:
        raise WorkspaceError(
            f"{path} is damaged ({reason}); `ueba score --day {day}` makes it anew"
        ) from reason
    table = table.astype(
        {name: object for name in ("user_kind", "source", "incident", "rule") if name in table}
    )
    plain: pd.DataFrame = table.where(table.notna(), None)
    return plain if "original" in plain else _before_feedback(plain)


def _before_feedback(edges: pd.DataFrame) -> pd.DataFrame:
    """Edges that an earlier version kept, with the columns that have come since."""
    nothing = pd.Series([None] * len(edges), edges.index, dtype=object)
    nobody: pd.Series[Any] = pd.Series([[]] * len(edges), edges.index, dtype=object)
    same = edges.assign(original=edges["strangeness"], feedback=0.0)
    return same.assign(user_kind=nothing, rule=nothing, pattern=nothing, said_by=nobody)


def suspects(folder: Path, day: dt.date) -> dict[Edge, float]:
    """The strange edges of a scored day, see `suspicious`; none if the day was not scored."""
    if not (folder / f"day={day}.parquet").exists():
        return {}
    return suspicious(load_edges(folder, day))


def evidence_before(folder: Path, day: dt.date, said: Sequence[Verdict] = ()) -> Evidence:
    """What the scored days before one left with their users."""
    days = [before for before in archive.scored_days(folder) if 0 < (day - before).days <= persistence.DAYS]
    return [(before, evidence(load_edges(folder, before), feedback.cleared(said, before))) for before in days]


def evidence(strangest: pd.DataFrame, cleared: Set[Edge] = frozenset()) -> pd.Series[float]:
    """What a day's strangest edges say of their users, nats by user: less what verdicts took off, and
    nothing of edges that rules hide or that were called harmless (`cleared`)."""
    named = zip(strangest["user"], strangest["source"], strangest["target"], strict=True)
    counts = strangest["rule"].isna().to_numpy() & np.array([edge not in cleared for edge in named], bool)
    mine = strangest[counts]
    p_value = mine["p_value"] * np.exp(-np.minimum(mine["feedback"], 0.0))
    return persistence.evidence(mine["user"].to_numpy(), p_value.to_numpy())


def suspicious(strangest: pd.DataFrame) -> dict[Edge, float]:
    """The p-value of each edge of a day that is not learned from as others are, see `History.learn`: what is
    strange enough for an incident, in one or not, so that what is learned does not depend on the alert
    budget."""
    mine = strangest[strangest["p_value"] <= HELD_P]
    return dict(
        zip(zip(mine["user"], mine["source"], mine["target"], strict=True), mine["p_value"], strict=True)
    )


def load(folder: Path, day: dt.date) -> Finding:
    """What `save` wrote of a day."""
    return Finding(day, load_edges(folder, day), archive.load_incidents(folder, day, day))


def reported(finding: Finding, said: Mapping[str, str]) -> Finding:
    """A day without the incidents that rules hide, whose edges are then in none. said: `feedback.words`"""
    shown = archive.reported(finding.incidents, said)
    is_shown = finding.edges["incident"].isin([incident["id"] for incident in shown])
    return Finding(
        finding.day, finding.edges.assign(incident=finding.edges["incident"].where(is_shown, None)), shown
    )
