"""Entra ID (Azure AD) sign-in logs: Graph API, Azure Monitor, Log Analytics (SigninLogs and the like), CSV
of these or the portal.

A sign-in is `sso` to the application, the resource behind it (Microsoft Graph, ...) is the detail; what an
application or managed identity itself reaches is the resource. The source is the device if it has a name in
the directory, else the address. Traps:
- An interrupt is no failure: Entra asks for more (a second factor, consent, "stay signed in?"), and another record tells how it
  ended. Such an outcome is unknown, see INTERRUPTS.
- `TenantId` of Log Analytics is the workspace's; the directory's is `AADTenantId`.
- `time` and `TimeGenerated` may be minutes after the sign-in, which `createdDateTime` tells. That has fractions of a second in some
  exports and not in others: times are whole seconds, so that a sign-in is known again in all of them.
  Without zone it is UTC.
- Nested fields are JSON objects, texts of JSON, or texts of Python: "{'errorCode': 0}".
Leaves out other categories (AuditLogs, ...), and answers of the Log Analytics API, whose rows are lists.
Fields: https://learn.microsoft.com/graph/api/resources/signin,
https://learn.microsoft.com/azure/azure-monitor/reference/tables/ signinlogs; error codes:
https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, exported_time, has_zone, record_fields
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source


def spelt(name: str) -> tuple[str, ...]:
    """A field of Graph, which Azure Monitor has in `properties`, and tables and PowerShell with a capital
    letter."""
    return name, f"properties.{name}", name[0].upper() + name[1:]


FIELDS: dict[str, tuple[str, ...]] = {
    "id": spelt("id"),
    "created": spelt("createdDateTime"),
    "arrived": ("time", "TimeGenerated"),
    "category": ("category", "Category", "Type", "/signInEventTypes/0"),
    "operation": ("operationName", "OperationName"),
    "upn": spelt("userPrincipalName"),
    "typed_name": spelt("alternateSignInName"),
    "user_uid": spelt("userId"),
    "principal": spelt("servicePrincipalName"),
    "principal_uid": spelt("servicePrincipalId"),
    "application": spelt("appDisplayName"),
    "application_uid": spelt("appId"),
    "resource": spelt("resourceDisplayName"),
    "ip": (*spelt("ipAddress"), "IPAddress", "callerIpAddress"),
    "error": (
        "status.errorCode",
        "properties.status.errorCode",
        "resultType",
        "ResultType",
        "Status.ErrorCode",
    ),
    "why": (*spelt("status.failureReason"), "Status.FailureReason", "resultDescription", "ResultDescription"),
    "status": ("Status",),
    "device_name": (*spelt("deviceDetail.displayName"), "DeviceDetail.DisplayName"),
    "device": ("DeviceDetail",),
    "interactive": spelt("isInteractive"),
    "protocol": spelt("authenticationProtocol"),
    "method": (
        "/authenticationDetails/0/authenticationMethod",
        "/properties/authenticationDetails/0/authenticationMethod",
    ),
    "steps": ("AuthenticationDetails",),
    "client": spelt("clientAppUsed"),
    "session_id": spelt("sessionId"),
    "tenant": ("AADTenantId", "tenantId"),
    "tenant_path": ("resourceId", "ResourceId"),
}
PORTAL: dict[str, tuple[str, ...]] = {  # columns of a CSV that the portal makes
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

INTERACTIVE, NON_INTERACTIVE, SERVICE = "Interactive", "NonInteractive", "Service"
# What is called how by Azure Monitor, as a table, and by Graph: its name here, and the kind of logon.
KINDS = {
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
CODE = {each: code for names, (code, _) in KINDS.items() for each in names}
LOGON_TYPE = {each: logon_type for names, (_, logon_type) in KINDS.items() for each in names}
INTERRUPTS = (
    "16000",  # choose an account
    "50058",  # nobody is signed in yet, as a silent attempt found
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
    "50168",  # the browser is to bring its token
    "50199",  # confirm the application
    "50203",  # register the authenticator
    "51006",  # integrated Windows authentication is needed
    "65001",  # consent
    "70016",  # a device code was not typed in yet
    "1000000",  # another provider is to bind the user
)
STATUS = {"success": "success", "failure": "failure", "interrupted": "unknown"}  # of the portal
NOTHING = ("00000000-0000-0000-0000-000000000000", "{PII Removed}")
NO_METHOD = ("none", "previously satisfied")
OTHER = ("Other", "Other.")
NO_VALUE = ("", "null", "None")
FIXED_TENANT = r"^/tenants/([^/]+)/"
SERVICE_NAME = "Microsoft Entra ID"  # of Graph, which does not tell the directory
NO_ZONE = "time without a zone: taken as UTC"


def source(format: str, options: Options) -> Source:
    """Times are UTC in all exports."""
    fields = tuple(dict.fromkeys(path for given in (*FIELDS.values(), *PORTAL.values()) for path in given))
    return Source(
        format,
        {"format": format},
        lambda lines, sample: read(lines, sample.header),
        by_header=True,
        is_csv=True,
        fields=fields,
    )


def recognises(sample: Sample) -> int:
    """Sign-ins as Graph and Azure Monitor have them, and rows with their columns."""
    return sum(map(is_sign_in, sample.objects or sample.rows))


def is_sign_in(record: dict[str, Any]) -> bool:
    keys = {key.removesuffix("[UTC]").strip().lower() for key in record}
    if {"date (utc)", "request id", "ip address", "status"} <= keys:
        return True
    inner = record.get("properties")
    if isinstance(inner, dict):
        return str(record.get("category")).lower() in LOGON_TYPE and "id" in inner
    if {"appdisplayname", "ipaddress", "createddatetime"} <= keys:
        return True
    is_row = {"timegenerated", "ipaddress"} <= keys and bool({"appid", "appdisplayname"} & keys)
    return is_row and ("resulttype" in keys or str(record.get("Type")).lower() in LOGON_TYPE)


def read(lines: ir.Table, header: str) -> ir.Table:
    """lines -> events. header: of a CSV, else empty"""
    is_portal = PORTAL["created"][0] in header
    rows, cases = record_fields(lines, header, PORTAL if is_portal else FIELDS)
    text = ibis.coalesce(rows.created, rows.arrived)
    rows = rows.mutate(
        happened=text,
        kind=rows.category.lower(),
        failed=ibis.coalesce(rows.error, inner(rows.status, "errorCode")),
        is_service=rows.upn.isnull() & (rows.principal.notnull() | rows.principal_uid.notnull()),
        address=address(rows.ip),
    )
    rows = rows.mutate(
        reached=ibis.ifelse(
            rows.is_service,
            ibis.coalesce(rows.resource, rows.application, rows.application_uid),
            ibis.coalesce(rows.application, rows.resource, rows.application_uid),
        ),
        ended=ibis.cases(
            (rows.failed == "0", "success"),
            (rows.failed.isin(INTERRUPTS), "unknown"),
            (rows.failed.notnull(), "failure"),
            else_=rows.status.lower().cases(*STATUS.items(), else_="unknown"),
        ),
    )
    is_known = rows.kind.isin(tuple(LOGON_TYPE))
    says_zone = ibis.literal(True) if is_portal or "[UTC]" in header else has_zone(rows.happened)
    return events.finish(
        rows,
        [
            *cases,
            (
                rows.operation.notnull() & rows.happened.notnull() & ~is_known,
                f"{events.NOT_A_LOGON}: other category",
            ),
            (rows.happened.isnull() | (rows.failed.isnull() & rows.status.isnull()), "not an Entra record"),
        ],
        time=exported_time(rows.happened).truncate("s"),
        user=ibis.coalesce(
            *(told(rows[name]) for name in ("upn", "typed_name", "principal", "user_uid", "principal_uid"))
        ),
        user_id=ibis.ifelse(rows.is_service, told(rows.principal_uid), told(rows.user_uid)),
        source=ibis.coalesce(rows.device_name, inner(rows.device, "displayName"), rows.address),
        source_ip=rows.address,
        target=rows.reached,
        target_kind=ibis.literal("resource"),
        detail=rows.resource.nullif(rows.reached),
        action=ibis.literal("sso"),
        logon_type=ibis.cases(
            (rows.is_service, SERVICE),
            (rows.interactive.lower() == "true", INTERACTIVE),
            (rows.interactive.lower() == "false", NON_INTERACTIVE),
            else_=rows.kind.cases(*LOGON_TYPE.items(), else_=ibis.null("string")),
        ),
        auth_package=ibis.coalesce(
            method(rows.protocol),
            method(rows.method),
            method(inner(rows.steps, "authenticationMethod")),
            rows.client,
        ),
        outcome=rows.ended,
        outcome_reason=ibis.ifelse(
            rows.ended == "success",
            None,
            ibis.coalesce(
                rows.failed + ": " + ibis.ifelse(rows.why.isin(OTHER), None, rows.why), rows.failed, rows.why
            ),
        ),
        reporter=ibis.coalesce(
            rows.tenant, rows.tenant_path.re_extract(FIXED_TENANT, 1).nullif(""), SERVICE_NAME
        ),
        session=rows.session_id,
        code=rows.kind.cases(*CODE.items(), else_="Sign-in activity"),
        event_id=told(rows.id),
        note=ibis.ifelse(says_zone | rows.happened.startswith("/Date("), None, NO_ZONE),
    )


def inner(text: ir.StringValue, key: str) -> ir.StringValue:
    """What a text of JSON or of Python has under a key: the first of that name."""
    found = text.re_extract(rf"""['"]{key}['"]\s*:\s*['"]?([^'",{{}}\[\]]+)""", 1)
    return once(found, lambda value: ibis.ifelse(value.isin(NO_VALUE), None, value))


def told(name: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(name.isin(NOTHING), None, name)


def method(name: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(name.lower().isin(NO_METHOD), None, name)
