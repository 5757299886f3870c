"""Events as OCSF 1.3 JSON lines: Authentication (3002), File Hosting Activity (6006), API Activity (6003).
One line an event.

A logon, a ticket and a sign-on to an application are authentications; a file share is opened, a cloud role
assumed by an API call. Only attributes that the schema requires or recommends, https://schema.ocsf.io/1.3.0.
Leaves out sessions and IP addresses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ueba.simulate.json_lines import fill
from ueba.simulate.writers import chunks, sink_of

LOGON_TYPES = {"Interactive": 2, "Network": 3, "Batch": 4, "Service": 5, "Unlock": 7, "RemoteInteractive": 10}
PROTOCOLS = {"NTLM": 1, "Kerberos": 2, "SAML": 5}
OTHER = 99
CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}


def base(class_uid: int, class_name: str, activity_id: int, activity_name: str) -> dict[str, Any]:
    """What every record has."""
    return {
        "time": "<<time>>",
        "class_uid": class_uid,
        "class_name": class_name,
        "category_uid": class_uid // 1000,
        "category_name": CATEGORIES[class_uid // 1000],
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": class_uid * 100 + activity_id,
        "severity_id": 1,
        "status_id": "<<status_id>>",
        "status": "<status>",
        "metadata": {"version": "1.3.0", "product": {"name": "simulation", "vendor_name": "ueba"}},
    }


USER = {"name": "<name>", "domain": "<domain>", "type_id": "<<user_type>>"}
SOURCE = {"src_endpoint": {"hostname": "<source>"}}
PROTOCOL = {"auth_protocol": "<auth_package>", "auth_protocol_id": "<<protocol>>"}
TO_MACHINE = {"user": USER, **SOURCE, "dst_endpoint": {"hostname": "<target>"}, **PROTOCOL}
LOGON_TYPE = {"logon_type": "<logon_type>", "logon_type_id": "<<logon_number>>", "is_remote": "<<is_remote>>"}
AUTHENTICATION = 3002, "Authentication"
ACTIVITIES: dict[str, dict[str, Any]] = {
    "logon": base(*AUTHENTICATION, 1, "Logon") | TO_MACHINE | LOGON_TYPE,
    "ticket": base(*AUTHENTICATION, 3, "Authentication Ticket") | TO_MACHINE,
    "service_ticket": base(*AUTHENTICATION, 4, "Service Ticket Request") | TO_MACHINE,
    "sso": base(*AUTHENTICATION, 1, "Logon")
    | {"user": USER, **SOURCE, "service": {"name": "<target>"}, **PROTOCOL},
    "share_access": base(6006, "File Hosting Activity", 14, "Open")
    | {"actor": {"user": USER}, **SOURCE, "file": {"name": "<target>", "type_id": 2, "type": "Folder"}},
    "assume_role": base(6003, "API Activity", OTHER, "AssumeRole")
    | {"actor": {"user": USER}, **SOURCE, "api": {"operation": "AssumeRole"}}
    | {"resources": [{"name": "<target>", "type": "role"}], "cloud": {"provider": "AWS"}},
}


def write_ocsf(events: pa.Table, path: Path) -> None:
    """Compressed when the name ends in .gz."""
    with sink_of(path) as sink:
        for part in chunks(events):
            sink.write("".join(f"{line}\n" for line in records(part).to_pylist()).encode())


def records(events: pa.Table) -> pa.Array:
    """One line an event, in the order of the events. events: EVENT_COLUMNS as plain texts, with a source"""
    values = columns(events)
    lines, rows = [], []
    for action, record in ACTIVITIES.items():
        chosen = np.flatnonzero(pc.equal(events["action"], action).to_numpy())
        rows.append(chosen)
        lines.append(fill(record, {name: column.take(pa.array(chosen)) for name, column in values.items()}))
    return pa.concat_arrays(lines).take(pa.array(np.argsort(np.concatenate(rows), kind="stable")))


def columns(events: pa.Table) -> dict[str, pa.Array]:
    text = {
        name: events[name].combine_chunks()
        for name in ("user", "source", "target", "logon_type", "auth_package", "outcome")
    }
    account = pc.split_pattern(text["user"], "@")
    name = pc.list_element(account, 0)
    failed = pc.equal(text["outcome"], "failure")
    remote = pc.not_equal(text["source"], text["target"])
    # 3 System for machine and service accounts, 2 Admin, 1 User
    user_type = np.select(
        [
            pc.match_substring_regex(name, pattern).to_numpy(zero_copy_only=False)
            for pattern in (r"\$$|^svc-", "^adm-")
        ],
        [3, 2],
        1,
    )
    return text | {
        "time": pc.divide(events["time"].combine_chunks().cast(pa.int64()), 1000).cast(pa.string()),
        "name": name,
        "domain": pc.list_element(account, 1),
        "user_type": numbers(user_type),
        "status": pc.if_else(failed, "Failure", "Success"),
        "status_id": pc.if_else(failed, "2", "1"),
        "protocol": coded(text["auth_package"], PROTOCOLS),
        "logon_number": coded(text["logon_type"], LOGON_TYPES),
        "is_remote": pc.if_else(remote, "true", "false"),
    }


def coded(texts: pa.Array, table: dict[str, int]) -> pa.Array:
    """The numbers of some texts, as texts; OTHER where there is none."""
    numbers = pc.take(
        pa.array([str(number) for number in table.values()]),
        pc.index_in(texts, value_set=pa.array(list(table))),
    )
    return pc.fill_null(numbers, str(OTHER))


def numbers(values: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(values).cast(pa.string())
