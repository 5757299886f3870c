"""What `scripts/found` and `scripts/organisations` print, on numbers made up by hand."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from script_files import script

from ueba import backtest, files

FOUND, ORGANISATIONS = script("found"), script("organisations")
DAY, NEXT = dt.date(2026, 3, 1), dt.date(2026, 3, 2)
LABELS = """\
time,user,source,target,kind,campaign,malicious
2026-03-01T09:00:00Z,ann,pc1,vault,pivot,1,1
2026-03-02T09:00:00Z,bob,pc2,vault,pivot,2,1
2026-03-02T10:00:00Z,scan,pc3,web,sweep,-1,0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days: campaign 1 above a sweep, below which is campaign 2; an edge in no incident."""
    rows = [
        (DAY, "ann", "pc1", "vault", "x"),
        (NEXT, "bob", "pc2", "vault", "z"),
        (DAY, "eve", None, "web", None),
    ]
    rows.append((NEXT, "scan", "pc3", "web", "y"))
    edges = [dict(zip(("day", "user", "source", "target", "incident"), edge, strict=True)) for edge in rows]
    numbers = {"surprise": 1.0, "p_value": 0.001}
    table = pa.Table.from_pylist([edge | numbers for edge in edges], backtest.EDGE_SCHEMA)
    files.write_parquet(tmp_path / "edges.parquet", table)
    ranked = [("x", DAY, 1, 9.0), ("y", NEXT, 1, 8.0), ("z", NEXT, 2, 7.0)]
    incidents = [
        {"day": day, "incident": name, "rank": rank, "score": score, "users": [], "machines": []}
        for name, day, rank, score in ranked
    ]
    files.write_parquet(
        tmp_path / "incidents.parquet", pa.Table.from_pylist(incidents, backtest.INCIDENT_SCHEMA)
    )
    (tmp_path / "labels.csv").write_text(LABELS)
    return tmp_path


def test_found_counts_against_false_incidents_a_day(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two days, one false incident a day lets the sweep through, and so campaign 2."""
    FOUND.main(folder, folder / "labels.csv")
    printed = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line] for line in printed]
    assert ["5", "2", "0.67"] in cells
    at_false = [line for line in cells if len(line) == 2][1:]
    assert at_false == [["0.1", "1"], ["0.3", "1"], ["1", "2"], ["3", "2"]]


def test_organisations_are_summed_with_their_spread() -> None:
    """3 + 5 campaigns; standard deviations of .3 and .4 make .5. A row without chance has no spread."""
    names = ("found_at_false_1",)
    first = {"found_at_false_1": 3.0, "found_at_false_1_spread": 0.3, "campaigns": 9.0}
    second = {"found_at_false_1": 5.0, "found_at_false_1_spread": 0.4, "campaigns": 7.0}
    rule = {"found_at_false_1": 1.0, "campaigns": 9.0}
    rows = dict.fromkeys(ORGANISATIONS.ROWS, rule)
    by_seed = {0: rows | {"ueba": first}, 4: rows | {"ueba": second}}
    lines = list(ORGANISATIONS.table("false incidents a day", names, by_seed))
    assert lines[0].startswith("Campaigns found at 1 false incidents a day, of 16:")
    assert lines[1] == "| row | organisation 0 | organisation 4 | together |"
    assert "| ueba | 3 | 5 | 8 ±0.5 |" in lines and "| cache | 1 | 1 | 2 |" in lines
