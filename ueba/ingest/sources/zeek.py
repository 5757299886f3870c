r"""Zeek (formerly Bro): ssh, ntlm, kerberos, smb_mapping and dhcp logs, as TSV or JSON.

TSV with Zeek's header, or without, where its columns are one of `COLUMNS`; a file holds one log. JSON may
mix logs: a record is of the log that `_path` names, else of the one whose fields it has (`MARKS`). Other
Zeek logs are dropped, and counted.

| log         | user                   | source                 | target                                                         |
|-------------|------------------------|------------------------|----------------------------------------------------------------|
| kerberos    | client                 | id.orig_h              | the host or account of `service`; the controller for `krbtgt`  |
| ntlm        | domainname\username    | hostname, id.orig_h    | server_dns_computer_name, server_nb_computer_name, id.resp_h   |
| ssh         | `ssh client ADDRESS`   | id.orig_h              | id.resp_h                                                      |
| smb_mapping | `smb client ADDRESS`   | id.orig_h              | `\\host\share` of `path`                                       |
| dhcp        |                        | host_name, client_fqdn | evidence: a name had an address                                |

Neither ssh nor smb_mapping tells who logged on. Which machine reaches which is worth knowing all the same,
so each client address has an account of its own, named after it; one "unknown" for all would be the user who
reaches everything. Traps: `client` is an account in kerberos and a version in ssh; ssh's outcome is guessed
from packet sizes, and often not told; a controller's request for preauthentication is an answer, not a
failure; an address that was offered is not a lease. Leaves out: smb_files, and TSV that Zeek did not split
by tabs unless its header says so. Format: https://docs.zeek.org/en/master/reference/logs/ and the `Info`
records of scripts/base/protocols.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import Cases, Made, by_kind, decode, is_address, json_fields, parsed_time
from ueba.ingest.identity import blank_to_null, once
from ueba.ingest.sources import Options, Sample, Source

CONNECTION = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p "
GEO = " remote_location.country_code remote_location.region remote_location.city remote_location.latitude remote_location.longitude"
ALGORITHMS = " client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key"
CERTIFICATES = " client_cert_subject client_cert_fuid server_cert_subject server_cert_fuid"
KERBEROS = CONNECTION + "request_type client service success error_msg from till cipher forwardable renewable"

# (log, columns) of TSV without a header, newest first. GEO is of policy/protocols/ssh/geo-data, which most
# sites load.
COLUMNS = [
    ("ssh", CONNECTION + "version auth_success auth_attempts direction" + ALGORITHMS),  # Zeek, Bro 2.5
    ("ssh", CONNECTION + "version auth_success auth_attempts direction" + ALGORITHMS + GEO),
    ("ssh", CONNECTION + "version auth_success direction" + ALGORITHMS),  # Bro 2.4
    ("ssh", CONNECTION + "version auth_success direction" + ALGORITHMS + GEO),
    ("ssh", CONNECTION + "status direction client server"),  # Bro 2.2
    ("ssh", CONNECTION + "status direction client server" + GEO),
    ("ssh", CONNECTION + "status direction client server resp_size"),  # Bro 2.0
    ("ssh", CONNECTION + "status direction client server resp_size" + GEO),
    (
        "ntlm",
        CONNECTION
        + "username hostname domainname server_nb_computer_name server_dns_computer_name server_tree_name success",
    ),
    ("ntlm", CONNECTION + "username hostname domainname success status"),  # Bro 2.5
    ("kerberos", KERBEROS + CERTIFICATES),  # Zeek, Bro 2.4
    (
        "kerberos",
        KERBEROS + CERTIFICATES + " auth_ticket new_ticket",
    ),  # with policy/protocols/krb/ticket-logging
    ("kerberos", KERBEROS),
    ("smb_mapping", CONNECTION + "path service native_file_system share_type"),  # Zeek, Bro 2.5
    (
        "dhcp",  # Zeek, Bro 2.6
        "ts uids client_addr server_addr mac host_name client_fqdn domain requested_addr assigned_addr lease_time"
        " client_message server_message msg_types duration",
    ),
    ("dhcp", CONNECTION + "mac assigned_ip lease_time trans_id"),  # Bro 2.0 to 2.5
]
# What the values of a column look like: how logs with equally many columns are told apart.
FORM = {
    "ts": r"\d{9,10}\.\d+|\d{4}-\d\d-\d\dT\S+",
    "id.orig_h": r"[0-9a-fA-F.:]+",
    "id.resp_h": r"[0-9a-fA-F.:]+",
    "id.orig_p": r"\d+",
    "id.resp_p": r"\d+",
    "version": r"\d|-",
    "status": r"success|failure|undetermined|[A-Z_0-9]+|-",
    "direction": r"INBOUND|OUTBOUND|LOCAL|REMOTE|-",
    "server": r"SSH-.*|-",
    "resp_size": r"\d+",
    "auth_success": r"[TF-]",
    "success": r"[TF-]",
    "request_type": r"AS|TGS|-",
    "forwardable": r"[TF-]",
    "share_type": r"DISK|PIPE|PRINT",
    "mac": r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}|-",
    "lease_time": r"\d+\.\d+|-",
    "duration": r"\d+\.\d+|-",
    "assigned_ip": r"[0-9a-fA-F.:]+",
}

# A log is known by any of these fields.
MARKS = {
    "kerberos": ("request_type", "error_msg", "forwardable"),
    "ntlm": ("domainname", "server_nb_computer_name", "server_dns_computer_name"),
    "smb_mapping": ("share_type",),
    "dhcp": ("msg_types", "assigned_addr", "assigned_ip"),
    "ssh": ("auth_success", "auth_attempts", "direction", "kex_alg"),
}
FREE_TEXT = ("username", "hostname", "domainname", "client", "service", "path", "host_name", "client_fqdn")
NAMES = {
    "id.orig_h": "orig",
    "id.resp_h": "resp",
    "_path": "log",
    "_system_name": "sensor",
}  # what we call them, if not the same
FIELDS = ("ts", "uid", "uids", *(name for marks in MARKS.values() for name in marks), *FREE_TEXT, *NAMES)
FIELDS += ("success", "status", "client_addr", "mac")
JSON: dict[str, str | Sequence[str]] = {NAMES.get(name, name): f"/{name}" for name in FIELDS}
JSON |= {
    NAMES[name]: (f"/{name}", "/" + name.replace(".", "/"), "/" + name.replace(".", "_"))
    for name in ("id.orig_h", "id.resp_h")
}

OUTCOME = {"T": "success", "F": "failure", "true": "success", "false": "failure"}
GUESS = OUTCOME | {"success": "success", "failure": "failure"}
ANSWERS = (  # of a controller that wants to be asked otherwise, and will be
    "KDC_ERR_PREAUTH_REQUIRED",
    "NEEDED_PREAUTH",
    "Need to use PA-ENC-TIMESTAMP/PA-PK-AS-REQ",
    "KRB_ERR_RESPONSE_TOO_BIG",
)
OF_CONTROLLER = ("krbtgt", "kadmin")  # services
MAX_SECONDS = 1e11  # a larger number is of milliseconds
NO_USER = "no user in the log: the account is named after the client's address"


def source(format: str, options: Options) -> Source:
    """Zeek's times are UTC and have a year; nothing of `options` matters."""
    return Source(format, {"format": format}, read, by_header=True, fields=FIELDS)


def recognises(sample: Sample) -> int:
    """JSON records with Zeek's names for the ends of a connection, or lines that follow a Zeek header or
    look like a known log."""
    if sample.objects:
        return sum(is_zeek(record) for record in sample.objects)
    header = Header(sample.records)
    fields = [line.split(header.separator) for line in sample.records if not line.startswith("#")]
    if header.is_told:
        return 1 + sum(len(each) == len(header.columns) for each in fields)
    return sum(fits(each, header.columns) for each in fields)


def is_zeek(record: dict[str, object]) -> bool:
    ends = record.get("id")
    return "ts" in record and (
        "id.orig_h" in record
        or {"id_orig_h", "uid"} <= record.keys()
        or (isinstance(ends, dict) and "orig_h" in ends)
        or {"_path", "_write_ts"} <= record.keys()
        or {"uids", "msg_types"} <= record.keys()
    )


class Header:
    """What the lines of a TSV log hold, by its header or else by their looks.

    columns: empty if not known; log: one of LOGS, None for others; is_told: there is a header
    """

    def __init__(self, records: Sequence[str]) -> None:
        found = filter(None, (re.match(r"#([a-z_]+)(\W)(.*)", line) for line in records))
        told = {
            name: text for name, _, text in reversed([line.groups() for line in found])
        }  # of several headers, the first
        escaped = re.fullmatch(r"\\x([0-9a-fA-F]{2})\s*", told.get("separator", ""))
        self.separator = chr(int(escaped[1], 16)) if escaped else "\t"
        self.columns = told.get("fields", "").split(self.separator)
        self.unset = (told.get("unset_field", "-"), told.get("empty_field", "(empty)"))
        self.is_told = len(self.columns) > 1
        self.log = told["path"] if told.get("path") in LOGS else log_with(self.columns)
        if not self.is_told:
            self.log, self.columns = looks_like(records)


def log_with(columns: Sequence[str]) -> str | None:
    return next((log for log, marks in MARKS.items() if set(marks) & set(columns)), None)


def looks_like(records: Sequence[str]) -> tuple[str | None, list[str]]:
    """The log and columns that most of these lines fit."""
    lines = [line.split("\t") for line in records]
    known = [(log, names.split()) for log, names in COLUMNS]
    count = [sum(fits(line, columns) for line in lines) for _, columns in known]
    return known[count.index(max(count))] if max(count) else (None, [])


def fits(fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether these can be values of such columns."""
    return len(fields) == len(columns) > 0 and all(
        re.fullmatch(FORM.get(name, ".*"), value) for name, value in zip(columns, fields, strict=True)
    )


# --- records -> columns of the log --------------------------------------------------------------------------


def json_rows(lines: ir.Table) -> tuple[ir.Table, Cases]:
    """The fields of JSON records, and `log`: one of LOGS, null for others."""
    found = json_fields(lines, JSON)
    marked = ibis.cases(
        *((ibis.or_(*(found[mark].notnull() for mark in marks)), log) for log, marks in MARKS.items())
    )
    rows = found.mutate(
        is_zeek=found.ts.notnull() & (found.orig.notnull() | found.uids.notnull() | found.log.notnull()),
        log=ibis.ifelse(found.log.isin(tuple(LOGS)), found.log, marked),
    )
    return rows, [(~rows.is_json, "not JSON"), (~rows.is_zeek, "not a zeek record")]


def tsv_rows(lines: ir.Table, header: Header) -> tuple[ir.Table, Cases]:
    """The fields of lines with a tab between, and `log`, the same for all."""
    split = lines.mutate(field=lines.text.split(header.separator))
    number = {NAMES.get(name, name): number for number, name in enumerate(header.columns)}
    found = {
        name: value(split.field[number[name]], name, header) if name in number else ibis.null("string")
        for name in JSON
    }
    rows = split.mutate(**found | {"log": ibis.literal(header.log, "string")})
    return rows, [
        (rows.text.startswith("#"), events.HEADER),
        (ibis.literal(not header.columns), "no header, and columns that are not known"),
        (rows.field.length() != len(header.columns), f"not {len(header.columns)} fields"),
    ]


def value(field: ir.StringValue, name: str, header: Header) -> ir.StringValue:
    told = ibis.ifelse(field.isin(header.unset), ibis.null("string"), blank_to_null(field))
    return ibis.ifelse(told.contains("\\"), once(told, unescaped), told) if name in FREE_TEXT else told


def unescaped(text: ir.StringValue) -> ir.StringValue:
    r"""`\\` and bytes as `\xNN`, as Zeek writes what is not printable; as it is where that does not make a
    text."""
    return ibis.coalesce(
        decode(text.replace("\\\\", "\\x5C").try_cast("binary"), "replace"), text.replace("\\\\", "\\")
    )


# --- columns of a log -> columns of events ------------------------------------------------------------------


def read(lines: ir.Table, sample: Sample) -> ir.Table:
    """lines -> events"""
    rows, cases = json_rows(lines) if sample.objects else tsv_rows(lines, Header(sample.records))
    own, columns = by_kind(rows.log, {log: stage(rows) for log, stage in LOGS.items()})
    return events.finish(
        rows,
        [
            *cases,
            (rows.log.isnull(), f"{events.NOT_A_LOGON}: another Zeek log"),
            *((case, f"{events.NOT_A_LOGON}: {why}") for case, why in own),
        ],
        time=once(rows.ts, zeek_time),
        reporter=rows.sensor,
        **columns,
    )


def zeek_time(text: ir.StringValue) -> ir.TimestampValue:
    """Seconds, milliseconds, or ISO 8601."""
    is_seconds = text.try_cast("float64") < MAX_SECONDS
    return ibis.coalesce(
        ibis.ifelse(is_seconds, parsed_time(text, "epoch_s"), parsed_time(text, "epoch_ms")),
        parsed_time(text, "iso8601"),
    )


def kerberos(row: ir.Table) -> Made:
    """A ticket for the controller itself (AS), or for a service (TGS)."""
    service = row.service.re_replace(r"@[^@/]*$", "")
    kind, host = service.split("/")[0], service.split("/")[1].nullif("")
    is_controller = service.isnull() | kind.lower().isin(OF_CONTROLLER)
    is_machine = is_controller | host.notnull() | service.endswith("$")
    machine = ibis.coalesce(host.re_replace(r"^([^:]*):[^:]*$", r"\1"), service.re_replace(r"\$$", ""))
    cases = [
        (row.request_type.isnull() & row.client.isnull(), "a ticket that is shown"),
        (row.error_msg.isin(ANSWERS), "the controller wants to be asked otherwise"),
    ]
    return cases, {
        "user": ibis.cases(
            (row.client.startswith("/") | ~row.client.contains("/"), None),  # a realm alone
            (
                row.client.contains("@"),
                row.client.re_replace(r"/[^/]*$", ""),
            ),  # a user principal name has its own
            else_=row.client.re_replace(r"^(.+)/([^/]*)$", r"\1@\2"),
        ),
        "source": row.orig,
        "source_ip": row.orig,
        "target": ibis.cases((is_controller, row.resp), (is_machine, machine), else_=service),
        "target_ip": ibis.ifelse(is_controller, row.resp, None),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "detail": ibis.ifelse(host.notnull(), service, None),
        "action": row.request_type.cases(("AS", "ticket"), else_="service_ticket"),
        "auth_package": ibis.literal("Kerberos"),
        "outcome": row.success.cases(*OUTCOME.items(), else_="unknown"),
        "outcome_reason": row.error_msg,
        "witness": ibis.literal(events.CONTROLLER),
        "code": ibis.coalesce(row.request_type, "kerberos"),
        "event_id": row.uid + " " + row.ts,
    }


def ntlm(row: ir.Table) -> Made:
    """The names are what the client says, the target's what the server says."""
    return [], {
        "user": ibis.ifelse(row.domainname.notnull(), row.domainname + "\\" + row.username, row.username),
        "source": ibis.coalesce(row.hostname, row.orig),
        "source_ip": row.orig,
        "target": ibis.coalesce(row.server_dns_computer_name, row.server_nb_computer_name, row.resp),
        "target_ip": row.resp,
        "target_kind": ibis.literal("machine"),
        "action": ibis.literal("logon"),
        "auth_package": ibis.literal("NTLM"),
        "outcome": row.success.cases(*OUTCOME.items(), else_="unknown"),
        "outcome_reason": row.status,
        "witness": ibis.literal(events.CONTROLLER),
        "code": ibis.literal("ntlm"),
        "event_id": row.uid + " " + row.ts,
    }


def ssh(row: ir.Table) -> Made:
    """auth_success, or status as Bro had it before 2.4; Zeek guesses it from the sizes of encrypted
    packets."""
    return [], {
        "user": "ssh client " + row.orig,
        "source": row.orig,
        "source_ip": row.orig,
        "target": row.resp,
        "target_ip": row.resp,
        "target_kind": ibis.literal("machine"),
        "action": ibis.literal("logon"),
        "outcome": ibis.coalesce(row.auth_success, row.status).cases(*GUESS.items(), else_="unknown"),
        "code": ibis.literal("ssh"),
        "event_id": row.uid + " " + row.ts,
        "note": ibis.literal(NO_USER),
    }


def smb_mapping(row: ir.Table) -> Made:
    r"""`\\host\share\what is in it`; an old client may ask for the share alone."""
    host, share, inside = (
        row.path.re_extract(r"^[\\/]+([^\\/]+)[\\/]+([^\\/]+)(?:[\\/]+(.*))?$", n).nullif("")
        for n in (1, 2, 3)
    )
    plain = row.path.re_extract(r"^[^\\/<>]+$", 0).nullif("")
    short = ibis.ifelse(is_address(host), host, host.split(".")[0])
    name = "\\\\" + ibis.coalesce(short, row.resp) + "\\" + ibis.coalesce(share, plain)
    return [(name.isnull(), "share without a name")], {
        "user": "smb client " + row.orig,
        "source": row.orig,
        "source_ip": row.orig,
        "target": name.lower(),
        "target_ip": row.resp,
        "target_kind": ibis.literal("resource"),
        "detail": inside,
        "action": ibis.literal("share_access"),
        "outcome": ibis.literal("success"),  # Zeek logs the answer to a request that was granted
        "code": ibis.literal("smb_mapping"),
        "event_id": row.uid + " " + row.ts + " " + row.path,
        "note": ibis.literal(NO_USER),
    }


def dhcp(row: ir.Table) -> Made:
    """A lease: acknowledged by the server (before 2.6, all that is logged), or told with a name by a client
    that has an address."""
    is_held = row.msg_types.re_search(r"\b(ACK|INFORM)\b") | row.assigned_ip.notnull()
    address = ibis.ifelse(is_held, ibis.coalesce(row.assigned_addr, row.assigned_ip, row.client_addr), None)
    name = ibis.coalesce(row.host_name, row.client_fqdn)
    return [(address.isnull(), "no lease"), (name.isnull(), "lease without a host name")], {
        "source": name,
        "source_ip": address,
        "detail": row.mac,
        "action": ibis.literal(events.LEASE),
        "outcome": ibis.literal("success"),
        "code": ibis.literal("dhcp"),
        "event_id": ibis.coalesce(row.uid, row.uids) + " " + row.ts,
    }


LOGS: dict[str, Callable[[ir.Table], Made]] = {
    "kerberos": kerberos,
    "ntlm": ntlm,
    "ssh": ssh,
    "smb_mapping": smb_mapping,
    "dhcp": dhcp,
}
