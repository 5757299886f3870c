"""The log as `reach` takes it: who leaves credentials where, what is flagged, and what the attacker had a
part in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ueba.arrays import Bools
from ueba.ingest.identity import ANONYMOUS
from ueba.investigate.perimeter.log import Log, equals
from ueba.investigate.perimeter.reach import Events

NO_CREDENTIALS = "Network"  # the logon type that leaves none on the target
# What a domain controller logs: the account was not on the target.
NO_VISIT = ("ticket", "service_ticket", "credential_validation")


def to_events(log: Log, contact: Bools, flagged: Bools, anonymous: Bools) -> Events:
    """contact, flagged: [events]; anonymous: [accounts]"""
    is_machine = np.array([*(kind == "machine" for kind, _ in log.places), False])
    owner, machine = log.own_machines
    leads, is_unknown = is_machine[log.source], log.source < 0
    leaves = ~equals(log.table["action"], *NO_VISIT) & ~equals(log.table["logon_type"], NO_CREDENTIALS)
    leaves &= (equals(log.table["action"], "logon") | is_unknown) & is_machine[log.target]
    can_be_exposed = ~anonymous[log.user]
    return Events(
        time=log.time,
        user=log.user,
        actor=log.actor,
        source=log.source,
        target=log.target,
        leads=leads,
        at_source=leads & can_be_exposed & (owner[log.user] != machine[log.source]),
        at_target=leaves & can_be_exposed & (owner[log.user] != machine[log.target]),
        flagged=flagged | contact,
        contact=contact,
    )


def anonymous_accounts(log: Log, listed: Iterable[str]) -> Bools:
    """Which accounts are anonymous, by their names or by a list of them. bool [accounts]"""
    names = {*listed}
    return np.array(
        [name in names or name.split("@", 1)[0].casefold() in ANONYMOUS for name in log.accounts], bool
    )
