"""Okta System Log: LogEvent objects as its API returns them (a JSON array), or one a line.

    sign-on of a person                            logon to `Okta`
    single sign-on to an application, or refused   sso to its display name
    a step of a sign-on that failed                a failed logon; sso if it names an application
    consent                                        consent to the application
    impersonation                                  logon of the person who is impersonated
    a grant of administrator rights                evidence about the person who receives them

A sign-on has several steps (factor, policy, directory agent), each with a record of its own. A successful
step is dropped, because the session or the application has its own record; a failed one is kept, because it
may be the only record of the failure. Traps: an actor need not be a person (SystemPrincipal, PublicClientApp,
...). An application requests an OAuth token, often from its own servers: its address is not the user's, and
such records are dropped. Okta writes `unknown` for an empty value. `client.device` is a kind of device
(Computer, Mobile), so the source is the address. Leaves out: ECS fields (`okta.*`), device fingerprints, and
changes of users, groups, factors and policies. Format:
https://developer.okta.com/docs/reference/api/system-log/ and
https://developer.okta.com/docs/reference/api/event-types/.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Parsed,
    address,
    all_paths,
    any_time,
    by_kind,
    has_zone,
    json_fields,
    json_list,
)
from ueba.ingest.sources import LogSource, Options, Sample

PATHS = {
    "published": "published",
    "type": "eventType",
    "uuid": "uuid",
    "actor_type": "actor.type",
    "actor_id": "actor.id",
    "actor_name": "actor.alternateId",
    "address": "client.ipAddress",
    "client": "client.id",
    "result": "outcome.result",
    "why": "outcome.reason",
    "targets": "target",
    "credential": "authenticationContext.credentialType",
    "session_id": "authenticationContext.externalSessionId",
    "factor": "debugContext.debugData.factor",
    "sign_on_mode": "debugContext.debugData.signOnMode",
    "privilege": "debugContext.debugData.privilegeGranted",
}
TARGET = ("type", "id", "alternateId", "displayName")
PERSON, APPLICATION = "User", ("AppInstance", "PublicClientApp")
UNKNOWN = "unknown"
OKTA, ADMIN_CONSOLE = "Okta", "Okta Admin Console"

SIGN_ON = (
    "user.session.start",
    "user.authentication.auth_via_radius",
    "user.authentication.auth_via_richclient",
)
SINGLE_SIGN_ON = ("user.authentication.sso", "user.session.access_admin_app")
# Failures, whatever their outcome says.
REFUSED = ("app.generic.unauth_app_access_attempt", "application.policy.sign_on.deny_access")
STEPS = (
    r"^(user\.authentication\.(auth_via_|verify|authenticate)|policy\.evaluate_sign_on"
    r"|app\.oauth2\.(as\.)?authorize)"
)
CONSENT = r"^app\.oauth2\.(as\.)?consent\.grant"
TOKENS = "app.oauth2."
GRANT, IMPERSONATION, END = (
    "user.account.privilege.grant",
    "user.session.impersonation.initiate",
    "user.session.end",
)
# Kinds of records; GRANT and IMPERSONATION are others.
SIGN_ONS, APPLICATIONS, CONSENTS, FAILED_STEPS = "sign-on", "application", "consent", "failed step"
OUTCOME = {"SUCCESS": "success", "ALLOW": "success", "FAILURE": "failure", "DENY": "failure"}


def source(format: str, options: Options) -> LogSource:
    """options: `timezone` is that of times without a zone."""
    settings = {"format": format, "timezone": options.timezone}
    return LogSource(
        format, settings, lambda lines, facts: read(lines, options.timezone), fields=all_paths(PATHS)
    )


def recognises(sample: Sample) -> int:
    """Objects with the fields that every LogEvent has according to the API."""
    return sum(
        all(isinstance(record.get(key), str) for key in ("uuid", "published", "eventType"))
        and isinstance(record.get("actor"), dict)
        for record in sample.objects
    )


def read(lines: ir.Table, timezone: str) -> ir.Table:
    """lines -> events"""
    rows = with_fields(lines)
    cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    is_about_other = rows.kind.isin((GRANT, IMPERSONATION)).fill_null(False)
    return events.finish(
        rows,
        [*dropped(rows), *cases],
        **columns
        | {
            "time": any_time(rows.published, timezone),
            "user": value_or_null(ibis.ifelse(is_about_other, rows.person.alternateId, rows.actor_name)),
            "user_id": value_or_null(ibis.ifelse(is_about_other, rows.person.id, rows.actor_id)),
            "actor": ibis.ifelse(is_about_other, value_or_null(rows.actor_name), None),
            "source": ibis.coalesce(rows.ip, rows.address),
            "source_ip": rows.ip,
            "target_kind": ibis.literal("resource"),
            "auth_package": ibis.coalesce(rows.factor, rows.sign_on_mode, rows.credential),
            "outcome": rows.ended,
            "outcome_reason": ibis.ifelse(rows.ended == "success", None, rows.why),
            "reporter": ibis.literal(OKTA),
            "session": f"{OKTA}:" + value_or_null(rows.session_id),
            "code": rows.type,
            "event_id": rows.uuid,
            "note": ibis.ifelse(has_zone(rows.published), None, f"time without a zone: taken as {timezone}"),
        },
    )


def with_fields(lines: ir.Table) -> ir.Table:
    """lines with the fields of their records, the outcome `ended`, and `kind`: one of KINDS; null for a
    record that is no event."""
    rows = json_fields(lines, PATHS)
    rows = rows.mutate(listed=json_list(rows.targets, TARGET))
    rows = rows.mutate(
        application=first(rows.listed, APPLICATION).displayName,
        person=first(rows.listed, (PERSON,)),
        ip=address(rows.address),
        ended=ibis.ifelse(
            rows.type.isin(REFUSED), "failure", rows.result.upper().cases(*OUTCOME.items(), else_="unknown")
        ),
        is_step=rows.type.re_search(STEPS) & rows.type.notin(SIGN_ON),
    )
    return rows.mutate(
        kind=ibis.cases(
            (rows.type.isin(SIGN_ON), SIGN_ONS),
            (rows.type == IMPERSONATION, IMPERSONATION),
            (rows.type.isin((*SINGLE_SIGN_ON, *REFUSED)), APPLICATIONS),
            (rows.type == GRANT, GRANT),
            (rows.type.re_search(CONSENT), CONSENTS),
            (rows.is_step & (rows.ended == "failure"), FAILED_STEPS),
        )
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    is_about_other = rows.type.isin((GRANT, IMPERSONATION))
    return [
        (~rows.is_json, "not JSON"),
        (rows.type.isnull() | rows.published.isnull(), "not an Okta record"),
        (rows.is_step & rows.kind.isnull(), f"{events.NOT_A_LOGON}: step of a sign-on"),
        (rows.type == END, f"{events.NOT_A_LOGON}: {END}"),
        (
            rows.kind.isnull() & rows.type.startswith(TOKENS),
            f"{events.NOT_A_LOGON}: token requested by an application",
        ),
        (rows.kind.isnull(), f"{events.NOT_A_LOGON}: other event type"),
        ((rows.actor_type != PERSON) & ~is_about_other, f"{events.NOT_A_LOGON}: actor is not a person"),
    ]


# --- kinds of records ---------------------------------------------------------------------------------------


def sign_on(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(rows.application, OKTA),
        "action": ibis.literal("logon"),
    }


def impersonation(rows: ir.Table) -> Parsed:
    return [], {"target": ibis.literal(OKTA), "action": ibis.literal("logon")}


def application(rows: ir.Table) -> Parsed:
    """Single sign-on to an application, or a refusal of it. The administrator console may have no name."""
    console = ibis.ifelse(rows.type == SINGLE_SIGN_ON[1], ADMIN_CONSOLE, None)
    return [], {"target": ibis.coalesce(rows.application, console), "action": ibis.literal("sso")}


def consent(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(rows.application, rows.client),
        "action": ibis.literal("consent"),
    }


def failed_step(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(rows.application, OKTA),
        "action": ibis.ifelse(rows.application.isnull(), "logon", "sso"),
    }


def grant(rows: ir.Table) -> Parsed:
    cases = [
        (rows.ended != "success", f"{events.NOT_A_LOGON}: rights not granted"),
        (value_or_null(rows.person.alternateId).isnull(), "no user"),
    ]
    return cases, {
        "target": ibis.literal(OKTA),
        "detail": ibis.coalesce(rows.privilege, first(rows.listed, ("ROLE",)).displayName),
        "action": ibis.literal(events.PRIVILEGE),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    SIGN_ONS: sign_on,
    IMPERSONATION: impersonation,
    APPLICATIONS: application,
    CONSENTS: consent,
    FAILED_STEPS: failed_step,
    GRANT: grant,
}


def first(targets: ir.ArrayValue, types: tuple[str, ...]) -> ir.StructValue:
    """The first target of one of some types, in any case: Okta writes both."""
    return targets.filter(lambda target: target["type"].upper().isin([name.upper() for name in types]))[0]


def value_or_null(name: ir.StringValue) -> ir.StringValue:
    """Null for Okta's `unknown`."""
    return ibis.ifelse(name.lower() == UNKNOWN, None, name)
