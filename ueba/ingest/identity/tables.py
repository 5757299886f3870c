"""A table of people and machines that somebody keeps (`--entities people.csv`) -> what it says of each.

A row is one entity, named in the first column that is called as USER_NAMES or HOST_NAMES. Columns in ALIASES
hold other names of it (several with `;` or spaces between). `kind` says what it is (human, service, machine
account, anonymous; host for a machine). `groups`, `role` or `kind` with the word admin make an
administrator. All else (department, manager, tier, owner, ...) is kept as it is. CSV with a header, JSON
(lines or an array) or Parquet.

The table replaces an earlier one of the same file name. Leaves out: when something was true; the table is
believed for all time.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ueba.errors import InputError
from ueba.spelling import HOST, USER

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
HOST_NAMES = ("host", "hostname", "machine", "computer", "device", "asset", "fqdn", "ip", "address")
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
HOST_KINDS = ("host", "computer", "server", "workstation", "device")
ADMIN = re.compile(r"admin", re.IGNORECASE)


def read(path: Path) -> list[dict[str, Any]]:
    """kind (user, host), name, aliases, addresses, account_kind (or None), is_admin (or None), attributes of
    each row.

    Raises InputError where there are none."""
    try:
        rows = [
            {str(key).strip().lower(): value for key, value in row.items() if key} for row in rows_of(path)
        ]
    except (OSError, ValueError, csv.Error, pa.ArrowException) as reason:
        raise InputError(
            f"{path}: cannot be read as a table of entities ({str(reason).splitlines()[0]})"
        ) from reason
    columns = list(rows[0]) if rows else []
    if not rows:
        raise InputError(f"{path}: holds no rows; give a CSV with a header, JSON or Parquet")
    name = next((column for column in columns if column in (*USER_NAMES, *HOST_NAMES)), None)
    if name is None:
        raise InputError(
            f"{path}: no column names the entity; call one of {', '.join(columns)[:200]} user (for people) or host (for machines)"
        )
    found = [entity(row, name) for row in rows if text(row[name])]
    if not found:
        raise InputError(f"{path}: no row has a name in column {name}")
    return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Its rows by column. Raises ValueError and the like."""
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if text.lstrip().startswith("["):
        return [row for row in json.loads(text) if isinstance(row, dict)]
    if text.lstrip().startswith("{"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    header = text.split("\n", 1)[0]
    return list(csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count), restval=""))


def entity(row: dict[str, Any], column: str) -> dict[str, Any]:
    """One row, spelt as events are (`ueba.ingest.identity`), in plain Python: such tables are small."""
    kind = text(row.get("kind") or row.get("type")).lower()
    is_host = column in HOST_NAMES or kind in HOST_KINDS
    spell = (HOST if is_host else USER).spell
    others = [each for name in ALIASES if name != column for each in several(row.get(name))]
    groups = " ".join(text(row.get(name)) for name in ("groups", "group", "memberof", "role", "kind"))
    plain = {
        name: text(value)
        for name, value in row.items()
        if name not in (column, *ALIASES, *ADDRESSES, "kind", "type")
    }
    return {
        "kind": "host" if is_host else "user",
        "name": spell(text(row[column])),
        "aliases": sorted({spell(each) for each in others} - {spell(text(row[column]))}),
        "addresses": sorted(
            {each.lower() for name in ADDRESSES if is_host for each in several(row.get(name))}
        ),
        "account_kind": None
        if is_host
        else next((KINDS[word] for word in KINDS if kind.startswith(word)), None),
        "is_admin": bool(ADMIN.search(groups)) if groups.strip() else None,
        "attributes": {name: value for name, value in plain.items() if value},
    }


def text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def several(value: Any) -> list[str]:
    """`a; b c` or a list, as texts."""
    parts = value if isinstance(value, list) else re.split(r"[;,\s]+", text(value))
    return [text(part) for part in parts if text(part)]


def write(path: Path, root: Path) -> int:
    """Keep a table in the lake at `root`. Returns how many entities it has."""
    found = read(path)
    kept = root / "given" / f"{path.name}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.with_suffix(".tmp").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    kept.with_suffix(".tmp").replace(kept)
    return len(found)


def stored(root: Path) -> list[dict[str, Any]]:
    """What all tables in the lake say; of one entity in several, all of it, the later file name's first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(root.glob("given/*.json")):
        for each in json.loads(path.read_text(encoding="utf-8")):
            known = found.setdefault((each["kind"], each["name"]), each)
            if known is not each:
                known["aliases"] = sorted({*known["aliases"], *each["aliases"]})
                known["addresses"] = sorted({*known["addresses"], *each["addresses"]})
                known["attributes"] |= each["attributes"]
                for name in ("account_kind", "is_admin"):
                    known[name] = known[name] if each[name] is None else each[name]
    return list(found.values())
