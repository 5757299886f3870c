"""OCSF: Authentication (3002), privileges (3003), SMB (4006), SSH (4007), Application Activity (6001,
6003-6006), JSON or Parquet.

Versions 1.0-rc to 1.6, as Amazon Security Lake, Splunk, Tenzir and others write them. What is reached is, in
a logon, the machine `dst_endpoint`; without one the application `service`, and the logon a sign-on to it
(sso). A service ticket reaches the machine of its `service` (`HOST$`, `cifs/host`), or the account that is
its service. An API call reaches the role it assumes, the bucket it touches, or its service. A file is the
detail of its folder or site.

Of AWS, a user is `name@account`; of a role's session the person, where the session is named by an address,
else the role (`role/NAME@account`) and the session's name the actor; a console is `AWS console <account>`:
as CloudTrail itself is read.

Traps: `time` is in milliseconds by the schema, seconds in some logs; `status` may stand alone, without its
number; `actor` of a Windows logon is the machine itself; a device is the machine that wrote the record under
the profile `host`, else anything. Leaves out other classes, logoffs, and steps of an AWS sign-in. Fields:
https://schema.ocsf.io, AWS mappings: https://github.com/ocsf/examples/tree/main/mappings/markdown/AWS.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    account,
    address,
    any_time,
    has_zone,
    is_local,
    is_ticket_service,
    json_fields,
    kerberos_machine,
)
from ueba.ingest.sources import Options, Sample, Source, windows

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
WINDOWS_PACKAGES = ("NTLM", "Kerberos")  # a controller sees such a logon too
AMAZON, CONSOLE = "AWS", "ConsoleLogin"
STEPS = (
    "CheckMfa",
    "CredentialChallenge",
    "CredentialVerification",
)  # of a sign-in to AWS, which has a record of its own
AWS_USER = r"^arn:[\w-]+:iam::(\d+):(?:user/(?:.*/)?)?([^/:]+)$"  # a user, or root
AWS_ROLE = r"^arn:[\w-]+:sts::(\d+):assumed-role/([^/]+)/(.*)$"
MFA = {"true": "MFA", "false": "no MFA"}
OUTCOME = {"1": "success", "2": "failure", "success": "success", "failure": "failure", "failed": "failure"}

ROLE = r'"roleArn"\s*:\s*"([^"]+)"'  # in the request of an API call, JSON in a text
BUCKET = r"^arn:[\w-]+:s3:::([^/]+)"
SITE = r"^(https?://[^/]+/(?:sites|teams|personal)/[^/]+)"  # of SharePoint
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
    "user_name": ("user.name", "user.email_addr"),
    "domain": "user.domain",
    "user_uid": "user.uid",
    "actor_name": ("actor.user.name", "actor.user.email_addr", "identity.user.name"),
    "actor_domain": "actor.user.domain",
    "actor_uid": ("actor.user.uid", "identity.user.uid"),
    "actor_uuid": ("actor.user.uuid", "identity.user.uuid"),  # the ARN, in versions before 1.0
    "actor_uid_alt": "actor.user.uid_alt",
    "source_name": ("src_endpoint.hostname", "src_endpoint.name", "src_endpoint.domain"),
    "source_address": "src_endpoint.ip",
    "is_remote": "is_remote",
    "is_mfa": "is_mfa",
    "target_name": ("dst_endpoint.hostname", "dst_endpoint.name"),
    "target_address": "dst_endpoint.ip",
    "device": ("device.hostname", "device.name", "device.ip"),
    "service": "service.name",
    "application": ("dst_endpoint.svc_name", "dst_endpoint.domain", "api.service.name"),
    "product_name": "metadata.product.name",
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


def source(format: str, options: Options) -> Source:
    """Times are UTC by the schema."""
    paths = [path for each in FIELDS.values() for path in ([each] if isinstance(each, str) else each)]
    return Source(format, {"format": format}, lambda lines, sample: read(lines), fields=tuple(paths))


def recognises(sample: Sample) -> int:
    """Objects with the number of a class and one of the other required attributes."""
    return sum(
        "class_uid" in each and bool({"activity_id", "type_uid", "metadata"} & each.keys())
        for each in sample.objects
    )


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = json_fields(lines, FIELDS)
    rows = rows.mutate(class_uid=rows.class_uid.try_cast("int64"), activity=rows.activity.try_cast("int64"))
    rows = rows.mutate(
        is_logon=(rows.class_uid == AUTHENTICATION) | (rows.class_uid == SSH),
        is_assume_role=rows.operation.startswith("AssumeRole").fill_null(False),
        is_ticket=(rows.class_uid == AUTHENTICATION) & rows.activity.isin((*TICKETS,)),
        is_hosted=rows.profiles.contains('"host"').fill_null(False),
        machine=ibis.coalesce(rows.target_name, address(rows.target_address)),
        source_ip=address(rows.source_address),
        is_amazon=(rows.provider == AMAZON).fill_null(False),
        is_console=(rows.operation == CONSOLE).fill_null(False),
        arn=ibis.coalesce(
            *(
                ibis.ifelse(each.startswith("arn:"), each, None)
                for each in (rows.actor_uid, rows.actor_uuid, rows.user_uid)
            )
        ),
        auth_package=ibis.coalesce(
            rows.protocol_id.cases(*PROTOCOL.items(), else_=rows.protocol_text),
            rows.method_id.cases(*SSH_METHOD.items(), else_=rows.method_text),
            ibis.ifelse(
                rows.provider == AMAZON, rows.is_mfa.cases(*MFA.items(), else_=ibis.null("string")), None
            ),
        ),
    )
    rows = rows.mutate(**who(rows))
    rows = rows.mutate(**reached(rows))
    device = ibis.ifelse(rows.target_kind == "machine", rows.target, rows.device)
    stays = is_local(ibis.coalesce(rows.source_name, rows.source_address)) | (
        rows.source_name.isnull() & rows.source_ip.isnull() & (rows.is_remote == "false")
    )
    reporter = ibis.coalesce(rows.device, rows.cloud_account, rows.product_name)
    has_failed = rows.activity.isin((FAIL, REFUSE)) & (rows.class_uid == SSH)
    outcome = ibis.coalesce(
        status(rows.status), status(rows.status_text), ibis.ifelse(rows.api_error.notnull(), "failure", None)
    )
    outcome = ibis.ifelse(has_failed, "failure", ibis.coalesce(outcome, "unknown"))
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            (rows.class_uid.isnull(), "not an OCSF record"),
            (rows.is_amazon & rows.operation.isin(STEPS), f"{events.NOT_A_LOGON}: step of a sign-in"),
            (rows.class_uid.notin(CLASSES), f"{events.NOT_A_LOGON}: another class"),
            (rows.user.lower().startswith("nt authority\\"), f"{events.NOT_A_LOGON}: system account"),
            ((rows.class_uid == AUTHENTICATION) & (rows.activity == LOGOFF), f"{events.NOT_A_LOGON}: Logoff"),
            (
                (rows.class_uid == AUTHORIZATION) & ~rows.activity.identical_to(ASSIGN_PRIVILEGES),
                f"{events.NOT_A_LOGON}: no privileges",
            ),
            (
                (rows.class_uid == SSH) & rows.activity.notin((OPEN, FAIL, REFUSE)),
                f"{events.NOT_A_LOGON}: a connection goes on or ends",
            ),
        ],
        time=ibis.coalesce(any_time(rows.at), any_time(rows.time_dt)),
        source=ibis.ifelse(stays.fill_null(False), device, ibis.coalesce(rows.source_name, rows.source_ip)),
        target_ip=ibis.ifelse(rows.target_kind == "machine", address(rows.target_address), None),
        logon_type=ibis.ifelse(
            rows.is_logon,
            rows.logon_type_id.cases(*LOGON_TYPE.items(), else_=rows.logon_type_text),
            ibis.null("string"),
        ),
        outcome=outcome,
        outcome_reason=ibis.ifelse(outcome == "failure", rows.reason, None),
        reporter=reporter,
        session=ibis.ifelse(
            rows.is_amazon, rows.session_uid, rows.device.lower() + ":" + rows.session_uid.lower()
        ),
        witness=ibis.cases(
            (rows.is_ticket, events.CONTROLLER),
            (
                rows.is_logon & (rows.target_kind == "machine") & rows.auth_package.isin(WINDOWS_PACKAGES),
                events.HOST,
            ),
            else_=ibis.null("string"),
        ),
        code=rows.event_code,
        event_id=rows.uid,
        note=ibis.ifelse(rows.at.contains(":") & ~has_zone(rows.at), NO_ZONE, ibis.null("string")),
    )


def status(text: ir.StringValue) -> ir.StringValue:
    """The outcome that a status is, by number or by name; null for others."""
    return text.lower().cases(*OUTCOME.items(), else_=ibis.null("string"))


def who(rows: ir.Table) -> dict[str, ir.StringValue]:
    """The account that was used, what the directory calls it, and the account that used it.

    Of an authentication `user` is the account; `actor` is who asked for it, and stands alone in AWS logs, or
    is the machine itself in Windows logs. Of other classes it is `actor`."""
    is_same = rows.user_uid.isnull() | (rows.user_uid == rows.actor_uid)
    named = account(rows.actor_name, rows.actor_domain)
    actor = ibis.coalesce(named, rows.actor_uid, rows.actor_uid_alt)
    user = ibis.coalesce(
        account(rows.user_name, rows.domain), ibis.ifelse(is_same, named, None), rows.user_uid
    )
    is_user = (rows.class_uid <= AUTHORIZATION) & ~rows.is_assume_role
    by_other = (
        is_user
        & rows.user_name.notnull()
        & (rows.actor_name != rows.user_name)
        & ~rows.actor_name.endswith("$")
    )
    own_id = ibis.coalesce(rows.user_uid, ibis.ifelse(rows.user_name.isnull(), rows.actor_uid, None))
    amazon = aws_user(
        rows.arn, ibis.coalesce(named, account(rows.user_name, rows.domain)), rows.cloud_account
    )
    session = extract(rows.arn, AWS_ROLE, 3)
    return {
        "user": ibis.ifelse(
            rows.is_amazon,
            amazon,
            ibis.ifelse(is_user, ibis.coalesce(user, actor), ibis.coalesce(actor, user)),
        ),
        "user_id": ibis.cases(
            (
                rows.is_amazon & session.contains("@"),
                ibis.null("string"),
            ),  # the role's, which is not the person's
            (rows.is_amazon, ibis.coalesce(rows.actor_uid_alt.split(":")[0], rows.arn)),
            (is_user, own_id),
            else_=rows.actor_uid,
        ),
        "actor": ibis.cases(
            (rows.is_amazon, ibis.ifelse(session.contains("@"), None, session)),
            (by_other, named),
            else_=ibis.null("string"),
        ),
    }


def aws_user(arn: ir.StringValue, name: ir.StringValue, owner: ir.StringValue) -> ir.StringValue:
    """The user that an ARN names, or a name without one in an account."""
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


def reached(rows: ir.Table) -> dict[str, ir.StringValue]:
    """The target, what in it, and how."""
    is_service_ticket = rows.is_ticket & rows.activity.isin((SERVICE_TICKET, RENEWAL))
    by_kerberos = ibis.ifelse(is_service_ticket, kerberos_machine(rows.service), None)
    own = ibis.ifelse(rows.is_hosted, rows.device, None)
    needs_machine = (
        by_kerberos.notnull()
        | (rows.is_ticket & (~is_service_ticket | rows.service.isnull() | is_ticket_service(rows.service)))
        | (rows.is_logon & ~rows.is_ticket & ibis.coalesce(rows.machine, own).notnull())
        | rows.class_uid.isin((AUTHORIZATION, SSH))
    ) & ~rows.is_assume_role
    machine = ibis.coalesce(by_kerberos, rows.machine, rows.device)
    role = ibis.coalesce(
        rows.resource,
        ibis.ifelse(rows.class_uid == AUTHENTICATION, rows.user_uid, None),
        rows.request.re_extract(ROLE, 1).nullif(""),
    )
    bucket, arn = (
        extract(rows.resource, BUCKET, 1),
        ibis.ifelse(rows.resource.startswith("arn:"), rows.resource, None),
    )
    stored = ibis.ifelse(rows.is_amazon, "s3://" + rows.bucket, rows.bucket)
    url_host = extract(rows.url, r"^\w+://([^/:?#]+)", 1)
    is_folder = rows.file_type == FOLDER
    shared = ibis.coalesce(
        extract(rows.file_path, SITE, 1),
        share(extract(rows.file_path, SHARE, 1), extract(rows.file_path, SHARE, 2)),
    )
    resource = ibis.cases(
        (rows.is_assume_role, role),
        (rows.is_console & rows.is_amazon, "AWS console " + rows.cloud_account),
        (rows.class_uid == AUTHENTICATION, ibis.coalesce(rows.service, rows.application)),
        (rows.class_uid == SMB, share(rows.machine, extract(rows.share, r"([^\\/]+)[\\/]*$", 1))),
        (rows.class_uid == API, ibis.coalesce("s3://" + bucket, arn, rows.application, rows.product_name)),
        (
            rows.class_uid == DATASTORE,
            ibis.coalesce(stored, rows.machine + "/" + rows.database, rows.database, rows.data_table),
        ),
        (rows.class_uid == FILES, ibis.coalesce(shared, ibis.ifelse(is_folder, rows.file_path, rows.folder))),
        (
            rows.class_uid.isin(WEB),
            ibis.coalesce(url_host, rows.url_host, rows.target_name, rows.product_name),
        ),
        else_=ibis.null("string"),
    )
    is_machine = needs_machine | resource.isnull()
    return {
        "target": ibis.ifelse(needs_machine, machine, ibis.coalesce(resource, machine)),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "detail": ibis.cases(
            (rows.is_assume_role | rows.is_logon, ibis.null("string")),
            (rows.class_uid == API, rows.operation),
            (rows.class_uid == DATASTORE, ibis.coalesce(rows.data_table, rows.operation)),
            (rows.class_uid.isin(WEB), rows.url),
            ((rows.class_uid == FILES) & is_folder & shared.isnull(), ibis.null("string")),
            else_=rows.file_path,
        ),
        "action": ibis.cases(
            (rows.is_assume_role, "assume_role"),
            (rows.is_ticket, rows.activity.cases(*TICKETS.items(), else_="ticket")),
            (rows.is_logon, ibis.ifelse(is_machine | rows.is_console, "logon", "sso")),
            (rows.class_uid == AUTHORIZATION, events.PRIVILEGE),
            ((rows.class_uid == SMB) | ((rows.class_uid == FILES) & is_folder), "share_access"),
            else_="object_access",
        ),
    }


def extract(text: ir.StringValue, pattern: str, group: int) -> ir.StringValue:
    """A part of a text; null where there is none."""
    return text.re_extract(pattern, group).nullif("")


def share(host: ir.StringValue, name: ir.StringValue) -> ir.StringValue:
    """A file share as every source names it."""
    plain = ibis.ifelse(address(host).isnull(), host.re_replace(r"\..*$", ""), host)
    return ("\\\\" + plain + "\\" + name).lower()
