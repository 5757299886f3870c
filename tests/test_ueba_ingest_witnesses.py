"""One logon that several machines tell of is one edge. Small days, worked out by hand."""

from __future__ import annotations

from ingest_world import event, read, short

HOST = {"witness": "host"}
SOURCE = {"witness": "source", "action": "explicit_credential"}
SERVICE = {"witness": "controller", "action": "service_ticket"}
CHECK = {"witness": "controller", "action": "credential_validation"}
TICKET = {"witness": "controller", "action": "ticket"}


def test_a_kerberos_logon_seen_four_times_is_one_edge(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "dc1", **TICKET),
            event("09:00:01", "alice@corp", "ws1", "srv1", **SERVICE),
            event("09:00:01", "alice@corp", "ws1", "srv1", actor="bob@corp", **SOURCE),
            event("09:00:02", "alice@corp", "ws1", "srv1", logon_type="Network", **HOST),
        ],
    )
    assert short(tmp_path, "action", "count", "witnesses") == [
        ("alice@corp", "ws1", "srv1", "logon", 1, 1 | 2 | 4)
    ]


def test_the_order_of_clocks_does_not_matter_within_five_minutes(tmp_path):
    late = event("09:04:59", "alice@corp", "ws1", "srv1", **SERVICE)
    too_late = event("09:05:01", "alice@corp", "ws1", "srv1", **SERVICE)
    read(tmp_path, [event("09:00:00", "alice@corp", "ws1", "srv1", **HOST), late])
    assert short(tmp_path, "count", "witnesses") == [("alice@corp", "ws1", "srv1", 1, 3)]
    read(tmp_path / "b", [event("09:00:00", "alice@corp", "ws1", "srv1", **HOST), too_late])
    assert [edge[-1] for edge in short(tmp_path / "b", "witnesses")] == [1, 2]


def test_a_check_of_a_password_is_of_the_logon_from_the_same_source(tmp_path):
    """The controller does not know where the logon went; its own name is no target then."""
    read(
        tmp_path,
        [
            event("09:00:00", "alice", "ws1", "dc1", **CHECK),
            event("09:00:00.5", "alice@corp", "ws1", "srv1", **HOST),
            event("09:30:00", "alice@corp", "ws2", "dc1", **CHECK),
        ],
    )
    assert short(tmp_path, "witnesses") == [("alice@corp", "ws1", "srv1", 3), ("alice@corp", "ws2", "dc1", 2)]


def test_a_logon_without_a_source_learns_it_from_the_controller(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "dc1", **CHECK),
            event("09:00:01", "alice@corp", None, "srv1", **HOST),
            event("09:01:00", "bob@corp", "ws7", "srv2", **SERVICE),
            event("09:01:01", "bob@corp", None, "srv2", **HOST),
        ],
    )
    assert short(tmp_path, "witnesses") == [("alice@corp", "ws1", "srv1", 3), ("bob@corp", "ws7", "srv2", 3)]


def test_what_does_not_agree_stands_alone(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "srv1", **HOST),
            event("09:00:00", "alice@corp", "ws2", "srv1", **SERVICE),  # from elsewhere
            event("09:00:00", "alice@corp", "ws1", "srv2", **SERVICE),  # to elsewhere
            event("09:00:00", "alice@corp", "ws1", "srv1", outcome="failure", **SERVICE),
            event("09:00:00", "alice@other", "ws1", "srv1", **SERVICE),
        ],
    )
    assert sorted(edge[-1] for edge in short(tmp_path, "witnesses")) == [1, 2, 2, 2, 2]


def test_failed_views_are_one_failure(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "dc1", outcome="failure", **CHECK),
            event("09:00:00.1", "alice@corp", "ws1", "srv1", outcome="failure", **HOST),
        ],
    )
    assert short(tmp_path, "count", "failures", "witnesses") == [("alice@corp", "ws1", "srv1", 1, 1, 3)]


def test_a_ticket_belongs_to_the_logon_at_the_machine_that_asked(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "dc1", **TICKET),
            event("09:00:01", "alice@corp", "ws1", "ws1", logon_type="Interactive", **HOST),
            event("10:00:00", "bob@corp", "ws1", "dc1", **TICKET),
        ],
    )
    assert short(tmp_path, "witnesses") == [("alice@corp", "ws1", "ws1", 3), ("bob@corp", "ws1", "dc1", 2)]


def test_a_session_tells_the_source_of_what_was_done_in_it(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "srv1", session="srv1:0x7", **HOST),
            event("09:10:00", "alice@corp", None, "srv1", session="srv1:0x7", action="object_access"),
            event("09:10:00", "alice@corp", None, "srv1", session="srv1:0x8", action="object_access"),
        ],
    )
    assert short(tmp_path, "action") == [
        ("alice@corp", "ws1", "srv1", "logon"),
        ("alice@corp", "ws1", "srv1", "object_access"),
        ("alice@corp", None, "srv1", "object_access"),
    ]


def test_views_in_several_files_in_any_order(tmp_path):
    controller = [event("09:00:01", "alice@corp", "ws1", "srv1", **SERVICE)]
    host = [event("09:00:02", "alice@corp", "ws1", "srv1", **HOST)]
    read(tmp_path / "a", controller, host)
    read(tmp_path / "b", host, controller)
    assert short(tmp_path / "a", "count", "witnesses") == short(tmp_path / "b", "count", "witnesses")
    assert short(tmp_path / "a", "count", "witnesses") == [("alice@corp", "ws1", "srv1", 1, 3)]


def test_events_without_a_witness_are_left_alone(tmp_path):
    read(
        tmp_path,
        [
            event("09:00:00", "alice@corp", "ws1", "srv1"),
            event("09:00:00", "alice@corp", "ws1", "srv1", **SERVICE),
        ],
    )
    assert short(tmp_path, "action", "witnesses") == [
        ("alice@corp", "ws1", "srv1", "logon", 0),
        ("alice@corp", "ws1", "srv1", "service_ticket", 2),
    ]
