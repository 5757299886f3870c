"""An explanation in sentences. With `numbers` they carry nats, p-values and log odds in parentheses."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Sequence

from ueba import files, words
from ueba.contracts import reason
from ueba.contracts.explanation import Counterfactual, Expected, Explanation, Habit, Usual
from ueba.contracts.incident import Incident
from ueba.contracts.scored import ScoredEdge
from ueba.detect.score.carryover import LEAST_NATS
from ueba.investigate.explain.day import MOST_EDGES
from ueba.investigate.explain.incident import ExplainedEdge, ExplainedIncident
from ueba.investigate.explain.weigh import ORDINARY_P, PARTS
from ueba.text import brief

YOUNG_DAYS = 14  # the age of an entity that is younger is told
WEIGHTY = 1.0  # log odds from which a rare hour or logon type has a sentence of its own
FEW_NAMES = 3
CHANGES = {
    "source": "from {}",
    "user": "by {}",
    "target": "to {}",
    "hour": "at {} h UTC",
    "logon_type": "by a {} logon",
}


def sentences(explained: ExplainedIncident, numbers: bool = False) -> list[str]:
    """The whole explanation. A sentence about an edge begins with the edge's name and a colon."""
    found = [summary(explained, numbers)]
    for name, lines in by_edge(explained, numbers).items():
        found += [f"{name}: {line}" for line in lines]
    return found


def by_edge(
    explained: ExplainedIncident, numbers: bool = False, zone: dt.tzinfo = dt.UTC
) -> dict[str, list[str]]:
    """The sentences about each of the strangest edges, by its name. zone: of the times in them"""
    found: dict[str, list[str]] = {}
    users: set[str] = set()  # whose usual behaviour was described
    for edge in explained.edges[:MOST_EDGES]:
        found[edge.name] = _about(edge, edge.edge.user not in users, numbers, zone)
        users.add(edge.edge.user)
    return found


def summary(explained: ExplainedIncident, numbers: bool = False, zone: dt.tzinfo = dt.UTC) -> str:
    """The incident in one sentence. zone: of the times in it"""
    incident, edges = explained.incident, [explained_edge.edge for explained_edge in explained.edges]
    users = list(dict.fromkeys(edge.user for edge in edges))
    first = files.aware(min(edge.first_seen for edge in edges)).astimezone(zone)
    last = files.aware(max(edge.last_seen for edge in edges)).astimezone(zone)
    score = (
        f" (score {incident.score:.1f} nats, {words.p(incident.p_value, incident.p_is_bound)})"
        if numbers
        else ""
    )
    return (
        f"{_named(users)} made {words.counted(len(edges), 'strange edge')} between {first:%Y-%m-%d %H:%M:%S}"
        f" and {last:%H:%M:%S} {zone}; {words.place(incident)}:"
        f" {words.happens(explained.period)}{score}."
    )


def _about(explained: ExplainedEdge, with_usual: bool, numbers: bool, zone: dt.tzinfo) -> list[str]:
    edge, explanation = explained.edge, explained.explanation
    if explanation is None:
        reasons = "; ".join(words.sentence(reason, numbers) for reason in edge.reasons)
        return [_what_happened(edge, numbers, zone), f"{reasons}."]
    carried = [f"{edge.user} was also strange on the days before."] if edge.carry_over >= LEAST_NATS else []
    return [
        _what_happened(edge, numbers, zone),
        *(_new(habit) for habit in explanation.new),
        *_rare(edge.user, explanation),
        *([usually(edge.user, explanation.expected)] if with_usual and explanation.expected else []),
        would_be_normal(explanation.counterfactuals, numbers),
        _weighed(explanation, numbers),
        *(
            f"{name} has no history: it was compared with similar ones (back-off)."
            for name in explanation.backoff
        ),
        *carried,
        *(f"{words.sentence(change, numbers)}." for change in reason.changes(edge.reasons)),
    ]


def _what_happened(edge: ScoredEdge, numbers: bool, zone: dt.tzinfo) -> str:
    time = files.aware(edge.first_seen).astimezone(zone)
    verb = "tried to reach" if edge.failures == edge.count else "reached"
    start = edge.source or words.UNKNOWN_SOURCE
    detail = (
        f" (surprise {edge.surprise:.1f} nats, {words.p(edge.p_value, edge.p_is_bound)})" if numbers else ""
    )
    return (
        f"{edge.user} {verb} {edge.target} from {start} at {time:%H:%M:%S}, {_times(edge)};"
        f" {words.rarity(edge.once_in_days, edge.p_is_bound)}{detail}."
    )


def _times(edge: ScoredEdge) -> str:
    """How often, and how often in vain."""
    times = "once" if edge.count == 1 else f"{edge.count:,} times"
    if not edge.failures:
        return times
    failed = "it" if edge.count == 1 else "all" if edge.failures == edge.count else f"{edge.failures:,}"
    return f"{times} ({failed} failed)"


def _new(habit: Habit) -> str:
    verb, partner = words.VERBS[habit.relation], habit.relation.split("_")[1]
    again = "again, which was strange the first time" if habit.was_quarantined else "for the first time"
    young = f"known for {words.counted(habit.known_days, 'day')}, " if habit.known_days < YOUNG_DAYS else ""
    strange = (
        f" (and {habit.partners_quarantined} from strange edges only)" if habit.partners_quarantined else ""
    )
    cohort = (
        f" ({words.percent(habit.novelty_of_cohort)} for the {habit.cohort:,} as broad)"
        if habit.novelty_of_cohort is not None and habit.cohort
        else ""
    )
    return (
        f"{habit.actor} {verb} {habit.partner} {again}; {young}it knew"
        f" {words.counted(habit.partners, partner)}{strange}, and {words.percent(habit.novelty_rate)}"
        f" of those it meets in a day are new{cohort}; on this day it met"
        f" {words.counted(habit.new_today, 'new one')}, usually {habit.new_a_day:.1f}."
    )


def _rare(user: str, explanation: Explanation) -> list[str]:
    """Hours and logon types that weigh, and how much of the user's activity they usually are."""
    hours = ", ".join(f"{hour.name} h UTC is {words.percent(hour.share)}" for hour in explanation.hours)
    types = ", ".join(f"{used.name} is {words.percent(used.share)}" for used in explanation.logon_types)
    return [
        f"of what {user} usually does, {shares}."
        for part, shares in (("hour", hours), ("type", types))
        if shares and explanation.parts[PARTS[part]] >= WEIGHTY
    ]


def usually(user: str, expected: Expected) -> str:
    """What a user does on most days."""
    found = []
    for usual, verb in ((expected.target, "reaches"), (expected.source, "acts from")):
        names = ", ".join(f"{place.name} (on {place.share:.0%} of its days)" for place in usual)
        found += [f"{verb} {names}"] if names else []
    hours = ", ".join(f"{hour.name} h" for hour in _by_hour(expected.hour))
    found += [f"is most active at {hours} UTC"] if hours else []
    types = ", ".join(f"{used.name} ({used.share:.0%})" for used in expected.logon_type)
    found += [f"logs on by {types}"] if types else []
    return f"usually {user} {'; '.join(found)}."


def _by_hour(hours: Sequence[Usual]) -> list[Usual]:
    return sorted(hours, key=lambda hour: int(hour.name))


def would_be_normal(changes: Sequence[Counterfactual], numbers: bool = False) -> str:
    """The changes that would have made an edge normal, or how far the best would go."""
    best: dict[str, Counterfactual] = {}
    for change in changes:
        best.setdefault(change.change, change)
    normal = [change for change in best.values() if change.p_value >= ORDINARY_P]
    parts = [_changed(change, numbers) for change in normal or best.values()]
    if normal:
        return f"it would have been normal {'; or '.join(parts)}."
    if parts:
        return f"no single change makes it normal; the nearest is {parts[0]}."
    return "there is no usual behaviour to compare it with."


def _changed(change: Counterfactual, numbers: bool) -> str:
    start = "" if change.acts_from is None else f" from {change.acts_from}"
    detail = f" (p {change.p_value:.2g})" if numbers else ""
    return f"{CHANGES[change.change].format(change.to)}{start}, {change.why}{detail}"


def _weighed(explanation: Explanation, numbers: bool) -> str:
    """Which parts of the evidence made it strange, by their share of all that did."""
    parts = sorted(explanation.parts.items(), key=lambda part: -abs(part[1]))
    if numbers:
        weights = ", ".join(f"{name} {nats:+.1f}" for name, nats in parts if abs(nats) >= 0.05)
        return (
            f"evidence in log odds: {weights or 'nothing'}; together {explanation.log_odds:.1f}, where an"
            f" ordinary edge of the day has {explanation.ordinary_log_odds:.1f}."
        )
    raising = [(name, nats) for name, nats in parts if nats >= 0.05]
    total = sum(nats for _, nats in raising)
    shares = ", ".join(f"{name} ({nats / total:.0%})" for name, nats in raising[:FEW_NAMES])
    return f"what counted most: {shares or 'nothing in particular'}."


def next_steps(incident: Incident, user: str, since: dt.datetime) -> list[str]:
    """Commands to run next, as a shell takes them; none with a name that cannot be typed.

    user: of its strangest edge; since: when that user was strange first"""
    name = shlex.quote(user)
    of_user = [
        f"ueba day {name} {incident.day}",
        f"ueba perimeter --from {name} --since {since:%Y-%m-%dT%H:%M:%S} --hops 2",
    ]
    return [
        *(of_user if is_typable(user) else ()),
        f"ueba triage {incident.id} --verdict true --reason '...'      # or benign, expected",
    ]


def is_typable(name: str) -> bool:
    """Whether a name can be typed as it is."""
    return name == brief(name) and not name.startswith("-")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW_NAMES} more" if len(names) > FEW_NAMES else ""
    return ", ".join(names[:FEW_NAMES]) + more
