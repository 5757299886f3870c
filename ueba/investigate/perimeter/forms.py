"""A perimeter in the forms that are printed: JSON, rows of a table, a drawing."""

from __future__ import annotations

from typing import Any

from ueba.contracts import versions
from ueba.contracts.drawing import Drawing, Line
from ueba.contracts.entity import Entity
from ueba.contracts.perimeter import Contact, Exposure, Perimeter, ReachedEntity, Touch

# The keys of a reached entity, in JSON and as columns.
COLUMNS = ("entity", "kind", "class", "at", "hops", "via_user", "from", "from_kind", "event", "incident")


def to_dict(perimeter: Perimeter) -> dict[str, Any]:
    """All of it, JSON values only."""
    return {
        "schema_version": versions.PERIMETER,
        "since": perimeter.since.isoformat(),
        "until": perimeter.until.isoformat(),
        "origins": [entity_to_dict(entity) for entity in perimeter.origins],
        "unknown": [*perimeter.unknown],
        "contacts": [contact_to_dict(contact) for contact in perimeter.contacts],
        "reached": [reached_to_dict(row) for row in perimeter.reached],
        "exposed": [exposure_to_dict(exposure) for exposure in perimeter.exposed],
        "touched": [touch_to_dict(touch) for touch in perimeter.touched],
        "not_reached": [entity_to_dict(entity) for entity in perimeter.not_reached],
    }


def entity_to_dict(entity: Entity) -> dict[str, Any]:
    return {"entity": entity.name, "kind": entity.kind}


def reached_to_dict(row: ReachedEntity) -> dict[str, Any]:
    return {
        **entity_to_dict(row.entity),
        "class": row.certainty,
        "hops": row.hops,
        "at": row.at.isoformat(),
        "via_user": row.via_user,
        "from": row.start.name,
        "from_kind": row.start.kind,
        "event": row.event,
        "incident": row.incident,
    }


def contact_to_dict(contact: Contact) -> dict[str, Any]:
    return {**vars(contact), "first": contact.first.isoformat(), "last": contact.last.isoformat()}


def exposure_to_dict(exposure: Exposure) -> dict[str, Any]:
    return {**vars(exposure), "at": exposure.at.isoformat()}


def touch_to_dict(touch: Touch) -> dict[str, Any]:
    facts = {**vars(touch), "first": touch.first.isoformat(), "last": touch.last.isoformat()}
    return {"class": facts.pop("certainty"), **facts}


# --- as a drawing -------------------------------------------------------------------------------------------


def to_drawing(perimeter: Perimeter) -> Drawing:
    """Each reached entity, in columns by hops, with a line from where its event came."""
    drawing = Drawing()
    for origin in perimeter.origins:
        drawing.add(_drawn_origin(origin), "origin", layer=0)
    for row in perimeter.reached:
        drawing.add(row.entity, row.certainty, layer=row.hops, at=row.at)
    for row in perimeter.reached:
        start = _start(drawing, row)
        if start is not None:
            drawing.lines.append(_line(row, start))
    return drawing


def _drawn_origin(origin: Entity) -> Entity:
    """A mail address is drawn as an address."""
    return Entity("address", origin.name) if origin.kind == "mail" else origin


def _start(drawing: Drawing, row: ReachedEntity) -> Entity | None:
    """Where the line to an entity begins: at the place that its event came from, else at the event's
    account, the first that is drawn."""
    candidates = (row.start, Entity("user", row.via_user))
    return next((entity for entity in candidates if entity in drawing.nodes and entity != row.entity), None)


def _line(row: ReachedEntity, start: Entity) -> Line:
    at = row.at.isoformat()
    return Line(
        start=start,
        end=row.entity,
        type="USED" if row.start == row.entity else "REACHED",
        mark=row.certainty,
        meaning=f"{row.via_user} from {row.start.name} at {at}, {row.event.rpartition('/')[2]}",
        facts={"user": row.via_user, "at": at},
    )
