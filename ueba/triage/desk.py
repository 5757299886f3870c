"""What an analyst does: enter a verdict, put rules in force, read the effects of both."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ueba import findings
from ueba.contracts import verdict as contract
from ueba.contracts.incident import Incident
from ueba.contracts.verdict import Verdict, VerdictEdge, Word
from ueba.errors import UsageError
from ueba.triage import hiding, log, rules
from ueba.triage.hiding import DryRun
from ueba.triage.rules import Rule
from ueba.workspace import Workspace


@dataclass(frozen=True)
class Decision:
    """What an analyst enters. expires: the last day on which the verdict counts, or the number of days for
    which it counts; None for the default."""

    verdict: Word
    reason: str
    who: str
    expires: dt.date | int | None = None


def today(workspace: Workspace) -> dt.date:
    """Today by the clock of the logs: the day after the last scored day. Raises WorkspaceError if no day was
    scored."""
    return findings.last_scored(workspace.findings) + dt.timedelta(days=1)


def decide(workspace: Workspace, incident_id: str, decision: Decision) -> tuple[Verdict, bool]:
    """Enter a verdict on an incident. Returns the verdict, and whether it differs from the last one.

    Raises UsageError if the verdict cannot expire on that day or there is no verdict to withdraw, and
    WorkspaceError if the id does not name one incident."""
    incident = findings.find_incident(workspace.findings, incident_id)
    if decision.verdict == "withdrawn" and incident.id not in log.read(workspace.root).words:
        raise UsageError(f"{incident.id} has no verdict that could be withdrawn; see `ueba triage log`")
    since = today(workspace)
    found = findings.load(workspace.findings, incident.day, incident.below_line)
    verdict = verdict_on(found, incident, decision, since, _expiry(decision, since))
    return verdict, log.add(workspace.root, verdict)


def _expiry(decision: Decision, since: dt.date) -> dt.date | None:
    """The last day on which a decision counts; None if it does not expire."""
    if decision.verdict in ("true", "withdrawn"):
        if decision.expires is not None:
            raise UsageError(
                f"a verdict {decision.verdict!r} does not expire; leave --expires out, a later verdict"
                " replaces it"
            )
        return None
    days = decision.expires if isinstance(decision.expires, int) else log.EXPIRE_DAYS
    expires = decision.expires if isinstance(decision.expires, dt.date) else since + dt.timedelta(days=days)
    if expires < since:
        raise UsageError(
            f"--expires {expires}: the first day it could count for is {since}; name a later day"
        )
    if expires > since + dt.timedelta(days=contract.MOST_DAYS):
        raise UsageError(
            f"--expires {expires}: a verdict counts for {contract.MOST_DAYS} days at most; name an earlier"
            " day, and enter it again when it ends"
        )
    return expires


def verdict_on(
    found: findings.Findings,
    incident: Incident,
    decision: Decision,
    since: dt.date,
    expires: dt.date | None,
) -> Verdict:
    """A verdict entered now. found: the findings of the incident's day."""
    return Verdict(
        incident=incident.id,
        day=incident.day,
        verdict=decision.verdict,
        reason=decision.reason,
        who=decision.who,
        entered=dt.datetime.now(dt.UTC),
        since=since,
        expires=expires,
        edges=tuple(
            VerdictEdge(edge.edge, frozenset(edge.pattern), edge.strangeness_persisted)
            for edge in found.edges_of(incident)
        ),
    )


def log_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """All verdicts in the order of entry, as JSON, with `state` and `changed`, the number of scored edges
    that the verdict has an effect on."""
    verdicts = log.read(workspace.root).verdicts
    if not verdicts:
        return []
    days = findings.scored_days(workspace.findings)
    tables = [findings.load_edges(workspace.findings, day) for day in days]
    changed = Counter(verdict for edges in tables for ids in edges["verdicts"] for verdict in ids)
    return [
        {
            **contract.to_json(verdict),
            "state": log.standing(verdict, verdicts, today(workspace)),
            "changed": changed[verdict.id],
        }
        for verdict in verdicts
    ]


def try_rules(
    workspace: Workspace, chosen: Sequence[Rule], first: dt.date | None, last: dt.date | None
) -> DryRun:
    """The incidents of scored days that rules would have hidden. Raises WorkspaceError if no day was
    scored."""
    today(workspace)
    days = [day for day in findings.scored_days(workspace.findings) if (first or day) <= day <= (last or day)]
    return hiding.dry_run(workspace.findings, chosen, log.read(workspace.root).words, days)


def install_rules(workspace: Workspace, text: str, chosen: Sequence[Rule], who: str) -> None:
    """Put rules in force, for scored days too. The log of rules records by whom, and the incidents hidden."""
    with workspace.locked():
        hidden = [incident.id for incident in try_rules(workspace, chosen, None, None).hidden]
        rules.install(workspace.root, text, who, dt.datetime.now(dt.UTC), hidden)
        hiding.hide_all(workspace.findings, chosen)
