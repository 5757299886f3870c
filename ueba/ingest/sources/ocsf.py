"""OCSF: Authentication (3002), privileges (3003), SMB (4006), SSH (4007), Application Activity (6001,
6003-6006), JSON or Parquet.

Versions 1.0-rc to 1.6, as Amazon Security Lake, Splunk, Tenzir and others write them. The target of a logon
is the machine `dst_endpoint`; without one it is the application `service`, and the logon is a sign-on to it
(sso). The target of a service ticket is the machine of its `service` (`HOST$`, `cifs/host`), or the account
that the service runs as; that of an API call is the role it assumes, the bucket it touches, or its service. A
file is the detail of its folder or site.

Records of AWS are read as `cloudtrail` reads them: a user is `name@account`; the user of a role's session is
the person, if the session is named by an address, else the role (`role/NAME@account`), and the session's name
is the actor; a console is `AWS console <account>`.

Traps: `time` is in milliseconds according to the schema, but in seconds in some logs; `status` may stand
without its number; `actor` of a Windows logon is the machine itself; a device is the machine that wrote the
record under the profile `host`, else any machine. Leaves out other classes, logoffs, and steps of an AWS
sign-in. Fields: https://schema.ocsf.io, AWS mappings:
https://github.com/ocsf/examples/tree/main/mappings/markdown/AWS.
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
    account,
    address,
    all_paths,
    any_time,
    by_kind,
    has_zone,
    is_ticket_service,
    json_fields,
    kerberos_machine,
)
from ueba.ingest.identity import is_local
from ueba.ingest.sources import LogSource, Options, Sample, windows
from ueba.ingest.wellknown import in_english, is_system_name

AUTHENTICATION, AUTHORIZATION, SMB, SSH, API, DATASTORE, FILES = 3002, 3003, 4006, 4007, 6003, 6005, 6006
WEB = (6001, 6004)  # Web Resources Activity; Web Resource Access Activity, deprecated
CLASSES = (AUTHENTICATION, AUTHORIZATION, SMB, SSH, *WEB, API, DATASTORE, FILES)
LOGOFF, TICKET, SERVICE_TICKET, RENEWAL, PREAUTH = 2, 3, 4, 5, 6  # activities of Authentication
TICKETS = {TICKET: "ticket", PREAUTH: "ticket", SERVICE_TICKET: "service_ticket", RENEWAL: "service_ticket"}
ASSIGN_PRIVILEGES = 1
OPEN, FAIL, REFUSE = 1, 4, 5  # activities of SSH
FOLDER = "2"  # type of a file
LOGON_TYPE = windows.LOGON_TYPE | {"1": "System"}  # since version 1.1; it was 0
PROTOCOL = {
    "1": "NTLM",
    "2": "Kerberos",
    "3": "Digest",
    "4": "OpenID",
    "5": "SAML",
    "6": "OAuth 2.0",
    "7": "PAP",
    "8": "CHAP",
    "9": "EAP",
    "10": "RADIUS",
    "11": "Basic",
    "12": "LDAP",
}
SSH_METHOD = {
    "1": "certificate",
    "2": "gssapi-with-mic",
    "3": "hostbased",
    "4": "keyboard-interactive",
    "5": "password",
    "6": "publickey",
}
ROLES, TICKET_REQUESTS, LOGONS = "role", "ticket", "logon"  # kinds of records; see KINDS for the others
WINDOWS_PACKAGES = ("NTLM", "Kerberos")  # a controller sees such a logon too
AMAZON, CLOUDTRAIL, CONSOLE = "AWS", "CloudTrail", "ConsoleLogin"
STEPS = (
    "CheckMfa",
    "CredentialChallenge",
    "CredentialVerification",
)  # of a sign-in to AWS: it has its own record
AWS_USER = r"^arn:[\w-]+:iam::(\d+):(?:user/(?:.*/)?)?([^/:]+)$"  # a user, or root
AWS_ROLE = r"^arn:[\w-]+:sts::(\d+):assumed-role/([^/]+)/(.*)$"
MFA = {"true": "MFA", "false": "no MFA"}
OUTCOME = {"1": "success", "2": "failure", "success": "success", "failure": "failure", "failed": "failure"}

ROLE = r'"roleArn"\s*:\s*"([^"]+)"'  # in the request of an API call: JSON in a text
BUCKET = r"^arn:[\w-]+:s3:::([^/]+)"
SITE = r"^(https?://[^/]+/(?:sites|teams|personal)/[^/]+)"  # of SharePoint
# Vendors and products whose logs are of a service in the cloud.
CLOUDS = (
    r"(?i)\b(okta|auth0|onelogin|ping ?one|ping identity|jumpcloud|duo|google workspace|entra|azure ad"
    r"|azure active directory|microsoft 365|office 365|github|gitlab|slack|salesforce|1password|bitwarden"
    r"|zoom|box|dropbox|atlassian|cloudflare|snowflake|workday|servicenow)\b"
)
PATH = r"^/|^[\w-]+/[\w-]+/"  # of a page, which names no application
WEB_ADDRESS = rf"^\w+://|{PATH}"
SHARE = r"^\\\\([^\\]+)\\([^\\]+)"  # \\host\share

FIELDS: dict[str, str | tuple[str, ...]] = {
    "class_uid": "class_uid",
    "activity": "activity_id",
    "at": "time",
    "time_dt": "time_dt",
    "uid": "metadata.uid",
    "profiles": "metadata.profiles",
    "event_code": ("api.operation", "metadata.event_code", "activity_name"),
    "status": ("status_id", "status"),
    "status_text": "status",
    "reason": ("status_detail", "status_code", "api.response.error", "api.response.message"),
    "api_error": "api.response.error",
    "user_name": ("user.name", "user.full_name"),
    "user_mail": "user.email_addr",
    "domain": "user.domain",
    "user_uid": "user.uid",
    "actor_name": ("actor.user.name", "identity.user.name", "actor.user.full_name"),
    "actor_mail": ("actor.user.email_addr", "identity.user.email_addr"),
    "actor_domain": "actor.user.domain",
    "actor_uid": ("actor.user.uid", "identity.user.uid"),
    "actor_uuid": ("actor.user.uuid", "identity.user.uuid"),  # the ARN, in versions before 1.0
    "actor_uid_alt": "actor.user.uid_alt",
    "source_name": ("src_endpoint.hostname", "src_endpoint.name"),
    "source_address": "src_endpoint.ip",
    "is_remote": "is_remote",
    "is_mfa": "is_mfa",
    "target_name": ("dst_endpoint.hostname", "dst_endpoint.name"),
    "target_address": "dst_endpoint.ip",
    "device": ("device.hostname", "device.name", "device.ip"),
    "service": "service.name",
    "application": ("dst_endpoint.svc_name", "dst_endpoint.domain", "api.service.name"),
    "product_name": "metadata.product.name",
    "vendor": "metadata.product.vendor_name",
    "user_account": ("user.account.uid", "actor.user.account.uid"),
    "cloud_account": "cloud.account.uid",
    "logon_type_id": "logon_type_id",
    "logon_type_text": "logon_type",
    "protocol_id": "auth_protocol_id",
    "protocol_text": "auth_protocol",
    "method_id": "auth_type_id",
    "method_text": "auth_type",
    "session_uid": ("session.uid", "user.session_uid"),
    "operation": "api.operation",
    "request": "api.request.data",
    "resource": ("/resources/0/uid", "/resources/0/name"),
    "file_path": ("file.path", "file.uri", "file.name"),
    "file_name": "file.name",
    "file_type": "file.type_id",
    "folder": "file.parent_folder",
    "share": "share",
    "url": (
        "/web_resources/0/url_string",
        "http_request.url.url_string",
        "/web_resources/0/name",
        "/web_resources/0/uid",
    ),
    "url_host": ("http_request.url.hostname", "/web_resources/0/name"),
    "bucket": "databucket.name",
    "database": "database.name",
    "data_table": ("table.name", "query_info.name", "databucket.file.name"),
    "provider": "cloud.provider",
}
NO_ZONE = "time without a zone: taken as UTC"


def source(format: str, options: Options) -> LogSource:
    """Times are UTC according to the schema."""
    return LogSource(format, {"format": format}, lambda lines, facts: read(lines), fields=all_paths(FIELDS))


def recognises(sample: Sample) -> int:
    """Objects with the number of a class and one of the other required attributes."""
    return sum(
        "class_uid" in record and bool({"activity_id", "type_uid", "metadata"} & record.keys())
        for record in sample.objects
    )


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = with_kind(with_fields(lines))
    rows = rows.mutate(**accounts(rows))
    cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    rows = rows.mutate(**columns)
    session = rows.device.lower() + ":" + rows.session_uid.lower()
    return events.finish(
        rows,
        [*dropped(rows), *cases],
        **result(rows),
        time=ibis.coalesce(any_time(rows.at), any_time(rows.time_dt)),
        source=acted_from(rows),
        target_ip=ibis.ifelse(rows.target_kind == "machine", address(rows.target_address), None),
        reporter=ibis.coalesce(rows.device, rows.cloud_account, rows.product_name),
        session=ibis.ifelse(rows.is_amazon, rows.session_uid, session),
        code=rows.event_code,
        event_id=rows.uid,
        note=ibis.ifelse(rows.at.contains(":") & ~has_zone(rows.at), NO_ZONE, ibis.null("string")),
    )


def with_fields(lines: ir.Table) -> ir.Table:
    """lines with the fields of their records: numbers as such, addresses as such, the ARN and the
    authentication package."""
    rows = json_fields(lines, FIELDS)
    is_mfa = ibis.ifelse(
        rows.provider == AMAZON, rows.is_mfa.cases(*MFA.items(), else_=ibis.null("string")), None
    )
    arns = (rows.actor_uid, rows.actor_uuid, rows.user_uid)
    return rows.mutate(
        class_uid=rows.class_uid.try_cast("int64"),
        activity=rows.activity.try_cast("int64"),
        machine=ibis.coalesce(rows.target_name, address(rows.target_address)),
        source_ip=address(rows.source_address),
        arn=ibis.coalesce(*(ibis.ifelse(text.startswith("arn:"), text, None) for text in arns)),
        auth_package=ibis.coalesce(
            rows.protocol_id.cases(*PROTOCOL.items(), else_=rows.protocol_text),
            rows.method_id.cases(*SSH_METHOD.items(), else_=rows.method_text),
            is_mfa,
        ),
    )


def with_kind(rows: ir.Table) -> ir.Table:
    """rows with `kind`: one of KINDS; null for a class that is not read; and of AWS, the account `owner`."""
    is_amazon = (rows.provider == AMAZON) | (rows.provider.isnull() & (rows.product_name == CLOUDTRAIL))
    is_amazon = is_amazon.fill_null(False)
    rows = rows.mutate(
        is_hosted=rows.profiles.contains('"host"').fill_null(False),
        is_amazon=is_amazon,
        is_console=is_amazon & (ibis.coalesce(rows.operation, rows.event_code) == CONSOLE).fill_null(False),
        owner=ibis.coalesce(
            rows.cloud_account, rows.user_account, extract(rows.arn, r"^arn:[\w-]+:\w+::(\d+):", 1)
        ),
    )
    is_authentication = rows.class_uid == AUTHENTICATION
    return rows.mutate(
        kind=ibis.cases(
            (rows.class_uid.notin(CLASSES), ibis.null("string")),
            (rows.operation.startswith("AssumeRole").fill_null(False), ROLES),
            (is_authentication & rows.activity.isin((*TICKETS,)), TICKET_REQUESTS),
            (is_authentication, LOGONS),
            *((rows.class_uid == uid, kind) for uid, kind in KIND.items()),
        )
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    return [
        (~rows.is_json, "not JSON"),
        (rows.class_uid.isnull(), "not an OCSF record"),
        (rows.is_amazon & rows.operation.isin(STEPS), f"{events.NOT_A_LOGON}: step of a sign-in"),
        (rows.class_uid.notin(CLASSES), f"{events.NOT_A_LOGON}: another class"),
        (is_system_name(rows.user, rows.user_id), f"{events.NOT_A_LOGON}: system account"),
    ]


def result(rows: ir.Table) -> Columns:
    has_failed = rows.activity.isin((FAIL, REFUSE)) & (rows.class_uid == SSH)
    stated = ibis.coalesce(
        status(rows.status), status(rows.status_text), ibis.ifelse(rows.api_error.notnull(), "failure", None)
    )
    outcome = ibis.ifelse(has_failed, "failure", ibis.coalesce(stated, "unknown"))
    return {"outcome": outcome, "outcome_reason": ibis.ifelse(outcome == "failure", rows.reason, None)}


def acted_from(rows: ir.Table) -> ir.StringValue:
    """The source: the machine itself for a loopback address, and for what is said not to be remote."""
    here = ibis.ifelse(rows.target_kind == "machine", rows.target, rows.device)
    has_no_source = rows.source_name.isnull() & rows.source_ip.isnull()
    is_here = is_local(ibis.coalesce(rows.source_name, rows.source_address)) | (
        has_no_source & (rows.is_remote == "false")
    )
    return ibis.ifelse(is_here.fill_null(False), here, ibis.coalesce(rows.source_name, rows.source_ip))


def status(text: ir.StringValue) -> ir.StringValue:
    """The outcome of a status, which is a number or a name; null for others."""
    return text.lower().cases(*OUTCOME.items(), else_=ibis.null("string"))


# --- who ----------------------------------------------------------------------------------------------------


def accounts(rows: ir.Table) -> Columns:
    """The account that was used, its identifier, and the account that used it.

    In an authentication `user` is the account that was used; `actor` is the one that requested it, is the
    only one in AWS logs, and is the machine itself in Windows logs. In other classes the account is
    `actor`."""
    is_role = rows.kind.identical_to(ROLES)
    is_user = (rows.class_uid <= AUTHORIZATION) & ~is_role
    own_id = ibis.coalesce(rows.user_uid, ibis.ifelse(rows.user_name.isnull(), rows.actor_uid, None))
    amazon = amazon_accounts(rows)
    return {
        "user": ibis.ifelse(rows.is_amazon, amazon["user"], named_user(rows, is_user)),
        "user_id": ibis.cases((rows.is_amazon, amazon["user_id"]), (is_user, own_id), else_=rows.actor_uid),
        "actor": ibis.ifelse(rows.is_amazon, amazon["actor"], other_account(rows, is_user)),
    }


def named_user(rows: ir.Table, is_user: ir.BooleanValue) -> ir.StringValue:
    """The account by its name, else by its identifier. is_user: it is `user` and not `actor`"""
    is_same = rows.user_uid.isnull() | (rows.user_uid == rows.actor_uid)
    named = login(rows.actor_name, rows.actor_domain, rows.actor_mail, rows.actor_uid)
    actor = ibis.coalesce(named, rows.actor_uid, rows.actor_uid_alt)
    user = ibis.coalesce(
        login(rows.user_name, rows.domain, rows.user_mail, rows.user_uid),
        ibis.ifelse(is_same, named, None),
        rows.user_uid,
    )
    return ibis.ifelse(is_user, ibis.coalesce(user, actor), ibis.coalesce(actor, user))


def other_account(rows: ir.Table, is_user: ir.BooleanValue) -> ir.StringValue:
    """The actor, if it is neither the user nor a machine."""
    is_other = (
        is_user
        & rows.user_name.notnull()
        & (rows.actor_name != rows.user_name)
        & ~rows.actor_name.endswith("$")
    )
    other = login(rows.actor_name, rows.actor_domain, rows.actor_mail, rows.actor_uid)
    return ibis.ifelse(is_other, other, ibis.null("string"))


def login(
    name: ir.StringValue, domain: ir.StringValue, mail: ir.StringValue, uid: ir.StringValue
) -> ir.StringValue:
    """The name by which an account is one. A name without a domain beside a mail address, or with a space in
    it, is for people to read: two people may have it."""
    is_shown = domain.isnull() & ~name.contains("@") & ~name.contains("\\")
    key = ibis.ifelse(uid.re_search(r"(?i)^s-1-\d|^\d+$|^arn:"), None, uid)
    by_key = ibis.ifelse(name.contains(" ") | uid.contains("@"), key, None)
    unique = ibis.ifelse(is_shown.fill_null(True), ibis.coalesce(mail, by_key), None)
    return ibis.coalesce(unique, account(*in_english(name, domain, uid)))


def amazon_accounts(rows: ir.Table) -> Columns:
    """The accounts of a record of AWS. A person in a role's session has no identifier: the role's is not the
    person's."""
    named = ibis.coalesce(account(rows.actor_name, rows.actor_domain), account(rows.user_name, rows.domain))
    session = extract(rows.arn, AWS_ROLE, 3)
    is_person = session.contains("@")
    identifier = ibis.coalesce(rows.actor_uid_alt.split(":")[0], rows.arn)
    return {
        "user": aws_user(rows.arn, named, rows.owner),
        "user_id": ibis.ifelse(is_person, None, identifier),
        "actor": ibis.ifelse(is_person, None, session),
    }


def aws_user(arn: ir.StringValue, name: ir.StringValue, owner: ir.StringValue) -> ir.StringValue:
    """The user in an ARN, or a name in an account. owner: the account of a name without ARN"""
    session = extract(arn, AWS_ROLE, 3)
    return ibis.coalesce(
        ibis.ifelse(
            session.contains("@"),
            session,
            "role/" + extract(arn, AWS_ROLE, 2) + "@" + extract(arn, AWS_ROLE, 1),
        ),
        ibis.ifelse(name.re_search(r"[@\\]"), name, None),
        extract(arn, AWS_USER, 2) + "@" + extract(arn, AWS_USER, 1),
        name + "@" + owner,
        name,
        arn,
    )


# --- kinds of records ---------------------------------------------------------------------------------------


def role(rows: ir.Table) -> Parsed:
    user_uid = ibis.ifelse(rows.class_uid == AUTHENTICATION, rows.user_uid, None)
    name = ibis.coalesce(rows.resource, user_uid, rows.request.re_extract(ROLE, 1).nullif(""))
    return [], resource_or_machine(rows, name) | {"action": ibis.literal("assume_role")}


def ticket(rows: ir.Table) -> Parsed:
    """A ticket of the controller, or of a service: of its machine, or of the account that it runs as."""
    is_of_service = rows.activity.isin((SERVICE_TICKET, RENEWAL))
    by_kerberos = ibis.ifelse(is_of_service, kerberos_machine(rows.service), None)
    is_machine = (
        by_kerberos.notnull() | ~is_of_service | rows.service.isnull() | is_ticket_service(rows.service)
    )
    machine = ibis.coalesce(by_kerberos, rows.machine, rows.device)
    return [], {
        "target": ibis.ifelse(is_machine, machine, rows.service),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "action": rows.activity.cases(*TICKETS.items(), else_="ticket"),
        "logon_type": logon_type(rows),
        "witness": ibis.literal(events.CONTROLLER),
    }


def logon(rows: ir.Table) -> Parsed:
    """A logon to a machine, to the AWS console, or through an identity provider to an application."""
    is_web = is_cloud(rows) | rows.application.re_search(WEB_ADDRESS).fill_null(False)
    service = ibis.ifelse(is_web, ibis.coalesce(rows.vendor, rows.product_name), None)
    application = ibis.coalesce(served(rows.service), served(rows.application), service)
    resource = ibis.ifelse(rows.is_console & rows.owner.notnull(), "AWS console " + rows.owner, application)
    own = ibis.ifelse(rows.is_hosted & ~is_web, rows.device, None)
    machine = ibis.ifelse(is_cloud(rows), None, rows.machine)
    is_machine = ibis.coalesce(machine, own).notnull() | resource.isnull()
    return [(rows.activity == LOGOFF, f"{events.NOT_A_LOGON}: Logoff")], {
        "target": ibis.ifelse(is_machine, ibis.coalesce(rows.machine, rows.device), resource),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "action": ibis.ifelse(is_machine | rows.is_console | (resource == service), "logon", "sso"),
        "logon_type": logon_type(rows),
        "witness": ibis.ifelse(is_machine, host_view(rows), None),
    }


def ssh(rows: ir.Table) -> Parsed:
    is_over = rows.activity.notin((OPEN, FAIL, REFUSE))
    return [(is_over, f"{events.NOT_A_LOGON}: a connection continues or ends")], {
        "target": ibis.coalesce(rows.machine, rows.device),
        "target_kind": ibis.literal("machine"),
        "action": ibis.literal("logon"),
        "logon_type": logon_type(rows),
        "witness": host_view(rows),
    }


def privileges(rows: ir.Table) -> Parsed:
    is_assigned = rows.activity.identical_to(ASSIGN_PRIVILEGES)
    return [(~is_assigned, f"{events.NOT_A_LOGON}: no privileges")], {
        "target": ibis.coalesce(rows.machine, rows.device),
        "target_kind": ibis.literal("machine"),
        "detail": rows.file_path,
        "action": ibis.literal(events.PRIVILEGE),
    }


def smb(rows: ir.Table) -> Parsed:
    name = share(rows.machine, extract(rows.share, r"([^\\/]+)[\\/]*$", 1))
    return [], resource_or_machine(rows, name) | {
        "detail": rows.file_path,
        "action": ibis.literal("share_access"),
    }


def api(rows: ir.Table) -> Parsed:
    """An API call: to a bucket, another resource with an ARN, or a service; a sign-in to the AWS console."""
    arn = ibis.ifelse(rows.resource.startswith("arn:"), rows.resource, None)
    called = ibis.coalesce(
        "s3://" + extract(rows.resource, BUCKET, 1), arn, served(rows.application), rows.product_name
    )
    resource = ibis.ifelse(rows.is_console & rows.owner.notnull(), "AWS console " + rows.owner, called)
    return [], resource_or_machine(rows, resource) | {
        "detail": rows.operation,
        "action": ibis.literal("object_access"),
    }


def datastore(rows: ir.Table) -> Parsed:
    bucket = ibis.ifelse(rows.is_amazon, "s3://" + rows.bucket, rows.bucket)
    database = ibis.coalesce(rows.machine + "/" + rows.database, rows.database)
    resource = ibis.coalesce(bucket, database, rows.data_table)
    return [], resource_or_machine(rows, resource) | {
        "detail": ibis.coalesce(rows.data_table, rows.operation),
        "action": ibis.literal("object_access"),
    }


def file(rows: ir.Table) -> Parsed:
    """Access to a file in a site, in a share, or in a folder; or to a folder."""
    is_folder = rows.file_type == FOLDER
    shared = ibis.coalesce(
        extract(rows.file_path, SITE, 1),
        share(extract(rows.file_path, SHARE, 1), extract(rows.file_path, SHARE, 2)),
    )
    resource = ibis.coalesce(shared, ibis.ifelse(is_folder, rows.file_path, rows.folder))
    return [], resource_or_machine(rows, resource) | {
        "detail": ibis.ifelse(is_folder & shared.isnull(), ibis.null("string"), rows.file_path),
        "action": ibis.ifelse(is_folder, "share_access", "object_access"),
    }


def web(rows: ir.Table) -> Parsed:
    host = extract(rows.url, r"^\w+://([^/:?#]+)", 1)
    resource = ibis.coalesce(host, rows.url_host, rows.target_name, rows.product_name)
    return [], resource_or_machine(rows, resource) | {
        "detail": rows.url,
        "action": ibis.literal("object_access"),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    ROLES: role,
    TICKET_REQUESTS: ticket,
    LOGONS: logon,
    "ssh": ssh,
    "privileges": privileges,
    "smb": smb,
    "api": api,
    "datastore": datastore,
    "file": file,
    "web": web,
}
KIND = {  # of a record, by its class; Authentication has several
    SSH: "ssh",
    AUTHORIZATION: "privileges",
    SMB: "smb",
    API: "api",
    DATASTORE: "datastore",
    FILES: "file",
    **dict.fromkeys(WEB, "web"),
}


def is_cloud(rows: ir.Table) -> ir.BooleanValue:
    """Whether the log is of a service in the cloud: the device is then the person's own."""
    name = ibis.coalesce(rows.vendor, "") + " " + ibis.coalesce(rows.product_name, "")
    return name.re_search(CLOUDS)


def served(application: ir.StringValue) -> ir.StringValue:
    """The name of an application: of an address its host, and nothing of a path."""
    host = extract(application, r"^(?:\w+://)?((?:[\w-]+\.)+[\w-]+)(?:[:/?#]|$)", 1)
    return ibis.ifelse(application.re_search(PATH), None, ibis.coalesce(host, application))


# --- their parts --------------------------------------------------------------------------------------------


def resource_or_machine(rows: ir.Table, resource: ir.StringValue) -> Columns:
    """A resource as the target; the machine that the record names if there is none."""
    return {
        "target": ibis.coalesce(resource, rows.machine, rows.device),
        "target_kind": ibis.ifelse(resource.isnull(), "machine", "resource"),
    }


def logon_type(rows: ir.Table) -> ir.StringValue:
    return rows.logon_type_id.cases(*LOGON_TYPE.items(), else_=rows.logon_type_text)


def host_view(rows: ir.Table) -> ir.StringValue:
    """Of a logon that a domain controller may have seen too, this is the host's view; null for others."""
    return ibis.ifelse(rows.auth_package.isin(WINDOWS_PACKAGES), events.HOST, ibis.null("string"))


def extract(text: ir.StringValue, pattern: str, group: int) -> ir.StringValue:
    """A group of a pattern; null if it is empty or the pattern does not match."""
    return text.re_extract(pattern, group).nullif("")


def share(host: ir.StringValue, name: ir.StringValue) -> ir.StringValue:
    """A file share, spelt as all log sources spell it: `\\\\host\\name`, without the host's domain."""
    plain = ibis.ifelse(address(host).isnull(), host.re_replace(r"\..*$", ""), host)
    return ("\\\\" + plain + "\\" + name).lower()
