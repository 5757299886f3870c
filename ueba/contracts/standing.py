"""The standing of an entity: what the organisation says of it in an entity table, beside its names.

Crown jewels, honey accounts, machines and resources that nobody has reason to use, the last day of who left,
and windows of maintenance. In `entities.parquet` and `given/NAME.json` it is JSON without the fields that the
table does not say. Leaves out what it changes in a score; that is `ueba.triage.standing`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

STAYS = dt.date.max  # the last day of who does not leave


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """A time from since to until, both included, UTC without a zone."""

    since: dt.datetime
    until: dt.datetime


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What tables say of one entity.

    crown_jewel, honey: None if no table says
    left:        the last day of an account, or of a machine that was retired; STAYS if a table says that it
                 stays, None if no table says
    maintenance: in order of time
    """

    crown_jewel: bool | None = None
    honey: bool | None = None
    left: dt.date | None = None
    maintenance: tuple[Window, ...] = ()

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.crown_jewel or self.honey or self.last_day or self.maintenance)

    @property
    def last_day(self) -> dt.date | None:
        """The last day of who leaves; None for who stays."""
        return None if self.left == STAYS else self.left


NOTHING = Standing()


def both(earlier: Standing, later: Standing) -> Standing:
    """The standing that two rows say; where they contradict each other, the later one counts. The windows of
    both are kept."""
    return Standing(
        earlier.crown_jewel if later.crown_jewel is None else later.crown_jewel,
        earlier.honey if later.honey is None else later.honey,
        earlier.left if later.left is None else later.left,
        tuple(sorted({*earlier.maintenance, *later.maintenance})),
    )


def to_json(standing: Standing) -> str:
    """As it stands in a table."""
    return msgspec.json.encode(standing).decode()


def from_json(text: str) -> Standing:
    """Raises ValueError if the text is no standing."""
    return msgspec.json.decode(text, type=Standing)
