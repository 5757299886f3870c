"""Effects of verdicts on a day's edges: nats added to their strangeness or subtracted from it.

    true      lifts strange edges of its users, and strange edges from the machines they acted from, for
              LIFT_DAYS days
    benign    lowers similar edges: same user, machine or target, and no pattern that its edge did not have;
              half as much after every HALF_LIFE_DAYS
    expected  lowers exactly its edges, until it expires

Effects are bounded, and p-values (so calibration too) do not depend on them. Nothing is learned from a benign
verdict, so that a wrong one ends when it is withdrawn; a true verdict about the same user ends earlier benign
ones. Leaves out the other half of active learning (Das et al. 2016, "Incorporating expert feedback into
active anomaly discovery"): no verdict changes a weight of the model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

from ueba.contracts.edge import Edge
from ueba.contracts.reason import Effect
from ueba.contracts.verdict import Verdict, VerdictEdge
from ueba.triage import log

HALF_LIFE_DAYS = (
    30.0  # twice the history's: a habit that goes on is learned by then, one that does not was no habit
)
MOST_NATS = 10.0  # that a verdict takes off: as much as carry-over may add
LIFTED_NATS = 5.0  # that a true verdict adds on the first day: half of that
LIFT_DAYS = 10  # for which a true verdict lifts
LIFT_KEPT_A_DAY = 0.7  # of the lift; the same as of carry-over

Lowering = tuple[Verdict, VerdictEdge]
Key = tuple[str | None, ...]


class Verdicts:
    """The effects of verdicts on one day. verdicts: the last verdict on every incident; those in force
    count."""

    def __init__(self, verdicts: Iterable[Verdict], day: dt.date) -> None:
        counting = log.in_force(verdicts, day)
        self.day = day
        self.lowering = _lowering(counting)
        self.lifting = _lifting(counting, day)

    def __bool__(self) -> bool:
        return bool(self.lowering or self.lifting)

    def effects(
        self, edge: Edge, pattern: Callable[[], frozenset[str]], strangeness: float, is_strange: bool
    ) -> list[Effect]:
        """The strongest effect that lowers an edge and the strongest that lifts it, so that a verdict entered
        ten times counts once. Only a strange edge is lifted.

        pattern: computes the edge's pattern, called only if needed; strangeness: nats. A verdict lowers an
        edge by no more nats than its own edge had: a far stranger edge stays strange."""
        found = [self._lowered(edge, pattern, strangeness), self._lifted(edge) if is_strange else None]
        return [effect for effect in found if effect is not None and effect.nats]

    def _lowered(
        self, edge: Edge, pattern: Callable[[], frozenset[str]], strangeness: float
    ) -> Effect | None:
        similar = [*self.lowering.get(("user", edge.user), ())]
        if edge.source is not None:
            similar += self.lowering.get(("hop", edge.source, edge.target), ())
        best, by = 0.0, None
        for verdict, verdict_edge in similar:
            share = self._share(verdict, verdict_edge, edge, pattern())
            nats = min(share * min(verdict_edge.strangeness, MOST_NATS), strangeness)
            if by is None or (nats, verdict.id) > (best, by.id):  # by what it is, not by its place in the log
                best, by = nats, verdict
        return None if by is None or best <= 0 else _effect(by, -best)

    def _share(
        self, verdict: Verdict, verdict_edge: VerdictEdge, edge: Edge, pattern: frozenset[str]
    ) -> float:
        if verdict.verdict == "expected":
            return float(edge == verdict_edge.edge)
        age_days = max((self.day - verdict.since).days, 0)
        fading: float = 0.5 ** (age_days / HALF_LIFE_DAYS)
        return similarity(edge, pattern, verdict_edge) * fading

    def _lifted(self, edge: Edge) -> Effect | None:
        ends = (("user", edge.user), ("machine", edge.source))
        effects = [self.lifting[end] for end in ends if end in self.lifting]
        return max(effects, key=lambda effect: effect.nats, default=None)


def similarity(edge: Edge, pattern: frozenset[str], verdict_edge: VerdictEdge) -> float:
    """How similar an edge is to an edge of a verdict, 0 to 1: a third for every end that is the same, if its
    pattern has no way that the verdict's edge had not. With another pattern it is half of that if user and
    target are the same, and 0 otherwise. One common end counts only if it is the user, as many users share a
    machine, and all meet at the domain controller. An unknown source is the same only in the same edge."""
    user = edge.user == verdict_edge.edge.user
    source = edge.source == verdict_edge.edge.source and (
        edge.source is not None or edge == verdict_edge.edge
    )
    target = (edge.target, edge.target_kind) == (verdict_edge.edge.target, verdict_edge.edge.target_kind)
    ends = user + source + target
    if ends == 0 or (ends == 1 and not user):
        return 0.0
    if pattern <= verdict_edge.pattern:
        return ends / 3
    return ends / 6 if user and target else 0.0


def _lowering(counting: Sequence[Verdict]) -> dict[Key, list[Lowering]]:
    """The edges that lower others, by what a later edge must share with them: user, or source and target."""
    true_on = log.last_true_day(counting)
    found: dict[Key, list[Lowering]] = {}
    for verdict in counting:
        if verdict.verdict not in ("benign", "expected"):
            continue
        for verdict_edge in verdict.edges:
            if log.is_ended(verdict, verdict_edge.edge, true_on):
                continue
            found.setdefault(("user", verdict_edge.edge.user), []).append((verdict, verdict_edge))
            if verdict_edge.edge.source is not None:
                hop = ("hop", verdict_edge.edge.source, verdict_edge.edge.target)
                found.setdefault(hop, []).append((verdict, verdict_edge))
    return found


def _lifting(counting: Sequence[Verdict], day: dt.date) -> Mapping[Key, Effect]:
    """The effects of true verdicts, by user and by source machine. A target does not count: it may be a
    server that all users reach, or it may have refused the logon."""
    found: dict[Key, Effect] = {}
    for verdict in sorted(counting, key=lambda verdict: verdict.id):
        age_days = max((day - verdict.since).days, 0)
        if verdict.verdict != "true" or age_days >= LIFT_DAYS:
            continue
        nats = LIFTED_NATS * LIFT_KEPT_A_DAY**age_days
        users = {("user", row.edge.user) for row in verdict.edges}
        machines = {("machine", row.edge.source) for row in verdict.edges if row.edge.source is not None}
        for key in users | machines:
            if key not in found or nats > found[key].nats:
                found[key] = _effect(verdict, nats, entity=key[1])
    return found


def _effect(verdict: Verdict, nats: float, entity: str | None = None) -> Effect:
    return Effect(
        nats=nats,
        verdict=verdict.verdict,
        verdict_id=verdict.id,
        incident=verdict.incident,
        who=verdict.who,
        day=verdict.entered.date(),
        reason=verdict.reason,
        expires=verdict.expires,
        entity=entity,
    )
