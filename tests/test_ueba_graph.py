"""What the graph says of incidents and of who is like whom, and that it says the same however often and
however broken off."""

import datetime as dt
import itertools
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import verdicts
from detect_world import edge_table
from scored_world import incident_of, on_day
from scored_world import table as scored_table
from small_workspace import CONFIG, DAY, LAST, day_files, run, short_training

from graphdb import Connection, GraphError
from graphdb.store import Store
from ueba import findings, graph, ontology, scores, stages, suspects
from ueba.contracts import day_scores
from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.contracts.incident import ModelFacts
from ueba.contracts.night import Night
from ueba.contracts.reason import RareHour, Unknown
from ueba.contracts.standing import STAYS, Standing
from ueba.contracts.verdict import VerdictEdge
from ueba.detect.look import neighbours
from ueba.detect.past.history import History
from ueba.findings import Findings
from ueba.ingest import lake
from ueba.investigate import cases
from ueba.investigate.entity import EntityContext, describe, in_history
from ueba.memory import Memory
from ueba.nightly import nightly
from ueba.words import sentence
from ueba.workspace import Workspace

DOCS = (Path(__file__).parent.parent / "docs" / "graph.md").read_text()
DAYS = 6  # of the small organisation that are in the workspace here
FIRST, SECOND = dt.date(2024, 5, 1), dt.date(2024, 5, 2)
MODEL = ModelFacts(dt.date(2024, 4, 1), dt.date(2024, 4, 30), 1, {"10": 9.5}, "features")
REASONS = (RareHour("eve", 6.0), Unknown("source", "pc1"))


@pytest.fixture
def store(connection: Connection) -> Iterator[Store]:
    with Store(connection) as opened:
        wipe(opened)
        yield opened


def wipe(store: Store) -> None:
    for node in ontology.SCHEMA.nodes:
        store.delete(f"MATCH (n:{node.label}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")


def dump(store: Store) -> Counter[str]:
    """Every node with its labels and every relationship with its ends, with all properties, and how often
    each is there."""
    everything: Counter[str] = Counter()
    for node in ontology.SCHEMA.nodes:
        found = store.query(f"MATCH (n:{node.label}) RETURN n AS n", limit=10**6)
        everything.update(json.dumps(properties, sort_keys=True) for [properties] in found.values.tolist())
    for relationship in ontology.SCHEMA.relationships:
        pattern = f"(a:{relationship.start.label})-[r:{relationship.type}]->(b:{relationship.end.label})"
        start, end = relationship.start.key, relationship.end.key
        cypher = f"MATCH {pattern} RETURN a.{start} AS start, r AS r, b.{end} AS end"
        found = store.query(cypher, limit=10**6)
        everything.update(json.dumps(row, sort_keys=True) for row in found.values.tolist())
    return everything


# --- by hand ------------------------------------------------------------------------------------------------


def day_in(store: Store, day: dt.date, rows: list[tuple[str, str | None, str]]) -> None:
    """A day's edges; what is called share is a resource."""
    table = edge_table(day, rows)
    kinds = ["resource" if target == "share" else "machine" for target in table["target"].to_pylist()]
    table = table.set_column(table.column_names.index("target_kind"), "target_kind", pa.array(kinds))
    table = table.append_column("witnesses", pa.array([0] * len(table)))
    for item, rest in graph.day_tables(table, day):
        load = store.load_nodes if hasattr(item, "label") else store.load_relationships
        load(item, rest)


def findings_of(
    day: dt.date, edges: list[tuple[str, str | None, str, float, str | None]], model: ModelFacts = MODEL
) -> Findings:
    """Edges (user, source, target, surprise, incident), strangest first."""
    kinds = {"share": "resource"}
    rows = [
        on_day(
            day,
            Edge(user, source, target, kinds.get(target, "machine")),
            incident,
            surprise=surprise,
            p_value=float(np.exp(-surprise)),
        )
        for user, source, target, surprise, incident in edges
    ]
    ids = sorted({row.incident for row in rows if row.incident is not None})
    incidents = [
        incident_of(
            [row for row in rows if row.incident == name],
            rank=rank,
            score=9.0 - rank,
            p_value=0.001,
            reasons=REASONS,
            model=model,
        )
        for rank, name in enumerate(ids, start=1)
    ]
    return Findings(day, scored_table(rows), tuple(incidents))


STRANGE = [
    ("eve", "pc1", "srv", 9.0, "i1"),
    ("eve", None, "share", 8.0, "i1"),
    ("bob", "pc2", "srv", 5.0, "i2"),
    ("bob", "pc2", "share", 1.0, None),
]
EDGES = [edge[:3] for edge in STRANGE]


def test_an_incident_says_what_an_investigator_asks(store: Store) -> None:
    day_in(store, FIRST, EDGES)
    graph.write_findings(store, findings_of(FIRST, STRANGE), {"i2": "benign"})
    incidents = store.query("MATCH (i:Incident) RETURN i AS i ORDER BY i.rank")["i"].tolist()
    assert incidents[0] == {
        "labels": ["Incident"],
        "id": "i1",
        "day": "2024-05-01",
        "rank": 1,
        "score": 8.0,
        "p_value": 0.001,
        "p_is_bound": False,
        "title": sentence(REASONS[0]),
        "reasons": [*map(sentence, REASONS)],
        "edges": 2,
        "users": 1,
        "machines": 3,
        "backoff": False,
    }
    assert [incident.get("verdict") for incident in incidents] == [None, "benign"]
    involved = store.query(
        "MATCH (:Incident {id: 'i1'})-[r:INVOLVES]->(n) RETURN r.role AS role, labels(n) AS labels,"
        " n.name AS name"
    )
    assert sorted(involved.values.tolist()) == [
        ["source", ["Machine"], "pc1"],
        ["target", ["Machine"], "srv"],
        ["target", ["Resource"], "share"],
        ["user", ["User"], "eve"],
    ]


def test_what_an_earlier_scoring_said_goes(store: Store) -> None:
    """Scored again, i1 has lost the share, i2 is gone and bob is not strange any more. Another day keeps
    what was said of it."""
    for day in (FIRST, SECOND):
        day_in(store, day, EDGES)
    other = findings_of(SECOND, [(*EDGES[0], 7.0, "j1")])
    later = findings_of(FIRST, [(*EDGES[0], 4.0, "i1"), (*EDGES[1], 2.0, None)])
    graph.write_findings(store, later, {})
    graph.write_findings(store, other, {})
    never_otherwise = dump(store)
    graph.write_findings(store, findings_of(FIRST, STRANGE), {"i1": "malicious"})
    assert dump(store) != never_otherwise
    graph.write_findings(store, later, {})
    assert dump(store) == never_otherwise
    strange = store.query(
        "MATCH (u:User)-[r:LOGGED_ON|ACCESSED]->(m) WHERE r.surprise IS NOT NULL OR r.p_value IS NOT"
        " NULL OR r.incident IS NOT NULL"
        " RETURN r.day AS day, u.name AS user, m.name AS target, r.surprise AS surprise, r.incident AS"
        " incident"
    )
    assert sorted(strange.values.tolist(), key=str) == [
        ["2024-05-01", "eve", "share", 2.0, None],
        ["2024-05-01", "eve", "srv", 4.0, "i1"],
        ["2024-05-02", "eve", "srv", 7.0, "j1"],
    ]
    graph.write_findings(store, findings_of(FIRST, []), {})  # a day on which nothing at all is strange
    assert store.query("MATCH ()-[r]->() WHERE r.surprise IS NOT NULL RETURN r.day AS day")[
        "day"
    ].tolist() == ["2024-05-02"]


def test_what_stands_there_is_not_written_again_and_what_differs_is(store: Store) -> None:
    day_in(store, FIRST, EDGES)
    graph.write_findings(store, findings_of(FIRST, STRANGE), {})
    once = dump(store)
    with pytest.MonkeyPatch.context() as patch:
        writes = cut_at(patch, 10**9)
        graph.write_findings(store, findings_of(FIRST, STRANGE), {"i7": "true"})
        assert writes == [0] and dump(store) == once
        graph.write_findings(store, findings_of(FIRST, STRANGE), {"i1": "true"})
        assert writes[0] and dump(store) != once
    graph.write_findings(store, findings_of(FIRST, STRANGE), {})
    assert dump(store) == once


def test_findings_of_edges_that_are_not_there_make_none(store: Store) -> None:
    """The day's edges have other names by now than when it was scored."""
    day_in(store, FIRST, [("eve@corp", *edge[1:]) if edge[0] == "eve" else edge for edge in EDGES])
    day_in(store, SECOND, EDGES)
    graph.write_findings(store, findings_of(FIRST, STRANGE), {})
    every = store.query(
        "MATCH (u)-[r:LOGGED_ON|ACCESSED]->() WHERE r.day = $day RETURN u.name AS user, r.surprise AS nats",
        {"day": str(FIRST)},
    )
    assert sorted(every.values.tolist(), key=str) == [
        ["bob", 1.0],
        ["bob", 5.0],
        ["eve@corp", None],
        ["eve@corp", None],
    ]


def test_what_rules_hide_is_no_incident_unless_it_was_called_true(store: Store) -> None:
    day_in(store, FIRST, EDGES)
    found = findings_of(FIRST, STRANGE)
    hidden = replace(
        found,
        incidents=tuple(
            msgspec.structs.replace(incident, hidden_by="patches") for incident in found.incidents
        ),
    )
    asked = (
        "MATCH ()-[r:LOGGED_ON|ACCESSED]->() WHERE r.incident IS NOT NULL RETURN DISTINCT r.incident"
        " AS id ORDER BY id"
    )
    for decided, ids in (({}, []), ({"i1": "true", "i2": "benign"}, ["i1"])):
        graph.write_findings(store, hidden, decided)
        assert store.query(asked).values.ravel().tolist() == ids
        assert store.query("MATCH (i:Incident) RETURN i.id AS id ORDER BY id").values.ravel().tolist() == ids


def test_cases_say_which_incidents_go_on_from_which(store: Store, tmp_path: Path) -> None:
    """eve comes back on the second day; bob's incident is a case of its own."""
    workspace = Workspace(tmp_path)
    of_days = {FIRST: STRANGE, SECOND: [(*EDGES[0], 7.0, "j1")]}

    def load(*days: dt.date) -> Counter[str]:
        for day in days:
            day_in(store, day, EDGES)
            graph.write_scored_day(store, workspace, findings_of(day, of_days[day]), {})
        graph.write_cases(store, cases.read(workspace), workspace.findings)
        return dump(store)

    for day, strange in of_days.items():
        findings.save(findings_of(day, strange), workspace.findings)
    once = load(FIRST, SECOND)
    assert load(FIRST, SECOND) == once and load() == once
    parts = store.query("MATCH (i:Incident)-[:PART_OF]->(c:Case) RETURN i.id AS i, c.id AS c ORDER BY i")
    assert parts.values.tolist() == [["i1", "case-i1"], ["i2", "case-i2"], ["j1", "case-i1"]]
    [node] = store.query("MATCH (c:Case {id: 'case-i1'}) RETURN c AS c")["c"].tolist()
    book = cases.read(workspace)
    assert (node["first_day"], node["last_day"], node["incidents"]) == (str(FIRST), str(SECOND), 2)
    assert node["story"] == cases.sentence(book, book.cases[0]) and node["score"] > 8
    assert (node["period_days"], node["period_is_bound"]) == (1, True)
    often = store.query(
        "MATCH (i:Incident) RETURN i.id AS i, i.period_days AS d, i.period_is_bound AS b ORDER BY i"
    )
    assert often.values.tolist() == [["i1", 0, True], ["i2", 0, True], ["j1", 1, False]]
    links = store.query(
        "MATCH (a:Incident)-[r:GOES_ON_FROM]->(b:Incident)"
        " RETURN a.id AS a, b.id AS b, r.kind AS kind, r.by AS by, r.reason AS reason ORDER BY kind"
    )
    assert links.values.tolist() == [
        ["j1", "i1", "same_user", "eve", "goes on from i1: eve was in it too"],
    ]
    # Scored again, the second day has no incident, and the case is one incident.
    findings.save(findings_of(SECOND, []), workspace.findings)
    graph.write_findings(store, findings_of(SECOND, []), {})
    load()
    assert store.count(ontology.GOES_ON_FROM) == 0 and store.count(ontology.PART_OF) == 2
    store.prune(ontology.SCHEMA, "day", str(SECOND))
    assert store.count(ontology.CASE) == store.count(ontology.INCIDENT) == 0


def test_a_machine_and_a_resource_of_one_name_are_two(store: Store) -> None:
    """eve reaches, from the machine share, the resource share and the machine itself, which is no hop."""
    table = edge_table(FIRST, [("eve", "share", "share"), ("bob", "share", "share")])
    kinds = pa.array(["resource" if user == "eve" else "machine" for user in table["user"].to_pylist()])
    table = table.set_column(table.column_names.index("target_kind"), "target_kind", kinds)
    tables = graph.day_tables(table.append_column("witnesses", pa.array([0, 0])), FIRST)
    for item, rows in tables:
        load = store.load_nodes if hasattr(item, "label") else store.load_relationships
        load(item, rows)
    hops = store.query("MATCH (a)-[r:REACHED]->(b) RETURN labels(a) AS a, labels(b) AS b, r.user AS user")
    assert hops.values.tolist() == [[["Machine"], ["Resource"], "eve"]]


def test_nodes_say_what_the_organisation_knows_and_no_longer(store: Store) -> None:
    """ann is a crown jewel who left, the share honey; kim is not in the graph, and is not put there."""
    odd = "o'\x1b]}) DETACH DELETE n //"
    day_in(store, FIRST, [("ann", "pc1", "srv"), (odd, "PC2", "share")])
    before = dump(store)
    left = Standing(crown_jewel=True, left=dt.date(2024, 4, 30))
    standings = {
        Entity("user", "ann"): left,
        Entity("user", "kim"): left,
        Entity("user", odd.lower()): Standing(honey=True),
        Entity("machine", "pc2"): Standing(crown_jewel=True, left=STAYS),
        Entity("machine", "share"): Standing(honey=True),  # there is no such machine
        Entity("resource", "share"): Standing(honey=True),
    }

    def known() -> list[list[Any]]:
        query = """MATCH (n) WHERE n.crown_jewel OR n.honey OR n.left IS NOT NULL
            RETURN n.name AS name, n.crown_jewel AS jewel, n.honey AS honey, n.left AS left ORDER BY name"""
        found = store.query(query)
        return [[value if value == value else None for value in row] for row in found.values.tolist()]

    assert graph.write_standing(store, standings) == 4
    assert known() == [
        ["PC2", True, None, None],
        ["ann", True, None, "2024-04-30"],
        [odd, None, True, None],
        ["share", None, True, None],
    ]
    assert graph.write_standing(store, standings) == 0  # nothing to change
    fewer = {Entity("user", "ann"): Standing(left=dt.date(2024, 5, 1))}
    assert graph.write_standing(store, fewer) == 4
    assert known() == [["ann", None, None, "2024-05-01"]]
    assert graph.write_standing(store, {}) == 1 and known() == []
    assert [*map(bare, dump(store))] == [*map(bare, before)]


def bare(row: str) -> str:
    """A row of a dump without what is null."""
    return (
        json.dumps({name: value for name, value in json.loads(row).items() if value is not None})
        if (row.startswith("{"))
        else row
    )


def test_one_load_at_a_time(scored: Workspace) -> None:
    with scored.locked():
        assert "another run is at work here" in run(scored.root, "graph", "load", code=1).stderr


def test_models_trained_until_the_same_day_are_two(store: Store) -> None:
    other = msgspec.structs.replace(MODEL, usual_score={"10": 9.6})
    for day in (FIRST, SECOND):
        day_in(store, day, EDGES)
    graph.write_findings(store, findings_of(FIRST, STRANGE[:1]), {})
    graph.write_findings(store, findings_of(SECOND, [(*EDGES[2], 5.0, "j1")], other), {})
    asked = (
        "MATCH (i:Incident)-[:SCORED_BY]->(m:ModelRun) RETURN i.id AS i, m.id AS id, m.trained_until"
        " AS until ORDER BY i"
    )
    [first, second] = store.query(asked).to_dict("records")
    assert first["until"] == second["until"] == "2024-04-30" and first["id"] != second["id"]
    graph.write_findings(store, findings_of(FIRST, STRANGE[:1], other), {})
    assert store.query(asked)["id"].tolist() == [second["id"]] * 2
    assert store.count(ontology.MODEL_RUN) == 1


def test_incidents_go_with_their_days_and_keep_nobody(store: Store) -> None:
    """eve, pc1 and share are in an incident of the first day and similar to entities that stay; they are
    deleted."""
    day_in(store, FIRST, EDGES)
    day_in(store, SECOND, EDGES[2:3])
    graph.write_findings(store, findings_of(FIRST, STRANGE), {})
    graph.write_findings(
        store, findings_of(SECOND, [(*EDGES[2], 5.0, "j1")], msgspec.structs.replace(MODEL, seeds=2)), {}
    )
    for label, start, end in (
        ("USER", "eve", "bob"),
        ("USER", "bob", "eve"),
        ("MACHINE", "pc2", "srv"),
        ("MACHINE", "pc1", "srv"),
    ):
        ends = (getattr(ontology, label),) * 2
        store.load_relationships(
            ontology.SIMILAR_TO[ends], pa.table({"start": [start], "end": [end], "rank": [1]})
        )
    store.prune(ontology.SCHEMA, "day", str(SECOND))
    left = dump(store)
    assert {json.loads(text)["name"] for text in left if text.startswith('{"') and '"name"' in text} == {
        "bob",
        "pc2",
        "srv",
    }
    assert [store.count(item) for item in (ontology.INCIDENT, ontology.MODEL_RUN)] == [1, 1]
    similar = store.query("MATCH (a)-[:SIMILAR_TO]->(b) RETURN a.name AS a, b.name AS b")
    assert similar.values.tolist() == [["pc2", "srv"]]
    store.prune(ontology.SCHEMA, "day", str(SECOND))
    assert dump(store) == left
    store.prune(ontology.SCHEMA, "day", str(SECOND + DAY))
    assert not dump(store)


# --- on a workspace -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six days, the last scored and then learned, as after a night; with ten machines that were acted from
    and never reached."""
    workspace = Workspace(tmp_path_factory.mktemp("scored") / "ws")
    more = tmp_path_factory.mktemp("more") / "more.txt"
    at = (LAST - dt.date(1970, 1, 1) - DAY) // dt.timedelta(seconds=1)
    lines = [f"{at + n},U{n % 3}@X,U{n % 3}@X,K{n},C{n % 2},NTLM,Network,LogOn,Success\n" for n in range(10)]
    more.write_text("".join(lines))
    memory = Memory(workspace, CONFIG)
    stages.read(memory, [*day_files(logs)[-DAYS:], str(more)], "lanl")
    with short_training():
        stages.learn(memory, LAST - DAY)
        stages.score(memory, LAST)
        stages.learn(memory, LAST)
    return workspace


def load(store: Store, workspace: Workspace, days: int = 3) -> None:
    memory = Memory(workspace, CONFIG)
    graph.load(store, memory, LAST - (days - 1) * DAY, LAST)
    graph.write_similar(store, stages.entity_context(memory))


def similar_to(store: Store, label: str, name: str) -> list[list[Any]]:
    asked = (
        f"MATCH (:{label} {{name: $name}})-[p:SIMILAR_TO]->(o) RETURN o.name AS name, p.similarity AS"
        f" similarity, p.rests_on AS rests_on ORDER BY p.rank"
    )
    return store.query(asked, {"name": name}).values.tolist()


def test_similar_entities_are_those_that_ueba_entity_lists(store: Store, scored: Workspace) -> None:
    load(store, scored, days=DAYS)
    known = stages.entity_context(Memory(scored, CONFIG))
    checked: Counter[str] = Counter()
    named = 0
    names = [*known.history.users.names[::5], *known.history.places.names[::5], "K3", "K4", "K5"]
    entities = [Entity(kind, name) for name in names for kind in ("user", "machine")]
    for entity in in_history(known, entities):
        facts = describe(known, entity)
        label = {"account": "User", "machine": "Machine", "resource": "Resource"}[facts.kind.split()[-1]]
        expected = [
            [near.name, near.similarity, [one.name for one in near.rests_on]] for near in facts.nearest
        ]
        assert similar_to(store, label, facts.name) == expected, facts.name
        checked[facts.roles[0].role] += len(expected) == 5
        named += any(near.rests_on for near in facts.nearest)
    assert min(checked[role] for role in ("reaches", "is reached by", "is acted from by")) >= 3, checked
    assert named > 10
    assert run(scored.root, "entity", "--limit", "1").exit_code == 0
    as_of = store.query("MATCH ()-[p:SIMILAR_TO]->() RETURN DISTINCT p.as_of AS day")["day"]
    assert as_of.tolist() == [str(LAST)]


def test_the_cosine_of_embeddings_is_the_similarity(store: Store, scored: Workspace) -> None:
    load(store, scored)
    for label in ("User", "Machine"):
        found = store.query(
            f"MATCH (a:{label})-[p:SIMILAR_TO]->(b:{label})"
            " RETURN coalesce(a.embedding, a.embedding_as_source) AS a, a.embedding IS NULL AS acts,"
            " b.embedding AS reached,"
            " b.embedding_as_source AS acting, p.similarity AS similarity",
            limit=10**5,
        )
        for row in found.to_dict("records"):
            a, b = np.array(row["a"]), np.array(row["acting"] if row["acts"] else row["reached"])
            assert (np.linalg.norm(a), a @ b) == pytest.approx((1, row["similarity"]), abs=2e-6)
    only_acting = store.query(
        "MATCH (m:Machine) WHERE m.embedding IS NULL OPTIONAL MATCH (u:User)-[:LOGGED_ON]->(m)"
        " RETURN m.name AS name, u.name AS user"
    )
    assert only_acting["user"].isna().sum() > 5
    reviews = [suspects.load(scored.findings, day) for day in lake.days(scored.lake)]
    set_aside = {
        (suspect.edge.user, suspect.edge.target)
        for review in reviews
        if review
        for suspect in review.suspects
        if suspect.stands_out  # nothing was learned of it
    }
    reached = only_acting.dropna()
    assert set(zip(reached["user"], reached["name"], strict=True)) <= set_aside


def test_a_vector_index_finds_similar_entities_where_there_is_one(store: Store, scored: Workspace) -> None:
    load(store, scored)
    if store.connection.directory is not None:  # the bundled server has none
        assert len(store._own_rows("SHOW INDEXES YIELD type WHERE type = 'VECTOR' RETURN type")) == 0
        return
    store._write("CALL db.awaitIndexes(60)", {})
    asked = (
        "MATCH (u:User) WHERE u.name = $name CALL db.index.vector.queryNodes('user_embedding', 40,"
        " u.embedding) YIELD node, score"
        " WHERE node.name <> $name RETURN node.name AS name, 2 * score - 1 AS similarity"
    )
    for _ in range(10):  # after other tests on the same server, most were missing; why is not known
        there = missed = 0
        for name in store.query("MATCH (u:User) RETURN u.name AS name ORDER BY name LIMIT 20")["name"]:
            found = dict(store.query(asked, {"name": name}).values.tolist())
            for other, similarity, _ in similar_to(store, "User", name):
                there, missed = there + 1, missed + (other not in found)
                assert other not in found or found[other] == pytest.approx(similarity, abs=1e-4)
        if missed <= there / 20:
            break
        time.sleep(3)
    assert there >= 80 and missed <= there / 20  # the index is approximate: it may miss one now and then


def test_the_graph_holds_similar_entities_of_its_own_and_no_old_ones(
    store: Store, scored: Workspace, tmp_path: Path
) -> None:
    load(store, scored, days=1)
    known = stages.entity_context(Memory(scored, CONFIG))
    graphed = set(store.keys(ontology.USER))
    assert graphed < set(known.history.users.names)
    for name in sorted(graphed)[:10]:
        [facts] = [describe(known, number) for number in in_history(known, [Entity("user", name)])]
        expected = [
            (near.name, rank) for rank, near in enumerate(facts.nearest, start=1) if near.name in graphed
        ]
        asked = (
            "MATCH (:User {name: $name})-[p:SIMILAR_TO]->(o) RETURN o.name AS name, p.rank AS rank"
            " ORDER BY rank"
        )
        assert list(store.query(asked, {"name": name}).itertuples(index=False, name=None)) == expected
    before = dump(store)
    assert store.count(ontology.SIMILAR_TO[ontology.USER, ontology.USER])
    graph.write_similar(store, EntityContext(History(), LAST, None))  # of which nothing is known any more
    assert store.count(ontology.SIMILAR_TO[ontology.USER, ontology.USER]) == 0
    embedded = "MATCH (n) WHERE n.embedding IS NOT NULL OR n.embedding_as_source IS NOT NULL RETURN n LIMIT 1"
    assert not len(store.query(embedded))
    graph.write_similar(store, known)
    assert dump(store) == before


def test_embeddings_of_another_size_and_their_indexes_are_replaced(store: Store, scored: Workspace) -> None:
    load(store, scored, days=1)
    before = dump(store)
    names = store.keys(ontology.USER)
    old = pa.array([[0.6, 0.8]] * len(names), pa.list_(pa.float64()))
    store.load_nodes(ontology.USER, pa.table({"name": names, "embedding": old}))
    store.ensure_vector_indexes(ontology.USER, 2)
    load(store, scored, days=1)
    assert dump(store) == before
    if store.connection.directory is None:  # the bundled server has none
        indexes = store._own_rows(
            "SHOW INDEXES YIELD type, labelsOrTypes AS labels, options"
            " WHERE type = 'VECTOR' AND labels[0] IN ['User', 'Machine', 'Resource'] RETURN options"
        )
        sizes = [options["indexConfig"]["vector.dimensions"] for options in indexes["options"]]
        assert len(sizes) == 4 and set(sizes) == {neighbours.DIM}


def test_similar_entities_need_no_model_and_include_who_came_on_the_last_day(
    store: Store, scored: Workspace, tmp_path: Path
) -> None:
    workspace, more = Workspace(tmp_path / "ws"), tmp_path / "more.txt"
    shutil.copytree(scored.lake, workspace.lake)
    memory, at = Memory(workspace, CONFIG), (LAST - dt.date(1970, 1, 1)) // dt.timedelta(seconds=1)
    reached: dict[str, set[str]] = {}
    for row in lake.read_pairs(workspace.lake, LAST - DAY, LAST, "1GB").to_pylist():
        reached.setdefault(row["user"], set()).add(row["target"])
    broadest = max(reached, key=lambda user: (len(reached[user]), user))
    lines = [f"{at},NEW@X,NEW@X,C0,{target},NTLM,Network,LogOn,Success\n" for target in reached[broadest]]
    more.write_text("".join(sorted(lines)))
    stages.read(memory, [str(more)], "lanl")
    load(store, workspace, days=DAYS)
    assert broadest in [name for name, *_ in similar_to(store, "User", "NEW@X")]
    assert similar_to(store, "User", broadest) and not len(store.query("MATCH (m:ModelRun) RETURN m"))


def test_a_verdict_comes_with_the_next_load(store: Store, scored: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    shutil.copytree(scored.root, workspace.root)
    load(store, workspace, days=1)
    before = dump(store)
    worst = findings.load_incidents(workspace.findings, LAST, LAST)[0].id
    words = [(worst, "true"), ("20200101-00000000", "benign"), (worst, "benign")]
    entered = [verdicts.verdict(name, word) for name, word in words]
    file = verdicts.write(workspace.root, *entered)
    file.write_text(file.read_text() + '{"incident": "cut o')
    load(store, workspace, days=1)
    has_verdict = "MATCH (i:Incident) WHERE i.verdict IS NOT NULL RETURN i.id AS id, i.verdict AS verdict"
    assert store.query(has_verdict).values.tolist() == [[worst, "benign"]]
    verdicts.write(workspace.root, *entered, verdicts.verdict(worst, "withdrawn"))
    load(store, workspace, days=1)
    assert not len(store.query(has_verdict))
    file.unlink()
    load(store, workspace, days=1)
    assert dump(store) == before


# --- again, and after it was cut off ------------------------------------------------------------------------


def environment_of(connection: Connection) -> dict[str, str]:
    names = {
        "NEO4J_URI": connection.uri,
        "NEO4J_USERNAME": connection.username,
        "NEO4J_PASSWORD": connection.password,
    }
    return names | {"NEO4J_DATABASE": connection.database}


def test_again_is_the_same_graph(store: Store, scored: Workspace) -> None:
    load(store, scored)
    once = dump(store)
    assert sum("SIMILAR_TO" in text for text in once) > 100 and max(once.values()) == 1
    load(store, scored)
    assert dump(store) == once
    found = findings.load(scored.findings, LAST)
    for _ in range(2):
        graph.write_scored_day(store, scored, found, {})
        assert dump(store) == once
    wipe(store)
    for _ in range(2):
        output = run_load(scored, store)
        assert "SIMILAR_TO" in output and dump(store) == once


def run_load(workspace: Workspace, store: Store) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(store.connection).items():
            patch.setenv(name, value)
        days = ("--from", str(LAST - 2 * DAY), "--to", str(LAST))
        return run(workspace.root, "graph", "load", *days).output


class CutOff(GraphError):
    """The process is killed here."""


def cut_at(patch: pytest.MonkeyPatch, number: int) -> list[int]:
    """From the nth write on, none reaches the server. Returns the list that counts them."""
    write, done = Store._write, [0]

    def failing(self: Store, *arguments: Any) -> int:
        done[0] += 1
        if done[0] >= number:
            raise CutOff(f"at write {number}")
        return write(self, *arguments)

    patch.setattr(Store, "_write", failing)
    return done


def test_a_load_that_is_cut_off_anywhere_is_finished_by_the_next(store: Store, scored: Workspace) -> None:
    store.batch_rows = 200
    with pytest.MonkeyPatch.context() as patch:
        writes = cut_at(patch, 10**9)
        load(store, scored, days=2)
    whole = dump(store)
    for number in [*range(1, writes[0], max(writes[0] // 6, 1)), writes[0]]:
        wipe(store)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOff):
            cut_at(patch, number)
            load(store, scored, days=2)
        load(store, scored, days=2)
        assert dump(store) == whole, f"cut at write {number} of {writes[0]}"


def test_a_night_that_is_cut_off_is_finished_by_the_next(
    store: Store, scored: Workspace, quick_training: None, tmp_path: Path
) -> None:
    """In the graph, and between stages. In that night came late data for a day that was scored, loaded and
    learned."""
    environment = environment_of(store.connection)
    late = tmp_path / "late.txt"
    at = (LAST - dt.date(1970, 1, 1)) // dt.timedelta(seconds=1) + 3600
    late.write_text(
        f"{at},U1@X,U1@X,C1,C2,NTLM,Network,LogOn,Success\n{at},U9@X,U9@X,K1,K2,NTLM,Network,LogOn,Success\n"
    )

    def before(name: str) -> Workspace:
        wipe(store)
        load(store, scored)
        shutil.copytree(scored.root, tmp_path / name)
        return Workspace(tmp_path / name)

    def night(workspace: Workspace) -> Night:
        return nightly(workspace, [str(late)], "lanl", CONFIG, environment)

    def stopping(module: ModuleType, name: str, after: int = 0) -> Callable[[pytest.MonkeyPatch], object]:
        work, calls = getattr(module, name), itertools.count()

        def stop(*arguments: Any) -> Any:
            if next(calls) >= after:
                raise CutOff(name)
            return work(*arguments)

        return lambda patch: patch.setattr(module, name, stop)

    undisturbed = before("whole")
    result = night(undisturbed)
    whole = dump(store)
    assert result.loaded["LOGGED_ON"] and "score" in result.seconds and result.similar
    assert "score" not in night(undisturbed).seconds
    assert dump(store) == whole
    cuts = [
        stopping(graph, "load"),
        stopping(stages, "learn", after=1),  # scored, and not learned
        stopping(graph, "write_similar"),
        lambda patch: cut_at(patch, 25),
    ]
    for number, cut in enumerate(cuts):
        workspace = before(f"cut{number}")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOff):
            cut(patch)
            night(workspace)
        assert dump(store) != whole
        night(workspace)
        assert dump(store) == whole, number


# --- risk ---------------------------------------------------------------------------------------------------


def risks(store: Store, label: str) -> dict[str, tuple[float, float | None]]:
    cypher = f"MATCH (n:{label}) WHERE n.risk IS NOT NULL RETURN n.name AS name, n.risk AS risk"
    rows = store.query(f"{cypher}, n.risk_change AS change", limit=10**6)
    return {name: (risk, change) for name, risk, change in rows.values.tolist()} if len(rows) else {}


def test_risk_is_that_of_the_command_and_goes_with_its_reason(store: Store, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    edge = Edge("eve", "pc1", "srv1", "machine")
    day_in(store, SECOND, [("eve", "pc1", "srv1"), ("bob", "pc2", "srv2")])
    frame = pd.DataFrame([edge._asdict()]).assign(
        p_value=np.exp(-9.0),
        p_is_bound=False,
        surprise=9.0,
        strangeness=18.0,
        edges_a_day=1.0,
        incident="20240502-aa",
    )
    scores.save(day_scores.from_pandas(frame), workspace.findings, SECOND, 37)
    scored_edges = [on_day(SECOND, edge, "20240502-aa", p_value=float(np.exp(-9.0)))]
    findings.save(
        Findings(SECOND, scored_table(scored_edges), (incident_of(scored_edges),)), workspace.findings
    )
    for _ in range(2):  # again changes nothing
        assert graph.write_risk(store, workspace, ()) == 3
        assert risks(store, "User") == {"eve": (3.8, None)}
        assert risks(store, "Machine") == {"pc1": (3.8, None), "srv1": (3.8, None)}
    before = dump(store)
    benign = verdicts.verdict(
        "20240502-aa", "benign", day=SECOND, edges=(VerdictEdge(edge, frozenset(), 9.0),)
    )
    assert graph.write_risk(store, workspace, (benign,)) == 0
    assert risks(store, "User") == {} == risks(store, "Machine")
    graph.write_risk(store, workspace, ())
    assert dump(store) == before


def test_an_entity_that_is_not_in_the_graph_is_not_made_by_its_risk(store: Store, scored: Workspace) -> None:
    assert graph.write_risk(store, scored, ()) == 0
    assert store.count(ontology.USER) == 0


# --- the document -------------------------------------------------------------------------------------------


def test_the_document_says_what_the_ontology_says() -> None:
    rows = []
    for item, what, properties in ontology.described():
        names = ", ".join(f"`{prop.name}`" for prop in properties)
        escaped = item.replace("|", "\\|")
        rows.append(f"| `{escaped}` | {what} | {names} |")
    assert re.findall(r"^\| `.*$", DOCS, re.MULTILINE) == rows


def test_the_queries_of_the_document_run(store: Store, scored: Workspace) -> None:
    load(store, scored)
    if store.connection.directory is None:
        store._write("CALL db.awaitIndexes(60)", {})
    user = store.query("MATCH (:Incident)-[:INVOLVES {role: 'user'}]->(u) RETURN u.name AS name LIMIT 1")[
        "name"
    ][0]
    target = store.query(
        "MATCH (:User {name: $user})-[:LOGGED_ON]->(m) RETURN m.name AS name LIMIT 1", {"user": user}
    )["name"][0]
    left = Standing(left=dt.date(2026, 1, 1))
    jewel = Standing(crown_jewel=True)
    graph.write_standing(store, {Entity("user", user): left, Entity("machine", target): jewel})
    store._write("MATCH (u:User {name: $user}) SET u.risk = 2.5, u.risk_change = 0.5", {"user": user})
    queries = re.findall(r"```cypher\n(.*?)```", DOCS, re.DOTALL)
    assert len(queries) == 5
    for query in queries:
        if "vector" not in query or store.connection.directory is None:
            assert len(store.query(query, {"user": user} if "$user" in query else {})), query


def test_the_schema_is_told(tmp_path: Path) -> None:
    rows = json.loads(run(tmp_path, "graph", "schema", "--format", "json").stdout)
    assert {"item": "(:Incident)", "property": "verdict"}.items() <= {
        **[row for row in rows if row["property"] == "verdict"][0]
    }.items()
    assert all(row["meaning"] and row["schema_version"] == 1 for row in rows)
