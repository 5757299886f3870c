"""Microsoft 365 unified audit log: CSV of Search-UnifiedAuditLog or Purview, JSON of the Management Activity
API, OfficeActivity.

    sign-in (UserLoggedIn, UserLoginFailed)       sso to the application
    mail read, sent, moved, deleted               mailbox_access to the owner's address; detail: the folder
    a rule, or a mailbox, that forwards           forward to the (first) outside address; detail: the rule
    other rules, delegates and settings           mailbox_access to the mailbox; detail: the rule or trustee
    files, lists and pages                        object_access to the site; detail: the file's address
    consent to an application, its permissions    consent to the application; detail: the permissions
    the directory: a role, a group, an account    object_access to it; detail: the new member
    any other operation of a person               object_access to the service (or team); detail: the object

The operation is the `code`. Operations of Microsoft's services and of applications, most of the log, are
dropped. Traps:
- UserLoginFailed is a failure, though its ResultStatus may be Success. An interrupt is no failure, see
  `entra`.
- A sign-in has the application's id; APPLICATIONS has the names of well-known ones in Entra's log. Other
  applications keep the id.
- Exchange Online calls itself in a user's name: an address of its own network is not the user's, and no
  source.
- Commands name a mailbox as it was typed (`joey`): one without a domain gets the user's, and a note says so.
- UserKey is an object id, a PUID in one of three spellings, or the name again.
Leaves out recipients of mail, which `message_trace` has, and alerts. A role that was given is an event of the
account that gave it. Fields:
https://learn.microsoft.com/office/office-365-management-api/office-365-management-activity-api-schema;
applications:
https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    json_fields,
    json_list,
    value_or_null,
)
from ueba.ingest.identity import once
from ueba.ingest.sources import LogSource, Options, Sample
from ueba.ingest.sources.entra import INTERRUPTS

PATHS: dict[str, tuple[str, ...]] = {  # the second name is that in OfficeActivity
    "at": ("CreationTime", "TimeGenerated"),
    "id": ("Id", "OfficeId"),
    "operation": ("Operation",),
    "workload": ("Workload", "OfficeWorkload"),
    "user_name": ("UserId",),
    "user_key": ("UserKey",),
    "user_type": ("UserType",),
    "result": ("ResultStatus",),
    "object": ("ObjectId", "OfficeObjectId"),
    "client_ip": ("ClientIPAddress", "Client_IPAddress"),
    "ip": ("ClientIP", "ActorIpAddress"),
    "organization": ("OrganizationId", "OrganizationName"),
    "session_id": ("SessionId",),
    # sign-ins and the directory
    "application": ("ApplicationId",),
    "error": ("ErrorNumber",),
    "why": ("LogonError",),
    "extended": ("ExtendedProperties",),
    "devices": ("DeviceProperties",),
    "targets": ("Target",),
    "actors": ("Actor",),
    "modified": ("ModifiedProperties",),
    # mailboxes
    "owner": ("MailboxOwnerUPN",),
    "sent_as": ("SendAsUserSmtp", "SendOnBehalfOfUserSmtp", "SendonBehalfOfUserSmtp"),
    "logon": ("LogonType", "Logon_Type"),
    "client": ("ClientInfoString",),
    "folder": (
        "Folder.Path",
        "Item.ParentFolder.Path",
        "/Folders/0/Path",
        "/AffectedItems/0/ParentFolder/Path",
    ),
    "subject": ("Item.Subject", "/AffectedItems/0/Subject"),
    "member": ("Item.ParentFolder.MemberUpn",),
    "properties": ("OperationProperties",),
    "parameters": ("Parameters",),
    # sites and teams
    "site": ("SiteUrl", "Site_Url"),
    "team": ("TeamName",),
}
ITEM = ("Name", "Value", "NewValue", "ID", "Type")  # keys of objects in lists
SIGN_INS, DIRECTORY, SITES, MAIL, MAILBOX, MAIL_FLOW, OTHER = (
    "sign-in",
    "directory",
    "site",
    "mail",
    "mailbox command",
    "mail flow command",
    "other",
)
SIGN_IN, SIGN_IN_FAILED = "UserLoggedIn", "UserLoginFailed"
SERVICE_TYPES = (
    "3",
    "4",
    "6",
    "7",
    "8",
    "dcadmin",
    "system",
    "serviceprincipal",
    "custompolicy",
    "systempolicy",
)
SERVICES = (
    r"^(nt authority\\|nt service\\|s-1-5-(18|19|20)$|sharepoint\\system$|microsoft\\serviceoperator$"
    r"|serviceprincipal_|app@sharepoint$|certificate$|ffoservicepartneruser$|securitycompliance|threatintel"
    r"|fim_password_service@|spoolsprovisioning-)"
)
NOBODY = ("not-found", "not available", "unknown", "00000000-0000-0000-0000-000000000000")
ALERTS = (
    "AlertTriggered",
    "AlertEntityGenerated",
    "DlpRuleMatch",
    "DlpRuleUndo",
    "DlpInfo",
    "SupervisionRuleMatch",
)
CLOUD_APP_ALERT = "MCAS_ALERT"  # of Defender for Cloud Apps, about what somebody did; it has many kinds
CONSENTS = (
    "consent to application",
    "add delegated permission grant",
    "add oauth2permissiongrant",
    "add app role assignment grant to user",
    "add app role assignment to service principal",
)
MAILBOX_COMMANDS = (
    r"-(InboxRule|SweepRule|Mailbox|CASMailbox|MailboxPermission|RecipientPermission|MailboxFolderPermission"
    r"|MailboxAutoReplyConfiguration|MailboxJunkEmailConfiguration|MailboxExportRequest|CalendarProcessing)$"
)
RULES = r"(InboxRules?|SweepRule|TransportRule)$"
FORWARDS = (  # parameters of commands
    "ForwardTo",
    "RedirectTo",
    "ForwardAsAttachmentTo",
    "ForwardingSmtpAddress",
    "ForwardingAddress",
    "RedirectMessageTo",
    "BlindCopyTo",
    "CopyTo",
)
TRUSTEES = ("User", "Trustee", "GrantSendOnBehalfTo")
RULE_ACTIONS = r'"(Forward|Redirect|ForwardAsAttachment)"'  # of UpdateInboxRules
# The changes of a directory object that name the object to which something was added.
CONTAINERS = (
    "Role.DisplayName",
    "Group.DisplayName",
    "Application.DisplayName",
    "ServicePrincipal.DisplayName",
)
CONSENTED = ("ServicePrincipal.DisplayName", "ServicePrincipal.AppId", "ServicePrincipal.ObjectID")
PERMISSIONS = ("DelegatedPermissionGrant.Scope", "AppRole.Value")
NAME, UPN = "1", "5"  # types of a directory target: its display name, its UPN
OUTCOME = {
    **dict.fromkeys(("success", "succeeded", "true", "partiallysucceeded"), "success"),
    **dict.fromkeys(("fail", "failed", "failure", "false"), "failure"),
}
LOGON_TYPE = {
    "0": "Owner",
    "1": "Admin",
    "2": "Delegate",
    "owner": "Owner",
    "admin": "Admin",
    "delegated": "Delegate",
}
MAIL_ADDRESS = r"[\w+][\w.+'#-]*@[\w-]+(?:\.[\w-]+)+"
SITE = r"^(https?://[^/]+(?:/(?:sites|teams|personal|portals)/[^/]+)?)"
GUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
PUID = r"(?:^|\|)([0-9a-f]{16})(?:@|$)"
OWN_NETWORK = r"^2603:10[0-9a-f]6:"  # of Exchange Online, which customers cannot rent
LAST_PART = r"^(?:[^\\]*[/=])?([^/\\=]+)"  # `Joey` of `HOST/Organizations/corp.example/Joey\Rule`
NO_DOMAIN = "mailbox without a domain: taken to be of the user's"
APPLICATIONS = {
    "00000002-0000-0000-c000-000000000000": "Windows Azure Active Directory",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online",
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "00000003-0000-0ff1-ce00-000000000000": "Office 365 SharePoint Online",
    "00000004-0000-0ff1-ce00-000000000000": "Skype for Business Online",
    "00000005-0000-0ff1-ce00-000000000000": "Viva Engage (formerly Yammer)",
    "00000006-0000-0ff1-ce00-000000000000": "Microsoft Office 365 Portal",
    "00000007-0000-0000-c000-000000000000": "Dataverse",
    "00000009-0000-0000-c000-000000000000": "Power BI Service",
    "0000000c-0000-0000-c000-000000000000": "Microsoft App Access Panel",
    "00b41c95-dab0-4487-9791-b9d2c32c80f2": "Office 365 Management",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
    "08e18876-6177-487e-b8b5-cf950c1e598c": "SharePoint Online Web Client Extensibility",
    "0cd196ee-71bf-4fd6-a57c-b491ffd4fb1e": "Media Analysis and Transformation Service",
    "14d82eec-204b-4c2f-b7e8-296a70dab67e": "Microsoft Graph Command Line Tools",
    "18fbca16-2224-45f6-85b0-f7bf2b39b3f3": "Microsoft Docs",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "19db86c3-b2b9-44cc-b339-36da233a3be2": "My Signins",
    "1b730954-1685-4b74-9bfd-dac224a7b894": "Azure Active Directory PowerShell",
    "1fec8e78-bce4-4aaf-ab1b-5451cc387264": "Microsoft Teams",
    "23523755-3a2b-41ca-9315-f81f3f566a95": "ACOM Azure Website",
    "27922004-5251-4030-b22d-91ecd9a37ea4": "Outlook Mobile",
    "28b567f6-162c-4f54-99a0-6887f387bbcc": "Microsoft Storefronts",
    "29d9ed98-a469-4536-ade2-f981bc1d605e": "Microsoft Authentication Broker",
    "2d4d3d8e-2be3-4bef-9f87-7875a61c29de": "OneNote",
    "4345a7b9-9a63-4910-a426-35363201d503": "O365 Suite UX",
    "4765445b-32c6-49b0-83e6-1d93765276ca": "OfficeHome",
    "497effe9-df71-4043-a8bb-14cf78c4b63b": "Exchange Admin Center",
    "4b233688-031c-404b-9a80-a4f3f2351f90": "Office.com",
    "5e3ce6c0-2b1f-4285-8d4b-75ee78787346": "Microsoft Teams Web Client",
    "67e3df25-268a-4324-a550-0de1c7f97287": "Microsoft Office Web Apps Service",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Windows Azure Service Management API",
    "80ccca67-54bd-44ab-8625-4b79c4dc7775": "Microsoft 365 Security and Compliance Center",
    "871c010f-5e61-4fb1-83ac-98610a7e9110": "Microsoft Power BI",
    "89bee1f7-5e6e-4d8a-9f3d-ecd601259da7": "Office365 Shell WCSS-Client",
    "8c59ead7-d703-4a27-9e55-c96a0054c8d2": "My Profile",
    "93625bc8-bfe2-437a-97e0-3d0060024faa": "Microsoft password reset service",
    "93d53678-613d-4013-afc1-62e9e444a0a5": "Office Online Add-in SSO",
    "94c63fef-13a3-47bc-8074-75af8c65887a": "Office Delve",
    "a0c73c16-a7e3-4564-9a95-2bdf47383716": "Microsoft Exchange Online Remote PowerShell",
    "a3b79187-70b2-4139-83f9-6016c58cd27b": "WindowsDefenderATP Portal",
    "a9b49b65-0a12-430b-9540-c80b3332c127": "Office Online Search",
    "ab9b8c07-8f02-4f72-87fa-80105867a763": "OneDrive SyncEngine",
    "c44b4083-3bb0-49c1-b47d-974e53cbdf3c": "Azure Portal",
    "c9a559d2-7aab-4f13-a6ed-e7e9c52aec87": "Microsoft Forms",
    "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe": "Microsoft Teams Services",
    "cf53fce8-def6-4aeb-8d30-b158e7b1cf83": "Microsoft Stream Portal",
    "d3590ed6-52b3-4102-aeff-aad2292ab01c": "Microsoft Office",
    "de8bc8b5-d9f9-48b1-a8ad-b748da725064": "Graph Explorer",
    "fb78d390-0c51-40cd-8e17-fdbfab77341b": "Microsoft Exchange REST API Based Powershell",
}


def source(format: str, options: Options) -> LogSource:
    """Times are UTC according to the schema."""
    return LogSource(
        format,
        {"format": format},
        lambda lines, facts: read(lines),
        fields=all_paths(PATHS),
    )


def recognises(sample: Sample) -> int:
    """Objects with the fields that the schema requires, and those of OfficeActivity."""
    return sum(map(is_record, sample.objects))


def is_record(found: dict[str, Any]) -> bool:
    return {"CreationTime", "Operation", "UserId", "Workload"} <= found.keys() or {
        "OfficeWorkload",
        "Operation",
        "UserId",
    } <= found.keys()


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = with_parts(with_lists(with_fields(lines)))
    _, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    result = rows.result.lower().cases(*OUTCOME.items(), else_="unknown")
    done = ibis.ifelse(rows.result.isnull(), "success", result)  # most services log only what was done
    return events.finish(
        rows,
        dropped(rows),
        **columns
        | {
            "time": any_time(rows.at),
            "user": user(rows),
            "user_id": user_id(rows),
            "source": ibis.coalesce(columns["source"], rows.address),
            "source_ip": rows.address,
            "target_kind": ibis.literal("resource"),
            "outcome": ibis.coalesce(columns["outcome"], done),
            "reporter": rows.organization,
            "session": ibis.coalesce(columns["session"], rows.session_id),
            "code": rows.operation,
            "event_id": rows.id,
        },
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record is dropped."""
    return [
        (~rows.is_json, "not JSON"),
        (
            rows.operation.isnull() | rows.at.isnull() | rows.workload.isnull(),
            "not a Microsoft 365 record",
        ),
        (
            rows.operation.isin(ALERTS) | rows.operation.startswith(CLOUD_APP_ALERT),
            f"{events.NOT_A_LOGON}: alert",
        ),
        (rows.is_service, f"{events.NOT_A_LOGON}: service account"),
    ]


def with_fields(lines: ir.Table) -> ir.Table:
    """lines with the fields of their records, and `kind`: one of KINDS; null for a record that is dropped."""
    rows = json_fields(lines, PATHS)
    rows = rows.mutate(operation=value_or_null(rows.operation), by=rows.user_name.lower())
    is_service = ibis.ifelse(rows.user_type.lower().isin(SERVICE_TYPES), True, rows.by.re_search(SERVICES))
    rows = rows.mutate(is_service=is_service.fill_null(False))
    is_exchange = rows.workload == "Exchange"
    return rows.mutate(
        kind=ibis.cases(
            (rows.is_service | rows.operation.isnull(), ibis.null("string")),
            (rows.operation.isin((SIGN_IN, SIGN_IN_FAILED)), SIGN_INS),
            (rows.workload == "AzureActiveDirectory", DIRECTORY),
            (rows.workload.isin(("SharePoint", "OneDrive")), SITES),
            (rows.owner.notnull(), MAIL),
            (is_exchange & rows.operation.re_search(MAILBOX_COMMANDS), MAILBOX),
            (is_exchange & rows.operation.endswith("-TransportRule"), MAIL_FLOW),
            else_=OTHER,
        ),
        address=once(
            address(ibis.coalesce(rows.client_ip, rows.ip)),
            lambda ip: ibis.ifelse(ip.re_search(OWN_NETWORK), None, ip),
        ),
    )


def with_lists(rows: ir.Table) -> ir.Table:
    """rows with the lists of their kind: `listed` (properties, parameters, changes) and `others` (devices,
    targets)."""
    properties = ibis.cases(
        (rows.kind == SIGN_INS, rows.extended),
        (rows.kind == DIRECTORY, rows.modified),
        (rows.kind == MAIL, rows.properties),
        (rows.kind.isin((MAILBOX, MAIL_FLOW)), rows.parameters),
    )
    others = ibis.cases((rows.kind == SIGN_INS, rows.devices), (rows.kind == DIRECTORY, rows.targets))
    return rows.mutate(listed=json_list(properties, ITEM), others=json_list(others, ITEM))


def with_parts(rows: ir.Table) -> ir.Table:
    """rows with the values that more than one column of a kind depends on: a table of their own, so that
    DuckDB computes each once."""
    rows = rows.mutate(**command_parts(rows), **directory_parts(rows))
    outside = rule_target(value(rows.listed, "RuleActions"))
    mailbox = ibis.coalesce(rows.named_mailbox, full_name(last_part(rows.object), rows), rows.by)
    name = ibis.coalesce(application(rows.application), application(rows.object))
    return rows.mutate(
        outside=ibis.ifelse(rows.operation == "UpdateInboxRules", outside, None),
        mailbox=ibis.ifelse(rows.kind == MAILBOX, mailbox, None),
        application_name=ibis.ifelse(rows.kind == SIGN_INS, name, None),
        ended=ibis.cases(
            (rows.kind != SIGN_INS, ibis.null("string")),
            (rows.error.isin(INTERRUPTS), "unknown"),
            (rows.operation == SIGN_IN_FAILED, "failure"),
            (rows.error.isnull() | (rows.error == "0"), "success"),
            (rows.error.re_search(r"^\d+$"), "failure"),
            else_="unknown",
        ),
    )


def command_parts(rows: ir.Table) -> Columns:
    """Of commands of Exchange: where they forward mail to, and the mailbox that they name with its domain."""
    is_command = rows.kind.isin((MAILBOX, MAIL_FLOW))
    named = ibis.coalesce(mail_address(value(rows.listed, "Mailbox", "Identity")), mail_address(rows.object))
    return {
        "forward": ibis.ifelse(is_command, value(rows.listed, *FORWARDS), None),
        "named_mailbox": ibis.ifelse(rows.kind == MAILBOX, named, None),
    }


def directory_parts(rows: ir.Table) -> Columns:
    """Of changes of the directory: whether they are a consent, and the object to which something was
    added."""
    operation = rows.operation.lower().re_replace(r"\.$", "")
    return {
        "is_consent": (rows.kind == DIRECTORY) & operation.isin(CONSENTS),
        "container": ibis.ifelse(rows.kind == DIRECTORY, changed(rows.listed, *CONTAINERS), None),
    }


def user(rows: ir.Table) -> ir.StringValue:
    """The account of a record. A guest who opens a link to a file may be anonymous."""
    name = rows.user_name
    guest = ibis.ifelse(rows.by.startswith("urn:spo:guest#"), name.re_extract("#(.*)$", 1), "anonymous")
    return ibis.ifelse(rows.by.startswith("urn:spo:"), guest, somebody(name))


def user_id(rows: ir.Table) -> ir.StringValue:
    """The object id, which Entra's log has too, else the PUID."""

    def found(key: ir.StringValue) -> ir.StringValue:
        return ibis.ifelse(key.re_search(GUID), key, key.re_extract(PUID, 1).nullif(""))

    actor = rows.actors.re_extract(r'"User_([0-9a-f-]{36})"', 1).nullif("")
    key = ibis.coalesce(ibis.ifelse(rows.kind == DIRECTORY, actor, None), once(rows.user_key.lower(), found))
    return ibis.ifelse(rows.kind.notnull(), somebody(key), None)


# --- kinds of records ---------------------------------------------------------------------------------------


def sign_in(rows: ir.Table) -> Parsed:
    reason = ibis.coalesce(rows.error + ": " + rows.why, rows.error, rows.why)
    return [], {
        "source": value(rows.others, "DisplayName"),
        "target": rows.application_name,
        "detail": application(rows.object).nullif(rows.application_name),
        "action": ibis.literal("sso"),
        "auth_package": value(rows.listed, "RequestType"),
        "outcome": rows.ended,
        "outcome_reason": ibis.ifelse(rows.ended == "success", None, reason),
        "session": value(rows.others, "SessionId"),
    }


def directory(rows: ir.Table) -> Parsed:
    named = ibis.coalesce(
        *(value(rows.others, kind, of="ID", by="Type") for kind in (NAME, UPN)), rows.object
    )
    scopes = (
        changed(rows.listed, "ConsentAction.Permissions")
        .re_extract(r"Scope:\s*([^,\]]+)", 1)
        .strip()
        .nullif("")
    )
    return [], {
        "target": ibis.coalesce(
            ibis.ifelse(rows.is_consent, changed(rows.listed, *CONSENTED), rows.container),
            once(named, lambda name: ibis.ifelse(name.contains("@"), name.lower(), name)),
        ),
        "detail": ibis.cases(
            (rows.is_consent, ibis.coalesce(changed(rows.listed, *PERMISSIONS), scopes)),
            (rows.container.notnull(), rows.object),
        ),
        "action": ibis.ifelse(rows.is_consent, "consent", "object_access"),
    }


def site(rows: ir.Table) -> Parsed:
    address = ibis.coalesce(rows.site, rows.object).lower().re_extract(SITE, 1).nullif("")
    return [], {
        "target": ibis.coalesce(address, rows.workload),
        "detail": rows.object,
        "action": ibis.literal("object_access"),
    }


def mail(rows: ir.Table) -> Parsed:
    subject = ibis.ifelse(rows.operation.startswith("Send"), rows.subject, None)
    return [], {
        "target": ibis.coalesce(rows.outside, rows.sent_as.lower(), rows.owner.lower()),
        "detail": ibis.coalesce(
            value(rows.listed, "RuleName"), rows.member, subject, rows.folder, rows.subject
        ),
        "action": ibis.ifelse(rows.outside.notnull(), "forward", "mailbox_access"),
        "logon_type": rows.logon.lower().cases(*LOGON_TYPE.items(), else_=ibis.null("string")),
        "auth_package": rows.client.re_extract(r"^Client=([^;]+)", 1).nullif(""),
    }


def command(rows: ir.Table, about: ir.StringValue, action: str) -> Parsed:
    """A command of Exchange. about: the mailbox or the service; action: of a command that does not forward"""
    named = ibis.coalesce(
        value(rows.listed, "Name"), rows.object.re_extract(r"([^\\]*)$", 1).strip().nullif("")
    )
    rule = ibis.ifelse(rows.operation.re_search(RULES), named, None)
    to = ibis.coalesce(mail_address(rows.forward), full_name(last_part(rows.forward), rows))
    is_guess = rows.named_mailbox.isnull() & rows.mailbox.contains("@") & (rows.mailbox != rows.by)
    return [], {
        "target": ibis.coalesce(to, about),
        "detail": ibis.coalesce(
            rule, last_part(value(rows.listed, *TRUSTEES)), ibis.ifelse(to.isnull(), None, about)
        ),
        "action": ibis.ifelse(to.isnull(), action, "forward"),
        "note": ibis.ifelse(is_guess, NO_DOMAIN, ibis.null("string")),
    }


def mailbox_command(rows: ir.Table) -> Parsed:
    return command(rows, rows.mailbox, "mailbox_access")


def mail_flow_command(rows: ir.Table) -> Parsed:
    return command(rows, rows.workload, "object_access")


def other(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(rows.team, rows.workload),
        "detail": rows.object,
        "action": ibis.literal("object_access"),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    SIGN_INS: sign_in,
    DIRECTORY: directory,
    SITES: site,
    MAIL: mail,
    MAILBOX: mailbox_command,
    MAIL_FLOW: mail_flow_command,
    OTHER: other,
}


# --- their parts --------------------------------------------------------------------------------------------


def value(listed: ir.ArrayValue, *names: str, of: str = "Value", by: str = "Name") -> ir.StringValue:
    """The first value in a list of objects that has one of these names and is not empty. of: the key of the
    value; by: the key of the name"""
    return ibis.coalesce(
        *(listed.filter(lambda item, name=name: item[by] == name)[0][of].nullif("") for name in names)
    )


def changed(listed: ir.ArrayValue, *names: str) -> ir.StringValue:
    """The first new value in a list of changes that has one of these names and is not empty. It may be JSON:
    a text in quotes, or a list with one text."""
    values = (listed.filter(lambda item, name=name: item["Name"] == name)[0]["NewValue"] for name in names)
    return ibis.coalesce(*(text.re_replace(r'^[\[\s"]+|[\]\s"]+$', "").nullif("") for text in values))


def somebody(name: ir.StringValue) -> ir.StringValue:
    """A name or identifier; null for those that stand for nobody."""
    return ibis.ifelse(name.lower().isin(NOBODY), None, name)


def application(uid: ir.StringValue) -> ir.StringValue:
    """The name of a well-known application, else its id."""
    return once(somebody(uid), lambda uid: uid.lower().cases(*APPLICATIONS.items(), else_=uid))


def mail_address(text: ir.StringValue) -> ir.StringValue:
    """The first mail address in a text, without a prefix such as `smtp:`."""
    return text.re_extract(MAIL_ADDRESS, 0).lower().nullif("")


def rule_target(actions: ir.StringValue) -> ir.StringValue:
    """The address to which the actions of a rule forward."""
    return ibis.ifelse(actions.re_search(RULE_ACTIONS), mail_address(actions), None)


def last_part(name: ir.StringValue) -> ir.StringValue:
    """The last part of a path or distinguished name."""
    return name.re_extract(LAST_PART, 1).strip().nullif("")


def full_name(name: ir.StringValue, rows: ir.Table) -> ir.StringValue:
    """A mailbox name with the domain of the user; a name that cannot have a domain is not changed."""
    domain = rows.by.re_extract("@.+$", 0)
    return once(
        name.lower(),
        lambda name: ibis.ifelse(name.re_search(r"^[\w.-]+$") & ~name.re_search(GUID), name + domain, name),
    )
