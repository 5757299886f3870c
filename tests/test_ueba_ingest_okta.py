"""Okta System Log records -> events; expected events are worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, okta

SHOWN = ("user", "source", "target", "action", "auth_package", "outcome", "outcome_reason", "dropped")
JANE = {"id": "00u1jane", "type": "User", "alternateId": "Jane@corp.example", "displayName": "Jane"}
SALESFORCE = {"id": "0oa1", "type": "AppInstance", "alternateId": "sf", "displayName": "Salesforce"}
SYSTEM = {
    "id": "okta.0",
    "type": "SystemPrincipal",
    "alternateId": "system@okta.com",
    "displayName": "Okta System",
}


def record(type: str, result: str | None = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {
        "uuid": "faf7398a-4f77-11ea-97fb-5925e98228bd",
        "published": "2020-02-14T22:18:51.843Z",
        "eventType": type,
        "version": "0",
        "severity": "INFO",
        "actor": JANE,
        "client": {"device": "Computer", "id": None, "ipAddress": "175.16.199.1", "zone": "null"},
        "outcome": {"result": result, "reason": None},
        "target": None,
        "authenticationContext": {"credentialType": None, "externalSessionId": "unknown"},
        "debugContext": {"debugData": {"requestUri": "/api/v1/authn"}},
    } | more


def events(tmp_path, *records: Any, format: str = "okta") -> list[dict[str, Any]]:
    path = tmp_path / "log"
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


CASES = {
    "session": (
        record(
            "user.session.start",
            authenticationContext={"credentialType": "PASSWORD", "externalSessionId": "102x"},
        ),
        ("Jane@corp.example", "175.16.199.1", "Okta", "logon", "PASSWORD", "success", None, None),
    ),
    "wrong password": (
        record(
            "user.session.start", "FAILURE", outcome={"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}
        ),
        ("Jane@corp.example", "175.16.199.1", "Okta", "logon", None, "failure", "INVALID_CREDENTIALS", None),
    ),
    "no such user": (
        record("user.session.start", "FAILURE", actor=JANE | {"id": "unknown", "alternateId": "unknown"}),
        (None, "175.16.199.1", "Okta", "logon", None, "failure", None, "no user"),
    ),
    "sso": (
        record(
            "user.authentication.sso",
            target=[{"id": "0ua", "type": "AppUser", "displayName": "jane"}, SALESFORCE],
            debugContext={"debugData": {"signOnMode": "SAML 2.0"}},
            client={"ipAddress": "::ffff:10.0.0.7"},
        ),
        ("Jane@corp.example", "10.0.0.7", "Salesforce", "sso", "SAML 2.0", "success", None, None),
    ),
    "sso to nothing": (
        record("user.authentication.sso"),
        ("Jane@corp.example", "175.16.199.1", None, "sso", None, "success", None, "no target"),
    ),
    "admin console": (
        record("user.session.access_admin_app", client=None),
        ("Jane@corp.example", None, "Okta Admin Console", "sso", None, "success", None, None),
    ),
    "application not assigned": (
        record("app.generic.unauth_app_access_attempt", "SUCCESS", target=[SALESFORCE]),
        ("Jane@corp.example", "175.16.199.1", "Salesforce", "sso", None, "failure", None, None),
    ),
    "factor denied": (
        record(
            "user.authentication.auth_via_mfa",
            "FAILURE",
            debugContext={"debugData": {"factor": "OKTA_VERIFY_PUSH"}},
        ),
        ("Jane@corp.example", "175.16.199.1", "Okta", "logon", "OKTA_VERIFY_PUSH", "failure", None, None),
    ),
    "policy denies": (
        record(
            "policy.evaluate_sign_on",
            "DENY",
            target=[{"type": "PolicyEntity", "displayName": "Default"}, SALESFORCE],
        ),
        ("Jane@corp.example", "175.16.199.1", "Salesforce", "sso", None, "failure", None, None),
    ),
    "radius": (
        record("user.authentication.auth_via_radius", target=[SALESFORCE | {"displayName": "VPN"}]),
        ("Jane@corp.example", "175.16.199.1", "VPN", "logon", None, "success", None, None),
    ),
    "consent": (
        record(
            "app.oauth2.as.consent.grant", target=[{"type": "scope", "id": "s"}], client={"id": "0oaclient"}
        ),
        ("Jane@corp.example", None, "0oaclient", "consent", None, "success", None, None),
    ),
    "rights": (
        record(
            "user.account.privilege.grant",
            actor={"id": "00u0", "type": "User", "alternateId": "root@corp.example"},
            target=[JANE, {"type": "ROLE", "displayName": "Super Administrator"}],
        ),
        ("Jane@corp.example", "175.16.199.1", "Okta", "privilege", None, "success", None, None),
    ),
    "impersonation": (
        record("user.session.impersonation.initiate", actor=SYSTEM, target=[JANE]),
        ("Jane@corp.example", "175.16.199.1", "Okta", "logon", None, "success", None, None),
    ),
    "challenge": (
        record("user.session.start", "CHALLENGE"),
        ("Jane@corp.example",) + ("175.16.199.1", "Okta", "logon", None, "unknown", None, None),
    ),
}
REAL = [record for record, _ in CASES.values()]
DROPPED = {
    "not a logon: step of a sign-on": [
        record("user.authentication.auth_via_mfa"),
        record("policy.evaluate_sign_on", "ALLOW"),
        record("policy.evaluate_sign_on", "CHALLENGE"),
        record("user.authentication.auth_via_AD_agent"),
        record("user.authentication.verify"),
        record("app.oauth2.as.authorize.code", target=[SALESFORCE]),
    ],
    "not a logon: user.session.end": [record("user.session.end")],
    "not a logon: token requested by an application": [
        record(
            "app.oauth2.as.token.grant.access_token",
            actor={"id": "0oa", "type": "PublicClientApp", "alternateId": "0oa"},
        )
    ],
    "not a logon: other event type": [
        record("user.mfa.factor.activate"),
        record("group.user_membership.add"),
        record("x"),
    ],
    "not a logon: actor is not a person": [record("user.session.start", actor=SYSTEM)],
    "not a logon: rights not granted": [record("user.account.privilege.grant", "FAILURE", target=[JANE])],
    "not an Okta record": [
        {"eventType": "user.session.start"},
        {"published": "2020-02-14T22:18:51.843Z"},
        {},
        [],
        5,
        "5",
    ],
    "no user": [
        record("user.account.privilege.grant", target=[{"type": "UserGroup", "displayName": "Helpdesk"}])
    ],
    "not JSON": ["{", json.dumps(record("user.session.start"))[:-9]],
    "empty line": [""],
    "time not understood": [
        record("user.session.start", published="2017-09-31T22:23:07.777Z"),
        record("user.session.start", published=5),
    ],
    "time before 1970": [record("user.session.start", published="1601-01-01T00:00:00Z")],
}


def test_events_by_hand(tmp_path):
    found = events(tmp_path, *REAL)
    shown = {name: tuple(event[column] for column in SHOWN) for name, event in zip(CASES, found, strict=True)}
    assert shown == {name: expected for name, (_, expected) in CASES.items()}
    assert all(event["target_kind"] == "resource" and event["reporter"] == "Okta" for event in found)
    assert [event["code"] for event in found] == [record["eventType"] for record in REAL]


def test_dropped_by_hand(tmp_path):
    found = events(tmp_path, REAL[0], *(record for records in DROPPED.values() for record in records))
    assert [event["dropped"] for event in found] == [
        None,
        *(reason for reason, records in DROPPED.items() for _ in records),
    ]


def test_the_rest_of_an_event(tmp_path):
    session, rights, impersonated, denied = events(
        tmp_path, *(CASES[name][0] for name in ("session", "rights", "impersonation", "sso"))
    )
    assert session["time"] == dt.datetime(2020, 2, 14, 22, 18, 51, 843000)
    assert (session["event_id"], session["user_id"], session["session"]) == (
        "faf7398a-4f77-11ea-97fb-5925e98228bd",
        "00u1jane",
        "Okta:102x",
    )
    assert session["note"] is None and session["source_ip"] == "175.16.199.1" and session["actor"] is None
    assert (rights["user_id"], rights["actor"], rights["detail"]) == (
        "00u1jane",
        "root@corp.example",
        "Super Administrator",
    )
    assert impersonated["actor"] == "system@okta.com"
    assert denied["session"] is None and denied["source_ip"] == "10.0.0.7"


def test_a_time_without_zone_is_noted(tmp_path):
    (event,) = events(tmp_path, record("user.session.start", published="2020-11-25 21:27:03.496000000"))
    assert (event["time"], event["note"]) == (
        dt.datetime(2020, 11, 25, 21, 27, 3, 496000),
        "time without a zone: taken as UTC",
    )


def test_an_array_over_several_lines(tmp_path):
    text = json.dumps([record for record, _ in CASES.values()], indent=2)
    assert len(events(tmp_path, text, format="auto")) == len(CASES)


def test_recognises_its_own():
    def known(*records: Any) -> int:
        return okta.recognises(
            Sample("x", tuple(json.dumps(record) for record in records), dt.datetime(2020, 1, 1))
        )

    assert known(record("user.session.start"), record("x")) == 2
    assert not known(
        {"eventType": "x", "uuid": "x", "published": "x"},
        {"eventType": 5, "uuid": [], "published": {}, "actor": {}},
    )
    assert not known(
        {"eventVersion": "1.08", "eventTime": "x", "userIdentity": {}},
        {"kind": "admin#reports#activity"},
        [],
        5,
        None,
    )


def test_a_name_that_is_blank_is_no_name(tmp_path):
    """In the second element of a list, where no other column is read in its place."""
    blank = [
        {"id": "00u1", "type": "User", "alternateId": name, "displayName": "Jane"} for name in ("", " ", "-")
    ]
    actor = {"id": "okta.0", "type": "SystemPrincipal", "alternateId": "system@okta.com"}
    type = "user.session.impersonation.initiate"
    rows = events(tmp_path, *(record(type, actor=actor, target=[target]) for target in blank))
    assert [row["dropped"] for row in rows] == ["no user"] * 3
