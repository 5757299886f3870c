"""Events as Windows Security events, JSON lines in the shape of winlogbeat (ECS): what host and domain
controller would write.

    a logon              4624 or 4625 at the host; before it 4769 (Kerberos) or 4776 (NTLM) at a controller; 4648 at the desk
                         from which an administrator uses another account
    a ticket             4768 at the controller, 4769 for a service ticket
    a file share         5140 at its file server

So one logon is two records or three. Names are as Windows writes them: the account without domain, CORP
beside it, in 4769 `name@REALM`; Kerberos tells the address of the source, NTLM its name too. Leaves out
log-offs (4634), privileges (4672), and what Windows does not see: applications by single sign-on, cloud
roles. Fields: Microsoft, "Audit logon events" and the pages of each event,
https://learn.microsoft.com/windows/security/threat-protection/auditing/.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba.simulate.cast import CONTROLLERS, Bools, Ints, Strings
from ueba.simulate.json_lines import fill
from ueba.simulate.ocsf import LOGON_TYPES, coded, numbers
from ueba.simulate.writers import chunks, iso

DOMAIN_SID = "S-1-5-21-1004336348-1177238915-682003330"
NOBODY_SID, ANONYMOUS_SID = "S-1-0-0", "S-1-5-7"
FIRST_RID = 1100  # of the first account in order of names
FILE_SERVERS = 3  # that share all folders among them
PER_EVENT = 4  # record numbers kept for each event
SUBJECT_NOBODY = {
    "SubjectUserSid": NOBODY_SID,
    "SubjectUserName": "-",
    "SubjectDomainName": "-",
    "SubjectLogonId": "0x0",
}
TARGET = {"TargetUserSid": "<sid>", "TargetUserName": "<name>", "TargetDomainName": "<domain>"}
HOW = {
    "LogonType": "<logon_number>",
    "LogonProcessName": "<process>",
    "AuthenticationPackageName": "<auth_package>",
    "WorkstationName": "<workstation>",
    "TransmittedServices": "-",
    "LmPackageName": "<lm_package>",
    "KeyLength": "<key_length>",
    "ProcessId": "0x0",
    "ProcessName": "-",
}
FROM = {"IpAddress": "<ip>", "IpPort": "<port>"}
FROM_MAPPED = {"IpAddress": "<mapped_ip>", "IpPort": "<port>"}  # controllers write ::ffff:10.0.0.7


def event(code: int, task: str, computer: str, outcome: str, data: dict[str, str]) -> dict[str, Any]:
    return {
        "@timestamp": "<time>",
        "event": {
            "code": str(code),
            "kind": "event",
            "provider": "Microsoft-Windows-Security-Auditing",
            "outcome": outcome,
        },
        "host": {"name": computer},
        "winlog": {
            "channel": "Security",
            "provider_name": "Microsoft-Windows-Security-Auditing",
            "computer_name": computer,
            "event_id": str(code),
            "record_id": "<record>",
            "task": task,
            "event_data": data,
        },
    }


LOGON = event(
    4624,
    "Logon",
    "<computer>",
    "success",
    SUBJECT_NOBODY | TARGET | {"TargetLogonId": "<logon_id>"} | HOW | FROM,
)
FAILURE = event(
    4625,
    "Logon",
    "<computer>",
    "failure",
    SUBJECT_NOBODY
    | TARGET
    | {
        "TargetUserSid": NOBODY_SID,
        "Status": "<status>",
        "FailureReason": "<reason>",
        "SubStatus": "<substatus>",
    }
    | HOW
    | FROM,
)
OTHER_ACCOUNT = event(
    4648,
    "Logon",
    "<source_computer>",
    "success",
    {
        "SubjectUserSid": "<owner_sid>",
        "SubjectUserName": "<owner>",
        "SubjectDomainName": "<domain>",
        "SubjectLogonId": "0x3e7",
    }
    | {
        "TargetUserName": "<name>",
        "TargetDomainName": "<domain>",
        "TargetServerName": "<computer>",
        "TargetInfo": "<computer>",
    }
    | {
        "ProcessId": "0x5b4",
        "ProcessName": "C:\\Windows\\System32\\mstsc.exe",
        "IpAddress": "-",
        "IpPort": "-",
    },
)
TICKET = event(
    4768,
    "Kerberos Authentication Service",
    "<computer>",
    "success",
    {"TargetUserName": "<name>", "TargetDomainName": "<domain>", "TargetSid": "<sid>"}
    | {
        "ServiceName": "krbtgt",
        "ServiceSid": f"{DOMAIN_SID}-502",
        "TicketOptions": "0x40810010",
        "Status": "0x0",
    }
    | {"TicketEncryptionType": "0x12", "PreAuthType": "2"}
    | FROM_MAPPED,
)
SERVICE = {
    "TargetUserName": "<principal>",
    "TargetDomainName": "<realm>",
    "ServiceName": "<service>",
    "ServiceSid": "<service_sid>",
}
GRANTED = {
    "TicketOptions": "0x40810000",
    "TicketEncryptionType": "0x12",
    "Status": "0x0",
    "TransmittedServices": "-",
}
KERBEROS = "Kerberos Service Ticket Operations"
SERVICE_TICKET = event(4769, KERBEROS, "<controller>", "success", SERVICE | GRANTED | FROM_MAPPED)
VALIDATION = {
    "PackageName": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
    "TargetUserName": "<name>",
    "Workstation": "<source_name>",
}
VALID = event(4776, "Credential Validation", "<controller>", "success", VALIDATION | {"Status": "0x0"})
INVALID = event(
    4776, "Credential Validation", "<controller>", "failure", VALIDATION | {"Status": "<validation_status>"}
)
SHARE = event(
    5140,
    "File Share",
    "<file_server>",
    "success",
    {
        "SubjectUserSid": "<sid>",
        "SubjectUserName": "<name>",
        "SubjectDomainName": "<domain>",
        "SubjectLogonId": "<logon_id>",
    }
    | {
        "ObjectType": "File",
        "ShareName": "\\\\*\\<share>",
        "ShareLocalPath": "\\??\\D:\\<share>",
        "AccessMask": "0x1",
    }
    | {"AccessList": "%%4416"}
    | FROM,
)


def write_windows(events: pa.Table, path: Path) -> None:
    """Compressed when the name ends in .gz."""
    names = np.unique(
        [
            str(name)
            for column in ("user", "source", "target")
            for name in pc.unique(events[column]).to_pylist()
        ]
    )
    first = 0
    with pa.output_stream(str(path)) as sink:
        for part in chunks(events):
            sink.write("".join(f"{line}\n" for line in records(part, names, first).to_pylist()).encode())
            first += len(part)


def records(events: pa.Table, names: Strings, first: int = 0) -> pa.Array:
    """Lines of some events, in order. names: of everybody and everything in the file, sorted; first: number
    of the first event"""
    values = columns(events, names)
    lines, places = [], []
    for order, record, chosen in seen(events):
        rows = np.flatnonzero(chosen)
        place = (first + rows) * PER_EVENT + order
        taken = {name: column.take(pa.array(rows)) for name, column in values.items()}
        lines.append(fill(record, taken | {"record": numbers(place + 1)}))
        places.append(place)
    return pa.concat_arrays(lines).take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


def seen(events: pa.Table) -> Iterator[tuple[int, dict[str, Any], Bools]]:
    """Which records an event leaves: place among them, the record, for which events. [events]"""

    def equal(column: str, value: str) -> Bools:
        found: Bools = pc.fill_null(pc.equal(events[column], value), False).to_numpy()
        return found

    logon, failed = equal("action", "logon"), equal("outcome", "failure")
    ntlm, kerberos = equal("auth_package", "NTLM"), equal("auth_package", "Kerberos")
    admin = pc.starts_with(events["user"], "adm-").to_numpy()
    remote = pc.not_equal(events["source"], events["target"]).to_numpy()
    yield 0, OTHER_ACCOUNT, logon & ~failed & admin & remote & equal("logon_type", "RemoteInteractive")
    yield 1, SERVICE_TICKET, (logon & kerberos & ~failed) | equal("action", "service_ticket")
    yield 1, VALID, logon & ntlm & ~failed
    yield 1, INVALID, logon & ntlm & failed
    yield 1, TICKET, equal("action", "ticket")
    yield 2, LOGON, logon & ~failed
    yield 2, FAILURE, logon & failed
    yield 2, SHARE, equal("action", "share_access")


def columns(events: pa.Table, names: Strings) -> dict[str, pa.Array]:
    """What the records are filled with, [events] each."""
    text = {
        name: events[name].combine_chunks()
        for name in ("user", "source", "target", "logon_type", "auth_package")
    }
    account = pc.split_pattern(text["user"], "@")
    name, realm = pc.list_element(account, 0), pc.list_element(account, 1)
    anonymous = pc.equal(name, "anonymous logon")
    user, source, target = (number(text[column], names) for column in ("user", "source", "target"))
    owner = pc.replace_substring_regex(text["user"], "^adm-", "")
    local, ntlm = pc.equal(text["source"], text["target"]), pc.equal(text["auth_package"], "NTLM")
    service = pc.starts_with(name, "svc-")  # fails because the password expired; people mistype
    ip = pc.if_else(local, "127.0.0.1", address(source))
    computer = qualified(text["target"], realm)
    ticket = pc.equal(events["action"].combine_chunks(), "service_ticket")
    controller = pa.array(CONTROLLERS[source % len(CONTROLLERS)])
    server = pa.array([f"srv-fs-{each + 1:03d}" for each in range(FILE_SERVERS)]).take(
        pa.array(target % FILE_SERVERS)
    )
    return {
        "time": iso(events["time"]).combine_chunks(),
        "name": pc.if_else(
            anonymous, "ANONYMOUS LOGON", pc.if_else(pc.ends_with(name, "$"), pc.utf8_upper(name), name)
        ),
        "domain": pc.if_else(
            anonymous, "NT AUTHORITY", pc.utf8_upper(pc.list_element(pc.split_pattern(realm, "."), 0))
        ),
        "realm": pc.utf8_upper(realm),
        "principal": pc.binary_join_element_wise(
            pc.if_else(pc.ends_with(name, "$"), pc.utf8_upper(name), name), pc.utf8_upper(realm), "@"
        ),
        "sid": pc.if_else(anonymous, ANONYMOUS_SID, sid(user)),
        "owner": pc.list_element(pc.split_pattern(owner, "@"), 0),
        "owner_sid": sid(number(owner, names)),
        "service": pc.binary_join_element_wise(pc.utf8_upper(text["target"]), "$", ""),
        "service_sid": sid(target),
        "computer": computer,
        "source_computer": qualified(text["source"], realm),
        "controller": pc.if_else(ticket, computer, qualified(controller, realm)),
        "file_server": qualified(server, realm),
        "share": pc.replace_substring(text["target"], "share/", ""),
        "source_name": pc.utf8_upper(text["source"]),
        "workstation": pc.if_else(pc.or_(local, ntlm), pc.utf8_upper(text["source"]), "-"),
        "auth_package": text["auth_package"],
        "logon_number": coded(text["logon_type"], LOGON_TYPES),
        "process": pc.if_else(
            ntlm, "NtLmSsp ", pc.if_else(pc.equal(text["auth_package"], "Kerberos"), "Kerberos", "User32 ")
        ),
        "lm_package": pc.if_else(ntlm, "NTLM V2", "-"),
        "key_length": pc.if_else(ntlm, "128", "0"),
        "logon_id": pc.binary_join_element_wise("0x", numbers(100_000 + user), ""),
        "ip": ip,
        "mapped_ip": pc.if_else(local, "::1", pc.binary_join_element_wise("::ffff:", ip, "")),
        "port": pc.if_else(local, "0", numbers(49152 + source % 16384)),
        "status": pc.if_else(service, "0xc0000071", "0xc000006d"),
        "substatus": pc.if_else(service, "0x0", "0xc000006a"),
        "reason": pc.if_else(service, "%%2309", "%%2313"),
        "validation_status": pc.if_else(service, "0xc0000071", "0xc000006a"),
    }


def number(texts: pa.Array, names: Strings) -> Ints:
    """The place of each text among all names, [events]; 0 for one that is not there."""
    found: Ints = (
        pc.fill_null(pc.index_in(texts, value_set=pa.array(names.tolist())), 0).to_numpy().astype(np.int64)
    )
    return found


def address(machine: Ints) -> pa.Array:
    """10.x.y.z by the machine's number: it keeps its address."""
    octets = [numbers(each) for each in (machine >> 16, machine >> 8 & 255, machine & 255)]
    return pc.binary_join_element_wise("10", *octets, ".")


def sid(account: Ints) -> pa.Array:
    return pc.binary_join_element_wise(DOMAIN_SID, numbers(FIRST_RID + account), "-")


def qualified(host: pa.Array, realm: pa.Array) -> pa.Array:
    """SRV-DB-001.corp.example"""
    return pc.binary_join_element_wise(pc.utf8_upper(host), realm, ".")
