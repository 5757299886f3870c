"""Events as Windows Security events, JSON lines in the shape of winlogbeat (ECS), as the host and the domain
controller write them.

    a logon         4624 or 4625 at the host; before it 4769 (Kerberos) or 4776 (NTLM) at a controller; 4648
                    at the desk from which an administrator uses another account
    a ticket        4768 at the controller, 4769 for a service ticket
    a file share    5140 at its file server

So one logon leaves two or three records. KINDS lists the kinds of records: a template, the events that leave
such a record, and the values that fill the template. Names are as Windows writes them: the account without
its domain, CORP beside it, in 4769 `name@REALM`; Kerberos records the address of the source, NTLM its name as
well. Leaves out log-offs (4634), privileges (4672), and what Windows does not see: applications by single
sign-on and cloud roles. Fields: Microsoft, "Audit logon events" and the pages of each event,
https://learn.microsoft.com/windows/security/threat-protection/auditing/.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba.arrays import Bools, Ints
from ueba.simulate.cast import CONTROLLERS, Strings
from ueba.simulate.json_lines import fill
from ueba.simulate.ocsf import LOGON_TYPES, coded, numbers
from ueba.simulate.writers import chunks, iso, sink_of

Values = dict[str, pa.Array]  # what fills a template, texts, [events] each

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
    """Write JSON lines, compressed when the name ends in .gz."""
    names = np.unique(
        [
            str(name)
            for column in ("user", "source", "target")
            for name in pc.unique(events[column]).to_pylist()
        ]
    )
    first = 0
    with sink_of(path) as sink:
        for part in chunks(events):
            sink.write("".join(f"{line}\n" for line in records(part, names, first).to_pylist()).encode())
            first += len(part)


def records(events: pa.Table, names: Strings, first: int = 0) -> pa.Array:
    """Lines of the records that events leave, in order. names: of all accounts and places in the file,
    sorted; first: number of the first event in the file"""
    facts = Facts(events, names)
    lines, places = [], []
    for kind in KINDS:
        rows = np.flatnonzero(kind.leaves(facts))
        place = (first + rows) * PER_EVENT + kind.order
        values = {name: column.take(pa.array(rows)) for name, column in kind.values(facts).items()}
        lines.append(fill(kind.record, values | {"record": numbers(place + 1)}))
        places.append(place)
    return pa.concat_arrays(lines).take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


# --- what every kind of record is made from -----------------------------------------------------------------


class Facts:
    """Events and what several kinds of records need of them; every property is [events]."""

    def __init__(self, events: pa.Table, names: Strings) -> None:
        self.events = events
        self.names = names
        self.time = iso(events["time"]).combine_chunks()
        self.user, self.source, self.target, self.auth_package = (
            events[column].combine_chunks() for column in ("user", "source", "target", "auth_package")
        )
        self.realm = pc.list_element(pc.split_pattern(self.user, "@"), 1)
        self.account = pc.list_element(pc.split_pattern(self.user, "@"), 0)

    def equal(self, column: str, value: str) -> Bools:
        found: Bools = pc.fill_null(pc.equal(self.events[column], value), False).to_numpy()
        return found

    def number(self, texts: pa.Array) -> Ints:
        """The place of each text among all names; 0 for one that is not there."""
        places = pc.index_in(texts, value_set=pa.array(self.names.tolist()))
        found: Ints = pc.fill_null(places, 0).to_numpy().astype(np.int64)
        return found

    @cached_property
    def user_number(self) -> Ints:
        return self.number(self.user)

    @cached_property
    def source_number(self) -> Ints:
        return self.number(self.source)

    @cached_property
    def target_number(self) -> Ints:
        return self.number(self.target)

    @cached_property
    def is_logon(self) -> Bools:
        return self.equal("action", "logon")

    @cached_property
    def failed(self) -> Bools:
        return self.equal("outcome", "failure")

    @cached_property
    def ntlm(self) -> Bools:
        return self.equal("auth_package", "NTLM")

    @cached_property
    def kerberos(self) -> Bools:
        return self.equal("auth_package", "Kerberos")

    @cached_property
    def is_local(self) -> pa.Array:
        return pc.equal(self.source, self.target)

    @cached_property
    def is_anonymous(self) -> pa.Array:
        return pc.equal(self.account, "anonymous logon")

    @cached_property
    def is_service(self) -> pa.Array:
        """Logons of a service fail because its password expired; people mistype."""
        return pc.starts_with(self.account, "svc-")

    @cached_property
    def is_to_controller(self) -> pa.Array:
        return pc.equal(self.events["action"].combine_chunks(), "service_ticket")

    @cached_property
    def name(self) -> pa.Array:
        """The account as Windows writes it: machine accounts in capitals."""
        upper = pc.if_else(pc.ends_with(self.account, "$"), pc.utf8_upper(self.account), self.account)
        return pc.if_else(self.is_anonymous, "ANONYMOUS LOGON", upper)

    @cached_property
    def domain(self) -> pa.Array:
        short = pc.list_element(pc.split_pattern(self.realm, "."), 0)
        return pc.if_else(self.is_anonymous, "NT AUTHORITY", pc.utf8_upper(short))

    @cached_property
    def sid(self) -> pa.Array:
        return pc.if_else(self.is_anonymous, ANONYMOUS_SID, sid(self.user_number))

    @cached_property
    def computer(self) -> pa.Array:
        return qualified(self.target, self.realm)

    @cached_property
    def controller(self) -> pa.Array:
        """The controller that served the source; of a service ticket for a controller, that one."""
        near = pa.array(CONTROLLERS[self.source_number % len(CONTROLLERS)])
        return pc.if_else(self.is_to_controller, self.computer, qualified(near, self.realm))

    @cached_property
    def ip(self) -> pa.Array:
        return pc.if_else(self.is_local, "127.0.0.1", address(self.source_number))

    @cached_property
    def port(self) -> pa.Array:
        return pc.if_else(self.is_local, "0", numbers(49152 + self.source_number % 16384))

    @cached_property
    def source_name(self) -> pa.Array:
        return pc.utf8_upper(self.source)

    @cached_property
    def session(self) -> pa.Array:
        """The number of the logon session: one for each account."""
        return pc.binary_join_element_wise("0x", numbers(100_000 + self.user_number), "")


# --- the values of each kind of record ----------------------------------------------------------------------


def of_account(facts: Facts) -> Values:
    return {"time": facts.time, "name": facts.name, "domain": facts.domain, "sid": facts.sid}


def of_controller_client(facts: Facts) -> Values:
    """The address of the source as controllers write it."""
    mapped = pc.binary_join_element_wise("::ffff:", facts.ip, "")
    return {"mapped_ip": pc.if_else(facts.is_local, "::1", mapped), "port": facts.port}


def other_account(facts: Facts) -> Values:
    """4648: at the own desk, the owner types the password of the privileged account."""
    owner = pc.replace_substring_regex(facts.user, "^adm-", "")
    return of_account(facts) | {
        "owner": pc.list_element(pc.split_pattern(owner, "@"), 0),
        "owner_sid": sid(facts.number(owner)),
        "source_computer": qualified(facts.source, facts.realm),
        "computer": facts.computer,
    }


def service_ticket(facts: Facts) -> Values:
    """4769: the controller grants a ticket for the target."""
    account = pc.if_else(pc.ends_with(facts.account, "$"), pc.utf8_upper(facts.account), facts.account)
    realm = pc.utf8_upper(facts.realm)
    return of_controller_client(facts) | {
        "time": facts.time,
        "controller": facts.controller,
        "principal": pc.binary_join_element_wise(account, realm, "@"),
        "realm": realm,
        "service": pc.binary_join_element_wise(pc.utf8_upper(facts.target), "$", ""),
        "service_sid": sid(facts.target_number),
    }


def ticket(facts: Facts) -> Values:
    """4768: the target, a controller, grants a ticket-granting ticket."""
    return of_account(facts) | of_controller_client(facts) | {"computer": facts.computer}


def validation(facts: Facts) -> Values:
    """4776: a controller checks a password by NTLM."""
    return {
        "time": facts.time,
        "name": facts.name,
        "controller": facts.controller,
        "source_name": facts.source_name,
        "validation_status": pc.if_else(facts.is_service, "0xc0000071", "0xc000006a"),
    }


def logon(facts: Facts) -> Values:
    """4624 and 4625: the host logs the account on, or refuses it."""
    by_ntlm, by_kerberos = pa.array(facts.ntlm), pa.array(facts.kerberos)
    names_source = pc.or_(facts.is_local, by_ntlm)
    return of_account(facts) | {
        "computer": facts.computer,
        "logon_id": facts.session,
        "logon_number": coded(facts.events["logon_type"].combine_chunks(), LOGON_TYPES),
        "process": pc.if_else(by_ntlm, "NtLmSsp ", pc.if_else(by_kerberos, "Kerberos", "User32 ")),
        "auth_package": facts.auth_package,
        "workstation": pc.if_else(names_source, facts.source_name, "-"),
        "lm_package": pc.if_else(by_ntlm, "NTLM V2", "-"),
        "key_length": pc.if_else(by_ntlm, "128", "0"),
        "ip": facts.ip,
        "port": facts.port,
        "status": pc.if_else(facts.is_service, "0xc0000071", "0xc000006d"),
        "substatus": pc.if_else(facts.is_service, "0x0", "0xc000006a"),
        "reason": pc.if_else(facts.is_service, "%%2309", "%%2313"),
    }


def share(facts: Facts) -> Values:
    """5140: one of the file servers opens a folder."""
    servers = pa.array([f"srv-fs-{number + 1:03d}" for number in range(FILE_SERVERS)])
    server = servers.take(pa.array(facts.target_number % FILE_SERVERS))
    return of_account(facts) | {
        "file_server": qualified(server, facts.realm),
        "logon_id": facts.session,
        "share": pc.replace_substring(facts.target, "share/", ""),
        "ip": facts.ip,
        "port": facts.port,
    }


# --- which events leave which records -----------------------------------------------------------------------


def leaves_other_account(facts: Facts) -> Bools:
    """Successful remote desktops of an administrator's account."""
    is_admin: Bools = pc.starts_with(facts.user, "adm-").to_numpy(zero_copy_only=False)
    is_remote: Bools = ~facts.is_local.to_numpy(zero_copy_only=False)
    interactive = facts.equal("logon_type", "RemoteInteractive")
    return facts.is_logon & ~facts.failed & is_admin & is_remote & interactive


def leaves_service_ticket(facts: Facts) -> Bools:
    by_kerberos = facts.is_logon & facts.kerberos & ~facts.failed
    return by_kerberos | facts.equal("action", "service_ticket")


class Kind(NamedTuple):
    """A kind of record."""

    order: int  # among the records that one event leaves
    record: dict[str, Any]  # a template, see `json_lines`
    leaves: Callable[[Facts], Bools]  # the events that leave one
    values: Callable[[Facts], Values]  # what fills the template


KINDS = (
    Kind(0, OTHER_ACCOUNT, leaves_other_account, other_account),
    Kind(1, SERVICE_TICKET, leaves_service_ticket, service_ticket),
    Kind(1, VALID, lambda facts: facts.is_logon & facts.ntlm & ~facts.failed, validation),
    Kind(1, INVALID, lambda facts: facts.is_logon & facts.ntlm & facts.failed, validation),
    Kind(1, TICKET, lambda facts: facts.equal("action", "ticket"), ticket),
    Kind(2, LOGON, lambda facts: facts.is_logon & ~facts.failed, logon),
    Kind(2, FAILURE, lambda facts: facts.is_logon & facts.failed, logon),
    Kind(2, SHARE, lambda facts: facts.equal("action", "share_access"), share),
)


# --- spelling -----------------------------------------------------------------------------------------------


def address(machine: Ints) -> pa.Array:
    """10.x.y.z by the machine's number: it keeps its address."""
    octets = [numbers(part) for part in (machine >> 16, machine >> 8 & 255, machine & 255)]
    return pc.binary_join_element_wise("10", *octets, ".")


def sid(account: Ints) -> pa.Array:
    return pc.binary_join_element_wise(DOMAIN_SID, numbers(FIRST_RID + account), "-")


def qualified(host: pa.Array, realm: pa.Array) -> pa.Array:
    """SRV-DB-001.corp.example"""
    return pc.binary_join_element_wise(pc.utf8_upper(host), realm, ".")
