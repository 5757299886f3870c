"""An entity: a user, a machine or a resource; for perimeters and drawings also an address or a mail
address.
"""

from __future__ import annotations

from typing import NamedTuple


class Entity(NamedTuple):
    """kind: user, machine, resource, address or mail. name: as the log spells it. A machine and a resource
    may have one name, and are two entities."""

    kind: str
    name: str
