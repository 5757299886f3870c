"""What a graph server could be set to better, in words for the person who runs it: for `ueba doctor`, and one
warning where a password would travel in clear.

What `ueba` asks only reads the graph whatever the server allows. These settings are for whoever else logs in,
and for the day on which a look at a query is not enough. Leaves out the bundled server, which is started with
them.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Mapping
from pathlib import PurePath
from urllib.parse import urlsplit

from graphdb import GraphError
from graphdb.store import Store

Check = dict[str, str]  # check, state (ok, warning or broken), detail

log = logging.getLogger("ueba.graph")

FILES = "dbms.security.allow_csv_import_from_file_urls"
FOLDER = "server.directories.import"
HOME = "server.directories.neo4j_home"
LOGIN = "dbms.security.auth_enabled"
UNRESTRICTED = "dbms.security.procedures.unrestricted"
SETTINGS = (FILES, FOLDER, HOME, LOGIN, UNRESTRICTED)


@functools.cache
def warn_of_clear_text(uri: str) -> None:
    """Log, once for each address, that a password sent there can be read on the way."""
    problem = clear_text(uri)
    if problem:
        log.warning("%s", problem)


def clear_text(uri: str) -> str | None:
    """What is wrong with the way to a server; None if it is on this machine, or encrypted and checked."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None  # not an address: the driver says so
    if _is_loopback(parts.hostname or ""):
        return None
    if parts.scheme in ("bolt", "neo4j"):
        return (
            f"NEO4J_URI={uri} is not encrypted: whoever is between this machine and the server can read"
            f" the password and the graph; use {parts.scheme}+s:// (and set up TLS in Neo4j)"
        )
    if parts.scheme.endswith("+ssc"):
        return (
            f"NEO4J_URI={uri} accepts any certificate: whoever is between this machine and the server can"
            f" pose as the server and get the password; use {parts.scheme.removesuffix('sc')}:// with a"
            " certificate that this machine trusts"
        )
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def checks(store: Store) -> list[Check]:
    """What `ueba doctor` says of an open server, other than that it answers."""
    if store.connection.directory is not None:
        return []
    problem = clear_text(store.connection.uri)
    way = {"check": "graph: way to the server", "state": "ok", "detail": "on this machine, or encrypted"}
    return [{**way, "state": "warning", "detail": problem} if problem else way, _settings(store)]


def _settings(store: Store) -> Check:
    check = {"check": "graph: settings"}
    try:
        found = store.settings(SETTINGS)
    except GraphError as reason:
        detail = f"this account may not see the server's settings ({reason}); docs/graph.md says which to set"
        return {**check, "state": "warning", "detail": detail}
    problems = problems_of(found)
    if problems:
        return {**check, "state": "warning", "detail": "; ".join(problems)}
    return {**check, "state": "ok", "detail": "no files in queries, procedures restricted, login required"}


def problems_of(settings: Mapping[str, str]) -> list[str]:
    """What should be set otherwise, and how. settings: of Neo4j, by name"""
    problems = []
    if settings.get(FILES, "true").lower() != "false":
        home, folder = settings.get(HOME, ""), settings.get(FOLDER, "")
        where = "any file of its machine" if _is_open(folder, home) else f"files in {folder}"
        problems.append(f"whoever logs in to Neo4j can read {where} with LOAD CSV: set {FILES}=false")
    if settings.get(LOGIN, "true").lower() == "false":
        problems.append(f"Neo4j asks nobody for a password: set {LOGIN}=true")
    if settings.get(UNRESTRICTED):
        problems.append(
            f"procedures called {settings[UNRESTRICTED]} may do anything on Neo4j's machine: empty"
            f" {UNRESTRICTED}, or name only what you need"
        )
    return problems


def _is_open(folder: str, home: str) -> bool:
    """Whether LOAD CSV reaches beyond a folder for it: without one, Neo4j shows its own."""
    return not folder or PurePath(folder) == PurePath(home or folder)
