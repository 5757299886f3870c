"""Windows Security events: EVTX, XML, JSON of evtx_dump, winlogbeat (ECS), NXLog, Splunk and Azure Monitor
(SecurityEvent).

    4624 4625 4778    a logon, seen at the host                      4648         another account's password, where it was typed
    4768 4771         a ticket, seen at the controller               5140 5145    a file share, seen at its host
    4769              a service ticket: a machine, or the account    4663         an object: on the machine, its name is the detail
                      that a service runs as                         4672         evidence of administrator rights
    4776              a password checked by NTLM, at the controller

Leaves out, and counts, all other events and channels (log-offs, processes, Sysmon), and accounts of the
system itself: SYSTEM, LOCAL SERVICE, DWM-1, and a machine's account on that machine (its SID is S-1-5-18). A
machine's account elsewhere is kept.

What is wrong or missing in these logs:
- NXLog's EventTime has no zone, and `@timestamp` is when the record arrived, minutes later at times. EventReceivedTime is of the
  same clock as EventTime: the quarters of an hour from it to `@timestamp` are the zone of both.
- WorkstationName is the client's own claim; of a remote desktop, and of a service that checks a password for somebody, it is the
  host itself. Then the address is the source, or it is unknown.
- IpAddress in 4648 is the server's if the port is a server's; else, if the server is this host, its client's (remote desktop).
- 4776 tells no domain, 4771 only as the realm of `krbtgt/REALM`. 4769 of a logon to a service names the account that it runs as.
- SIDs, not names, tell the system's accounts: names are translated.
Fields: Microsoft, "Advanced security audit policy settings" and the page of each event,
https://learn.microsoft.com/windows/security/threat-protection/auditing/; of Azure: "SecurityEvent" in the
tables of Azure Monitor.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    has_zone,
    is_address,
    iso_time,
    json_fields,
    parsed_time,
    regexp_extract_all,
    without_port,
)
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source

LOGON, FAILED, EXPLICIT, PRIVILEGES, TICKET, SERVICE_TICKET = "4624", "4625", "4648", "4672", "4768", "4769"
NO_TICKET, VALIDATION, RECONNECTED, SHARE, SHARED_FILE, OBJECT = (
    "4771",
    "4776",
    "4778",
    "5140",
    "5145",
    "4663",
)
ACTION = {
    **dict.fromkeys((LOGON, FAILED, RECONNECTED), "logon"),
    EXPLICIT: "explicit_credential",
    PRIVILEGES: events.PRIVILEGE,
    **dict.fromkeys((TICKET, NO_TICKET), "ticket"),
    SERVICE_TICKET: "service_ticket",
    VALIDATION: "credential_validation",
    **dict.fromkeys((SHARE, SHARED_FILE), "share_access"),
    OBJECT: "object_access",
}
KERBEROS = (TICKET, SERVICE_TICKET, NO_TICKET)
BY_SUBJECT = (
    PRIVILEGES,
    SHARE,
    SHARED_FILE,
    OBJECT,
)  # the account is the subject, and not the target, of the event
WITNESS = {
    **dict.fromkeys((LOGON, FAILED, RECONNECTED), events.HOST),
    EXPLICIT: events.SOURCE,
    **dict.fromkeys((*KERBEROS, VALIDATION), events.CONTROLLER),
}
LOGON_TYPE = {
    "0": "System",
    "2": "Interactive",
    "3": "Network",
    "4": "Batch",
    "5": "Service",
    "7": "Unlock",
    "8": "NetworkCleartext",
    "9": "NewCredentials",
    "10": "RemoteInteractive",
    "11": "CachedInteractive",
    "12": "CachedRemoteInteractive",
    "13": "CachedUnlock",
}
MAX_XML = (
    1 << 16
)  # bytes: the larger are no events, and their elements take a time that grows with the square
REMOTE = (
    "3",
    "8",
    "10",
)  # without an address, who knows where these came from; all others came from the machine itself
LOCAL = ("::1", "127.0.0.1", "local", "localhost", "unknown")
NOWHERE = ("0.0.0.0", "::")
NO_NAME = ("null", "unknown")  # of a workstation
FIRST_CLIENT_PORT = 1024
NETBIOS = 15  # characters of a workstation's name
QUARTER, MOST_QUARTERS, LAST_YEAR = (
    900,
    56,
    9999,
)  # seconds; zones are whole quarters of an hour, and 14 hours at most
NOBODY = "S-1-0-0"
SYSTEM_SIDS = r"^S-1-5-(18$|19$|20$|90-|96-)"
SYSTEM_NAMES = r"(?i)^(system|local service|network service|dwm-\d+|umfd-\d+)$"
SUCCESS = ("0x0", "0x00000000", "0")
REASON = {  # NTSTATUS, and the errors of RFC 4120
    "0xc0000064": "no such user",
    "0xc000006a": "bad password",
    "0xc000006d": "bad user name or password",
    "0xc000006f": "outside hours",
    "0xc0000070": "workstation not allowed",
    "0xc0000071": "password expired",
    "0xc0000072": "account disabled",
    "0xc0000193": "account expired",
    "0xc0000224": "password must be changed",
    "0xc0000234": "account locked",
    "0xc000015b": "logon type not allowed",
    "0x6": "no such user",
    "0x7": "no such service",
    "0xc": "workstation not allowed",
    "0x12": "account locked or disabled",
    "0x17": "password expired",
    "0x18": "bad password",
    "0x20": "ticket expired",
    "0x1b": "user-to-user ticket required",
    "0x25": "clock skew",
}
AUDIT_FAILURE = (
    r"(?i)failure|^0x8010000000000000$|^-9218868437227405312$"  # the last is the same bits, signed
)
RC4 = ("0x17", "0x18")

# Where a record says what: paths from its root, of all shapes; the values of the event are under one of
# DATA, or beside.
EVENT = {
    "code": (
        "/Event/System/EventID/#text",
        *(
            "Event.System.EventID",
            "winlog.event_id",
            "EventID",
            "EventCode",
            "event_id",
            "result.EventCode",
            "result.EventID",
        ),
    ),
    "channel": (
        "Event.System.Channel",
        "winlog.channel",
        "Channel",
        "LogName",
        "log_name",
        "result.Channel",
        "result.LogName",
    ),
    "inner": ("result",),
}
SYSTEM = {
    "computer": (
        "Event.System.Computer",
        "winlog.computer_name",
        "computer_name",
        "Hostname",
        "ComputerName",
        "Computer",
    ),
    "record": (
        *("Event.System.EventRecordID", "winlog.record_id", "record_number", "record_id"),
        *("RecordNumber", "EventRecordID", "EventRecordId"),
    ),
    "keywords": ("Event.System.Keywords", "winlog.keywords", "keywords", "event.outcome", "Keywords"),
    "created": (
        "/Event/System/TimeCreated/#attributes/SystemTime",
        "Event.System.TimeCreated_attributes.SystemTime",
        "TimeCreated",
        "SystemTime",
        "TimeGenerated",
    ),
    "local": ("EventTime",),
    "received": ("EventReceivedTime",),
    "stamp": ("@timestamp", "_time"),
}
DATA = ("Event.EventData", "winlog.event_data", "event_data", "EventData")
VALUES = {  # with what Splunk makes of the text of an event, where names of two accounts are lists
    "target": ("TargetUserName", "/Account_Name/1", "Account_Name", "Logon_Account", "TargetAccount"),
    "target_domain": ("TargetDomainName", "Supplied_Realm_Name", "/Account_Domain/1", "Account_Domain"),
    "target_sid": ("TargetUserSid", "TargetSid", "User_ID", "/Security_ID/1", "Security_ID"),
    "target_session": ("TargetLogonId", "/Logon_ID/1", "LogonID"),
    "subject": ("SubjectUserName", "/Account_Name/0", "Account_Name", "SubjectAccount"),
    "subject_domain": ("SubjectDomainName", "/Account_Domain/0", "Account_Domain"),
    "subject_sid": ("SubjectUserSid", "/Security_ID/0", "Security_ID"),
    "subject_session": ("SubjectLogonId", "/Logon_ID/0", "Logon_ID"),
    "reconnected": ("AccountName", "Account_Name"),
    "reconnected_domain": ("AccountDomain", "Account_Domain"),
    "reconnected_session": ("LogonID", "Logon_ID"),
    "number": ("LogonType", "Logon_Type"),
    "package": ("AuthenticationPackageName", "Authentication_Package"),
    "lm": ("LmPackageName", "Package_Name__NTLM_only_"),
    "workstation": (
        "WorkstationName",
        "Workstation_Name",
        "Workstation",
        "Source_Workstation",
        "ClientName",
        "Client_Name",
    ),
    "address": (
        "IpAddress",
        "Source_Network_Address",
        "Client_Address",
        "Source_Address",
        "ClientAddress",
        "Network_Address",
    ),
    "port": ("IpPort", "Port"),
    "status": ("Status", "Result_Code", "Failure_Code", "Error_Code"),
    "substatus": ("SubStatus", "Sub_Status"),
    "server": ("TargetServerName", "Target_Server_Name"),
    "information": ("TargetInfo", "Additional_Information"),
    "service": ("ServiceName", "Service_Name"),
    "encryption": ("TicketEncryptionType", "Ticket_Encryption_Type"),
    "share": ("ShareName", "Share_Name"),
    "file": ("RelativeTargetName", "Relative_Target_Name"),
    "object": ("ObjectName", "Object_Name"),
}
ELEMENT = r"""<(?:Data Name=['"])?(\w+)[^<>]*>([^<]*)"""  # of XML: its name, or that of a value, and its text
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}  # in this order
NAMESPACE = "schemas.microsoft.com/win/2004/08/events"


def source(format: str, options: Options) -> Source:
    """Times without a zone are of `options.timezone`."""
    settings = {"format": format, "timezone": options.timezone}
    values = (path for paths in VALUES.values() for path in paths if not path.startswith("/"))
    anywhere = (prefix + path for path in values for prefix in ("", *(f"{data}." for data in DATA)))
    fields = dict.fromkeys(
        (*(path for table in (EVENT, SYSTEM) for paths in table.values() for path in paths), *anywhere)
    )
    return Source(format, settings, lambda lines, sample: read(lines, options.timezone), fields=tuple(fields))


def recognises(sample: Sample) -> int:
    """Records that have an event's number and channel or provider, or the container, of one of the shapes."""
    return sum(map(is_event, sample.objects)) + sum(
        text.startswith("<Event") and NAMESPACE in text for text in sample.records
    )


def is_event(record: dict[str, Any]) -> bool:
    if isinstance(record.get("result"), dict):
        record = record["result"]
    event, winlog = record.get("Event"), record.get("winlog")
    if isinstance(event, dict) and isinstance(event.get("System"), dict):
        return "EventID" in event["System"]
    if isinstance(winlog, dict):
        return bool(winlog.keys() & {"event_id", "channel", "event_data", "provider_name"})
    return (
        (isinstance(record.get("event_data"), dict) and "event_id" in record)
        or ("EventID" in record and bool(record.keys() & {"Channel", "SourceName", "EventSourceName"}))
        or ("EventID" in record and record.get("Type") == "SecurityEvent")
        or ("EventCode" in record and bool(record.keys() & {"ComputerName", "LogName", "Channel"}))
    )


# --- from a record to its values ----------------------------------------------------------------------------


def read(lines: ir.Table, timezone: str) -> ir.Table:
    """lines -> events. Each stage reads only what the one before left: most records are of other channels."""
    is_xml = lines.text.startswith("<Event") & (events.strlen(lines.text) <= MAX_XML)
    rows = lines.mutate(_written=lines.text, text=ibis.ifelse(is_xml, xml_as_json(lines.text), lines.text))
    rows = json_fields(rows, EVENT)
    wanted = rows.code.isin(list(ACTION)) & (rows.channel.lower().fill_null("security") == "security")
    rows = rows.mutate(_is_json=rows.is_json, _wanted=wanted.fill_null(False))
    inner = ibis.ifelse(rows.inner.startswith("{"), rows.inner, rows.text)
    rows = rows.mutate(text=ibis.ifelse(rows._wanted, inner, "{}")).drop("is_json", "inner")
    rows = json_fields(rows, SYSTEM | {"data": DATA})
    merged = (
        json_merge_patch(rows.text, xml_as_json(rows.data)) + ""
    )  # a text: as JSON, all that it stands beside would be cast
    beside = ibis.ifelse(rows.data.startswith("<"), merged, rows.text)
    rows = rows.mutate(text=ibis.ifelse(rows.data.startswith("{"), rows.data, beside)).drop("is_json", "data")
    rows = json_fields(rows, VALUES)
    return made(rows.mutate(text=rows._written).drop("_written", "is_json"), timezone)


def xml_as_json(text: ir.StringValue) -> ir.StringValue:
    """The elements of an event, or of its EventData, as one flat JSON object; the time is an attribute."""
    names, values = regexp_extract_all(text, ELEMENT, 1), regexp_extract_all(text, ELEMENT, 2)
    time = to_json(text.re_extract(r"""SystemTime=['"]([^'"]*)""", 1))
    pairs = names.zip(values).map(lambda pair: to_json(pair.f1) + ":" + to_json(unescaped(pair.f2)))
    return ibis.literal('{"TimeCreated":') + time + "," + pairs.join(",") + "}"


def unescaped(text: ir.StringValue) -> ir.StringValue:
    for entity, character in ENTITIES.items():
        text = text.replace(entity, character)
    return text


# --- from values to an event --------------------------------------------------------------------------------


def made(rows: ir.Table, timezone: str) -> ir.Table:
    """rows with the values of each record -> events"""
    rows = rows.mutate(
        created=ibis.coalesce(
            part(rows.created, "^'?([^']+)"), ibis.ifelse(has_zone(rows.local), rows.local, None)
        )
    )
    rows = rows.mutate(told=ibis.coalesce(rows.created, rows.stamp, rows.local))
    rows = rows.mutate(
        **{name: no_list(rows[name]) for name in ("subject", "subject_domain", "target", "target_domain")}
    )
    code = rows.code
    by_subject, reconnected = code.isin(BY_SUBJECT), code == RECONNECTED
    rows = rows.mutate(
        name=ibis.cases((by_subject, rows.subject), (reconnected, rows.reconnected), else_=rows.target),
        domain=ibis.cases(
            (by_subject, rows.subject_domain),
            (reconnected, rows.reconnected_domain),
            (code == NO_TICKET, part(rows.service, "/(.+)")),
            else_=rows.target_domain,
        ),
        sid=told_sid(ibis.ifelse(by_subject, rows.subject_sid, rows.target_sid)),
        subject_sid=told_sid(rows.subject_sid),
        logon_id=ibis.cases(
            (code == LOGON, rows.target_session),
            (reconnected, rows.reconnected_session),
            (by_subject | (code == EXPLICIT), rows.subject_session),
            else_=None,
        ),
        host=once(
            rows.computer.lower(), lambda lower: ibis.ifelse(is_address(lower), lower, lower.split(".")[0])
        ),
        share=part(rows.share, r"([^\\]+)$").lower(),
        workstation=ibis.ifelse(
            rows.workstation.lower().isin(NO_NAME), None, part(rows.workstation, r"^\\*(.+)")
        ),
        address=once(rows.address.lower(), bare_address),
        port=rows.port.try_cast("int64"),
        server=ibis.coalesce(remote(rows.server), remote(rows.information)),
        status=ibis.coalesce(unless_success(rows.substatus), unless_success(rows.status)),
        is_failure=code.isin((FAILED, NO_TICKET)) | rows.keywords.re_search(AUDIT_FAILURE).fill_null(False),
        time=event_time(rows, timezone),
        note=ibis.ifelse(
            rows.told.contains(":") & ~has_zone(rows.told), f"time without a zone: taken as {timezone}", None
        ),
    )
    claims_address = is_address(rows.workstation)
    rows = rows.mutate(
        ip=ibis.cases(
            (is_address(rows.address) & rows.address.notin((*LOCAL, *NOWHERE)), rows.address),
            (claims_address, rows.workstation.lower()),
            else_=None,
        ),
        workstation=ibis.ifelse(claims_address, None, rows.workstation),
        is_system=is_system(rows.name, rows.sid, rows.host),
        server=ibis.ifelse(rows.server.lower().split(".")[0] == rows.host, rows.computer, rows.server),
        is_machine=rows.service.endswith("$") | rows.service.contains("/"),
        is_krbtgt=rows.service.lower().re_search("^krbtgt(/|$)").fill_null(False),
    )
    is_host = rows.workstation.lower().split(".")[0].left(NETBIOS) == rows.host.left(NETBIOS)
    is_loop = rows.address.isin(LOCAL) | rows.address.startswith("127.")
    from_here = rows.number.notnull() & rows.number.notin(REMOTE)
    to_server = (rows.port > 0) & (rows.port < FIRST_CLIENT_PORT)
    at_desk = (code == EXPLICIT) & (rows.ip.isnull() | to_server | (rows.server != rows.computer))
    others = code.isin((LOGON, FAILED, EXPLICIT)) & rows.subject.notnull()
    others = others & ~is_system(rows.subject, rows.subject_sid, rows.host) & ~is_same(rows)
    is_share, is_service = code.isin((SHARE, SHARED_FILE)), (code == SERVICE_TICKET) & ~rows.is_krbtgt
    failed = rows.is_failure | (code.isin((*KERBEROS, VALIDATION)) & rows.status.notnull())
    negotiated = (rows.package == "Negotiate") & rows.lm.startswith("NTLM")
    return events.finish(
        rows,
        [
            (~rows._is_json, "not JSON"),
            (rows.code.isnull(), "not a windows record"),
            (~rows._wanted, f"{events.NOT_A_LOGON}: other event"),
            (rows.is_system, f"{events.NOT_A_LOGON}: system account"),
        ],
        user=qualified(rows.name, rows.domain, code.isin(KERBEROS)),
        user_id=rows.sid,
        actor=ibis.ifelse(others, qualified(rows.subject, rows.subject_domain, ibis.literal(False)), None),
        source=ibis.cases(
            (at_desk, rows.computer),
            (rows.workstation.notnull() & ~is_host, rows.workstation),
            (rows.ip.notnull(), rows.ip),
            (is_loop | from_here | (is_host & rows.number.isnull()), rows.computer),
            else_=None,
        ),
        source_ip=ibis.ifelse(at_desk, None, rows.ip),
        target=ibis.cases(
            (code == EXPLICIT, ibis.coalesce(rows.server, rows.computer)),
            (is_share, ibis.literal("\\\\") + rows.host + "\\" + rows.share),
            (is_service & rows.is_machine, remote(rows.service)),
            (is_service, rows.service),
            else_=rows.computer,
        ),
        target_ip=ibis.ifelse((code == EXPLICIT) & to_server, rows.ip, None),
        target_kind=ibis.ifelse(is_share | (is_service & ~rows.is_machine), "resource", "machine"),
        detail=ibis.cases(
            (code == SHARED_FILE, rows.file),
            (code == OBJECT, rows.object),
            (code.isin(KERBEROS) & rows.encryption.lower().isin(RC4), "RC4"),
            (rows.lm == "NTLM V1", "NTLM V1"),
            else_=None,
        ),
        action=ibis.ifelse(is_service | (code != SERVICE_TICKET), code.cases(*ACTION.items()), "ticket"),
        logon_type=ibis.cases(
            (reconnected, ibis.ifelse(is_loop, "Unlock", "RemoteInteractive")),
            else_=rows.number.cases(*LOGON_TYPE.items()),
        ),
        auth_package=ibis.cases(
            (code.isin(KERBEROS), "Kerberos"),
            ((code == VALIDATION) | negotiated, "NTLM"),
            else_=rows.package,
        ),
        outcome=ibis.ifelse(failed, "failure", "success"),
        outcome_reason=ibis.ifelse(failed, rows.status.cases(*REASON.items(), else_=rows.status), None),
        reporter=rows.computer,
        session=(rows.computer + ":" + rows.logon_id).lower(),
        witness=code.cases(*WITNESS.items()),
        event_id=rows.computer.lower() + "/" + rows.record,
    )


def part(text: ir.StringValue, pattern: str) -> ir.StringValue:
    """What the pattern's group found; null for nothing."""
    return text.re_extract(pattern, 1).nullif("")


def no_list(text: ir.StringValue) -> ir.StringValue:
    """Null for a list of Splunk's whose element said nothing."""
    return ibis.ifelse(text.startswith('["'), None, text)


def told_sid(sid: ir.StringValue) -> ir.StringValue:
    """Null for nobody's, and for a name that Splunk put in its place."""
    return ibis.ifelse(sid.startswith("S-1-") & (sid != NOBODY), sid, None)


def is_system(name: ir.StringValue, sid: ir.StringValue, host: ir.StringValue) -> ir.BooleanValue:
    """Whether it is an account of the system itself, by its name only where no SID is told. Null for no
    name."""
    return ibis.ifelse(
        sid.notnull(), sid.re_search(SYSTEM_SIDS), name.re_search(SYSTEM_NAMES) | (name.lower() == host + "$")
    )


def is_same(rows: ir.Table) -> ir.BooleanValue:
    """Whether subject and target are one account: of one SID, or one name in CORP, corp.example, or behind
    an @."""

    def account(name: ir.StringValue, domain: ir.StringValue) -> ir.StringValue:
        spelt = name.lower().split("@")
        return spelt[0] + "@" + ibis.coalesce(spelt[1], domain.lower(), "").split(".")[0]

    equal = account(rows.subject, rows.subject_domain) == account(rows.name, rows.domain)
    return (rows.subject_sid == rows.sid).fill_null(False) | equal.fill_null(False)


def qualified(name: ir.StringValue, domain: ir.StringValue, is_realm: ir.BooleanValue) -> ir.StringValue:
    r"""`CORP\alice`, `alice@REALM`; a name that has its domain is kept."""
    whole = ibis.ifelse(is_realm, name + "@" + domain, domain + "\\" + name)
    return ibis.ifelse(domain.isnull() | name.re_search(r"[@\\]"), name, whole)


def bare_address(lower: ir.StringValue) -> ir.StringValue:
    """Without port and zone; IPv4 in IPv6 as IPv4."""
    return without_port(lower.re_replace(r"^(\[?)::ffff:(\d+\.)", r"\1\2").re_replace(r"%\w+", ""))


def remote(server: ir.StringValue) -> ir.StringValue:
    """The machine of `HOST$`, `cifs/host:445` or `host`; null for this one."""
    found = ibis.ifelse(is_address(server), server, part(server, r"^(?:\\\\|[^/]+/)?([^/:$]+)"))
    return once(found, lambda machine: ibis.ifelse(machine.lower().isin(LOCAL), None, machine))


def unless_success(status: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(status.isin(SUCCESS), None, status.lower())


# --- times --------------------------------------------------------------------------------------------------


def event_time(rows: ir.Table, timezone: str) -> ir.TimestampValue:
    """When the event was, else when it arrived."""
    local, received = rows.local.try_cast("timestamp(6)"), rows.received.try_cast("timestamp(6)")
    arrived = iso_time(rows.stamp)
    quarters = ((arrived.epoch_seconds() - received.epoch_seconds()) / QUARTER).round()
    possible = rows.created.isnull() & (quarters.abs() <= MOST_QUARTERS) & (local.year() < LAST_YEAR)
    zone = ibis.ifelse(possible, quarters, None).cast("int64") * QUARTER
    told = ibis.ifelse(
        rows.told.contains(":"), iso_time(rows.told, timezone), parsed_time(rows.told, "epoch_s")
    )
    return ibis.ifelse(zone.notnull(), local + zone.as_interval("s"), told)


# Functions of DuckDB that Ibis has no name for.


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def to_json(text: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_merge_patch(text: str, patch: str) -> str: ...  # type: ignore[empty-body]
