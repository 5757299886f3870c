"""Entra ID (Azure AD) sign-in logs: Graph API, Azure Monitor, Log Analytics (SigninLogs and the like), CSV
of these or the portal.

A sign-in of a user is `sso` to the application, and the resource behind it (Microsoft Graph, ...) is the
detail. A sign-in of an application or managed identity is `sso` to the resource. The source is the device if
it has a name in the directory, else the address. Traps:
- An interrupt is no failure: Entra requires more (a second factor, consent, "stay signed in?"), and another
  record has the outcome. The outcome of an interrupt is unknown, see INTERRUPTS.
- `TenantId` of Log Analytics is the id of the workspace; `AADTenantId` is that of the directory.
- `time` and `TimeGenerated` may be minutes after the sign-in; `createdDateTime` is its time. It has fractions
  of a second in some exports only: times are whole seconds, so that a sign-in is the same in all of them. A
  time without zone is UTC.
- Nested fields are JSON objects, texts of JSON, or texts of Python: "{'errorCode': 0}". Leaves out other
categories (AuditLogs, ...), and responses of the Log Analytics API, whose rows are lists. Fields:
https://learn.microsoft.com/graph/api/resources/signin,
https://learn.microsoft.com/azure/azure-monitor/reference/tables/signinlogs; error codes:
https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
)
from ueba.ingest.identity import once
from ueba.ingest.opening import UTC_COLUMN
from ueba.ingest.sources import LogSource, Options, Sample


def paths(name: str) -> tuple[str, ...]:
    """The paths of a field of Graph: Azure Monitor has it in `properties`, tables and PowerShell with a
    capital letter."""
    return name, f"properties.{name}", name[0].upper() + name[1:]


FIELDS: dict[str, tuple[str, ...]] = {
    "id": paths("id"),
    "created": paths("createdDateTime"),
    "arrived": ("time", "TimeGenerated"),
    "category": ("category", "Category", "Type", "/signInEventTypes/0"),
    "operation": ("operationName", "OperationName"),
    "upn": paths("userPrincipalName"),
    "typed_name": paths("alternateSignInName"),
    "user_uid": paths("userId"),
    "principal": paths("servicePrincipalName"),
    "principal_uid": paths("servicePrincipalId"),
    "application": paths("appDisplayName"),
    "application_uid": paths("appId"),
    "resource": paths("resourceDisplayName"),
    "ip": (*paths("ipAddress"), "IPAddress", "callerIpAddress"),
    "error": (
        "status.errorCode",
        "properties.status.errorCode",
        "resultType",
        "ResultType",
        "Status.ErrorCode",
    ),
    "why": (*paths("status.failureReason"), "Status.FailureReason", "resultDescription", "ResultDescription"),
    "status": ("Status",),
    "device_name": (*paths("deviceDetail.displayName"), "DeviceDetail.DisplayName"),
    "device": ("DeviceDetail",),
    "interactive": paths("isInteractive"),
    "protocol": paths("authenticationProtocol"),
    "method": (
        "/authenticationDetails/0/authenticationMethod",
        "/properties/authenticationDetails/0/authenticationMethod",
    ),
    "steps": ("AuthenticationDetails",),
    "client": paths("clientAppUsed"),
    "session_id": paths("sessionId"),
    "tenant": ("AADTenantId", "tenantId"),
    "tenant_path": ("resourceId", "ResourceId"),
}
PORTAL: dict[str, tuple[str, ...]] = {  # columns of a CSV that the portal exports
    "id": ("Request ID",),
    "created": ("Date (UTC)",),
    "upn": ("Username",),
    "typed_name": ("Sign-in identifier",),
    "user_uid": ("User ID",),
    "principal": ("Service principal name",),
    "principal_uid": ("Service principal ID",),
    "application": ("Application",),
    "application_uid": ("Application ID",),
    "resource": ("Resource",),
    "ip": ("IP address",),
    "error": ("Sign-in error code",),
    "why": ("Failure reason",),
    "status": ("Status",),
    "protocol": ("Authentication Protocol",),
    "client": ("Client app",),
    "session_id": ("Session ID",),
}
PORTAL |= {name: () for name in FIELDS if name not in PORTAL}

USERS, SERVICES = "user", "service"  # kinds of records: who signs in
INTERACTIVE, NON_INTERACTIVE, SERVICE = "Interactive", "NonInteractive", "Service"
# The names of a category in Azure Monitor, as a table, and in Graph -> its code, and its type of logon.
CATEGORIES = {
    ("signinlogs", "interactiveuser"): ("SignInLogs", INTERACTIVE),
    ("noninteractiveusersigninlogs", "aadnoninteractiveusersigninlogs", "noninteractiveuser"): (
        "NonInteractiveUserSignInLogs",
        NON_INTERACTIVE,
    ),
    ("serviceprincipalsigninlogs", "aadserviceprincipalsigninlogs", "serviceprincipal"): (
        "ServicePrincipalSignInLogs",
        SERVICE,
    ),
    ("managedidentitysigninlogs", "aadmanagedidentitysigninlogs", "managedidentity"): (
        "ManagedIdentitySignInLogs",
        SERVICE,
    ),
    ("adfssigninlogs",): ("ADFSSignInLogs", INTERACTIVE),
}
CODE = {name: code for names, (code, _) in CATEGORIES.items() for name in names}
LOGON_TYPE = {name: logon_type for names, (_, logon_type) in CATEGORIES.items() for name in names}
INTERRUPTS = (
    "16000",  # choose an account
    "50058",  # a silent attempt found no session
    "50072",  # enrol for a second factor
    "50074",  # a second factor is needed
    "50076",
    "50078",  # the second factor is out of date
    "50079",  # enrol for a second factor
    "50097",  # prove the device
    "50125",  # register for password reset
    "50127",  # install a broker
    "50129",  # register the device
    "50140",  # stay signed in?
    "50158",  # a second factor of another provider
    "50168",  # the browser must send its token
    "50199",  # confirm the application
    "50203",  # register the authenticator
    "51006",  # integrated Windows authentication is needed
    "65001",  # consent
    "70016",  # the device code was not entered yet
    "1000000",  # another provider must bind the user
)
STATUS = {  # in words
    **dict.fromkeys(("success", "succeeded"), "success"),
    **dict.fromkeys(("failure", "failed"), "failure"),
}
NOTHING = ("00000000-0000-0000-0000-000000000000", "{PII Removed}")
NO_METHOD = ("none", "previously satisfied")
OTHER = ("Other", "Other.")
NO_VALUE = ("", "null", "None")
FIXED_TENANT = r"^/tenants/([^/]+)/"
SERVICE_NAME = "Microsoft Entra ID"  # the reporter in records of Graph, which do not name the directory
NO_ZONE = "time without a zone: taken as UTC"


def source(format: str, options: Options) -> LogSource:
    """Times are UTC in all exports."""
    return LogSource(
        format,
        {"format": format},
        read,
        facts=facts,
        fields=tuple(dict.fromkeys((*all_paths(FIELDS), *all_paths(PORTAL)))),
    )


def recognises(sample: Sample) -> int:
    """Sign-ins of Graph and Azure Monitor, and rows with their columns."""
    return sum(map(is_sign_in, sample.objects))


def is_sign_in(record: dict[str, Any]) -> bool:
    keys = {key.lower() for key in record}
    if {"date (utc)", "request id", "ip address", "status"} <= keys:
        return True
    inner = record.get("properties")
    if isinstance(inner, dict):
        return str(record.get("category")).lower() in LOGON_TYPE and "id" in inner
    if {"appdisplayname", "ipaddress", "createddatetime"} <= keys:
        return True
    is_row = {"timegenerated", "ipaddress"} <= keys and bool({"appid", "appdisplayname"} & keys)
    return is_row and ("resulttype" in keys or str(record.get("Type")).lower() in LOGON_TYPE)


class Facts(NamedTuple):
    """What events depend on in a file.

    is_portal: a CSV that the portal exports; has_utc: the name of a column says that times are UTC"""

    is_portal: bool
    has_utc: bool


def facts(sample: Sample) -> Facts:
    is_portal = PORTAL["created"][0] in sample.columns
    return Facts(is_portal, is_portal or any(UTC_COLUMN in name for name in sample.columns))


def read(lines: ir.Table, facts: Facts) -> ir.Table:
    """lines -> events"""
    rows = with_kind(json_fields(lines, PORTAL if facts.is_portal else FIELDS))
    kind_cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    has_utc = ibis.literal(True) if facts.has_utc else has_zone(rows.happened)
    return events.finish(
        rows,
        [*dropped(rows), *kind_cases],
        **columns
        | {
            "time": any_time(rows.happened).truncate("s"),
            "source": ibis.coalesce(rows.device_name, inner(rows.device, "displayName"), rows.address),
            "source_ip": rows.address,
            "target_kind": ibis.literal("resource"),
            "action": ibis.literal("sso"),
            "auth_package": auth_package(rows),
            "outcome": rows.ended,
            "outcome_reason": ibis.ifelse(rows.ended == "success", None, why(rows)),
            "reporter": ibis.coalesce(
                rows.tenant, rows.tenant_path.re_extract(FIXED_TENANT, 1).nullif(""), SERVICE_NAME
            ),
            "session": rows.session_id,
            "code": rows.category_key.cases(*CODE.items(), else_="Sign-in activity"),
            "event_id": value_or_null(rows.id),
            "note": ibis.ifelse(has_utc | rows.happened.startswith("/Date("), None, NO_ZONE),
        },
    )


def with_kind(rows: ir.Table) -> ir.Table:
    """rows with `kind`: one of KINDS; when the sign-in `happened`, and its outcome `ended`."""
    is_service = rows.upn.isnull() & (rows.principal.notnull() | rows.principal_uid.notnull())
    rows = rows.mutate(
        happened=ibis.coalesce(rows.created, rows.arrived),
        category_key=rows.category.lower(),
        failed=ibis.coalesce(rows.error, inner(rows.status, "errorCode")),
        kind=ibis.ifelse(is_service, SERVICES, USERS),
        address=address(rows.ip),
    )
    return rows.mutate(
        ended=ibis.cases(
            (rows.failed == "0", "success"),
            (rows.failed.isin(INTERRUPTS), "unknown"),
            (rows.failed.re_search(r"^\d+$"), "failure"),
            else_=ibis.coalesce(rows.failed, rows.status).lower().cases(*STATUS.items(), else_="unknown"),
        ),
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    is_sign_in = rows.category_key.isin(tuple(LOGON_TYPE))
    return [
        (~rows.is_json, "not JSON"),
        (
            rows.operation.notnull() & rows.happened.notnull() & ~is_sign_in,
            f"{events.NOT_A_LOGON}: other category",
        ),
        (rows.happened.isnull() | (rows.failed.isnull() & rows.status.isnull()), "not an Entra record"),
    ]


# --- kinds of records ---------------------------------------------------------------------------------------


def user_sign_in(rows: ir.Table) -> Parsed:
    target = ibis.coalesce(rows.application, rows.resource, rows.application_uid)
    return [], {
        "user": first_name(rows),
        "user_id": value_or_null(rows.user_uid),
        "target": target,
        "detail": rows.resource.nullif(target),
        "logon_type": ibis.cases(
            (rows.interactive.lower() == "true", INTERACTIVE),
            (rows.interactive.lower() == "false", NON_INTERACTIVE),
            else_=rows.category_key.cases(*LOGON_TYPE.items(), else_=ibis.null("string")),
        ),
    }


def service_sign_in(rows: ir.Table) -> Parsed:
    """An application or managed identity signs in to a resource by itself."""
    target = ibis.coalesce(rows.resource, rows.application, rows.application_uid)
    return [], {
        "user": first_name(rows),
        "user_id": value_or_null(rows.principal_uid),
        "target": target,
        "detail": rows.resource.nullif(target),
        "logon_type": ibis.literal(SERVICE),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {USERS: user_sign_in, SERVICES: service_sign_in}


# --- their parts --------------------------------------------------------------------------------------------


def first_name(rows: ir.Table) -> ir.StringValue:
    """The first name or identifier of the account that the record has."""
    names = ("upn", "typed_name", "principal", "user_uid", "principal_uid")
    return ibis.coalesce(*(value_or_null(rows[name]) for name in names))


def auth_package(rows: ir.Table) -> ir.StringValue:
    """The protocol, else the method of the first step, else the client."""
    step = inner(rows.steps, "authenticationMethod")
    return ibis.coalesce(method(rows.protocol), method(rows.method), method(step), rows.client)


def why(rows: ir.Table) -> ir.StringValue:
    """The error code and its text."""
    text = ibis.ifelse(rows.why.isin(OTHER), None, rows.why)
    return ibis.coalesce(rows.failed + ": " + text, rows.failed, rows.why)


def inner(text: ir.StringValue, key: str) -> ir.StringValue:
    """The value of the first key of that name in a text of JSON or of Python."""
    found = text.re_extract(rf"""['"]{key}['"]\s*:\s*['"]?([^'",{{}}\[\]]+)""", 1)
    return once(found, lambda value: ibis.ifelse(value.isin(NO_VALUE), None, value))


def value_or_null(name: ir.StringValue) -> ir.StringValue:
    """Null for identifiers that stand for nobody, and for removed ones."""
    return ibis.ifelse(name.isin(NOTHING), None, name)


def method(name: ir.StringValue) -> ir.StringValue:
    """Null for names that stand for no method."""
    return ibis.ifelse(name.lower().isin(NO_METHOD), None, name)
