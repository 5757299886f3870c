"""Entity tables: a table of people or machines that a directory exports (`--entities people.csv`).

A row is one entity, named in the first column whose name is in USER_NAMES or HOST_NAMES. Columns in ALIASES
hold other names of it (several with `;`, `,` or spaces between). `kind` is the kind of account (human,
service, machine, anonymous), or host for a machine. `groups`, `role` or `kind` with the word admin make an
administrator. Crown jewels, honey, leavers and maintenance have columns of their own, see
`ueba.ingest.identity.standing`. All other columns (department, manager, tier, owner, ...) are kept as
attributes. CSV with a header, JSON (lines or an array) or Parquet. A table of resources names them in a
column `resource` or `share`, or in `name` with a `kind` of RESOURCE_KINDS.

Names and addresses are spelt as those of events are (`ueba.spelling`). A table replaces an earlier one of the
same file name. Leaves out when something was true, but for leavers and maintenance; a table is believed for
all time.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ueba import state
from ueba.contracts import standing
from ueba.contracts.names import ListedEntity, RowKind
from ueba.errors import InputError
from ueba.ingest.identity import standing as columns_of_standing
from ueba.ingest.reading.characters import safe, utf8
from ueba.spelling import HOST, RESOURCE, USER, Spelling
from ueba.text import shortened

USER_NAMES = (
    "user",
    "account",
    "username",
    "user_name",
    "samaccountname",
    "login",
    "upn",
    "userprincipalname",
    "name",
    "email",
)
HOST_NAMES = (
    "host",
    "hostname",
    "machine",
    "computer",
    "device",
    "asset",
    "cmdb_ci",
    "fqdn",
    "ip",
    "address",
)
RESOURCE_NAMES = ("resource", "share")  # where no other column names the entity
ALIASES = (
    "aliases",
    "alias",
    "sid",
    "objectsid",
    "object_id",
    "upn",
    "userprincipalname",
    "samaccountname",
    "email",
    "mail",
    "fqdn",
)
ADDRESSES = ("ip", "ips", "address", "addresses", "ip_address")
KINDS = {
    "human": "human",
    "person": "human",
    "service": "service",
    "machine": "machine",
    "anonymous": "anonymous",
}
MOST_BYTES = 2**28  # of a table, on disk and unpacked
MOST_ROWS = 5_000_000
# What reading a damaged or hostile file raises.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
HOST_KINDS = ("host", "computer", "server", "workstation", "device")
RESOURCE_KINDS = ("resource", "share", "application", "mailbox", "bucket")
SPELLINGS: dict[RowKind, Spelling] = {"user": USER, "host": HOST, "resource": RESOURCE}
IS_ADMIN = re.compile(r"admin", re.IGNORECASE)


# --- a file -> its entities ---------------------------------------------------------------------------------

Row = dict[str, Any]  # column, in lower case -> value of a cell


class Placed(NamedTuple):
    """A row and where it stands in its file, as `line 7`."""

    place: str
    row: Row


def read(path: Path) -> list[ListedEntity]:
    """The entities of a table.

    Raises InputError if the file cannot be read, names no entity, or has a cell that says nothing
    understandable of crown jewels, honey, leavers or maintenance."""
    try:
        rows = [Placed(place, in_lower_case(row)) for place, row in rows_of(path)]
    except (*UNREADABLE, csv.Error, pa.ArrowException) as reason:
        raise InputError(
            f"{path}: cannot be read as a table of entities ({state.in_a_line(reason)}); give a CSV with a"
            " header, JSON or Parquet"
        ) from reason
    if not rows:
        raise InputError(f"{path}: holds no rows; give a CSV with a header, JSON or Parquet")
    columns = dict.fromkeys(name for placed in rows for name in placed.row)
    column = name_column(rows[0].row)
    if column is None:
        raise InputError(
            f"{path}: no column names the entity; call one of {shortened(', '.join(rows[0].row), 200)}"
            " user (for people) or host (for machines)"
        )
    reader = columns_of_standing.Reader(path, columns, [placed.row for placed in rows])
    found = [entity for placed in rows if (entity := entity_of(placed, column, reader)) is not None]
    if not found:
        raise InputError(f"{path}: no row has a name in column {column}")
    return found


def in_lower_case(row: Row) -> Row:
    """A row with its columns in lower case, without those that have no name."""
    return {text(key).lower(): value for key, value in row.items() if key}


def name_column(columns: Iterable[str]) -> str | None:
    """The column that names the entity: the first that names a user or a machine, else a resource."""
    listed = list(columns)
    known = [column for column in listed if column in (*USER_NAMES, *HOST_NAMES)]
    return next(iter([*known, *(column for column in listed if column in RESOURCE_NAMES)]), None)


def rows_of(path: Path) -> list[Placed]:
    """The rows of a file by column. Raises one of UNREADABLE, csv.Error or pa.ArrowException."""
    with state.opened(path, MOST_BYTES) as file:
        content = file.read()
    if content.startswith(b"PAR1"):
        return _numbered(_parquet_rows(content))
    decoded = safe(b"".join(utf8(iter([content]))))[0].decode()
    if decoded.lstrip().startswith("["):
        return _numbered(json.loads(decoded))
    if decoded.lstrip().startswith("{"):
        lines = enumerate(decoded.splitlines(), start=1)
        read = [Placed(f"line {number}", json.loads(line)) for number, line in lines if line.strip()]
        return [placed for placed in read if isinstance(placed.row, dict)]
    header = decoded.split("\n", 1)[0]
    table = csv.DictReader(io.StringIO(decoded), delimiter=max(",;\t", key=header.count), restval="")
    return [Placed(f"line {table.line_num - _line_breaks(row)}", row) for row in table]


def _numbered(rows: Iterable[Any]) -> list[Placed]:
    return [Placed(f"row {number}", row) for number, row in enumerate(rows, 1) if isinstance(row, dict)]


def _line_breaks(row: Row) -> int:
    """The line breaks within the cells of a row of a CSV file."""
    return sum(cell.count("\n") for cell in row.values() if isinstance(cell, str))


def _parquet_rows(content: bytes) -> list[Row]:
    file = pq.ParquetFile(pa.BufferReader(content))
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if file.metadata.num_rows > MOST_ROWS or unpacked > MOST_BYTES:
        raise ValueError(f"it has {file.metadata.num_rows:,} rows, {unpacked:,} bytes unpacked: too many")
    return file.read().to_pylist()  # type: ignore[no-any-return]


def entity_of(placed: Placed, column: str, reader: columns_of_standing.Reader) -> ListedEntity | None:
    """The entity of one row, spelt as events are; None if the row does not name one.

    column: of the name; reader: of the table's standings"""
    row = placed.row
    kind = row_kind(row, column)
    spelling = SPELLINGS[kind]
    name = spelling.spell(text(row.get(column)))
    if name is None:
        return None
    others = [
        cell for alias_column in ALIASES if alias_column != column for cell in cells(row.get(alias_column))
    ]
    addresses = [cell for column_name in ADDRESSES for cell in cells(row.get(column_name))]
    return ListedEntity(
        kind=kind,
        name=name,
        aliases=() if kind == "resource" else tuple(sorted({*spelt(others, spelling)} - {name})),
        addresses=tuple(sorted({*spelt(addresses, HOST)})) if kind == "host" else (),
        account_kind=account_kind(kind_word(row)) if kind == "user" else None,
        is_admin=is_admin(row),
        attributes=attributes(row, column),
        standing=reader.standing(row, placed.place),
    )


def kind_word(row: Row) -> str:
    """What a row says of its kind, in lower case."""
    return text(row.get("kind") or row.get("type")).lower()


def row_kind(row: Row, column: str) -> RowKind:
    """Whether a row is of a user, a machine or a resource. column: of the name"""
    kind = kind_word(row)
    if column in RESOURCE_NAMES or (column == "name" and kind in RESOURCE_KINDS):
        return "resource"
    return "host" if column in HOST_NAMES or kind in HOST_KINDS else "user"


def account_kind(kind: str) -> str | None:
    """The kind of account that a cell begins with; None if there is none."""
    return next((KINDS[word] for word in KINDS if kind.startswith(word)), None)


def is_admin(row: Row) -> bool | None:
    """Whether a row is of an administrator; None if it has no group, role or kind."""
    groups = " ".join(text(row.get(name)) for name in ("groups", "group", "memberof", "role", "kind"))
    return bool(IS_ADMIN.search(groups)) if groups.strip() else None


def attributes(row: Row, column: str) -> dict[str, str]:
    """The columns of a row that have no meaning of their own. column: of the name"""
    meaning = (column, *ALIASES, *ADDRESSES, "kind", "type")
    others = [name for name in row if name not in meaning and columns_of_standing.meaning(name) is None]
    texts = {name: text(row[name]) for name in others}
    return {name: value for name, value in texts.items() if value}


def text(value: Any) -> str:
    """A cell as text; what cannot be written as UTF-8, and NUL, becomes U+FFFD."""
    if value is None:
        return ""
    written = str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return written.replace("\0", "\ufffd").strip()


def cells(value: Any) -> list[str]:
    """`a; b c` or a list, as texts."""
    parts = value if isinstance(value, list) else re.split(r"[;,\s]+", text(value))
    return [text(part) for part in parts if text(part)]


def spelt(names: Iterable[str], spelling: Spelling) -> list[str]:
    """Names as events have them, without those that say that there is no name."""
    return [name for text in names if (name := spelling.spell(text)) is not None]


# --- in the lake --------------------------------------------------------------------------------------------


def write(path: Path, root: Path) -> int:
    """Keep a table in the lake at `root`. Returns how many entities it has."""
    found = read(path)
    content = msgspec.json.format(msgspec.json.encode(found), indent=1)
    state.write(root / "given" / f"{path.name}.json", content)
    return len(found)


def stored(root: Path) -> list[ListedEntity]:
    """The entities of all tables in the lake. One in several tables has the aliases, addresses and attributes
    of all; where they contradict each other, the later file name counts. Raises WorkspaceError if one is
    damaged."""
    found: dict[tuple[str, str], ListedEntity] = {}
    for path in sorted(root.glob("given/*.json")):
        for later in _stored_table(path):
            earlier = found.get((later.kind, later.name))
            found[later.kind, later.name] = _both(earlier, later) if earlier else later
    return list(found.values())


def _stored_table(path: Path) -> list[ListedEntity]:
    remedy = f"remove it, and `ueba ingest --entities` {path.stem} again"
    data = state.content(path, remedy)
    with state.reading(path, remedy):
        return msgspec.json.decode(data, type=list[ListedEntity])


def _both(earlier: ListedEntity, later: ListedEntity) -> ListedEntity:
    return replace(
        later,
        aliases=tuple(sorted({*earlier.aliases, *later.aliases})),
        addresses=tuple(sorted({*earlier.addresses, *later.addresses})),
        account_kind=earlier.account_kind if later.account_kind is None else later.account_kind,
        is_admin=earlier.is_admin if later.is_admin is None else later.is_admin,
        attributes={**earlier.attributes, **later.attributes},
        standing=standing.both(earlier.standing, later.standing),
    )


def load(connection: duckdb.DuckDBPyConnection, roots: Iterable[Path]) -> None:
    """Make the database tables `listed` (kind: user, host, address; name, entity) and `listed_attribute`
    (kind, name, account_kind, is_admin, attributes and standing as JSON) of the entity tables of these
    lakes."""
    found = [listed for root in roots for listed in stored(root)]
    names = [(listed.kind, alias, listed.name) for listed in found for alias in listed.aliases]
    addresses = [("address", address, listed.name) for listed in found for address in listed.addresses]
    kept = [
        (
            listed.kind,
            listed.name,
            listed.account_kind,
            listed.is_admin,
            json.dumps(listed.attributes),
            standing.to_json(listed.standing),
        )
        for listed in found
    ]
    _table(connection, "listed", ("kind", "name", "entity"), [*names, *addresses])
    columns = ("kind", "name", "account_kind", "is_admin", "attributes", "standing")
    _table(connection, "listed_attribute", columns, kept)


def _table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str | bool | None, ...]],
) -> None:
    types = {column: pa.bool_() if column == "is_admin" else pa.string() for column in columns}
    arrow = pa.table(
        {column: pa.array([row[n] for row in rows], types[column]) for n, column in enumerate(columns)}
    )
    connection.register(f"{name}_rows", arrow)
    connection.execute(f"CREATE TABLE {name} AS FROM {name}_rows")
    connection.unregister(f"{name}_rows")
