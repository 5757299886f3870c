"""Two teams that never mix, for tests of the evaluation: eleven days on disk, the last with edges that do
not belong."""

import datetime as dt
from pathlib import Path

import numpy as np
from detect_world import edge_table

from ueba.config import TrainConfig
from ueba.detect.look import tensors
from ueba.detect.past.history import History
from ueba.evaluate.protocol import Day, Prepared

FIRST = dt.date(2026, 3, 2)
CONFIG = TrainConfig(steps=40, seeds=1)
USES = ("learn",) * 4 + ("train", "train", "calibrate", "train", "train", "calibrate", "score")
TEAM = 8  # users, each with a machine of its own, who go to all three servers of the team
USUAL = [
    (f"{team}{n}", f"pc-{team}{n}", f"srv-{team}{s}") for team in "ab" for n in range(TEAM) for s in range(3)
]
VAULT = ("b7", "pc-b7", "vault")  # one of team b goes there every day
INTRUDER = ("a0", "pc-b3", "vault")  # one of team a, on a machine of team b, to where only one of team b goes
STRANGERS = [("nobody", "nowhere", "nothing"), ("somebody", None, "srv-a0")]
SCORED = [*USUAL, VAULT, INTRUDER, *STRANGERS]


def world(folder: Path, shuffled: bool = False) -> Prepared:
    """The days; `shuffled`: the last day's edges come in another order, see `permutation`."""
    folder.mkdir()
    history, days, known = History(), [], (0, 0)
    frame = tensors.frame_of(history)
    for number, use in enumerate(USES):
        day = Day(folder, FIRST + dt.timedelta(days=number), use)
        encoded = history.encode(edge_table(day.date, SCORED if use == "score" else [*USUAL, VAULT]))
        if shuffled and use == "score":
            encoded = encoded.take(permutation())
        if use == "train" and len(frame.places) == 0:
            frame = tensors.frame_of(history)
        day.write(history, encoded, frame)
        if use == "train":
            day.write_examples(history, encoded, frame, CONFIG, [np.random.default_rng(number)])
        if use != "score":
            known = len(history.users), len(history.places)
        history.learn(day.number, encoded)
        days.append(day)
    return Prepared(folder, days, *known, history.users.names, history.places.names)


def permutation() -> np.ndarray:
    return np.random.default_rng(5).permutation(len(SCORED))
