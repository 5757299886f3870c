"""Reasons from features, at their limits, and the sentences made from them."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from ueba import words
from ueba.contracts import reason as contract
from ueba.contracts.reason import (
    Burst,
    CarryOver,
    Combination,
    CrownJewel,
    Effect,
    Failures,
    Honey,
    Leaver,
    Maintenance,
    NewPair,
    RareHour,
    RareLogonType,
    Reason,
    Unknown,
)
from ueba.detect import reasons
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.reasons import Subject

ANN = Subject("ann", "pc1", "srv", ("Network",), 4)


def found(subject: Subject = ANN, **values: float) -> tuple[Reason, ...]:
    """The reasons of an edge that has these features and no others; `__` is a point."""
    described = np.zeros(len(FEATURE_NAMES), np.float32)
    for name, value in values.items():
        described[FEATURE_NAMES.index(name.replace("__", "."))] = value
    return reasons.of_edge(described, subject)


def test_a_new_pair_has_its_numbers() -> None:
    """Log odds of -log 3 are a rate of 1 / (1 + 3)."""
    (reason,) = found(
        user_target__new=1,
        user_target__surprise_target_given_user=2.5,
        user_target__novelty_user=-math.log(3),
        user_target__peers_user=0.5,
    )
    assert reason == NewPair("user_target", "ann", "srv", False, 2.5, pytest.approx(0.25), 0.5)


def test_a_quarantined_pair_is_new_again() -> None:
    again = Subject("ann", "pc1", "srv", (), 1, {"source_target"})
    first, second = found(again, user_target__new=1, source_target__new=1)
    assert isinstance(first, NewPair) and not first.was_quarantined
    assert isinstance(second, NewPair) and second.was_quarantined and second.actor == "pc1"


@pytest.mark.parametrize(("new", "most", "is_burst"), [(8, 2, True), (2, 0, False), (8, 5, False)])
def test_a_burst_is_three_partners_and_well_above_the_record(new: int, most: int, is_burst: bool) -> None:
    """log 9 - log 3 = 1.10 and log 9 - log 6 = 0.41; the least is 0.5."""
    values = {
        "user_target__new_today_user": math.log1p(new),
        "user_target__record_user": math.log1p(new) - math.log1p(most),
    }
    expected = (Burst("user_target", "user", "target", "ann", new, most),) if is_burst else ()
    assert found(**values) == expected


def test_what_is_rare_is_beyond_four_nats() -> None:
    assert found(hour_surprise_worst=4.0, type_surprise_user=4.0, failures=0.5) == ()
    assert found(hour_surprise_worst=4.5, type_surprise_user=5.0, failures=0.75) == (
        RareHour("ann", 4.5),
        RareLogonType("ann", ("Network",), 5.0),
        Failures(0.75, 4),
    )


def test_a_missing_source_has_no_history_to_miss() -> None:
    unknown = {"user_target__unknown_user": 1.0, "source_target__unknown_source": 1.0}
    assert found(**unknown) == (Unknown("user", "ann"), Unknown("source", "pc1"))
    assert found(Subject("ann", None, "srv", (), 1), **unknown) == (Unknown("user", "ann"),)
    assert contract.is_backoff(found(**unknown)) and not contract.is_backoff((Combination(),))


def test_an_edge_without_a_reason_is_a_combination() -> None:
    assert reasons.complete((), ANN, 0.0, ()) == (Combination(),)
    assert reasons.complete((), ANN, 0.04, ()) == (Combination(),)  # it would be printed as 0.0
    assert reasons.complete((RareHour("ann", 5.0),), ANN, 2.0, ()) == (
        RareHour("ann", 5.0),
        CarryOver("ann", 2.0),
    )


def test_what_the_organisation_knows_is_told_last_and_honey_first() -> None:
    honey = Honey("target", "machine", "pot", 100.0)
    left = Leaver("user", "user", "ann", dt.date(2026, 1, 20), 5.0, 2.0)
    jewel = CrownJewel("target", "machine", "srv", 5.0, 2.0)
    assert reasons.complete((), ANN, 2.0, (), (honey, jewel)) == (honey, CarryOver("ann", 2.0), jewel)
    # An ordinary edge of a leaver or of honey is no strange combination; one to a jewel may be.
    assert reasons.complete((), ANN, 0.0, (), (left,)) == (left,)
    assert reasons.complete((), ANN, 0.0, (), (honey,)) == (honey,)
    assert reasons.complete((), ANN, 0.0, (), (jewel,)) == (Combination(), jewel)
    assert contract.honey((jewel, honey)) == "pot" and contract.honey((jewel,)) is None


def test_a_pattern_has_a_code_for_each_kind_and_the_logon_types() -> None:
    every = (
        *found(user_target__new=1, hour_surprise_worst=5, type_surprise_user=5, failures=1),
        Burst("source_target", "source", "target", "pc1", 9, 1),
        CarryOver("ann", 2.0),
    )
    codes = ("new user_target", "hour", "type", "failures", "many source_target of source", "Network")
    assert contract.pattern(every, ("Network",)) == codes


NIGHT = dt.datetime(2026, 1, 20, 22)
SENTENCES: list[tuple[Reason, str, str]] = [  # a reason, its sentence, and what numbers add
    (
        NewPair("user_target", "ann", "srv", False, 2.5, 0.25, 0.0),
        "ann never reached srv before: 25% of the places it reaches in a day are new to it;"
        " none of its peers know srv",
        "surprise 2.5 nats",
    ),
    (
        NewPair("user_source", "ann", "pc9", True, 2.5, 0.001, 0.05),
        "ann acted from pc9 again, which was strange the first time: fewer than 1% of the machines it acts"
        " from in a day are new to it; 5% of its peers know pc9",
        "surprise 2.5 nats",
    ),
    (
        Burst("user_source", "source", "user", "pc1", 12, 1),
        "pc1 met 12 new users on this day; its most on any day before was 1",
        "",
    ),
    (RareHour("ann", 5.0), "ann acted at an hour when it is rarely active", "surprise 5.0 nats"),
    (RareLogonType("ann", ("Batch",), 6.0), "ann rarely logs on this way: Batch", "surprise 6.0 nats"),
    (Failures(0.75, 1200), "75% of 1,200 attempts failed", ""),
    (
        Unknown("target", "db"),
        "db has no history as a target, so it is compared with similar ones (back-off)",
        "",
    ),
    (CarryOver("ann", 2.0), "ann was also strange on the days before", "+2.0 nats"),
    (Combination(), "every part of it is usual, but not together", ""),
    (
        Effect(-3.0, "expected", "v1", "20260119-aa", "kim", dt.date(2026, 1, 20), "drill"),
        "counts less: it is the same as incident 20260119-aa, called expected by kim on 2026-01-20 (drill)",
        "-3.0 nats",
    ),
    (
        Honey("target", "machine", "pot", 100.0),
        "pot is a honey machine: any use of it is an incident",
        "+100.0 nats",
    ),
    (
        Honey("user", "user", "bait", 100.0),
        "bait is a honey account: any use of it is an incident",
        "+100.0 nats",
    ),
    (
        CrownJewel("target", "resource", "vault", 8.0, 2.0),
        "vault is a crown jewel: counts twice as much",
        "+8.0 nats",
    ),
    (
        CrownJewel("source", "machine", "dc", 10.0, 1.63),
        "dc is a crown jewel: counts 1.6 times as much",
        "+10.0 nats",
    ),
    (
        Leaver("user", "user", "ann", dt.date(2026, 1, 20), 5.0, 26.0),
        "ann left on 2026-01-20: counts far more",
        "+5.0 nats",
    ),
    (
        Leaver("source", "machine", "pc1", dt.date(2026, 1, 20), 7.0, 2.0),
        "pc1 was retired on 2026-01-20: counts twice as much",
        "+7.0 nats",
    ),
    (
        Maintenance("target", "machine", "srv", NIGHT, NIGHT + dt.timedelta(hours=6), -4.0, 0.5),
        "srv is under maintenance until 2026-01-21 04:00 UTC: counts half as much",
        "-4.0 nats",
    ),
]


@pytest.mark.parametrize(("reason", "sentence", "numbers"), SENTENCES)
def test_every_kind_has_its_sentence(reason: Reason, sentence: str, numbers: str) -> None:
    assert words.sentence(reason) == sentence
    assert words.sentence(reason, numbers=True) == (f"{sentence} ({numbers})" if numbers else sentence)


def test_every_kind_survives_the_disk() -> None:
    every = tuple(reason for reason, _, _ in SENTENCES)
    assert {type(reason) for reason in every} == set(Reason.__args__)  # type: ignore[attr-defined]
    assert contract.from_json(contract.to_json(every)) == every
    shown = words.reasons_json(every)
    assert [row["sentence"] for row in shown] == [sentence for _, sentence, _ in SENTENCES]
    assert all(row["kind"] for row in shown)
