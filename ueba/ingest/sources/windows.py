"""Windows Security events: EVTX, XML, JSON of evtx_dump, winlogbeat (ECS), NXLog, Splunk and Azure Monitor
(SecurityEvent).

    4624 4625 4778    a logon, seen at the host
    4648              an explicit credential, seen where it was typed
    4768 4771         a ticket, seen at the controller
    4769              a service ticket to a machine, or to the account that a service runs as; the same
    4776              a password that was checked through NTLM, seen at the controller
    5140 5145         access to a file share, seen at its host
    4663              access to an object on the machine; its name is the detail
    4672              evidence of administrator rights

All other events and channels (logoffs, processes, Sysmon) are dropped, and so are accounts of the system
itself: SYSTEM, LOCAL SERVICE, DWM-1, and a machine's account on that machine (its SID is S-1-5-18). A
machine's account on another machine is kept.

What is wrong or missing in these logs:
- EventTime of NXLog has no zone, and `@timestamp` is when the record arrived, sometimes minutes later.
  EventReceivedTime and EventTime are of one clock: the difference of EventReceivedTime and `@timestamp`, in
  quarters of an hour, is the zone of both.
- WorkstationName is what the client claims; for a remote desktop, and for a service that checks a password
  for somebody, it is the host itself. Then the source is the address, or unknown.
- IpAddress in 4648 is that of the server if the port is a server's; else, if the server is this host, that of
  its client (remote desktop).
- 4776 has no domain, and 4771 has it only as the realm of `krbtgt/REALM`. 4769 of a logon to a service names
  the account that the service runs as.
- Accounts of the system are recognised by SID: their names are translated. Fields: Microsoft, "Advanced
security audit policy settings" and the page of each event,
https://learn.microsoft.com/windows/security/threat-protection/auditing/; of Azure: "SecurityEvent" in the
tables of Azure Monitor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Columns,
    Parsed,
    all_paths,
    any_time,
    by_kind,
    character,
    has_zone,
    is_address,
    json_fields,
    regexp_extract_all,
    to_json,
    without_port,
)
from ueba.ingest.identity import is_local, once, somewhere
from ueba.ingest.reading.characters import MARK
from ueba.ingest.sources import LogSource, Options, Sample
from ueba.ingest.wellknown import in_english, is_system

LOGON, FAILED, RECONNECTED = "4624", "4625", "4778"
EXPLICIT, PRIVILEGES = "4648", "4672"
TICKET, NO_TICKET, SERVICE_TICKET, VALIDATION = "4768", "4771", "4769", "4776"
SHARE, SHARED_FILE, OBJECT = "5140", "5145", "4663"
KERBEROS = (TICKET, SERVICE_TICKET, NO_TICKET)
BY_SUBJECT = (
    PRIVILEGES,
    SHARE,
    SHARED_FILE,
    OBJECT,
)  # the account is the subject of the event, not its target
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
MAX_XML = 1 << 16  # bytes: larger texts are no events, and the time to parse them grows with the square
REMOTE = (
    "3",
    "8",
    "10",
)  # types of a logon that may come from elsewhere; the others come from the machine itself
NO_NAME = ("null", "unknown")  # of a workstation
FIRST_CLIENT_PORT = 1024
NETBIOS = 15  # characters of a workstation's name
QUARTER, MOST_QUARTERS = 900, 56  # seconds; a zone is a whole number of quarters of an hour, 14 hours at most
LAST_YEAR = 9999
NOBODY = "S-1-0-0"
SUCCESS = ("0x0", "0x00000000", "0")
STATUS = r"^(0x[0-9a-f]+|-?\d+|%%\d+)$"  # of a check; any other says nothing
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
# The last number has the same bits as the one before it, signed.
AUDIT_FAILURE = r"(?i)failure|^0x8010000000000000$|^-9218868437227405312$"
RC4 = ("0x17", "0x18")

# The paths of a record's fields in all shapes. The values of the event are below one of DATA, or beside the
# fields.
EVENT = {
    "code": (
        "/Event/System/EventID/#text",
        *(
            "Event.System.EventID",
            "winlog.event_id",
            "EventID",
            "EventCode",
            "event_id",
        ),
    ),
    "channel": (
        "Event.System.Channel",
        "winlog.channel",
        "Channel",
        "LogName",
        "log_name",
    ),
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
    # Winlogbeat's module for the Security log and Elastic's integration move these out of the values
    "moved_address": ("source.ip",),
    "moved_workstation": ("source.domain",),
}
DATA = ("Event.EventData", "winlog.event_data", "event_data", "EventData")
VALUES = {  # also the names that Splunk extracts from text, in which those of two accounts are a list
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
# The labels of a message that Splunk's forwarder writes, in English, German, French, Spanish and Italian.
LABELS = {
    "Account_Name": ("Account Name", "Kontoname", "Nom du compte", "Nombre de cuenta", "Nome account"),
    "Account_Domain": (
        *("Account Domain", "Kontodomäne", "Domaine du compte"),
        *("Dominio de cuenta", "Dominio account"),
    ),
    "Security_ID": (
        *("Security ID", "Sicherheits-ID", "ID de sécurité", "Id. de seguridad", "ID sicurezza"),
        *("Id. de seguridad", "ID di sicurezza"),
    ),
    "Logon_ID": (
        *("Logon ID", "Anmelde-ID", "ID d'ouverture de session", "Id. de inicio de sesión", "ID accesso"),
    ),
    "Logon_Type": (
        *("Logon Type", "Anmeldetyp", "Type d'ouverture de session", "Tipo de inicio de sesión"),
        "Tipo di accesso",
    ),
    "Workstation_Name": (
        *("Workstation Name", "Arbeitsstationsname", "Nom de la station de travail"),
        *("Nombre de estación de trabajo", "Nome workstation"),
    ),
    "Source_Network_Address": (
        *("Source Network Address", "Quellnetzwerkadresse", "Adresse du réseau source"),
        *("Dirección de red de origen", "Indirizzo di rete di origine"),
    ),
    "Authentication_Package": (
        *("Authentication Package", "Authentifizierungspaket", "Package d'authentification"),
        *("Paquete de autenticación", "Pacchetto di autenticazione"),
    ),
    "Client_Address": ("Client Address", "Clientadresse", "Adresse du client", "Dirección de cliente"),
    "Network_Address": ("Network Address", "Netzwerkadresse"),
    "Port": ("Source Port", "Port", "Client Port", "Quellport", "Port source", "Puerto de origen"),
    "Service_Name": ("Service Name", "Dienstname", "Nom du service", "Nombre del servicio"),
    "Result_Code": ("Result Code", "Ergebniscode", "Code de résultat", "Código de resultado"),
    "Failure_Code": ("Failure Code", "Fehlercode", "Code d'échec"),
    "Error_Code": ("Error Code",),
    "Status": ("Status", "État", "Estado", "Stato"),
    "Sub_Status": ("Sub Status", "Unterstatus", "Sous-état", "Subestado", "Stato secondario"),
    "Target_Server_Name": ("Target Server Name", "Zielservername", "Nom du serveur cible"),
    "Additional_Information": ("Additional Information", "Weitere Informationen"),
    "Supplied_Realm_Name": ("Supplied Realm Name", "Bereitgestellter Bereichsname"),
    "User_ID": ("User ID", "Benutzer-ID", "ID d'utilisateur", "Id. de usuario"),
    "Source_Workstation": ("Source Workstation", "Quellarbeitsstation", "Station de travail source"),
    "Logon_Account": ("Logon Account", "Anmeldekonto", "Compte d'ouverture de session"),
    "Client_Name": ("Client Name", "Clientname"),
    "Ticket_Encryption_Type": ("Ticket Encryption Type", "Ticketverschlüsselungstyp"),
    "Share_Name": ("Share Name", "Freigabename", "Nom du partage"),
    "Relative_Target_Name": ("Relative Target Name", "Relativer Zielname"),
    "Object_Name": ("Object Name", "Objektname"),
    "Package_Name__NTLM_only_": ("Package Name (NTLM only)", "Paketname (nur NTLM)"),
}
SPLUNK_TEXT = r"(?:^|[\x1e\n])LogName=[^\x1e\n]*(?:[\x1e\n].*)?[\x1e\n]EventCode=\d"
PAIR = r"(?:^|[\x1e\n])([A-Za-z]\w*)=([^\x1e\r\n]*)"  # of the lines before the message
LABEL = r"[\x1e\n]\s*([^\x1e\n:=]{2,40}?)[\s\x{A0}]?:[ \t]*([^\x1e\r\n]*)"
CDATA = r"<!\[CDATA\[(.*?)\]\]>"
# Of XML: its name, or that of a value; its text.
ELEMENT = r"""(?s)<(?:Data Name=['"])?(\w+)[^<>]*>((?:[^<]|<!\[CDATA\[.*?\]\]>)*)"""
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
NAMESPACE = "schemas.microsoft.com/win/2004/08/events"


def source(format: str, options: Options) -> LogSource:
    """options: `timezone` is that of times without a zone."""
    settings = {"format": format, "timezone": options.timezone}
    values = [path for path in all_paths(VALUES) if not path.startswith("/")]
    prefixes = ("", *(f"{path}." for path in DATA))
    fields = (
        *all_paths(EVENT),
        *all_paths(SYSTEM),
        *(prefix + path for path in values for prefix in prefixes),
    )
    return LogSource(
        format,
        settings,
        lambda lines, has_text: read(lines, options.timezone, has_text),
        facts=lambda sample: any(re.search(SPLUNK_TEXT, text) for text in sample.records),
        fields=tuple(dict.fromkeys(fields)),
    )


def recognises(sample: Sample) -> int:
    """Records of one of the shapes: with an event's number and its channel or provider, or in XML."""
    return sum(map(is_event, sample.objects)) + sum(
        (text.startswith("<Event") and NAMESPACE in text) or re.search(SPLUNK_TEXT, text) is not None
        for text in sample.records
    )


def is_event(record: dict[str, Any]) -> bool:
    event, winlog = record.get("Event"), record.get("winlog")
    if isinstance(event, dict) and isinstance(event.get("System"), dict):
        return "EventID" in event["System"]
    if isinstance(winlog, dict):
        return bool(winlog.keys() & {"event_id", "channel", "event_data", "provider_name"})
    return (
        (isinstance(record.get("event_data"), dict) and "event_id" in record)
        or ("EventID" in record and bool(record.keys() & {"Channel", "SourceName", "EventSourceName"}))
        or ("EventID" in record and record.get("Type") == "SecurityEvent")
        or {"EventID", "TimeGenerated", "Computer"} <= record.keys()
        or ("EventCode" in record and bool(record.keys() & {"ComputerName", "LogName", "Channel"}))
    )


# --- from a record to its values ----------------------------------------------------------------------------


def read(lines: ir.Table, timezone: str, has_text: bool) -> ir.Table:
    """lines -> events. has_text: records may be text of Splunk's forwarder"""
    rows = with_account(with_values(with_fields(lines, has_text), timezone))
    name, domain = in_english(rows.name, rows.domain, rows.sid)
    rows = rows.mutate(name=name, domain=domain)
    rows = rows.mutate(
        is_system=is_own(rows.name, rows.domain, rows.sid, rows.host),
        kind=rows.code.cases(*KIND.items(), else_=ibis.null("string")),
    )
    cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    is_check = rows.code.isin((*KERBEROS, VALIDATION))
    is_number = rows.status.re_search(STATUS).fill_null(True)
    failed = rows.is_failure | (is_check & rows.status.notnull() & is_number)
    return events.finish(
        rows,
        [*dropped(rows), *cases],
        **columns
        | {
            "user": qualified(rows.name, rows.domain, rows.code.isin(KERBEROS)),
            "user_id": rows.sid,
            "outcome": ibis.cases((failed, "failure"), (is_check & ~is_number, "unknown"), else_="success"),
            "outcome_reason": ibis.ifelse(
                failed, rows.status.cases(*REASON.items(), else_=rows.status), None
            ),
            "reporter": rows.computer,
            "session": (rows.computer + ":" + rows.logon_id).lower(),
            "witness": rows.code.cases(*WITNESS.items()),
            "event_id": rows.computer.lower() + "/" + rows.record,
        },
    )


def with_fields(lines: ir.Table, has_text: bool) -> ir.Table:
    """lines with the fields of their records in any shape. Most records are of other channels: each step
    reads only the records that the step before it left."""
    is_xml = lines.text.startswith("<Event") & (events.strlen(lines.text) <= MAX_XML)
    as_json = [(is_xml, xml_as_json(lines.text))]
    if has_text:
        is_text = ibis.ifelse(lines.text.startswith("{"), False, lines.text.re_search(SPLUNK_TEXT))
        as_json.append((is_text, text_as_json(lines.text)))
    rows = lines.mutate(_written=lines.text, text=ibis.cases(*as_json, else_=lines.text))
    rows = json_fields(rows, EVENT)
    wanted = rows.code.isin(list(KIND)) & (rows.channel.lower().fill_null("security") == "security")
    rows = rows.mutate(_is_json=rows.is_json, _wanted=wanted.fill_null(False))
    rows = rows.mutate(text=ibis.ifelse(rows._wanted, rows.text, "{}")).drop("is_json")
    rows = json_fields(rows, SYSTEM | {"data": DATA})
    # made a text, or else all that it stands beside would be cast to JSON
    merged = json_merge_patch(rows.text, xml_as_json(rows.data)) + ""
    beside = ibis.ifelse(rows.data.startswith("<"), merged, rows.text)
    rows = rows.mutate(text=ibis.ifelse(rows.data.startswith("{"), rows.data, beside)).drop("is_json", "data")
    rows = json_fields(rows, VALUES)
    return rows.mutate(
        text=rows._written,
        address=ibis.coalesce(rows.address, rows.moved_address),
        workstation=ibis.coalesce(rows.workstation, rows.moved_workstation),
    ).drop("_written", "is_json")


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    return [
        (~rows._is_json, "not JSON"),
        (rows.code.isnull(), "not a windows record"),
        (~rows._wanted, f"{events.NOT_A_LOGON}: other event"),
        (rows.is_system, f"{events.NOT_A_LOGON}: system account"),
    ]


def xml_as_json(text: ir.StringValue) -> ir.StringValue:
    """The elements of an event, or of its EventData, as one flat JSON object, with the time, which is an
    attribute."""
    time = to_json(text.re_extract(r"""SystemTime=['"]([^'"]*)""", 1))
    # An element at a time: `zip` of two lists would search the whole text again for every element.
    pairs = regexp_extract_all(text, ELEMENT, 0).map(
        lambda element: (
            to_json(element.re_extract(ELEMENT, 1)) + ":" + to_json(unescaped(element.re_extract(ELEMENT, 2)))
        )
    )
    return ibis.literal('{"TimeCreated":') + time + "," + pairs.join(",") + "}"


def text_as_json(text: ir.StringValue) -> ir.StringValue:
    """An event as Splunk's forwarder writes it (`reading.wineventlog`) as a JSON object: its first line is
    the time, each label of its message has a list of values, of which those of the subject come first."""
    # A pair at a time, as `xml_as_json` takes its elements.
    pairs = regexp_extract_all(text, PAIR, 0).map(
        lambda pair: to_json(pair.re_extract(PAIR, 1)) + ":" + to_json(pair.re_extract(PAIR, 2).strip())
    )
    found = regexp_extract_all(text, LABEL, 0).map(
        lambda line: ibis.struct({"label": line.re_extract(LABEL, 1), "value": line.re_extract(LABEL, 2)})
    )
    time = to_json(text.re_extract(r"^[^\x1e\r\n]+", 0).strip())
    members = ibis.array([ibis.literal('"TimeGenerated":') + time]).concat(once(found, labels_as_json), pairs)
    return ibis.literal("{") + members.join(",") + "}"


def labels_as_json(found: ir.ArrayValue) -> ir.ArrayValue:
    """A member of a JSON object for each label. found: (label, value), in order"""
    return ibis.array(
        [ibis.literal(f'"{name}":') + labelled(found, labels) for name, labels in LABELS.items()]
    )


def labelled(found: ir.ArrayValue, labels: tuple[str, ...]) -> ir.StringValue:
    """The values of a label in any language: one alone, or a list. found: (label, value), in order"""

    def written(values: ir.ArrayValue) -> ir.StringValue:
        listed = ibis.literal("[") + values.map(lambda value: to_json(value)).join(",") + "]"
        return ibis.cases(
            (values.length() == 0, "null"), (values.length() == 1, to_json(values[0])), else_=listed
        )

    known = [label.lower() for label in labels]
    chosen = found.filter(lambda pair: pair["label"].lower().replace("\u2019", "'").isin(known))
    return once(chosen.map(lambda pair: pair["value"].strip()), written)


def unescaped(text: ir.StringValue) -> ir.StringValue:
    """A text without references to characters, by name or number, each decoded once, and CDATA as it is."""
    parts = regexp_extract_all(text, rf"(?s){CDATA}|&(?:#\d+|#[xX][0-9a-fA-F]+|\w{{2,4}});|[&<]|[^&<]+", 0)
    return ibis.ifelse(text.re_search("[&<]"), parts.map(referred).join(""), text)


def referred(part: ir.StringValue) -> ir.StringValue:
    """The character that a reference stands for; any other text as it is."""
    decimal = part.re_extract(r"^&#(\d+);$", 1).try_cast("int64")
    sixteen = (ibis.literal("0x") + part.re_extract(r"^&#[xX]([0-9a-fA-F]+);$", 1)).try_cast("int64")
    code = ibis.coalesce(decimal, sixteen)
    is_character = (code.between(1, 0xD7FF) | code.between(0xE000, 0x10FFFF)).fill_null(False)
    return ibis.cases(
        (part.re_search("^&#.+;$"), character(ibis.ifelse(is_character, code, ord(MARK)).cast("int32"))),
        (part.startswith("<![CDATA["), part.re_extract(rf"(?s)^{CDATA}$", 1)),
        else_=part.cases(*ENTITIES.items(), else_=part),
    )


# --- the values, in one spelling ----------------------------------------------------------------------------


def with_values(rows: ir.Table, timezone: str) -> ir.Table:
    """rows with their values in one spelling, whatever shape the record had."""
    created = part(rows.created, "^'?([^']+)")
    rows = rows.mutate(
        created=ibis.coalesce(created, ibis.ifelse(has_zone(rows.local), rows.local, None)),
        **{name: no_list(rows[name]) for name in ("subject", "subject_domain", "target", "target_domain")},
    )
    rows = rows.mutate(stated=ibis.coalesce(rows.created, rows.stamp, rows.local))
    no_zone = rows.stated.contains(":") & ~has_zone(rows.stated)
    is_failed = rows.code.isin((FAILED, NO_TICKET))
    rows = rows.mutate(
        host=once(rows.computer.lower(), short_name),
        share=part(rows.share, r"([^\\]+)$").lower(),
        port=rows.port.try_cast("int64"),
        server=ibis.coalesce(remote(rows.server), remote(rows.information)),
        status=ibis.coalesce(unless_success(rows.substatus), unless_success(rows.status)),
        is_failure=is_failed | rows.keywords.re_search(AUDIT_FAILURE).fill_null(False),
        time=event_time(rows, timezone),
        note=ibis.ifelse(no_zone, f"time without a zone: taken as {timezone}", None),
        **workstation(rows),
    )
    is_here = rows.server.lower().split(".")[0] == rows.host
    return rows.mutate(server=ibis.ifelse(is_here, rows.computer, rows.server), **addresses(rows))


def workstation(rows: ir.Table) -> Columns:
    """The workstation's name, and the address, as the record has them: either may be in the other's place."""
    named = ibis.ifelse(rows.workstation.lower().isin(NO_NAME), None, part(rows.workstation, r"^\\*(.+)"))
    return {"workstation": named, "address": once(rows.address.lower(), bare_address)}


def addresses(rows: ir.Table) -> Columns:
    """The address `ip`, from either place, and the workstation's name if it is no address."""
    is_in_name = is_address(rows.workstation)
    is_remote = is_address(rows.address) & somewhere(rows.address).notnull() & ~is_local(rows.address)
    return {
        "ip": ibis.cases((is_remote, rows.address), (is_in_name, rows.workstation.lower()), else_=None),
        "workstation": ibis.ifelse(is_in_name, None, rows.workstation),
    }


def with_account(rows: ir.Table) -> ir.Table:
    """rows with the account of the event: `name`, `domain`, `sid`, and `logon_id`, its session."""
    code = rows.code
    by_subject, reconnected = code.isin(BY_SUBJECT), code == RECONNECTED
    return rows.mutate(
        name=ibis.cases((by_subject, rows.subject), (reconnected, rows.reconnected), else_=rows.target),
        domain=ibis.cases(
            (by_subject, rows.subject_domain),
            (reconnected, rows.reconnected_domain),
            (code == NO_TICKET, part(rows.service, "/(.+)")),
            else_=rows.target_domain,
        ),
        sid=sid_or_null(ibis.ifelse(by_subject, rows.subject_sid, rows.target_sid)),
        subject_sid=sid_or_null(rows.subject_sid),
        logon_id=ibis.cases(
            (code == LOGON, rows.target_session),
            (reconnected, rows.reconnected_session),
            (by_subject | (code == EXPLICIT), rows.subject_session),
            else_=None,
        ),
    )


# --- kinds of events ----------------------------------------------------------------------------------------


def logon(rows: ir.Table) -> Parsed:
    is_ntlm = (rows.package == "Negotiate") & rows.lm.startswith("NTLM")
    return [], at_computer(rows) | {
        "actor": actor(rows),
        "action": ibis.literal("logon"),
        "logon_type": rows.number.cases(*LOGON_TYPE.items()),
        "auth_package": ibis.ifelse(is_ntlm, "NTLM", rows.package),
        "detail": ibis.ifelse(rows.lm == "NTLM V1", "NTLM V1", None),
    }


def reconnected(rows: ir.Table) -> Parsed:
    """A session that was taken up again, at the machine or through remote desktop."""
    return [], at_computer(rows) | {
        "action": ibis.literal("logon"),
        "logon_type": ibis.ifelse(is_loopback(rows), "Unlock", "RemoteInteractive"),
    }


def explicit_credential(rows: ir.Table) -> Parsed:
    """A password of another account, typed at this machine, or through remote desktop to it."""
    to_server = (rows.port > 0) & (rows.port < FIRST_CLIENT_PORT)
    at_desk = rows.ip.isnull() | to_server | (rows.server != rows.computer)
    return [], {
        "actor": actor(rows),
        "source": ibis.ifelse(at_desk, rows.computer, source_of(rows)),
        "source_ip": ibis.ifelse(at_desk, None, rows.ip),
        "target": ibis.coalesce(rows.server, rows.computer),
        "target_ip": ibis.ifelse(to_server, rows.ip, None),
        "target_kind": ibis.literal("machine"),
        "action": ibis.literal("explicit_credential"),
    }


def privileges(rows: ir.Table) -> Parsed:
    return [], at_computer(rows) | {"action": ibis.literal(events.PRIVILEGE)}


def ticket(rows: ir.Table) -> Parsed:
    """A ticket of the controller: granted, or refused."""
    return [], at_computer(rows) | {
        "detail": weak_encryption(rows),
        "action": ibis.literal("ticket"),
        "auth_package": ibis.literal("Kerberos"),
    }


def service_ticket(rows: ir.Table) -> Parsed:
    """A ticket to a service of a machine, or to an account that a service runs as; or a renewed ticket of the
    controller."""
    is_controller = rows.service.lower().re_search("^krbtgt(/|$)").fill_null(False)
    is_machine = rows.service.endswith("$") | rows.service.contains("/")
    service = ibis.ifelse(is_machine, remote(rows.service), rows.service)
    return [], at_computer(rows) | {
        "target": ibis.ifelse(is_controller, rows.computer, service),
        "target_kind": ibis.ifelse(~is_controller & ~is_machine, "resource", "machine"),
        "detail": weak_encryption(rows),
        "action": ibis.ifelse(is_controller, "ticket", "service_ticket"),
        "auth_package": ibis.literal("Kerberos"),
    }


def validation(rows: ir.Table) -> Parsed:
    return [], at_computer(rows) | {
        "action": ibis.literal("credential_validation"),
        "auth_package": ibis.literal("NTLM"),
    }


def share_access(rows: ir.Table) -> Parsed:
    return [], at_computer(rows) | {
        "target": ibis.literal("\\\\") + rows.host + "\\" + rows.share,
        "target_kind": ibis.literal("resource"),
        "detail": ibis.ifelse(rows.code == SHARED_FILE, rows.file, None),
        "action": ibis.literal("share_access"),
    }


def object_access(rows: ir.Table) -> Parsed:
    return [], at_computer(rows) | {"detail": rows.object, "action": ibis.literal("object_access")}


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    "logon": logon,
    "reconnected": reconnected,
    "explicit_credential": explicit_credential,
    "privileges": privileges,
    "ticket": ticket,
    "service_ticket": service_ticket,
    "validation": validation,
    "share_access": share_access,
    "object_access": object_access,
}
KIND = {  # of an event, by its number
    LOGON: "logon",
    FAILED: "logon",
    RECONNECTED: "reconnected",
    EXPLICIT: "explicit_credential",
    PRIVILEGES: "privileges",
    TICKET: "ticket",
    NO_TICKET: "ticket",
    SERVICE_TICKET: "service_ticket",
    VALIDATION: "validation",
    SHARE: "share_access",
    SHARED_FILE: "share_access",
    OBJECT: "object_access",
}


# --- who, and from where ------------------------------------------------------------------------------------


def at_computer(rows: ir.Table) -> Columns:
    """The computer that logged the event, reached from the source that it names."""
    return {
        "source": source_of(rows),
        "source_ip": rows.ip,
        "target": rows.computer,
        "target_kind": ibis.literal("machine"),
    }


def source_of(rows: ir.Table) -> ir.StringValue:
    """The workstation, else the address, else the computer itself if the logon is local; null if unknown."""
    is_host = rows.workstation.lower().split(".")[0].left(NETBIOS) == rows.host.left(NETBIOS)
    is_local = rows.number.notnull() & rows.number.notin(REMOTE)
    return ibis.cases(
        (rows.workstation.notnull() & ~is_host, rows.workstation),
        (rows.ip.notnull(), rows.ip),
        (is_loopback(rows) | is_local | (is_host & rows.number.isnull()), rows.computer),
        else_=None,
    )


def is_loopback(rows: ir.Table) -> ir.BooleanValue:
    at_console = (rows.code == RECONNECTED) & (rows.address == "unknown")
    return is_local(rows.address) | at_console.fill_null(False)


def actor(rows: ir.Table) -> ir.StringValue:
    """The subject, if it is another account than the target and not the system."""
    is_system = is_own(rows.subject, rows.subject_domain, rows.subject_sid, rows.host)
    is_other = rows.subject.notnull() & ~is_system & ~is_same(rows)
    name = in_english(rows.subject, rows.subject_domain, rows.subject_sid)
    return ibis.ifelse(is_other, qualified(*name, ibis.literal(False)), None)


def weak_encryption(rows: ir.Table) -> ir.StringValue:
    return ibis.ifelse(rows.encryption.lower().isin(RC4), "RC4", None)


def part(text: ir.StringValue, pattern: str) -> ir.StringValue:
    """The group of a pattern; null if it is empty or the pattern does not match."""
    return text.re_extract(pattern, 1).nullif("")


def no_list(text: ir.StringValue) -> ir.StringValue:
    """Null for a list of Splunk whose element was empty."""
    return ibis.ifelse(text.startswith('["'), None, text)


def sid_or_null(sid: ir.StringValue) -> ir.StringValue:
    """A SID; null for that of nobody, and for a name that Splunk writes instead."""
    return ibis.ifelse(sid.startswith("S-1-") & (sid != NOBODY), sid, None)


def is_own(
    name: ir.StringValue, domain: ir.StringValue, sid: ir.StringValue, host: ir.StringValue
) -> ir.BooleanValue:
    """Whether an account is one of the system, or without a SID that of the machine itself. Null without a
    name."""
    return is_system(name, domain, sid) | (sid.isnull() & (name.lower() == host + "$"))


def is_same(rows: ir.Table) -> ir.BooleanValue:
    """Whether subject and target are one account: with the same SID, or the same name in CORP, in
    corp.example, or before an @."""

    def account(name: ir.StringValue, domain: ir.StringValue) -> ir.StringValue:
        parts = name.lower().split("@")
        return parts[0] + "@" + ibis.coalesce(parts[1], domain.lower(), "").split(".")[0]

    equal = account(rows.subject, rows.subject_domain) == account(rows.name, rows.domain)
    return (rows.subject_sid == rows.sid).fill_null(False) | equal.fill_null(False)


def qualified(name: ir.StringValue, domain: ir.StringValue, is_realm: ir.BooleanValue) -> ir.StringValue:
    r"""`CORP\alice`, or `alice@REALM`; a name with a domain is not changed."""
    whole = ibis.ifelse(is_realm, name + "@" + domain, domain + "\\" + name)
    return ibis.ifelse(domain.isnull() | name.re_search(r"[@\\]"), name, whole)


def bare_address(lower: ir.StringValue) -> ir.StringValue:
    """An address without port and zone; an IPv4 address without its IPv6 prefix."""
    return without_port(lower.re_replace(r"^(\[?)::ffff:(\d+\.)", r"\1\2").re_replace(r"%[^\]]*", ""))


def remote(server: ir.StringValue) -> ir.StringValue:
    """The machine in `HOST$`, `cifs/host:445` or `host`; null for this machine."""
    found = ibis.ifelse(is_address(server), server, part(server, r"^(?:\\\\|[^/]+/)?([^/:$]+)"))
    return once(found, lambda name: ibis.ifelse(is_local(name), None, somewhere(name)))


def short_name(machine: ir.StringValue) -> ir.StringValue:
    """A machine's name without domain; an address is not changed."""
    return ibis.ifelse(is_address(machine), machine, machine.split(".")[0])


def unless_success(status: ir.StringValue) -> ir.StringValue:
    """A status in lower case; null for success."""
    return ibis.ifelse(status.isin(SUCCESS), None, status.lower())


# --- times --------------------------------------------------------------------------------------------------


def event_time(rows: ir.Table, timezone: str) -> ir.TimestampValue:
    """The time of the event, else that of its arrival."""
    local, received = rows.local.try_cast("timestamp(6)"), rows.received.try_cast("timestamp(6)")
    arrived = any_time(rows.stamp)
    quarters = ((arrived.epoch_seconds() - received.epoch_seconds()) / QUARTER).round()
    possible = rows.created.isnull() & (quarters.abs() <= MOST_QUARTERS) & (local.year() < LAST_YEAR)
    zone = ibis.ifelse(possible, quarters, None).cast("int64") * QUARTER
    return ibis.ifelse(zone.notnull(), local + zone.as_interval("s"), any_time(rows.stated, timezone))


# Functions of DuckDB that are not in Ibis.


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_merge_patch(text: str, patch: str) -> str: ...  # type: ignore[empty-body]
