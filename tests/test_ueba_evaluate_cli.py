"""The command from end to end on a small simulated lake: both ways to be told what is malicious, all
formats, and mistakes. The terminal is narrow: tables of numbers are as wide as they are."""

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from ueba.campaigns import KINDS
from ueba.cli import main
from ueba.contracts import versions

QUICK = ("--rows", "first-seen", "--rows", "cache", "--rows", "linear", "--seeds", "1", "--jobs", "2")
DAYS = ("--train-until", "2026-01-13")


def run(workspace: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["--workspace", str(workspace), *arguments], env={"COLUMNS": "40"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    run(folder, "simulate", "--output", str(folder), "--users", "60", "--days", "12")
    run(folder, "ingest", str(folder / "auth.txt.gz"), "--log-format", "lanl")
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_labelled_days_become_a_table_and_a_picture(logs: Path, tmp_path: Path) -> None:
    picture = tmp_path / "found.svg"
    arguments = (
        "--labels",
        str(logs / "labels.csv"),
        *DAYS,
        "--picture",
        str(picture),
        "--output",
        str(tmp_path / "kept"),
    )
    shown = run(logs, "evaluate", *QUICK, *arguments)
    assert re.findall(r"^ *(\S+) +\d+ +\d+ +\d+", shown.stdout, re.MULTILINE)[:3] == [
        "first-seen",
        "cache",
        "linear",
    ]
    assert (
        "found" in shown.stdout
        and "reported" in shown.stdout
        and "like it in training" in shown.stdout
        and "other_credential_usual_target" in shown.stdout
    )
    assert "no row reads a label" in shown.stderr and "3 days" in shown.stderr
    assert "<svg" in picture.read_text()
    assert "found @" in shown.stdout and "0.1 false" in shown.stdout
    kept = pq.read_table(tmp_path / "kept" / "linear" / "seed-0" / "edges.parquet")
    assert kept.column_names == [
        "day",
        "user",
        "source",
        "target",
        "surprise",
        "p_value",
        "incident",
    ] and len(kept)
    assert len(list(logs.glob("runs/*-evaluate.json")))


def test_shuffled_labels_change_no_score(logs: Path, tmp_path: Path) -> None:
    """What a row reports is the same to the last bit when every label is moved to another event; what was
    found is not."""
    labels = pd.read_csv(logs / "labels.csv")
    moved = ["user", "source", "target", "campaign", "malicious", "kind"]
    labels[moved] = labels[moved].sample(frac=1, random_state=0).to_numpy()
    labels.to_csv(tmp_path / "shuffled.csv", index=False)
    records = {}
    for name, path in (("true", logs / "labels.csv"), ("shuffled", tmp_path / "shuffled.csv")):
        arguments = (
            "--rows",
            "cache",
            "--labels",
            str(path),
            *DAYS,
            "--output",
            str(tmp_path / name),
            "--format",
            "json",
        )
        (records[name],) = json.loads(run(logs, "evaluate", *arguments).stdout)
    reported = files(tmp_path / "true")
    assert len(reported) == 2
    for path in reported:
        assert pq.read_table(path).equals(
            pq.read_table(tmp_path / "shuffled" / path.relative_to(tmp_path / "true"))
        )
    assert records["true"]["ap"] != records["shuffled"]["ap"]


def test_campaigns_are_hidden_in_a_copy_of_the_own_lake(logs: Path) -> None:
    before = [(path, path.stat().st_mtime_ns) for path in files(logs / "lake")]
    shown = run(logs, "evaluate", "--rows", "cache", "--per-kind", "1", "--format", "jsonl")
    (record,) = (json.loads(line) for line in shown.stdout.splitlines())
    assert record["schema_version"] == versions.EVALUATION
    assert record["row"] == "cache" and record["days"] == 3 and record["seeds"] == 1
    assert 5 <= record["campaigns"] <= 13 and set(record["campaigns_by_kind"].values()) == {1}
    assert 0 < record["found_50"] <= record["campaigns"]
    found = [record[f"found_at_false_{rate}"] for rate in ("0.1", "0.3", "1", "3")]
    assert found == sorted(found) and found[-1] <= record["found_50"]
    assert record["false_curve"]["0.3"] == record["found_at_false_0.3"]
    assert [(path, path.stat().st_mtime_ns) for path in files(logs / "lake")] == before


def test_a_kind_that_nobody_can_be_the_victim_of_is_named(logs: Path) -> None:
    """In the six days before, nobody was silent for weeks."""
    arguments = (
        "--train-until",
        "2026-01-10",
        "--to",
        "2026-01-13",
        "--per-kind",
        "1",
        "--rows",
        "first-seen",
    )
    shown = run(logs, "evaluate", *arguments, "--format", "jsonl")
    assert "no campaign of woken_account: before 2026-01-11 the lake has no account" in shown.stderr
    by_kind = json.loads(shown.stdout)["campaigns_by_kind"]
    assert by_kind.keys() == KINDS.keys() - {"woken_account"}


def test_csv_is_one_row_each(logs: Path) -> None:
    arguments = (
        "evaluate",
        "--rows",
        "cache",
        "--labels",
        str(logs / "labels.csv"),
        *DAYS,
        "--format",
        "csv",
    )
    (row,) = csv.DictReader(io.StringIO(run(logs, *arguments).stdout))
    assert row["row"] == "cache" and 0 <= float(row["ap"]) <= 1 and float(row["seconds"]) >= 0


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--rows", "nonsense"), "there is no such row; there are first-seen", 2),
        (("--picture", "found.html"), "name a file that ends in .svg", 2),
        (("--labels", "missing.csv"), "missing.csv: cannot be read", 1),
        (("--train-until", "2026-01-13", "--from", "2026-01-12"), "must lie before", 2),
        (("--train-until", "2026-01-06"), "at least 4 are needed", 1),
    ],
)
def test_mistakes_are_said(arguments: tuple[str, ...], message: str, code: int, logs: Path) -> None:
    assert message in run(logs, "evaluate", "--rows", "cache", *arguments, code=code).output


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    assert "ueba ingest" in run(tmp_path, "evaluate", code=1).output
