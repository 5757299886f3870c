"""What is normal, as tables: everything known of entities and pairs before a day.

`history(t) = decay(history(t-1)) + edges(t)`: learning a day costs that day's edges, not the window's. Every
event gives three pairs (user-target, user-source, source-target); each pair and each side of it is counted
in decayed *active days*, not in events, so that a chatty service does not drown the rest. Rates are shrunk
to the peer group (entities of the same kind and similar breadth) by their Beta-Binomial and Gamma-Poisson
posterior means.

Leaves out: names beyond a lookup table, and any notion of strange; that is `features` and the model. The
cache model behind it: Teh (2006), "A hierarchical Bayesian language model based on Pitman-Yor processes";
used for logons by Heard and Rubin-Delanchy (2016), "Network-wide anomaly detection via the Dirichlet
process".
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import load_file, save_file

from ueba.contracts.incident import STRANGE_P
from ueba.errors import WorkspaceError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

RELATIONS = ("user_target", "user_source", "source_target")
USER_KINDS = ("human", "service", "machine", "anonymous")
HOURS = 24
NO_HABIT_P = (
    0.001  # an edge as strange is no habit of its user; a milder limit unlearns honest change as well
)
FORMAT = 3  # of a stored history; one of another format is made anew from the lake
UNKNOWN = -1  # the id of an entity that a log does not tell (a source of "?")
EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class EdgeBatch:
    """A day's edges as integers. One row per (user, source, target).

    user, source, target: int64 [edges], ids in a History; source is -1 where the log does not tell
    hours:     bool [edges, 24], hours of the day with events, UTC
    types:     bool [edges, types], which logon types were used
    count, failures: float32 [edges], events
    campaign:  int64 [edges], -1 for real edges; made-up edges of one made-up attacker share a number
    """

    user: Ints
    source: Ints
    target: Ints
    hours: npt.NDArray[np.bool_]
    types: npt.NDArray[np.bool_]
    count: Floats
    failures: Floats
    campaign: Ints

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: npt.NDArray[Any]) -> EdgeBatch:
        """The rows named by an index or a mask."""
        return EdgeBatch(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def pairs(self, relation: str) -> tuple[Ints, Ints]:
        """Both ends of each edge in a relation, int64 [edges] each."""
        left, right = relation.split("_")
        return getattr(self, left), getattr(self, right)


def pair_keys(left: Ints, right: Ints) -> Ints:
    """One int64 per pair; -1 where an end is unknown."""
    return np.where((left < 0) | (right < 0), np.int64(UNKNOWN), (left << 32) | right)


def pair_ends(key: Ints) -> tuple[Ints, Ints]:
    """Left and right of pairs by their keys. int64 [pairs] each"""
    return key >> 32, key & 0xFFFFFFFF


@dataclass
class Side:
    """What is known of the entities on one side of a relation. All [entities]; counts are decayed.

    days:     active days                    pair_days: sum over active days of distinct partners
    breadth:  distinct partners learned      first_day: day number first seen; a large number if never
    trials:   pair_days after the first day  novel:     of those, how many were with a new partner
    most_new: the most new partners in one day after the first; fades by half in four half-lives
    last_day: day number last seen
    """

    days: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    pair_days: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    breadth: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    trials: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    novel: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    most_new: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    first_day: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    last_day: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def grow(self, size: int) -> None:
        for name in self.__dataclass_fields__:
            fill = float(NEVER) if name == "first_day" else 0
            setattr(self, name, grown(getattr(self, name), size, fill))


NEVER = np.int64(2**40)


@dataclass
class Pairs:
    """Every pair learned in one relation, sorted by key. [pairs]

    key: left << 32 | right     count: decayed days together     last_day: day number last together
    quarantined: int64 [quarantined], keys of pairs seen only in strange edges, once; learned if they come again
    """

    key: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    count: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    last_day: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    quarantined: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def ends(self) -> tuple[Ints, Ints]:
        """Left and right of every pair. int64 [pairs] each"""
        return pair_ends(self.key)

    def commonest(self, side: int, entity: int, few: int) -> Ints:
        """The rows of the pairs in which an entity, on the left (0) or right (1), was on most days, the most
        first."""
        mine = np.flatnonzero(self.ends[side] == entity)
        return mine[np.argsort(-self.count[mine], kind="stable")][:few]

    def find(self, key: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Position of each key, and whether it is there. [keys] each."""
        if not len(self.key):
            return np.zeros(len(key), np.int64), np.zeros(len(key), bool)
        position = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return position, self.key[position] == key


def grown(array: npt.NDArray[Any], size: int, fill: float = 0) -> npt.NDArray[Any]:
    """The array with rows added up to `size`."""
    if len(array) >= size:
        return array
    more = np.full((size - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate([array, more])


class Names:
    """Names to integers, in order of first sight. Looking up never changes an id that was given."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}
        self.ids(names or [])

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, names: list[str]) -> Ints:
        """Ids of names, new ones added. int64 [names]."""
        for name in names:
            if name not in self._ids:
                self._ids[name] = len(self.names)
                self.names.append(name)
        return np.fromiter((self._ids[name] for name in names), np.int64, len(names))

    def find(self, names: list[str]) -> Ints:
        """Ids of names, -1 for those without. int64 [names]"""
        return np.fromiter((self._ids.get(name, UNKNOWN) for name in names), np.int64, len(names))


def _column_ids(names: Names, column: pa.ChunkedArray) -> Ints:
    """Ids of a string column; -1 for null. Only distinct names are looked up one by one."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    ids = names.ids(encoded.dictionary.to_pylist())
    index = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return np.where(index < 0, UNKNOWN, ids[np.maximum(index, 0)] if len(ids) else UNKNOWN)


def breadth_power(breadth: npt.ArrayLike) -> Ints:
    """The power of two that 1 + breadth reaches, up to 15: similarly broad, within a factor of two. int64
    [entities]"""
    power: Ints = np.floor(np.log2(1 + np.asarray(breadth))).astype(np.int64).clip(0, 15)
    return power


class History:
    """All that is known before a day. `learn` takes days in order; `features` reads the tables."""

    def __init__(self, half_life_days: float = 14.0) -> None:
        self.half_life_days = half_life_days
        self.last_day: int = -1  # number of the last day learned, days since 1970
        self.days_learned = 0
        self.batches: list[str] = []  # which lake files were learned, so that late ones are noticed
        self.fingerprint = ""  # of the lessons, so that a late verdict is noticed
        self.users, self.places, self.types = Names(), Names(), Names()
        self.user_kind = np.zeros(0, np.int64)  # [users], index in USER_KINDS
        self.is_resource = np.zeros(0, bool)  # [places]
        self.pairs = {relation: Pairs() for relation in RELATIONS}
        self.sides = {relation: (Side(), Side()) for relation in RELATIONS}
        self.user_hours = np.zeros((0, HOURS), np.float32)
        self.place_hours = np.zeros((0, HOURS), np.float32)
        self.user_types = np.zeros((0, 0), np.float32)
        self.place_types = np.zeros((0, 0), np.float32)

    # --- edges to integers ----------------------------------------------------------------------------------

    def encode(self, edges: pa.Table) -> EdgeBatch:
        """Edges of the lake (see `ueba.ingest.lake.read_pairs`) as integers. Entities never seen get new
        ids: they have no history, and so every feature of theirs is that of their group."""
        user, source, target = (
            _column_ids(names, edges[column])
            for names, column in ((self.users, "user"), (self.places, "source"), (self.places, "target"))
        )
        type_lists = edges["logon_types"].combine_chunks()
        flat = _column_ids(self.types, pa.chunked_array([type_lists.flatten()]))
        self._grow()
        self._note_kinds(edges, user, target)
        types = np.zeros((len(edges), max(len(self.types), 1)), bool)
        types[type_lists.value_parent_indices().to_numpy(), flat] = True
        hours = (edges["hours"].to_numpy()[:, None] >> np.arange(HOURS) & 1).astype(bool)
        return EdgeBatch(
            user=user,
            source=source,
            target=target,
            hours=hours,
            types=types,
            count=edges["count"].to_numpy().astype(np.float32),
            failures=edges["failures"].to_numpy().astype(np.float32),
            campaign=np.full(len(edges), -1, np.int64),
        )

    def _note_kinds(self, edges: pa.Table, user: Ints, target: Ints) -> None:
        kinds = pc.index_in(edges["user_kind"], pa.array(USER_KINDS))
        self.user_kind[user] = pc.fill_null(kinds, 0).to_numpy()
        self.is_resource[target] = pc.equal(edges["target_kind"], "resource").to_numpy()

    def _grow(self) -> None:
        users, places, types = len(self.users), len(self.places), max(len(self.types), 1)
        self.user_kind = grown(self.user_kind, users)
        self.is_resource = grown(self.is_resource, places)
        self.user_hours, self.place_hours = grown(self.user_hours, users), grown(self.place_hours, places)
        self.user_types = grown(_wider(self.user_types, types), users)
        self.place_types = grown(_wider(self.place_types, types), places)
        for relation, sides in self.sides.items():
            for side, size in zip(sides, self.sizes(relation), strict=True):
                side.grow(size)

    def sizes(self, relation: str) -> tuple[int, int]:
        """How many entities may stand on either side of a relation."""
        return (len(self.users) if relation.startswith("user") else len(self.places)), len(self.places)

    # --- learning -------------------------------------------------------------------------------------------

    def learn(self, day: int, batch: EdgeBatch, p_value: npt.NDArray[np.float64] | None = None) -> None:
        """Fade by the days that passed, then add a day's edges. Days come in order.

        p_value: float64 [edges], what each had when it was scored. What is new at STRANGE_P or less is held the
        first time, so that an attacker who comes back is as strange as on the first day; the second time it
        is learned, so that an honest change is not strange for ever. Nor is it a habit of its machines to
        meet new partners, or, at NO_HABIT_P or less, of its user; hours and types of such an edge are
        nobody's. An edge at 0 is known to be an attack: nothing of it is learned, ever. Raises ValueError
        for a day that was already learned or lies before one."""
        if day <= self.last_day:
            raise ValueError(f"day {day} is not after the last day learned, {self.last_day}")
        if self.days_learned:
            self._fade(0.5 ** ((day - self.last_day) / self.half_life_days))
        p_value = np.ones(len(batch)) if p_value is None else p_value
        batch, p_value = batch.take(p_value > 0), p_value[p_value > 0]
        for relation in RELATIONS:
            self._learn_pairs(relation, day, *batch.pairs(relation), p_value)
        batch = batch.take(p_value > NO_HABIT_P)
        present = batch.hours.astype(np.float32)
        np.add.at(self.user_hours, batch.user, present)
        np.add.at(self.place_hours, batch.target, present)
        types = _wider(batch.types, self.user_types.shape[1]).astype(np.float32)
        np.add.at(self.user_types, batch.user, types)
        np.add.at(self.place_types, batch.target, types)
        self.last_day = day
        self.days_learned += 1

    def _fade(self, factor: float) -> None:
        tables = [self.user_hours, self.place_hours, self.user_types, self.place_types]
        tables += [pairs.count for pairs in self.pairs.values()]
        for side in (side for sides in self.sides.values() for side in sides):
            tables += [side.days, side.pair_days, side.trials, side.novel]
            side.most_new *= np.float32(factor**0.25)
        for table in tables:
            table *= np.float32(factor)

    def _learn_pairs(
        self, relation: str, day: int, left: Ints, right: Ints, p_value: npt.NDArray[np.float64]
    ) -> None:
        all_keys = pair_keys(left, right)
        keys = np.unique(all_keys[all_keys >= 0])
        pairs = self.pairs[relation]
        position, known = pairs.find(keys)
        pairs.count[position[known]] += 1
        pairs.last_day[position[known]] = day
        fresh = keys[~known]
        again = np.isin(fresh, pairs.quarantined)
        first_time = fresh[~again]
        learned = fresh[np.isin(fresh, all_keys[p_value > STRANGE_P]) | again]
        pairs.quarantined = np.setdiff1d(np.union1d(pairs.quarantined, fresh), learned)
        at = np.searchsorted(pairs.key, learned)
        pairs.key = np.insert(pairs.key, at, learned)
        pairs.count = np.insert(pairs.count, at, np.float32(1))
        pairs.last_day = np.insert(pairs.last_day, at, np.int64(day))
        for role, side, shift in zip(relation.split("_"), self.sides[relation], (32, 0), strict=True):
            size = len(side.days)
            # People change what they do; whoever got hold of a machine goes on. So users learn new habits
            # from stranger edges.
            habitual = first_time[
                np.isin(first_time, all_keys[p_value > (NO_HABIT_P if role == "user" else STRANGE_P)])
            ]
            partners, new, new_learned, new_habit = (
                np.bincount(some >> shift & 0xFFFFFFFF, minlength=size).astype(np.float32)
                for some in (keys, fresh, learned, habitual)
            )
            settled = (
                side.first_day < day
            )  # on its first day every partner of an entity is new: that tells nothing
            side.days += partners > 0
            side.pair_days += partners
            side.breadth += new_learned
            side.trials += partners * settled
            side.novel += new_habit * settled
            # Whoever once swept the network and was not stopped does so: a user's record counts strange
            # edges too, a machine's not.
            record = new if role == "user" else new_habit
            side.most_new = np.maximum(side.most_new, record * settled)
            side.first_day = np.where((partners > 0) & ~settled, day, side.first_day)
            side.last_day = np.where(partners > 0, day, side.last_day)

    # --- what the tables say --------------------------------------------------------------------------------

    def cohorts(self, relation: str, side: int) -> Ints:
        """Entities that are compared with each other: same kind, breadth within a factor of two. int64
        [entities]."""
        breadth = breadth_power(self.sides[relation][side].breadth)
        kind = (
            self.user_kind
            if (side == 0 and relation.startswith("user"))
            else self.is_resource.astype(np.int64)
        )
        group: Ints = kind * 16 + breadth
        return group

    def novelty_rates(self, relation: str, side: int, strength: float = 4.0) -> Floats:
        """Share of an entity's partners of a day that are new, in (0, 1): the Beta-Binomial posterior mean,
        whose prior is the peer group's rate with the weight of `strength` observations. [entities]"""
        table = self.sides[relation][side]
        group = self.cohorts(relation, side)
        return _shrunk(table.novel, table.trials, group, strength)

    def new_per_day(self, relation: str, side: int, strength: float = 2.0) -> Floats:
        """New partners an entity is expected to meet on an active day: Gamma-Poisson posterior mean.
        [entities]"""
        table = self.sides[relation][side]
        settled_days = np.maximum(table.days - (table.first_day < NEVER), 0)
        return _shrunk(table.novel, settled_days, self.cohorts(relation, side), strength)

    # --- on disk --------------------------------------------------------------------------------------------

    def _arrays(self) -> Iterator[tuple[str, Any, str]]:
        """(key on disk, owner, attribute) of every array."""
        for name in ("user_kind", "is_resource", "user_hours", "place_hours", "user_types", "place_types"):
            yield name, self, name
        for relation in RELATIONS:
            for name in Pairs.__dataclass_fields__:
                yield f"{relation}.pairs.{name}", self.pairs[relation], name
            for index, side in enumerate(self.sides[relation]):
                for name in Side.__dataclass_fields__:
                    yield f"{relation}.{index}.{name}", side, name

    def save(self, folder: Path) -> None:
        """Write arrays as safetensors and the rest as JSON, each under a temporary name first."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {key: np.ascontiguousarray(getattr(owner, name)) for key, owner, name in self._arrays()}
        save_file(arrays, folder / "history.safetensors.tmp")
        facts = {
            "format": FORMAT,
            "half_life_days": self.half_life_days,
            "last_day": self.last_day,
            "days_learned": self.days_learned,
            "batches": self.batches,
            "fingerprint": self.fingerprint,
            "users": self.users.names,
            "places": self.places.names,
            "types": self.types.names,
            "sha256": hashlib.sha256((folder / "history.safetensors.tmp").read_bytes()).hexdigest(),
        }
        (folder / "history.json.tmp").write_text(json.dumps(facts))
        for name in ("history.safetensors", "history.json"):
            (folder / f"{name}.tmp").replace(folder / name)

    @staticmethod
    def stored_facts(folder: Path) -> dict[str, Any] | None:
        """All of a stored history but its arrays; None if there is none of this format."""
        if not (folder / "history.json").exists():
            return None
        facts: dict[str, Any] = json.loads((folder / "history.json").read_text())
        return facts if facts.get("format") == FORMAT else None

    @classmethod
    def load(cls, folder: Path) -> History | None:
        """Read what `save` wrote; None if there is nothing of this format. Raises WorkspaceError if the two
        files do not belong together."""
        facts = cls.stored_facts(folder)
        if facts is None:
            return None
        data = (folder / "history.safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise WorkspaceError(f"{folder} is damaged: delete that folder, it is rebuilt from the lake")
        history = cls(facts["half_life_days"])
        history.last_day, history.days_learned = facts["last_day"], facts["days_learned"]
        history.batches, history.fingerprint = facts["batches"], facts["fingerprint"]
        history.users, history.places, history.types = (
            Names(facts[key]) for key in ("users", "places", "types")
        )
        arrays = load_file(folder / "history.safetensors")
        for key, owner, name in history._arrays():
            setattr(owner, name, arrays[key])
        return history


def _shrunk(events: Floats, exposure: Floats, group: Ints, strength: float) -> Floats:
    """(events + strength * group rate) / (exposure + strength), the group rate itself shrunk to the overall
    one."""
    overall = (events.sum() + 1) / (exposure.sum() + 10)
    in_group = (np.bincount(group, events) + 10 * overall) / (np.bincount(group, exposure) + 10)
    rate: Floats = ((events + strength * in_group[group]) / (exposure + strength)).astype(np.float32)
    return rate


def _wider(table: npt.NDArray[Any], columns: int) -> npt.NDArray[Any]:
    """The table with columns of zeros added up to `columns`."""
    return np.pad(table, ((0, 0), (0, max(columns - table.shape[1], 0))))


def day_number(day: dt.date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def date_of(day: int) -> dt.date:
    """The inverse of `day_number`."""
    return EPOCH + dt.timedelta(days=day)
