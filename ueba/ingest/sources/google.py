"""Google Workspace audit logs: activities of the Reports API (login, saml, token, drive, admin), `{"items":
[...]}` or one a line.

    login   login_success, login_failure, suspicious    logon to `Google Workspace`
            a failed challenge                          the same, failed; a passed one is dropped
            email_forwarding_out_of_domain              forward to the outside address
    saml    login_success, login_failure                sso to the application
    token   authorize                                   consent to the application; detail: the scopes
    drive   access to a document                        object_access to `Drive of <owner>`
    admin   a role given                                evidence of administrator rights

Traps: an activity has a list of events, nearly always of one; the first is read (of a challenge and its
logon, the logon), and a note says that there were more. Exports that split activities have an object instead
of the list. A warning has no actor; its user is the affected address. An API key as actor has no address and
is no user. Leaves out: other applications and events, the BigQuery and Cloud Logging forms of the same logs,
and API calls by applications (token `activity`), which come from their servers. Format:
https://developers.google.com/workspace/admin/reports/v1/reference/activities and appendix/activity there.
"""

from __future__ import annotations

from collections.abc import Callable

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
    by_kind,
    json_extract_string,
    json_fields,
    json_list,
    json_valid,
)
from ueba.ingest.sources import LogSource, Options, Sample

RECORD_TYPE = "admin#reports#activity"
PATHS = {
    "record_type": "kind",
    "at": "id.time",
    "application": "id.applicationName",
    "qualifier": "id.uniqueQualifier",
    "customer": "id.customerId",
    "email": "actor.email",
    "profile": "actor.profileId",
    "address": "ipAddress",
    "happened": ("/events/0/name", "/events/name", "/name"),  # the last of a shipper that splits activities
    "sort": ("/events/0/type", "/events/type", "/type"),
    "listed": ("/events/0/parameters", "/events/parameters", "/parameters"),
    "second": "/events/1/name",
    "second_sort": "/events/1/type",
    "second_listed": "/events/1/parameters",
}
PARAMETER = ("name", "value", "multiValue")
WORKSPACE = "Google Workspace"

LOGINS = ("login_success", "login_failure")
BLOCKED = ("suspicious_login", "suspicious_login_less_secure_app", "suspicious_programmatic_login")
CHALLENGES = ("login_challenge", "login_verification")
FORWARD = "email_forwarding_out_of_domain"
GRANTS = ("ASSIGN_ROLE", "GRANT_ADMIN_PRIVILEGE", "GRANT_DELEGATED_ADMIN_PRIVILEGES")


def source(format: str, options: Options) -> LogSource:
    """Times always have a zone."""
    return LogSource(format, {"format": format}, lambda lines, facts: read(lines), fields=all_paths(PATHS))


def recognises(sample: Sample) -> int:
    """Objects of the type that the Reports API names."""
    return sum(record.get("kind") == RECORD_TYPE for record in sample.objects)


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = with_kind(with_fields(lines))
    cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    activity = rows.customer + "/" + rows["at"] + "/" + rows.application + "/" + rows.qualifier
    return events.finish(
        rows,
        [*dropped(rows), *cases],
        **columns
        | {
            "time": any_time(rows["at"]),
            "source": ibis.coalesce(rows.ip, rows.address),
            "source_ip": rows.ip,
            "target_kind": ibis.literal("resource"),
            "outcome": rows.ended,
            "outcome_reason": ibis.ifelse(rows.ended == "failure", why_failed(rows), None),
            "reporter": rows.customer,
            "code": rows.happened,
            "event_id": activity + "/" + rows.happened,
            "note": ibis.ifelse(rows.second.notnull(), "several events in one record: one taken", None),
        },
    )


def with_fields(lines: ir.Table) -> ir.Table:
    """lines with the fields of their activities, of the first event or of the logon after a challenge."""
    rows = json_fields(lines, PATHS)
    is_step = rows.happened.isin(CHALLENGES) & rows.second.isin((*LOGINS, *BLOCKED))
    rows = rows.mutate(
        happened=ibis.ifelse(is_step, rows.second, rows.happened),
        sort=ibis.ifelse(is_step, rows.second_sort, rows.sort),
        listed=ibis.ifelse(is_step, rows.second_listed, rows.listed),
    )
    return rows.mutate(parameters=json_list(rows.listed, PARAMETER), ip=address(rows.address))


def with_kind(rows: ir.Table) -> ir.Table:
    """rows with the outcome `ended`, and `kind`: one of KINDS; null for a record that is no event."""
    has_failed = parameter(rows, "login_challenge_status").lower().contains("fail")
    rows = rows.mutate(
        ended=ibis.cases(
            (rows.happened.isin((*BLOCKED, "login_failure")), "failure"),
            (rows.happened.isin(CHALLENGES), ibis.ifelse(has_failed, "failure", None)),
            else_="success",
        )
    )
    is_login = rows.application == "login"
    is_failed_challenge = rows.happened.isin(CHALLENGES) & rows.ended.notnull()
    return rows.mutate(
        kind=ibis.cases(
            (is_login & (rows.happened.isin((*LOGINS, *BLOCKED)) | is_failed_challenge), "logon"),
            (rows.happened == FORWARD, "forward"),
            ((rows.application == "saml") & rows.happened.isin(LOGINS), "sso"),
            ((rows.application == "token") & (rows.happened == "authorize"), "consent"),
            ((rows.application == "drive") & (rows.sort == "access"), "drive"),
            ((rows.application == "admin") & rows.happened.isin(GRANTS), "grant"),
        )
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    is_login = rows.application == "login"
    is_known = (rows.record_type == RECORD_TYPE) & rows.happened.notnull()
    return [
        (~rows.is_json, "not JSON"),
        (~is_known.fill_null(False), "not a Google record"),
        (
            is_login & rows.happened.isin(CHALLENGES) & rows.kind.isnull(),
            f"{events.NOT_A_LOGON}: step of a sign-on",
        ),
        (is_login & (rows.happened == "logout"), f"{events.NOT_A_LOGON}: logout"),
        (rows.kind.isnull(), f"{events.NOT_A_LOGON}: other event"),
    ]


def why_failed(rows: ir.Table) -> ir.StringValue:
    names = ("login_failure_type", "failure_type", "login_challenge_status")
    return ibis.coalesce(*(parameter(rows, name) for name in names), rows.happened)


# --- kinds of records ---------------------------------------------------------------------------------------


def logon(rows: ir.Table) -> Parsed:
    return [], by_actor(rows) | {
        "target": ibis.literal(WORKSPACE),
        "action": ibis.literal("logon"),
        "auth_package": parameter(rows, "login_type"),
    }


def forward(rows: ir.Table) -> Parsed:
    return [], by_actor(rows) | {
        "target": parameter(rows, "email_forwarding_destination_address").lower(),
        "action": ibis.literal("forward"),
    }


def sso(rows: ir.Table) -> Parsed:
    return [], by_actor(rows) | {
        "target": parameter(rows, "application_name"),
        "action": ibis.literal("sso"),
        "auth_package": ibis.literal("SAML"),
    }


def consent(rows: ir.Table) -> Parsed:
    return [], by_actor(rows) | {
        "target": ibis.coalesce(parameter(rows, "app_name"), parameter(rows, "client_id")),
        "detail": parameter(rows, "scope"),
        "action": ibis.literal("consent"),
    }


def drive(rows: ir.Table) -> Parsed:
    return [], by_actor(rows) | {
        "target": "Drive of " + parameter(rows, "owner").lower(),
        "detail": rows.happened + " " + parameter(rows, "doc_title"),
        "action": ibis.literal("object_access"),
    }


def grant(rows: ir.Table) -> Parsed:
    """Administrator rights: the user is who receives them, the actor who gives them."""
    user = parameter(rows, "USER_EMAIL")
    return [(user.isnull(), "no user")], {
        "user": user,
        "actor": rows.email,
        "target": ibis.literal(WORKSPACE),
        "detail": parameter(rows, "ROLE_NAME"),
        "action": ibis.literal(events.PRIVILEGE),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    "logon": logon,
    "forward": forward,
    "sso": sso,
    "consent": consent,
    "drive": drive,
    "grant": grant,
}


def by_actor(rows: ir.Table) -> Columns:
    """The user of a record is its actor; of a warning, which has none, the address that it is about."""
    affected = ibis.ifelse(rows.application == "login", parameter(rows, "affected_email_address"), None)
    return {
        "user": ibis.coalesce(rows.email, affected),
        "user_id": ibis.ifelse(rows.email.isnull(), None, rows.profile),
    }


def parameter(rows: ir.Table, name: str) -> ir.StringValue:
    """The value of a parameter of the event; several values have spaces between them."""
    found = rows.parameters.filter(lambda parameter: parameter["name"] == name)[0]
    several = found["multiValue"].re_replace(r'^\["|"\]$', "").replace('","', " ")
    is_object = rows.listed.startswith("{") & json_valid(rows.listed)  # of a shipper
    named = json_extract_string(ibis.ifelse(is_object, rows.listed, "{}"), f"/{name}")
    return ibis.coalesce(found["value"], several, named).nullif("")
