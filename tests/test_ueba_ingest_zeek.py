"""Zeek logs: fixtures as Zeek writes them, events worked out by hand."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path

import pytest
from ingest_world import detected

from ueba.ingest import events, events_of
from ueba.ingest.sources import Sample, zeek

REAL = Path(__file__).parents[2] / "shared/data/zeek"
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
NOW = dt.datetime(2026, 1, 1)

HEADER = r"""#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	{}
#open	2024-01-10-01-38-59
#fields	{}
#types	time	string
"""
COLUMNS = {
    "ssh": "version auth_success auth_attempts direction client server cipher_alg",
    "ntlm": "username hostname domainname server_nb_computer_name server_dns_computer_name "
    "server_tree_name success",
    "kerberos": "request_type client service success error_msg from till cipher forwardable renewable",
    "smb_mapping": "path service native_file_system share_type",
}
ENDS = {"id.orig_h": "10.0.0.7", "id.orig_p": 50000, "id.resp_h": "10.0.0.1", "id.resp_p": 445}
AT = dt.datetime(2024, 3, 1, 8, 15, 2, 123456)
TS = 1709280902.123456


def tsv(log: str, *rows: str) -> str:
    """A log with its header; a row is what follows the ends of the connection."""
    header = HEADER.format(log, "\t".join((zeek.CONNECTION + COLUMNS[log]).split()))
    ends = "1709280902.123456\tCx1\t10.0.0.7\t50000\t10.0.0.1\t445\t"
    return (
        header
        + "".join(ends + "\t".join(row.split(" ")) + "\n" for row in rows)
        + "#close\t2024-01-10-02-00-00\n"
    )


def record(**fields: object) -> str:
    return json.dumps({"ts": TS, "uid": "Cx1"} | ENDS | fields) + "\n"


def read(tmp_path: Path, text: str, format: str = "auto") -> list[dict]:
    path = tmp_path / "some.log"
    path.write_text(text)
    return events_of(path, format).to_pylist()


def chosen(rows: list[dict], *names: str) -> list[tuple]:
    return [tuple(row[name] for name in names) for row in rows]


def kept(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["dropped"] is None]


def test_every_column_of_a_kerberos_event(tmp_path):
    text = tsv(
        "kerberos",
        "TGS alice/CORP.EXAMPLE cifs/fs1.corp.example T - - 1709316902.0 aes256-cts-hmac-sha1-96 T T",
    )
    (event,) = kept(read(tmp_path, text))
    assert {name: value for name, value in event.items() if value is not None and name != "text"} == {
        "time": AT,
        "user": "alice@CORP.EXAMPLE",
        "source": "10.0.0.7",
        "source_ip": "10.0.0.7",
        "target": "fs1.corp.example",
        "target_kind": "machine",
        "detail": "cifs/fs1.corp.example",
        "action": "service_ticket",
        "auth_package": "Kerberos",
        "outcome": "success",
        "witness": "controller",
        "code": "TGS",
        "event_id": "Cx1 1709280902.123456",
        "line": 9,
    }


@pytest.mark.parametrize(
    "client, user",
    [
        ("alice/CORP.EXAMPLE", "alice@CORP.EXAMPLE"),
        ("WS7$/CORP.EXAMPLE", "WS7$@CORP.EXAMPLE"),
        ("host/fs1.corp/CORP.EXAMPLE", "host/fs1.corp@CORP.EXAMPLE"),
        ("alice@mail.example/CORP.EXAMPLE", "alice@mail.example"),
        ("/CORP.EXAMPLE", None),
        ("CORP.EXAMPLE", None),
    ],
)
def test_kerberos_clients(tmp_path, client, user):
    text = record(_path="kerberos", request_type="TGS", client=client, service="cifs/fs1", success=True)
    (event,) = read(tmp_path, text)
    assert (event["user"], event["dropped"]) == (user, None if user else "no user")


@pytest.mark.parametrize(
    "service, target, kind, address",
    [
        ("krbtgt/CORP.EXAMPLE", "10.0.0.1", "machine", "10.0.0.1"),
        ("kadmin/changepw", "10.0.0.1", "machine", "10.0.0.1"),
        (None, "10.0.0.1", "machine", "10.0.0.1"),
        ("HOST/admin-pc", "admin-pc", "machine", None),
        ("MSSQLSvc/sql1.corp:1433", "sql1.corp", "machine", None),
        ("ldap/dc1.corp/corp.example", "dc1.corp", "machine", None),
        ("host/fs1.corp@CORP.EXAMPLE", "fs1.corp", "machine", None),
        ("FS1$", "FS1", "machine", None),
        ("svc_sql", "svc_sql", "resource", None),
        ("svc_sql@CORP.EXAMPLE", "svc_sql", "resource", None),
    ],
)
def test_kerberos_services(tmp_path, service, target, kind, address):
    (event,) = read(tmp_path, record(request_type="TGS", client="alice/C", service=service, success=True))
    assert chosen([event], "target", "target_kind", "target_ip") == [(target, kind, address)]


def test_kerberos_outcomes_and_what_is_no_request(tmp_path):
    text = tsv(
        "kerberos",
        "AS alice/C krbtgt/C T - - - - - -",
        "AS alice/C krbtgt/C F KDC_ERR_PREAUTH_FAILED - - - - -",
        "AS alice/C krbtgt/C F KDC_ERR_PREAUTH_REQUIRED - - - - -",
        "TGS alice/C cifs/fs1 - - - - - - -",
        "- - - - - - - - - -",
    )
    assert chosen(read(tmp_path, text)[8:-1], "action", "outcome", "outcome_reason", "dropped") == [
        ("ticket", "success", None, None),
        ("ticket", "failure", "KDC_ERR_PREAUTH_FAILED", None),
        (
            "ticket",
            "failure",
            "KDC_ERR_PREAUTH_REQUIRED",
            "not a logon: the controller requires another request",
        ),
        ("service_ticket", "unknown", None, None),
        ("service_ticket", "unknown", None, "not a logon: a ticket presented to a service"),
    ]


def test_ntlm(tmp_path):
    text = tsv(
        "ntlm",
        "alice WS7 CORP FS1 fs1.corp.example corp.example T",
        "bob - CORP FS1 - - F",
        r"caf\xc3\xa9 WS\\7 (empty) - - - -",
        "- WS7 CORP FS1 - - T",
    )
    rows = read(tmp_path, text)[8:-1]
    assert chosen(
        rows,
        "user",
        "source",
        "source_ip",
        "target",
        "target_ip",
        "auth_package",
        "outcome",
        "witness",
        "dropped",
    ) == [
        (
            "CORP\\alice",
            "WS7",
            "10.0.0.7",
            "fs1.corp.example",
            "10.0.0.1",
            "NTLM",
            "success",
            "controller",
            None,
        ),
        ("CORP\\bob", "10.0.0.7", "10.0.0.7", "FS1", "10.0.0.1", "NTLM", "failure", "controller", None),
        ("café", "WS\\7", "10.0.0.7", "10.0.0.1", "10.0.0.1", "NTLM", "unknown", "controller", None),
        (None, "WS7", "10.0.0.7", "FS1", "10.0.0.1", "NTLM", "success", "controller", "no user"),
    ]


def test_ssh_has_an_account_for_each_client(tmp_path):
    rows = kept(read(tmp_path, tsv("ssh", *(f"2 {auth} 1 INBOUND SSH-2.0-OpenSSH_9 - -" for auth in "TF-"))))
    assert chosen(rows, "user", "source", "target", "outcome", "note", "witness") == [
        ("ssh client 10.0.0.7", "10.0.0.7", "10.0.0.1", outcome, zeek.NO_USER, None)
        for outcome in ("success", "failure", "unknown")
    ]


@pytest.mark.parametrize(
    "path, target, detail",
    [
        (r"\\\\FS1.corp.example\\Data", r"\\fs1\data", None),
        (r"\\FS1\C$", r"\\fs1\c$", None),  # of a version that does not escape
        (r"\\\\10.0.0.1\\IPC$", r"\\10.0.0.1\ipc$", None),
        (r"\\\\fs1\\Data\\Plans\\x", r"\\fs1\data", r"Plans\x"),
        ("IPC$", r"\\10.0.0.1\ipc$", None),
        ("<unknown>", None, None),
        ("-", None, None),
    ],
)
def test_smb_mapping(tmp_path, path, target, detail):
    (event,) = read(tmp_path, tsv("smb_mapping", f"{path} - - DISK"))[8:-1]
    assert (event["dropped"] is None) == (target is not None)
    if target:
        assert chosen([event], "user", "target", "target_kind", "detail", "action", "outcome") == [
            ("smb client 10.0.0.7", target, "resource", detail, "share_access", "success")
        ]


def test_leases(tmp_path):
    lease = {
        "ts": TS,
        "uids": ["Cx1"],
        "mac": "aa:bb:cc:dd:ee:ff",
        "server_addr": "10.0.0.1",
        "assigned_addr": "10.0.0.7",
    }
    messages = [
        {"host_name": "ws7", "client_fqdn": "ws7.corp", "msg_types": ["DISCOVER", "OFFER", "REQUEST", "ACK"]},
        {"client_fqdn": "ws7.corp", "msg_types": ["REQUEST", "ACK"]},
        {"host_name": "ws8", "msg_types": ["INFORM"], "assigned_addr": None, "client_addr": "10.0.0.8"},
        {"host_name": "ws7", "msg_types": ["DISCOVER", "OFFER"]},
        {
            "host_name": "ws7",
            "msg_types": ["REQUEST", "NAK"],
            "assigned_addr": None,
            "client_addr": "10.0.0.7",
        },
        {"msg_types": ["REQUEST", "ACK"]},
    ]
    rows = read(tmp_path, "".join(json.dumps(lease | record) + "\n" for record in messages))
    assert chosen(rows, "action", "source", "source_ip", "detail", "dropped") == [
        ("lease", "ws7", "10.0.0.7", "aa:bb:cc:dd:ee:ff", None),
        ("lease", "ws7.corp", "10.0.0.7", "aa:bb:cc:dd:ee:ff", None),
        ("lease", "ws8", "10.0.0.8", "aa:bb:cc:dd:ee:ff", None),
        ("lease", "ws7", None, "aa:bb:cc:dd:ee:ff", "not a logon: no lease"),
        ("lease", "ws7", None, "aa:bb:cc:dd:ee:ff", "not a logon: no lease"),
        ("lease", None, "10.0.0.7", "aa:bb:cc:dd:ee:ff", "not a logon: lease without a host name"),
    ]


@pytest.mark.parametrize(
    "ts", [TS, str(TS), "2024-03-01T08:15:02.123456Z", "2024-03-01T09:15:02.123456+0100", 1709280902123.456]
)
def test_times(tmp_path, ts):
    (event,) = read(tmp_path, record(ts=ts, auth_success=True))
    assert event["time"] == AT


@pytest.mark.parametrize(
    "ends",
    [
        ENDS,
        {"id": {"orig_h": "10.0.0.7", "resp_h": "10.0.0.1"}},
        {"id_orig_h": "10.0.0.7", "id_resp_h": "10.0.0.1"},
    ],
)
def test_ends_of_a_connection_in_three_spellings(tmp_path, ends):
    (event,) = read(tmp_path, json.dumps({"ts": TS, "uid": "C", "auth_success": False} | ends) + "\n")
    assert chosen([event], "source", "target", "outcome") == [("10.0.0.7", "10.0.0.1", "failure")]


def test_json_of_mixed_logs_and_odd_values(tmp_path):
    texts = [
        record(_path="ssh", auth_success=True, client="SSH-2.0-OpenSSH_9"),
        record(auth_attempts=0),
        record(_path="ntlm", username="alice"),
        record(_path="conn", _system_name="sensor"),
        record(_path=7, request_type={"x": 1}, client=["a"], service=3, success="yes"),
        record(share_type="DISK", path=None),
        '{"ts": null, "id.orig_h": "10.0.0.7"}\n',
        '{"a": 1}\n',
        "[1]\n",
        "{\n",
    ]
    rows = read(tmp_path, "".join(texts), "zeek")
    assert chosen(rows, "code", "dropped") == [
        ("ssh", None),
        ("ssh", None),
        ("ntlm", None),
        (None, "not a logon: another Zeek log"),
        ('{"x":1}', "no user"),
        ("smb_mapping", "not a logon: share without a name"),
        (None, "not a zeek record"),
        (None, "not a zeek record"),
        (None, "not a zeek record"),
        (None, "not JSON"),
    ]
    assert rows[3]["reporter"] == "sensor"


def test_a_separator_and_words_of_its_own(tmp_path):
    header = "#separator \\x2c\n#set_separator,;\n#empty_field,EMPTY\n#unset_field,NONE\n#path,ntlm\n"
    columns = "#fields," + ",".join((zeek.CONNECTION + COLUMNS["ntlm"]).split()) + "\n"
    row = "1709280902.123456,Cx1,10.0.0.7,1,10.0.0.1,445,alice,NONE,EMPTY,FS1,NONE,NONE,T\n"
    (event,) = kept(read(tmp_path, header + columns + row))
    assert chosen([event], "user", "source", "target", "outcome") == [("alice", "10.0.0.7", "FS1", "success")]


@pytest.mark.parametrize("log, names", zeek.COLUMNS)
def test_known_columns_without_a_header(log, names):
    expected = {
        "ts": "1331901011.840000",
        "status": "failure",
        "direction": "INBOUND",
        "share_type": "DISK",
        "mac": "aa:bb:cc:dd:ee:ff",
    }
    expected |= {
        "id.orig_h": "10.0.0.7",
        "id.orig_p": "1",
        "id.resp_h": "fe80::1",
        "id.resp_p": "22",
        "assigned_ip": "10.0.0.7",
    }
    expected |= {
        "version": "2",
        "resp_size": "5",
        "lease_time": "60.000000",
        "duration": "0.1",
        "request_type": "AS",
    }
    line = "\t".join(expected.get(name, "-") for name in names.split())
    assert zeek.looks_like((line, line, "")) == (log, tuple(names.split()))
    assert zeek.recognises(Sample("log", (line, line), NOW)) == 2


def test_other_logs_and_unknown_columns(tmp_path):
    other = HEADER.format("conn", "ts\tuid\tid.orig_h") + "1.0\tC\t10.0.0.7\n"
    assert Counter(row["dropped"] for row in read(tmp_path, other)) == {
        "header": 8,
        "not a logon: another Zeek log": 1,
    }
    unknown = read(tmp_path, "1.0\tC\t10.0.0.7\n", "zeek")
    assert unknown[0]["dropped"] == "no header, and columns that are not known"
    cut = read(tmp_path, tsv("ssh", "2 T"))
    assert cut[8]["dropped"] == "not 13 fields"


def test_recognises():
    def count(*records: str) -> int:
        return zeek.recognises(Sample("log", records, NOW))

    assert (
        count(*tsv("ssh", "2 T 1 INBOUND - - -", "2 T").splitlines()) == 2
    )  # the header, and a line that fits
    assert count(record(auth_success=True)) == 1
    assert count('{"ts": 1, "id": 5}', '{"ts": [], "id": {"a": 1}}', "{}", "[]") == 0
    assert count("#Software: Microsoft Internet Information Services 10.0", "#Fields: date time c-ip") == 0
    assert count("1,U1@D,U1@D,C1,C2,Kerberos,Network,LogOn,Success") == 0
    assert count('{"EventID": 4624, "Computer": "WS7", "TimeCreated": "2024-03-01T08:15:02Z"}') == 0
    assert count("Dec 10 06:55:46 LabSZ sshd[24200]: Failed password for root from 10.0.0.7 port 1 ssh2") == 0
    assert count("", "#", "#fields", "#separator \\x", "\t\t\t") == 0
    assert detected([record(auth_success=True)]) == "zeek"


@needs_real
def test_every_real_ssh_line_is_an_event():
    rows = events_of(REAL / "ssh.log").to_pylist()
    fields = [line.split("\t") for line in (REAL / "ssh.log").read_text().splitlines()]
    outcome = {"undetermined": "unknown"}
    assert len(rows) == len(fields) == 7143 and all(row["dropped"] is None for row in rows)
    assert [(row["source"], row["target"], row["outcome"]) for row in rows] == [
        (field[2], field[4], outcome.get(field[6], field[6])) for field in fields
    ]
    assert Counter(row["outcome"] for row in rows) == {"failure": 5069, "unknown": 1773, "success": 301}
    assert rows[0]["time"] == dt.datetime(2012, 3, 16, 12, 30, 11, 840000)


@needs_real
def test_real_leases_have_no_names():
    rows = events_of(REAL / "dhcp.log").to_pylist()
    assert Counter(row["dropped"] for row in rows) == {
        f"{events.NOT_A_LOGON}: lease without a host name": 1502
    }
    assert rows[0]["source_ip"] == "192.168.202.76" and rows[0]["detail"] == "00:26:9e:83:a2:30"


def test_a_tsv_record_may_lie_in_an_envelope(tmp_path):
    """Whatever stands around it: its header is unknown, and it is read by its columns."""
    line = "1709280902.123456\tCx1\t10.0.0.7\t50000\t10.0.0.1\t445\t\\\\\\\\fs1\\\\c$\t-\t-\tDISK"
    path = tmp_path / "log"
    path.write_text("".join(json.dumps({"message": text}) + "\n" for text in (line, "#close\t2024", "x")))
    rows = events_of(path, "zeek").to_pylist()
    assert [row["dropped"] for row in rows] == [None, "header", "not 10 fields"]
