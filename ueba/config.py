"""Every setting, once: frozen dataclasses with defaults. A TOML file overrides them; an unknown key is an
error.

Precedence: command-line option > environment > file > default. In the environment a setting is
`UEBA_<SECTION>_<KEY>`, for example `UEBA_INCIDENTS_BUDGET=25`. Connection details of the graph come from
`NEO4J_*` alone and are never in a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ueba.errors import ConfigError


@dataclass(frozen=True)
class IngestConfig:
    epoch: str = "1970-01-01"  # what formats that count seconds count from, ISO 8601, UTC
    memory_limit: str = "1GB"  # of DuckDB, beyond which it spills to disk


@dataclass(frozen=True)
class HistoryConfig:
    half_life_days: float = 14.0  # after which a day counts half
    window_days: int = 90  # days before the scored one that count at all


@dataclass(frozen=True)
class TrainConfig:
    positive_days: int = 7  # the last days of the window, whose edges are told from made-up ones
    seeds: int = 3  # models that are averaged
    seed: int = 0  # of the first of them
    steps: int = 100  # of training, each one day and one batch
    negatives: float = 0.35  # made-up edges for each real edge of a day


@dataclass(frozen=True)
class IncidentConfig:
    budget: int = 10  # incidents a day at most; a quiet day has fewer
    candidates: int = 400  # the strangest edges of a day, of which incidents are made


@dataclass(frozen=True)
class GraphConfig:
    window_days: int = 30  # days that stay in the graph
    batch_rows: int = 10_000  # rows in one statement
    query_timeout_s: float = 30.0  # after which an investigator's query is ended, in the server too
    heap: str = "1g"  # of the bundled server


@dataclass(frozen=True)
class Config:
    """All settings, by section."""

    ingest: IngestConfig = field(default_factory=IngestConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    incidents: IncidentConfig = field(default_factory=IncidentConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)


Sources = dict[str, str]  # "section.key" -> where its value comes from


def load(path: Path | None, environment: Mapping[str, str]) -> tuple[Config, Sources]:
    """The settings in force, and the source of each that is not a default.

    Raises ConfigError naming the file or variable and the key."""
    config, sources = Config(), {}
    for section, key, value, source in [*_from_file(path), *_from_environment(environment)]:
        config = _with(config, section, key, value, source)
        sources[f"{section}.{key}"] = source
    return config, sources


def settings(config: Config) -> list[tuple[str, Any]]:
    """(section.key, value) of every setting, in order."""
    return [
        (f"{section}.{key}", value)
        for section, values in asdict(config).items()
        for key, value in values.items()
    ]


def _from_file(path: Path | None) -> list[tuple[str, str, Any, str]]:
    if path is None:
        return []
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise ConfigError(f"{path}: cannot be read as TOML: {reason}") from reason
    found = []
    for section, values in content.items():
        if not isinstance(values, dict):
            raise ConfigError(
                f"{path}: {section!r} stands outside a section; write it under one of {_names(Config)}"
            )
        found += [(section, key, value, str(path)) for key, value in values.items()]
    return found


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, Any, str]]:
    found: list[tuple[str, str, Any, str]] = []
    for section in fields(Config):
        for key in fields(getattr(Config(), section.name)):
            name = f"UEBA_{section.name}_{key.name}".upper()
            if name in environment:
                found.append((section.name, key.name, environment[name], name))
    return found


def _with(config: Config, section: str, key: str, value: Any, source: str) -> Config:
    part = getattr(config, section, None)
    if part is None:
        raise ConfigError(f"{source}: unknown section [{section}]; there are {_names(Config)}")
    if key not in {known.name for known in fields(part)}:
        raise ConfigError(f"{source}: unknown key {key!r} in [{section}]; there are {_names(type(part))}")
    wanted = type(getattr(part, key))
    try:
        if isinstance(value, bool) or (wanted is int and isinstance(value, float)):
            raise ValueError
        converted = wanted(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{source}: {section}.{key} = {value!r} is not {_an(wanted)}") from None
    if wanted in (int, float) and converted < 0:
        raise ConfigError(f"{source}: {section}.{key} = {value!r} is below zero")
    return replace(config, **{section: replace(part, **{key: converted})})


def _names(kind: type) -> str:
    return ", ".join(known.name for known in fields(kind))


def _an(kind: type) -> str:
    return {int: "a whole number", float: "a number"}.get(kind, "text")
