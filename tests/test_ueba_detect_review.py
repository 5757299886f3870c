"""An intruder who was there before the first training: set aside by the review, and found afterwards."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_workspace import DAY, LAST, day_files, memory, read, run, short_training

from ueba import findings, stages, suspects
from ueba.contracts import suspect as contract
from ueba.contracts.edge import Edge
from ueba.contracts.suspect import Review, Suspect
from ueba.detect.past.lessons import Lessons, of_review
from ueba.detect.score import review
from ueba.detect.score.review import Reviewed
from ueba.errors import WorkspaceError
from ueba.workspace import Workspace

MACHINE = "C4666"
FIRST = LAST - 5 * DAY  # of the intruder


def write_broken_into(logs: Path, folder: Path) -> list[str]:
    """The days of the small organisation, with a machine that uses stolen credentials on the last six: for
    60 targets a day, and for six on the last day."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in day_files(logs):
        lines = Path(name).read_text().splitlines()
        day = dt.date.fromisoformat(Path(name).stem)
        for _ in range(0 if day < FIRST else 60 if day < LAST else 6):
            time, user, account, _, _, *manner = lines[rng.integers(len(lines))].split(",")
            target = lines[rng.integers(len(lines))].split(",")[4]
            lines.append(",".join([time, user, account, MACHINE, target, *manner]))
        lines.sort(key=lambda line: int(line.split(",")[0]))
        (folder / f"{day}.txt").write_text("\n".join(lines) + "\n")
    return day_files(folder)


@pytest.fixture(scope="module")
def broken_into(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """To be read only: all days are in the lake, and nothing is trained."""
    folder = tmp_path_factory.mktemp("broken-into")
    for path in write_broken_into(logs, folder / "logs"):
        read(Workspace(folder / "ws"), path)
    return Workspace(folder / "ws")


@pytest.fixture(scope="module")
def reviewed(broken_into: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """To be read only: `broken_into`, trained and with its last day scored."""
    folder = tmp_path_factory.mktemp("reviewed") / "ws"
    shutil.copytree(broken_into.root, folder)
    with short_training():
        run(folder, "--config", str(settings_file(folder)), "train", "--until", str(LAST - DAY))
        stages.score(memory(Workspace(folder)), LAST)
    return Workspace(folder)


def settings_file(folder: Path) -> Path:
    path = folder.parent / "settings.toml"
    path.write_text("[train]\nsteps = 12\nseeds = 1\n[incidents]\nbudget = 5\n")
    return path


def is_found(workspace: Workspace) -> bool:
    return any(MACHINE in found.machines for found in findings.load_incidents(workspace.findings, LAST))


def test_an_intruder_of_the_training_days_is_found_later(
    broken_into: Workspace, reviewed: Workspace, tmp_path: Path
) -> None:
    assert is_found(reviewed)
    unreviewed = memory(Workspace(shutil.copytree(broken_into.root, tmp_path / "ws")))
    unreviewed.__dict__["lessons"] = Lessons()  # as if every day had been scored, and nothing been strange
    with short_training():
        stages.learn(unreviewed, LAST - DAY)
    stages.score(unreviewed, LAST)
    assert not is_found(unreviewed.workspace)


def test_who_stands_out_is_listed_first_and_edge_by_edge(reviewed: Workspace) -> None:
    rows = json.loads(run(reviewed.root, "suspects", "--format", "json").stdout)
    assert (rows[0]["name"], rows[0]["kind"], rows[0]["stands_out"]) == (MACHINE, "machine", "yes")
    assert rows[0]["nats"] > 3 * rows[1]["nats"]
    assert rows[0]["days"] == 5 and rows[0]["first_day"] == str(FIRST)
    edges = json.loads(run(reviewed.root, "suspects", MACHINE.lower(), "--format", "json").stdout)
    assert len(edges) == rows[0]["edges"] and {edge["source"] for edge in edges} == {MACHINE}
    of_day = json.loads(
        run(reviewed.root, "suspects", MACHINE, "--day", str(FIRST), "--format", "json").stdout
    )
    assert of_day == [edge for edge in edges if edge["day"] == str(FIRST)]
    assert MACHINE in run(reviewed.root, "suspects", "--limit", "1").stdout
    assert "nothing that nobody did was set aside" in run(reviewed.root, "suspects", "nobody").stderr
    before = str(LAST - 20 * DAY)
    assert f"{before} was not reviewed" in run(reviewed.root, "suspects", "--day", before).stderr


def test_training_tells_what_it_set_aside(broken_into: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(broken_into.root, folder)
    arguments = ("--config", str(settings_file(folder)), "train", "--until", str(LAST - DAY))
    with short_training():
        at_first = run(folder, *arguments).stderr
        again = run(folder, *arguments).stderr
    assert "reviewed 9 days from 2026-01-07 to 2026-01-15 that were never scored" in at_first
    assert f"first {MACHINE} (" in at_first and "`ueba suspects` lists them" in at_first
    assert "reviewed" not in again  # what a review set aside stays so


def test_a_day_is_reviewed_until_it_is_scored_and_again_if_the_lake_has_more_of_it(
    reviewed: Workspace, tmp_path: Path
) -> None:
    lessons = memory(reviewed).lessons
    assert not lessons.is_unknown(FIRST) and not lessons.is_unknown(LAST)
    assert lessons.is_unknown(LAST - 10 * DAY)  # not among the days that are described in training
    assert 0.0 in lessons.excluded(FIRST).values()
    folder = tmp_path / "ws"
    shutil.copytree(reviewed.root, folder)
    late = tmp_path / "late.txt"
    second = (FIRST - dt.date(1970, 1, 1)).days * 86400 + 9
    late.write_text(f"{second},late@X,late@X,C1,C2,NTLM,Network,LogOn,Success\n")
    read(Workspace(folder), late)
    assert memory(Workspace(folder)).lessons.is_unknown(FIRST)


# --- scores by others ---------------------------------------------------------------------------------------


def reviewed_day(features: np.ndarray, machines: np.ndarray, made_up: np.ndarray) -> Reviewed:
    """A day of new pairs, one user for each edge. features: [edges]"""
    users, size = np.arange(len(features)), len(made_up)
    table = pa.table(
        {
            "user": [f"u{number}" for number in users],
            "source": [f"m{number}" for number in machines],
            "target": ["srv"] * len(users),
            "target_kind": ["machine"] * len(users),
        }
    )
    return Reviewed(
        LAST,
        table,
        np.ones(len(users), np.int64),
        np.full(len(users), 0.5, np.float32),
        features[:, None].astype(np.float32),
        np.stack([users, machines], axis=1),
        made_up[:, None].astype(np.float32),
        np.stack([np.arange(size), np.arange(size) % 400], axis=1),
    )


def test_what_one_machine_did_often_is_as_strange_as_if_it_had_been_done_once() -> None:
    rng = np.random.default_rng(0)
    ordinary, intruder, made_up = rng.normal(0, 1, 4000), rng.normal(5, 1, 300), rng.normal(5, 1, 2000)
    machines = np.concatenate([np.arange(4000) % 400, np.full(300, 400)])
    day = reviewed_day(np.concatenate([ordinary, intruder]), machines, made_up)
    (score,) = review.scored([day], np.random.default_rng(0))
    assert (score.p_value[4000:] <= 0.001).mean() > 0.9  # 7 % of all edges are of this machine
    assert 0.5 < (score.p_value[:4000] <= 0.01).mean() / 0.01 < 2  # and the others are as rare as they are
    found = review.strangest(day, score, 400)
    assert review.standing_out({LAST: found}) == {("machine", "m400")}
    complete = review.with_all_of({("machine", "m400")}, day, score, found)
    assert sum(one.stands_out for one in complete) == 300
    assert [one.p_value for one in complete] == sorted(one.p_value for one in complete)


def test_nothing_is_strange_where_there_is_too_little_to_compare_with() -> None:
    rng = np.random.default_rng(0)
    day = reviewed_day(rng.normal(0, 1, 90), np.arange(90), rng.normal(5, 1, 90))
    (score,) = review.scored([day], rng)
    assert (score.p_value == 1).all()
    assert review.strangest(day, score, 400) == () and review.standing_out({LAST: ()}) == set()


def test_cells_that_judge_each_other_share_neither_users_nor_machines() -> None:
    rng = np.random.default_rng(1)
    ends = np.stack([rng.integers(0, 50, 500), rng.integers(-1, 50, 500)], axis=1)
    cell, _ = review.cells([ends], [ends], rng)
    assert set(cell) == set(range(review.CELLS))
    for number in range(review.CELLS):
        here, judge = ends[cell == number], ends[cell == review.CELLS - 1 - number]
        assert not set(here[:, 0]) & set(judge[:, 0])
        assert not set(here[:, 1]) - {-1} & set(judge[:, 1])


# --- on disk ------------------------------------------------------------------------------------------------


def test_a_review_is_kept_and_a_damaged_one_refused(tmp_path: Path) -> None:
    edges = (Edge("ann", None, "srv", "machine"), Edge("eve", "pc", "db", "resource"))
    kept = Review(LAST, LAST, ("a",), (Suspect(edges[1], 0.001, True), Suspect(edges[0], 0.02)))
    suspects.save(kept, tmp_path)
    assert suspects.load_all(tmp_path) == [kept]
    assert of_review(kept.suspects) == {edges[1]: 0.0, edges[0]: 0.02}
    assert [(one.kind, one.name) for one in suspects.actors({LAST: kept.suspects})] == [
        ("machine", "pc"),
        ("user", "ann"),
    ]
    path = suspects.path(tmp_path, LAST)
    for damaged in (b"{", contract.to_json(kept).replace(b"0.001", b"7.0"), b'{"schema_version": 9}'):
        path.write_bytes(damaged)
        with pytest.raises(WorkspaceError, match="`ueba train` reviews the day again"):
            suspects.load(tmp_path, LAST)
    (tmp_path / "suspects=never.json").write_bytes(b"")
    with pytest.raises(WorkspaceError, match="its name is of no day"):
        suspects.load_all(tmp_path)
