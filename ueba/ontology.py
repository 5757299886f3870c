"""What stands in the graph, declared once. `graphdb` makes the statements; `ueba.graph` fills it.

Relationships are one per day, so that a path can respect time. Days are ISO dates as text, which both order
and print well; times are UTC.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from graphdb import Node, Property, Relationship, Schema

_NAME = Property("name", "as the log spells it, unified")
_DAY = Property("day", "ISO date, UTC")
_COUNT = Property("count", "events on the day")
_FAILURES = Property("failures", "failed events among them; if all failed, nothing was reached")
_FIRST = Property("first_seen", "UTC")
_LAST = Property("last_seen", "UTC")
_REACHED_AS = Property(
    "embedding",
    "unit vector of the model in use, whose cosine says how alike; as what is reached, if it was",
    vector=True,
)

# (:User), some (:ServiceAccount) or (:MachineAccount), some (:Privileged)
USER = Node(
    "User",
    "name",
    (
        _NAME,
        Property("kind", "human, service, machine or anonymous"),
        Property("embedding", "unit vector of the model in use, whose cosine says how alike", vector=True),
    ),
    "an account",
    extra_labels=("ServiceAccount", "MachineAccount", "Privileged"),
)
# (:Machine)
MACHINE = Node(
    "Machine",
    "name",
    (_NAME, _REACHED_AS, Property("embedding_as_source", "likewise, as what is acted from", vector=True)),
    "a computer, acted from or reached",
)
# (:Resource)
RESOURCE = Node("Resource", "name", (_NAME, _REACHED_AS), "a share, application, role or the like")
# (:ModelRun)
MODEL_RUN = Node(
    "ModelRun",
    "id",
    (
        Property("id", "the last day trained on, and a digest of what else is known of the training"),
        Property("trained_until", "ISO date, the last day trained on"),
        Property("first_day", "ISO date, the first day trained on"),
        Property("seeds", "models averaged"),
    ),
    "a trained model",
)
# (:Incident)
INCIDENT = Node(
    "Incident",
    "id",
    (
        Property("id", "stable: scoring the day again gives the same"),
        _DAY,
        Property("rank", "1 is the day's worst"),
        Property("score", "nats, higher is stranger"),
        Property("p_value", "of its strangest edge"),
        Property("title", "its first reason"),
        Property("reasons", "why its strangest edge is strange, in words, strongest first"),
        Property("edges", "how many strange edges it holds"),
        Property("users", "how many accounts are in it"),
        Property("machines", "how many machines and resources are in it"),
        Property("backoff", "whether some of it has no history and was scored through its group"),
        Property("verdict", "what triage said of it last, if it did when this was written"),
    ),
    "what one analyst would look at together",
)
# (:LoadedDay)
LOADED_DAY = Node(
    "LoadedDay",
    "day",
    (
        _DAY,
        Property("batches", "what the day's relationships were made of: their form, and the lake's files"),
        Property("findings", "stands for what scoring and triage said of the day, as it was written"),
    ),
    "a day that was loaded to its end",
)

_REACHED = (
    _DAY,
    Property("source", "machine acted from; empty if unknown"),
    Property("logon_types", "how, sorted"),
    Property("auth_packages", "with what, sorted"),
    Property(
        "witnesses",
        "a bit set of who saw it: 1 the host, 2 the controller, 4 the source; 0 where only one could",
    ),
    _COUNT,
    _FAILURES,
    _FIRST,
    _LAST,
    Property("surprise", "nats, if the day was scored and the edge was among its strangest"),
    Property("p_value", "in (0, 1], likewise"),
    Property("incident", "id, if it is in one"),
)
SCORED = ("surprise", "p_value", "incident")  # of these, what scoring a day says
# (:User)-[:LOGGED_ON {day, source}]->(:Machine)
LOGGED_ON = Relationship(
    "LOGGED_ON", USER, MACHINE, ("day", "source"), _REACHED, "an account reached a machine"
)
# (:User)-[:ACCESSED {day, source}]->(:Resource)
ACCESSED = Relationship(
    "ACCESSED", USER, RESOURCE, ("day", "source"), _REACHED, "an account reached a resource"
)
# (:User)-[:USED {day}]->(:Machine)
USED = Relationship("USED", USER, MACHINE, ("day",), (_DAY, _COUNT), "an account acted from a machine")

_HOP = (_DAY, Property("user", "the account"), _COUNT, _FAILURES, _FIRST, _LAST)
# (:Machine)-[:REACHED {day, user}]->(:Machine)
REACHED_MACHINE = Relationship(
    "REACHED", MACHINE, MACHINE, ("day", "user"), _HOP, "from a machine to another"
)
# (:Machine)-[:REACHED {day, user}]->(:Resource)
REACHED_RESOURCE = Relationship(
    "REACHED", MACHINE, RESOURCE, ("day", "user"), _HOP, "from a machine to a resource"
)

_ROLE = (Property("role", "user, source or target"),)
# (:Incident)-[:INVOLVES {role}]->(:User | :Machine | :Resource)
INVOLVES_USER = Relationship("INVOLVES", INCIDENT, USER, ("role",), _ROLE, "an account in an incident")
INVOLVES_MACHINE = Relationship("INVOLVES", INCIDENT, MACHINE, ("role",), _ROLE, "a machine in an incident")
INVOLVES_RESOURCE = Relationship(
    "INVOLVES", INCIDENT, RESOURCE, ("role",), _ROLE, "a resource in an incident"
)
# (:Incident)-[:SCORED_BY]->(:ModelRun)
SCORED_BY = Relationship("SCORED_BY", INCIDENT, MODEL_RUN, (), (), "which model found it")

_PEER = (
    Property("similarity", "cosine of the embeddings"),
    Property("rank", "1 is the nearest; one that is not in the graph leaves a gap"),
    Property("as_of", "ISO date, the last day that was known"),
)
# (:User)-[:PEER_OF {rank}]->(:User), (:Machine | :Resource)-[:PEER_OF {rank}]->(:Machine | :Resource)
PEER_OF = {
    (start, end): Relationship(
        "PEER_OF", start, end, (), _PEER, f"one of the few {what} most like it, by embedding", remark=True
    )
    for what, labels in (("users", (USER,)), ("machines and resources", (MACHINE, RESOURCE)))
    for start, end in itertools.product(labels, repeat=2)
}

SCHEMA = Schema(
    nodes=(USER, MACHINE, RESOURCE, INCIDENT, MODEL_RUN, LOADED_DAY),
    relationships=(
        LOGGED_ON,
        ACCESSED,
        USED,
        REACHED_MACHINE,
        REACHED_RESOURCE,
        INVOLVES_USER,
        INVOLVES_MACHINE,
        INVOLVES_RESOURCE,
        SCORED_BY,
        *PEER_OF.values(),
    ),
)


def described() -> Iterator[tuple[str, str, tuple[Property, ...]]]:
    """For a reader: each label and each relationship type as it is written in a query, what it is, and its
    properties."""
    for node in SCHEMA.nodes:
        also = f"; some are (:{') or (:'.join(node.extra_labels)}) as well" if node.extra_labels else ""
        yield f"(:{node.label})", node.description + also, node.properties
    for kind in dict.fromkeys(each.type for each in SCHEMA.relationships):
        same = [each for each in SCHEMA.relationships if each.type == kind]
        starts, ends = (
            " | ".join(f":{label}" for label in dict.fromkeys(labels))
            for labels in zip(*map(_ends, same), strict=True)
        )
        meaning = "; ".join(dict.fromkeys(each.description for each in same))
        yield f"({starts})-[:{kind}]->({ends})", meaning, same[0].properties


def _ends(relationship: Relationship) -> tuple[str, str]:
    return relationship.start.label, relationship.end.label
