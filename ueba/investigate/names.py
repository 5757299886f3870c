"""What was asked for -> what it is in the log: an account, machine, resource, address or mail address; and
where texts name it.

A name is looked for as the log spells it, in other spellings and other case, then as the only one that
begins so in any domain. All that is known of names is brought together once (`Names.of`), as lists of
indicators are long.
"""

from __future__ import annotations

import datetime as dt
import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ueba.errors import InputError, WorkspaceError
from ueba.spelling import HOST, USER

KINDS = ("user", "machine", "resource")
ENDS = {"user": "@", "machine": "."}  # what a domain is told after
CLOSE = 3  # names that are offered for one that is not known

Entity = tuple[str, str]  # kind, name


@dataclass(frozen=True)
class Origin:
    """What was asked for, as the log spells it, and its kind: user, machine, resource, address, mail;
    is_attacker: an indicator."""

    kind: str
    name: str
    is_attacker: bool = False


@dataclass(frozen=True)
class Names:
    """All that events name.

    exact:  kind and name                  folded: name in lower case -> of any case, no addresses
    short:  kind and name without domain -> with any domain
    others: another name of an account or machine -> the one that events have"""

    exact: set[Entity]
    folded: dict[str, list[Entity]]
    short: dict[Entity, list[Entity]]
    others: Mapping[str, str]

    @classmethod
    def of(cls, entities: Iterable[Entity], others: Mapping[str, str]) -> Names:
        found = cls(set(entities), {}, {}, others)
        for kind, name in sorted(found.exact, key=lambda each: (each[0] != "user", each)):
            if kind in KINDS:
                found.folded.setdefault(name.casefold(), []).append((kind, name))
            if kind in ENDS:
                found.short.setdefault((kind, name.split(ENDS[kind], 1)[0]), []).append((kind, name))
        return found

    def origins(self, name: str, is_attacker: bool = False) -> list[Origin]:
        """What a name is: an address, those of a network, or all of account, machine and resource that it
        names, the account alone if it is one. A mail address that is none of these, and each of an
        attacker's, is to be looked for in texts of events.

        Raises WorkspaceError where a name may be that of several accounts."""
        if is_network(name):
            return [Origin("address", each, True) for each in self._within(name)]
        if is_address(name):
            spelt = [
                name,
                name.casefold(),
                str(ipaddress.ip_address(name)),
            ]  # IPv6 has many spellings, the shortest is usual
            return [
                Origin(
                    "address",
                    next((each for each in spelt if ("address", each) in self.exact), spelt[0]),
                    True,
                )
            ]
        spelt = self.spellings(name)
        meant = [(kind, each) for kind in KINDS for each in spelt if (kind, each) in self.exact]
        if meant and meant[0][0] == "resource":  # as which services are known by the names of accounts
            meant = self._accounts(name, spelt) or meant
        meant = meant or self.folded.get(name.casefold(), []) or self._only_one(spelt)
        is_account = bool(meant) and meant[0][0] == "user"
        found = [
            Origin(kind, each, is_attacker or kind == "resource")
            for kind, each in meant
            if kind == "user" or not is_account
        ]
        if "@" in name and (is_attacker or not found):
            found.append(Origin("mail", name.casefold(), True))
        return found

    def spellings(self, name: str) -> list[str]:
        """A name in the ways in which logs may have it."""
        spelt = [
            name,
            (USER.spell(name) or name),
            (HOST.spell(name) or name),
            (HOST.spell(name) or name).removesuffix("$"),
        ]
        return list(dict.fromkeys([*spelt, *(self.others[each] for each in spelt if each in self.others)]))

    def _within(self, network: str) -> list[str]:
        """The addresses of a network that events name."""
        span = ipaddress.ip_network(network, strict=False)
        return sorted(
            each for kind, each in self.exact if kind == "address" and ipaddress.ip_address(each) in span
        )

    def _accounts(self, name: str, spelt: Sequence[str]) -> list[Entity]:
        """The account of such a name in any domain. Raises WorkspaceError if there are several."""
        found = list(dict.fromkeys(each for some in spelt for each in self.short.get(("user", some), [])))
        if len(found) > 1:
            every = ", ".join(sorted(full for _, full in found[: 2 * CLOSE]))
            raise WorkspaceError(f"{name!r} may be any of the accounts {every}; name one with its domain")
        return found

    def _only_one(self, spelt: Sequence[str]) -> list[Entity]:
        """The only account or machine of such a name in any domain."""
        for kind in ENDS:
            found = [each for name in spelt for each in self.short.get((kind, name), [])]
            if len(found) == 1:
                return found
        return []

    def unknown(self, name: str, last_seen: tuple[str, dt.date] | None = None) -> WorkspaceError:
        """That nothing had to do with a name; and when something last had, or what may have been meant."""
        if last_seen:
            full, day = last_seen
            return WorkspaceError(
                f"nothing had to do with {full} in this time; it was last seen on {day}, begin with an earlier --since"
            )
        every = sorted({each for _, each in self.exact})
        close = (
            difflib.get_close_matches(name, every, CLOSE)
            or [each for each in every if each.startswith(name)][:CLOSE]
        )
        said = f" Did you mean {' or '.join(close)}?" if close else ""
        return WorkspaceError(
            f"nothing is called {name!r} in this time.{said} `ueba entity` lists names, `ueba doctor` days"
        )


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Whether it is one of several addresses, as 203.0.113.0/24."""
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
