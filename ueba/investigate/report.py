"""A scored day as one page of HTML that needs no network and no script: what to look at first, and how far
to believe it.

`facts` gathers what is stored of the day and of the scored days before it, `report.html` beside this file is
how that looks. Names from logs are shown and never obeyed: every string goes through `text.plain`, and
through Jinja's escaping. The same workspace gives the same bytes. Leaves out whatever would need the day to
be scored again, as `ueba calibration` does, and single events.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from ueba import __version__, findings, words
from ueba.config import Config
from ueba.contracts.explanation import Explanation
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.reason import Unknown
from ueba.contracts.scored import ScoredEdge
from ueba.contracts.scored import edges as scored_edges_of
from ueba.contracts.verdict import Verdict
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.past.history import date_of
from ueba.detect.score import carryover
from ueba.detect.score.detector import Detector
from ueba.ingest import edges, lake, report, silence
from ueba.investigate.draw.incident import incident_drawing
from ueba.investigate.draw.svg import svg
from ueba.investigate.explain import kept
from ueba.investigate.explain.words import is_typable, next_steps, usually, would_be_normal
from ueba.text import plain, shortened
from ueba.triage import log
from ueba.workspace import Workspace

DAYS = 14  # scored days that a day is seen among
LEVELS = (0.01, 0.001, 0.0001)  # of p, at which edges are counted
FEW_DAYS = 3  # of fewer, nobody can say what is usual
MOST = 8  # recurring names of a role, silent reporters
SHOWN = 20  # edges of an incident that are not folded away
FEW_USERS = 3  # of an incident that is about one of them
MUCH_LOST = 0.01  # of the records: more than that is said at the top
DAY_S = 24 * 3600


def page(workspace: Workspace, day: dt.date, config: Config) -> str:
    """The report of a scored day. Raises WorkspaceError if it was not scored."""
    findings.check_scored(workspace.findings, day)
    return render(facts(workspace, day, config))


def render(known: dict[str, Any]) -> str:
    """The page. Of a string only what Markup says is markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    environment.filters |= {
        "once_in": words.once_in,
        "rarity": words.rarity,
        "sentence": words.sentence,
        "shortened": shortened,
        "at": at,
    }
    return environment.get_template("report.html").render(known)


def facts(workspace: Workspace, day: dt.date, config: Config) -> dict[str, Any]:
    """All that the page says."""
    days = [each for each in findings.scored_days(workspace.findings) if each <= day][-DAYS:]
    verdicts = log.read(workspace.root)
    scored = {each: findings.load(workspace.findings, each) for each in days}
    shown = {each: found.reported(verdicts.words) for each, found in scored.items()}
    tables = {each: found.edges for each, found in shown.items()}
    sizes = scored_edges(workspace, days[0], day)
    trend = [day_facts(each, found.edges, found.incidents, sizes) for each, found in shown.items()]
    model = Detector.load(workspace.model) if workspace.model.exists() else None
    explained = kept.load(workspace.findings, day)
    incidents = [
        incident_facts(
            each, shown[day].edges_of(each), verdicts.by_incident.get(each.id), explained.get(each.id, ())
        )
        for each in shown[day].incidents
    ]
    unreported = tables[day]["incident"].isna() & (tables[day]["p_value"] <= LEVELS[0])
    return {
        "day": day,
        "is_last": day == findings.last_scored(workspace.findings),
        "version": __version__,
        "today": trend[-1],
        "trend": trend,
        "compared": compared(trend),
        "incidents": incidents,
        "hidden": len(scored[day].incidents) - len(incidents),
        "with_verdict": sum(bool(each["verdict"]) for each in incidents),
        "going_on": sum(each["goes_on"] for each in incidents),
        "scale": max((each["worst"] for each in trend), default=0) or 1,
        "others": marks(scored_edges_of(tables[day][unreported])),
        "recurring": recurring(tables),
        "levels": [level_facts(level, trend, tables, config.incidents.candidates) for level in LEVELS],
        "held_out": held_out(model) if model else [],
        "ingest": ingest_health(workspace, day, config),
        "model": model_facts(workspace, day, shown[day], model, config),
    }


# --- the day among others -----------------------------------------------------------------------------------


def scored_edges(workspace: Workspace, first: dt.date, last: dt.date) -> dict[dt.date, list[int]]:
    """By day of the lake: the number of edges there are to score, and for each hour, how many of them had
    events in it."""

    def counted(stored: ir.Table) -> ir.Table:
        pairs = stored.group_by(*edges.PAIR).aggregate(hours=stored.hours.bit_or().cast("int32"))
        active = {
            f"h{hour}": pairs.count(where=(pairs.hours & ibis.literal(1 << hour, "int32")) != 0)
            for hour in range(24)
        }
        return pairs.group_by("day").aggregate(edges=pairs.count(), **active)

    rows = lake.query(workspace.lake, first, last, counted, workspace.memory_limit).to_pylist()
    return {row["day"]: [row["edges"], *(row[f"h{hour}"] for hour in range(24))] for row in rows}


def day_facts(
    day: dt.date, strangest: pd.DataFrame, found: Sequence[Incident], sizes: dict[dt.date, list[int]]
) -> dict[str, Any]:
    """A day in numbers; `edges` and `active`, edges by hour, are None where the lake holds it no longer."""
    size, *active = sizes.get(day, [None])
    return {
        "day": day,
        "incidents": len(found),
        "worst": max((each.score for each in found), default=0.0),
        "strange": int((strangest["p_value"] <= LEVELS[0]).sum()),
        "edges": size,
        "active": active or None,
    }


def compared(trend: Sequence[dict[str, Any]]) -> str:
    """One sentence on how the last of some days compares with those before it: by the worst score, whose
    usual range is the middle half."""
    *before, today = trend
    if len(before) < FEW_DAYS:
        return "Too few days were scored before it to say what is usual."
    scores = [each["worst"] for each in before]
    low, usual, high = np.quantile(scores, [0.25, 0.5, 0.75])
    if today["worst"] > max(scores):
        word = f"The strangest of {len(trend)} scored days"
    elif today["worst"] > high:
        word = "Stranger than usual"
    elif today["strange"] > max(each["strange"] for each in before):
        word = "More strange edges than on any day before it"
    else:
        word = "Calmer than usual" if today["worst"] < low else "A usual day"
    counts = ", ".join(
        f"{today[name]:,} {said} (usually {np.median([each[name] for each in before]):,.0f})"
        for name, said in (("incidents", "incidents"), ("strange", "strange edges"))
    )
    ratio = today["worst"] / usual if usual else 0.0
    beside = (
        f"the worst incident scores {ratio:.1f} times the usual worst" if ratio else "no incident is usual"
    )
    return f"{word}: {beside}; {counts}."


def recurring(tables: dict[dt.date, pd.DataFrame]) -> list[dict[str, Any]]:
    """Names that were in incidents of several days, those of the last day first. `strip`: for each day 2 in
    an incident, 1 strange in none, 0 neither; `row`: incidents on how many scored days in a row, up to the
    last of them."""
    rows = pd.concat([table.assign(day=day) for day, table in tables.items()], ignore_index=True)
    rows = rows[rows["incident"].notna() | (rows["p_value"] <= LEVELS[0])]
    found = []
    for column, role in (("user", "user"), ("source", "acted from"), ("target", "reached")):
        mine = []
        flagged = rows[rows["incident"].notna() & rows[column].notna()]
        often = flagged.groupby(column)["day"].nunique()
        for name, seen in rows[rows[column].isin(often[often > 1].index)].groupby(column):
            strip = [0] * len(tables)
            for number, day in enumerate(tables):
                here = seen.loc[seen["day"] == day, "incident"]
                strip[number] = 2 if here.notna().any() else int(len(here) > 0)
            last = max(number for number, state in enumerate(strip) if state == 2)
            row = next((back for back in range(last + 1) if strip[last - back] != 2), last + 1)
            reported = seen[seen["incident"].notna()]
            mine.append(
                {
                    "name": str(name),
                    "role": role,
                    "strip": strip,
                    "days": strip.count(2),
                    "row": row,
                    "strangeness": float(reported["strangeness"].max()),
                    "latest": reported["incident"].iloc[-1],
                    "is_today": strip[-1] == 2,
                }
            )
        order = sorted(
            mine,
            key=lambda each: (
                not each["is_today"],
                -each["row"],
                -each["days"],
                -each["strangeness"],
                each["name"],
            ),
        )
        found += order[:MOST]
    return found


# --- incidents ----------------------------------------------------------------------------------------------


def incident_facts(
    incident: Incident,
    edges: list[ScoredEdge],
    verdict: Verdict | None,
    explained: tuple[Explanation, ...] = (),
) -> dict[str, Any]:
    """An incident with its edges, strangest first, and what to do next."""
    sources = list(dict.fromkeys(edge.source for edge in edges if edge.source is not None))
    users = list(dict.fromkeys(edge.user for edge in edges))
    drawing = svg(incident_drawing(edges), f"Graph of incident {incident.id}")
    return {
        "id": incident.id,
        "rank": incident.rank,
        "score": incident.score,
        "p_value": incident.p_value,
        "once_in_days": incident.once_in_days,
        "edges": incident.edges,
        "reasons": [words.sentence(reason) for reason in incident.reasons],
        "backoff": incident.backoff,
        "from": min(edge.first_seen for edge in edges),
        "to": max(edge.last_seen for edge in edges),
        "about": users,
        "title": title(users, sources),
        "sources": sources,
        "headline": words.headline(reason for edge in edges for reason in edge.reasons),
        "targets": list(dict.fromkeys(edge.target for edge in edges)),
        "goes_on": any(edge.carry_over >= carryover.LEAST_NATS for edge in edges),
        "verdict": verdict,
        "picture": Markup(drawing),
        "rows": in_time(edges[:SHOWN]),
        "others": in_time(edges[SHOWN:]),
        "marks": marks(edges),
        "why": why(edges[0], explained),
        "commands": commands(incident, edges, sources),
    }


def title(users: Sequence[str], sources: Sequence[str]) -> str:
    """Whom an incident is about: its strangest user, or the machine where so many meet that none of them is
    it."""
    if len(users) > FEW_USERS and 0 < len(sources) < len(users):
        return f"{sources[0]}, {len(users)} users"
    return users[0] if len(users) == 1 else f"{users[0]} and {len(users) - 1} more"


def in_time(edges: Sequence[ScoredEdge]) -> list[ScoredEdge]:
    """The earliest first."""
    return sorted(edges, key=lambda edge: (edge.first_seen, edge.user, edge.target))


def marks(edges: Sequence[ScoredEdge]) -> list[dict[str, Any]]:
    """Edges in time: `start` and `width` in percent of the day, and what they are."""
    return [
        {
            "start": round(100 * seconds_of(edge.first_seen) / DAY_S, 2),
            "width": round(100 * (seconds_of(edge.last_seen) - seconds_of(edge.first_seen)) / DAY_S, 2),
            "label": f"{at(edge.first_seen)} {edge.user}: {edge.source or words.UNKNOWN_SOURCE} to {edge.target}",
        }
        for edge in in_time(edges)
    ]


def why(strangest: ScoredEdge, explained: tuple[Explanation, ...]) -> list[str]:
    """What the user of an incident's strangest edge usually does, and what would have made that edge normal, if it
    was explained."""
    explanation = kept.by_edge(explained).get(strangest.edge)
    if explanation is None:
        return []
    usual = [usually(strangest.user, explanation.expected)] if explanation.expected else []
    normal = would_be_normal(explanation.counterfactuals)
    return [*usual, f"{strangest.user} to {strangest.target}: {normal}"]


def commands(incident: Incident, edges: Sequence[ScoredEdge], sources: Sequence[str]) -> list[str]:
    """What to run next."""
    user, after = edges[0].user, incident.day + dt.timedelta(days=1)  # the names of the day itself too
    since = min(edge.first_seen for edge in edges if edge.user == user)
    return [
        f"ueba explain {incident.id} --picture {incident.id}.html",
        *(
            f"ueba entity {shlex.quote(name)} --day {after}"
            for name in (user, *sources[:1])
            if is_typable(name)
        ),
        *next_steps(incident, user, since),
    ]


# --- how far to believe it ----------------------------------------------------------------------------------


def level_facts(
    level: float, trend: Sequence[dict[str, Any]], tables: dict[dt.date, pd.DataFrame], candidates: int
) -> dict[str, Any]:
    """Edges with p at most a level, on the last day and on all: observed, and expected of a normal day.

    Only the strangest of a day are kept. What p alone makes stranger than the last of them is all there, as
    surprise is no less than 0; else the count is a least one."""
    counts = {day: int((table["p_value"] <= level).sum()) for day, table in tables.items()}
    sized = [each for each in trend if each["edges"]]

    def cut(day: dt.date) -> bool:
        return len(tables[day]) >= candidates and float(tables[day]["strangeness"].min()) >= -np.log(level)

    def of(some: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "observed": sum(counts[each["day"]] for each in some),
            "expected": level * sum(each["edges"] for each in some),
            "at_least": any(cut(each["day"]) for each in some),
        }

    return {
        "level": level,
        "today": of(sized[-1:] if trend[-1]["edges"] else []),
        "all": of(sized),
        "days": len(sized),
    }


def held_out(model: Detector) -> list[dict[str, Any]]:
    """The share of edges with p at most each level, of the days that the model in use is calibrated by, each
    by the others."""
    pool, rows = model.calibration, []
    for number in np.unique(pool.day).tolist():
        others, mine = pool.without(number), pool.day == number
        if len(others.day):
            p = others.p_values(pool.rank[mine], pool.surprise[mine])
            rows.append(
                {
                    "day": date_of(number),
                    "edges": int(mine.sum()),
                    "shares": [float((p <= level).mean()) for level in LEVELS],
                }
            )
    return rows


def ingest_health(workspace: Workspace, day: dt.date, config: Config) -> dict[str, Any]:
    """What became of the files that hold events of a day, and who should have reported. Counts of a file are
    of all its days."""
    files = [each.file for each in lake.live_files(lake.manifests(workspace.lake))]
    volume: Counter[dt.date] = Counter()
    for file in files:
        volume.update({each: span.events for each, span in file.spans.items()})
    reports = [file.report for file in files if day in file.spans]
    clock: Counter[str] = Counter()
    for each_report in reports:
        clock.update(each_report.clock)
    before = [
        volume[day - dt.timedelta(days=back)]
        for back in range(1, DAYS + 1)
        if volume[day - dt.timedelta(days=back)]
    ]
    reporters = silence.reporters(workspace.lake, config.graph.window_days, workspace.memory_limit, until=day)
    gaps = {(each.name, *gap) for each in reporters for gap in each.gaps}
    gaps |= {(Path(file.report.file).name, *gap) for file in files for gap in file.report.gaps}
    lines = sum(each.lines for each in reports)
    lost = sum(sum(each.lost.values()) for each in reports)
    return {
        "formats": report.by_format(reports),
        "reasons": report.reasons(reports),
        "files": len(reports),
        "events": volume[day],
        "usual_events": float(np.median(before)) if before else None,
        "lines": lines,
        "much_lost": lost > MUCH_LOST * lines,
        "lost": lost,
        "clock": clock.most_common(),
        "reporters": len(reporters),
        "silent": [each for each in reporters if each.is_silent],
        "gaps": [
            (name, minute(begin), minute(end))
            for name, begin, end in sorted(gaps)
            if begin.date() <= day <= end.date()
        ],
        "unread": unread(workspace, day),
    }


def unread(workspace: Workspace, day: dt.date) -> list[tuple[str, str]]:
    """Files that the last nightly run of a day could not read, and why."""
    run = nightly_run(workspace, day)
    return [(each["file"], each["problem"]) for each in run["ingested"] if each["problem"]] if run else []


def nightly_run(workspace: Workspace, day: dt.date) -> dict[str, Any] | None:
    """What the last nightly run of a day did, and its `id`."""
    for path in sorted(workspace.runs.glob("*-nightly.json"), reverse=True):
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if run["day"] == str(day):
            return {**run, "id": path.stem}
    return None


def model_facts(
    workspace: Workspace, day: dt.date, found: findings.Findings, model: Detector | None, config: Config
) -> dict[str, Any]:
    """The model that scored a day, as its incidents record; without any, the one in use if it may have."""
    in_use = model.facts if model else None
    used: ModelFacts | None = found.incidents[0].model if found.incidents else None
    if used is None and in_use and in_use.learned_before(day):
        used = in_use
    flagged = scored_edges_of(found.edges[found.edges["incident"].notna()])
    run = nightly_run(workspace, day)
    return {
        "used": used,
        "usual_score": used.least_score(config.incidents.budget) if used else None,
        "age": (day - used.trained_until).days if used else None,
        "in_use": in_use.trained_until if in_use else None,
        "features": len(FEATURE_NAMES),
        "budget": config.incidents.budget,
        "candidates": config.incidents.candidates,
        "run": run and run["id"],
        "seconds": run and run["seconds"],
        "backoffs": sorted(
            {words.sentence(each) for edge in flagged for each in edge.reasons if isinstance(each, Unknown)}
        ),
    }


# --- words --------------------------------------------------------------------------------------------------


def at(time: dt.datetime) -> str:
    """The time of a day."""
    return f"{time:%H:%M:%S}"


def minute(time: dt.datetime) -> str:
    """A time without its seconds."""
    return f"{time:%Y-%m-%d %H:%M}"


def seconds_of(time: dt.datetime) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second
