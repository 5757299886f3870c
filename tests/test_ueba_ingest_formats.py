"""Every format knows its own records and nobody else's, and the logs of the benchmark are whole."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from ingest_world import table_of

from ueba.ingest import ingest_all, sources
from ueba.ingest.reading.stream import now
from ueba.ingest.sources import Sample


def script(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(name, str(Path(__file__).parents[1] / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


BENCH = script("bench")
BENCH.RECORDS = 20


def test_there_is_a_log_of_every_format():
    assert {*BENCH.MADE} | {"mapped"} == {*sources.formats()}


@pytest.mark.parametrize("name", BENCH.MADE)
def test_a_log_is_recognised_and_read_whole(tmp_path, name):
    BENCH.write_log(name, tmp_path / "log")
    (report,) = ingest_all([str(tmp_path / "log")], "auto", tmp_path / "lake")
    assert (report.problem, report.format, report.events) == (None, name, 20)
    assert {*report.dropped} <= {"header"}


@pytest.mark.parametrize("name", BENCH.MADE)
def test_nobody_else_claims_it(tmp_path, name):
    BENCH.write_log(name, tmp_path / "log")
    records = (tmp_path / "log").read_text().splitlines()
    sample = table_of(records) if name in BENCH.HEADERS else Sample("log", tuple(records), now())
    claims = {other: module.recognises(sample) for other, module in sources.modules().items()}
    assert {other for other, claimed in claims.items() if claimed} == {name}


@pytest.mark.parametrize(
    "records",
    [
        (),
        ("",),
        ("null", "[]", "5"),
        ('{"a": 1}',),
        ("a,b,c", "1,2,3"),
        ("\x00" * 99,),
        (json.dumps([1] * 9),),
    ],
)
def test_nobody_claims_what_is_nobodys(records):
    assert not any(module.recognises(Sample("log", records, now())) for module in sources.modules().values())
