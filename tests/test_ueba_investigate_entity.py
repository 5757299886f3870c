"""What is known of an entity, on worlds where it can be counted by hand."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from detect_world import edge_table
from small_workspace import DAY, LAST, run

from ueba.cli.inspect import sparkline
from ueba.contracts.entity import Entity
from ueba.contracts.entity_facts import EntityFacts
from ueba.detect.past.history import History, day_number
from ueba.errors import WorkspaceError
from ueba.ingest import lake
from ueba.investigate.entity import EntityContext, EntityId, describe, in_history, listing
from ueba.workspace import Workspace

FIRST = dt.date(2024, 5, 1)
FOREVER = 1e9  # half-life: nothing fades

Rows = list[tuple[str, str | None, str]]
CURIOUS: list[Rows] = [
    [("ann", "pc1", "x1"), ("bob", "pc2", "x1")],
    [("ann", "pc1", "x1"), ("ann", "pc1", "x2"), ("bob", "pc2", "x1")],
    [
        ("ann", "pc1", "x1"),
        ("ann", "pc1", "x2"),
        ("ann", "pc1", "x3"),
        ("ann", "pc9", "x4"),
        ("bob", "pc2", "x1"),
    ],
]


def known(days: list[Rows]) -> EntityContext:
    history = History(FOREVER)
    for number, rows in enumerate(days):
        history.learn(day_number(FIRST) + number, history.encode(edge_table(FIRST + number * DAY, rows)))
        history.batches.append(f"{FIRST + number * DAY}/batch=1.parquet")
    return EntityContext(history, FIRST + len(days) * DAY, None)


def facts(world: EntityContext, name: str) -> EntityFacts:
    [entity] = in_history(world, [Entity("user", name), Entity("machine", name)])
    return describe(world, entity)


def test_a_novelty_rate_can_be_counted() -> None:
    """After her first day ann met 6 targets on her days, 3 of them new; bob met 2, none new."""
    ann = facts(known(CURIOUS), "ann")
    targets, sources = ann.roles
    assert (targets.new_of_them, targets.partners_of_days, targets.novelty_raw) == pytest.approx((3, 6, 0.5))
    assert (targets.breadth, targets.most_new, sources.breadth) == (4, pytest.approx(2), 2)
    assert 0.3 < targets.novelty <= 0.5
    assert targets.cost_of_new == pytest.approx(-np.log(targets.novelty))
    assert (ann.first_seen, ann.last_seen) == (FIRST, FIRST + 2 * DAY)
    assert ann.active_days == pytest.approx(3) and ann.days_that_count == pytest.approx(3)
    assert [(usual.name, usual.days) for usual in targets.usual[:2]] == [
        ("x1", pytest.approx(3)),
        ("x2", pytest.approx(2)),
    ]
    assert ann.hours_utc[9] == 1 and ann.logon_types == {"Network": 1.0}
    assert ann.why[0].startswith("a new place counts ") and ann.to_json()["why"] == list(ann.why)
    bob = facts(known(CURIOUS), "bob")
    assert bob.roles[0].cost_of_new > targets.cost_of_new and "counts more than for a typical" in bob.why[0]


def test_peers_are_shrunk_to_and_told() -> None:
    """cal and dee are as broad; of the 4 targets of their later days one was new."""
    days: list[Rows] = [
        [("cal", None, "x1"), ("dee", None, "x1"), ("dee", None, "x2")],
        [("cal", None, "x1"), ("cal", None, "x2"), ("dee", None, "x1"), ("dee", None, "x2")],
    ]
    role = facts(known(days), "cal").roles[0]
    assert (role.peers, role.novelty_of_peers) == (1, pytest.approx(0.25))
    assert 0.25 < role.novelty < role.novelty_raw == pytest.approx(0.5)


def test_a_machine_is_known_in_each_of_its_roles() -> None:
    world = known([[("ann", "pc1", "x1"), ("bob", "pc1", "x1"), ("bob", "x1", "pc1")]])
    roles = {(role.role, role.partner): role.breadth for role in facts(world, "pc1").roles}
    assert roles == {
        ("is reached by", "user"): 1,
        ("is reached from", "source"): 1,
        ("is acted from by", "user"): 2,
        ("leads to", "target"): 1,
    }


def test_a_name_is_a_user_and_a_place_of_the_history() -> None:
    world = known([[("ann", "pc1", "x1"), ("pc1", "pc1", "x1")]])
    everything = [Entity("user", "pc1"), Entity("machine", "pc1"), Entity("resource", "pc1")]
    assert in_history(world, everything) == [EntityId(True, 1), EntityId(False, 0)]
    with pytest.raises(WorkspaceError, match="bob was not seen before 2024-05-02.*later --day"):
        in_history(world, [Entity("user", "bob")])


def test_the_list_has_everything_the_broadest_first() -> None:
    rows = listing(known(CURIOUS))
    assert {row["name"] for row in rows} == {"ann", "bob", "pc1", "pc2", "pc9", "x1", "x2", "x3", "x4"}
    assert (rows[0]["name"], rows[0]["breadth"], rows[0]["kind"]) == ("ann", 4, "human account")
    assert {row["name"]: str(row["last_seen"]) for row in rows}["pc2"] == "2024-05-03"


def test_who_was_only_seen_in_a_strange_edge_is_known_by_that() -> None:
    first, day = LAST - DAY, LAST
    history = History()
    rows = [("ann", "pc1", "srv"), ("bob", "pc2", "srv")]
    history.learn(day_number(first), history.encode(edge_table(first, rows)))
    history.batches = [f"{first}/batch"]
    strange = history.encode(edge_table(day, [("eve", "pc9", "srv"), rows[0]]))
    history.learn(day_number(day), strange, np.array([0.001, 1.0]))
    known = EntityContext(history, day + DAY, None)
    [facts] = [describe(known, number) for number in in_history(known, [Entity("user", "eve")])]
    assert (facts.first_seen, facts.last_seen) == (day, day)
    assert [(role.quarantined, role.usual, role.breadth) for role in facts.roles] == [
        (("srv",), (), 0),
        (("pc9",), (), 0),
    ]
    [ann] = [describe(known, number) for number in in_history(known, [Entity("user", "ann")])]
    assert ann.last_seen == day and not any(role.quarantined for role in ann.roles)


def test_who_was_set_aside_is_no_entity_of_the_history_and_the_error_says_so() -> None:
    """A p-value of 0 is that of a review, or of the verdict true: nothing is learned of the edge."""
    history = History()
    history.learn(
        day_number(LAST),
        history.encode(edge_table(LAST, [("ann", "pc1", "srv"), ("eve", "pc9", "srv")])),
        np.array([1.0, 0.0]),
    )
    known = EntityContext(history, LAST + DAY, None)
    for entity in (Entity("user", "eve"), Entity("machine", "pc9")):
        with pytest.raises(WorkspaceError, match=f"nothing of {entity.name} was learned.*`ueba suspects`"):
            in_history(known, [entity])
    assert in_history(known, [Entity("user", "eve"), Entity("user", "ann")]) == [EntityId(True, 0)]
    assert "eve" not in {row["name"] for row in listing(known)}


def test_bars() -> None:
    assert sparkline([0, 0.25, 0.5]) == " ▄█" and sparkline([0.0] * 3) == "   "


# --- on a workspace -----------------------------------------------------------------------------------------


def test_from_the_command_line(trained: Workspace, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.root.rglob("*") if path.is_file()}
    listed = json.loads(run(trained.root, "entity", "--format", "json").stdout)
    user = next(row["name"] for row in listed if row["kind"] == "human account")
    [facts] = json.loads(run(trained.root, "entity", user.upper(), "--format", "json").stdout)
    assert (
        facts["name"] == user
        and facts["before"] == str(LAST + DAY)
        and facts["nearest_by"] == "shared targets"
    )
    table = run(trained.root, "entity", user).stdout
    assert "why its novelties count" in table and f"{facts['roles'][0]['novelty']:.3g}" in table
    text = table.partition("why its novelties")[2]
    assert " nats" not in text and " p " not in text and "of the places it reaches in a day are new" in text
    resource = next((row["name"] for row in listed if row["kind"] == "resource"), None)
    assert resource is None or "logon types" not in run(trained.root, "entity", resource).stdout
    for row in facts["p_values"]:
        assert 0 < row["p_value"] <= 1
    [earlier] = json.loads(
        run(trained.root, "entity", user, "--day", str(LAST - 3 * DAY), "--format", "json").stdout
    )
    assert not earlier["p_values"] and earlier["nearest"]  # the model learned later days
    assert earlier["last_seen"] < str(LAST - 3 * DAY)
    assert len(run(trained.root, "entity", "--limit", "3").stdout.splitlines()) < 9
    assert "did you mean" in run(trained.root, "entity", user[:-1], code=1).output.lower()
    assert "ueba ingest" in run(tmp_path, "entity", user, code=1).output
    assert "ueba ingest" in run(tmp_path, "entity", user, "--day", str(LAST), code=1).output
    assert before == {path: path.stat().st_mtime_ns for path in trained.root.rglob("*") if path.is_file()}


def test_without_a_history_or_model_the_lake_is_enough(trained: Workspace, tmp_path: Path) -> None:
    (tmp_path / "lake").symlink_to(trained.lake)
    user = lake.read_pairs(trained.lake, LAST, LAST, "1GB")["user"][0].as_py()
    [facts] = json.loads(run(tmp_path, "entity", user, "--format", "json").stdout)
    assert facts["before"] == str(LAST + DAY) and facts["last_seen"] == str(LAST)
