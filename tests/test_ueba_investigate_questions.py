"""Every question has one answer, worked out by hand on a small world, on every server."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given as where
from hypothesis import strategies as st
from scored_world import incident_of, on_day
from scored_world import table as scored_table

from graphdb import Connection, QueryTimeout, ReadOnlyError, server
from graphdb.store import Store
from ueba import graph, ontology
from ueba.cli import main
from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.contracts.incident import ModelFacts
from ueba.contracts.names import Alias, Identity
from ueba.contracts.reason import Combination, RareHour, Reason
from ueba.contracts.standing import Standing
from ueba.errors import UsageError, WorkspaceError
from ueba.findings import Findings
from ueba.investigate import questions
from ueba.investigate.questions import answers
from ueba.words import sentence

D05, D18, D19, D20 = (f"2026-01-{day:02}" for day in (5, 18, 19, 20))
A, B, C, D = (
    f"{day}-{name}".replace("-", "", 2)
    for day, name in ((D20, "aaaa"), (D19, "bbbb"), (D20, "cccc"), (D20, "dddd"))
)
KINDS = {"svc": "service", "srv$@corp": "machine"}
NETWORK, NTLM = "Network", "NTLM"

# user source target first last count failures, and what is not as usual
EDGES: dict[str, list[tuple[Any, ...]]] = {
    D05: [
        ("dora", "ws2", "srv", "09:00", "09:00", 1, 0),
        ("srv$@corp", "srv", "dc", "09:10", "09:10", 1, 0),
        ("svc", "srv", "dc", "09:20", "09:20", 1, 0),
        ("dora", "srv", "dc", "09:30", "09:30", 1, 1),
    ],
    D18: [
        ("alice", "ws1", "srv", "09:00", "17:00", 4, 0),
        ("bob", "ws2", "srv", "09:30", "16:00", 2, 0),
        ("carol", None, "dc", "00:50", "00:51", 2, 2),
        ("carol", "ws2", "dc", "10:00", "10:00", 1, 0),
        ("svc", "dc", "srv", "01:00", "01:00", 1, 0),
    ],
    D19: [
        ("alice", "ws1", "srv", "09:05", "16:50", 3, 0),
        ("alice", "ws1", "dc", "09:10", "09:10", 1, 0),
        ("bob", "ws2", "srv", "09:20", "15:00", 2, 0, {"surprise": 6.0, "p_value": 0.02, "incident": B}),
        ("svc", "dc", "srv", "01:00", "01:00", 1, 0),
        ("alice", "ws1", "share", "09:15", "09:15", 2, 0),
        ("hugo", "phone", "share", "03:00", "03:00", 1, 0),
    ],
    D20: [
        ("alice", "ws1", "srv", "09:00", "10:00", 3, 0),
        (
            "alice", "srv", "db", "09:30", "09:30", 1, 0,
            {"surprise": 9.0, "p_value": 0.001, "incident": A, "package": NTLM, "seen": 2},
        ),
        (
            "alice", "db", "ws2", "09:40", "09:40", 1, 0,
            {"surprise": 5.0, "p_value": 0.01, "incident": A, "type": "RemoteInteractive",
             "package": NTLM, "seen": 3},
        ),
        ("bob", "ws2", "srv", "09:10", "15:00", 2, 0),
        ("bob", "ws2", "db", "10:00", "10:02", 3, 3),
        ("bob", "srv", "db", "10:30", "10:30", 1, 0),
        ("carol", "ws2", "ws1", "09:50", "09:50", 1, 0, {"surprise": 3.0, "p_value": 0.05, "incident": C}),
        ("carol", "ws2", "db", "09:45", "09:45", 1, 1),
        ("carol", "ws2", "vault", "09:58", "09:58", 1, 0),
        ("eve", "ws2", "db", "10:05", "10:06", 2, 1),
        ("dora", None, "srv", "23:00", "23:00", 1, 0),
        ("svc", "dc", "srv", "01:00", "01:00", 1, 0, {"seen": 2}),
        ("svc", "dc", "ws1", "01:10", "01:10", 1, 0),
        ("alice", "ws1", "share", "09:15", "09:20", 2, 0),
        ("bob", "ws2", "share", "11:00", "11:00", 1, 0, {"surprise": 2.0, "p_value": 0.1}),
        ("bob", None, "vault", "11:30", "11:30", 1, 0),
        ("frank", "kali", "vault", "02:00", "02:05", 3, 3),
        ("frank", "kali", "share", "02:10", "02:10", 1, 0, {"package": NTLM}),
        ("frank", None, "vault", "02:30", "02:30", 1, 0),
        ("gina", "kali", "vault", "02:01", "02:01", 1, 1),
        ("hugo", "kali", "vault", "02:02", "02:06", 2, 1, {"surprise": 1.0, "p_value": 0.2, "incident": D}),
        ("hugo", "phone", "share", "02:04", "02:04", 1, 0),
    ],
}  # fmt: skip
MODEL = ModelFacts(dt.date.fromisoformat(D05), dt.date.fromisoformat(D05), 1, {}, "features")
ODD, LATE = Combination(), RareHour("bob", 6.0)
INCIDENTS: dict[str, tuple[str, dict[str, Any]]] = {
    A: (D20, {"rank": 1, "score": 14.0, "p_value": 0.001, "reasons": (ODD,)}),
    B: (D19, {"rank": 1, "score": 6.0, "p_value": 0.02, "reasons": (LATE, ODD)}),
    C: (D20, {"rank": 2, "score": 3.0, "p_value": 0.05, "reasons": (ODD,)}),
    D: (D20, {"rank": 3, "score": 1.0, "p_value": 0.2, "reasons": (ODD,)}),
}


def sentences(*reasons: Reason) -> list[str]:
    return [*map(sentence, reasons)]


SIMILAR = {
    "start": ["alice", "alice", "bob"],
    "end": ["bob", "carol", "alice"],
    "similarity": [0.9, 0.7, 0.9],
    "rests_on": [["vault", "share"], [], ["vault"]],
    "rank": [1, 2, 1],
}
EMBEDDINGS: dict[str, dict[str, list[float]]] = {
    "User": {"alice": [1.0, 0.0], "bob": [0.8, 0.6], "carol": [0.0, 1.0], "dora": [-1.0, 0.0]},
    "Machine": {"ws1": [0.0, 1.0], "ws2": [0.6, 0.8]},
    "Resource": {"share": [1.0, 0.0]},
}


def at(clock: str, day: str = D20) -> str:
    return f"{day}T{clock}:00"


def table(day: str) -> pa.Table:
    """A day's edges as the lake has them."""
    rows = []
    for user, source, target, first, last, count, failures, *rest in EDGES[day]:
        more = rest[0] if rest else {}
        rows.append(
            {
                "user": user, "source": source, "target": target, "count": count, "failures": failures,
                "target_kind": "resource" if target in ("share", "vault") else "machine",
                "first_seen": dt.datetime.fromisoformat(at(first, day)),
                "last_seen": dt.datetime.fromisoformat(at(last, day)),
                "witnesses": more.get("seen", 1), "logon_types": [more.get("type", NETWORK)],
                "auth_packages": [more.get("package", "Kerberos")], "user_kind": KINDS.get(user, "human"),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows)


def found(day: str) -> Findings:
    date = dt.date.fromisoformat(day)
    edges = []
    for user, source, target, *_, scores in (
        row for row in EDGES[day] if len(row) > 7 and "surprise" in row[7]
    ):
        kind = "resource" if target in ("share", "vault") else "machine"
        facts = {name: scores[name] for name in ("surprise", "p_value")}
        edges.append(on_day(date, Edge(user, source, target, kind), scores.get("incident"), **facts))
    incidents = [
        incident_of([edge for edge in edges if edge.incident == name], **facts, model=MODEL)
        for name, (on, facts) in INCIDENTS.items()
        if on == day
    ]
    return Findings(date, scored_table(edges), tuple(incidents))


def emptied(store: Store) -> None:
    for node in ontology.SCHEMA.nodes:
        store.delete(f"MATCH (n:{node.label}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")


@pytest.fixture(scope="module")
def store(connection: Connection) -> Iterator[Store]:
    with Store(connection) as opened:
        emptied(opened)
        for _ in range(2):  # indexes come with the first rows
            opened.ensure_schema(ontology.SCHEMA)
            for day in EDGES:
                for item, rows in graph.day_tables(table(day), dt.date.fromisoformat(day), {"carol"}):
                    load: Any = opened.load_nodes if hasattr(item, "label") else opened.load_relationships
                    load(item, rows)
                opened.load_nodes(ontology.LOADED_DAY, pa.table({"day": [day]}))
                graph.write_findings(opened, found(day), {B: "benign"})
        opened.load_relationships(ontology.SIMILAR_TO[ontology.USER, ontology.USER], pa.table(SIMILAR))
        for node in (ontology.USER, ontology.MACHINE, ontology.RESOURCE):
            vectors = EMBEDDINGS[node.label]
            opened.load_nodes(
                node,
                pa.table(
                    {"name": list(vectors), "embedding": pa.array(vectors.values(), pa.list_(pa.float32()))}
                ),
            )
        yield opened
        emptied(opened)


def ask(store: Store, name: str, *arguments: str, **how: Any) -> list[tuple[Any, ...]]:
    question = questions.load(name)
    found = questions.ask(
        store, question, questions.values(question, arguments, lambda: questions.last_day(store)[0]), **how
    )
    assert list(found.columns) == list(question.columns)
    return [tuple(row) for row in found.values.tolist()]


ANSWERS: list[tuple[str, list[str], list[tuple[Any, ...]]]] = [
    (
        "strange-logons",
        [],
        [
            ("alice", "srv", "db", 9.0, 0.001, 1, 0, at("09:30"), at("09:30"), A),
            ("alice", "db", "ws2", 5.0, 0.01, 1, 0, at("09:40"), at("09:40"), A),
            ("carol", "ws2", "ws1", 3.0, 0.05, 1, 0, at("09:50"), at("09:50"), C),
            ("bob", "ws2", "share", 2.0, 0.1, 1, 0, at("11:00"), at("11:00"), None),
            ("hugo", "kali", "vault", 1.0, 0.2, 2, 1, at("02:02"), at("02:06"), D),
        ],
    ),
    ("strange-logons", [f"day={D18}"], []),
    (
        "first-time-logons",
        [],
        [
            ("alice", "db", ["srv"], at("09:30"), 1, 0, 4, 9.0),
            ("alice", "ws2", ["db"], at("09:40"), 1, 0, 1, 5.0),
            ("carol", "ws1", ["ws2"], at("09:50"), 1, 0, 2, 3.0),
            ("svc", "ws1", ["dc"], at("01:10"), 1, 0, 2, None),
            ("bob", "db", ["srv", "ws2"], at("10:00"), 4, 3, 4, None),
            ("carol", "db", ["ws2"], at("09:45"), 1, 1, 4, None),
            ("eve", "db", ["ws2"], at("10:05"), 2, 1, 4, None),
        ],
    ),
    ("first-time-logons", ["most=1"], [("alice", "ws2", ["db"], at("09:40"), 1, 0, 1, 5.0)]),
    (
        "user-day",
        ["user=alice"],
        [
            (at("09:00"), at("10:00"), "ws1", "srv", "machine", [NETWORK], ["Kerberos"], 3, 0, None, None),
            (at("09:15"), at("09:20"), "ws1", "share", "resource", [NETWORK], ["Kerberos"], 2, 0, None, None),
            (at("09:30"), at("09:30"), "srv", "db", "machine", [NETWORK], [NTLM], 1, 0, 9.0, A),
            (at("09:40"), at("09:40"), "db", "ws2", "machine", ["RemoteInteractive"], [NTLM], 1, 0, 5.0, A),
        ],
    ),
    (
        "user-against-usual",
        ["user=alice"],
        [
            ("new", "acts from", "db", 0, 2, None, 1),
            ("new", "acts from", "srv", 0, 2, None, 1),
            ("new", "reaches", "db", 0, 2, None, 1),
            ("new", "reaches", "ws2", 0, 2, None, 1),
            ("missing", "reaches", "dc", 1, 2, D19, 0),
            ("usual", "acts from", "ws1", 2, 2, D19, 5),
            ("usual", "reaches", "srv", 2, 2, D19, 3),
            ("usual", "reaches", "share", 1, 2, D19, 2),
        ],
    ),
    (
        "user-against-usual",  # who was never seen before has nothing that is usual
        [f"first={D19}", "user=eve"],
        [("new", "acts from", "ws2", 0, 0, None, 2), ("new", "reaches", "db", 0, 0, None, 2)],
    ),
    (
        "machine-day",
        ["machine=srv"],
        [
            (at("01:00"), at("01:00"), "in", "svc", "dc", 1),
            (at("09:00"), at("10:00"), "in", "alice", "ws1", 3),
            (at("09:10"), at("15:00"), "in", "bob", "ws2", 2),
            (at("09:30"), at("09:30"), "out", "alice", "db", 1),
            (at("10:30"), at("10:30"), "out", "bob", "db", 1),
            (at("23:00"), at("23:00"), "in", "dora", "", 1),
        ],
    ),
    (
        "who-reached",
        ["target=db", f"since={at('09:40')}"],
        [
            ("machine", "carol", "ws2", at("09:45"), at("09:45"), 1, 1, 1),
            ("machine", "bob", "ws2", at("10:00"), at("10:02"), 1, 3, 3),
            ("machine", "eve", "ws2", at("10:05"), at("10:06"), 1, 2, 1),
            ("machine", "bob", "srv", at("10:30"), at("10:30"), 1, 1, 0),
        ],
    ),
    (
        "who-reached",
        ["target=share"],
        [
            ("resource", "hugo", "phone", at("03:00", D19), at("02:04"), 2, 2, 0),
            ("resource", "alice", "ws1", at("09:15", D19), at("09:20"), 2, 4, 0),
            ("resource", "frank", "kali", at("02:10"), at("02:10"), 1, 1, 0),
            ("resource", "bob", "ws2", at("11:00"), at("11:00"), 1, 1, 0),
        ],
    ),
    (
        # From srv, bob acts half an hour after alice's last logon there; from ws2, others after 09:40. That
        # carol and bob fail at db is nothing.
        "credential-switches",
        ["user=alice"],
        [
            ("ws2", "carol", "ws1", at("09:50"), 10.0),
            ("ws2", "carol", "vault", at("09:58"), 18.0),
            ("ws2", "eve", "db", at("10:05"), 25.0),
            ("srv", "bob", "db", at("10:30"), 30.0),
        ],
    ),
    (
        "credential-switches",
        ["user=dora", f"day={D05}"],
        [("srv", "svc", "dc", at("09:20", D05), 20.0)],
    ),  # and srv itself
    ("credential-switches", ["user=alice", "minutes=10"], [("ws2", "carol", "ws1", at("09:50"), 10.0)]),
    (
        "credential-switches",
        ["user=carol", f"day={D18}"],
        [],
    ),  # she failed at dc nine minutes before svc acts from it
    (
        "switches-after-incidents",
        ["minutes=20"],
        [
            (A, "alice", "ws2", "carol", "ws1", at("09:50"), 10.0),
            (A, "alice", "ws2", "carol", "vault", at("09:58"), 18.0),
            (C, "carol", "ws1", "alice", "srv", at("10:00"), 10.0),
        ],
    ),
    (
        "paths-between",
        ["start=alice", "target=ws1", f"since={at('09:00')}"],
        [
            (
                "machine",
                2,
                at("09:50"),
                ["alice", "ws2", "ws1"],
                [at("09:40"), at("09:50")],
                ["alice", "carol"],
            ),
            (
                "machine",
                3,
                at("09:50"),
                ["alice", "db", "ws2", "ws1"],
                [at("09:30"), at("09:40"), at("09:50")],
                ["alice", "alice", "carol"],
            ),
        ],
    ),
    (
        "paths-between",
        ["start=ws1", "target=ws2", f"since={at('09:00')}"],
        [
            (
                "machine",
                3,
                at("09:40"),
                ["ws1", "srv", "db", "ws2"],
                [at("09:00"), at("09:30"), at("09:40")],
                ["alice", "alice", "alice"],
            )
        ],
    ),
    (
        "paths-between",  # at 09:45 carol failed at db
        ["start=carol", "target=db", f"since={D20}"],
        [
            (
                "machine",
                3,
                at("10:30"),
                ["carol", "ws1", "srv", "db"],
                [at("09:50"), at("09:50"), at("10:30")],
                ["carol", "alice", "bob"],
            )
        ],
    ),
    ("paths-between", ["start=ws1", "target=ws2", f"since={at('09:31')}"], []),  # the hop from srv was before
    ("paths-between", ["start=alice", "target=ws1", f"since={at('09:00')}", "hours=0.5"], []),
    (
        "account-blast-radius",
        ["user=alice", f"since={at('09:20')}"],
        [
            (1, at("09:20"), "share", "resource", "ws1", "alice"),
            (1, at("09:20"), "srv", "machine", "ws1", "alice"),
            (1, at("09:30"), "db", "machine", "srv", "alice"),
            (1, at("09:40"), "ws2", "machine", "db", "alice"),
            (2, at("09:50"), "ws1", "machine", "ws2", "carol"),
            (2, at("09:58"), "vault", "resource", "ws2", "carol"),
        ],
    ),
    (
        "account-blast-radius",  # she failed at db, and bob came there from where she had been
        ["user=carol", f"since={at('09:00')}"],
        [
            (1, at("09:50"), "ws1", "machine", "ws2", "carol"),
            (1, at("09:58"), "vault", "resource", "ws2", "carol"),
            (2, at("09:50"), "srv", "machine", "ws1", "alice"),
            (3, at("10:30"), "db", "machine", "srv", "bob"),
        ],
    ),
    (
        "machine-blast-radius",
        ["machine=dc", f"since={at('00:00')}"],
        [
            (1, at("01:00"), "srv", "machine", "dc", "svc"),
            (1, at("01:10"), "ws1", "machine", "dc", "svc"),
            (2, at("09:15"), "share", "resource", "ws1", "alice"),
            (2, at("09:30"), "db", "machine", "srv", "alice"),
            (3, at("09:40"), "ws2", "machine", "db", "alice"),
        ],
    ),
    ("machine-blast-radius", ["machine=db", f"since={at('09:41')}"], []),
    (
        "machine-blast-radius",  # carol and bob failed at db; of what eve did there one failed
        ["machine=ws2", f"since={at('09:42')}", "hours=0.6"],
        [
            (1, at("09:42"), "srv", "machine", "ws2", "bob"),
            (1, at("09:50"), "ws1", "machine", "ws2", "carol"),
            (1, at("09:58"), "vault", "resource", "ws2", "carol"),
            (1, at("10:05"), "db", "machine", "ws2", "eve"),
        ],
    ),
    (
        "machine-blast-radius",  # it comes back to where it began, which is not told
        ["machine=ws1", f"since={at('09:30')}", "hours=1"],
        [
            (1, at("09:30"), "srv", "machine", "ws1", "alice"),
            (2, at("09:30"), "db", "machine", "srv", "alice"),
            (3, at("09:40"), "ws2", "machine", "db", "alice"),
        ],
    ),
    (
        "paths-to-jewels",
        ["user=alice", "jewel=vault", "jewel=share", "jewel=ws1", "jewel=nowhere", f"since={D20}"],
        [
            ("share", 1, at("09:15"), ["alice", "share"], [at("09:15")], ["alice"]),
            ("ws1", 2, at("09:50"), ["alice", "ws2", "ws1"], [at("09:40"), at("09:50")], ["alice", "carol"]),
            (
                "vault",
                2,
                at("09:58"),
                ["alice", "ws2", "vault"],
                [at("09:40"), at("09:58")],
                ["alice", "carol"],
            ),
        ],
    ),
    (
        "paths-to-jewels",
        ["user=carol", "jewel=db", "jewel=vault", f"since={D20}"],
        [
            ("vault", 1, at("09:58"), ["carol", "vault"], [at("09:58")], ["carol"]),
            (
                "db",
                3,
                at("10:30"),
                ["carol", "ws1", "srv", "db"],
                [at("09:50"), at("09:50"), at("10:30")],
                ["carol", "alice", "bob"],
            ),
        ],
    ),
    ("chains-of-user", ["user=dora", f"day={D05}"], []),  # from ws2 to srv, and from there she failed at dc
    (
        "chains-of-user",
        ["user=alice"],
        [
            (["ws1", "srv", "db", "ws2"], [at("09:00"), at("09:30"), at("09:40")]),
            (["srv", "db", "ws2"], [at("09:30"), at("09:40")]),
        ],
    ),
    (
        "first-administrator-logons",
        [],
        [
            ("carol", "db", ["ws2"], at("09:45"), 1, 1, None),
            ("carol", "ws1", ["ws2"], at("09:50"), 1, 1, 3.0),
            ("carol", "vault", ["ws2"], at("09:58"), 1, 1, None),
        ],
    ),
    (
        "first-administrator-logons",
        [f"day={D18}"],
        [("carol", "dc", ["", "ws2"], at("00:50", D18), 3, 0, None)],
    ),
    (
        "service-accounts-on-workstations",  # nobody but itself acts from dc
        [],
        [
            ("svc", "reached", "ws1", ["alice"], 0, at("01:10")),
            ("svc", "reached", "srv", ["alice", "bob", "dora"], 2, at("01:00")),
        ],
    ),
    ("service-accounts-on-workstations", ["most=1"], [("svc", "reached", "ws1", ["alice"], 0, at("01:10"))]),
    ("sudden-audience", ["least=2"], [("vault", 5, 0, 2, 5), ("db", 4, 0, 2, 5), ("ws1", 2, 0, 2, 0)]),
    (
        "sudden-audience",
        ["least=4", "times=1.3"],
        [("vault", 5, 0, 2, 5), ("db", 4, 0, 2, 5), ("share", 4, 2, 4, 0), ("srv", 4, 3, 3, 0)],
    ),
    ("woken-accounts", [], [("dora", "human", D05, 1, ["srv"], at("23:00"))]),
    ("woken-accounts", [f"first={D05}"], []),
    (
        "newcomers",  # kali was only acted from; so was phone, before too
        [],
        [
            ("account", "frank", 2, at("02:00")),
            ("account", "eve", 1, at("10:05")),
            ("account", "gina", 1, at("02:01")),
            ("machine", "db", 4, at("09:30")),
            ("machine", "kali", 3, at("02:00")),
        ],
    ),
    (
        "broadest-users",
        ["least=2"],
        [
            ("alice", "human", 3, 1, 3, 7, 0),
            ("bob", "human", 2, 2, 2, 8, 3),
            ("carol", "human", 2, 1, 1, 3, 1),
            ("frank", "human", 0, 2, 1, 5, 3),
            ("hugo", "human", 0, 2, 2, 3, 1),
            ("svc", "service", 2, 0, 1, 2, 0),
        ],
    ),
    (
        "many-sources",
        ["least=2"],
        [
            ("alice", "human", 3, ["db", "srv"], 7),
            ("bob", "human", 2, ["srv"], 7),
            ("hugo", "human", 2, ["kali"], 3),
        ],
    ),
    (
        "quick-moves",  # bob only failed at 10:00
        ["minutes=30"],
        [
            ("alice", "human", 2, 600, at("09:40"), "srv", "db"),
            ("bob", "human", 1, 1800, at("11:00"), "srv", "ws2"),
            ("hugo", "human", 1, 120, at("02:04"), "kali", "phone"),
        ],
    ),
    ("quick-moves", [], [("hugo", "human", 1, 120, at("02:04"), "kali", "phone")]),
    ("quick-moves", ["minutes=1"], []),
    (
        "sprayed-passwords",
        [],
        [
            ("kali", 3, 5, 1, ["frank", "hugo"], at("02:00"), at("02:06")),
            ("ws2", 3, 5, 1, ["bob", "carol", "eve"], at("09:45"), at("10:06")),
        ],
    ),
    ("sprayed-passwords", ["least=4"], []),
    (
        "failures-then-success",  # carol and gina failed and never got in
        ["least=1"],
        [
            ("bob", "db", 3, at("10:00"), at("10:30"), "certain", ["srv"]),
            ("frank", "vault", 3, at("02:00"), at("02:30"), "certain", [""]),
            ("eve", "db", 1, at("10:05"), at("10:06"), "possible", ["ws2"]),
            ("hugo", "vault", 1, at("02:02"), at("02:06"), "possible", ["kali"]),
        ],
    ),
    (
        "similar-users",
        ["user=alice"],
        [("bob", 0.9, ["vault", "share"], 3, 4, 5), ("carol", 0.7, [], 2, 4, 5)],
    ),
    (
        "user-beside-similar",
        ["user=alice", "least=1"],
        [
            ("user only", "ws2", "machine", 0, 2, 1, D20),
            ("similar only", "vault", "resource", 2, 2, 1, D20),
            ("similar only", "ws1", "machine", 1, 2, 1, D20),
        ],
    ),
    ("nearest-by-embedding", ["entity=alice", "most=2"], [("user", "bob", 0.8), ("user", "carol", 0.0)]),
    ("nearest-by-embedding", ["entity=ws2"], [("machine", "ws1", 0.8), ("resource", "share", 0.6)]),
    ("nearest-by-embedding", ["entity=share"], [("machine", "ws2", 0.6), ("machine", "ws1", 0.0)]),
    ("nearest-by-embedding", ["entity=eve"], []),
    ("in-several-incidents", [], [("ws2", 2, 2, D19, D20, 1, [B, C])]),
    ("in-several-incidents", [f"first={D20}"], []),
    (
        "in-several-incidents",
        ["role=target", "least=1"],
        [
            ("db", 1, 1, D20, D20, 1, [A]),
            ("srv", 1, 1, D19, D19, 1, [B]),
            ("ws2", 1, 1, D20, D20, 1, [A]),
            ("ws1", 1, 1, D20, D20, 2, [C]),
            ("vault", 1, 1, D20, D20, 3, [D]),
        ],
    ),
    (
        "incidents-of",
        ["entity=db"],
        [(A, "machine", D20, 1, 14.0, 0.001, 2, ["source", "target"], None, sentences(ODD))],
    ),
    (
        "incidents-of",
        ["entity=ws2"],
        [
            (A, "machine", D20, 1, 14.0, 0.001, 2, ["target"], None, sentences(ODD)),
            (C, "machine", D20, 2, 3.0, 0.05, 1, ["source"], None, sentences(ODD)),
            (B, "machine", D19, 1, 6.0, 0.02, 1, ["source"], "benign", sentences(LATE, ODD)),
        ],
    ),
    (
        "incident-edges",
        [f"incident={A[:10]}"],
        [
            (A, at("09:30"), at("09:30"), "alice", "srv", "db", 1, 0, 9.0, 0.001),
            (A, at("09:40"), at("09:40"), "alice", "db", "ws2", 1, 0, 5.0, 0.01),
        ],
    ),
    (
        "incident-neighbours",
        [f"incident={A}"],
        [
            (A, "db", 3, "bob", "reached", 4, at("10:00")),
            (A, "db", 3, "carol", "reached", 1, at("09:45")),
            (A, "db", 3, "eve", "reached", 2, at("10:05")),
            (A, "srv", 3, "bob", "acted from", 1, None),
            (A, "srv", 3, "bob", "reached", 2, at("09:10")),
            (A, "srv", 3, "dora", "reached", 1, at("23:00")),
            (A, "srv", 3, "svc", "reached", 1, at("01:00")),
            (A, "ws2", 3, "bob", "acted from", 6, None),
            (A, "ws2", 3, "carol", "acted from", 3, None),
            (A, "ws2", 3, "eve", "acted from", 2, None),
        ],
    ),
    ("incident-neighbours", [f"incident={A}", "most=2"], []),
    (
        "incident-neighbours",
        [f"incident={D}"],
        [
            (D, "kali", 2, "frank", "acted from", 4, None),
            (D, "kali", 2, "gina", "acted from", 1, None),
            (D, "vault", 4, "bob", "reached", 1, at("11:30")),
            (D, "vault", 4, "carol", "reached", 1, at("09:58")),
            (D, "vault", 4, "frank", "reached", 4, at("02:00")),
            (D, "vault", 4, "gina", "reached", 1, at("02:01")),
        ],
    ),
    ("incident-same-way", [f"incident={A}"], [(A, "srv", "db", 1, "bob", D20, D20, 1, 1, 0)]),
    ("incident-same-way", [f"incident={B}"], [(B, "ws2", "srv", 1, "dora", D05, D05, 1, 1, 0)]),
    (
        "incident-same-way",
        [f"incident={D}"],
        [
            (D, "kali", "vault", 2, "frank", D20, D20, 1, 3, 3),
            (D, "kali", "vault", 2, "gina", D20, D20, 1, 1, 1),
        ],
    ),
    ("incident-same-way", [f"incident={D}", "most=1"], []),
    (
        "incident-onward",
        [f"incident={C}"],
        [
            (C, "ws2", "carol", True, "vault", at("09:58"), at("09:58"), 1),
            (C, "ws1", "alice", False, "srv", at("09:00"), at("10:00"), 3),
            (C, "ws2", "bob", False, "srv", at("09:10"), at("15:00"), 2),
            (C, "ws2", "eve", False, "db", at("10:05"), at("10:06"), 2),
            (C, "ws2", "bob", False, "share", at("11:00"), at("11:00"), 1),
        ],
    ),
    (
        "incident-onward",
        [f"incident={D}"],
        [(D, "kali", "frank", False, "share", at("02:10"), at("02:10"), 1)],
    ),
    (
        "incident-onward",
        [f"incident={C}", "most=1"],
        [(C, "ws1", "alice", False, "srv", at("09:00"), at("10:00"), 3)],
    ),
    (
        "unresolved-sources",
        [],
        [
            ("vault", "resource", 2, 2, 0, at("02:30"), at("11:30"), ["bob", "frank"]),
            ("srv", "machine", 1, 1, 0, at("23:00"), at("23:00"), ["dora"]),
        ],
    ),
    (
        "controller-only",
        [],
        [
            ("db", 1, 1, 7, at("09:30"), at("09:30"), ["alice"]),
            ("srv", 1, 1, 6, at("01:00"), at("01:00"), ["svc"]),
        ],
    ),
    (
        "night-logons",  # hugo's night before was at a share too
        [],
        [
            ("dora", "human", 1, at("23:00"), 0, 1),
            ("frank", "human", 2, at("02:00"), 0, 0),
            ("gina", "human", 1, at("02:01"), 0, 0),
            ("hugo", "human", 2, at("02:02"), 1, 1),
            ("svc", "service", 2, at("01:00"), 2, 3),
        ],
    ),
    ("night-logons", ["begins=1", "ends=2"], [("svc", "service", 2, at("01:00"), 2, 3)]),
    (
        "new-logon-ways",
        ["user=alice"],
        [
            ("logon type", "RemoteInteractive", ["ws2"], at("09:40"), 1),
            ("package", NTLM, ["db", "ws2"], at("09:30"), 2),
        ],
    ),
    (
        "first-use-of-package",
        [],
        [
            ("alice", "human", ["db", "ws2"], ["db", "srv"], at("09:30"), 2, 2),
            ("frank", "human", ["share"], ["kali"], at("02:10"), 1, 0),
        ],
    ),
    (
        "first-use-of-package",
        ["package=Kerberos"],
        [
            ("eve", "human", ["db"], ["ws2"], at("10:05"), 2, 0),
            ("frank", "human", ["vault"], ["", "kali"], at("02:00"), 4, 0),
            ("gina", "human", ["vault"], ["kali"], at("02:01"), 1, 0),
        ],
    ),
    (
        "new-resources",
        [],
        [
            ("bob", "share", ["ws2"], at("11:00"), 1, 2, 2.0),
            ("hugo", "vault", ["kali"], at("02:02"), 2, 0, 1.0),
            ("bob", "vault", [""], at("11:30"), 1, 0, None),
            ("carol", "vault", ["ws2"], at("09:58"), 1, 0, None),
            ("frank", "vault", ["", "kali"], at("02:00"), 4, 0, None),
            ("gina", "vault", ["kali"], at("02:01"), 1, 0, None),
            ("frank", "share", ["kali"], at("02:10"), 1, 2, None),
        ],
    ),
    (
        "shared-by-users",
        ["user=alice", "other=bob"],
        [
            ("srv", "machine", "both", "both", 3, D20),
            ("db", "machine", "both", "reached", 1, D20),
            ("share", "resource", "reached", "reached", 1, D20),
            ("ws2", "machine", "reached", "acted from", 1, D20),
        ],
    ),
    (
        "loaded-days",
        [],
        [(D20, 3, 14.0, D05), (D19, 1, 6.0, D05), (D18, 0, None, None), (D05, 0, None, None)],
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "rows"),
    ANSWERS,
    ids=[f"{name} {' '.join(arguments)}" for name, arguments, _ in ANSWERS],
)
def test_the_answer_is_the_one_worked_out(
    store: Store, name: str, arguments: list[str], rows: list[tuple[Any, ...]]
) -> None:
    assert ask(store, name, *arguments) == rows


def test_every_question_has_an_answer_with_rows() -> None:
    assert {name for name, _, rows in ANSWERS if rows} == set(questions.names())
    assert len(questions.names()) >= 24


HOSTILE = [
    "o'hara\"}) DETACH DELETE n //",
    "a\\b\\",
    "$user",
    "`x`",
    "' OR true //",
    "tab\there\nand on",
    "\u202egnp.exe",
]


def test_names_are_only_names(store: Store) -> None:
    alike = {"end": "srv", "day": "2025-01-01", "count": 1, "failures": 0}
    rows = {
        "start": HOSTILE,
        "source": HOSTILE,
        **{name: [value] * len(HOSTILE) for name, value in alike.items()},
    }
    when = [dt.datetime(2025, 1, 1, 9)] * len(HOSTILE)
    before = ask(store, "loaded-days"), ask(store, "machine-day", "machine=srv")
    store.load_nodes(ontology.USER, pa.table({"name": HOSTILE}))
    store.load_relationships(ontology.LOGGED_ON, pa.table({**rows, "first_seen": when, "last_seen": when}))
    try:
        for name in HOSTILE:
            answer = ask(store, "user-day", f"user={name}", "day=2025-01-01")
            assert [(row[2], row[3]) for row in answer] == [(name, "srv")]
            jewels = [f"jewel={name}", "jewel=srv"]
            paths = ask(store, "paths-to-jewels", f"user={name}", *jewels, "since=2025-01-01T08:00")
            assert [row[3] for row in paths] == [[name, "srv"]]
            assert (
                ask(store, "incidents-of", f"entity={name}")
                == ask(store, "incident-edges", f"incident={name}")
                == []
            )
    finally:
        store.clear(ontology.SCHEMA, "day", "2025-01-01")
        for name in HOSTILE:
            store.delete(
                "MATCH (n:User {name: $name}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted",
                name=name,
            )
    assert before == (ask(store, "loaded-days"), ask(store, "machine-day", "machine=srv"))


def test_a_machine_and_a_resource_of_one_name_are_two(store: Store) -> None:
    """zoe reaches both from nowhere, and is in an incident with both."""
    day = "2025-01-02"
    nine = dt.datetime.fromisoformat(at("09:00", day))
    rows = [
        {
            "user": "zoe", "source": None, "target": "twin", "target_kind": kind,
            "count": count, "failures": 0, "first_seen": nine, "last_seen": nine,
            "witnesses": 0, "logon_types": [NETWORK], "auth_packages": [], "user_kind": "human",
        }
        for kind, count in (("machine", 2), ("resource", 1))
    ]  # fmt: skip
    date = dt.date.fromisoformat(day)
    before = ask(store, "loaded-days")
    edges = [
        on_day(date, Edge("zoe", None, "twin", kind), "20250102-ffff") for kind in ("machine", "resource")
    ]
    inside = incident_of(edges, reasons=(ODD,), model=MODEL)
    try:
        day_edges = pa.Table.from_pylist(rows, table(D20).schema)  # a column of nulls alone has no type
        for item, part in graph.day_tables(day_edges, date):
            load: Any = store.load_nodes if hasattr(item, "label") else store.load_relationships
            load(item, part)
        graph.write_findings(store, Findings(date, scored_table(edges), (inside,)), {})
        assert ask(store, "unresolved-sources", f"day={day}") == [
            ("twin", "machine", 1, 2, 0, at("09:00", day), at("09:00", day), ["zoe"]),
            ("twin", "resource", 1, 1, 0, at("09:00", day), at("09:00", day), ["zoe"]),
        ]
        assert [row[:2] for row in ask(store, "who-reached", "target=twin")] == [
            ("machine", "zoe"),
            ("resource", "zoe"),
        ]
        paths = ask(store, "paths-between", "start=zoe", "target=twin", f"since={day}")
        assert [row[:2] for row in paths] == [("machine", 1), ("resource", 1)]
        assert [row[1] for row in ask(store, "incidents-of", "entity=twin")] == ["machine", "resource"]
    finally:
        store.clear(ontology.SCHEMA, "day", day)
        for nodes in (
            "(n:User|Machine|Resource) WHERE n.name IN ['zoe', 'twin']",
            "(n:Incident|LoadedDay) WHERE n.day = '2025-01-02'",
        ):
            store.delete(f"MATCH {nodes} WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")
    assert ask(store, "loaded-days") == before


@pytest.mark.parametrize(
    "writing",
    [
        "MATCH (u:User {name: $user}) SET u.kind = 'service' RETURN u.name AS user",
        "MATCH (u:User {name: $user}) CREATE (x:Machine {name: 'evil'}) RETURN u.name AS user",
        "MATCH (u:User {name: $user}) DETACH DELETE u",
    ],
)
def test_a_question_that_would_write_is_refused_by_the_server(store: Store, writing: str) -> None:
    question = replace(questions.load("similar-users"), text=f"// Title: harmless\n{writing}")
    before = ask(store, "user-day", "user=alice"), store.count(ontology.MACHINE)
    with pytest.raises(ReadOnlyError):
        questions.ask(store, question, {"user": "alice"})
    assert before == (ask(store, "user-day", "user=alice"), store.count(ontology.MACHINE))


def test_a_question_that_takes_too_long_leaves_a_server_that_answers(store: Store) -> None:
    endless = (
        "UNWIND range(1, 300000) AS i UNWIND range(1, 300000) AS j WITH i * j AS k WHERE k < 0"
        " RETURN k AS user"
    )
    question = replace(questions.load("loaded-days"), text=f"// Title: endless\n{endless}")
    with pytest.raises(QueryTimeout, match="longer than 1 s"):
        questions.ask(store, question, {}, timeout_s=1)
    assert len(ask(store, "loaded-days")) == 4
    if store.connection.directory is not None:
        listed = server.queries(store.connection.directory)
        assert not [query for query in listed if "endless" in query["text"]]
    else:
        running = store._own_rows("SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS q")[
            "q"
        ].tolist()
        assert not [query for query in running if "endless" in query and "SHOW" not in query]


def test_an_answer_is_cut_at_its_limit(store: Store) -> None:
    assert ask(store, "strange-logons", limit=2) == ANSWERS[0][2][:2]


def test_the_default_day_is_the_last_scored_or_loaded(store: Store) -> None:
    assert questions.last_day(store) == (D20, "scored")


def test_an_empty_graph_says_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LAST_DAY", "RETURN null AS scored, '2026-01-21' AS loaded")
    assert questions.last_day(store) == ("2026-01-21", "loaded")
    monkeypatch.setattr(answers, "LAST_DAY", "RETURN null AS scored, null AS loaded")
    with pytest.raises(WorkspaceError, match="ueba graph load"):
        questions.last_day(store)


# --- the files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", questions.names())
def test_a_file_says_what_its_cypher_needs(name: str) -> None:
    question = questions.load(name)
    comments = [line for line in question.text.splitlines() if line.startswith("//")]
    cypher = "\n".join(line for line in question.text.splitlines() if not line.startswith("//"))
    declared = [parameter.name for parameter in question.parameters]
    assert set(re.findall(r"\$(\w+)", cypher)) == set(declared)
    assert re.findall(r"^//   :param (\w+) => \S", question.text, re.MULTILINE) == declared
    assert all([question.title, question.purpose, *question.columns.values()]) and len(comments) > 5
    assert not re.search(r"\*\d*\.\.|-\[[^\]]*\*[^\]]*\]", cypher), "a pattern of variable length"
    assert max(map(len, question.text.splitlines())) <= 132


@pytest.mark.parametrize("name", questions.names())
def test_the_example_of_a_file_can_be_asked(name: str) -> None:
    question = questions.load(name)
    words = question.example.split()
    assert words[:3] == ["ueba", "ask", name]
    arguments = [word for flag, word in zip(words, words[1:], strict=False) if flag == "--param"]
    found = questions.values(question, arguments, lambda: D20)
    assert list(found) == [parameter.name for parameter in question.parameters]


def test_texts_about_questions_name_those_there_are() -> None:
    docs = (Path(__file__).parent.parent / "docs" / "questions.md").read_text()
    named = set(re.findall(r"ueba ask ([a-z-]+)", f"{questions.__doc__} {docs}")) - {"list"}
    assert named and named <= set(questions.names())


def parsed(parameters: str) -> questions.Question:
    return questions.parse(
        "q",
        f"// Title: t\n// Purpose: p\n// Parameters:\n{parameters}// Columns:\n//   a: what\n// Example:"
        f" e\nRETURN 1 AS a",
    )


def test_a_header_is_read() -> None:
    question = parsed(
        "//   user (text): the account: any\n//   :param user => 'x'\n//   n (number, default 3): how many\n"
    )
    assert question.parameters == (
        questions.Parameter("user", "text", None, "the account: any"),
        questions.Parameter("n", "number", "3", "how many"),
    )
    assert question.takes == "q takes user=TEXT [n=NUMBER, default 3]"
    assert question.columns == {"a": "what"}
    assert parsed("//   none\n").takes == "q takes no parameters"


@pytest.mark.parametrize(
    "line", ["//   user: the account\n", "//   user (name): the account\n", "//   user\n"]
)
def test_a_header_that_is_wrong_says_so(line: str) -> None:
    with pytest.raises(ValueError, match="not a parameter"):
        parsed(line)
    with pytest.raises(ValueError, match="in this order"):
        questions.parse("q", "// Title: t\n// Columns:\nRETURN 1")


def test_without_a_list_the_jewels_are_those_of_the_entity_tables(store: Store) -> None:
    since = f"since={D20}"
    listed = ask(store, "paths-to-jewels", "user=alice", "jewel=share", "jewel=vault", since)
    assert ask(store, "paths-to-jewels", "user=alice", since) == []
    jewel = Standing(crown_jewel=True)
    graph.write_standing(store, {Entity("resource", name): jewel for name in ("share", "vault", "nowhere")})
    try:
        assert ask(store, "paths-to-jewels", "user=alice", since) == listed and len(listed) == 2
        assert ask(store, "paths-to-jewels", "user=alice", "jewel=none", since) == listed
        only = ask(store, "paths-to-jewels", "user=alice", "jewel=ws1", since)
        assert [row[0] for row in only] == ["ws1"]  # a list is taken as it is
    finally:
        graph.write_standing(store, {})


# --- parameters ---------------------------------------------------------------------------------------------

EVERY = parsed(
    "//   user (text): u\n//   day (day, default last): d\n//   first (day, default day - 7): f\n"
    "//   at (time, default 0001-01-01): a\n"
    "//   n (number, default 3): n\n//   some (places, default x): s\n"
)


def values(*arguments: str) -> dict[str, Any]:
    return questions.values(EVERY, arguments, lambda: D20)


def test_parameters_have_their_types_and_defaults() -> None:
    assert values("user=a=b") == {
        "user": "a=b", "day": D20, "first": "2026-01-13", "at": "0001-01-01T00:00:00", "n": 3, "some": ["x"],
    }  # fmt: skip
    arguments = ["user=", "day=2026-03-01", "n=2.5", "some=b,c", "some=a", "at=2026-01-20T08:00:00.5+01:00"]
    assert values(*arguments) == {
        "user": "", "day": "2026-03-01", "first": "2026-02-22", "at": "2026-01-20T07:00:00.500000",
        "n": 2.5, "some": ["b,c", "a"],
    }  # fmt: skip
    assert values("user=a", "day=0001-01-03", "first=last")["first"] == D20
    assert values("user=a", "day=0001-01-03")["first"] == "0001-01-01"


@where(st.text())
def test_a_text_arrives_as_it_was_written(text: str) -> None:
    found = values(f"user={text}", f"some={text}")
    assert (found["user"], found["some"]) == (text, [text])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "user is missing"),
        (["user=a", "usr=b"], "no parameter is called 'usr'"),
        (["user"], "write NAME=VALUE"),
        (["user=a", "user=b"], "user is given 2 times"),
        (["user=a", "day=yesterday"], "day=yesterday is not a day"),
        (["user=a", "day=day - 7"], "day=day - 7 is not a day"),
        (["user=a", "at=noon"], "at=noon is not a time"),
        (["user=a", "at=0001-01-01T00:00+10:00"], "is not a time"),
        (["user=a", "n=many"], "n=many is not a number"),
        (["user=a", "n=nan"], "n=nan is not a number"),
        (["user=a", "n=1e999"], "is not a number"),
        (["user=\udcff"], "user=\\udcff is not a text"),
    ],
)
def test_a_wrong_parameter_names_the_right_ones(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        values(*arguments)
    assert message in str(error.value) and str(error.value).endswith(EVERY.takes)


# --- the command line ---------------------------------------------------------------------------------------


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["ask", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def connected(connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "connect", lambda *_: Store(connection))


def test_the_command_prints_the_answer_and_tells_which_day(connected: None) -> None:
    result = run("broadest-users", "--param", "least=2", "--format", "json", "--limit", "1")
    assert json.loads(result.stdout) == [
        {
            "schema_version": 1, "user": "alice", "kind": "human",
            "machines": 3, "resources": 1, "sources": 3,
            "count": 7, "failures": 0,
        }
    ]  # fmt: skip
    assert result.stderr.splitlines() == [
        f"day: {D20}, the last day scored",
        "cut at 1 rows; --limit shows more, and graph.query_rows is its default",
    ]
    table = run("user-day", "--param", "user=alice", "--param", f"day={D20}")
    assert table.stderr == "" and "RemoteInteractive" in table.stdout and "first seen" in table.stdout


def test_an_answer_without_rows_still_has_its_columns(connected: None) -> None:
    result = run("user-day", "--param", "user=gina", "--param", f"day={D05}", "--format", "csv")
    assert result.stdout.strip().split(",") == list(questions.load("user-day").columns)
    assert result.stderr == "no rows; `ueba ask loaded-days` lists the days in the graph\n"
    assert run("incident-edges", "--param", "incident=x", "--format", "json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("question", "arguments", "named"),
    [
        ("user-day", ["user=Alice"], {"user": "alice"}),
        ("user-day", ["user=S-1-5-9"], {"user": "alice"}),
        ("machine-day", ["machine=WS1$"], {"machine": "ws1"}),
        ("who-reached", ["target=VAULT "], {"target": "vault"}),
        (
            "paths-to-jewels",
            ["user=alice", "jewel=VAULT", "jewel=ws1", f"since={D05}", "days=1"],
            {"user": "alice", "jewel": ["vault", "ws1"]},
        ),
        ("incidents-of", ["entity=CAROL"], {"entity": "carol"}),
        ("incident-edges", ["incident=aaaa"], {"incident": "aaaa"}),
    ],
)
def test_names_are_found_in_other_spellings(
    store: Store, question: str, arguments: list[str], named: dict[str, Any]
) -> None:
    asked = questions.load(question)
    parameters = questions.values(asked, arguments, lambda: D20)
    alias = Identity("user", "alice", None, False, 0, (Alias("s-1-5-9", "the same identifier"),), (), {})
    assert questions.name_entities(store, asked, parameters, [alias]) == parameters | named


@pytest.mark.parametrize(
    ("question", "arguments", "message"),
    [
        ("user-day", ["user=alcie"], "no user is called 'alcie'. Did you mean alice?"),
        ("user-day", ["user=ali"], "no user is called 'ali'. Did you mean alice?"),
        ("user-day", ["user=x\u202e"], "no user is called 'x\\u202e'. `ueba entity`"),
        ("machine-day", ["machine=ws3"], "no machine is called 'ws3'. Did you mean ws2 or ws1?"),
        ("machine-day", ["machine=share"], "no machine is called 'share'. `ueba entity`"),
        ("who-reached", ["target=vaults"], "no machine or resource is called 'vaults'. Did you mean vault?"),
        (
            "paths-to-jewels",
            ["user=alice", "jewel=ws1", "jewel=nowhere", f"since={D05}", "days=1"],
            "no machine or resource is called 'nowhere'. `ueba entity`",
        ),
        (
            "incidents-of",
            ["entity=carola"],
            "no user, machine or resource is called 'carola'. Did you mean carol?",
        ),
    ],
)
def test_a_name_that_no_node_has_is_refused(
    store: Store, question: str, arguments: list[str], message: str
) -> None:
    asked = questions.load(question)
    parameters = questions.values(asked, arguments, lambda: D20)
    with pytest.raises(WorkspaceError, match=f"^{re.escape(message)}"):
        questions.name_entities(store, asked, parameters)


@pytest.mark.parametrize(
    ("question", "incident", "message"),
    [
        ("incident-edges", "aaaa", f"no incident's id begins with 'aaaa' in the graph. Did you mean {A}?"),
        ("incident-edges", "zzzz", "no incident's id begins with 'zzzz' in the graph."),
        ("incident-edges", A[:3], None),
    ],
)
def test_an_incident_that_is_not_in_the_graph(
    store: Store, question: str, incident: str, message: str | None
) -> None:
    assert questions.unknown_incident(store, questions.load(question), {"incident": incident}) == message
    assert questions.unknown_incident(store, questions.load("user-day"), {"user": incident}) is None


def test_the_command_refuses_unknown_names_and_notes_unknown_incidents(connected: None) -> None:
    refused = run("user-day", "--param", "user=alcie", "--param", f"day={D20}", code=1)
    assert "no user is called 'alcie'. Did you mean alice?" in refused.stderr
    noted = run("incident-edges", "--param", "incident=aaaa", "--format", "json")
    assert noted.stdout == "[]\n" and f"Did you mean {A}?" in noted.stderr


def test_list_and_show_need_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "connect", lambda *_: pytest.fail("connected"))
    listed = json.loads(run("list", "--format", "json").stdout)
    assert [row["question"] for row in listed] == questions.names()
    shown = next(row for row in listed if row["question"] == "user-day")
    assert shown["parameters"] == "user=USER [day=DAY, default last]"
    assert run("user-day", "--show").stdout == questions.load("user-day").text


def test_wrong_use_is_told_before_a_server_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "connect", lambda *_: pytest.fail("connected"))
    assert "`ueba ask list`" in run("who-is-it", code=2).stderr
    assert "user-day takes user=USER [day=DAY, default last]" in run("user-day", code=2).stderr
    assert "least=x is not a number" in run("many-sources", "--param", "least=x", code=2).stderr
    assert "`ueba ask list`" in run("../questions/user-day", code=2).stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (
            "ueba ask incident-",
            ["incident-edges", "incident-neighbours", "incident-onward", "incident-same-way"],
        ),
        ("ueba ask li", ["list"]),
        ("ueba ask who-reached --param s", ["since="]),
        ("ueba ask nothing --param s", []),
    ],
)
def test_a_shell_completes_questions_and_their_parameters(line: str, offered: list[str]) -> None:
    words = {"_UEBA_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    result = CliRunner().invoke(main, prog_name="ueba", env=words)
    assert [word.partition(",")[2] for word in result.stdout.split()] == offered
