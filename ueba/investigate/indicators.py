"""Indicators: addresses, names and mail addresses that belong to an attacker, as people list them; and the
origins of a perimeter that a text names.

Leaves out which entity a name means (`names`), and what the attacker did (`perimeter`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ueba.errors import InputError
from ueba.investigate.names import EntityIndex
from ueba.spelling import HOST


@dataclass(frozen=True)
class Origin:
    """Where a perimeter begins.

    kind:        user, machine, resource, address or mail
    name:        as the lake spells it
    is_attacker: all that it does is the attacker's"""

    kind: str
    name: str
    is_attacker: bool = False


def origins(
    index: EntityIndex, addresses: Iterable[str], text: str, is_attacker: bool = False
) -> list[Origin]:
    """The origins that a text names: an address, all addresses of a network, or the account of that name, or
    else the machine and the resource. A mail address that is none of these is looked for in texts of events;
    that of an attacker always is. Empty if the text names nothing.

    addresses: of the events
    Raises WorkspaceError if several entities may have the name."""
    if is_network(text):
        return [Origin("address", address, True) for address in _within(text, addresses)]
    if is_address(text):
        return [Origin("address", _usual(text, {*addresses}), True)]
    entities = index.lookup(text)
    users = [entity for entity in entities if entity.kind == "user"]
    found = [Origin(kind, name, is_attacker or kind == "resource") for kind, name in users or entities]
    if "@" in text and (is_attacker or not found):
        found.append(Origin("mail", text.casefold(), True))
    return found


def _usual(text: str, addresses: set[str]) -> str:
    """An address as events name it. IPv6 has many spellings, of which the shortest is usual."""
    spelt = HOST.spell(text) or text
    forms = (text, spelt, str(ipaddress.ip_address(spelt)))
    return next((form for form in forms if form in addresses), spelt)


def _within(network: str, addresses: Iterable[str]) -> list[str]:
    span = ipaddress.ip_network(network, strict=False)
    return sorted(address for address in addresses if ipaddress.ip_address(address) in span)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Whether a text is a network of several addresses, as 203.0.113.0/24."""
    try:
        return "/" in text and bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def read_indicators(lines: Iterable[str], name: str) -> list[str]:
    """One a line, also as they are written lest somebody clicks on them (203.0.113[.]9,
    hxxps://evil[.]example/x: its host). A comment begins a line or follows a space: a guest's account has a
    # in its name. Raises InputError."""
    try:
        bare = [_bare(re.sub(r"(^|\s)#.*", "", line).strip()) for line in lines]
    except UnicodeDecodeError as reason:
        raise InputError(f"{name}: is no UTF-8 text; give a list of indicators, one a line") from reason
    return [line for line in bare if line]


def _bare(indicator: str) -> str:
    plain = re.sub(
        r"[\[({](\.|:|@|dot|at)[\])}]",
        lambda found: {"dot": ".", "at": "@"}.get(found[1], found[1]),
        indicator,
    )
    url = re.match(r"(h..p)s?://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)", plain, re.IGNORECASE)
    host = url[2].strip("[]") if url else plain
    # The URL of a site is the name of a resource.
    return host if url and (url[1].lower() != "http" or is_address(host)) else plain


# --- mail addresses in text ---------------------------------------------------------------------------------

# The words right before and after an @: a quick test before `_whole`.
AROUND = re.compile(r"(\w*)@(?=(\w*))")


def mails_in(texts: Sequence[str], addresses: Iterable[str]) -> list[list[str]]:
    """The mail addresses that every text contains, of those that are looked for."""
    by_key: dict[tuple[str, str], list[tuple[str, re.Pattern[str]]]] = {}
    for address in addresses:
        by_key.setdefault(_keys(address)[0], []).append((address, re.compile(_whole(address), re.IGNORECASE)))
    return [
        [name for key in {*_keys(text)} for name, whole in by_key.get(key, ()) if whole.search(text)]
        for text in texts
    ]


def _keys(text: str) -> list[tuple[str, str]]:
    return AROUND.findall(text.lower())


def _whole(address: str) -> str:
    """A mail address, and not a part of another one."""
    return rf"(?:^|[^\w.+-]){re.escape(address)}(?:$|[^\w.-]|[.-](?:$|\W))"
