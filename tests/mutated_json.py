"""Real JSON records with something wrong in them, for property tests of sources."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.sampled_from([[{"type": 5}], {"type": []}, [{"name": None, "ARN": 5}], {}])
)


@st.composite
def mutated(draw: st.DrawFn, records: list[dict[str, Any]]) -> str:
    """A record with a key or three replaced at any depth, and perhaps cut or littered."""
    record = json.loads(json.dumps(draw(st.sampled_from(records))))
    for _ in range(draw(st.integers(0, 3))):
        place = record
        while True:
            key = draw(st.sampled_from(sorted(place)))
            if not (isinstance(place[key], dict) and place[key]) or draw(st.booleans()):
                break
            place = place[key]
        place[key] = copy.deepcopy(draw(VALUES))  # else what is drawn would change
    text = json.dumps(record)
    cut = draw(st.integers(0, len(text)))
    junk = draw(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=3))
    return draw(st.sampled_from([text, text[:cut], text[:cut] + junk + text[cut:]]))


def is_whole(events: list[dict[str, Any]], records: int) -> bool:
    """Whether every record came out once, and each event has what an edge needs."""
    named = all(event["dropped"] or (event["time"] and event["user"] and event["target"]) for event in events)
    return named and [event["line"] for event in events] == list(range(1, records + 1))
