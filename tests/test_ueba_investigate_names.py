"""Which entity a text means: by hand, and alike at every command that takes a name."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ingest_world import event, read
from small_workspace import run

from ueba import graph
from ueba.contracts.entity import Entity
from ueba.contracts.names import AddressLease, Alias, Identity
from ueba.errors import WorkspaceError
from ueba.ingest.identity import entities, tables
from ueba.investigate.names import EntityIndex

SID = "S-1-5-21-1-2-3-1104"
WHEN = dt.datetime(2026, 3, 2)


def index(*names: str, identities: tuple[Identity, ...] = ()) -> EntityIndex:
    """names: as user:ann"""
    return EntityIndex((Entity(*name.split(":", 1)) for name in names), identities)


def identity(kind: Any, name: str, *aliases: str, addresses: tuple[str, ...] = ()) -> Identity:
    leases = tuple(AddressLease(address, WHEN, WHEN, "leased to it") for address in addresses)
    return Identity(
        kind, name, None, False, 0, tuple(Alias(alias, "said so") for alias in aliases), leases, {}
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ann", ["user:Ann"]),
        ("aNN", ["user:Ann"]),
        ("bob", ["user:bob"]),  # exactly so, though there is a BOB
        ("BOB", ["user:BOB"]),
        ("CORP\\Eve", ["user:eve@corp"]),
        ("eve@CORP.", ["user:eve@corp"]),
        ("eve", ["user:eve@corp"]),
        ("pc1", ["user:pc1", "machine:pc1"]),
        ("\\\\PC2.", ["machine:pc2.corp.example"]),
        ("pc1$", ["machine:pc1"]),
        ("pc2$", ["machine:pc2.corp.example"]),
        ("pat", ["user:pat@corp"]),  # and not the Kerberos service of that name
        ("mail", ["resource:Mail"]),
        ("::ffff:10.0.0.7", ["machine:10.0.0.7"]),
        ("10.0.0.8", ["machine:pc1"]),
        ("s-1-5-9", ["user:eve@corp"]),
        ("S-1-5-9", ["user:eve@corp"]),
    ],
)
def test_a_text_means(text: str, found: list[str]) -> None:
    names = ("user:Ann", "user:bob", "user:BOB", "user:eve@corp", "user:pc1", "user:pat@corp", "machine:pc1")
    more = ("machine:pc2.corp.example", "machine:10.0.0.7", "resource:pat", "resource:Mail")
    identities = (identity("user", "eve@corp", "s-1-5-9"), identity("host", "pc1", addresses=("10.0.0.8",)))
    named = index(*names, *more, identities=identities).find(text)
    assert [f"{entity.kind}:{entity.name}" for entity in named] == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Bob", "'Bob' may be any of the users BOB, bob; name one in full"),
        ("eve", "'eve' may be any of the users eve@a, eve@b; name one in full"),
        ("10.0.0.8", "'10.0.0.8' may be any of the machines pc1, pc2; name one in full"),
        ("pc3", "no user, machine or resource is called 'pc3'. Did you mean pc2 or pc1? `ueba entity`"),
        ("eva", "called 'eva'. Did you mean eve@a or eve@b?"),
        ("eve@c", "called 'eve@c'. Did you mean eve@a or eve@b?"),
        ("zzz", "called 'zzz'. `ueba entity` without a name lists all names"),
        ("-", "called '-'. `ueba entity`"),
        ("", "called ''. `ueba entity`"),
        ("x\u202e", "called 'x\\u202e'. `ueba entity`"),
        ("ev\u202el", "Did you mean ev\\u202e?"),
    ],
)
def test_a_text_that_means_nothing_or_too_much(text: str, message: str) -> None:
    identities = tuple(identity("host", name, addresses=("10.0.0.8",)) for name in ("pc1", "pc2"))
    names = ("user:bob", "user:BOB", "user:eve@a", "user:eve@b", "machine:pc1", "machine:pc2")
    hostile = ("resource:ev\u202e",) if "\u202el" in text else ()
    with pytest.raises(WorkspaceError, match=re.escape(message)):
        index(*names, *hostile, identities=identities).find(text)


def test_only_the_kinds_that_are_asked_for() -> None:
    both = index("user:x", "machine:x", "machine:y")
    assert both.find("x", ["user"]) == [Entity("user", "x")]
    with pytest.raises(WorkspaceError, match="^no user is called 'y'. `ueba entity`"):
        both.find("y", ["user"])
    with pytest.raises(WorkspaceError, match="^no machine or resource is called 'z'. "):
        both.find("z", ["machine", "resource"])


# --- at every command ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alice, with a SID and two mail addresses; two Bobs; a machine with two names and an address."""
    root = tmp_path_factory.mktemp("world")
    (root / "people.csv").write_text("user,mail\nalice@corp.example,A.Smith@mail.example\n")
    (root / "assets.csv").write_text("host,ip\ndb.corp.example,::ffff:10.0.0.5\n")
    for name in ("people.csv", "assets.csv"):
        tables.write(root / name, root / "lake")
    events = [
        event("09:00:00", "CORP\\alice", "ws7.corp.example", "srv1", user_id=SID),
        event("09:01:00", "alice@corp.example", "ws7", "db.corp.example"),
        event("09:02:00", "bob@corp.example", "ws8", "srv1"),
        event("09:03:00", "bob@other.example", "ws8", "srv1"),
        event("09:04:00", "alice@corp.example", "10.0.0.5", "srv1"),
        event("09:05:00", "alice@corp.example", "10.0.0.9", "srv1"),
        event("09:06:00", SID, "ws8", "srv1"),
    ]
    read(root, events)
    return root


class FakeStore:
    """The graph of the lake, for what a command asks about names; keeps the parameters of the question."""

    def __init__(self, root: Path) -> None:
        self.names = entities.names(root / "lake", "1GB")
        self.parameters: Mapping[str, Any] = {}

    def __enter__(self) -> FakeStore:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def query(self, cypher: str, parameters: Any = None, timeout_s: float = 30, limit: int = 9) -> Any:
        label = re.fullmatch(r"MATCH \(n:(\w+)( {name: \$name})?\) RETURN n.name AS name", cypher)
        if label is None:
            self.parameters = parameters
            return pd.DataFrame()
        names = [entity.name for entity in self.names if entity.kind == label[1].lower()]
        return pd.DataFrame({"name": [name for name in names if not label[2] or name == parameters["name"]]})


@pytest.fixture
def store(world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStore]:
    fake = FakeStore(world)
    monkeypatch.setattr(graph, "connect", lambda *_: fake)
    yield fake


Answer = tuple[int, str]  # exit code, and the name or the message
DAY = "2026-03-02"


def by_entity(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "entity", text, "--format", "json", code=code)
    return done.output if code else json.loads(done.stdout)[0]["name"]


def by_day(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "day", text, DAY, "--format", "json", code=code)
    return done.output if code else json.loads(done.stdout)[0]["user"]


def by_perimeter(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "perimeter", "--from", text, "--since", DAY, "--format", "json", code=code)
    return done.output if code else json.loads(done.stdout)["origins"][0]["entity"]


def by_user_question(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "ask", "user-day", "--param", f"user={text}", "--param", f"day={DAY}", code=code)
    return done.output if code else store.parameters["user"]


def by_machine_question(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "ask", "machine-day", "--param", f"machine={text}", "--param", f"day={DAY}", code=code)
    return done.output if code else store.parameters["machine"]


def by_entity_question(world: Path, store: FakeStore, text: str, code: int) -> str:
    done = run(world, "ask", "incidents-of", "--param", f"entity={text}", code=code)
    return done.output if code else store.parameters["entity"]


FOR_ALL = (by_entity, by_perimeter, by_entity_question)
FOR_USERS = (*FOR_ALL, by_day, by_user_question)
FOR_MACHINES = (*FOR_ALL, by_machine_question)
ALICE = "alice@corp.example"
MEANT: list[tuple[tuple[Callable[..., str], ...], str, str]] = [
    *((FOR_USERS, text, ALICE) for text in ("CORP\\alice", "ALICE@CORP.EXAMPLE", "alice", SID, ".\\Alice")),
    *((FOR_USERS, text, ALICE) for text in ("a.smith@mail.example", "alice@corp", "alice@CORP.EXAMPLE.")),
    (FOR_USERS, "OTHER.example\\bob", "bob@other.example"),
    *((FOR_MACHINES, text, "ws7") for text in ("WS7.corp.example", "ws7", "\\\\WS7.", "ws7$")),
    (FOR_MACHINES, "db", "db.corp.example"),
]
# A perimeter begins at an address itself, of which the others want the machine.
MEANT_ADDRESSES = [
    ("10.0.0.5", "db.corp.example"),
    ("::ffff:10.0.0.5", "db.corp.example"),
    ("::FFFF:10.0.0.9", "10.0.0.9"),
]
REFUSED = [
    (FOR_USERS, "bob", "'bob' may be any of the users bob@corp.example, bob@other.example; name one in full"),
    (FOR_USERS, "alcie", f"is called 'alcie'. Did you mean {ALICE}? `ueba entity` without a name lists all"),
    (FOR_USERS, "alice@old.example", f"is called 'alice@old.example'. Did you mean {ALICE}?"),
    (FOR_MACHINES, "ws9", "is called 'ws9'. Did you mean ws8 or ws7?"),
    (
        (*FOR_USERS, by_machine_question),
        "nobody",
        "is called 'nobody'. `ueba entity` without a name lists all",
    ),
]


def cases(table: Any) -> list[Any]:
    return [
        pytest.param(command, text, answer, id=f"{command.__name__}-{text}")
        for commands, text, answer in table
        for command in commands
    ]


@pytest.mark.parametrize(("command", "text", "name"), cases(MEANT))
def test_every_command_means_the_same(world, store, command, text, name):
    assert command(world, store, text, 0) == name


@pytest.mark.parametrize(("text", "name"), MEANT_ADDRESSES)
def test_an_address_is_the_machine_that_had_it(world, store, text, name):
    assert {finder(world, store, text, 0) for finder in FOR_MACHINES if finder != by_perimeter} == {name}
    assert by_perimeter(world, store, text, 0) == text[-8:]  # without ::ffff:


@pytest.mark.parametrize(("command", "text", "message"), cases(REFUSED))
def test_every_command_refuses_alike(world, store, command, text, message):
    assert message in command(world, store, text, 1)


def test_who_was_not_seen_before_a_day_is_known_all_the_same(world):
    message = "Error: alice@corp.example was not seen before 2026-03-02"
    assert run(world, "entity", "alice", "--day", DAY, code=1).output.startswith(message)
