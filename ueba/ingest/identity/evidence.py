"""What a batch of events tells about who is who: names seen together, counted by day. Small, whatever the
events' number.

| kind        | name                     | other             | hour | meaning                                                   |
|-------------|--------------------------|-------------------|------|-----------------------------------------------------------|
| user        | user                     | its directory id  |      | an account was called so                                  |
| host        | machine                  | address or null   | yes  | a machine was called so, and had that address             |
| lease       | machine                  | address           | yes  | a DHCP server gave it the address                         |
| account     | machine                  | address           | yes  | the machine's own account (`ws7$`) came from that address |
| privilege   | user                     | machine           |      | it held administrator rights there                        |
| service     | user                     |                   |      | it logged on as a service or batch job                    |
| interactive | user                     |                   |      | it logged on at a screen, near or far                     |
| reporter    | machine, else the format | format            | yes  | it reported events                                        |

Columns: kind, day, hour (null but where `yes`), name, other, first, last (timestamp(6)), count. Of canonical
sources only reporters are kept: their names are one way already. Leaves out what follows from it:
`entities`, `silence`.
"""

from __future__ import annotations

from ueba.ingest.events import LEASE, PRIVILEGE
from ueba.ingest.fields import ADDRESS

COLUMNS = ("kind", "day", "hour", "name", "other", "first", "last", "count")
EMPTY = """SELECT NULL::VARCHAR AS kind, NULL::DATE AS day, NULL::BIGINT AS hour, NULL::VARCHAR AS name, NULL::VARCHAR AS other,
 NULL::TIMESTAMP AS first, NULL::TIMESTAMP AS last, NULL::BIGINT AS count WHERE false"""
SERVICE_TYPES = ("Service", "Batch")
INTERACTIVE_TYPES = ("Interactive", "RemoteInteractive", "Unlock", "CachedInteractive")
IS_MACHINE = "regexp_matches(\"user\", '\\$(@.*)?$')"
IS_ADDRESS = f"regexp_matches(coalesce(source_ip, source), '{ADDRESS}')"


def query(parsed: str) -> str:
    """SQL: the evidence in a table of events with the columns `file`, `format` and `canonical` besides, by
    file."""
    named = f"(FROM {parsed} WHERE NOT canonical)"
    account = "regexp_replace(\"user\", '\\$(@.*)?$', '')"
    edge = f"action IS NULL OR action NOT IN ('{LEASE}')"
    parts = [
        _part("user", '"user"', "user_id", named, f'"user" IS NOT NULL AND ({edge})'),
        _part("user", "actor", "NULL", named, "actor IS NOT NULL"),
        _part("host", "source", "source_ip", named, f"source IS NOT NULL AND ({edge})", hourly=True),
        _part("host", "target", "target_ip", named, f"target_kind = 'machine' AND ({edge})", hourly=True),
        _part(
            "lease",
            "source",
            "source_ip",
            named,
            f"action = '{LEASE}' AND source_ip IS NOT NULL",
            hourly=True,
        ),
        _part(
            "account",
            account,
            "coalesce(source_ip, source)",
            named,
            f"{IS_MACHINE} AND {IS_ADDRESS}",
            hourly=True,
        ),
        _part("privilege", '"user"', "target", named, f"action = '{PRIVILEGE}'"),
        _part("service", '"user"', "NULL", named, f"logon_type IN {SERVICE_TYPES}"),
        _part("interactive", '"user"', "NULL", named, f"logon_type IN {INTERACTIVE_TYPES}"),
        _part("reporter", "coalesce(reporter, format)", "format", parsed, "true", hourly=True),
    ]
    return " UNION ALL ".join(parts)


def _part(kind: str, name: str, other: str, rows: str, where: str, hourly: bool = False) -> str:
    hour = "hour(time)" if hourly else "NULL::BIGINT"
    return (
        f"SELECT file, '{kind}' AS kind, time::DATE AS day, {hour} AS hour, {name} AS name, {other}::VARCHAR AS other,"
        f" min(time) AS first, max(time) AS last, count(*) AS count FROM {rows} WHERE {where} GROUP BY ALL"
    )
