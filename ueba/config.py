"""Every setting, once: its default, the values it may have, and what it means.

A TOML file overrides the defaults, the environment overrides the file: a setting is `UEBA_<SECTION>_<KEY>`
there, for example `UEBA_INCIDENTS_BUDGET=25`. A value that is not allowed is an error wherever it comes from,
also in a `Config` that Python code makes. An unknown key of a file is an error. An unknown variable is only
reported: a container has variables that nobody wrote (Kubernetes adds `UEBA_GRAPH_PORT` beside a service
called `ueba-graph`). Connection details of the graph come from `NEO4J_*` alone and are never in a file.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from ueba import state
from ueba.errors import ConfigError
from ueba.text import shortened

# Variables that are no settings. The two-part names are read where they are listed.
OTHER_VARIABLES = {
    "UEBA_WORKSPACE": "ueba.cli.common",
    "UEBA_CONFIG": "ueba.cli.common",
    "UEBA_TIMEZONE": "ueba.cli.common",
    "UEBA_WEBHOOK_TOKEN": "ueba.investigate.export.webhook",
    "UEBA_SHOW_SQL": "ueba.ingest.steps",
    "UEBA_KEY_FILE": "ueba.state",
}


MOST_SHOWN = 100  # characters of a wrong name or value in a message


# --- what a setting may be ----------------------------------------------------------------------------------


class Kind(NamedTuple):
    """The values that a setting may have. allowed: in words; read: a value of a file, a variable or a program
    -> the value, or ValueError."""

    allowed: str
    read: Callable[[Any], Any]


def setting(default: Any, kind: Kind, meaning: str) -> Any:
    """A field of a section."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


def whole(least: int, most: int) -> Kind:
    """A whole number from `least` to `most`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        return int(within(int(value), least, most))

    return Kind(f"a whole number from {least:,} to {most:,}", read)


def number(least: float, most: float) -> Kind:
    """A number from `least` to `most`; neither `nan` nor `inf` lies there."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return float(within(float(value), least, most))

    return Kind(f"a number from {least:g} to {most:,g}", read)


def within(value: Any, least: float, most: float) -> Any:
    """The value. Raises ValueError if it is not from `least` to `most`."""
    if not least <= value <= most:
        raise ValueError
    return value


def matching(pattern: str, allowed: str) -> Kind:
    """Text that matches a pattern as a whole, upper or lower case."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.IGNORECASE):
            raise ValueError
        return value

    return Kind(allowed, read)


def read_time(value: Any) -> str:
    """A date or time, of TOML or as ISO 8601 text. Raises ValueError for anything else."""
    if not isinstance(value, dt.date | str):
        raise ValueError
    dt.datetime.fromisoformat(str(value))
    return str(value)


TIME = Kind("a date as 2011-01-01, or a time as 2011-01-01T06:00:00", read_time)
SIZE = matching(r"0*[1-9]\d{0,5}(\.\d+)? ?[KMGT]i?B", "a size as 512MB or 4GB")
UNITS = {
    f"{prefix}{middle}B": base ** (1 + n)
    for n, prefix in enumerate("KMGT")
    for middle, base in (("", 1000), ("I", 1024))
}
HEAP = matching(r"0*[1-9]\d{0,5}[kmg]", "a size as 512m or 4g")


def size_bytes(size: str) -> int:
    """A size as a setting has it, in bytes."""
    number, unit = re.fullmatch(r"([\d.]+) ?([A-Z]+)", size.upper()).groups()  # type: ignore[union-attr]
    return int(float(number) * UNITS[unit])


# --- the settings -------------------------------------------------------------------------------------------


class Section:
    """A group of settings that checks itself."""

    def __post_init__(self) -> None:
        for declared in fields(self):  # type: ignore[arg-type]  # every section is a dataclass
            object.__setattr__(self, declared.name, checked(declared, getattr(self, declared.name)))


def checked(setting: Field[Any], value: Any) -> Any:
    """A value as its setting has it. Raises ConfigError if it is not allowed."""
    kind: Kind = setting.metadata["kind"]
    try:
        return kind.read(value)
    except (ValueError, OverflowError):
        shown = shortened(repr(value), MOST_SHOWN)
        raise ConfigError(f"{setting.name} = {shown} is not allowed; give {kind.allowed}") from None


@dataclass(frozen=True)
class IngestConfig(Section):
    epoch: str = setting("1970-01-01", TIME, "when log formats that count seconds begin to count, UTC")
    memory_limit: str = setting("1GB", SIZE, "memory of DuckDB, beyond which it spills to disk")
    unpacked_limit: str = setting("256GB", SIZE, "bytes that one file may become, unpacked, or a pipe bring")
    ratio_limit: int = setting(250, whole(100, 1_000_000), "times its size that a file may become, unpacked")
    disk_share: float = setting(
        0.5, number(0.001, 0.95), "of the free disk, for a temporary copy or spilling"
    )
    members_limit: int = setting(100_000, whole(1, 100_000_000), "files that one archive may have")


@dataclass(frozen=True)
class HistoryConfig(Section):
    half_life_days: float = setting(14.0, number(0.1, 10_000), "days after which a day counts half")
    window_days: int = setting(90, whole(1, 10_000), "days before the scored one that count at all")


@dataclass(frozen=True)
class TrainConfig(Section):
    positive_days: int = setting(14, whole(1, 1_000), "last days of the window, whose edges are learned")
    seeds: int = setting(2, whole(1, 100), "models that are averaged")
    seed: int = setting(0, whole(0, 2**31 - 1), "seed of the first model")
    steps: int = setting(100, whole(1, 100_000), "steps of training, each one day and one batch")
    negatives: float = setting(0.35, number(0.01, 100), "negatives for each real edge of a day")

    def negatives_of_family(self, edges: int, families: int) -> int:
        """How many negatives each of several families makes for a day of so many edges."""
        return max(int(self.negatives * edges / families), 100)


@dataclass(frozen=True)
class IncidentConfig(Section):
    budget: int = setting(10, whole(1, 10_000), "incidents a day at most; a quiet day has fewer")
    candidates: int = setting(400, whole(1, 100_000), "strangest edges of a day, of which incidents are made")
    kept: int = setting(50, whole(0, 10_000), "incidents of a day that are kept, those below the line too")
    scores_days: int = setting(37, whole(1, 10_000), "last days of which the scores of all edges are kept")


@dataclass(frozen=True)
class GraphConfig(Section):
    window_days: int = setting(30, whole(1, 10_000), "days that stay in the graph")
    batch_rows: int = setting(10_000, whole(1, 1_000_000), "rows in one statement")
    query_timeout_s: float = setting(30.0, number(0.001, 86_400), "seconds after which a query is ended")
    query_rows: int = setting(1_000, whole(1, 1_000_000), "rows of an answer, unless --limit says otherwise")
    heap: str = setting("1g", HEAP, "memory of the bundled server's Java heap")


@dataclass(frozen=True)
class Config:
    """All settings, by section."""

    ingest: IngestConfig = field(default_factory=IngestConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    incidents: IncidentConfig = field(default_factory=IncidentConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)


# --- reading them -------------------------------------------------------------------------------------------

Sources = dict[str, str]  # "section.key" -> the file or variable that its value comes from


class Override(NamedTuple):
    """A value from outside. source: the file or variable."""

    section: str
    key: str
    value: Any
    source: str


class Setting(NamedTuple):
    """A setting in force, for people."""

    name: str  # section.key
    value: Any
    allowed: str
    meaning: str


def load(path: Path | None, environment: Mapping[str, str]) -> tuple[Config, Sources]:
    """The settings in force, and the source of each that is not a default.

    Raises ConfigError naming the file or variable, the key, the value and what is allowed."""
    config, sources = Config(), {}
    for override in [*from_file(path), *from_environment(environment)]:
        config = with_value(config, override)
        sources[f"{override.section}.{override.key}"] = override.source
    return config, sources


def settings(config: Config) -> list[Setting]:
    """Every setting, in order."""
    return [
        Setting(
            f"{section}.{declared.name}",
            getattr(getattr(config, section), declared.name),
            declared.metadata["kind"].allowed,
            declared.metadata["meaning"],
        )
        for section, declared in every_setting()
    ]


def every_setting() -> Iterator[tuple[str, Field[Any]]]:
    """Section and field of every setting."""
    for section in fields(Config):
        for declared in fields(getattr(Config(), section.name)):
            yield section.name, declared


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"UEBA_{section}_{key}".upper()


def from_file(path: Path | None) -> list[Override]:
    """The values of a TOML file."""
    if path is None:
        return []
    try:
        content = state.toml(path)
    except (OSError, ValueError, RecursionError) as reason:
        raise ConfigError(
            f"{path}: cannot be read as TOML: {state.in_a_line(reason)}; mend it or give another --config"
        ) from reason
    for section, values in content.items():
        if not isinstance(values, dict):
            section = shortened(repr(section), MOST_SHOWN)
            raise ConfigError(
                f"{path}: {section} is outside a section; write it under one of {names(Config)}"
            )
    return [
        Override(section, key, value, str(path))
        for section, values in content.items()
        for key, value in values.items()
    ]


def from_environment(environment: Mapping[str, str]) -> list[Override]:
    """The values of variables that are settings."""
    named = [
        (section, declared.name, variable(section, declared.name)) for section, declared in every_setting()
    ]
    return [
        Override(section, key, environment[name], name) for section, key, name in named if name in environment
    ]


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none, each with the one that may be meant."""
    known = {*OTHER_VARIABLES, *(variable(section, declared.name) for section, declared in every_setting())}
    unknown = sorted(name for name in environment if name.startswith("UEBA_") and name not in known)
    close = {name: difflib.get_close_matches(name, sorted(known), 1, 0.85) for name in unknown}
    return [f"{name} (did you mean {close[name][0]}?)" if close[name] else name for name in unknown]


def with_value(config: Config, override: Override) -> Config:
    """A configuration with another value of one setting."""
    if override.section not in {section.name for section in fields(Config)}:
        section = shortened(override.section, MOST_SHOWN)
        raise ConfigError(f"{override.source}: unknown section [{section}]; there are {names(Config)}")
    part = getattr(config, override.section)
    if override.key not in asdict(part):
        key = shortened(repr(override.key), MOST_SHOWN)
        raise ConfigError(
            f"{override.source}: unknown key {key} in [{override.section}]; there are {names(type(part))}"
        )
    try:
        return replace(config, **{override.section: replace(part, **{override.key: override.value})})
    except ConfigError as reason:
        raise ConfigError(f"{override.source}: {override.section}.{reason}") from None


def names(kind: type) -> str:
    """The fields of a section, or the sections."""
    return ", ".join(declared.name for declared in fields(kind))
