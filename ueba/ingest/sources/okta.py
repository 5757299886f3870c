"""Okta System Log: LogEvent objects as its API returns them (a JSON array), or one a line.

A person's sign-on to Okta is a logon to the target `Okta`; single sign-on to an application is `sso` to its
display name. A sign-on takes several steps, each with a record of its own (factor, policy, directory agent):
a step that went well is dropped, for the session or the application that it led to has its own record; one
that failed is a failed logon, for nothing else may say so. A grant of administrator rights is evidence on
the user who got them. Traps: an actor need not be a person (SystemPrincipal, PublicClientApp, ...). An OAuth
token is asked for by an application, often from its own servers: its address is not the user's, and such
records are dropped. `unknown` is how Okta writes that there is none. `client.device` is a kind of device
(Computer, Mobile), so the source is the address. Leaves out: wrapped records (Splunk, EventBridge), ECS
fields (`okta.*`), device fingerprints, and changes of users, groups, factors and policies. Format:
https://developer.okta.com/docs/reference/api/system-log/ and
https://developer.okta.com/docs/reference/api/event-types/.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, has_zone, iso_time, json_fields, json_list
from ueba.ingest.sources import Options, Sample, Source

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
REFUSED = (
    "app.generic.unauth_app_access_attempt",
    "application.policy.sign_on.deny_access",
)  # whatever outcome they give
STEPS = r"^(user\.authentication\.(auth_via_|verify|authenticate)|policy\.evaluate_sign_on|app\.oauth2\.(as\.)?authorize)"
CONSENT = r"^app\.oauth2\.(as\.)?consent\.grant"
TOKENS = "app.oauth2."
GRANT, IMPERSONATION, END = (
    "user.account.privilege.grant",
    "user.session.impersonation.initiate",
    "user.session.end",
)
OUTCOME = {"SUCCESS": "success", "ALLOW": "success", "FAILURE": "failure", "DENY": "failure"}


def source(format: str, options: Options) -> Source:
    """Times without a zone are in `options.timezone`."""
    settings = {"format": format, "timezone": options.timezone}
    return Source(
        format, settings, lambda lines, sample: read(lines, options.timezone), fields=tuple(PATHS.values())
    )


def recognises(sample: Sample) -> int:
    """Objects with the fields that the API says every LogEvent has."""
    return sum(
        all(isinstance(record.get(key), str) for key in ("uuid", "published", "eventType"))
        and isinstance(record.get("actor"), dict)
        for record in sample.objects
    )


def read(lines: ir.Table, timezone: str) -> ir.Table:
    """lines -> events"""
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
        by_another=rows.type.isin((GRANT, IMPERSONATION)),
    )
    rows = rows.mutate(
        did=ibis.cases(
            (rows.type.isin((*SIGN_ON, IMPERSONATION)), "logon"),
            (rows.type.isin((*SINGLE_SIGN_ON, *REFUSED)), "sso"),
            (rows.type == GRANT, events.PRIVILEGE),
            (rows.type.re_search(CONSENT), "consent"),
            (
                rows.is_step & (rows.ended == "failure"),
                ibis.ifelse(rows.application.isnull(), "logon", "sso"),
            ),
        )
    )
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            (rows.type.isnull() | rows.published.isnull(), "not an Okta record"),
            (rows.is_step & rows.did.isnull(), f"{events.NOT_A_LOGON}: step of a sign-on"),
            (rows.type == END, f"{events.NOT_A_LOGON}: {END}"),
            (
                rows.did.isnull() & rows.type.startswith(TOKENS),
                f"{events.NOT_A_LOGON}: token asked for by an application",
            ),
            (rows.did.isnull(), f"{events.NOT_A_LOGON}: other event type"),
            ((rows.actor_type != PERSON) & ~rows.by_another, f"{events.NOT_A_LOGON}: actor is not a person"),
            ((rows.type == GRANT) & (rows.ended != "success"), f"{events.NOT_A_LOGON}: rights not granted"),
            ((rows.type == GRANT) & known(rows.person.alternateId).isnull(), "no user"),
        ],
        time=iso_time(rows.published, timezone),
        user=known(ibis.ifelse(rows.by_another, rows.person.alternateId, rows.actor_name)),
        user_id=known(ibis.ifelse(rows.by_another, rows.person.id, rows.actor_id)),
        actor=ibis.ifelse(rows.by_another, known(rows.actor_name), None),
        source=ibis.coalesce(rows.ip, rows.address),
        source_ip=rows.ip,
        target=ibis.cases(
            (rows.type == SINGLE_SIGN_ON[1], ibis.coalesce(rows.application, ADMIN_CONSOLE)),
            (rows.did == "sso", rows.application),
            (rows.did == "consent", ibis.coalesce(rows.application, rows.client)),
            (rows.by_another, OKTA),
            else_=ibis.coalesce(rows.application, OKTA),
        ),
        target_kind=ibis.literal("resource"),
        detail=ibis.ifelse(
            rows.type == GRANT, ibis.coalesce(rows.privilege, first(rows.listed, ("ROLE",)).displayName), None
        ),
        action=rows.did,
        auth_package=ibis.coalesce(rows.factor, rows.sign_on_mode, rows.credential),
        outcome=rows.ended,
        outcome_reason=ibis.ifelse(rows.ended == "success", None, rows.why),
        reporter=ibis.literal(OKTA),
        session=f"{OKTA}:" + known(rows.session_id),
        code=rows.type,
        event_id=rows.uuid,
        note=ibis.ifelse(has_zone(rows.published), None, f"time without a zone: taken as {timezone}"),
    )


def first(targets: ir.ArrayValue, kinds: tuple[str, ...]) -> ir.StructValue:
    """The first target of such a kind; Okta is not of one mind about case."""
    return targets.filter(lambda target: target["type"].upper().isin([kind.upper() for kind in kinds]))[0]


def known(name: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(name.lower() == UNKNOWN, None, name)
