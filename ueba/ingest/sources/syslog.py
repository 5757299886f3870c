r"""Linux logons in syslog or journald JSON: sshd, sudo, su, consoles (PAM), and leases of dhcpd and dnsmasq.

A line is RFC 3164 (`Dec 10 06:55:46 host sshd[1]: ...`), the same with an ISO 8601 time as rsyslog writes
it, or RFC 5424, with or without `<priority>`; or an object that `journalctl -o json` writes. A time without
a year is of the year that the order of lines shows (`ueba.ingest.years`), `--log-year` being that of the
first line; a time without a zone is of `--log-timezone`.

| program             | record                                    | user           | actor      | source   |
|---------------------|-------------------------------------------|----------------|------------|----------|
| sshd                | Accepted, Failed                          | for            |            | from     |
| sudo                | a command, or a refused one               | USER           | the caller | the host |
| su                  | a PAM session; FAILED su, BAD SU          | the new user   | the caller | the host |
| login, gdm, ...     | a PAM session or failure                  | the named user |            | the host |
| sshd(pam_unix)      | a PAM session or failure (before 2006)    | the named user |            | rhost    |
| dhcpd, dnsmasq-dhcp | DHCPACK to a client with a name: evidence |                |            | the name |

Accounts keep the name in the log, so that alice is one person on all hosts; accounts that exist on every host
(`LOCAL_ACCOUNTS`: root, postgres, ubuntu ...) are `root@host`. Lines that repeat another line are dropped:
PAM's lines about sshd, and "Invalid user", which precedes the line of its failure (there is none if the
client gives up first); su's own lines of success, and PAM's failures of su, which are also written if another
module then lets the user in. "message repeated 5 times" is one event. An attacker can choose parts of a line:
patterns match to its end, so that a user named `x from 10.0.0.1` cannot forge a source. Leaves out: other
daemons (ftpd, telnetd, cron), arguments of commands, which may be secrets, and ends of sessions. Formats: RFC
3164, RFC 5424, systemd.journal-fields(7). Messages: auth.c of OpenSSH, logging.c of sudo, pam_unix(8), su(1),
dhcpd.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Columns,
    Parsed,
    address,
    all_paths,
    any_time,
    as_utc,
    by_kind,
    character,
    groups,
    has_zone,
    json_fields,
    make_timestamp,
    parsed_time,
    try_strptime,
)
from ueba.ingest.identity import blank_to_null, is_local, once
from ueba.ingest.proposal import lookup
from ueba.ingest.sources import LogSource, Options, Sample
from ueba.ingest.years import Years, years_of

CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
DAY = r"[A-Z][a-z]{2} {1,2}\d{1,2}"  # with the name of its month
STAMP = (  # with the year in any place, or none
    rf"{DAY} {CLOCK} \d{{4}}|{DAY} {CLOCK}|{DAY} \d{{4}} {CLOCK}|\d{{4}} {DAY} {CLOCK}"
    rf"|\d{{4}}[-/]\d\d[-/]\d\d[Tt ]{CLOCK}(?: ?(?:[Zz]|UTC|[+-]\d\d:?\d\d))?"
)
FACILITY = r"(?:(?:(?:auth|security|daemon|user|syslog|local\d)[\w|]*:\w+|<\w+\.\w+>) )?"  # of AIX, FreeBSD
HEADER = (  # RFC 3164, Solaris; a name of the host that ends like a program is none
    rf"^(?:<\d{{1,3}}> ?)?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?({STAMP}):? +(?:(\S*[^\s:\]]) +)?{FACILITY}"
    r"(?:([^\s:\[]+)(?:\[[^\]]*\]+)?: *)?(?:\[ID \d+ \S+\] )?(.*)$"
)
HEADER_5424 = (
    rf"^(?:<\d{{1,3}}>)?1 ({STAMP}|-) (\S+) (\S+) \S+ \S+ "
    r'(?:-|(?:\[(?:[^\]\\"]|"(?:\\.|[^"\\])*")*\])+) ?\x{FEFF}?(.*)$'
)
IS_5424 = r"^(?:<\d{1,3}>)?1 (-|\d{4}-)"
HEAD = ("stamp", "host", "program", "message")
JOURNAL: dict[str, str | Sequence[str]] = {
    "stamp": "__REALTIME_TIMESTAMP",
    "cursor": "__CURSOR",
}
# The parts of a message in a journal, in what Beats and Elastic Agent ship, and in the table Syslog of Azure
# Monitor.
STRUCTURED: dict[str, str | Sequence[str]] = {
    "shipped": ("EventTime", "@timestamp", "TimeGenerated"),
    "host": ("_HOSTNAME", "log.syslog.hostname", "host.hostname", "host.name", "HostName", "Computer"),
    "program": ("SYSLOG_IDENTIFIER", "_COMM", "log.syslog.appname", "process.name", "ProcessName"),
    "message": ("MESSAGE", "SyslogMessage", "message"),
}


class Facts(NamedTuple):
    """What events depend on in a file. years: of times without a year; None if there are none"""

    is_json: bool
    years: Years | None


SSHD = ("sshd", "sshd-session", "sshd-auth")
DHCPD = ("dhcpd", "dnsmasq-dhcp", "dnsmasq")
OURS = (*SSHD, *DHCPD, "sudo", "su", "sshd(pam_unix)", "su(pam_unix)", "systemd-logind")
CONSOLE = r"^(login|remote|gdm.*|lightdm.*|sddm.*|kdm|xdm|lxdm|mdm)$"  # PAM services of logons at the machine
# An account of that name exists on every host: of the system, of a service, of an image.
LOCAL_ACCOUNTS = (
    "root toor bin daemon adm lp sync shutdown halt mail news uucp operator games nobody man proxy www-"
    " data backup list irc gnats sys sshd ntp ftp rpc dbus polkitd chrony named bind squid mysql"
    " postgres oracle apache nginx tomcat redis mongodb elasticsearch cyrus postfix dovecot exim zabbix"
    " nagios git jenkins hadoop docker ansible pi ubnt ubuntu debian centos fedora vagrant ec2-user"
    " cloud-user admin administrator guest user test"
).split()

OLD = "(pam_unix)"  # PAM in the name of the program, not in the message
SU = r"^su(-l)?$"
PAM = r"^(?:pam_\w+\(([^:)]+)(?::\w+)?\): )?"
PATTERNS = {  # kind of message -> its pattern, and the names of the pattern's groups
    "ssh": (
        r"^(message repeated \d+ times: \[ ?)?(Accepted|Failed) (\S+) for ((?:invalid|illegal) user )?(.*)"
        r" from (\S+) port \d+(?: ssh\d?)?(?:: .*)?(?: \[preauth\])?\]?$",
        ("repeated", "word", "method", "invalid", "user", "address"),
    ),
    "session": (
        PAM + r"session opened for user (.*?)(?:\(uid=\d+\))? by ([^()]*)\(uid=(\d+)\)\s*$",
        ("service", "user", "actor", "number"),
    ),
    "refused": (
        PAM + r"authentication failure; logname=.* ruser=(.*) rhost=(\S*)(?:\s+user=(.*?))?\s*$",
        ("service", "actor", "address", "user"),
    ),
    "sudo": (
        r"^\s*(.+?) : (?:(.*?) ; )??(?:HOST=\S+ ; )?(?:TTY=.*? ; )?(?:CWD|PWD)=.*? ; (?:GROUP=.*? ; )?"
        r"USER=(.*?) ;(?: .*? ;)? COMMAND=(\S+)",
        ("actor", "reason", "user", "program"),
    ),
    "su": (  # util-linux, shadow, BSD
        r"^(FAILED|BAD )?(?: ?SU \(to (.+)\) (\S+) on \S+| su for (.+) by (\S+)"
        r"|(?:SU )?(\S+) to (\S+) on \S+)\s*$",
        ("failed", "user", "actor", "user2", "actor2", "actor3", "user3"),
    ),
    "lease": (  # dhcpd, dnsmasq
        r"^DHCPACK(?: on (\S+) to (\S+) \((.+)\) via .*|\(\S+\) (\S+) (\S+) (\S+))$",
        ("address", "hardware", "name", "address2", "hardware2", "name2"),
    ),
}

Parts = dict[str, ir.StringValue]  # the groups of a message's pattern, by name

REPEATED = "a record of several events: counted once"
LAST = 253402300799_000000  # microseconds: the end of year 9999
REPETITION = (
    r"^(Invalid user|input_userauth_request: |PAM \d+ more|error: maximum auth|\(to |Successful su "
    r"|[+-] \S+ \S+:\S+$)"
)
AGAIN = "repeats another line"
OTHER_MESSAGE = "another message"
OTHER_PROGRAM = "another program"


def source(format: str, options: Options) -> LogSource:
    settings = {"format": format, "year": options.year, "timezone": options.timezone}
    return LogSource(
        format,
        settings,
        lambda lines, facts: read(lines, facts, options),
        facts=lambda sample: facts(sample, options),
        fields=tuple(dict.fromkeys(all_paths(JOURNAL) + all_paths(STRUCTURED))),
    )


def recognises(sample: Sample) -> int:
    """Lines with a syslog header and the name of a program, or records of a journal."""
    if sample.is_json:
        return sum(map(is_structured, sample.objects))
    heads = [re.match(HEADER, line) for line in sample.records]
    return sum(
        bool(head and head[3] or re.match(IS_5424, line))
        for head, line in zip(heads, sample.records, strict=True)
    )


def facts(sample: Sample, options: Options) -> Facts:
    """What the events of a file depend on. Lines of text are read twice, as any of them may lack a year."""
    is_json = sample.is_json
    if is_json:
        return Facts(is_json, None)
    zone = zoneinfo.ZoneInfo(options.timezone)
    latest = sample.modified.replace(tzinfo=dt.UTC).astimezone(zone).replace(tzinfo=None) + dt.timedelta(
        days=1
    )
    years = years_of(sample.lines(), latest, options.year)
    if years is None:  # times may be in base64: of the first records they can be read
        bare = years_of(["\n".join(sample.records).encode()], latest, options.year)
        years = bare and Years(max(year for _, year in bare.by_line()), ())
    return Facts(is_json, years)


def is_structured(record: dict[str, Any]) -> bool:
    """Whether a record is of a journal, or has the parts of a syslog message."""

    def has(name: str) -> bool:
        return any(lookup(record, path) not in (None, "") for path in STRUCTURED[name])

    is_shipped = all(map(has, ("shipped", "program", "message"))) and "winlog" not in record
    return {"__REALTIME_TIMESTAMP", "MESSAGE"} <= record.keys() or is_shipped


# --- records -> time, host, program, message ----------------------------------------------------------------


def text_rows(lines: ir.Table, years: Years | None, options: Options) -> ir.Table:
    """lines with the parts of their header, in any of three forms: time, host, program, message."""
    head = ibis.ifelse(
        lines.text.re_search(IS_5424), groups(lines.text, HEADER_5424, HEAD), groups(lines.text, HEADER, HEAD)
    )
    cut = lines.mutate(part=head)
    rows = cut.mutate(
        **{name: blank_to_null(cut["part"][name]) for name in HEAD},
        cursor=ibis.null("string"),
        is_whole=cut["part"]["stamp"] != "",
    )
    is_iso = rows.stamp.re_search(r"^\d{4}[-/]")
    has_year = rows.stamp.re_search(r"(^| )\d{4}( |$)")
    zone = f"taken as {options.timezone}"
    guess = "when the file was written" + (" and the order of its lines" if years and years.turns else "")
    return rows.mutate(
        at=ibis.cases(
            (is_iso, parsed_time(rows.stamp, "iso8601", options.timezone)),
            (has_year, parsed_time(once(rows.stamp, year_last), "%b %d %H:%M:%S %Y", options.timezone)),
            else_=as_utc(of_year(rows.stamp, rows.line, years), options.timezone),
        ),
        assumed=ibis.cases(
            (is_iso & has_zone(rows.stamp), None),
            (is_iso | has_year | ibis.literal(options.year is not None), f"time without a zone: {zone}"),
            else_=f"time without a year: guessed from {guess}; without a zone: {zone}",
        ),
    )


def of_year(stamp: ir.StringValue, line: ir.IntegerValue, years: Years | None) -> ir.TimestampValue:
    """`Dec 10 06:55:46` in the year of its line. Null for 29 February in a year that is no leap year."""
    if years is None:
        return ibis.null("timestamp(6)")
    in_2000 = try_strptime("2000 " + once(stamp, to_second), "%Y %b %d %H:%M:%S")  # a leap year
    is_leap_day = (in_2000.month() == 2) & (in_2000.day() == 29)

    def moved(year: int) -> ir.TimestampValue:
        found = in_2000 + ibis.interval(years=year - 2000)
        return found if calendar.isleap(year) else ibis.ifelse(is_leap_day, None, found)

    first, *later = years.by_line()
    cases = [(line >= begins, moved(year)) for begins, year in reversed(later)]
    return ibis.cases(*cases, else_=moved(first[1])) if cases else moved(first[1])


def year_last(stamp: ir.StringValue) -> ir.StringValue:
    """A time with a name of a month, its year behind it."""
    behind = stamp.re_replace(r"^(.*?) ?\b(\d{4}) (.*)$", r"\1 \3 \2").re_replace(r"[.,]\d+ ", " ")
    return behind.re_replace(" +", " ").strip()


def to_second(stamp: ir.StringValue) -> ir.StringValue:
    """A time with a name of a month, without its fraction and with one space between its parts."""
    return stamp.re_replace(r"[.,]\d+$", "").re_replace(" +", " ")


def journal_rows(lines: ir.Table, options: Options) -> ir.Table:
    """lines with the parts of structured records, of a journal or of a shipper: time, host, program,
    message."""
    rows = json_fields(lines, JOURNAL | STRUCTURED)
    is_bytes = rows.message.re_search(r"^\[[\d,\s]+\]$")
    return rows.mutate(
        message=ibis.ifelse(is_bytes, once(rows.message.try_cast("array<uint8>"), characters), rows.message),
        at=ibis.coalesce(make_timestamp(rows.stamp.try_cast("int64").clip(0, LAST)), any_time(rows.shipped)),
        assumed=ibis.ifelse(
            rows.stamp.notnull() | has_zone(rows.shipped), None, "time without a zone: taken as UTC"
        ),
        is_whole=(rows.stamp.notnull() | rows.shipped.notnull()) & rows.message.notnull(),
    )


def characters(codes: ir.ArrayValue) -> ir.StringValue:
    """A message that journald exports as bytes, read as Latin-1: any byte is a character."""
    return codes.map(lambda code: character(ibis.coalesce(code, 63))).join("")


# --- message -> columns of events ---------------------------------------------------------------------------


def read(lines: ir.Table, facts: Facts, options: Options) -> ir.Table:
    """lines -> events"""
    is_json = facts.is_json
    rows = journal_rows(lines, options) if is_json else text_rows(lines, facts.years, options)
    rows, parts = with_groups(rows.mutate(kind=kind_of(rows.program, rows.message)))
    cases, columns = by_kind(rows.kind, {kind: stage(rows, parts[kind]) for kind, stage in KINDS.items()})
    return events.finish(
        rows,
        [
            *dropped(rows, is_json),
            *((case, f"{events.NOT_A_LOGON}: {reason}") for case, reason in cases),
        ],
        time=rows["at"],
        note=joined(rows.assumed, columns.pop("note")),
        reporter=rows.host,
        event_id=rows.cursor,
        **columns,
    )


def with_groups(rows: ir.Table) -> tuple[ir.Table, dict[str, Parts]]:
    """rows with what the pattern of their kind matches, and for each kind the groups of its pattern."""
    matched = rows.mutate(
        **{
            f"_{kind}": ibis.ifelse(rows.kind == kind, groups(rows.message, pattern, names), None)
            for kind, (pattern, names) in PATTERNS.items()
        }
    )
    return matched, {
        kind: {name: matched[f"_{kind}"][name].nullif("") for name in names}
        for kind, (_, names) in PATTERNS.items()
    }


def dropped(rows: ir.Table, is_json: bool) -> Cases:
    """Why a record of any kind is dropped."""
    is_ours = rows.program.isin(OURS)
    is_repetition = rows.message.re_search(REPETITION)
    not_json: Cases = [(~rows.is_json, "not JSON")] if is_json else []
    return [
        *not_json,
        (~rows.is_whole, "not a syslog record" if is_json else "not syslog"),
        (rows.kind.isnull() & is_ours & is_repetition, f"{events.NOT_A_LOGON}: {AGAIN}"),
        (rows.kind.isnull() & is_ours, f"{events.NOT_A_LOGON}: {OTHER_MESSAGE}"),
        (rows.kind.isnull(), f"{events.NOT_A_LOGON}: {OTHER_PROGRAM}"),
    ]


def kind_of(program: ir.StringValue, message: ir.StringValue) -> ir.StringValue:
    """One of KINDS; null for a message that is not read. Messages whose words an attacker can choose come
    first, so that they cannot pass for another kind."""
    return ibis.cases(
        (program.isin(SSHD) & message.re_search(r"^(Accepted |Failed |message repeated )"), "ssh"),
        ((program == "sudo") & message.contains("COMMAND="), "sudo"),
        ((program == "su") & message.re_search(r"^(FAILED |BAD SU |\S+ to \S+ on )"), "su"),
        (program.isin(DHCPD) & message.startswith("DHCPACK"), "lease"),
        (message.contains("session opened for user "), "session"),
        (message.contains("authentication failure; "), "refused"),
    )


def ssh(row: ir.Table, part: Parts) -> Parsed:
    return [(part["word"].isnull(), OTHER_MESSAGE)], {
        "user": account(part["user"], row.host),
        **reached(row, part["address"]),
        "action": ibis.literal("logon"),
        "auth_package": part["method"],
        "outcome": part["word"].cases(("Accepted", "success"), else_="failure"),
        "outcome_reason": ibis.ifelse(part["invalid"].notnull(), "invalid user", None),
        "code": part["word"],
        "note": ibis.ifelse(part["repeated"].notnull(), REPEATED, None),
    }


def session(row: ir.Table, part: Parts) -> Parsed:
    """PAM let a user in. The source is the host itself, except for sshd; the actor is known for su."""
    service = service_of(row, part)
    is_old = row.program.endswith(OLD)
    is_su = service.re_search(SU)
    is_read = is_su | service.re_search(CONSOLE) | (is_old & (service == "sshd"))
    caller = ibis.coalesce(part["actor"], ibis.ifelse(part["number"] == "0", "root", None))
    return [(part["user"].isnull(), OTHER_MESSAGE), *not_read(service, is_read)], {
        "user": account(part["user"], row.host),
        "actor": ibis.ifelse(is_su, account(caller, row.host), None),
        **reached(row, ibis.ifelse(service == "sshd", None, row.host)),
        "action": ibis.ifelse(is_su, "explicit_credential", "logon"),
        "logon_type": ibis.ifelse(service.re_search(CONSOLE), "Interactive", None),
        "outcome": ibis.literal("success"),
        "code": ibis.literal("session opened"),
    }


def refused(row: ir.Table, part: Parts) -> Parsed:
    """PAM refused a user, and no other line says so."""
    service = service_of(row, part)
    is_su = service.re_search(SU)
    is_read = service.re_search(CONSOLE) | (row.program.endswith(OLD) & ((service == "sshd") | is_su))
    own = ibis.ifelse(service == "sshd", None, row.host)
    return [*not_read(service, is_read), (part["user"].isnull(), "failure without the user's name")], {
        "user": account(part["user"], row.host),
        "actor": ibis.ifelse(is_su, account(part["actor"], row.host), None),
        **reached(row, ibis.coalesce(part["address"], own)),
        "action": ibis.ifelse(is_su, "explicit_credential", "logon"),
        "logon_type": ibis.ifelse(service.re_search(CONSOLE), "Interactive", None),
        "outcome": ibis.literal("failure"),
        "code": ibis.literal("authentication failure"),
    }


def sudo(row: ir.Table, part: Parts) -> Parsed:
    return [(part["user"].isnull(), OTHER_MESSAGE)], {
        "user": account(part["user"], row.host),
        "actor": account(part["actor"], row.host),
        **reached(row, row.host),
        "detail": part["program"],
        "action": ibis.literal("explicit_credential"),
        "outcome": ibis.ifelse(part["reason"].isnull(), "success", "failure"),
        "outcome_reason": part["reason"],
        "code": ibis.literal("sudo"),
    }


def su(row: ir.Table, part: Parts) -> Parsed:
    user, actor = (
        ibis.coalesce(*(part[f"{name}{number}"] for number in ("", 2, 3))) for name in ("user", "actor")
    )
    return [(user.isnull(), OTHER_MESSAGE)], {
        "user": account(user, row.host),
        "actor": account(actor, row.host),
        **reached(row, row.host),
        "action": ibis.literal("explicit_credential"),
        "outcome": ibis.ifelse(part["failed"].isnull(), "success", "failure"),
        "code": ibis.literal("su"),
    }


def lease(row: ir.Table, part: Parts) -> Parsed:
    address, hardware, name = (
        ibis.coalesce(part[name], part[f"{name}2"]) for name in ("address", "hardware", "name")
    )
    return [(name.isnull(), "lease without a host name")], {
        "source": name,
        "source_ip": address,
        "detail": hardware,
        "action": ibis.literal(events.LEASE),
        "outcome": ibis.literal("success"),
        "code": ibis.literal("DHCPACK"),
    }


KINDS: dict[str, Callable[[ir.Table, Parts], Parsed]] = {
    "ssh": ssh,
    "session": session,
    "refused": refused,
    "sudo": sudo,
    "su": su,
    "lease": lease,
}


def account(name: ir.StringValue, host: ir.StringValue) -> ir.StringValue:
    """An account's name; with its host if every host has an account of that name."""
    return ibis.ifelse(name.lower().isin(LOCAL_ACCOUNTS), name + "@" + host, name)


def reached(row: ir.Table, source: ir.StringValue) -> Columns:
    """The host that logs, reached from an address or a name."""
    bare = source.re_replace(r"^(?i:::ffff:)(\d+\.\d+\.\d+\.\d+)$", r"\1")
    return {
        "source": ibis.ifelse(is_local(source), row.host, bare),
        "source_ip": address(source),
        "target": row.host,
        "target_kind": ibis.literal("machine"),
    }


def service_of(row: ir.Table, part: Parts) -> ir.StringValue:
    """The service that called PAM: sshd in `pam_unix(sshd:auth): ...` and in `sshd(pam_unix)[1]: ...`."""
    return ibis.coalesce(part["service"], row.program.replace(OLD, ""))


def not_read(service: ir.StringValue, is_read: ir.BooleanValue) -> Cases:
    """The cases of a PAM message that is no event: another line repeats it, or its service is not read."""
    is_repeated = service.isin((*SSHD, "sudo", "sudo-i")) | service.re_search(SU)
    return [(~is_read & is_repeated, AGAIN), (~is_read, OTHER_PROGRAM)]


def joined(one: ir.StringValue, other: ir.StringValue) -> ir.StringValue:
    """Two notes as one; one of them may be null."""
    return ibis.ifelse(one.isnull() | other.isnull(), ibis.coalesce(one, other), one + "; " + other)
