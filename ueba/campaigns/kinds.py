"""The kinds of campaigns: what each does, step by step, to a victim.

A kind is one function, Scene and victim -> Plan, and one row in KINDS. Its docstring is what documents print
of it. Leaves out when the steps happen and which events they leave (`events`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ueba.arrays import Ints
from ueba.campaigns.scene import Rng, Scene

NEW = -2  # the number of an account or machine that nobody has seen before


class Plan(NamedTuple):
    """Steps of one campaign, [steps] each. when: usual (an hour of the victim's), odd (an hour it never
    has), daily (one step a day).

    An account or a machine that nobody has seen before is NEW, and is named in the form of another one."""

    user: Ints
    source: Ints
    target: Ints
    when: str = "usual"
    account_like: int = -1  # the account in whose form the NEW one is named
    machine_like: int = -1  # the machine in whose form the NEW one is named
    gap_s: float = 0  # mean time between steps; 0: that of the kind
    interactive: bool = False  # at a screen, not in the way in which the target is usually reached


def plan(
    user: npt.ArrayLike, source: npt.ArrayLike, target: Ints, when: str = "usual", **others: Any
) -> Plan:
    """A plan from one account or machine for all steps, or from one for each step."""
    return Plan(
        np.broadcast_to(user, len(target)), np.broadcast_to(source, len(target)), target, when, **others
    )


def steps(low: int, high: int, strength: float, rng: Rng) -> int:
    """How many steps: low to high, times strength."""
    return max(1, round(strength * int(rng.integers(low, high + 1))))


def novel_target(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From the own machine to places that no colleague uses."""
    count = steps(3, 8, strength, rng)
    targets = scene.drawn(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets)


def credential_switch(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """The victim's credential, used on a stranger's machine, to where the victim usually goes."""
    foreign = scene.home[scene.stranger(victim, rng, strength)]
    return plan(victim, foreign, scene.own(victim, steps(2, 7, strength, rng), rng))


def pivot_chain(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From machine to machine, each reached from the one before; half-way the credential may change."""
    count = steps(3, 7, strength, rng)
    pool = scene.unfamiliar(victim, strength, count + 1, machines_only=True)
    hops = scene.drawn(pool[pool != scene.home[victim]], count, rng)
    second = victim if rng.random() < 0.4 else scene.stranger(victim, rng, strength)
    users = np.where(np.arange(len(hops)) < (len(hops) + 1) // 2, victim, second)
    return plan(users, np.concatenate([[scene.home[victim]], hops])[: len(hops)], hops)


def peer_mimic(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From a stranger's machine to where colleagues go and the victim does not."""
    pool = np.flatnonzero(scene.familiar(victim) & ~scene.reach(victim))
    foreign = scene.home[scene.stranger(victim, rng, strength)]
    return plan(victim, foreign, scene.drawn(pool, steps(2, 6, strength, rng), rng))


def odd_hours(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From the own machine to own places and a few of the colleagues'; what is strange is the hour."""
    own, familiar = scene.reach(victim), scene.familiar(victim)
    usual = scene.own(victim, steps(2, 5, strength, rng), rng)
    others = scene.drawn(np.flatnonzero(familiar & ~own), steps(1, 3, strength, rng), rng)
    return plan(victim, scene.home[victim], np.concatenate([usual, others]), "odd")


def service_abuse(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """A service account on a person's workstation, to its own places and to others."""
    own = scene.reach(victim)
    usual = scene.own(victim, steps(1, 4, strength, rng), rng)
    others = scene.drawn(np.flatnonzero(~own & (scene.audience > 0)), steps(1, 4, strength, rng), rng)
    return plan(victim, scene.home[scene.stranger(victim, rng)], np.concatenate([usual, others]))


def low_and_slow(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """One place a day that no colleague uses, for about a week."""
    count = steps(4, 7, strength, rng)
    targets = scene.drawn(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets, "daily")


def admin_inside(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An administrator's own estate, but from a machine of it that nobody administers from, or at an hour it
    never has."""
    estate = np.flatnonzero(scene.reach(victim))
    targets = scene.own(victim, steps(3, 10, strength, rng), rng)
    acted_from = scene.source[scene.user == victim]
    odd = np.setdiff1d(estate[~scene.is_resource[estate]], np.concatenate([acted_from, targets]))
    if rng.random() < 0.5 and len(odd):
        return plan(victim, rng.choice(odd), targets)
    return plan(victim, scene.home[victim], targets, "odd")


def admin_outside(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An administrator's credential from the usual machine to where no administrator goes."""
    count = steps(3, 10, strength, rng)
    targets = scene.drawn(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets)


def burst(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """One machine tries many others within the hour, with the victim's credential and perhaps another."""
    pool = np.flatnonzero((scene.audience > 0) & ~scene.is_resource)
    targets = rng.permutation(pool[pool != scene.home[victim]])[: steps(20, 60, strength, rng)]
    second = scene.stranger(victim, rng) if rng.random() < 0.5 else victim
    return plan(np.where(rng.random(len(targets)) < 0.5, victim, second), scene.home[victim], targets)


def new_account(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An account that nobody has seen, from a new machine or from the victim's: many servers within minutes
    at night, or a handful of important ones at a screen."""
    services = scene.services
    like = int(rng.choice(services)) if len(services) and rng.random() < 0.3 else victim
    home = int(scene.home[victim])
    source, machine_like = (NEW, home) if rng.random() < 0.5 else (home, -1)
    named: dict[str, Any] = {"account_like": like, "machine_like": machine_like}
    if rng.random() < 0.5:
        targets = rng.permutation(scene.servers)[: steps(12, 30, strength, rng)]
        return plan(NEW, source, targets, "odd", gap_s=30, **named)
    targets = rng.permutation(scene.important)[: steps(3, 8, strength, rng)]
    return plan(NEW, source, targets, interactive=True, **named)


def new_machine(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """The victim's credential on a machine that nobody has seen, to places that no colleague uses."""
    count = steps(2, 7, strength, rng)
    targets = scene.drawn(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, NEW, targets, machine_like=int(scene.home[victim]))


def woken_account(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An account that was silent for weeks, on a stranger's machine: to its own places and to others."""
    usual = scene.own(victim, steps(1, 4, strength, rng), rng)
    others = scene.drawn(scene.unfamiliar(victim, strength), steps(1, 3, strength, rng), rng)
    foreign = scene.home[scene.stranger(victim, rng, strength)]
    return plan(victim, foreign, np.concatenate([usual, others]))


# --- the table ----------------------------------------------------------------------------------------------


def people(scene: Scene) -> Ints:
    return scene.people


def administrators(scene: Scene) -> Ints:
    return scene.administrators


def services(scene: Scene) -> Ints:
    return scene.services


def silent(scene: Scene) -> Ints:
    return scene.silent


@dataclass(frozen=True)
class Kind:
    """A kind of campaign."""

    plan: Callable[[Scene, int, float, Rng], Plan]
    techniques: tuple[str, ...]  # of MITRE ATT&CK
    # The family of `ueba.detect.look.negatives` that is the same idea; "" if training never sees it. A single
    # step of most kinds is like one of a family that joins the same ends; what counts is what makes the whole
    # campaign hard to see.
    resembles: str
    victims: Callable[[Scene], Ints] = people
    gap_s: float = 900  # mean time between steps
    failures: float = 0.02  # share of the events that fail

    @property
    def meaning(self) -> str:
        return " ".join((self.plan.__doc__ or "").split())


KINDS = {
    "novel_target": Kind(novel_target, ("T1021", "T1078"), "own_machine_any_target"),
    "credential_switch": Kind(
        credential_switch, ("T1550", "T1078"), "other_credential_usual_target", gap_s=600
    ),
    "pivot_chain": Kind(pivot_chain, ("T1021", "T1563"), "any_machine_any_target", gap_s=1200),
    "peer_mimic": Kind(peer_mimic, ("T1078", "T1550"), ""),
    "odd_hours": Kind(odd_hours, ("T1078",), "own_machine_any_hour", gap_s=400),
    "service_abuse": Kind(
        service_abuse, ("T1078.002", "T1558.003"), "other_credential_usual_target", services, gap_s=700
    ),
    "low_and_slow": Kind(low_and_slow, ("T1021", "T1078"), ""),
    "admin_inside": Kind(admin_inside, ("T1078.002", "T1021"), "", administrators, gap_s=500),
    "admin_outside": Kind(
        admin_outside, ("T1078.002", "T1021"), "own_machine_any_target", administrators, gap_s=500
    ),
    "burst": Kind(burst, ("T1018", "T1110.003", "T1021"), "burst", gap_s=40, failures=0.3),
    "new_account": Kind(new_account, ("T1136", "T1021"), "strangers"),
    "new_machine": Kind(new_machine, ("T1200", "T1078"), "strangers"),
    "woken_account": Kind(woken_account, ("T1078", "T1550"), "other_credential_usual_target", silent),
}
