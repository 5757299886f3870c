"""The bundled graph server: ArcadeDB from the `arcadedb-embedded` wheel, with its own Java, in a process of
its own.

`start` returns when the server answers over Bolt; it listens on loopback alone, outlives the caller, and is
found again by the next one. Two passwords are generated, for an account that may do everything and one that
can only read, and kept in a file that only the owner can read. Whether the server runs is told by a lock
that its process holds, which goes when it does, however it ends. After `kill -9` the next start recovers
what was committed.

Bolt is all that listens: the HTTP service, which takes SQL, imports and commands about the server, is stopped
before the server is ready, and what is asked beside Bolt goes through `graphdb.control`. Statements reach
neither files nor the network, and scripts are off, whichever account runs them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphdb import control
from graphdb.errors import ServerError

DATABASE = "graph"
READER = "reader"
START_TIMEOUT_S = 60
LONGEST_QUERY_S = 86_400  # after which the server ends a query by itself, whoever has forgotten it
_LISTED = 500  # characters of a query's text that the server surely lists
_LOCKED = (  # what no statement may do, whoever runs it; of every database of the process
    "opencypher.loadCsv.allowFileUrls=false",
    "opencypher.loadCsv.allowRemoteUrls=false",
    "polyglotEngineEnabled=false",
    "server.restoreImportAllowLocalUrls=false",
    "server.security.importBlockLocalNetworks=true",
    f"command.timeout={LONGEST_QUERY_S * 1000}",
)


@dataclass(frozen=True)
class Connection:
    """Where a graph is and how to log in. directory, pid: of the bundled server, None for another."""

    uri: str
    username: str
    password: str = field(repr=False)
    database: str
    reader: str | None = None
    reader_password: str | None = field(default=None, repr=False)
    directory: Path | None = None
    pid: int | None = None


def from_environment(environment: Mapping[str, str]) -> Connection | None:
    """The server that NEO4J_URI names, with NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE; None if it is
    not set. Raises ServerError if the address holds a password, which messages would show."""
    uri = environment.get("NEO4J_URI")
    if not uri:
        return None
    if "@" in uri.partition("?")[0]:
        raise ServerError(
            "NEO4J_URI holds a name or password before @; give them as NEO4J_USERNAME and NEO4J_PASSWORD"
        )
    return Connection(
        uri,
        environment.get("NEO4J_USERNAME") or "neo4j",
        environment.get("NEO4J_PASSWORD", ""),
        environment.get("NEO4J_DATABASE") or "neo4j",
    )


def start(directory: Path, heap: str = "1g") -> Connection:
    """Start the server whose data lives in a directory, or find it running. Raises ServerError naming its
    log."""
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    with _lock(directory / "start.lock"):
        if "http_port" in (_facts(directory) or {}):  # of a version before, and not yet closed to the rest
            _end(directory, 30)
        if not running(directory):
            _launch(directory, heap)
        _wait((directory / "ready").exists, START_TIMEOUT_S)  # of one whose starter was killed
        return connection(directory)


def stop(directory: Path, timeout_s: float = 30) -> bool:
    """Stop the server; False if none ran. One that does not stop in time is killed: it recovers on the next
    start."""
    if not running(directory):
        return False
    with _lock(directory / "start.lock"):
        return _end(directory, timeout_s)


def _end(directory: Path, timeout_s: float) -> bool:
    facts = _facts(directory)
    if facts is None or not running(directory):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(facts["pid"], signal.SIGTERM)
    if not _wait(lambda: not running(directory), timeout_s):
        kill(directory)
    return True


def kill(directory: Path) -> None:
    """End the server at once, whatever it is doing. What was committed is kept."""
    facts = _facts(directory)
    if facts is not None and running(directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(facts["pid"], signal.SIGKILL)
        _wait(lambda: not running(directory), 10)


def restart(directory: Path, pid: int | None) -> Connection:
    """Kill the server process `pid` and start another on the same port: the last way to end a query.
    Whoever comes second finds that it was done."""
    with _lock(directory / "start.lock"):
        facts = _facts(directory) or {}
        if facts.get("pid") == pid or not running(directory):
            kill(directory)
            _launch(directory, facts.get("heap", "1g"), facts.get("bolt_port"))
        return connection(directory)


def terminate(directory: Path, cypher: str, ran_s: float) -> bool:
    """End what the read-only account has been running with this text for about that long. False if nothing
    was ended.

    The server tells queries apart by its own ids, which the driver does not know; so the same text, run by
    somebody else for as long, is ended too."""
    question = {"terminate": cypher.strip()[:_LISTED], "ran_ms": (ran_s - 0.5) * 1000}
    try:
        return bool(control.ask(directory, question)["ended"])
    except ServerError:
        return False


def queries(directory: Path) -> list[dict[str, Any]]:
    """The queries that run: user, text, elapsed_ms. Raises ServerError if the server does not answer."""
    found: list[dict[str, Any]] = control.ask(directory, {})["queries"]
    return found


def running(directory: Path) -> bool:
    """Whether a server process holds the directory."""
    path = directory / "server.lock"
    if not path.exists():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def connection(directory: Path) -> Connection:
    """How to reach the running server of a directory. Raises ServerError if none runs."""
    directory = directory.absolute()
    facts = _facts(directory)
    if facts is None or not running(directory):
        raise ServerError(f"{directory}: the bundled graph server is not running")
    check_answers(directory)
    passwords = json.loads((directory / "credentials.json").read_text())
    uri = f"bolt://127.0.0.1:{facts['bolt_port']}"
    return Connection(
        uri, "root", passwords["root"], DATABASE, READER, passwords["reader"], directory, facts["pid"]
    )


def check_answers(directory: Path) -> None:
    """Raises ServerError unless the server of a directory runs and is ready: whoever listens on its port
    otherwise is somebody else, who must not be shown a password."""
    if not running(directory) or not (directory / "ready").exists():
        raise ServerError(
            f"{directory}: the bundled graph server is not running any more; ask again, which starts it"
        )


def status(directory: Path) -> dict[str, Any]:
    """running, pid, Bolt's port; never a password."""
    facts = _facts(directory) if running(directory) else None
    return {"running": facts is not None, "directory": str(directory), **(facts or {})}


def _facts(directory: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((directory / "server.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return facts


def _launch(directory: Path, heap: str, bolt_port: int | None = None) -> None:
    _write_passwords(directory)
    facts = {"bolt_port": bolt_port or _free_port(), "heap": heap}
    log_path = directory / "server.log"
    (directory / "ready").unlink(missing_ok=True)
    with open(_own_file(log_path, os.O_WRONLY | os.O_APPEND), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "graphdb.server", str(directory)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(facts).encode())
    process.stdin.close()
    _write(directory / "server.json", json.dumps({"pid": process.pid, **facts}))
    if not _wait(lambda: (directory / "ready").exists() or process.poll() is not None, START_TIMEOUT_S):
        process.kill()
    # The process is meant to outlive this one, so nobody waits for it here.
    process.returncode = process.returncode if process.returncode is not None else 0
    if not (directory / "ready").exists():
        last = log_path.read_text(errors="replace").strip().splitlines()[-1:]
        raise ServerError(
            f"the bundled graph server did not start: {' '.join(last) or 'no answer'}; its log is {log_path}"
        )


def _write_passwords(directory: Path) -> None:
    path = directory / "credentials.json"
    if path.exists():
        return
    content = json.dumps({"root": secrets.token_urlsafe(24), "reader": secrets.token_urlsafe(24)})
    with open(_own_file(path, os.O_WRONLY | os.O_EXCL), "w") as file:
        file.write(content)


def _write(path: Path, content: str) -> None:
    """Replace a file by a new one, for the user alone; a link in its place is replaced too."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(_own_file(temporary, os.O_WRONLY | os.O_EXCL), "w") as file:
        file.write(content)
    temporary.replace(path)


def _own_file(path: Path, flags: int) -> int:
    """Open a file of the server's folder, made if it is missing, for the user alone. Raises ServerError if it
    is a link."""
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as reason:
        if reason.errno == errno.ELOOP:
            raise ServerError(f"{path}: is a link, which is not written to; remove it") from reason
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(done: Any, timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.05)
    return bool(done())


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(_own_file(path, os.O_WRONLY), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- inside the server's own process ------------------------------------------------------------------------


def _serve(directory: Path) -> None:
    """Run until SIGTERM. Settings come on standard input, passwords from the owner's file, nothing on the
    command line."""
    from arcadedb_embedded.server import ArcadeDBServer

    lock = open(_own_file(directory / "server.lock", os.O_WRONLY), "w")  # noqa: SIM115 - until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    facts = json.loads(sys.stdin.read())
    passwords = json.loads((directory / "credentials.json").read_text())
    os.chdir(directory)
    _allow_reading(directory)
    server = ArcadeDBServer(
        str(directory),
        root_password=passwords["root"],
        config={
            "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "host": "127.0.0.1",
            "http_port": _free_port(),
            "bolt_port": facts["bolt_port"],
            "bolt_host": "127.0.0.1",
        },
        jvm_kwargs={"heap_size": facts["heap"], "jvm_args": [f"-Darcadedb.{name}" for name in _LOCKED]},
    )
    server.start()
    engine = server._java_server  # the wheel has no other way to the parts of the server
    engine.getHttpServer().stopService()
    if not (directory / "databases" / DATABASE).exists():
        server.create_database(DATABASE)
    _make_reader(engine.getSecurity(), passwords)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (directory / "ready").touch()
    try:
        control.serve(lambda question: _answer(engine.getRunningQueries().getRunning(), question))
    finally:
        server.stop()


def _answer(running: Any, question: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked over `graphdb.control`: the queries that run, having ended those that were to end."""
    found = [
        {"user": str(query.getUser()), "text": str(query.getText()), "elapsed_ms": query.getElapsedMillis()}
        for query in running
    ]
    ended = [
        query.terminate("ueba")
        for query, known in zip(running, found, strict=True)
        if known["user"] == READER
        and known["text"].strip()[:_LISTED] == question.get("terminate")
        and known["elapsed_ms"] >= question.get("ran_ms", 0)
    ]
    return {"queries": found, "ended": any(ended)}


def _allow_reading(directory: Path) -> None:
    """A group that may read records and nothing else."""
    path = directory / "config" / "server-groups.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    admin = {
        "resultSetLimit": -1,
        "readTimeout": -1,
        "access": ["updateSecurity", "updateSchema", "updateDatabaseSettings"],
        "types": {"*": {"access": ["createRecord", "readRecord", "updateRecord", "deleteRecord"]}},
    }
    reader = {
        "resultSetLimit": -1,
        "readTimeout": -1,
        "access": [],
        "types": {"*": {"access": ["readRecord"]}},
    }
    nobody = {"resultSetLimit": -1, "readTimeout": -1, "access": [], "types": {"*": {"access": []}}}
    groups = {"version": 1, "databases": {"*": {"groups": {"admin": admin, READER: reader, "*": nobody}}}}
    _write(path, json.dumps(groups))


def _make_reader(security: Any, passwords: Mapping[str, str]) -> None:
    """The account that can only read; made anew where it is missing."""
    import jpype  # type: ignore[import-untyped]

    if not security.existsUser(READER):
        password = str(security.encodePassword(passwords["reader"]))
        user = {"name": READER, "password": password, "databases": {DATABASE: [READER]}}
        security.createUser(jpype.JClass("com.arcadedb.serializer.json.JSONObject")(json.dumps(user)))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
