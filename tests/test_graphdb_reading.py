"""A query reads the graph and nothing else: no file, no page of a network, nobody's account or query."""

import http.server
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphdb import Connection, GraphError, QueryError, QueryTimeout, ReadOnlyError, reading, server
from graphdb.store import Store

SECRET = "only-the-owner-knows"


@pytest.fixture(scope="module")
def fetched() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and the paths that were asked of it."""
    asked: list[str] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{SECRET}\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}", asked
        listener.shutdown()


@pytest.fixture(scope="module")
def store(connection: Connection) -> Iterator[Store]:
    lonely = "MATCH (n:T_Read) WITH n LIMIT $limit DELETE n RETURN count(*) AS deleted"
    with Store(connection) as opened:
        opened.delete(lonely)
        opened._write("CREATE (n:T_Read {name: 'ann'})", {})
        yield opened
        opened.delete(lonely)


LOADING = [
    "LOAD CSV FROM '{url}' AS l RETURN l",
    "load\n\tcsv WITH HEADERS FROM '{url}' AS l RETURN l",
    "MATCH (n) LOAD CSV FROM '{url}?n=' + n.name AS l RETURN l",
    "UNWIND [1] AS one LOAD/**/CSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS one LOAD // CSV\n CSV FROM '{url}' AS l RETURN l",
    "RETURN COLLECT {{ LOAD CSV FROM '{url}' AS l RETURN l }} AS x",
    "MATCH (n) WHERE EXISTS {{ LOAD CSV FROM '{url}' AS l RETURN l }} RETURN n",
    "CALL {{ LOAD CSV FROM '{url}' AS l RETURN l }} RETURN l",
    "CALL () {{ LOAD CSV FROM '{url}' AS l RETURN l }} RETURN l",
    "RETURN 1 AS l UNION LOAD CSV FROM '{url}' AS l RETURN l",
    "WITH 'it''s' AS x, \"'\" AS y LOAD CSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS `a``b` LOAD CSV FROM '{url}' AS l RETURN l",
    "WITH '\\\\' AS x LOAD CSV FROM '{url}' AS l RETURN l //'",
    "/* ' */ WITH 1 AS x LOAD CSV FROM '{url}' AS l RETURN l // '",
    # Escapes that Neo4j replaces before it looks for words: of a letter, a quotation mark, a line's end.
    "WITH 1 AS x \\u004cOAD CSV FROM '{url}' AS l RETURN l",
    "WITH 'a\\u0027 AS x LOAD CSV FROM \"{url}\" AS l RETURN l //'",
    "WITH 1 AS x // \\u000a LOAD CSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS x LOAD\\uu0020CSV FROM '{url}' AS l RETURN l",
    # Spaces that are none in ASCII.
    "WITH 1 AS x LOAD\u00a0CSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS x LOAD\u2003CSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS x LOAD\u180eCSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS x LOAD\ufeffCSV FROM '{url}' AS l RETURN l",
    "WITH 1 AS x LOAD\x1cCSV FROM '{url}' AS l RETURN l",
    # Words before it.
    "EXPLAIN LOAD CSV FROM '{url}' AS l RETURN l",
    "PROFILE LOAD CSV FROM '{url}' AS l RETURN l",
    "CYPHER runtime=slotted LOAD CSV FROM '{url}' AS l RETURN l",
    "CYPHER 5 PROFILE WITH 1 AS x LOAD CSV FROM '{url}' AS l RETURN l",
    "USE neo4j LOAD CSV FROM '{url}' AS l RETURN l",
    "USING PERIODIC COMMIT LOAD CSV FROM '{url}' AS l RETURN l",
    "RETURN 1 AS one; LOAD CSV FROM '{url}' AS l RETURN l",
    ";LOAD CSV FROM '{url}' AS l RETURN l",
    "RETURN apoc.load.json('{url}') AS l",
    "RETURN `apoc`.`load`.`json`('{url}') AS l",
    "CALL apoc.load.csv('{url}') YIELD list RETURN list",
    "CALL `apoc.load.json`('{url}')",
]


@pytest.mark.parametrize("cypher", LOADING)
def test_a_query_reaches_no_file_and_no_page(
    store: Store, fetched: tuple[str, list[str]], tmp_path: Path, cypher: str
) -> None:
    page, asked = fetched
    file = tmp_path / "secret.csv"
    file.write_text(SECRET)
    for url in (page, file.as_uri(), str(file)):
        with pytest.raises((ReadOnlyError, QueryError)) as refused:
            store.query(cypher.format(url=url))
        assert SECRET not in str(refused.value)
    assert asked == []


REFUSED = [
    "SHOW USERS",
    "show current user",
    "SHOW TRANSACTIONS YIELD * RETURN *",
    "SHOW SETTINGS",
    "SHOW INDEXES",
    "/**/SHOW/**/USERS",
    "TERMINATE TRANSACTION 'neo4j-transaction-1'",
    "TERMINATE TRANSACTIONS 'a', 'b'",
    "USE system MATCH (n) RETURN n",
    "USE graph.byName('x') RETURN 1 AS one",
    "RETURN 1 AS x UNION ALL USE system RETURN 2 AS x",
    "CALL { USE system RETURN 1 AS x } RETURN x",
    "CREATE USER eve SET PASSWORD 'longenough'",
    "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
    "DROP DATABASE neo4j",
    "STOP DATABASE neo4j",
    "GRANT ROLE admin TO eve",
    "START TRANSACTION",
    "COMMIT",
    "CALL db.clearQueryCaches()",
    "CALL db.clearQueryCaches",
    "CALL /* db.labels() */ db.clearQueryCaches()",
    "CALL dbms.listConfig()",
    "CALL dbms.listConfig() YIELD name RETURN name",
    "CALL dbms.killQuery('x')",
    "CALL `dbms`.`listConfig`()",
    "CALL DBMS.listConfig()",
    "CALL db . clearQueryCaches ( )",
    "MATCH (n) CALL db.createLabel('x') RETURN n",
    "OPTIONAL CALL db.stats.clear() YIELD section RETURN section",
    "CALL apoc.cypher.doIt('CREATE (n)', {}) YIELD value RETURN value",
    "CALL apoc.export.csv.all('x.csv', {})",
    "CALL jwt.security.requestAccess()",
    "CALL refactor.mergeNodes([], {})",
    "RETURN apoc.cypher.runFirstColumnSingle('CREATE (n)', {}) AS x",
    "RETURN {x: file(), y: eval('1')} AS x",
    "RETURN {x: eval ('1')} AS x",
    "RETURN file() AS x",
    "RETURN linenumber() AS x",
    "RETURN util.sleep(100000) AS x",
    "RETURN util . sleep (100000) AS x",
    "RETURN `util`.sleep(100000) AS x",
    "RETURN `util.sleep`(100000) AS x",
    "RETURN 1 AS `x", "RETURN 'x", "RETURN 1 /* x", "",
    "// only a comment", ";", "RETURN 1 AS one;;", "BACKUP DATABASE", "CHECK DATABASE FIX",
    "SELECT FROM User",
    "IMPORT DATABASE 'http://127.0.0.1/x'", "{", "\x00RETURN 1 AS one", "RETURN 1 AS one\x00",
]  # fmt: skip


@pytest.mark.parametrize("cypher", REFUSED)
def test_what_is_no_reading_of_the_graph_is_refused_before_it_runs(cypher: str) -> None:
    with pytest.raises((ReadOnlyError, QueryError)):
        reading.check(cypher)


@pytest.mark.parametrize("cypher", REFUSED)
def test_it_is_refused_on_every_server(store: Store, cypher: str) -> None:
    with pytest.raises((ReadOnlyError, QueryError)):
        store.query(cypher, timeout_s=5)
    with pytest.raises((ReadOnlyError, QueryError)):
        store.graph(cypher, timeout_s=5)


READING = [
    "MATCH (n:User) WHERE n.name =~ '.*(x).*' RETURN n.name AS name ORDER BY name LIMIT 5",
    "// a comment with LOAD CSV\nMATCH (n) /* SHOW USERS */ RETURN 'LOAD CSV; USE system' AS text LIMIT 1;",
    "RETURN 'C:\\\\users\\\\x' AS path, \"it's\" AS quoted, 'žluťoučký 🐎' AS horse",
    "WITH 1 AS `LOAD CSV ž` RETURN `LOAD CSV ž` + 1 AS `SHOW`",
    "CALL db.labels() YIELD label RETURN label",
    "CALL db.propertyKeys()",
    "MATCH (a) CALL { WITH a MATCH (a)-->(b) RETURN count(b) AS reached } RETURN a.name AS name, reached",
    "MATCH (a) WHERE EXISTS { MATCH (a)-->() } AND (a.x IS NULL OR NOT (a.x IN [1, 2])) RETURN count(a) AS c",
    "UNWIND [{use: 1, load: 2}] AS map RETURN map.use AS use, map.load AS csv",
    "MATCH p = shortestPath((a:User {name: 'x'})-[:R*..3]->(b:User {name: 'y'})) RETURN length(p) AS length",
    "RETURN date.truncate('month', date('2026-01-21')) AS month, duration.between(date(), date()) AS none",
    "RETURN CASE WHEN (1 = 1) THEN (2) ELSE (3) END AS x, reduce(s = 0, i IN [1, 2] | s + i) AS sum",
    "RETURN all(x IN [1] WHERE (x > 0)) AS every, [(a)-->(b) | b.name] AS names, [i IN range(1, 2) | i] AS r",
    "RETURN $call AS call, $load AS load UNION ALL RETURN 1 AS call, 2 AS load",
    "MATCH (n) RETURN DISTINCT labels(n) AS labels, percentileCont(n.x, 0.5) AS half",
    "OPTIONAL MATCH (n:User) WITH n SKIP 0 LIMIT (1) RETURN collect(n {.name, .kind}) AS maps",
]


@pytest.mark.parametrize("cypher", READING)
def test_what_reads_is_let_in(store: Store, cypher: str) -> None:
    if "[(a)-->(b) |" in cypher:
        cypher = f"MATCH (a) WITH a LIMIT 1 {cypher}"
    store.query(cypher, {"call": 1, "load": 2})


def test_hints_are_no_functions() -> None:
    reading.check("MATCH (u:User) USING INDEX u:User(name) WHERE u.name = $name RETURN u")
    reading.check("MATCH (u:User) USING RANGE INDEX SEEK u:User(name) WHERE u.name = $name RETURN u")
    with pytest.raises(ReadOnlyError, match="eval"):
        reading.check("RETURN {seek: 1, x: eval('1')} AS x")


def test_the_message_says_what_is_allowed() -> None:
    with pytest.raises(ReadOnlyError, match="begins with MATCH, OPTIONAL, UNWIND, WITH, RETURN or CALL"):
        reading.check("SHOW USERS")
    with pytest.raises(ReadOnlyError, match="the procedure 'dbms.listConfig'"):
        reading.check("CALL dbms.listConfig()")
    with pytest.raises(QueryError, match="as a parameter"):
        reading.check(r"RETURN '\u0041' AS a")
    with pytest.raises(QueryError, match="at most 100,000 characters"):
        reading.check(f"RETURN '{'x' * 100_000}' AS x")
    with pytest.raises(QueryError, match="one statement"):
        reading.check("RETURN 1 AS x; RETURN 2 AS x")


PLANNED = [
    "LOAD CSV FROM '{url}' AS l RETURN l",
    "RETURN COLLECT {{ LOAD CSV FROM '{url}' AS l RETURN l }} AS x",
    "MATCH (n) WHERE EXISTS {{ LOAD CSV FROM '{url}' AS l RETURN l }} RETURN n",
    "SHOW USERS",
    "SHOW TRANSACTIONS",
    "TERMINATE TRANSACTION 'x'",
    "CALL dbms.listConfig()",
    "CALL db.clearQueryCaches()",
    "MATCH (n) CALL db.ping() YIELD success RETURN success",
    "CREATE (n)",
    "MATCH (n) SET n.x = 1",
    "MATCH (n) DETACH DELETE n",
    "MERGE (n:User {{name: 'x'}}) RETURN n",
    "FOREACH (x IN [1] | CREATE (n))",
    "CREATE INDEX x IF NOT EXISTS FOR (n:User) ON (n.x)",
]


@pytest.mark.parametrize("cypher", PLANNED)
def test_a_plan_shows_it_where_the_words_were_not_understood(
    store: Store, fetched: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, cypher: str
) -> None:
    """The second look, with the first one taken away; of the bundled server, what it refuses by itself."""
    url, asked = fetched
    monkeypatch.setattr(reading, "check", lambda _: None)
    is_about_others = cypher.startswith(("SHOW TRANSACTIONS", "TERMINATE", "MATCH (n) CALL db.ping"))
    if store.connection.directory is not None and (is_about_others or "dbms.listConfig" in cypher):
        pytest.skip("the bundled server has no plans, and this harms nobody there")
    with pytest.raises(GraphError):
        store.query(cypher.format(url=url))
    assert asked == []
    assert store.query("MATCH (n:T_Read) RETURN n")["n"].tolist() == [{"labels": ["T_Read"], "name": "ann"}]


def test_a_plan_of_another_make_is_not_trusted() -> None:
    for plan in (None, {"operatorType": "ArcadeDB.OpenCypher.Plan"}, {"operatorType": "ForeachApply@neo4j"}):
        with pytest.raises(ReadOnlyError):
            reading.check_plan(plan, "r")
    nested = {"operatorType": "Apply@neo4j", "children": [{"operatorType": "LoadCSV@neo4j", "children": []}]}
    with pytest.raises(ReadOnlyError, match="LoadCSV"):
        reading.check_plan(nested, "r")
    with pytest.raises(ReadOnlyError, match="kind"):
        reading.check_plan({"operatorType": "AllNodesScan@neo4j"}, "rw")
    reading.check_plan({"operatorType": "Expand(All)@neo4j", "args": {}, "children": []}, "r")


@pytest.mark.parametrize("account", ["root", "reader"])
@pytest.mark.parametrize("scheme", ["page", "file"])
def test_the_bundled_server_itself_loads_nothing(
    bundled_server: Path, fetched: tuple[str, list[str]], tmp_path: Path, account: str, scheme: str
) -> None:
    page, asked = fetched
    file = tmp_path / "secret.csv"
    file.write_text(SECRET)
    url = page if scheme == "page" else file.as_uri()
    found = server.start(bundled_server, heap="512m")
    names = {"root": (found.username, found.password), "reader": (found.reader, found.reader_password)}
    user, password = names[account]
    with Store(Connection(found.uri, user or "", password or "", found.database)) as opened:
        with pytest.raises((ReadOnlyError, QueryError)):
            opened._own_rows(f"LOAD CSV FROM '{url}' AS l RETURN l")
    assert asked == []


def test_words_are_found_as_the_servers_find_them() -> None:
    """Every text of a few signs that mean something: a word that is outside of all of them is found."""
    signs = ("'", '"', "`", "//", "/*", "*/", "\n", "\\")
    for before in itertools.product(signs, repeat=3):
        text = f"RETURN 1 {''.join(before)} LOAD CSV FROM 'x' AS l"
        try:
            words = [part.text for part in reading.tokens(text)]
        except QueryError:
            continue
        assert ("LOAD" in words) == outside(text, text.index("LOAD")), text


def outside(text: str, at: int) -> bool:
    """Whether a place is outside of strings, comments and quoted names: a character at a time."""
    state, index = "", 0
    ends = {"//": "\n", "/*": "*/", "'": "'", '"': '"', "`": "`"}
    while index < at:
        if not state:
            state = next((sign for sign in ends if text.startswith(sign, index)), "")
            index += len(state) or 1
        elif state in "'\"" and text[index] == "\\":
            index += 2
        elif text.startswith(ends[state], index):
            index += len(ends[state])
            state = ""
        else:
            index += 1
    return not state and index == at


def test_a_query_of_many_nested_parts_harms_nobody(store: Store) -> None:
    for cypher in (
        f"RETURN {'(' * 5000}1{')' * 5000} AS x",
        f"RETURN {'[' * 5000}1{']' * 5000} AS x",
        f"RETURN {'NOT ' * 5000} true AS x",
    ):
        try:
            store.query(cypher, timeout_s=20)
        except (QueryError, QueryTimeout, ReadOnlyError):
            pass
        except Exception as reason:
            assert type(reason).__module__ == "graphdb.errors", reason
    assert store.query("RETURN 1 AS one")["one"].tolist() == [1]
