"""A lake reads and removes what is its own, whatever its folder is called and whatever its files say."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from ueba.errors import WorkspaceError
from ueba.ingest import ingest_all, lake

LINE = "{},U{}@D,U{}@D,C1,C2,Kerberos,Network,LogOn,Success\n"


def filled(root: Path, first: int, records: int) -> Path:
    log = root.parent / f"log{first}"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(LINE.format(n, n, n) for n in range(first, first + records)))
    ingest_all([str(log)], "lanl", root)
    return root


def users(root: Path) -> set[str]:
    return set(lake.read(root, dt.date.min, dt.date.max, "1GB").column("user").to_pylist())


@pytest.mark.parametrize(
    ("name", "neighbour"),
    [("w[a]*", "wax"), ("a?b", "axb"), ("*", "other"), ("it's", "its"), ("{a,b} c", "a")],
)
def test_the_name_of_a_workspace_is_no_pattern(tmp_path, name, neighbour):
    other = filled(tmp_path / neighbour / "lake", 100, 5)
    own = filled(tmp_path / name / "lake", 1, 3)
    filled(own, 10, 2)
    assert users(own) == {f"U{n}@D" for n in (1, 2, 3, 10, 11)}
    assert users(other) == {f"U{n}@D" for n in range(100, 105)}


@pytest.mark.parametrize("name", ["../../victim", "/etc", "a" * 31, "A" * 32, "0" * 32])
def test_a_manifest_names_no_path(tmp_path, name):
    """An id that is no batch's own is an error before anything is read or removed."""
    root = filled(tmp_path / "ws" / "lake", 1, 3)
    victim = tmp_path / "victim.json"
    victim.write_text("{}")
    (path,) = root.glob("batches/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": name, "files": []}))
    with pytest.raises(WorkspaceError, match="is damaged.*`ueba ingest`"):
        lake.clean(root)
    assert victim.exists()


@pytest.mark.parametrize(
    "file", ["../../../victim.parquet", "/etc/passwd", "edges/day=2011-01-01/../x.parquet"]
)
def test_an_index_names_no_path(tmp_path, file):
    root = filled(tmp_path / "ws" / "lake", 1, 3)
    (root / "index.json").write_text(
        json.dumps({"lake_version": 3, "days": {"1970-01-01": {"file": file, "rows": 1}}})
    )
    with pytest.raises(WorkspaceError, match="index.json: is damaged"):
        users(root)


def test_a_link_in_the_lake_is_removed_and_not_followed(tmp_path):
    root = filled(tmp_path / "ws" / "lake", 1, 3)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (root / "events" / "batch=x").symlink_to(outside)
    lake.clean(root)
    assert (outside / "kept").exists() and not (root / "events" / "batch=x").is_symlink()
