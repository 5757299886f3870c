"""Indicators: addresses, names and mail addresses that belong to an attacker, as people list them; and what a
text that begins a perimeter is an origin of.

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
    """What a text is an origin of: an address, all addresses of a network, or the account, or else machine
    and resource, of that name. A mail address that is none of these is looked for in texts of events; that of
    an attacker always is. Empty if nothing is called so.

    addresses: that events name
    Raises WorkspaceError if the name may be that of several entities."""
    if is_network(text):
        return [Origin("address", each, True) for each in _within(text, addresses)]
    if is_address(text):
        return [Origin("address", _usual(text, {*addresses}), True)]
    entities = index.lookup(text)
    users = [each for each in entities if each.kind == "user"]
    found = [Origin(kind, name, is_attacker or kind == "resource") for kind, name in users or entities]
    if "@" in text and (is_attacker or not found):
        found.append(Origin("mail", text.casefold(), True))
    return found


def _usual(text: str, addresses: set[str]) -> str:
    """An address as events name it. IPv6 has many spellings, of which the shortest is usual."""
    spelt = HOST.spell(text) or text
    forms = (text, spelt, str(ipaddress.ip_address(spelt)))
    return next((each for each in forms if each in addresses), spelt)


def _within(network: str, addresses: Iterable[str]) -> list[str]:
    span = ipaddress.ip_network(network, strict=False)
    return sorted(each for each in addresses if ipaddress.ip_address(each) in span)


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
    return (
        host if url and (url[1].lower() != "http" or is_address(host)) else plain
    )  # of a site, the URL is the name of the resource


# --- mail addresses in text ---------------------------------------------------------------------------------

AROUND = re.compile(
    r"(\w*)@(?=(\w*))"
)  # what stands right before and after an @: a quick look, before `_whole` looks closely


def mails_in(texts: Sequence[str], addresses: Iterable[str]) -> list[list[str]]:
    """Which of some mail addresses each text names."""
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
