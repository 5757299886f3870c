"""The nodes and relationships of the graph, declared once. `graphdb` makes the statements, `ueba.graph`
loads the rows.

A relationship stands for one day, so that a path can respect time. Days are ISO dates as text, which sort
and print well; times are UTC.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from graphdb import Node, Property, Relationship, Schema

_NAME = Property("name", "one spelling for all spellings in the logs")
_DAY = Property("day", "ISO date, UTC")
_COUNT = Property("count", "events on the day")
_FAILURES = Property("failures", "failed events among these; if all failed, nothing was reached")
_FIRST = Property("first_seen", "UTC")
_LAST = Property("last_seen", "UTC")
_REACHED_AS = Property(
    "embedding",
    "unit vector, by who reaches it; the cosine of two is their similarity",
    vector=True,
)
_STANDING = (  # as entity tables say it
    Property("crown_jewel", "true for a crown jewel, otherwise null"),
    Property("honey", "true if any use of it is an incident, otherwise null"),
    Property("left", "ISO date, the last day of who left or of what was retired; null if there is none"),
)
STANDING = tuple(property.name for property in _STANDING)

_RISK = (
    Property(
        "risk",
        "what was unusual about it over 30 days, the older the less; null if nothing was beyond chance",
    ),
    Property(
        "risk_change", "of the risk since a week before; null likewise, or if there was nothing to compare"
    ),
)

_PERIOD = (
    Property(
        "period_days",
        "anything so strange happens here once in so many days; if it is a bound, not once in so many",
    ),
    Property("period_is_bound", "true if nothing as strange came in these days, so that it is rarer"),
)

# (:User), may also be (:ServiceAccount) or (:MachineAccount), and (:Privileged)
USER = Node(
    "User",
    "name",
    (
        _NAME,
        Property("kind", "human, service, machine or anonymous"),
        *_STANDING,
        Property(
            "embedding",
            "unit vector, by what it reaches; the cosine of two is their similarity",
            vector=True,
        ),
        *_RISK,
    ),
    "an account",
    extra_labels=("ServiceAccount", "MachineAccount", "Privileged"),
)
# (:Machine)
MACHINE = Node(
    "Machine",
    "name",
    (
        _NAME,
        *_STANDING,
        _REACHED_AS,
        Property(
            "embedding_as_source",
            "the same by who acts from it; not to be compared with embedding",
            vector=True,
        ),
        *_RISK,
    ),
    "a computer, which can be acted from and reached",
)
# (:Resource)
RESOURCE = Node(
    "Resource",
    "name",
    (_NAME, *_STANDING, _REACHED_AS),
    "a share, mailbox, application, role or cloud account",
)
# (:ModelRun)
MODEL_RUN = Node(
    "ModelRun",
    "id",
    (
        Property("id", "the last day trained on, and a digest of all facts about the training"),
        Property("trained_until", "ISO date, the last day trained on"),
        Property("first_day", "ISO date, the first day trained on"),
        Property("seeds", "how many models are averaged"),
    ),
    "a trained model",
)
# (:Incident)
INCIDENT = Node(
    "Incident",
    "id",
    (
        Property("id", "scoring the day again gives the same id"),
        _DAY,
        Property("rank", "1 is the day's worst"),
        Property("score", "nats, higher is stranger"),
        *_PERIOD,
        Property("p_value", "the smallest of its edges, in (0, 1]; small is strange"),
        Property("p_is_bound", "whether scores carry no smaller p-value, so that it is a bound"),
        Property("title", "its first reason"),
        Property("reasons", "why its strangest edge is strange, in sentences, the strongest first"),
        Property("edges", "how many strange edges it holds"),
        Property("users", "how many accounts are in it"),
        Property("machines", "how many machines and resources are in it"),
        Property("backoff", "whether a score of it is a back-off: an entity has no history"),
        Property("verdict", "the last verdict on it when it was written; null if there was none"),
    ),
    "strange edges of a day that share a user or a source",
)
# (:Case)
CASE = Node(
    "Case",
    "id",
    (
        Property("id", "case- and the id of its earliest incident, the same while it grows"),
        Property("first_day", "ISO date, of its earliest incident"),
        Property("last_day", "ISO date, of its last incident"),
        Property("score", "nats, higher is stranger"),
        *_PERIOD,
        Property("incidents", "how many incidents it has, also those of days that are not in the graph"),
        Property("story", "who, from where, to what and what next, in one sentence"),
    ),
    "incidents that go on from one another, as one attack would",
)
# (:LoadedDay)
LOADED_DAY = Node(
    "LoadedDay",
    "day",
    (
        _DAY,
        Property("batches", "the files of the lake that the day was made from"),
        Property("findings", "a digest of the results that were written; null while they are being written"),
    ),
    "a day that was loaded completely",
)

_REACHED = (
    _DAY,
    Property("source", "the machine acted from; empty text if unknown"),
    Property("logon_types", "sorted"),
    Property("auth_packages", "sorted"),
    Property(
        "witnesses",
        "bit set of witnesses: 1 target, 2 domain controller, 4 source; 0 if the log format has only one",
    ),
    _COUNT,
    _FAILURES,
    _FIRST,
    _LAST,
    Property(
        "surprise", "nats, higher is stranger; null unless the edge was among the strangest of a scored day"
    ),
    Property("p_value", "in (0, 1], small is strange; null likewise"),
    Property("p_is_bound", "whether scores carry no smaller p-value, so that it is a bound; null likewise"),
    Property("incident", "the id of its incident; null if it is in none"),
)
SCORED = ("surprise", "p_value", "p_is_bound", "incident")  # the properties that scoring a day writes
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
    "REACHED", MACHINE, MACHINE, ("day", "user"), _HOP, "a machine from which a machine was reached"
)
# (:Machine)-[:REACHED {day, user}]->(:Resource)
REACHED_RESOURCE = Relationship(
    "REACHED", MACHINE, RESOURCE, ("day", "user"), _HOP, "a machine from which a resource was reached"
)

_ROLE = (Property("role", "user, source or target"),)
# (:Incident)-[:INVOLVES {role}]->(:User | :Machine | :Resource)
INVOLVES_USER = Relationship("INVOLVES", INCIDENT, USER, ("role",), _ROLE, "an account in an incident")
INVOLVES_MACHINE = Relationship("INVOLVES", INCIDENT, MACHINE, ("role",), _ROLE, "a machine in an incident")
INVOLVES_RESOURCE = Relationship(
    "INVOLVES", INCIDENT, RESOURCE, ("role",), _ROLE, "a resource in an incident"
)
# (:Incident)-[:SCORED_BY]->(:ModelRun)
SCORED_BY = Relationship("SCORED_BY", INCIDENT, MODEL_RUN, (), (), "the model that scored it")
# (:Incident)-[:PART_OF]->(:Case)
PART_OF = Relationship("PART_OF", INCIDENT, CASE, (), (), "the case that an incident is in")
# (:Incident)-[:GOES_ON_FROM {kind, by}]->(:Incident)
GOES_ON_FROM = Relationship(
    "GOES_ON_FROM",
    INCIDENT,
    INCIDENT,
    ("kind", "by"),
    (
        Property("kind", "same_user, same_machine or pivot"),
        Property("by", "the account or machine that leads from the earlier incident to this one"),
        Property("reason", "in a sentence"),
    ),
    "the earlier incident that an incident goes on from",
)

_SIMILAR = (
    Property("similarity", "cosine of the embeddings, in (0, 1]"),
    Property(
        "rests_on",
        "names of at most three partners that both met, the rarest first: what users reach, who reaches a"
        " target or acts from a source",
    ),
    Property("rank", "1 is the most similar; entities that are not in the graph leave gaps"),
    Property("as_of", "ISO date, the last day of the history"),
)
# (:User)-[:SIMILAR_TO {rank}]->(:User), (:Machine | :Resource)-[:SIMILAR_TO {rank}]->(:Machine | :Resource)
SIMILAR_TO = {
    (start, end): Relationship(
        "SIMILAR_TO",
        start,
        end,
        (),
        _SIMILAR,
        f"one of the {what} that are most similar to it, by {by}",
        remark=True,
    )
    for what, by, labels in (
        ("users", "what they reach", (USER,)),
        ("machines and resources", "who reaches them, or acts from them if nobody does", (MACHINE, RESOURCE)),
    )
    for start, end in itertools.product(labels, repeat=2)
}

SCHEMA = Schema(
    nodes=(USER, MACHINE, RESOURCE, INCIDENT, CASE, MODEL_RUN, LOADED_DAY),
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
        PART_OF,
        GOES_ON_FROM,
        *SIMILAR_TO.values(),
    ),
)


def described() -> Iterator[tuple[str, str, tuple[Property, ...]]]:
    """For a reader: each label and relationship type in Cypher, its meaning, and its properties."""
    for node in SCHEMA.nodes:
        also = f"; may also be (:{') or (:'.join(node.extra_labels)})" if node.extra_labels else ""
        yield f"(:{node.label})", node.description + also, node.properties
    for kind in dict.fromkeys(relationship.type for relationship in SCHEMA.relationships):
        same = [relationship for relationship in SCHEMA.relationships if relationship.type == kind]
        starts, ends = (
            " | ".join(f":{label}" for label in dict.fromkeys(labels))
            for labels in zip(*map(_ends, same), strict=True)
        )
        meaning = "; ".join(dict.fromkeys(relationship.description for relationship in same))
        yield f"({starts})-[:{kind}]->({ends})", meaning, same[0].properties


def _ends(relationship: Relationship) -> tuple[str, str]:
    return relationship.start.label, relationship.end.label
