"""A small world whose history is written down as tables instead of learned from days.

So every feature can have a value of its own, see `test_ueba_detect_features.py`. It is not a history that a
log could leave: no real machine is known as a source of users and unknown as a source of targets. What days
leave in the tables is tested with the history.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ueba.detect.look import features, likeness
from ueba.detect.look.features import Today
from ueba.detect.look.likeness import Likeness, Space
from ueba.detect.past.encoded import HOURS, USER_KINDS, EncodedEdges
from ueba.detect.past.history import NEVER, History, Side
from ueba.detect.past.ids import IdTable
from ueba.detect.past.pairs import RELATIONS, Pairs

TODAY = 100  # day number
USERS = ("ann", "bob", "cat", "dan", "fay", "svc", "pc2$", "anon", "eve", "gus")  # eve and gus: no history
PLACES = ("pc1", "srv", "share", "pc2", "pc3", "pc4", "pc5", "pc6", "pc9", "app")  # pc9 and app: no history
KINDS = {"svc": "service", "pc2$": "machine", "anon": "anonymous"}  # the others are human
TYPES = ("Network", "Interactive", "Batch")

# Every pair of the history, "left right"; an entity is known on a side if it stands there. The first pair of
# each relation is the one that is worked out. ann is known with pc1 and srv: none of her pairs is new.
PAIRS = {
    "user_target": "ann srv, ann share, ann pc3, ann pc4, bob srv, bob pc5, cat share, anon pc3, dan pc4,"
    " pc2$ pc2, svc pc6",
    "user_source": "ann pc1, ann pc3, ann pc4, bob pc1, bob pc5, cat pc3, dan pc4, fay pc2, pc2$ pc6",
    "source_target": "pc1 srv, pc1 share, pc3 srv, pc3 pc4, pc3 pc5, pc4 share",
}
# Of the first pair: decayed days together, and the day on which it was last seen.
TOGETHER = {"user_target": (2, 98), "user_source": (1, 96), "source_target": (1, 94)}

# What is known of the ends of the first pairs. The other known entity of its cohort completes each row:
# together they have 3 new partners in 30 trials, and in 30 days after the first.
SIDES = {
    #                     entity novel trials days after the first, pair_days, breadth, most_new   the other
    ("user_target", 0): ("ann", 1.6, 6, 7, 10, 9, 1, "bob"),
    ("user_target", 1): ("srv", 0.6, 16, 6, 4, 8, 3, "pc5"),
    ("user_source", 0): ("ann", 2.6, 6, 5, 10, 10, 2, "bob"),
    ("user_source", 1): ("pc1", 2.6, 16, 2, 2, 11, 5, "pc5"),
    ("source_target", 0): ("pc1", 0.6, 21, 6, 6, 12, 4, "pc3"),
    ("source_target", 1): ("srv", 2.1, 6, 8, 2, 13, 7, "pc5"),
}
# Active days by hour and by logon type.
USER_HOURS = {"ann": {9: 4, 10: 1}, "bob": {9: 7, 10: 4, 14: 8}}
USER_TYPES = {"ann": (4, 1, 0), "bob": (9, 3, 0)}
PLACE_HOURS = {"srv": {3: 1, 9: 3}}
PLACE_TYPES = {"srv": (5, 0, 0), "share": (6, 5, 1)}

# New partners today, on each side of each relation, and ann's edges at rare hours and by rare logon types.
NEW_TODAY = {
    "user_target": ({"ann": 3}, {"srv": 5}),
    "user_source": ({"ann": 7}, {"pc1": 14}),
    "source_target": ({"pc1": 15}, {"srv": 17}),
}
RARE_HOURS, RARE_TYPES = 19, 20

# The edges: user, source, target. All but ann's have one event at nine o'clock by network.
EDGES = {
    "ann": (
        "ann",
        "pc1",
        "srv",
    ),  # every pair is known; 24 events, 3 of them failed, at 3 and 9 o'clock by two types
    "eve": ("eve", "pc1", "srv"),  # a user without history
    "svc": ("svc", "pc9", "srv"),  # from a machine without history, by a user who is known from targets only
    "anon": ("anon", None, "pc3"),  # the log does not name the source
    "itself": ("pc2$", "pc2", "pc2"),  # a machine's account on that machine
    "share": ("pc2$", None, "share"),  # a resource
    "app": ("svc", "pc1", "app"),  # a target without history
}


def ids(names: tuple[str, ...], wanted: list[str | None]) -> np.ndarray:
    return np.array([-1 if name is None else names.index(name) for name in wanted], np.int64)


def column(names: tuple[str, ...], values: Mapping[str, float]) -> np.ndarray:
    """float32 [entities], 0 where no value is written down."""
    return np.array([values.get(name, 0) for name in names], np.float32)


def table(names: tuple[str, ...], rows: Mapping[str, tuple[float, ...]], width: int) -> np.ndarray:
    """float32 [entities, categories]"""
    return np.array([rows.get(name, (0,) * width) for name in names], np.float32)


def by_hour(rows: Mapping[str, Mapping[int, float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(days.get(hour, 0) for hour in range(HOURS)) for name, days in rows.items()}


def ends(relation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of all entities that may stand on either side."""
    return (USERS if relation.startswith("user") else PLACES), PLACES


def written_pairs(relation: str) -> Pairs:
    rows = [pair.split() for pair in PAIRS[relation].split(", ")]
    left, right = (
        ids(names, end) for names, end in zip(ends(relation), map(list, zip(*rows, strict=True)), strict=True)
    )
    together, last_day = TOGETHER[relation]
    first = np.arange(len(rows)) == 0
    key = left << 32 | right
    order = np.argsort(key)
    count = np.where(first, together, 1).astype(np.float32)
    return Pairs(key=key[order], count=count[order], last_day=np.where(first, last_day, TODAY - 1)[order])


def written_side(relation: str, side: int) -> Side:
    names = ends(relation)[side]
    entity, novel, trials, settled, pair_days, breadth, most_new, other = SIDES[relation, side]
    known = {pair.split()[side] for pair in PAIRS[relation].split(", ")}
    return Side(
        days=column(
            names, {entity: settled + 1, other: 30 - settled + 1}
        ),  # the first day, and those after it
        pair_days=column(names, {entity: pair_days}),
        breadth=column(names, {entity: breadth, other: 7}),  # 1 + breadth is 8 to 15: one cohort
        trials=column(names, {entity: trials, other: 30 - trials}),
        novel=column(names, {entity: novel, other: 3 - novel}),
        most_new=column(names, {entity: most_new}),
        first_day=np.where([name in known for name in names], 1, NEVER),
        last_day=np.where([name in known for name in names], TODAY - 1, 0),
    )


def written_history() -> History:
    history = History()
    history.users, history.places, history.types = (
        IdTable(list(USERS)),
        IdTable(list(PLACES)),
        IdTable(list(TYPES)),
    )
    history.user_kind = np.array([USER_KINDS.index(KINDS.get(name, "human")) for name in USERS])
    history.is_resource = np.array([name == "share" for name in PLACES])
    history.pairs = {relation: written_pairs(relation) for relation in RELATIONS}
    history.sides = {
        relation: (written_side(relation, 0), written_side(relation, 1)) for relation in RELATIONS
    }
    history.user_hours = table(USERS, by_hour(USER_HOURS), HOURS)
    history.place_hours = table(PLACES, by_hour(PLACE_HOURS), HOURS)
    history.user_types = table(USERS, USER_TYPES, len(TYPES))
    history.place_types = table(PLACES, PLACE_TYPES, len(TYPES))
    return history


def written_today() -> Today:
    new = {
        relation: tuple(
            column(names, side) for names, side in zip(ends(relation), NEW_TODAY[relation], strict=True)
        )
        for relation in RELATIONS
    }
    rare = column(USERS, {"ann": RARE_HOURS}), column(USERS, {"ann": RARE_TYPES})
    return Today(new, *rare, written_likeness(), features.peers_of(written_history()))


def written_likeness() -> Likeness:
    """Likeness in two dimensions. ann, eve and svc reach srv; ann and eve are all that its audience would be,
    but for somebody in the direction (0, 2)."""
    profile = vectors(USERS, {"ann": (6, 4), "eve": (3, 0), "svc": (3, 5)})
    audience = vectors(PLACES, {"srv": (6 / 52**0.5 + 1, 4 / 52**0.5 + 2)})
    history = written_history()
    known = history.pairs["user_target"]
    keys = [USERS.index(user) << 32 | PLACES.index("srv") for user in ("eve", "svc")]
    worth = likeness.unit(audience)[PLACES.index("srv")] * 2
    before = Space(
        weight=column(PLACES, {"srv": 2}),
        place=vectors(PLACES, {"srv": (3, 0)}),
        profile=vectors(USERS, {}),  # the message graph alone reads this and the audience
        habit=vectors(USERS, {"ann": (1, 0), "svc": (1, 0)}),
        audience=vectors(PLACES, {}),
        crew=vectors(PLACES, {"pc1": (5, 3)}),
    )
    return Likeness(
        space=before,
        profile=profile,
        audience=audience,
        news=vectors(USERS, {"eve": worth + (8, 6), "svc": worth + (3, 4)}),
        known=known,
        reached=Pairs(key=np.union1d(known.key, keys)),
        acted=history.pairs["user_source"],
    )


def vectors(names: tuple[str, ...], rows: Mapping[str, Any]) -> np.ndarray:
    """float32 [entities, 2], zeros for an entity that is not written down"""
    return np.array([rows.get(name, (0, 0)) for name in names], np.float32)


def batch_of(
    rows: list[tuple[str, str | None, str]], hour: int = 9, campaign: list[int] | None = None
) -> EncodedEdges:
    """Edges with one event each, at one hour, by network."""
    user, source, target = zip(*rows, strict=True)
    size = len(rows)
    return EncodedEdges(
        user=ids(USERS, list(user)),
        source=ids(PLACES, list(source)),
        target=ids(PLACES, list(target)),
        hours=np.tile(np.arange(HOURS) == hour, (size, 1)),
        types=np.tile(np.array(TYPES) == "Network", (size, 1)),
        count=np.ones(size, np.float32),
        failures=np.zeros(size, np.float32),
        campaign=np.full(size, -1) if campaign is None else np.array(campaign),
    )


def written_edges() -> EncodedEdges:
    encoded = batch_of(list(EDGES.values()))
    encoded.count[0], encoded.failures[0] = 24, 3
    encoded.hours[0, 3] = True
    encoded.types[0, TYPES.index("Interactive")] = True
    return encoded
