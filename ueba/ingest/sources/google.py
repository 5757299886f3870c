"""Google Workspace audit logs: activities of the Reports API (login, saml, token, drive, admin), `{"items":
[...]}` or one a line.

    login   login_success, login_failure, a blocked suspicious login    logon to `Google Workspace`
            a challenge that was failed                                 the same, failed; one that was passed is a step, dropped
            email_forwarding_out_of_domain                              forward to the outside address
    saml    login_success, login_failure                                sso to the application
    token   authorize                                                   consent to the application, the scopes being the detail
    drive   access to a document                                        object_access to `Drive of <owner>`, the detail names it
    admin   a role given                                                evidence of administrator rights on `Google Workspace`

Traps: an activity holds a list of events, nearly always of one; the first is taken (a challenge gives way to
its logon), and a note says where there were more. Exports that split them have an object in place of the
list. A warning is by nobody, its user is the affected address. An API key that acts has no address, and is
no user. Leaves out: other applications and events, BigQuery and Cloud Logging forms of the same logs, and
API calls by applications (token `activity`), which come from their servers. Format:
https://developers.google.com/workspace/admin/reports/v1/reference/activities and appendix/activity there.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, iso_time, json_fields, json_list
from ueba.ingest.sources import Options, Sample, Source

KIND = "admin#reports#activity"
PATHS = {
    "kind": "kind",
    "at": "id.time",
    "application": "id.applicationName",
    "qualifier": "id.uniqueQualifier",
    "customer": "id.customerId",
    "email": "actor.email",
    "profile": "actor.profileId",
    "address": "ipAddress",
    "happened": ("/events/0/name", "/events/name"),
    "sort": ("/events/0/type", "/events/type"),
    "listed": ("/events/0/parameters", "/events/parameters"),
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
RIGHTS = ("ASSIGN_ROLE", "GRANT_ADMIN_PRIVILEGE", "GRANT_DELEGATED_ADMIN_PRIVILEGES")


def source(format: str, options: Options) -> Source:
    flat = [path for given in PATHS.values() for path in ([given] if isinstance(given, str) else given)]
    return Source(format, {"format": format}, lambda lines, sample: read(lines), fields=tuple(flat))


def recognises(sample: Sample) -> int:
    return sum(record.get("kind") == KIND for record in sample.objects)


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = json_fields(lines, PATHS)
    is_step = rows.happened.isin(CHALLENGES) & rows.second.isin(
        (*LOGINS, *BLOCKED)
    )  # the logon follows its challenge
    rows = rows.mutate(
        happened=ibis.ifelse(is_step, rows.second, rows.happened),
        sort=ibis.ifelse(is_step, rows.second_sort, rows.sort),
        listed=ibis.ifelse(is_step, rows.second_listed, rows.listed),
    )
    rows = rows.mutate(parameters=json_list(rows.listed, PARAMETER), ip=address(rows.address))
    is_login, is_admin = rows.application == "login", rows.application == "admin"
    rows = rows.mutate(
        ended=ibis.cases(
            (rows.happened.isin((*BLOCKED, "login_failure")), "failure"),
            (
                rows.happened.isin(CHALLENGES),
                ibis.ifelse(
                    parameter(rows, "login_challenge_status").lower().contains("fail"), "failure", None
                ),
            ),
            else_="success",
        ),
        is_login=is_login,
        is_right=is_admin & rows.happened.isin(RIGHTS),
    )
    rows = rows.mutate(
        did=ibis.cases(
            (is_login & rows.happened.isin((*LOGINS, *BLOCKED)), "logon"),
            (is_login & rows.happened.isin(CHALLENGES) & rows.ended.notnull(), "logon"),
            (rows.happened == FORWARD, "forward"),
            ((rows.application == "saml") & rows.happened.isin(LOGINS), "sso"),
            ((rows.application == "token") & (rows.happened == "authorize"), "consent"),
            ((rows.application == "drive") & (rows.sort == "access"), "object_access"),
            (rows.is_right, events.PRIVILEGE),
        )
    )
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            ((rows.kind != KIND) | rows.kind.isnull() | rows.happened.isnull(), "not a Google record"),
            (
                rows.is_login & rows.happened.isin(CHALLENGES) & rows.did.isnull(),
                f"{events.NOT_A_LOGON}: step of a sign-on",
            ),
            (rows.is_login & (rows.happened == "logout"), f"{events.NOT_A_LOGON}: logout"),
            (rows.did.isnull(), f"{events.NOT_A_LOGON}: other event"),
            (rows.is_right & parameter(rows, "USER_EMAIL").isnull(), "no user"),
        ],
        time=iso_time(rows["at"]),
        user=ibis.cases(
            (rows.is_right, parameter(rows, "USER_EMAIL")),
            (rows.is_login, ibis.coalesce(rows.email, parameter(rows, "affected_email_address"))),
            else_=rows.email,
        ),
        actor=ibis.ifelse(rows.is_right, rows.email, None),
        user_id=ibis.ifelse(rows.is_right | rows.email.isnull(), None, rows.profile),
        source=ibis.coalesce(rows.ip, rows.address),
        source_ip=rows.ip,
        target=ibis.cases(
            (rows.did == "forward", parameter(rows, "email_forwarding_destination_address").lower()),
            (rows.did == "sso", parameter(rows, "application_name")),
            (rows.did == "consent", ibis.coalesce(parameter(rows, "app_name"), parameter(rows, "client_id"))),
            (rows.did == "object_access", "Drive of " + parameter(rows, "owner").lower()),
            else_=WORKSPACE,
        ),
        target_kind=ibis.literal("resource"),
        detail=ibis.cases(
            (rows.did == "consent", parameter(rows, "scope")),
            (rows.did == "object_access", rows.happened + " " + parameter(rows, "doc_title")),
            (rows.did == events.PRIVILEGE, parameter(rows, "ROLE_NAME")),
        ),
        action=rows.did,
        auth_package=ibis.cases(
            (rows.did == "sso", "SAML"), (rows.did == "logon", parameter(rows, "login_type"))
        ),
        outcome=rows.ended,
        outcome_reason=ibis.ifelse(
            rows.ended == "failure",
            ibis.coalesce(
                parameter(rows, "login_failure_type"),
                parameter(rows, "failure_type"),
                parameter(rows, "login_challenge_status"),
                rows.happened,
            ),
            None,
        ),
        reporter=rows.customer,
        code=rows.happened,
        event_id=rows.customer
        + "/"
        + rows["at"]
        + "/"
        + rows.application
        + "/"
        + rows.qualifier
        + "/"
        + rows.happened,
        note=ibis.ifelse(rows.second.notnull(), "several events in one record: one taken", None),
    )


def parameter(rows: ir.Table, name: str) -> ir.StringValue:
    """What a parameter of the event says; of several values, all with spaces between."""
    found = rows.parameters.filter(lambda each: each["name"] == name)[0]
    several = found["multiValue"].re_replace(r'^\["|"\]$', "").replace('","', " ")
    return ibis.coalesce(found["value"], several).nullif("")
