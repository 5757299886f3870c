"""What is normal, as tables: the history of entities and pairs before a day.

`history(t) = decay(history(t-1)) + edges(t)`: learning a day costs that day's edges, not the window's. Every
event gives three pairs (user-target, user-source, source-target); each pair and each side of it is counted
in decayed *active days*, not in events, so that a chatty service does not drown the rest. Rates are shrunk
to the cohort by their Beta-Binomial and Gamma-Poisson posterior means.

Leaves out names (`ids`), the tables of pairs (`pairs`), the encoding of edges (`encoded`), and how strange an
edge is (`ueba.detect.look.features` and the model). The cache model behind it: Teh (2006), "A hierarchical
Bayesian language model based on Pitman-Yor processes"; used for logons by Heard and Rubin-Delanchy (2016),
"Network-wide anomaly detection via the Dirichlet process".
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ueba import state
from ueba.arrays import Array, Doubles, Floats, Ints
from ueba.contracts.incident import STRANGE_P
from ueba.detect.past.encoded import HOURS, USER_KINDS, EncodedEdges, encode
from ueba.detect.past.ids import IdTable
from ueba.detect.past.pairs import RELATIONS, Pairs, pair_ends, pair_keys

NO_HABIT_P = 0.001  # no habit of the user at or below this p-value; a milder limit also forgets honest change
FORMAT = 3  # of a stored history; a history in another format is learned again from the lake
NEVER = np.int64(2**40)  # the first day of an entity that was never seen
EPOCH = dt.date(1970, 1, 1)
MOST_DAYS = 2**21  # after 1970: the year 7700
REMEDY = "delete that folder, and the next command makes the history anew from the lake"


class HistoryFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`history.json`: what of a stored history is no array, and the hash of the file of arrays."""

    format: int
    half_life_days: float
    last_day: int
    days_learned: int
    batches: list[str]
    fingerprint: str
    users: list[str]
    places: list[str]
    types: list[str]
    sha256: str


class _Formatted(msgspec.Struct):
    format: int


@dataclass
class Side:
    """The entities on one side of a relation. Columns are [entities]; counts are decayed.

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


def grown(array: Array, size: int, fill: float = 0) -> Array:
    """The array with rows of `fill` appended, so that it has at least `size` rows."""
    if len(array) >= size:
        return array
    more = np.full((size - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate([array, more])


def breadth_power(breadth: npt.ArrayLike) -> Ints:
    """The power of two that 1 + breadth reaches, up to 15: similarly broad, within a factor of two. int64
    [entities]"""
    power: Ints = np.floor(np.log2(1 + np.asarray(breadth))).astype(np.int64).clip(0, 15)
    return power


class History:
    """The history before a day. `learn` takes days in order; features are computed from the tables."""

    def __init__(self, half_life_days: float = 14.0) -> None:
        self.half_life_days = half_life_days
        self.last_day: int = -1  # number of the last day learned, days since 1970
        self.days_learned = 0
        self.batches: list[str] = []  # files of the lake that were learned; shows whether others came late
        self.fingerprint = ""  # of the lessons; shows whether a verdict came late
        self.users, self.places, self.types = IdTable(), IdTable(), IdTable()
        self.user_kind = np.zeros(0, np.int64)  # [users], index in USER_KINDS
        self.is_resource = np.zeros(0, bool)  # [places]
        self.pairs = {relation: Pairs() for relation in RELATIONS}
        self.sides = {relation: (Side(), Side()) for relation in RELATIONS}
        self.user_hours = np.zeros((0, HOURS), np.float32)
        self.place_hours = np.zeros((0, HOURS), np.float32)
        self.user_types = np.zeros((0, 0), np.float32)
        self.place_types = np.zeros((0, 0), np.float32)

    # --- encoding -------------------------------------------------------------------------------------------

    def encode(self, edges: pa.Table) -> EncodedEdges:
        """Edges of the lake (columns: `ueba.ingest.lake.read_pairs`) as arrays. An entity seen for the first
        time gets an id and empty rows in the tables, so that its features are those of its cohort."""
        encoded = encode(edges, self.users, self.places, self.types)
        self._grow()
        self._note_kinds(edges, encoded.user, encoded.target)
        return encoded

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
        """The number of entities on the left and right side of a relation."""
        return (len(self.users) if relation.startswith("user") else len(self.places)), len(self.places)

    # --- learning -------------------------------------------------------------------------------------------

    def learn(self, day: int, edges: EncodedEdges, p_value: Doubles | None = None) -> None:
        """Fade by the days that passed, then add a day's edges. Days come in order.

        day: number of the day, see `day_number`. p_value: float64 [edges], the p-values that the edges had
        when the day was scored; all 1 if None.
        - A new pair seen only in edges at STRANGE_P or below is quarantined the first time, so that an
          attacker who comes back is as strange as on the first day. It is learned the second time, so that
          an honest change does not stay strange.
        - An edge at STRANGE_P or below does not make meeting new partners a habit of its machines, and an
          edge at NO_HABIT_P or below does not make it a habit of its user; the hours and logon types of the
          latter are not learned.
        - An edge at 0 is a confirmed attack, or of who stands out in a review. Nothing of it is ever learned.

        Raises ValueError if the day is not after the last day learned."""
        if day <= self.last_day:
            raise ValueError(f"day {day} is not after the last day learned, {self.last_day}")
        if self.days_learned:
            self._fade(0.5 ** ((day - self.last_day) / self.half_life_days))
        p_value = np.ones(len(edges)) if p_value is None else p_value
        edges, p_value = edges.take(p_value > 0), p_value[p_value > 0]
        for relation in RELATIONS:
            self._learn_relation(relation, day, pair_keys(*edges.pairs(relation)), p_value)
        self._learn_manners(edges.take(p_value > NO_HABIT_P))
        self.last_day = day
        self.days_learned += 1

    def _learn_manners(self, edges: EncodedEdges) -> None:
        """Add the hours and logon types of edges to those of their users and targets."""
        hours = edges.hours.astype(np.float32)
        np.add.at(self.user_hours, edges.user, hours)
        np.add.at(self.place_hours, edges.target, hours)
        types = _wider(edges.types, self.user_types.shape[1]).astype(np.float32)
        np.add.at(self.user_types, edges.user, types)
        np.add.at(self.place_types, edges.target, types)

    def _fade(self, factor: float) -> None:
        tables = [self.user_hours, self.place_hours, self.user_types, self.place_types]
        tables += [pairs.count for pairs in self.pairs.values()]
        for side in (side for sides in self.sides.values() for side in sides):
            tables += [side.days, side.pair_days, side.trials, side.novel]
            side.most_new *= np.float32(factor**0.25)
        for table in tables:
            table *= np.float32(factor)

    def _learn_relation(self, relation: str, day: int, edge_keys: Ints, p_value: Doubles) -> None:
        """Add a day to the pairs and both sides of a relation. edge_keys: int64 [edges]"""
        keys = np.unique(edge_keys[edge_keys >= 0])
        not_strange, habitual = edge_keys[p_value > STRANGE_P], edge_keys[p_value > NO_HABIT_P]
        fresh, first_time, learned = _learn_pairs(self.pairs[relation], day, keys, not_strange)
        for role, side, shift in zip(relation.split("_"), self.sides[relation], (32, 0), strict=True):
            # People change what they do, an intruder on a machine repeats it: a user learns new habits from
            # stranger edges than a machine does.
            habit = first_time[np.isin(first_time, habitual if role == "user" else not_strange)]
            partners, new, new_learned, new_habit = (
                np.bincount(of_day >> shift & 0xFFFFFFFF, minlength=len(side.days)).astype(np.float32)
                for of_day in (keys, fresh, learned, habit)
            )
            # Whoever swept the network once and was not stopped does so: the record of a user counts strange
            # edges, that of a machine does not.
            record = new if role == "user" else new_habit
            _learn_side(side, day, partners, new_learned, new_habit, record)

    # --- what the tables say --------------------------------------------------------------------------------

    def cohorts(self, relation: str, side: int) -> Ints:
        """The number of every entity's cohort, int64 [entities]: same kind, breadth within a factor of
        two."""
        breadth = breadth_power(self.sides[relation][side].breadth)
        kind = (
            self.user_kind
            if (side == 0 and relation.startswith("user"))
            else self.is_resource.astype(np.int64)
        )
        group: Ints = kind * 16 + breadth
        return group

    def novelty_rates(self, relation: str, side: int, strength: float = 4.0) -> Floats:
        """The novelty rate of every entity, in (0, 1), float32 [entities]: the Beta-Binomial posterior mean,
        whose prior is the cohort's rate with the weight of `strength` observations."""
        table = self.sides[relation][side]
        group = self.cohorts(relation, side)
        return _shrunk(table.novel, table.trials, group, strength)

    def new_per_day(self, relation: str, side: int, strength: float = 2.0) -> Floats:
        """The number of new partners that an entity is expected to meet on an active day, float32 [entities]:
        the Gamma-Poisson posterior mean, whose prior is the cohort's rate with the weight of `strength`
        days."""
        table = self.sides[relation][side]
        settled_days = np.maximum(table.days - (table.first_day < NEVER), 0)
        return _shrunk(table.novel, settled_days, self.cohorts(relation, side), strength)

    # --- disguises ------------------------------------------------------------------------------------------

    def disguised(self, users: Ints, places: Ints, strangers: tuple[Ints, Ints]) -> History:
        """A copy in which entities have new ids without a history, which follow the others in the order of
        `users` and `places`. Their pairs are gone; what their partners did stays counted. After them follow
        strangers, which are not in any log: each is of the kind of an entity.

        users, places: int64, sorted ids; strangers: ids of the users and places whose kinds they have"""
        copied = copy(self)
        copied.users = _with_newcomers(self.users, users, len(strangers[0]))
        copied.places = _with_newcomers(self.places, places, len(strangers[1]))
        like_users, like_places = (
            np.concatenate(ids) for ids in zip((users, places), strangers, strict=True)
        )
        copied.user_kind = np.concatenate([self.user_kind, self.user_kind[like_users]])
        copied.is_resource = np.concatenate([self.is_resource, self.is_resource[like_places]])
        copied.sides = {relation: (copy(a), copy(b)) for relation, (a, b) in self.sides.items()}
        copied.pairs = {
            relation: pairs.without(users if relation.startswith("user") else places, places)
            for relation, pairs in self.pairs.items()
        }
        copied._grow()
        return copied

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
        """Write arrays as safetensors and the rest as JSON. Each file replaces that in the folder once it is
        complete."""
        arrays = {key: np.ascontiguousarray(getattr(owner, name)) for key, owner, name in self._arrays()}
        data = save(arrays)
        facts = HistoryFacts(
            format=FORMAT,
            half_life_days=self.half_life_days,
            last_day=self.last_day,
            days_learned=self.days_learned,
            batches=self.batches,
            fingerprint=self.fingerprint,
            users=self.users.names,
            places=self.places.names,
            types=self.types.names,
            sha256=hashlib.sha256(data).hexdigest(),
        )
        state.write(folder / "history.safetensors", data)
        state.write(folder / "history.json", msgspec.json.encode(facts))

    @staticmethod
    def stored_facts(folder: Path) -> HistoryFacts | None:
        """The JSON part of a stored history; None if the folder has no history of this format. Raises
        WorkspaceError if it is damaged."""
        path = folder / "history.json"
        if not state.is_there(path):
            return None
        data = state.content(path, REMEDY)
        with state.reading(path, REMEDY):
            if msgspec.json.decode(data, type=_Formatted).format != FORMAT:
                return None
            facts = msgspec.json.decode(data, type=HistoryFacts)
            if not (0 < facts.half_life_days < 1e6 and -1 <= facts.last_day < MOST_DAYS):
                raise ValueError("its half life or its last day are impossible")
        return facts

    @classmethod
    def load(cls, folder: Path) -> History | None:
        """The history that `save` wrote; None if the folder has no history of this format. Raises
        WorkspaceError if a file is damaged, or the two do not belong together."""
        facts = cls.stored_facts(folder)
        if facts is None:
            return None
        history = cls(facts.half_life_days)
        history.last_day, history.days_learned = facts.last_day, facts.days_learned
        history.batches, history.fingerprint = list(facts.batches), facts.fingerprint
        with state.reading(folder / "history.json", REMEDY):
            for name in ("users", "places", "types"):
                table = IdTable(getattr(facts, name))
                if len(table) != len(getattr(facts, name)):
                    raise ValueError(f"a name in {name} is there twice")
                setattr(history, name, table)
        path = folder / "history.safetensors"
        data = state.content(path, REMEDY, state.MOST_TABLE_BYTES)
        with state.reading(path, REMEDY):
            if hashlib.sha256(data).hexdigest() != facts.sha256:
                raise ValueError("it does not belong to history.json")
            history._fill(data)
        return history

    def _fill(self, data: bytes) -> None:
        """Set the arrays to those of a file. Raises ValueError or KeyError if they are not those of the
        entities."""
        try:
            arrays = load(data)
        except SafetensorError as reason:
            raise ValueError(str(reason)) from reason
        self._grow()  # so that each has its type and size
        for key, owner, name in self._arrays():
            array, like = arrays[key], getattr(owner, name)
            is_free = isinstance(owner, Pairs)  # as long as there are pairs
            if array.dtype != like.dtype or (array.shape != like.shape and not (is_free and array.ndim == 1)):
                raise ValueError(f"{key} is {array.dtype} {list(array.shape)}")
            if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array >= 0).all()):
                raise ValueError(f"{key} has numbers that are below zero or not finite")
            setattr(owner, name, array)
        self._check()

    def _check(self) -> None:
        """Raises ValueError if arrays refer to what is not there."""
        if len(self.user_kind) and not 0 <= self.user_kind.min() <= self.user_kind.max() < len(USER_KINDS):
            raise ValueError("user_kind has kinds that there are not")
        for relation, pairs in self.pairs.items():
            if not len(pairs.key) == len(pairs.count) == len(pairs.last_day):
                raise ValueError(f"{relation}.pairs has columns of several lengths")
            for keys in (pairs.key, pairs.quarantined):
                ends = np.stack(pair_ends(keys)).max(axis=1, initial=-1)
                if (keys < 0).any() or (np.diff(keys) <= 0).any() or (ends >= self.sizes(relation)).any():
                    raise ValueError(f"{relation}.pairs has pairs out of order, or of no entity")


def _learn_pairs(pairs: Pairs, day: int, keys: Ints, not_strange: Ints) -> tuple[Ints, Ints, Ints]:
    """Add a day's pairs to those learned, or to those quarantined.

    keys: sorted int64 [pairs], the pairs of the day; not_strange: int64, keys of pairs in an edge above
    STRANGE_P. Returns the keys of the new pairs, of those among them that were not quarantined, and of those
    among them that were learned."""
    position, known = pairs.find(keys)
    pairs.count[position[known]] += 1
    pairs.last_day[position[known]] = day
    fresh = keys[~known]
    again = np.isin(fresh, pairs.quarantined)
    learned = fresh[np.isin(fresh, not_strange) | again]
    pairs.quarantined = np.setdiff1d(np.union1d(pairs.quarantined, fresh), learned)
    at = np.searchsorted(pairs.key, learned)
    pairs.key = np.insert(pairs.key, at, learned)
    pairs.count = np.insert(pairs.count, at, np.float32(1))
    pairs.last_day = np.insert(pairs.last_day, at, np.int64(day))
    return fresh, fresh[~again], learned


def _learn_side(
    side: Side, day: int, partners: Floats, new_learned: Floats, new_habit: Floats, record: Floats
) -> None:
    """Add a day's counts of partners to a side. float32 [entities] each: all partners, new ones that were
    learned, new ones that count as a habit, and new ones that count for `most_new`."""
    settled = side.first_day < day  # all partners are new on an entity's first day, which says nothing
    side.days += partners > 0
    side.pair_days += partners
    side.breadth += new_learned
    side.trials += partners * settled
    side.novel += new_habit * settled
    side.most_new = np.maximum(side.most_new, record * settled)
    side.first_day = np.where((partners > 0) & ~settled, day, side.first_day)
    side.last_day = np.where(partners > 0, day, side.last_day)


def _shrunk(events: Floats, exposure: Floats, group: Ints, strength: float) -> Floats:
    """(events + strength * rate of the group) / (exposure + strength), float32 [entities]. The rate of a
    group is shrunk to that of all entities."""
    overall = (events.sum() + 1) / (exposure.sum() + 10)
    in_group = (np.bincount(group, events) + 10 * overall) / (np.bincount(group, exposure) + 10)
    rate: Floats = ((events + strength * in_group[group]) / (exposure + strength)).astype(np.float32)
    return rate


def _wider(table: Array, columns: int) -> Array:
    """The table with columns of zeros appended, so that it has at least `columns` columns."""
    return np.pad(table, ((0, 0), (0, max(columns - table.shape[1], 0))))


def day_number(day: dt.date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def date_of(day: int) -> dt.date:
    """The inverse of `day_number`."""
    return EPOCH + dt.timedelta(days=day)


def _with_newcomers(table: IdTable, numbers: Ints, strangers: int) -> IdTable:
    """The table, with another name for each of `numbers`, and names of strangers, after the others."""
    newcomers = (f"{table.names[number]} as a newcomer" for number in numbers)
    return IdTable([*table.names, *newcomers, *(f"stranger {number}" for number in range(strangers))])
