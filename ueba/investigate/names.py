"""Which entity a text means: the one finder for all commands that take a name, and its one "did you mean".

A text is compared with these, in this order, and the first match counts:

    its name        as the lake has it
    its spelling    as ingest would spell it (`ueba.spelling`), in any case: CORP\\Alice, WS7.,
                    ::ffff:10.0.0.7; of a machine also the name of its own account (ws7$)
    an alias        another name of it: a SID, a mail address, a full or short name, an address that it had
    a short name    alice of alice@corp, if that is the only one in any domain; ws7 of ws7.corp.example

A user, a machine and a resource may have one name: the text means them all. An account whose short name it is
comes before a resource that is called so, as Kerberos services have the names of accounts. Leaves out
indicators (`indicators`), ids of incidents, and whether a day has anything of the entity.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ueba import spelling
from ueba.contracts.entity import Entity
from ueba.contracts.names import Identity
from ueba.errors import WorkspaceError
from ueba.spelling import HOST, RESOURCE, USER, lowered
from ueba.text import shortened
from ueba.workspace import Workspace

KINDS = ("user", "machine", "resource")
DOMAIN_MARK = {"user": "@", "machine": "."}  # between a short name and its domain
SHOWN = 200  # characters of a name in a message
CLOSE = 3  # names that are offered for an unknown one

Key = tuple[str, str]  # kind, name in lower case


class EntityIndex:
    """All names of entities, to be looked up.

    names: as the lake has them
    identities: with their aliases, and the addresses they had; those that `names` lacks are left out"""

    def __init__(self, names: Iterable[Entity], identities: Iterable[Identity] = ()) -> None:
        self.names = frozenset(names)
        self._folded: dict[Key, list[Entity]] = defaultdict(list)
        self._short: dict[Key, list[Entity]] = defaultdict(list)
        self._aliases: dict[Key, list[Entity]] = defaultdict(list)
        for entity in sorted(self.names):
            self._folded[entity.kind, lowered(entity.name)].append(entity)
            mark = DOMAIN_MARK.get(entity.kind)
            if mark is not None and mark in entity.name:
                self._short[entity.kind, lowered(entity.name.split(mark, 1)[0])].append(entity)
        for identity in identities:
            self._add_aliases(identity)

    @classmethod
    def of_workspace(cls, workspace: Workspace) -> EntityIndex:
        """The names of all edges of the lake."""
        from ueba.ingest.identity import entities  # here, as a command that names no entity starts quickly

        names = entities.names(workspace.lake, workspace.memory_limit)
        return cls(names, entities.read(workspace.lake))

    def _add_aliases(self, identity: Identity) -> None:
        if identity.entity in self.names:
            others = [alias.name for alias in identity.aliases] + [
                lease.address for lease in identity.addresses
            ]
            for other in dict.fromkeys(map(lowered, others)):
                self._aliases[identity.entity.kind, other].append(identity.entity)

    def find(self, text: str, kinds: Sequence[str] = KINDS) -> list[Entity]:
        """The entities of some kinds that a text means, at most one of each kind.

        Raises WorkspaceError if there is none, with names that are close, or if there are several of one
        kind."""
        found = self.lookup(text, kinds)
        if not found:
            raise WorkspaceError(self.unknown(text, kinds))
        return found

    def lookup(self, text: str, kinds: Sequence[str] = KINDS) -> list[Entity]:
        """As `find`; empty if there is none."""
        found = [Entity(kind, text) for kind in kinds if Entity(kind, text) in self.names]
        found = (
            found or self._one_each(text, kinds, self._folded) or self._one_each(text, kinds, self._aliases)
        )
        if found and "user" in kinds and all(entity.kind == "resource" for entity in found):
            return self._one_each(text, ("user",), self._short) or found
        return found or self._one_each(text, kinds, self._short)

    def _one_each(self, text: str, kinds: Sequence[str], table: Mapping[Key, list[Entity]]) -> list[Entity]:
        """The entity of each kind that a table has under a text. Raises WorkspaceError if it has several of
        one kind."""
        found: list[Entity] = []
        for kind in kinds:
            entities = {entity for form in forms(text, kind) for entity in table.get((kind, form), ())}
            if len(entities) > 1:
                raise WorkspaceError(ambiguous(text, kind, [entity.name for entity in entities]))
            found += entities
        return found

    def unknown(self, text: str, kinds: Sequence[str] = KINDS) -> str:
        """The message that no entity has this name, with names that are close."""
        *others, last = kinds
        kind = f"{', '.join(others)} or {last}" if others else last
        meant = did_you_mean(self.close(text, kinds))
        asked = shortened(repr(text), SHOWN)
        return f"no {kind} is called {asked}.{meant} `ueba entity` without a name lists all names"

    def close(self, text: str, kinds: Sequence[str] = KINDS) -> list[str]:
        """A few names that begin so, or else are spelled much alike, with or without a domain."""
        names: dict[str, list[str]] = defaultdict(list)
        for entity in sorted(entity for entity in self.names if entity.kind in kinds):
            for form in _full_and_short(entity):
                names[form].append(entity.name)
        written = [Entity(kind, form) for kind in kinds for form in forms(text, kind)]
        asked = dict.fromkeys(filter(None, (part for entity in written for part in _full_and_short(entity))))
        close = [form for form in sorted(names) if any(map(form.startswith, asked))]
        close = close or [near for form in asked for near in difflib.get_close_matches(form, names, CLOSE)]
        return list(dict.fromkeys(name for form in close for name in names[form]))[:CLOSE]


def forms(text: str, kind: str) -> list[str]:
    """A text as names of a kind may be spelt, in lower case; the likeliest first."""
    if kind != "machine":
        return spelling.forms(text, USER if kind == "user" else RESOURCE)
    found = spelling.forms(text, HOST)
    return list(dict.fromkeys([*found, *(form.removesuffix("$") for form in found)]))


def did_you_mean(names: Sequence[str]) -> str:
    """A sentence that offers names, for the end of a message; empty if there are none."""
    return f" Did you mean {' or '.join(shortened(name, SHOWN) for name in names)}?" if names else ""


def ambiguous(text: str, kind: str, names: Sequence[str]) -> str:
    """The message that a text may mean several entities of a kind."""
    few = ", ".join(shortened(name, SHOWN) for name in sorted(names)[: 2 * CLOSE])
    return f"{shortened(repr(text), SHOWN)} may be any of the {kind}s {few}; name one in full"


def _full_and_short(entity: Entity) -> tuple[str, ...]:
    """A name in lower case, with and without its domain."""
    name = lowered(entity.name)
    mark = DOMAIN_MARK.get(entity.kind)
    return (name,) if mark is None else (name, name.split(mark, 1)[0])
