"""Who is who: several names of one account or machine become one entity. Small worlds, worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_world import event, everything, read, short

from ueba.errors import InputError
from ueba.ingest import lake
from ueba.ingest.identity import tables

SID = "S-1-5-21-1-2-3-1104"


def users(folder):
    return {edge["user"] for edge in everything(folder)}


def known(folder, name):
    (found,) = [row for row in lake.read_entities(folder / "lake").to_pylist() if row["name"] == name]
    return found


def test_five_names_of_one_user(tmp_path):
    """NetBIOS and DNS domain have accounts of one domain identifier; the SID alone, a UPN and a bare name go
    where they belong."""
    read(
        tmp_path,
        [
            event("09:00:00", "CORP\\Alice", "ws1", "srv1", user_id=SID),
            event("09:00:01", "alice@CORP.EXAMPLE", "ws1", "srv2"),
            event("09:00:02", "ALICE@corp.example.", "ws1", "srv3", user_id=SID),
            event("09:00:03", SID, "ws1", "srv4"),
            event("09:00:04", "alice", "ws1", "srv5"),
        ],
    )
    assert short(tmp_path) == [("alice@corp.example", "ws1", f"srv{n}") for n in range(1, 6)]
    found = known(tmp_path, "alice@corp.example")
    assert {alias["name"]: alias["why"].split(" s-1")[0] for alias in found["aliases"]} == {
        "alice@corp": "the same domain identifier",
        SID.lower(): "the identifier of that name",
        "alice": "the only account of that name in any domain",
    }


def test_a_renamed_account_stays_who_it_was(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "corp\\miller", "ws1", "srv1", user_id=SID),
            event("2026-03-05T09:00:00", "corp\\smith", "ws1", "srv1", user_id=SID),
        ],
    )
    assert users(tmp_path) == {"miller@corp"}


def test_what_may_be_another_person_stays_apart(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "corp\\alice", "ws1", "srv1"),
            event("09:00:01", "other\\alice", "ws2", "srv1"),
            event("09:00:02", "alice", "ws3", "srv1"),  # which of them?
            event("09:00:03", "corp\\administrator", "ws4", "srv1"),
            event("09:00:04", "administrator", "ws5", "srv1"),  # any machine's own
        ],
    )
    assert users(tmp_path) == {"alice@corp", "alice@other", "alice", "administrator@corp", "administrator"}


def test_a_domain_is_known_by_its_first_part_if_only_one_begins_so(tmp_path):
    read(
        tmp_path,
        [event("09:00:00", "corp\\bob", "ws1", "srv1"), event("09:00:00", "eve@corp.example", "ws1", "srv1")],
    )
    assert users(tmp_path) == {"bob@corp.example", "eve@corp.example"}
    read(tmp_path, [event("09:00:00", "eve@corp.elsewhere", "ws1", "srv1")])
    assert users(tmp_path) == {"bob@corp", "eve@corp.example", "eve@corp.elsewhere"}


def test_full_and_short_names_of_a_machine(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "a@corp", "WS1.corp.example", "\\\\SRV1"),
            event("09:00:00", "b@corp", "ws1", "srv1.corp.example."),
            event("09:00:00", "c@corp", "ws1", "db.corp.example"),  # never short
            event("09:00:00", "d@corp", "two.a.example", "two.b.example"),
            event("09:00:00", "e@corp", "ws1", "two"),  # which of them?
            event("09:00:00", "f@corp", "averylonghostna", "averylonghostname.corp.example"),
        ],
    )
    assert short(tmp_path) == [
        ("a@corp", "ws1", "srv1"),
        ("b@corp", "ws1", "srv1"),
        ("c@corp", "ws1", "db.corp.example"),
        ("d@corp", "two.a.example", "two.b.example"),
        ("e@corp", "ws1", "two"),
        ("f@corp", "averylonghostname.corp.example", "averylonghostname.corp.example"),
    ]


def test_an_address_is_the_machine_that_had_it_then(tmp_path):
    """Leases at 8 and 12: before and after the second, 10.0.0.7 is somebody else. A day later nobody
    knows."""
    read(
        tmp_path,
        [
            event("08:00:00", None, "ws1.corp.example", None, source_ip="10.0.0.7", action="lease"),
            event("12:00:00", None, "ws2", None, source_ip="10.0.0.7", action="lease"),
            event("09:00:00", "alice@corp", "10.0.0.7", "srv1"),
            event("13:00:00", "alice@corp", "10.0.0.7", "srv2"),
            event("2026-03-03T12:30:00", "alice@corp", "10.0.0.7", "srv3"),
            event(
                "14:00:00", "alice@corp", "kali", "srv4", source_ip="10.0.0.7"
            ),  # the client gave this name itself
            event("15:00:00", "alice@corp", "ws1", "10.0.0.7"),
        ],
    )
    assert {edge[2]: edge[1] for edge in short(tmp_path)} == {
        "srv1": "ws1",
        "srv2": "ws2",
        "srv3": "10.0.0.7",
        "srv4": "ws2",
        "ws2": "ws1",  # the target was an address
    }


def test_names_and_addresses_that_logons_tell_together(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "srv1", source_ip="10.0.0.7"),
            event("09:30:00", "bob@corp", None, "srv2", source_ip="10.0.0.7"),
            event("09:00:00", "ws9$@corp", None, "dc1", source_ip="10.0.0.9"),  # the machine's own account
            event("10:00:00", "carol@corp", "10.0.0.9", "srv2"),
            *(
                event("09:00:00", "x@corp", f"pc{n}", "srv1", source_ip="10.0.0.1") for n in range(3)
            ),  # a gateway
            event("10:00:00", "dave@corp", "10.0.0.1", "srv2"),
        ],
    )
    found = {edge[0]: edge[1] for edge in short(tmp_path) if edge[2] == "srv2"}
    assert found == {"bob@corp": "ws1", "carol@corp": "ws9", "dave@corp": "10.0.0.1"}
    assert [address["address"] for address in known(tmp_path, "ws9")["addresses"]] == ["10.0.0.9"]


def test_between_two_sightings_of_one_machine_it_keeps_its_address(tmp_path):
    read(
        tmp_path,
        [
            event("2026-03-02T09:00:00", "alice@corp", "ws1", "srv1", source_ip="10.0.0.7"),
            event("2026-03-05T09:00:00", "bob@corp", "10.0.0.7", "srv1"),
            event("2026-03-07T09:00:00", "alice@corp", "ws1", "srv1", source_ip="10.0.0.7"),
            event("2026-03-10T09:00:00", "bob@corp", "10.0.0.7", "srv1"),
        ],
    )
    assert [edge[1] for edge in short(tmp_path)] == ["ws1", "ws1", "ws1", "10.0.0.7"]
    assert [address["address"] for address in known(tmp_path, "ws1")["addresses"]] == ["10.0.0.7"]


def test_administrators_and_services(tmp_path):
    services = [
        event(f"09:00:{n:02}", "corp\\backup7", "srv1", "srv1", logon_type="Service") for n in range(10)
    ]
    read(tmp_path, [*services, event("09:00:00", "corp\\alice", "ws1", "srv1", action="privilege")])
    assert known(tmp_path, "alice@corp")["is_admin"] and known(tmp_path, "alice@corp")["privileged_on"] == 1
    assert known(tmp_path, "backup7@corp")["account_kind"] == "service"
    assert users(tmp_path) == {"backup7@corp"}  # a right is no edge
    pairs = lake.read_pairs(tmp_path / "lake", *[lake.days(tmp_path / "lake")[0]] * 2, "1GB").to_pylist()
    assert [pair["user_kind"] for pair in pairs] == ["service"]


def test_a_table_of_people_and_one_of_machines(tmp_path):
    people = tmp_path / "people.csv"
    people.write_text(
        "User,Department,Manager,aliases,kind,groups\n"
        "CORP\\alice,Sales,bob,alice@mail.example;S-1-5-7-9,human,Domain Admins\n"
    )
    assets = tmp_path / "assets.csv"
    assets.write_text("hostname,ip,tier\nDB1.corp.example,10.0.0.5,0\n")
    read(
        tmp_path,
        [
            event("09:00:00", "alice@mail.example", "ws1", "10.0.0.5"),
            event("09:00:00", "S-1-5-7-9", "10.0.0.5", "srv1"),
        ],
    )
    assert users(tmp_path) == {"alice@mail.example", "s-1-5-7-9"}
    for path in (people, assets):
        tables.write(path, tmp_path / "lake")
    read(tmp_path, [event("2026-03-09T09:00:00", "corp\\alice", "ws1", "srv1")])
    assert short(tmp_path)[:2] == [
        ("alice@corp", "db1.corp.example", "srv1"),
        ("alice@corp", "ws1", "db1.corp.example"),
    ]
    alice = known(tmp_path, "alice@corp")
    assert json.loads(alice["attributes"]) == {
        "department": "Sales",
        "manager": "bob",
        "groups": "Domain Admins",
    }
    assert alice["is_admin"] and alice["account_kind"] == "human"
    assert json.loads(known(tmp_path, "db1.corp.example")["attributes"]) == {"tier": "0"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column names the entity"),
        ("user\n", "holds no rows"),
        ("user\n \n", "no row has a name"),
        ("", "holds no rows"),
    ],
)
def test_a_table_that_names_nobody(tmp_path, text, message):
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        tables.write(tmp_path / "people.csv", tmp_path / "lake")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'[{"user": ' + b"9" * 6000 + b"}]",
        b'{"user": "ann"}\n{"user": ',
        b"PAR1" + bytes(200),
        random.Random(1).randbytes(5000),
        b'user\n"' + b"x" * 200_000,
    ],
    ids=["deep", "long number", "cut", "Parquet", "random", "long cell"],
)
def test_a_damaged_table_is_one_error_that_names_it(tmp_path, content):
    (tmp_path / "people").write_bytes(content)
    with pytest.raises(InputError, match=f"^{tmp_path}/people: [^\n]{{1,400}}$"):
        tables.write(tmp_path / "people", tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


def test_a_small_parquet_of_very_many_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 1000)
    pq.write_table(pa.table({"user": ["ann"] * 1001}), tmp_path / "people")
    with pytest.raises(InputError, match="it has 1,001 rows, .* too many"):
        tables.write(tmp_path / "people", tmp_path / "lake")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"]
)
def test_a_table_in_any_encoding(tmp_path, encoding):
    (tmp_path / "people.csv").write_bytes("user,aliases\njürgen@corp,j.müller\nann@corp,a\n".encode(encoding))
    assert [listed.name for listed in tables.read(tmp_path / "people.csv")] == ["jürgen@corp", "ann@corp"]


def test_an_alias_that_is_learned_later_makes_earlier_days_anew(tmp_path):
    """In whatever order the two files come; days that have none of the names keep their edges."""
    early = [
        event("2026-03-01T09:00:00", SID, "ws1", "srv1"),
        event("2026-02-01T09:00:00", "bob@corp", "ws1", "srv1"),
    ]
    late = [event("2026-03-09T09:00:00", "corp\\alice", "ws1", "srv1", user_id=SID)]
    read(tmp_path / "a", early)
    before = lake.index(tmp_path / "a/lake")
    read(tmp_path / "a", late)
    after = lake.index(tmp_path / "a/lake")
    read(tmp_path / "b", late, early)
    assert users(tmp_path / "a") == {"alice@corp", "bob@corp"}
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    february, march = dt.date(2026, 2, 1), dt.date(2026, 3, 1)
    assert before[february] == after[february] and before[march] != after[march]


def test_tables_are_spelt_as_events_are(tmp_path):
    """Domains with a dot at the end, addresses mapped into IPv6, and cells that say that there is no name."""
    people = tmp_path / "people.csv"
    people.write_text(
        "user,alias,department\nalice@CORP.,CORP\\alice@corp.example;-,Sales\n-,x,\nBob.,?,IT\n"
    )
    assets = tmp_path / "assets.csv"
    assets.write_text("hostname,ip\n\\\\DB1.,::ffff:10.0.0.5\n")
    found = [*tables.read(people), *tables.read(assets)]
    assert [(row.kind, row.name, row.aliases, row.addresses) for row in found] == [
        ("user", "alice@corp", ("corp\\alice@corp.example",), ()),
        ("user", "bob", (), ()),
        ("host", "db1", (), ("10.0.0.5",)),
    ]


def test_of_two_tables_the_later_file_name_counts(tmp_path):
    for name, text in (
        ("b.csv", "user,alias,kind,city,floor\nann,a1,service,Rome,\n"),
        ("a.csv", "user,alias,kind,city,floor,groups\nann,a2,human,Oslo,3,admins\nbob,,,,,\n"),
    ):
        (tmp_path / name).write_text(text)
        tables.write(tmp_path / name, tmp_path / "lake")
    ann, bob = tables.stored(tmp_path / "lake")
    assert (ann.aliases, ann.account_kind, ann.attributes["city"]) == (("a1", "a2"), "service", "Rome")
    assert ann.attributes["floor"] == "3" and bob.name == "bob" and bob.is_admin is None


def test_every_step_of_who_is_who_can_be_looked_at(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UEBA_SHOW_SQL", "user_alias")
    read(tmp_path, [event("09:00:00", "alice", "ws1", "srv1"), event("09:00:01", "CORP\\alice", "ws1", "s2")])
    printed = capsys.readouterr().err
    assert printed.startswith("-- step: user_alias\nCREATE TABLE user_alias AS\n")
    assert printed.count("-- step") == 1 and "\n-- 1 row, " in printed
