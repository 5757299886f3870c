r"""Linux logons in syslog or journald JSON: sshd, sudo, su, consoles (PAM), and leases of dhcpd and dnsmasq.

A line is RFC 3164 (`Dec 10 06:55:46 host sshd[1]: ...`), the same with an ISO 8601 time as rsyslog writes
it, or RFC 5424, with or without `<priority>`; or what `journalctl -o json` writes. A time without a year is
of the latest year in which it is not after the day after the file was written, unless `--log-year` tells; a time
without a zone is of `--log-timezone`.

| program                 | event                                            | user           | actor      | source   |
|-------------------------|--------------------------------------------------|----------------|------------|----------|
| sshd                    | Accepted, Failed                                 | for            |            | from     |
| sudo                    | a command; one that was refused                  | USER           | the caller | the host |
| su                      | a PAM session; FAILED SU, FAILED su, BAD SU      | whom it became | the caller | the host |
| login, gdm, lightdm ... | a PAM session or failure                         | whom it names  |            | the host |
| sshd(pam_unix)          | a PAM session or failure (before 2006)           | whom it names  |            | rhost    |
| dhcpd, dnsmasq-dhcp     | DHCPACK to a client that has a name: evidence    |                |            | the name |

Accounts are named as the log names them, so that alice is one person on all hosts; accounts that every host
has of its own (`LOCAL_ACCOUNTS`: root, postgres, ubuntu ...) are `root@host`. What is told again is dropped,
and counted: of sshd, PAM's lines, and "Invalid user", which the line of its failure follows (not if the
client gives up before it tries); of su, its own lines of success, and PAM's failures, which are also written
where another module then lets the user in. "message repeated 5 times" is one event. Strangers choose what
stands in a line: patterns hold to its end, so that a user named `x from 10.0.0.1` is from elsewhere. Leaves
out: other daemons (ftpd, telnetd, cron), arguments of commands, which may be secrets, and the ends of
sessions. Formats: RFC 3164, RFC 5424, systemd.journal-fields(7). Messages: auth.c of OpenSSH, logging.c of
sudo, pam_unix(8), su(1), dhcpd.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import zoneinfo
from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Made,
    as_utc,
    by_kind,
    character,
    groups,
    has_zone,
    is_address,
    json_fields,
    make_timestamp,
    parsed_time,
    try_strptime,
)
from ueba.ingest.identity import LOOPBACK, blank_to_null, once
from ueba.ingest.sources import Options, Sample, Source

STAMP = r"[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*"
HEADER = rf"^(?:<\d{{1,3}}>)?({STAMP}) (\S+) (?:([^\s:\[]+)(?:\[[^\]]*\]+)?: *)?(?:\[ID \d+ \S+\] )?(.*)$"  # RFC 3164, Solaris
HEADER_5424 = rf'^(?:<\d{{1,3}}>)?1 ({STAMP}|-) (\S+) (\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\"]|"(?:\\.|[^"\\])*")*\])+) ?\x{{FEFF}}?(.*)$'
IS_5424 = r"^(?:<\d{1,3}>)?1 (-|\d{4}-)"
HEAD = ("stamp", "host", "program", "message")
JOURNAL = {
    "stamp": "__REALTIME_TIMESTAMP",
    "host": "_HOSTNAME",
    "program": ("SYSLOG_IDENTIFIER", "_COMM"),
    "message": "MESSAGE",
    "cursor": "__CURSOR",
}

SSHD = ("sshd", "sshd-session", "sshd-auth")
DHCPD = ("dhcpd", "dnsmasq-dhcp", "dnsmasq")
OURS = (*SSHD, *DHCPD, "sudo", "su", "sshd(pam_unix)", "su(pam_unix)", "systemd-logind")
CONSOLE = (
    r"^(login|remote|gdm.*|lightdm.*|sddm.*|kdm|xdm|lxdm|mdm)$"  # PAM services of who sits at the machine
)
LOCAL_ACCOUNTS = (  # the same name on another host is another account: of the system, of services, and of images
    "root toor bin daemon adm lp sync shutdown halt mail news uucp operator games nobody man proxy www-data backup list irc gnats"
    " sys sshd ntp ftp rpc dbus polkitd chrony named bind squid mysql postgres oracle apache nginx tomcat redis mongodb"
    " elasticsearch cyrus postfix dovecot exim zabbix nagios git jenkins hadoop docker ansible"
    " pi ubnt ubuntu debian centos fedora vagrant ec2-user cloud-user admin administrator guest user test"
).split()

OLD = "(pam_unix)"  # PAM in the program's name, and not in the message
SU = r"^su(-l)?$"
PAM = r"^(?:pam_\w+\(([^:)]+)(?::\w+)?\): )?"
PATTERNS = {  # kind of message -> how it reads, and its groups
    "ssh": (
        r"^(message repeated \d+ times: \[ ?)?(Accepted|Failed) (\S+) for ((?:invalid|illegal) user )?(.*) from (\S+) port \d+"
        r"(?: ssh\d?)?(?:: .*)?(?: \[preauth\])?\]?$",
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
        r"^\s*(.+?) : (?:(.*?) ; )??(?:HOST=\S+ ; )?(?:TTY=.*? ; )?(?:CWD|PWD)=.*? ; (?:GROUP=.*? ; )?USER=(.*?) ;(?: .*? ;)?"
        r" COMMAND=(\S+)",
        ("actor", "reason", "user", "program"),
    ),
    "su": (  # util-linux, shadow, BSD
        r"^(FAILED|BAD )?(?: ?SU \(to (.+)\) (\S+) on \S+| su for (.+) by (\S+)|(?:SU )?(\S+) to (\S+) on \S+)\s*$",
        ("failed", "user", "actor", "user2", "actor2", "actor3", "user3"),
    ),
    "lease": (  # dhcpd, dnsmasq
        r"^DHCPACK(?: on (\S+) to (\S+) \((.+)\) via .*|\(\S+\) (\S+) (\S+) (\S+))$",
        ("address", "hardware", "name", "address2", "hardware2", "name2"),
    ),
}

Parts = dict[str, ir.StringValue]  # the groups of a message's pattern

REPEATED = "a record of several events: counted once"
LAST = 253402300799_000000  # microseconds: the end of year 9999
TOLD_AGAIN = r"^(Invalid user|input_userauth_request: |PAM \d+ more|error: maximum auth|\(to |Successful su |[+-] \S+ \S+:\S+$)"
AGAIN = "told again by another line"
OTHER_MESSAGE = "another message"
OTHER_PROGRAM = "another program"


def source(format: str, options: Options) -> Source:
    settings = {"format": format, "year": options.year, "timezone": options.timezone}
    return Source(
        format,
        settings,
        lambda lines, sample: read(lines, sample, options),
        by_time=options.year is None,
        fields=("__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "MESSAGE", "__CURSOR"),
    )


def recognises(sample: Sample) -> int:
    """Lines with a syslog header and a program's name, or records of a journal."""
    if sample.objects:
        return sum({"__REALTIME_TIMESTAMP", "MESSAGE"} <= record.keys() for record in sample.objects)
    heads = [re.match(HEADER, line) for line in sample.records]
    return sum(
        bool(head and head[3] or re.match(IS_5424, line))
        for head, line in zip(heads, sample.records, strict=True)
    )


# --- records -> time, host, program, message ----------------------------------------------------------------


def text_rows(lines: ir.Table, sample: Sample, options: Options) -> ir.Table:
    """The parts of lines with a header, of any of three forms."""
    head = ibis.ifelse(
        lines.text.re_search(IS_5424), groups(lines.text, HEADER_5424, HEAD), groups(lines.text, HEADER, HEAD)
    )
    cut = lines.mutate(part=head)
    rows = cut.mutate(
        **{name: blank_to_null(cut["part"][name]) for name in HEAD},
        cursor=ibis.null("string"),
        is_whole=cut["part"]["stamp"] != "",
    )
    is_iso = rows.stamp.re_search(r"^\d")
    has_year = rows.stamp.re_search(r"^\D{3} .. \d{4} ")
    zone = f"taken as {options.timezone}"
    return rows.mutate(
        at=ibis.cases(
            (is_iso, parsed_time(rows.stamp, "iso8601", options.timezone)),
            (has_year, parsed_time(rows.stamp.substr(0, 20), "%b %d %Y %H:%M:%S", options.timezone)),
            else_=as_utc(of_year(rows.stamp, sample.modified, options), options.timezone),
        ),
        assumed=ibis.cases(
            (is_iso & has_zone(rows.stamp), None),
            (is_iso | has_year | ibis.literal(options.year is not None), f"time without a zone: {zone}"),
            else_=f"time without a year: guessed from when the file was written; without a zone: {zone}",
        ),
    )


def of_year(stamp: ir.StringValue, modified: dt.datetime, options: Options) -> ir.TimestampValue:
    """`Dec 10 06:55:46` in the year that `options` tells, else in the latest in which it is not over a day
    after `modified`: a day because clocks and zones differ. Null for 29 February of a year that has none."""
    in_2000 = try_strptime("2000 " + stamp.substr(0, 15), "%Y %b %d %H:%M:%S")  # a leap year
    is_leap_day = (in_2000.month() == 2) & (in_2000.day() == 29)
    if options.year is not None:
        moved = in_2000 + ibis.interval(years=options.year - 2000)
        return moved if calendar.isleap(options.year) else ibis.ifelse(is_leap_day, None, moved)
    zone = zoneinfo.ZoneInfo(options.timezone)
    latest = modified.replace(tzinfo=dt.UTC).astimezone(zone).replace(tzinfo=None) + dt.timedelta(days=1)
    leap = next(
        year
        for year in range(latest.year, 0, -1)
        if calendar.isleap(year) and dt.datetime(year, 2, 29) <= latest
    )
    year = latest.year - 2000
    return in_2000 + ibis.cases(
        (is_leap_day, ibis.interval(years=leap - 2000)),
        (in_2000 > latest.replace(year=2000), ibis.interval(years=year - 1)),
        else_=ibis.interval(years=year),
    )


def journal_rows(lines: ir.Table) -> ir.Table:
    """The parts of journal records."""
    rows = json_fields(lines, JOURNAL)
    is_bytes = rows.message.re_search(r"^\[[\d,\s]+\]$")
    return rows.mutate(
        message=ibis.ifelse(is_bytes, once(rows.message.try_cast("array<uint8>"), characters), rows.message),
        at=make_timestamp(rows.stamp.try_cast("int64").clip(0, LAST)),
        assumed=ibis.null("string"),
        is_whole=rows.stamp.notnull() & rows.message.notnull(),
    )


def characters(codes: ir.ArrayValue) -> ir.StringValue:
    """A message that journald holds for binary. Latin-1, so that any byte is a character."""
    return codes.map(lambda code: character(ibis.coalesce(code, 63))).join("")


# --- message -> columns of events ---------------------------------------------------------------------------


def read(lines: ir.Table, sample: Sample, options: Options) -> ir.Table:
    """lines -> events"""
    is_json = bool(sample.objects)
    rows = journal_rows(lines) if is_json else text_rows(lines, sample, options)
    known = rows.mutate(kind=kind_of(rows.program, rows.message))
    found = known.mutate(
        **{
            f"_{kind}": ibis.ifelse(known.kind == kind, groups(known.message, pattern, names), None)
            for kind, (pattern, names) in PATTERNS.items()
        }
    )
    parts = {
        kind: {name: found[f"_{kind}"][name].nullif("") for name in names}
        for kind, (_, names) in PATTERNS.items()
    }
    cases, columns = by_kind(found.kind, {kind: stage(found, parts[kind]) for kind, stage in KINDS.items()})
    is_ours = found.program.isin(OURS)
    no_header = [(~found.is_json, "not JSON")] if is_json else []
    return events.finish(
        found,
        [
            *no_header,
            (~found.is_whole, "not a journal record" if is_json else "not syslog"),
            (
                found.kind.isnull() & is_ours & found.message.re_search(TOLD_AGAIN),
                f"{events.NOT_A_LOGON}: {AGAIN}",
            ),
            (found.kind.isnull() & is_ours, f"{events.NOT_A_LOGON}: {OTHER_MESSAGE}"),
            (found.kind.isnull(), f"{events.NOT_A_LOGON}: {OTHER_PROGRAM}"),
            *((case, f"{events.NOT_A_LOGON}: {why}") for case, why in cases),
        ],
        time=found["at"],
        note=joined(found.assumed, columns.pop("note")),
        reporter=found.host,
        event_id=found.cursor,
        **columns,
    )


def kind_of(program: ir.StringValue, message: ir.StringValue) -> ir.StringValue:
    """One of KINDS; null for what is not read. Messages with words that strangers choose come first, lest
    they pass for others."""
    return ibis.cases(
        (program.isin(SSHD) & message.re_search(r"^(Accepted |Failed |message repeated )"), "ssh"),
        ((program == "sudo") & message.contains("COMMAND="), "sudo"),
        ((program == "su") & message.re_search(r"^(FAILED |BAD SU |\S+ to \S+ on )"), "su"),
        (program.isin(DHCPD) & message.startswith("DHCPACK"), "lease"),
        (message.contains("session opened for user "), "session"),
        (message.contains("authentication failure; "), "refused"),
    )


def ssh(row: ir.Table, part: Parts) -> Made:
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


def session(row: ir.Table, part: Parts) -> Made:
    """PAM lets a user in: a source of its own only where the machine is, and the one who became another is
    known."""
    service = service_of(row, part)
    is_old = row.program.endswith(OLD)
    is_su = service.re_search(SU)
    is_kept = is_su | service.re_search(CONSOLE) | (is_old & (service == "sshd"))
    caller = ibis.coalesce(part["actor"], ibis.ifelse(part["number"] == "0", "root", None))
    return [(part["user"].isnull(), OTHER_MESSAGE), *not_kept(service, is_kept)], {
        "user": account(part["user"], row.host),
        "actor": ibis.ifelse(is_su, account(caller, row.host), None),
        **reached(row, ibis.ifelse(service == "sshd", None, row.host)),
        "action": ibis.ifelse(is_su, "explicit_credential", "logon"),
        "logon_type": ibis.ifelse(service.re_search(CONSOLE), "Interactive", None),
        "outcome": ibis.literal("success"),
        "code": ibis.literal("session opened"),
    }


def refused(row: ir.Table, part: Parts) -> Made:
    """PAM does not let a user in, and no other line says so."""
    service = service_of(row, part)
    is_su = service.re_search(SU)
    is_kept = service.re_search(CONSOLE) | (row.program.endswith(OLD) & ((service == "sshd") | is_su))
    own = ibis.ifelse(service == "sshd", None, row.host)
    return [*not_kept(service, is_kept), (part["user"].isnull(), "failure of a user who is not named")], {
        "user": account(part["user"], row.host),
        "actor": ibis.ifelse(is_su, account(part["actor"], row.host), None),
        **reached(row, ibis.coalesce(part["address"], own)),
        "action": ibis.ifelse(is_su, "explicit_credential", "logon"),
        "logon_type": ibis.ifelse(service.re_search(CONSOLE), "Interactive", None),
        "outcome": ibis.literal("failure"),
        "code": ibis.literal("authentication failure"),
    }


def sudo(row: ir.Table, part: Parts) -> Made:
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


def su(row: ir.Table, part: Parts) -> Made:
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


def lease(row: ir.Table, part: Parts) -> Made:
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


KINDS: dict[str, Callable[[ir.Table, Parts], Made]] = {
    "ssh": ssh,
    "session": session,
    "refused": refused,
    "sudo": sudo,
    "su": su,
    "lease": lease,
}


def account(name: ir.StringValue, host: ir.StringValue) -> ir.StringValue:
    """A name as it is, or on its host if others have one like it."""
    return ibis.ifelse(name.lower().isin(LOCAL_ACCOUNTS), name + "@" + host, name)


def reached(row: ir.Table, source: ir.StringValue) -> dict[str, ir.Value]:
    """The host that logs, from an address or a name."""
    bare = source.re_replace(r"^::ffff:(\d+\.\d+\.\d+\.\d+)$", r"\1")
    return {
        "source": ibis.cases((bare.isin(LOOPBACK), row.host), (bare == "UNKNOWN", None), else_=bare),
        "source_ip": ibis.ifelse(is_address(bare) & bare.notin(LOOPBACK), bare, None),
        "target": row.host,
        "target_kind": ibis.literal("machine"),
    }


def service_of(row: ir.Table, part: Parts) -> ir.StringValue:
    """What asked PAM: `sshd` of `pam_unix(sshd:auth): ...` and of `sshd(pam_unix)[1]: ...`."""
    return ibis.coalesce(part["service"], row.program.replace(OLD, ""))


def not_kept(service: ir.StringValue, is_kept: ir.BooleanValue) -> Cases:
    is_told_again = service.isin((*SSHD, "sudo", "sudo-i")) | service.re_search(SU)
    return [(~is_kept & is_told_again, AGAIN), (~is_kept, OTHER_PROGRAM)]


def joined(one: ir.StringValue, other: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(one.isnull() | other.isnull(), ibis.coalesce(one, other), one + "; " + other)
