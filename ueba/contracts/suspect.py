"""A review: the suspects of a day that was never scored, edges that a training does not take for usual.

On disk `findings/suspects=YYYY-MM-DD.json`, one file a day. Leaves out how suspects are found; that is
`ueba.detect.score.review`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from ueba.contracts import versions
from ueba.contracts.edge import Edge


class Suspect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An edge that is strange among the edges of other users and machines.

    p_value:    (0, 1], how often an edge of another user and machine, of a user as broad, is as surprising
    stands_out: whether who acted has a large part of all that is strange on the reviewed days: nothing of the
                edge is learned. Of other suspects is learned what is learned of strange edges
    """

    edge: Edge
    p_value: float
    stands_out: bool = False


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The review of a day.

    trained_until: last day of the training that reviewed the day
    batches:       edge files of the day in the lake as of the review: with others the day is reviewed again
    suspects:      smallest p-value first
    """

    day: dt.date
    trained_until: dt.date
    batches: tuple[str, ...]
    suspects: tuple[Suspect, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    review: Review


def to_json(review: Review) -> bytes:
    """The content of the file of a review."""
    return msgspec.json.format(msgspec.json.encode(_File(versions.REVIEW, review)), indent=1)


def from_json(content: bytes) -> Review:
    """A review from the content of its file. Raises ValueError if it is damaged or of another version."""
    file = msgspec.json.decode(content, type=_File)
    if file.schema_version != versions.REVIEW:
        raise ValueError(f"schema version {file.schema_version} instead of {versions.REVIEW}")
    if not all(0 < suspect.p_value <= 1 for suspect in file.review.suspects):
        raise ValueError("a p-value is out of its range")
    return file.review
