"""STIX 2.1 of a perimeter: what was touched, by class of certainty, and from where,
https://docs.oasis-open.org/cti/stix/v2.1.

An account is a `user-account`, an address an `ipv4-addr` or `ipv6-addr`, a machine or resource an
`infrastructure`. A `grouping` names those of each class, and a `relationship` from the one before says when.
All ids follow from the content, as STIX asks it of observables, so that the same perimeter is the same
bundle. Leaves out incidents of a day: STIX has no place for a logon.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from ueba.contracts.perimeter import Perimeter, ReachedEntity
from ueba.files import iso_utc
from ueba.investigate.export.cases import address
from ueba.text import plain

OBSERVABLES = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # the namespace that STIX gives for their ids
OURS = uuid.uuid5(uuid.NAMESPACE_URL, "https://docs.oasis-open.org/cti/stix/v2.1#ueba")
FIRST = "2026-01-01T00:00:00.000Z"  # when the producer was first told of
MEANT = {
    "origin": "where it began",
    "confirmed": "seen to be touched by an unusual logon",
    "possible": "within reach of what was touched",
}


def perimeter(found: Perimeter) -> dict[str, Any]:
    """A bundle."""
    since, until = found.since, found.until
    made = _time(until)
    producer = _object("identity", "ueba", FIRST, name="ueba", identity_class="system")
    objects: dict[str, dict[str, Any]] = {}
    classes: dict[str, dict[str, None]] = {}
    ids: dict[tuple[str, str], str] = {}  # by kind and name

    def add(kind: str, name: str) -> str:
        entity = _entity(kind, name, made, producer["id"])
        objects[entity["id"]] = entity
        return ids.setdefault((kind, name), entity["id"])

    for origin in found.origins:
        classes.setdefault("origin", {})[add(*origin)] = None
    touched = [(row, add(*row.entity)) for row in found.reached]
    for row, end in touched:
        classes.setdefault(row.certainty, {})[end] = None
        start = ids.get(row.start) or add(*row.start)
        if start != end:
            relationship = _step(row, start, end, made, producer["id"])
            objects[relationship["id"]] = relationship
    groups = [
        _object(
            "grouping",
            json.dumps([name, sorted(members), _time(since), made]),
            made,
            created_by_ref=producer["id"],
            name=f"perimeter: {name}",
            description=f"{MEANT.get(name, name)}, {_time(since)} to {made}",
            context="suspicious-activity",
            object_refs=list(members),
        )
        for name, members in classes.items()
    ]
    everything = [producer, *objects.values(), *groups]
    return {
        "type": "bundle",
        "id": f"bundle--{uuid.uuid5(OURS, json.dumps(everything, sort_keys=True))}",
        "objects": everything,
    }


def _step(row: ReachedEntity, start: str, end: str, made: str, by: str) -> dict[str, Any]:
    """How the perimeter grew: from one entity to the next, when, and by which account."""
    at = {"start_time": _time(row.at)}
    said = plain(f"{row.start.name} to {row.entity.name} as {row.via_user}")
    ends = {"relationship_type": "related-to", "source_ref": start, "target_ref": end}
    about = json.dumps([start, end, row.via_user, at])
    return _object("relationship", about, made, created_by_ref=by, **ends, description=said, **at)


def _entity(kind: str, name: str, made: str, by: str) -> dict[str, Any]:
    ip = address(name)
    if kind == "user":
        return _observable("user-account", user_id=name, account_login=name)
    if ip:
        return _observable("ipv6-addr" if ":" in ip else "ipv4-addr", value=ip)
    about = {
        "created_by_ref": by,
        "name": name,
        "description": kind,
        "modified": made,
    }  # the same whatever the perimeter
    return _object("infrastructure", json.dumps([kind, name]), FIRST, **about)


def _observable(kind: str, **content: str) -> dict[str, Any]:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid5(OBSERVABLES, canonical)}",
        **content,
    }


def _object(kind: str, about: str, made: str, **content: Any) -> dict[str, Any]:
    uid = f"{kind}--{uuid.uuid5(OURS, f'{kind} {made} {about}')}"
    return {"type": kind, "spec_version": "2.1", "id": uid, "created": made, "modified": made, **content}


def _time(time: dt.datetime) -> str:
    """UTC, whether it says so or not."""
    return iso_utc(time, "milliseconds")
