"""What a batch of events proves about who is who: names seen together, counted by day. Small, whatever the
number of events.

| kind        | name              | other            | hour | meaning                                        |
|-------------|-------------------|------------------|------|------------------------------------------------|
| user        | user              | its directory id |      | an account was called so                       |
| host        | machine           | address or null  | yes  | a machine was called so, and had that address  |
| lease       | machine           | address          | yes  | a DHCP server gave it the address              |
| account     | machine           | address          | yes  | its account (`ws7$`) came from that address    |
| privilege   | user              | machine          |      | it held administrator rights there             |
| service     | user              |                  |      | it logged on as a service or batch job         |
| interactive | user              |                  |      | it logged on at a screen, near or far          |
| reporter    | machine or format | format           | yes  | it reported events; format: if it has no name  |

Columns: kind, day, hour (null but where `yes`), name, other, first, last (timestamp(6)), count. Of canonical
log sources only reporters are kept: their names have one form already. Leaves out what follows from the
evidence: `entities`, `ueba.ingest.silence`.
"""

from __future__ import annotations

from ueba.ingest.events import LEASE, PRIVILEGE
from ueba.ingest.fields import ADDRESS

COLUMNS = ("kind", "day", "hour", "name", "other", "first", "last", "count")
EMPTY = """SELECT NULL::VARCHAR AS kind, NULL::DATE AS day, NULL::BIGINT AS hour, NULL::VARCHAR AS name,
    NULL::VARCHAR AS other, NULL::TIMESTAMP AS first, NULL::TIMESTAMP AS last, NULL::BIGINT AS count
    WHERE false"""
IS_MACHINE = "regexp_matches(\"user\", '\\$(@.*)?$')"
MACHINE = "regexp_replace(\"user\", '\\$(@.*)?$', '')"  # ws7$@corp -> ws7
IS_ADDRESS = f"regexp_matches(coalesce(source_ip, source), '{ADDRESS}')"
IS_EDGE = f"(action IS NULL OR action NOT IN ('{LEASE}'))"
IS_LEASE = f"action = '{LEASE}' AND source_ip IS NOT NULL"
IS_SERVICE = "logon_type IN ('Service', 'Batch')"
IS_INTERACTIVE = "logon_type IN ('Interactive', 'RemoteInteractive', 'Unlock', 'CachedInteractive')"
IS_TARGET_MACHINE = f"target_kind = 'machine' AND {IS_EDGE}"

# kind, name, other, condition
PARTS = (
    ("user", '"user"', "user_id", f'"user" IS NOT NULL AND {IS_EDGE}'),
    ("user", "actor", "NULL", "actor IS NOT NULL"),
    ("host", "source", "source_ip", f"source IS NOT NULL AND {IS_EDGE}"),
    ("host", "target", "target_ip", IS_TARGET_MACHINE),
    ("lease", "source", "source_ip", IS_LEASE),
    ("account", MACHINE, "coalesce(source_ip, source)", f"{IS_MACHINE} AND {IS_ADDRESS}"),
    ("privilege", '"user"', "target", f"action = '{PRIVILEGE}'"),
    ("service", '"user"', "NULL", IS_SERVICE),
    ("interactive", '"user"', "NULL", IS_INTERACTIVE),
)
REPORTER = ("reporter", "coalesce(reporter, format)", "format", "true")  # of canonical log sources too
HOURLY = ("host", "lease", "account", "reporter")


def query(parsed: str) -> str:
    """SQL: the evidence in a table of events, which also has the columns `file`, `format` and `canonical`; by
    file."""
    not_canonical = f"(FROM {parsed} WHERE NOT canonical)"
    parts = [*(_part(*part, not_canonical) for part in PARTS), _part(*REPORTER, parsed)]
    return "\nUNION ALL\n".join(parts)


def _part(kind: str, name: str, other: str, condition: str, rows: str) -> str:
    hour = "hour(time)" if kind in HOURLY else "NULL::BIGINT"
    return f"""SELECT file, '{kind}' AS kind, time::DATE AS day, {hour} AS hour, {name} AS name,
        {other}::VARCHAR AS other, min(time) AS first, max(time) AS last, count(*) AS count
    FROM {rows} WHERE {condition} GROUP BY ALL"""
