"""Google Workspace activities -> events; expected events are worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, google

SHOWN = (
    "user",
    "actor",
    "source",
    "target",
    "detail",
    "action",
    "auth_package",
    "outcome",
    "outcome_reason",
    "dropped",
)
FOO = {"callerType": "USER", "email": "Foo@corp.example", "profileId": "1145"}


def parameter(name: str, value: Any) -> dict[str, Any]:
    return {"name": name} | {
        "multiValue" if isinstance(value, list) else "boolValue" if value is True else "value": value
    }


def event(type: str, name: str, /, **parameters: Any) -> dict[str, Any]:
    return {"type": type, "name": name, "parameters": [parameter(*pair) for pair in parameters.items()]}


def activity(application: str, *happened: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "kind": "admin#reports#activity",
        "id": {
            "time": "2020-10-02T15:00:00.123Z",
            "uniqueQualifier": "-67",
            "applicationName": application,
            "customerId": "C03",
        },
        "etag": '"x"',
        "actor": FOO,
        "ipAddress": "67.43.156.13",
        "events": list(happened),
    } | more


def found_in(tmp_path, *records: Any, format: str = "google") -> list[dict[str, Any]]:
    path = tmp_path / "log"
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


USER, IP, HERE = "Foo@corp.example", "67.43.156.13", "Google Workspace"
SUCCESS = event(
    "login",
    "login_success",
    login_type="google_password",
    login_challenge_method=["password"],
    is_suspicious=True,
)
CASES = {
    "success": (
        activity("login", SUCCESS),
        (USER, None, IP, HERE, None, "logon", "google_password", "success", None, None),
    ),
    "failure": (
        activity(
            "login",
            event(
                "login",
                "login_failure",
                login_failure_type="login_failure_invalid_password",
                login_type="exchange",
            ),
        ),
        (USER, None, IP, HERE, None, "logon", "exchange", "failure", "login_failure_invalid_password", None),
    ),
    "an object in place of the list": (
        activity("login", ipAddress="2001:DB8::1") | {"events": SUCCESS},
        (USER, None, "2001:DB8::1", HERE, None, "logon", "google_password", "success", None, None),
    ),
    "challenge failed": (
        activity(
            "login",
            event("login", "login_challenge", login_challenge_status="Challenge Failed.", login_type="saml"),
        ),
        (USER, None, IP, HERE, None, "logon", "saml", "failure", "Challenge Failed.", None),
    ),
    "blocked": (
        activity(
            "login",
            event("account_warning", "suspicious_login", affected_email_address="bar@corp.example"),
            actor={"profileId": 1},
        ),
        ("bar@corp.example", None, IP, HERE, None, "logon", None, "failure", "suspicious_login", None),
    ),
    "forward": (
        activity(
            "user_accounts",
            event(
                "email_forwarding_change",
                "email_forwarding_out_of_domain",
                email_forwarding_destination_address="Me@Evil.example",
            ),
        ),
        (USER, None, IP, "me@evil.example", None, "forward", None, "success", None, None),
    ),
    "saml": (
        activity("saml", event("login", "login_success", application_name="Slack", initiated_by="sp")),
        (USER, None, IP, "Slack", None, "sso", "SAML", "success", None, None),
    ),
    "saml failure": (
        activity(
            "saml",
            event("login", "login_failure", application_name="Slack", failure_type="failure_request_denied"),
        ),
        (USER, None, IP, "Slack", None, "sso", "SAML", "failure", "failure_request_denied", None),
    ),
    "consent": (
        activity(
            "token",
            event(
                "auth",
                "authorize",
                client_id="9.apps",
                app_name="Mail Add-on",
                scope=["https://a", "https://b"],
            ),
        ),
        (USER, None, IP, "Mail Add-on", "https://a https://b", "consent", None, "success", None, None),
    ),
    "drive": (
        activity(
            "drive",
            event("access", "download", owner="Boss@corp.example", doc_title="Plan", primary_event=True),
        ),
        (
            USER,
            None,
            IP,
            "Drive of boss@corp.example",
            "download Plan",
            "object_access",
            None,
            "success",
            None,
            None,
        ),
    ),
    "role": (
        activity(
            "admin",
            event(
                "DELEGATED_ADMIN_SETTINGS",
                "ASSIGN_ROLE",
                ROLE_NAME="_SEED_ADMIN_ROLE",
                USER_EMAIL="bar@corp.example",
            ),
        ),
        ("bar@corp.example", USER, IP, HERE, "_SEED_ADMIN_ROLE", "privilege", None, "success", None, None),
    ),
}
ALL = [record for record, _ in CASES.values()]
DROPPED = {
    "not a logon: step of a sign-on": [
        activity("login", event("login", "login_challenge", login_challenge_status="Challenge Passed.")),
        activity(
            "login",
            event("login", "login_verification", login_challenge_status="passed", is_second_factor=True),
        ),
    ],
    "not a logon: logout": [activity("login", event("login", "logout", login_type="exchange"))],
    "not a logon: other event": [
        activity("login", event("2sv_change", "2sv_disable")),
        activity("token", event("auth", "activity", app_name="x")),
        activity("drive", event("acl_change", "change_user_access", owner="x")),
        activity("admin", event("USER_SETTINGS", "CREATE_USER", USER_EMAIL="x")),
    ],
    "no user": [
        activity("login", SUCCESS, actor={"callerType": "KEY", "key": "SYSTEM"}),
        activity("admin", event("x", "ASSIGN_ROLE")),
    ],
    "no target": [activity("saml", event("login", "login_success"))],
    "time not understood": [activity("login", SUCCESS, id={"applicationName": "login", "time": 5})],
    "not a Google record": [activity("login"), activity("login", SUCCESS, kind="x"), {}, [], 5],
    "not JSON": ["{", json.dumps(ALL[0])[:-9]],
    "empty line": [""],
}


def test_events_by_hand(tmp_path):
    found = found_in(tmp_path, *ALL)
    shown = {name: tuple(event[column] for column in SHOWN) for name, event in zip(CASES, found, strict=True)}
    assert shown == {name: expected for name, (_, expected) in CASES.items()}
    assert {(event["target_kind"], event["reporter"], event["time"], event["note"]) for event in found} == {
        ("resource", "C03", dt.datetime(2020, 10, 2, 15, 0, 0, 123000), None)
    }
    assert (found[0]["code"], found[0]["event_id"]) == (
        "login_success",
        "C03/2020-10-02T15:00:00.123Z/login/-67/login_success",
    )
    assert [event["user_id"] for event in found] == ["1145"] * 4 + [None] + ["1145"] * 5 + [None]


def test_several_events_in_one_activity(tmp_path):
    passed = event("login", "login_challenge", login_challenge_status="Challenge Passed")
    found = found_in(
        tmp_path, activity("login", SUCCESS, event("login", "logout")), activity("login", passed, SUCCESS)
    )
    assert [(row["code"], row["auth_package"], row["note"]) for row in found] == [
        ("login_success", "google_password", "several events in one record: one taken")
    ] * 2


def test_dropped_by_hand(tmp_path):
    found = found_in(tmp_path, ALL[0], *(record for records in DROPPED.values() for record in records))
    assert [event["dropped"] for event in found] == [
        None,
        *(reason for reason, records in DROPPED.items() for _ in records),
    ]


def test_an_answer_of_the_api_and_lines_are_one(tmp_path):
    answer = json.dumps(
        {"kind": "admin#reports#activities", "etag": '"y"', "items": ALL, "nextPageToken": "z"}
    )
    for text in (
        answer,
        json.dumps(json.loads(answer), indent=1),
        "".join(json.dumps(record) + "\n" for record in ALL),
    ):
        assert [event["code"] for event in found_in(tmp_path, text.rstrip("\n"), format="auto")] == [
            event["code"] for event in found_in(tmp_path, *ALL)
        ]


def test_recognises_its_own():
    def known(*records: Any) -> int:
        return google.recognises(
            Sample("x", tuple(json.dumps(record) for record in records), dt.datetime(2020, 1, 1))
        )

    assert known(*ALL) == len(ALL)
    assert not known(
        {"kind": []}, {"eventType": "user.session.start", "uuid": "x"}, {"eventVersion": "1.08"}, [], 5, None
    )


FLAT = {
    "kind": "admin#reports#activity",
    "id": {"time": "2024-03-05T10:00:00.000Z", "applicationName": "login", "uniqueQualifier": "9"},
    "actor": {"email": "eva@werk.example", "profileId": "7"},
    "ipAddress": "203.0.113.9",
    "type": "login",
    "name": "login_failure",
}
FAILURE = "login_invalid_password"


@pytest.mark.parametrize(
    "parameters",
    [
        {"login_type": "google_password", "login_failure_type": FAILURE, "is_suspicious": False},
        [
            {"name": "login_type", "value": "google_password"},
            {"name": "login_failure_type", "value": FAILURE},
        ],
    ],
)
def test_activities_that_a_shipper_split(tmp_path, parameters):
    (tmp_path / "log.jsonl").write_text(json.dumps(FLAT | {"parameters": parameters}) + "\n")
    (row,) = events_of(tmp_path / "log.jsonl").to_pylist()
    assert (row["user"], row["source"], row["target"]) == (
        "eva@werk.example",
        "203.0.113.9",
        "Google Workspace",
    )
    assert (row["auth_package"], row["outcome"], row["outcome_reason"]) == (
        "google_password",
        "failure",
        FAILURE,
    )
