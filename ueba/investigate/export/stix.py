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
from ueba.investigate.export.alerts import address
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
    created = _time(found.until)
    producer = _object("identity", "ueba", FIRST, name="ueba", identity_class="system")
    objects: dict[str, dict[str, Any]] = {}
    classes: dict[str, dict[str, None]] = {}
    ids: dict[tuple[str, str], str] = {}  # by kind and name

    def add(kind: str, name: str) -> str:
        entity = _entity(kind, name, created, producer["id"])
        objects[entity["id"]] = entity
        return ids.setdefault((kind, name), entity["id"])

    for origin in found.origins:
        classes.setdefault("origin", {})[add(*origin)] = None
    touched = [(row, add(*row.entity)) for row in found.reached]
    for row, end in touched:
        classes.setdefault(row.certainty, {})[end] = None
        start = ids.get(row.start) or add(*row.start)
        if start != end:
            relationship = _step(row, start, end, created, producer["id"])
            objects[relationship["id"]] = relationship
    groups = [_group(found, name, [*members], created, producer["id"]) for name, members in classes.items()]
    everything = [producer, *objects.values(), *groups]
    return {
        "type": "bundle",
        "id": f"bundle--{uuid.uuid5(OURS, json.dumps(everything, sort_keys=True))}",
        "objects": everything,
    }


def _group(found: Perimeter, name: str, members: list[str], created: str, by: str) -> dict[str, Any]:
    """The entities of one class of certainty."""
    since = _time(found.since)
    return _object(
        "grouping",
        json.dumps([name, sorted(members), since, created]),
        created,
        created_by_ref=by,
        name=f"perimeter: {name}",
        description=f"{MEANT.get(name, name)}, {since} to {created}",
        context="suspicious-activity",
        object_refs=members,
    )


def _step(row: ReachedEntity, start: str, end: str, created: str, by: str) -> dict[str, Any]:
    """How the perimeter grew: from one entity to the next, when, and by which account."""
    at = {"start_time": _time(row.at)}
    description = plain(f"{row.start.name} to {row.entity.name} as {row.via_user}")
    ends = {"relationship_type": "related-to", "source_ref": start, "target_ref": end}
    about = json.dumps([start, end, row.via_user, at])
    return _object("relationship", about, created, created_by_ref=by, **ends, description=description, **at)


def _entity(kind: str, name: str, created: str, by: str) -> dict[str, Any]:
    ip = address(name)
    if kind == "user":
        return _observable("user-account", user_id=name, account_login=name)
    if ip:
        return _observable("ipv6-addr" if ":" in ip else "ipv4-addr", value=ip)
    about = {
        "created_by_ref": by,
        "name": name,
        "description": kind,
        "modified": created,
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


def _object(kind: str, about: str, created: str, **content: Any) -> dict[str, Any]:
    uid = f"{kind}--{uuid.uuid5(OURS, f'{kind} {created} {about}')}"
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": uid,
        "created": created,
        "modified": created,
        **content,
    }


def _time(time: dt.datetime) -> str:
    """UTC, whether it says so or not."""
    return iso_utc(time, "milliseconds")
