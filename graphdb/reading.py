"""Whether a statement only reads the graph: asked before it runs, of its words and of the server's plan.

A server that refuses writes still lets a reader fetch files and web pages (LOAD CSV), list accounts, end
queries of others or call what an administrator installed. So a statement

    begins with a clause that reads, and is one statement
    calls procedures and functions of the lists below, which reach nothing but the graph
    has no LOAD CSV and no USE
    has no operator in its plan but those that read, where the server shows its plan

Words are found as the servers find them: in no comment, string or quoted name. What two servers may read in
two ways is refused: characters beyond ASCII outside of these, and escapes as `\\u0041`, which Neo4j replaces
before it looks for words, so that they may end a string or a comment. Leaves out writing, which the servers
refuse by themselves, in read transactions or to an account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphdb.errors import QueryError, ReadOnlyError

LONGEST = 100_000  # characters of a statement
BEGINNINGS = ("MATCH", "OPTIONAL", "UNWIND", "WITH", "RETURN", "CALL")
PROCEDURES = frozenset(
    """
    db.labels db.propertyKeys db.relationshipTypes db.schema.nodeTypeProperties db.schema.relTypeProperties
    db.schema.visualization db.index.fulltext.listAvailableAnalyzers db.index.fulltext.queryNodes
    db.index.fulltext.queryRelationships db.index.vector.queryNodes db.index.vector.queryRelationships
    """.split()
)
FUNCTIONS = frozenset(
    """
    abs acos all allReduce allShortestPaths any asin atan atan2 avg btrim cardinality ceil ceiling
    char_length character_length coalesce coll.distinct coll.flatten coll.indexOf coll.insert coll.max
    coll.min coll.remove coll.sort collect collect_list cos cosh cot coth count date date.realtime
    date.statement date.transaction date.truncate datetime datetime.fromEpoch datetime.fromEpochMillis
    datetime.realtime datetime.statement datetime.transaction datetime.truncate degrees duration
    duration.between duration.inDays duration.inMonths duration.inSeconds duration_between e element_id
    elementId endNode exists exp floor haversin head id isEmpty isNaN keys labels last left length ln
    local_datetime local_time localdatetime localdatetime.realtime localdatetime.statement
    localdatetime.transaction localdatetime.truncate localtime localtime.realtime localtime.statement
    localtime.transaction localtime.truncate log log10 lower ltrim max min nodes none normalize nullIf
    path_length percentile_cont percentile_disc percentileCont percentileDisc pi point point.distance
    point.withinBBox power properties radians rand randomUUID range reduce relationships replace reverse
    right round rtrim shortestPath sign sin single sinh size split sqrt startNode stdev stdev_pop stdev_samp
    stdevp string_join substring sum tail tan tanh time time.realtime time.statement time.transaction
    time.truncate timestamp toBoolean toBooleanList toBooleanOrNull toFloat toFloatList toFloatOrNull
    toInteger toIntegerList toIntegerOrNull toLower toString toStringList toStringOrNull toUpper trim type
    upper valueType vector.similarity.cosine vector.similarity.euclidean zoned_datetime zoned_time
    """.split()
)
# Words that stand before a parenthesis and call nothing. Those that write are for the server to refuse.
KEYWORDS = frozenset(
    """
    ACYCLIC ALL AND ANY ASSERT BY CALL CASE CONTAINS CREATE DELETE DISTINCT ELEMENTS ELSE EXISTS FILTER
    FOREACH GROUP GROUPS IN INSERT LIMIT MATCH MERGE NOT OFFSET ON OR PATH PATHS RELATIONSHIPS RETURN SET
    SHORTEST SKIP THEN TRAIL UNWIND WALK WHEN WHERE WITH XOR
    """.split()
)
# Operators of plans, without what Neo4j adds in parentheses and after @. Whole families are read by their
# endings, so that a new scan or join of a later version is one too.
OPERATORS = re.compile(
    r"\w*(Scan|Seek|SeekByRange|ByIdSeek|FromCountStore|Expand|HashJoin|ShortestPath)"
    r"|(?!Foreach|Transaction)\w*Apply"
    r"|(Bidirectional)?Repeat|(Partial)?(Sort|Top)|(Ordered)?(Aggregation|Distinct|Union)|Triadic\w+"
    r"|(Partitioned)?Unwind|(Exhaustive)?Limit|Eager(Aggregation)?"
    r"|AssertSameNode|AssertSameRelationship|Anti|Argument|CacheProperties|CartesianProduct|EmptyResult|EmptyRow"
    r"|Filter|Optional|PreserveOrder|ProcedureCall|ProduceResults|ProjectEndpoints|Projection"
    r"|RemoteBatchProperties(WithFilter)?|Skip"
)

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f]+|//[^\r\n]*|/\*.*?\*/)"
    r"|(?P<string>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
    r"|`(?P<quoted>(?:[^`]|``)*)`"
    r"|(?P<word>[A-Za-z_0-9]+)"
    r"|(?P<sign>/(?!\*)|[][(){}<>=+\-*%^|&!.,:;$@?~#])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\u+[0-9A-Fa-f]{4}", re.IGNORECASE)


class Token(NamedTuple):
    """A part of a statement. kind: string, quoted (a name in backticks, without them), word or sign"""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """In upper case, if it is a word: a keyword may be written in either."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def names(self) -> bool:
        return self.kind in ("word", "quoted")


def check(cypher: str) -> None:
    """Raises ReadOnlyError if the words of a statement do more than read the graph, QueryError if they can be
    understood in several ways."""
    parts = list(tokens(cypher))
    if parts and parts[-1].text == ";":
        parts.pop()
    if not parts or parts[0].word not in BEGINNINGS:
        first = parts[0].text[:40] if parts else "nothing"
        raise ReadOnlyError(
            f"a query begins with {', '.join(BEGINNINGS[:-1])} or {BEGINNINGS[-1]}, and this with {first!r};"
            " only reading is allowed here"
        )
    for at, part in enumerate(parts):
        _check_part(parts, at, part)


def check_plan(plan: Mapping[str, Any] | None, kind: str | None) -> None:
    """Raises ReadOnlyError if an operator of a plan does more than read the graph.

    plan: of the server, as the driver has it; kind: of the query, `r` reads"""
    if plan is None:
        raise ReadOnlyError("the server shows no plan of this query, so it is not known to only read")
    for operator, detail in _operators(plan):
        if not OPERATORS.fullmatch(operator):
            raise ReadOnlyError(
                f"this is not known to only read the graph: the server's plan for it has {operator!r}"
            )
        if operator == "ProcedureCall":
            _check_name(detail.partition("(")[0].strip(), PROCEDURES, "procedure")
    if kind != "r":
        raise ReadOnlyError(f"this would write, and only reading is allowed here: its kind is {kind!r}")


def tokens(cypher: str) -> Iterator[Token]:
    """The parts of a statement, without spaces and comments.

    Raises QueryError for what servers may understand in several ways."""
    if len(cypher) > LONGEST:
        raise QueryError(f"a query has at most {LONGEST:,} characters; give long values as parameters")
    escape = _ESCAPE.search(cypher)
    if escape:
        raise QueryError(
            f"{escape[0]} is an escape, which may hide what a query does; write the character itself"
            " in a string, or give the value as a parameter"
        )
    at = 0
    while at < len(cypher):
        found = _TOKEN.match(cypher, at)
        if found is None:
            raise QueryError(
                f"{cypher[at]!a} at character {at + 1} is not understood outside of strings, comments and"
                " `quoted names`, or begins one that does not end"
            )
        at, kind = found.end(), str(found.lastgroup)
        if kind != "space":
            yield Token(kind, found[kind].replace("``", "`"))


def _check_part(parts: Sequence[Token], at: int, part: Token) -> None:
    before, after = parts[max(at - 2, 0) : at], parts[at + 1 : at + 2]
    if part.text == ";" and part.kind == "sign":
        raise QueryError("a query is one statement; ask the second one by itself")
    if part.word == "LOAD" and after and after[0].word == "CSV":
        raise ReadOnlyError("LOAD CSV reads files and web pages, and only reading the graph is allowed here")
    if part.word == "USE" and after and after[0].names and _is_beginning(before):
        raise ReadOnlyError("USE chooses another database, and only reading the graph is allowed here")
    is_parameter = bool(before) and before[-1].text == "$"
    if part.word == "CALL" and after and after[0].names and not is_parameter:
        _check_name(_name_from(parts, at + 1), PROCEDURES, "procedure")
    if part.kind == "sign" and part.text == "(" and before and before[-1].names:
        _check_function(parts, at)


def _is_beginning(before: Sequence[Token]) -> bool:
    """Whether a clause may begin after these parts, other than by another one."""
    words = [part.word or part.text for part in before]
    return words[-1:] in (["{"], ["UNION"], ["NEXT"]) or words in (["UNION", "ALL"], ["UNION", "DISTINCT"])


def _check_function(parts: Sequence[Token], at: int) -> None:
    """Of the name before the parenthesis at a place. Procedures have been looked at by themselves."""
    first = at - 1
    while first >= 2 and parts[first - 1].text == "." and parts[first - 2].names:
        first -= 2
    previous = parts[first - 1] if first else None
    is_call = previous is not None and previous.word == "CALL"
    is_index = first > 2 and parts[first - 1].text == ":" and parts[first - 3].word in ("INDEX", "SEEK")
    if is_call or is_index or (first == at - 1 and parts[first].word in KEYWORDS):
        return
    _check_name(_name_from(parts, first), FUNCTIONS, "function")


def _name_from(parts: Sequence[Token], at: int) -> str:
    """The name with dots that begins at a place."""
    name = parts[at].text
    while at + 2 < len(parts) and parts[at + 1].text == "." and parts[at + 2].names:
        at += 2
        name = f"{name}.{parts[at].text}"
    return name


def _check_name(name: str, known: frozenset[str], kind: str) -> None:
    if name.lower() not in {entry.lower() for entry in known}:
        raise ReadOnlyError(f"the {kind} {name!r} is not among those that only read the graph")


def _operators(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every operator of a plan, with its details."""
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        name = str(node.get("operatorType", "")).partition("@")[0].partition("(")[0]
        yield name, str(node.get("args", {}).get("Details", ""))
        waiting += node.get("children") or ()
