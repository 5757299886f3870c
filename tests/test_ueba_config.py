"""Settings: every range with its edges, where a value comes from, and messages that say what is allowed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ueba import config
from ueba.config import Config, GraphConfig, IngestConfig, TrainConfig, load
from ueba.errors import ConfigError
from ueba.text import shortened

# setting -> values at the edges of what is allowed, values just outside of it
EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "ingest.epoch": (["1970-01-01", "2011-01-01T06:00:00"], ["yesterday", "", "2011-13-01", "12"]),
    "ingest.memory_limit": (["1GB", "512MB", "1.5gib", "1 GB"], ["lots", "0GB", "-1GB", "1", "80%", "GB"]),
    "ingest.unpacked_limit": (["1MB", "256GB", "2TiB"], ["lots", "0GB", "-1GB", "1", "80%"]),
    "ingest.ratio_limit": (["100", "1000000"], ["99", "1000001", "inf"]),
    "ingest.disk_share": (["0.001", "0.95"], ["0", "0.96", "1", "nan", "50%"]),
    "ingest.members_limit": (["1", "100000000"], ["0", "100000001"]),
    "history.half_life_days": (["0.1", "10000"], ["0", "-1", "10000.1", "nan", "inf", "-inf", "two"]),
    "history.window_days": (["1", "10000"], ["0", "-1", "10001", "1.5", "nan"]),
    "train.positive_days": (["1", "1000"], ["0", "1001", "x"]),
    "train.seeds": (["1", "100"], ["0", "-3", "101", "inf", ""]),
    "train.seed": (["0", "2147483647"], ["-1", "2147483648"]),
    "train.steps": (["1", "100000"], ["0", "100001"]),
    "train.negatives": (["0.01", "100"], ["0", "101", "nan", "inf"]),
    "incidents.budget": (["1", "10000"], ["0", "10001"]),
    "incidents.candidates": (["1", "100000"], ["0", "100001"]),
    "incidents.kept": (["0", "10000"], ["-1", "10001"]),
    "incidents.scores_days": (["1", "10000"], ["0", "10001"]),
    "graph.window_days": (["1", "10000"], ["0", "10001"]),
    "graph.batch_rows": (["1", "1000000"], ["0", "1000001"]),
    "graph.query_timeout_s": (["0.001", "86400"], ["0", "-1", "86400.5", "inf", "nan"]),
    "graph.query_rows": (["1", "1000000"], ["0", "-1", "1000001", "1.5", "inf", "all"]),
    "graph.heap": (["1g", "512m", "2G"], ["x", "0g", "1", "1gb", "-Xmx1g", "1g -Devil"]),
}


def named(name: str, value: Any) -> tuple[Config, config.Sources]:
    """The configuration when the variable of a setting has a value."""
    return load(None, {config.variable(*name.split(".")): value})


def value_of(settings: Config, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(settings, section), key)


def file(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_every_setting_is_in_the_table_of_this_test() -> None:
    assert list(EDGES) == [setting.name for setting in config.settings(Config())]


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_a_range_are_allowed(name: str) -> None:
    for text in EDGES[name][0]:
        found = value_of(named(name, text)[0], name)
        assert found == type(found)(text)


@pytest.mark.parametrize("name", EDGES)
def test_what_is_outside_names_variable_key_value_and_range(name: str) -> None:
    allowed = {setting.name: setting.allowed for setting in config.settings(Config())}[name]
    variable = config.variable(*name.split("."))
    for text in EDGES[name][1]:
        with pytest.raises(ConfigError) as error:
            named(name, text)
        assert str(error.value) == f"{variable}: {name} = {text!r} is not allowed; give {allowed}"


@given(st.floats() | st.integers() | st.text() | st.booleans() | st.none() | st.lists(st.integers()))
def test_any_value_is_taken_or_is_an_error_that_names_the_key(value: Any) -> None:
    shown = shortened(repr(value), config.MOST_SHOWN)
    for section, setting in config.every_setting():
        part = getattr(Config(), section)
        try:
            found = getattr(replace(part, **{setting.name: value}), setting.name)
        except ConfigError as error:
            assert str(error).startswith(f"{setting.name} = {shown} is not allowed; give ")
        else:
            assert type(found) is type(getattr(part, setting.name))
            assert getattr(replace(part, **{setting.name: found}), setting.name) == found


def test_a_configuration_of_python_code_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="seeds = 0 is not allowed; give a whole number from 1 to 100"):
        TrainConfig(seeds=0)
    with pytest.raises(ConfigError, match="heap = 'x'"):
        GraphConfig(heap="x")


def test_a_file_is_over_defaults_and_a_variable_over_a_file(tmp_path: Path) -> None:
    path = file(tmp_path, "[train]\nsteps = 7\nseeds = 2\n[ingest]\nepoch = 2011-01-01\n")
    found, sources = load(path, {"UEBA_TRAIN_SEEDS": "5", "UEBA_WORKSPACE": "elsewhere"})
    assert found == Config(train=TrainConfig(steps=7, seeds=5), ingest=IngestConfig(epoch="2011-01-01"))
    assert sources == {
        "train.steps": str(path),
        "train.seeds": "UEBA_TRAIN_SEEDS",
        "ingest.epoch": str(path),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[train]\nseeds = 0", "train.seeds = 0 is not allowed; give a whole number from 1 to 100"),
        ("[train]\nseeds = 2.0", "train.seeds = 2.0 is not allowed"),
        ("[train]\nseeds = true", "train.seeds = True is not allowed"),
        (
            "[graph]\nquery_timeout_s = inf",
            "graph.query_timeout_s = inf is not allowed; give a number from 0.001",
        ),
        ("[history]\nhalf_life_days = nan", "history.half_life_days = nan is not allowed"),
        (
            '[ingest]\nepoch = "yesterday"',
            "ingest.epoch = 'yesterday' is not allowed; give a date as 2011-01-01",
        ),
        ("[ingest]\nepoch = 0", "ingest.epoch = 0 is not allowed"),
        (
            "[train]\nsteeps = 1",
            "unknown key 'steeps' in [train]; there are positive_days, seeds, seed, steps",
        ),
        ("[trian]\nsteps = 1", "unknown section [trian]; there are ingest, history, train"),
        ("steps = 1", "'steps' is outside a section; write it under one of ingest, history"),
        ("[train", "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_allowed(text: str, expected: str, tmp_path: Path) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert str(error.value).startswith(f"{path}: {expected}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none.toml: cannot be read"):
        load(tmp_path / "none.toml", {})


def test_variables_that_look_like_settings_are_listed_with_what_they_may_mean() -> None:
    environment = {
        "UEBA_INCIDENT_BUDGET": "5",
        "UEBA_GRAPH_PORT": "tcp://10.0.0.1:7687",
        "UEBA_TRAIN_SEEDS": "1",
        "UEBA_WORKSPACE": "x",
        "_UEBA_COMPLETE": "bash_source",
        "PATH": "/bin",
    }
    assert config.unknown_variables(environment) == [
        "UEBA_GRAPH_PORT",
        "UEBA_INCIDENT_BUDGET (did you mean UEBA_INCIDENTS_BUDGET?)",
    ]
