r"""Zeek (formerly Bro): ssh, ntlm, kerberos, smb_mapping and dhcp logs, as TSV or JSON.

TSV has Zeek's header, or its columns are one of `COLUMNS`; a file has one log. JSON may mix logs: a record is
of the log that `_path` names, else of the log whose fields it has (`MARKS`). Records of other Zeek logs are
dropped.

| log         | user                | source                 | target                             |
|-------------|---------------------|------------------------|------------------------------------|
| kerberos    | client              | id.orig_h              | the host or account of `service`;  |
|             |                     |                        | the controller for `krbtgt`        |
| ntlm        | domainname\username | hostname, id.orig_h    | server_dns_computer_name,          |
|             |                     |                        | server_nb_computer_name, id.resp_h |
| ssh         | ssh client ADDRESS  | id.orig_h              | id.resp_h                          |
| smb_mapping | smb client ADDRESS  | id.orig_h              | `\\host\share` of `path`           |
| dhcp        |                     | host_name, client_fqdn | evidence: a name had an address    |

Neither ssh nor smb_mapping says who logged on. Which machine reaches which is still worth knowing, so each
client address has an account named after it; one "unknown" account for all would reach everything. Traps:
`client` is an account in kerberos and a version in ssh; the outcome of ssh is guessed from packet sizes, and
often missing; a controller's request for preauthentication is an answer, not a failure; an offered address is
not a lease. Leaves out: smb_files, and TSV without tabs unless its header names the separator. Format:
https://docs.zeek.org/en/master/reference/logs/ and the `Info` records of scripts/base/protocols.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import Cases, Parsed, any_time, by_kind, encode, is_address, json_fields, text_of
from ueba.ingest.identity import blank_to_null, once
from ueba.ingest.sources import LogSource, Options, Sample

CONNECTION = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p "
GEO = (
    " remote_location.country_code remote_location.region remote_location.city remote_location.latitude"
    " remote_location.longitude"
)
ALGORITHMS = " client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key"
CERTIFICATES = " client_cert_subject client_cert_fuid server_cert_subject server_cert_fuid"
KERBEROS = CONNECTION + "request_type client service success error_msg from till cipher forwardable renewable"

# (log, columns) of TSV without a header, newest first. GEO comes from policy/protocols/ssh/geo-data, which
# most sites load.
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
        + "username hostname domainname server_nb_computer_name server_dns_computer_name"
        + " server_tree_name success",
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
        "ts uids client_addr server_addr mac host_name client_fqdn domain requested_addr assigned_addr"
        " lease_time client_message server_message msg_types duration",
    ),
    ("dhcp", CONNECTION + "mac assigned_ip lease_time trans_id"),  # Bro 2.0 to 2.5
]
LAYOUTS = [(log, tuple(names.split())) for log, names in COLUMNS]
WIDTHS = {len(names) for _, names in LAYOUTS}
# Patterns of the values of a column, by which logs with the same number of columns are distinguished.
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

# Each of these fields occurs in one log only.
MARKS = {
    "kerberos": ("request_type", "error_msg", "forwardable"),
    "ntlm": ("domainname", "server_nb_computer_name", "server_dns_computer_name"),
    "smb_mapping": ("share_type",),
    "dhcp": ("msg_types", "assigned_addr", "assigned_ip"),
    "ssh": ("auth_success", "auth_attempts", "direction", "kex_alg"),
}
# Fields that mark JSON records of logs without the ends of a connection: x509, files, software, known_hosts,
# stats, capture_loss, pe, packet_filter, reporter, broker, cluster; with dots for underscores.
OTHERS = (
    ("certificate.version",),
    ("fingerprint", "certificate.serial"),
    ("tx.hosts", "rx.hosts"),
    ("host", "software.type"),
    ("host", "port.num", "port.proto"),
    ("peer", "pkts.proc"),
    ("peer", "gaps", "acks"),
    ("machine", "compile.ts"),
    ("node", "filter", "init"),
    ("level", "message", "location"),
    ("ty", "ev", "message"),
    ("node", "message"),
)
FREE_TEXT = ("username", "hostname", "domainname", "client", "service", "path", "host_name", "client_fqdn")
NAMES = {  # Zeek's name -> the name of the column here, if it differs
    "id.orig_h": "orig",
    "id.resp_h": "resp",
    "_path": "log",
    "_system_name": "sensor",
}
FIELDS = ("ts", "uid", "uids", *(name for marks in MARKS.values() for name in marks), *FREE_TEXT, *NAMES)
FIELDS += ("success", "status", "client_addr", "mac")
JSON: dict[str, str | Sequence[str]] = {NAMES.get(name, name): f"/{name}" for name in FIELDS}
JSON |= {"log": ("/_path", "/@stream"), "sensor": ("/_system_name", "/@system")}  # of shippers
JSON |= {
    NAMES[name]: (f"/{name}", "/" + name.replace(".", "/"), "/" + name.replace(".", "_"))
    for name in ("id.orig_h", "id.resp_h")
}

OUTCOME = {"T": "success", "F": "failure", "true": "success", "false": "failure"}
GUESS = OUTCOME | {"success": "success", "failure": "failure"}
RETRIES = (  # answers of a controller after which the client asks again in another way
    "KDC_ERR_PREAUTH_REQUIRED",
    "NEEDED_PREAUTH",
    "Need to use PA-ENC-TIMESTAMP/PA-PK-AS-REQ",
    "KRB_ERR_RESPONSE_TOO_BIG",
)
OF_CONTROLLER = ("krbtgt", "kadmin")  # services
NO_USER = "no user in the log: the account is named after the client's address"


def source(format: str, options: Options) -> LogSource:
    """Times are UTC and have a year: no option matters."""
    return LogSource(format, {"format": format}, read, facts=facts, fields=FIELDS + ("/@stream", "/@system"))


def recognises(sample: Sample) -> int:
    """JSON records with Zeek's names for the ends of a connection; lines below a Zeek header, or with the
    columns of a known log."""
    if sample.is_json:
        return sum(is_zeek(record) for record in sample.objects)
    header = header_of(sample.records)
    rows = [line.split(header.separator) for line in sample.records if not line.startswith("#")]
    if header.is_written:
        return 1 + sum(len(row) == len(header.columns) for row in rows)
    return sum(fits(row, header.columns) for row in rows)


def resembles(sample: Sample) -> int:
    """JSON records of other Zeek logs, which name their log or have fields of one of them."""
    return sum(
        "ts" in record and (bool({"_path", "@stream", "fuid"} & record.keys()) or has_mark(record))
        for record in sample.objects
    )


def has_mark(record: dict[str, object]) -> bool:
    """Whether a record has all fields that mark one of OTHERS."""
    keys = {key.replace("_", ".") for key in record}
    return any(set(marks) <= keys for marks in OTHERS)


def is_zeek(record: dict[str, object]) -> bool:
    ends = record.get("id")
    return "ts" in record and (
        "id.orig_h" in record
        or {"id_orig_h", "uid"} <= record.keys()
        or (isinstance(ends, dict) and "orig_h" in ends)
        or {"_path", "_write_ts"} <= record.keys()
        or {"uids", "msg_types"} <= record.keys()
    )


@dataclass(frozen=True)
class Header:
    """The log and columns of a TSV file: of its header, or guessed from its lines.

    log: one of LOGS, None for others; columns: empty if unknown; is_written: the file has a header
    """

    log: str | None
    columns: tuple[str, ...]
    separator: str
    unset: tuple[str, str]
    is_written: bool


def header_of(records: Sequence[str]) -> Header:
    """The header of a file that begins with these lines."""
    found = filter(None, (re.match(r"#([a-z_]+)(\W)(.*)", line) for line in records))
    # of several headers, the first
    header = {name: text for name, _, text in reversed([line.groups() for line in found])}
    escaped = re.fullmatch(r"\\x([0-9a-fA-F]{2})\s*", header.get("separator", ""))
    separator = chr(int(escaped[1], 16)) if escaped else "\t"
    columns = tuple(header.get("fields", "").split(separator))
    is_written = len(columns) > 1
    log = header["path"] if header.get("path") in LOGS else log_with(columns)
    if not is_written:
        log, columns = looks_like(records)
    return Header(
        log,
        columns,
        separator,
        (header.get("unset_field", "-"), header.get("empty_field", "(empty)")),
        is_written,
    )


def facts(sample: Sample) -> Header | None:
    """The header of TSV; None for JSON, which needs none."""
    return None if sample.is_json else header_of(sample.records)


def log_with(columns: Sequence[str]) -> str | None:
    """The log that has one of its marks among these columns."""
    return next((log for log, marks in MARKS.items() if set(marks) & set(columns)), None)


def looks_like(records: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The log and columns that most of these lines fit; (None, ()) if no line fits any."""
    rows = [row for row in (line.split("\t") for line in records) if len(row) in WIDTHS]
    if not rows:  # as of most files, which are no logs of Zeek
        return None, ()
    count = [sum(fits(row, columns) for row in rows) for _, columns in LAYOUTS]
    return LAYOUTS[count.index(max(count))] if max(count) else (None, ())


def fits(fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether these fields can be values of these columns."""
    return len(fields) == len(columns) > 0 and all(
        re.fullmatch(FORM.get(name, ".*"), value) for name, value in zip(columns, fields, strict=True)
    )


# --- records -> columns of the log --------------------------------------------------------------------------


def json_rows(lines: ir.Table) -> tuple[ir.Table, Cases]:
    """lines with the fields of JSON records and `log`, one of LOGS or null, and why a line is no record."""
    found = json_fields(lines, JSON)
    marked = ibis.cases(
        *((ibis.or_(*(found[mark].notnull() for mark in marks)), log) for log, marks in MARKS.items())
    )
    rows = found.mutate(
        is_zeek=found.ts.notnull(),  # other logs have nothing else in common
        log=ibis.ifelse(found.log.isin(tuple(LOGS)), found.log, marked),
    )
    return rows, [(~rows.is_json, "not JSON"), (~rows.is_zeek, "not a zeek record")]


def tsv_rows(lines: ir.Table, header: Header) -> tuple[ir.Table, Cases]:
    """lines with the fields of TSV and `log`, the same for all, and why a line is no record."""
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
    """The value of a field of TSV; null if it is unset."""
    text = ibis.ifelse(field.isin(header.unset), ibis.null("string"), blank_to_null(field))
    return ibis.ifelse(text.contains("\\"), once(text, unescaped), text) if name in FREE_TEXT else text


def unescaped(text: ir.StringValue) -> ir.StringValue:
    r"""A text without the escapes `\\` and `\xNN`, by which Zeek writes unprintable bytes."""
    escaped = encode(text).cast("string")  # as DuckDB escapes bytes: of Zeek's `\` it makes `\x5C`
    bytes_escaped = escaped.replace(r"\x5C\x5C", "\1").re_replace(r"\\x5Cx([[:xdigit:]]{2})", r"\\x\1")
    return once(bytes_escaped.replace("\1", r"\x5C").cast("binary"), text_of)


# --- columns of a log -> columns of events ------------------------------------------------------------------


def read(lines: ir.Table, header: Header | None) -> ir.Table:
    """lines -> events. header: of TSV; None for JSON"""
    rows, cases = json_rows(lines) if header is None else tsv_rows(lines, header)
    cases_of_log, columns = by_kind(rows.log, {log: stage(rows) for log, stage in LOGS.items()})
    return events.finish(
        rows,
        [
            *cases,
            (rows.log.isnull(), f"{events.NOT_A_LOGON}: another Zeek log"),
            *((case, f"{events.NOT_A_LOGON}: {reason}") for case, reason in cases_of_log),
        ],
        time=any_time(rows.ts),
        reporter=rows.sensor,
        **columns,
    )


def kerberos(row: ir.Table) -> Parsed:
    """A ticket for the controller itself (AS), or for a service (TGS)."""
    service = row.service.re_replace(r"@[^@/]*$", "")
    kind, host = service.split("/")[0], service.split("/")[1].nullif("")
    is_controller = service.isnull() | kind.lower().isin(OF_CONTROLLER)
    is_machine = is_controller | host.notnull() | service.endswith("$")
    machine = ibis.coalesce(host.re_replace(r"^([^:]*):[^:]*$", r"\1"), service.re_replace(r"\$$", ""))
    cases = [
        (row.request_type.isnull() & row.client.isnull(), "a ticket presented to a service"),
        (row.error_msg.isin(RETRIES), "the controller requires another request"),
    ]
    return cases, {
        "user": principal(row.client),
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


def principal(client: ir.StringValue) -> ir.StringValue:
    """`alice@REALM` of `alice/REALM`; null for a realm alone. A user principal name has a domain of its
    own."""
    return ibis.cases(
        (client.startswith("/") | ~client.contains("/"), None),
        (client.contains("@"), client.re_replace(r"/[^/]*$", "")),
        else_=client.re_replace(r"^(.+)/([^/]*)$", r"\1@\2"),
    )


def ntlm(row: ir.Table) -> Parsed:
    """The names of user and source come from the client, that of the target from the server."""
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


def ssh(row: ir.Table) -> Parsed:
    """The outcome is auth_success, or status in Bro before 2.4; Zeek guesses it from the sizes of encrypted
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


def smb_mapping(row: ir.Table) -> Parsed:
    r"""The path is `\\host\share\path in it`; an old client may ask for the share alone."""
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
        "outcome": ibis.literal("success"),  # Zeek logs the answer to a granted request
        "code": ibis.literal("smb_mapping"),
        "event_id": row.uid + " " + row.ts + " " + row.path,
        "note": ibis.literal(NO_USER),
    }


def dhcp(row: ir.Table) -> Parsed:
    """A lease: acknowledged by the server (before 2.6 only those are logged), or announced by a client that
    has an address already."""
    is_leased = row.msg_types.re_search(r"\b(ACK|INFORM)\b") | row.assigned_ip.notnull()
    address = ibis.ifelse(is_leased, ibis.coalesce(row.assigned_addr, row.assigned_ip, row.client_addr), None)
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


LOGS: dict[str, Callable[[ir.Table], Parsed]] = {
    "kerberos": kerberos,
    "ntlm": ntlm,
    "ssh": ssh,
    "smb_mapping": smb_mapping,
    "dhcp": dhcp,
}
