"""A short form of `scripts/fuzz`: a few hundred mutations of each log family; and that the checks find what
is wrong."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest
import trials
from mutations import BYTES, FIELDS, LOSSLESS, mutated
from trials import Input, Shape, Sizes

from ueba.ingest import batch

SIZES = Sizes(logs=1, records=300, files=2)
FAMILIES: dict[str, list[Shape]] = defaultdict(list)
for shape in trials.shapes():
    FAMILIES[shape.family].append(shape)
SHAPE = FAMILIES["okta"][0]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_nothing_is_raised_lost_or_slow(family: str) -> None:
    inputs = trials.trial(1, 0, FAMILIES[family], SIZES)
    assert trials.problems(inputs, alone=1) == []


def test_a_trial_depends_on_its_seed_and_number_alone() -> None:
    first, again = (trials.trial(1, 3, [SHAPE], SIZES) for _ in range(2))
    assert first == again != trials.trial(1, 4, [SHAPE], SIZES)


@pytest.mark.parametrize("table", [BYTES, FIELDS, LOSSLESS])
def test_every_mutation_changes_records_and_takes_any_bytes(table) -> None:
    rng, data = Random(1), trials.text_of(SHAPE.good)
    for mutator in table:
        assert isinstance(mutator(rng, data), bytes)
        if table is not LOSSLESS:
            assert isinstance(mutator(rng, b""), bytes) and isinstance(mutator(rng, b"\xff{\0"), bytes)
    assert len({mutated(rng, SHAPE.records[0]) for _ in range(100)}) > 90


def test_an_exception_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest_file = batch.manifest_file

    def fragile(reading, counts):
        if any("POISON" in (row.example or "") for row in counts.dropped):
            raise AssertionError("poisoned")
        return manifest_file(reading, counts)

    monkeypatch.setattr(batch, "manifest_file", fragile)
    records = [*SHAPE.good] * 5
    inputs = [
        trials.original(SHAPE),
        Input("log", "okta", trials.text_of([*SHAPE.good, *records, b"POISON", *records]), len(SHAPE.good)),
    ]
    (problem,) = trials.problems(inputs)
    assert (problem.check, problem.kind) == ("error", problem.kind) and "poisoned" in problem.text
    (smallest,) = trials.minimised(inputs, problem.kind, seconds=20)
    assert b"POISON" in smallest.data
    assert len(smallest.data) < len(inputs[1].data)


def test_a_file_that_says_something_else_is_found() -> None:
    twin = trials.original(SHAPE)
    other = Input("file", SHAPE.format, trials.text_of(SHAPE.good[1:]), twin=twin.name)
    assert [problem.check for problem in trials.problems([twin, other])] == ["same"]
