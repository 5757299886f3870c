"""Syslog: lines as daemons write them, events worked out by hand."""

import datetime as dt
import gzip
import json
import os
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ueba.ingest import IngestOptions, events_of
from ueba.ingest.sources import Options, Sample, syslog

REAL = Path(__file__).parents[2] / "shared/data/sshd"
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
NOW = dt.datetime(2026, 1, 1)
ISO = "2024-03-01T08:15:02.123456+01:00 web1 "
AT = dt.datetime(2024, 3, 1, 7, 15, 2, 123456)
KEY = "RSA SHA256:q1TnjgC/bQqP"

AGAIN = "not a logon: repeats another line"
MESSAGE = "not a logon: another message"
PROGRAM = "not a logon: another program"


def read(tmp_path: Path, *lines: str, modified: dt.datetime = NOW, **options) -> list[dict]:
    path = tmp_path / "auth.log"
    path.write_text("".join(line + "\n" for line in lines))
    seconds = modified.replace(tzinfo=dt.UTC).timestamp()
    os.utime(path, (seconds, seconds))
    return events_of(path, "syslog", IngestOptions(Options(**options))).to_pylist()


def chosen(rows: list[dict], *names: str) -> list[tuple]:
    return [tuple(row[name] for name in names) for row in rows]


def test_every_column_of_an_ssh_event(tmp_path):
    (event,) = read(
        tmp_path, ISO + f"sshd[24200]: Accepted publickey for alice from 10.0.0.7 port 38926 ssh2: {KEY}"
    )
    assert {name: value for name, value in event.items() if value is not None and name != "text"} == {
        "time": AT,
        "user": "alice",
        "source": "10.0.0.7",
        "source_ip": "10.0.0.7",
        "target": "web1",
        "target_kind": "machine",
        "action": "logon",
        "auth_package": "publickey",
        "outcome": "success",
        "reporter": "web1",
        "code": "Accepted",
        "line": 1,
    }


SSHD = [
    (
        "Accepted password for root from 10.0.0.7 port 1 ssh2",
        "root@web1",
        "10.0.0.7",
        "10.0.0.7",
        "success",
        None,
    ),
    ("Failed password for alice from 10.0.0.7 port 1 ssh2", "alice", "10.0.0.7", "10.0.0.7", "failure", None),
    (
        "Failed none for invalid user Bob from 10.0.0.7 port 1 ssh2",
        "Bob",
        "10.0.0.7",
        "10.0.0.7",
        "failure",
        "invalid user",
    ),
    (
        "Failed password for illegal user x from 10.0.0.7 port 1",
        "x",
        "10.0.0.7",
        "10.0.0.7",
        "failure",
        "invalid user",
    ),
    (
        "Failed password for alice from fe80::1%eth0 port 1 ssh2 [preauth]",
        "alice",
        "fe80::1",
        "fe80::1",
        "failure",
        None,
    ),
    (
        "Failed password for alice from ::ffff:10.0.0.7 port 1 ssh2",
        "alice",
        "10.0.0.7",
        "10.0.0.7",
        "failure",
        None,
    ),
    (
        "Accepted password for alice from ws7.corp.example port 1 ssh2",
        "alice",
        "ws7.corp.example",
        None,
        "success",
        None,
    ),
    ("Accepted password for alice from UNKNOWN port 1 ssh2", "alice", None, None, "success", None),
    ("Accepted password for alice from ::1 port 1 ssh2", "alice", "web1", None, "success", None),
    (
        "Accepted gssapi-with-mic for CORP\\a b from 10.0.0.7 port 1 ssh2: a@C",
        "CORP\\a b",
        "10.0.0.7",
        "10.0.0.7",
        "success",
        None,
    ),
    # Names that strangers choose.
    ("Failed none for invalid user a from 1.1.1.1 port 1 ssh2 from 10.0.0.7 port 1 ssh2",)
    + ("a from 1.1.1.1 port 1 ssh2", "10.0.0.7", "10.0.0.7", "failure", "invalid user"),
    ("Failed none for invalid user session opened for user root by (uid=0) from 10.0.0.7 port 1 ssh2",)
    + ("session opened for user root by (uid=0)", "10.0.0.7", "10.0.0.7", "failure", "invalid user"),
    (
        "Failed password for invalid user Accepted password for root from 1.1.1.1 port 1 "
        "ssh2 from 10.0.0.7 port 1 ssh2",
    )
    + (
        "Accepted password for root from 1.1.1.1 port 1 ssh2",
        "10.0.0.7",
        "10.0.0.7",
        "failure",
        "invalid user",
    ),
]


@pytest.mark.parametrize("program", ["sshd", "sshd-session"])
def test_sshd(tmp_path, program):
    rows = read(tmp_path, *(f"{ISO}{program}[1]: {message}" for message, *_ in SSHD))
    assert chosen(rows, "user", "source", "source_ip", "outcome", "outcome_reason") == [
        tuple(expected) for _, *expected in SSHD
    ]
    assert chosen(rows, "target", "dropped") == [("web1", None)] * len(SSHD)


def test_a_repeated_message_is_one_event(tmp_path):
    message = "Failed password for root from 10.0.0.7 port 1 ssh2"
    rows = read(tmp_path, f"{ISO}sshd[1]: message repeated 5 times: [ {message}]", f"{ISO}sshd[1]: {message}")
    assert chosen(rows, "user", "source", "outcome", "note", "dropped") == [
        ("root@web1", "10.0.0.7", "failure", syslog.REPEATED, None),
        ("root@web1", "10.0.0.7", "failure", None, None),
    ]


NO_LOGON = [
    ("sshd[1]: Invalid user admin from 10.0.0.7 port 1", AGAIN),
    ("sshd[1]: Invalid user session opened for user root by (uid=0) from 10.0.0.7", MESSAGE),
    ("sshd[1]: input_userauth_request: invalid user admin [preauth]", AGAIN),
    (
        "sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 "
        "tty=ssh ruser= rhost=10.0.0.7  user=root",
        AGAIN,
    ),
    (
        "sshd[1]: PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh "
        "ruser= rhost=10.0.0.7  user=root",
        AGAIN,
    ),
    (
        "sshd[1]: PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh "
        "ruser= rhost=10.0.0.7  user=root",
        AGAIN,
    ),
    ("sshd[1]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", AGAIN),
    ("sshd[1]: Connection closed by authenticating user root 10.0.0.7 port 1 [preauth]", MESSAGE),
    ("sshd[1]: Postponed publickey for alice from 10.0.0.7 port 1 ssh2 [preauth]", MESSAGE),
    ("sshd[1]: Failed to allocate internet-domain X11 display socket.", MESSAGE),
    ("sudo: pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)", AGAIN),
    ("sudo:    alice : (command continued) --flag", MESSAGE),
    ("su: (to root) alice on pts/0", AGAIN),
    ("su[1]: + /dev/pts/0 alice:root", AGAIN),
    ("su[1]: Successful su for root by alice", AGAIN),
    (
        "su[1]: pam_unix(su:auth): authentication failure; logname=a uid=1 euid=0 "
        "tty=pts/0 ruser=alice rhost=  user=root",
        AGAIN,
    ),
    ("su[1]: pam_unix(su:session): session closed for user root", MESSAGE),
    ("systemd-logind[1]: New session 12 of user alice.", MESSAGE),
    ("CRON[1]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", PROGRAM),
    ("kernel: zapping low mappings.", PROGRAM),
    ("last message repeated 2 times", PROGRAM),
    ("dhcpd: DHCPREQUEST for 10.0.0.7 from aa:bb:cc:dd:ee:ff (ws7) via eth0", MESSAGE),
    ("dhcpd: DHCPACK on 10.0.0.7 to aa:bb:cc:dd:ee:ff via eth0", "not a logon: lease without a host name"),
    ("dhcpd: DHCPACK to 10.0.0.7 (aa:bb:cc:dd:ee:ff) via eth0", "not a logon: lease without a host name"),
]


def test_what_is_no_logon(tmp_path):
    rows = read(tmp_path, *(ISO + message for message, _ in NO_LOGON))
    assert [row["dropped"] for row in rows] == [reason for _, reason in NO_LOGON]


SUDO = "TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/cat /etc/shadow"


USED = [
    (f"sudo:    alice : {SUDO}", "root@web1", "alice", "/bin/cat", "success", None),
    (f"sudo[1]: CORP\\a b : {SUDO}", "root@web1", "CORP\\a b", "/bin/cat", "success", None),
    (f"sudo: alice : HOST=web1 ; {SUDO}", "root@web1", "alice", "/bin/cat", "success", None),
    (f"sudo: alice : a password is required ; HOST=web1 ; {SUDO}",)
    + ("root@web1", "alice", "/bin/cat", "failure", "a password is required"),
    (
        "sudo: alice : TTY=unknown ; PWD=/ ; GROUP=adm ; USER=bob ; ENV=A=1 ; COMMAND=list",
        *("bob", "alice", "list", "success", None),
    ),
    (
        f"sudo: alice : 3 incorrect password attempts ; {SUDO}",
        *("root@web1", "alice", "/bin/cat", "failure", "3 incorrect password attempts"),
    ),
    (
        f"sudo: eve : user NOT in sudoers ; {SUDO}",
        "root@web1",
        "eve",
        "/bin/cat",
        "failure",
        "user NOT in sudoers",
    ),
    ("su[1]: FAILED su for root by alice", "root@web1", "alice", None, "failure", None),
    ("su: FAILED SU (to root) alice on pts/0", "root@web1", "alice", None, "failure", None),
    ("su: BAD SU alice to root on /dev/ttyp0", "root@web1", "alice", None, "failure", None),
    ("su: alice to root on /dev/ttyp0", "root@web1", "alice", None, "success", None),
    (
        "su: pam_unix(su:session): session opened for user root by alice(uid=1000)",
        "root@web1",
        "alice",
        None,
        "success",
        None,
    ),
    (
        "su: pam_unix(su-l:session): session opened for user bob(uid=7) by (uid=0)",
        "bob",
        "root@web1",
        None,
        "success",
        None,
    ),
    (
        "su(pam_unix)[1]: session opened for user cyrus by (uid=0)",
        "cyrus@web1",
        "root@web1",
        None,
        "success",
        None,
    ),
    (
        "su(pam_unix)[1]: authentication failure; logname=alice uid=5 euid=0 tty=pts/0 "
        "ruser=alice rhost=  user=root",
        *("root@web1", "alice", None, "failure", None),
    ),
]


def test_accounts_used_by_others(tmp_path):
    rows = read(tmp_path, *(ISO + message for message, *_ in USED))
    assert chosen(rows, "user", "actor", "detail", "outcome", "outcome_reason") == [
        tuple(expected) for _, *expected in USED
    ]
    assert set(chosen(rows, "source", "target", "action", "dropped")) == {
        ("web1", "web1", "explicit_credential", None)
    }


PAM = [
    (
        "login(pam_unix)[1]: session opened for user alice by LOGIN(uid=0)",
        "alice",
        "web1",
        "Interactive",
        "success",
    ),
    ("login[1]: pam_unix(login:session): session opened for user root(uid=0) by LOGIN(uid=0)",)
    + ("root@web1", "web1", "Interactive", "success"),
    ("gdm-password][1]: pam_unix(gdm-password:session): session opened for user alice(uid=1000) by (uid=0)",)
    + ("alice", "web1", "Interactive", "success"),
    (
        "gdm-password][1]: pam_unix(gdm-password:auth): authentication failure; logname= "
        "uid=0 tty= ruser= rhost=  user=alice",
    )
    + ("alice", "web1", "Interactive", "failure"),
    ("sshd(pam_unix)[1]: session opened for user alice by (uid=509)", "alice", None, None, "success"),
    (
        "sshd(pam_unix)[1]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh "
        "ruser= rhost=a.example  user=root",
    )
    + ("root@web1", "a.example", None, "failure"),
]


def test_pam(tmp_path):
    rows = read(tmp_path, *(ISO + message for message, *_ in PAM))
    assert chosen(rows, "user", "source", "logon_type", "outcome") == [
        tuple(expected) for _, *expected in PAM
    ]
    assert set(chosen(rows, "actor", "target", "action", "dropped")) == {(None, "web1", "logon", None)}


def test_leases(tmp_path):
    rows = read(
        tmp_path,
        ISO + "dhcpd[1]: DHCPACK on 10.0.0.7 to aa:bb:cc:dd:ee:ff (ws7) via eth0",
        ISO + "dnsmasq-dhcp[1]: DHCPACK(eth0) 10.0.0.8 aa:bb:cc:dd:ee:00 ws8",
    )
    assert chosen(rows, "action", "source", "source_ip", "detail", "dropped") == [
        ("lease", "ws7", "10.0.0.7", "aa:bb:cc:dd:ee:ff", None),
        ("lease", "ws8", "10.0.0.8", "aa:bb:cc:dd:ee:00", None),
    ]


TRIED = "Failed password for alice from 10.0.0.7 port 1 ssh2"
MOVED = f"sshd[1]: {TRIED}"


HEADS = [
    ("Mar  1 08:15:02 web1 ", dt.datetime(2024, 3, 1, 8, 15, 2)),
    ("<86>Mar 01 08:15:02 web1 ", dt.datetime(2024, 3, 1, 8, 15, 2)),
    ("Mar  1 08:15:02 web1 sshd[1]: [ID 800047 auth.info] ", dt.datetime(2024, 3, 1, 8, 15, 2)),
    ("Mar  1 2023 08:15:02 web1 ", dt.datetime(2023, 3, 1, 8, 15, 2)),
    ("2024-03-01T08:15:02+0100 web1 ", dt.datetime(2024, 3, 1, 7, 15, 2)),
    ("<86>2024-03-01T08:15:02.5Z web1 ", dt.datetime(2024, 3, 1, 8, 15, 2, 500000)),
    ("2024-03-01T08:15:02 web1 ", dt.datetime(2024, 3, 1, 8, 15, 2)),
]


def test_heads_of_lines(tmp_path):
    rows = read(
        tmp_path,
        *(head + (TRIED if "[" in head else f"sshd[1]: {TRIED}") for head, _ in HEADS),
        modified=dt.datetime(2024, 6, 1),
    )
    assert chosen(rows, "time", "user", "target", "dropped") == [
        (time, "alice", "web1", None) for _, time in HEADS
    ]


def test_rfc_5424(tmp_path):
    message = TRIED
    head = "<86>1 2003-10-11T22:14:15.003Z web1 sshd 123 - "
    lines = [head + data + message for data in ("- ", '[a@1 b="]\\" "][c@1 d="e"] ', '[a@1 b="x"] \ufeff')]
    rows = read(
        tmp_path, *lines, lines[0].replace("2003-10-11T22:14:15.003Z", "-"), lines[0].replace("web1", "-")
    )
    expected = (dt.datetime(2003, 10, 11, 22, 14, 15, 3000), "alice", "web1", None)
    assert chosen(rows[:3], "time", "user", "target", "dropped") == [expected] * 3
    assert [row["dropped"] for row in rows[3:]] == ["time not understood", "no target"]


@pytest.mark.parametrize(
    "stamp, modified, options, time",
    [
        ("Dec 31 23:59:59", dt.datetime(2025, 1, 5), {}, dt.datetime(2024, 12, 31, 23, 59, 59)),
        ("Jan  5 00:00:00", dt.datetime(2025, 1, 5), {}, dt.datetime(2025, 1, 5)),
        (
            "Jan  5 23:00:00",
            dt.datetime(2025, 1, 5),
            {},
            dt.datetime(2025, 1, 5, 23),
        ),  # written west of the clock's zone
        ("Jan  7 00:00:00", dt.datetime(2025, 1, 5), {}, dt.datetime(2024, 1, 7)),
        ("Feb 29 12:00:00", dt.datetime(2026, 6, 1), {}, dt.datetime(2024, 2, 29, 12)),
        ("Feb 29 12:00:00", dt.datetime(2024, 2, 20), {}, dt.datetime(2020, 2, 29, 12)),
        ("Feb 29 12:00:00", dt.datetime(2024, 2, 29), {}, dt.datetime(2024, 2, 29, 12)),
        ("Feb 29 12:00:00", NOW, {"year": 2025}, None),
        ("Feb 29 12:00:00", NOW, {"year": 2016}, dt.datetime(2016, 2, 29, 12)),
        ("Dec 31 23:59:59", NOW, {"year": 2019}, dt.datetime(2019, 12, 31, 23, 59, 59)),
        (
            "Mar  1 08:15:02",
            NOW,
            {"year": 2019, "timezone": "Europe/Berlin"},
            dt.datetime(2019, 3, 1, 7, 15, 2),
        ),
        (
            "Jul  1 08:15:02",
            NOW,
            {"year": 2019, "timezone": "Europe/Berlin"},
            dt.datetime(2019, 7, 1, 6, 15, 2),
        ),
        ("Feb 31 08:15:02", NOW, {}, None),
    ],
)
def test_years_and_zones(tmp_path, stamp, modified, options, time):
    (event,) = read(tmp_path, f"{stamp} web1 {MOVED}", modified=modified, **options)
    assert (event["time"], event["dropped"]) == (time, None if time else "time not understood")


def test_what_was_assumed_is_noted(tmp_path):
    lines = [
        f"{head} web1 {MOVED}"
        for head in ("Mar  1 08:15:02", "Mar  1 2023 08:15:02", "2024-03-01T08:15:02", "2024-03-01T08:15:02Z")
    ]
    zone = "time without a zone: taken as Europe/Berlin"
    guessed = (
        "time without a year: guessed from when the file was written; without a zone: taken as Europe/Berlin"
    )
    assert [row["note"] for row in read(tmp_path, *lines, timezone="Europe/Berlin")] == [
        guessed,
        zone,
        zone,
        None,
    ]
    assert [row["note"] for row in read(tmp_path, *lines, timezone="Europe/Berlin", year=2024)] == [
        zone,
        zone,
        zone,
        None,
    ]


def test_journal(tmp_path):
    entry = {
        "__REALTIME_TIMESTAMP": "1709280902123456",
        "_HOSTNAME": "web1",
        "__CURSOR": "s=1;i=2",
        "SYSLOG_IDENTIFIER": "sshd",
    }
    message = "Failed password for invalid user \x01 from 10.0.0.7 port 1 ssh2"
    entries = [
        entry | {"MESSAGE": message.replace("\x01", "bob")},
        entry | {"MESSAGE": list(message.encode())},
        entry | {"MESSAGE": "session opened", "SYSLOG_IDENTIFIER": None, "_COMM": "sudo"},
        entry | {"MESSAGE": None},
        entry | {"MESSAGE": message, "__REALTIME_TIMESTAMP": "soon"},
        entry | {"MESSAGE": message, "__REALTIME_TIMESTAMP": 10**30},
        entry | {"MESSAGE": [1, 99999, 10**30, -1]},
        {"__REALTIME_TIMESTAMP": 5},
    ]
    rows = read(tmp_path, *map(json.dumps, entries), "{")
    assert chosen(rows, "user", "source", "event_id", "dropped") == [
        ("bob", "10.0.0.7", "s=1;i=2", None),
        ("\x01", "10.0.0.7", "s=1;i=2", None),
        (None, None, "s=1;i=2", MESSAGE),
        (None, None, "s=1;i=2", "not a syslog record"),
        ("\x01", "10.0.0.7", "s=1;i=2", "time not understood"),
        ("\x01", "10.0.0.7", "s=1;i=2", "time not understood"),
        (None, None, "s=1;i=2", MESSAGE),
        (None, None, None, "not a syslog record"),
        (None, None, None, "not JSON"),
    ]
    assert rows[0]["time"] == dt.datetime(2024, 3, 1, 8, 15, 2, 123456)


def test_recognises():
    def count(*records: str) -> int:
        return syslog.recognises(Sample("log", records, NOW))

    assert (
        count(
            ISO + MOVED,
            "Mar  1 08:15:02 web1 kernel: x",
            "<86>1 2003-10-11T22:14:15.003Z web1 sshd 1 - - x",
            "x",
            "",
        )
        == 3
    )
    assert (
        count(json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": "x"}), json.dumps({"MESSAGE": 5}), "[]")
        == 1
    )
    assert count("1,U1@D,U1@D,C1,C2,Kerberos,Network,LogOn,Success") == 0
    assert count('{"EventID": 4624, "Computer": "WS7", "TimeCreated": "2024-03-01T08:15:02Z"}') == 0
    assert count("1331901011.840000\tC\t10.0.0.1\t1\t10.0.0.2\t22\tfailure\tINBOUND\t-\t-") == 0
    assert count('{"ts":1,"id.orig_h":"10.0.0.1"}', "date,user,pc,activity", "{04/01/2010},a,b,Logon") == 0


@given(st.lists(st.text(max_size=30), min_size=1, max_size=60))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_forges_an_address(tmp_path, names):
    """Whatever name is tried, in one line, the attempt is from where it came from."""
    plain = [re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\x85\u2028\u2029]", "", name) for name in names]
    users = [
        *plain,
        *(f"{name} from 1.1.1.1 port 2 ssh2" for name in plain),
        *(f"x from 1.1.1.1 port 2 ssh2: {name}" for name in plain),
    ]
    rows = read(
        tmp_path,
        *(
            f"{ISO}sshd[1]: Failed password for invalid user {user} from 10.0.0.7 port 1 ssh2"
            for user in users
        ),
    )
    assert len(rows) == len(users) and set(chosen(rows, "source", "outcome", "target")) == {
        ("10.0.0.7", "failure", "web1")
    }


@needs_real
def test_real_openssh():
    rows = events_of(REAL / "openssh_2k.log", options=IngestOptions(Options(year=2015))).to_pylist()
    lines = (REAL / "openssh_2k.log").read_text().splitlines()
    tried = [
        re.search(r"(Accepted|Failed) \w+ for (?:invalid user )?(.*) from ([\d.]+) port", line)
        for line in lines
    ]
    assert [
        (row["code"], row["user"].removesuffix("@LabSZ"), row["source"])
        for row in rows
        if row["dropped"] is None
    ] == [found.groups() for found in tried if found]
    assert Counter(row["dropped"] for row in rows) == {None: 525, AGAIN: 731, MESSAGE: 744}
    assert Counter(row["outcome"] for row in rows if row["dropped"] is None) == {"failure": 524, "success": 1}
    assert rows[0]["time"] is not None and rows[5]["time"] == dt.datetime(2015, 12, 10, 6, 55, 48)


@needs_real
def test_real_linux():
    rows = events_of(REAL / "linux_2k.log", options=IngestOptions(Options(year=2005))).to_pylist()
    assert Counter(row["dropped"] for row in rows) == {
        None: 495,
        PROGRAM: 1149,
        MESSAGE: 238,
        "not a logon: failure without the user's name": 118,
    }
    kept = [row for row in rows if row["dropped"] is None]
    assert Counter((row["action"], row["outcome"]) for row in kept) == {
        ("logon", "failure"): 372,
        ("logon", "success"): 37,
        ("explicit_credential", "success"): 86,
    }


# --- headers, and years ------------------------------------------------------------------------------------

LOGIN = "sshd[3]: Accepted password for eva from 10.1.2.3 port 4 ssh2"
MARCH = dt.datetime(2024, 3, 5, 10)
HEADERS = {
    "2024-03-05T10:00:00Z web7": MARCH,
    "2024-03-05T10:00:00.250000-07:00 web7": MARCH + dt.timedelta(hours=7, seconds=0.25),
    "2024-03-05 10:00:00.250000-0700  web7": MARCH + dt.timedelta(hours=7, seconds=0.25),
    "2024-03-05 10:00:00,250 web7": MARCH + dt.timedelta(seconds=0.25),
    "2024-03-05 10:00:00 +0100 web7": MARCH - dt.timedelta(hours=1),
    "2024-03-05t10:00:00z web7": MARCH,
    "2024/03/05 10:00:00 web7": MARCH,
    "Mar  5 10:00:00 web7": MARCH,
    "Mar 5 10:00:00 web7": MARCH,
    "Mar 05 10:00:00 web7": MARCH,
    "Mar  5 10:00:00.123 web7": MARCH,
    "Mar  5 10:00:00:  web7": MARCH,
    "Mar  5 2024 10:00:00 web7": MARCH,
    "Mar 5 2024 10:00:00.5: web7": MARCH,
    "2024 Mar  5 10:00:00 web7": MARCH,
    "Mar  5 10:00:00 2024 web7": MARCH,
    "Tue Mar  5 10:00:00 2024 web7": MARCH,
    "Tue Mar  5 10:00:00 web7": MARCH,
    "<38>Mar  5 10:00:00 web7": MARCH,
    "<38> Mar  5 10:00:00 web7": MARCH,
    "Mar  5 10:00:00 web7 auth|security:info": MARCH,
    "Mar  5 10:00:00 web7 <auth.info>": MARCH,
}


def test_headers_by_example(tmp_path):
    rows = read(tmp_path, *(f"{header} {LOGIN}" for header in HEADERS), modified=dt.datetime(2024, 6, 1))
    found = {header: row["time"] for header, row in zip(HEADERS, rows, strict=True)}
    assert found == HEADERS
    assert {chosen([row], "user", "source", "target", "dropped")[0] for row in rows} == {
        ("eva", "10.1.2.3", "web7", None)
    }


def test_a_line_without_its_host_is_counted(tmp_path):
    rows = read(tmp_path, f"Mar  5 10:00:00 {LOGIN}", f"2024-03-05T10:00:00Z {LOGIN}")
    assert chosen(rows, "source", "dropped") == [("10.1.2.3", "no target")] * 2


TWO_YEARS = ("Mar  1", "Aug 15", "Dec 20", "Jan  5", "Mar  2", "Nov 20")
GUESSED = "time without a year: guessed from when the file was written and the order of its lines"


def test_lines_run_forward(tmp_path):
    lines = [f"{day} 10:00:00 web7 {LOGIN}" for day in TWO_YEARS]
    rows = read(tmp_path, *lines, modified=dt.datetime(2023, 11, 27))
    assert [row["time"].year for row in rows] == [2022] * 3 + [2023] * 3
    assert {row["note"] for row in rows} == {f"{GUESSED}; without a zone: taken as UTC"}
    rows = read(tmp_path, *lines, year=2010)  # that of the first line
    assert [row["time"].year for row in rows] == [2010] * 3 + [2011] * 3
    rows = read(tmp_path, *reversed(lines), "", modified=dt.datetime(2023, 11, 27))
    assert [row["time"].month for row in rows[:6]] == [11, 3, 1, 12, 8, 3]


def test_times_with_a_year_may_come_first(tmp_path):
    lines = [f"2025-12-20T10:00:00Z web7 {LOGIN}"] * 300 + [f"Jan  5 10:00:00 web7 {LOGIN}"]
    assert read(tmp_path, *lines, modified=NOW + dt.timedelta(days=9))[-1]["time"] == dt.datetime(
        2026, 1, 5, 10
    )


def test_years_of_a_file_of_many_slices_and_of_a_packed_one(tmp_path, monkeypatch):
    """The second reading is of the same lines, whether the file lies on the disk or comes through a pipe."""
    monkeypatch.setattr("ueba.ingest.reading.feed.SLICE", 1 << 16)
    monkeypatch.setattr("ueba.ingest.reading.feed.BLOCK", 1 << 12)
    monkeypatch.setattr("ueba.ingest.reading.stream.BLOCK", 1 << 12)
    days = [day for day in TWO_YEARS for _ in range(300)]
    text = "".join(f"{day} 10:00:00 web7 {LOGIN}\n" for day in days)
    seconds = dt.datetime(2023, 11, 27, tzinfo=dt.UTC).timestamp()
    (tmp_path / "auth.log").write_text(text)
    with gzip.open(tmp_path / "auth.log.gz", "wt") as file:
        file.write(text)
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("auth.log", (2023, 11, 27, 0, 0, 0)), text)
    for name in ("auth.log", "auth.log.gz", "logs.zip"):
        os.utime(tmp_path / name, (seconds, seconds))
        rows = events_of(tmp_path / name, "syslog").to_pylist()
        assert [row["time"].year for row in rows] == [2022] * 900 + [2023] * 900
