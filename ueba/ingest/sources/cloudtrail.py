"""AWS CloudTrail: records as its log files hold them, `{"Records": [...]}`, or one a line.

    sign-in to the console or access portal    logon to `AWS console <account>`, `AWS access portal <account>`
    a role taken                               assume_role to the role's ARN
    a temporary token requested                logon to the service
    any other call                             object_access to what the record names plainly (a bucket, a
                                               secret, an instance, a role: see `resource`), else to the
                                               service

The call itself is the detail.

The user of a record:
    IAM user                         alice@123456789012; a name that contains @ is not changed
    root                             root@123456789012
    a role's session                 the person, if the record names one: the source identity, or a session
                                     name with @ (of IAM Identity Center and SAML providers); else
                                     role/NAME@account, and the session's name is the actor. A role is shared:
                                     its name alone would make one entity of all its people
    SAML, web identity, federated    the name that the provider gave; with @account if it has no @
    another account's principal      AIDA...@account; anonymous for public access

Calls that AWS services make by themselves (AWSService, service-linked roles, service events) are dropped.
Calls that a service makes for a user are kept: their source is the service, null for `AWS Internal`.

Traps: a denied AssumeRole has no parameters, its role is in the error message; a failed console sign-in is in
responseElements and not in errorCode; the name of a user who does not exist is hidden, so such a record has
no user; a secret is called by its name or by an ARN that ends with six random characters, which are removed;
sourceIPAddress may be a name. Leaves out: tables of Athena and CloudTrail Lake (columns in lower case), that
an AssumeRole across accounts is logged in both accounts, and whom a policy makes an administrator. Format:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html and
cloudtrail-event-reference-user-identity.html there.
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
)
from ueba.ingest.identity import once
from ueba.ingest.sources import LogSource, Options, Sample

PARAMETERS = {  # of a request, that name what it is about: see `resource`
    "bucket": ("requestParameters.bucketName", "requestParameters.bucket"),
    "secret": "requestParameters.secretId",
    "name": "requestParameters.name",
    "key": "requestParameters.keyId",
    "function": "requestParameters.functionName",
    "table": "requestParameters.tableName",
    "database": "requestParameters.dBInstanceIdentifier",
    "snapshot": "requestParameters.dBSnapshotIdentifier",
    "instance": (
        "requestParameters.instanceId",
        "/requestParameters/instanceIds/0",
        "requestParameters.target",
    ),
    "role_name": "requestParameters.roleName",
    "user_name": "requestParameters.userName",
}
PATHS = PARAMETERS | {
    "at": ("eventTime", "@timestamp"),
    "service": "eventSource",
    "call": "eventName",
    "type": "eventType",
    "region": "awsRegion",
    "uuid": "eventID",
    "owner": ("recipientAccountId", "userIdentity.accountId"),
    "address": "sourceIPAddress",
    "error": "errorCode",
    "message": "errorMessage",
    "identity": "userIdentity.type",
    "principal": "userIdentity.principalId",
    "arn": "userIdentity.arn",
    "account_id": "userIdentity.accountId",
    "account_name": "userIdentity.userName",
    "invoked_by": "userIdentity.invokedBy",
    "issuer_arn": "userIdentity.sessionContext.sessionIssuer.arn",
    "issuer_name": "userIdentity.sessionContext.sessionIssuer.userName",
    "issuer_id": "userIdentity.sessionContext.sessionIssuer.principalId",
    "session_mfa": "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "source_identity": "userIdentity.sessionContext.sourceIdentity",
    "center_id": "userIdentity.onBehalfOf.userId",
    "center_name": "additionalEventData.UserName",
    "mfa": "additionalEventData.MFAUsed",
    "switched_from": "additionalEventData.SwitchFrom",
    "console": (
        "responseElements.ConsoleLogin",
        "responseElements.SwitchRole",
        "serviceEventDetails.UserAuthentication",
    ),
    "role": "requestParameters.roleArn",
    "new_session": "responseElements.assumedRoleUser.arn",
    "resource": "/resources/0/ARN",
}
CONSOLE, PORTAL, SWITCH = "ConsoleLogin", "UserAuthentication", "SwitchRole"
ASSUME = {
    "AssumeRole": None,
    "AssumeRoleWithSAML": "SAML",
    "AssumeRoleWithWebIdentity": "OpenID Connect",
    SWITCH: None,
}
SIGN_INS, ROLES, TOKEN_CALLS, CALLS = "sign-in", "role", "token", "call"  # kinds of records
CONSOLE_OUTCOME = {"success": "success", "failure": "failure"}
TOKENS = ("GetSessionToken", "GetFederationToken")
STEPS = ("CheckMfa", "CredentialChallenge", "CredentialVerification")
SIGN_IN, STS = "signin.amazonaws.com", "sts.amazonaws.com"
SERVICE_ROLE = ":role/aws-service-role/"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
ANONYMOUS = "ANONYMOUS_PRINCIPAL"
INTERNAL = "AWS Internal"
S3_ARN = r"^arn:[\w-]+:s3:::([^/]+).*$"
SECRET_ARN = r"^(arn:.*)-\w{6}$"
ROLE_SESSION = r"^arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.*$"
KEYS = ("eventVersion", "eventSource", "eventName", "awsRegion")
TIMES = ("eventTime", "@timestamp")  # Logstash moves the time


def source(format: str, options: Options) -> LogSource:
    """Times are UTC."""
    return LogSource(format, {"format": format}, lambda lines, facts: read(lines), fields=all_paths(PATHS))


def recognises(sample: Sample) -> int:
    """Objects with the fields that every record has."""
    return sum(
        all(isinstance(record.get(key), str) for key in KEYS)
        and any(isinstance(record.get(key), str) for key in TIMES)
        and isinstance(record.get("userIdentity"), dict)
        for record in sample.objects
    )


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = with_kind(with_fields(lines))
    cases, columns = by_kind(rows.kind, {kind: stage(rows) for kind, stage in KINDS.items()})
    outcome = ibis.cases(
        (rows.error.notnull(), "failure"),
        (rows.console.notnull(), rows.console.lower().cases(*CONSOLE_OUTCOME.items(), else_="unknown")),
        else_=ibis.ifelse(rows.kind == SIGN_INS, "unknown", "success"),
    )
    has_shared_name = rows.is_role & rows.person.isnull() & ~rows.is_switch
    return events.finish(
        rows,
        [*dropped(rows), *cases],
        **columns
        | {
            "time": any_time(rows["at"]),
            "user": ibis.ifelse(rows.is_switch, switched(rows.switched_from), account(rows)),
            "actor": ibis.ifelse(has_shared_name, rows.session_name, None),
            "user_id": account_id(rows),
            "source": ibis.coalesce(rows.ip, rows.address.nullif(INTERNAL)),
            "source_ip": rows.ip,
            "target_kind": ibis.literal("resource"),
            "detail": rows.call,
            "outcome": outcome,
            "outcome_reason": ibis.coalesce(rows.error, columns["outcome_reason"]),
            "reporter": rows.owner,
            "session": ibis.coalesce(rows.new_session, ibis.ifelse(rows.is_role, rows.arn, None)),
            "code": rows.call,
            "event_id": rows.uuid,
            "note": ibis.ifelse(has_zone(rows["at"]), None, "time without a zone: taken as UTC"),
        },
    )


def with_fields(lines: ir.Table) -> ir.Table:
    """lines with the fields of their records, and who called: the `session_name` of a role, the `person` who
    took it, and whether an AWS service called by itself."""
    rows = json_fields(lines, PATHS)
    is_role = rows.identity == "AssumedRole"
    rows = rows.mutate(
        ip=address(rows.address),
        is_role=is_role,
        session_name=ibis.ifelse(is_role, rows.principal.re_extract(r":(.*)$", 1).nullif(""), None),
    )
    named = ibis.ifelse(rows.session_name.contains("@"), rows.session_name, None)
    return rows.mutate(
        person=ibis.coalesce(rows.source_identity, named),
        is_by_service=(rows.identity == "AWSService")
        | (rows.identity.isnull() & rows.invoked_by.notnull())
        | ((rows.type == "AwsServiceEvent") & (rows.call != PORTAL))
        | rows.issuer_arn.contains(SERVICE_ROLE),
        is_switch=(rows.call == SWITCH) & rows.switched_from.notnull(),
    )


def with_kind(rows: ir.Table) -> ir.Table:
    """rows with `kind`: one of KINDS"""
    return rows.mutate(
        kind=ibis.cases(
            (rows.call.isin((CONSOLE, PORTAL)) & (rows.service == SIGN_IN), SIGN_INS),
            (rows.call.isin(tuple(ASSUME)) & rows.service.isin((STS, SIGN_IN)), ROLES),
            (rows.call.isin(TOKENS) & (rows.service == STS), TOKEN_CALLS),
            else_=CALLS,
        )
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record of any kind is dropped."""
    return [
        (~rows.is_json, "not JSON"),
        (rows.call.isnull() | rows.service.isnull() | rows["at"].isnull(), "not a CloudTrail record"),
        (rows.type == "AwsCloudTrailInsight", f"{events.NOT_A_LOGON}: insight"),
        (rows.is_by_service, f"{events.NOT_A_LOGON}: AWS service"),
        (rows.call.isin(STEPS) & (rows.service == SIGN_IN), f"{events.NOT_A_LOGON}: step of a sign-in"),
        (rows.account_name == HIDDEN, "no user: AWS hides a name that does not exist"),
    ]


# --- kinds of records ---------------------------------------------------------------------------------------


def sign_in(rows: ir.Table) -> Parsed:
    place = ibis.ifelse(rows.call == CONSOLE, "AWS console ", "AWS access portal ")
    return [], {
        "target": place + rows.owner,
        "action": ibis.literal("logon"),
        "auth_package": factor(rows),
        "outcome_reason": rows.message,
    }


def role(rows: ir.Table) -> Parsed:
    """A role taken: by a call, or in the console (SwitchRole), whose session it then is."""
    switched_to = ibis.coalesce(rows.issuer_arn, rows.arn.re_replace(ROLE_SESSION, r"arn:\1:iam::\2:role/\3"))
    taken = ibis.coalesce(rows.role, denied(rows.message), rows.resource)
    packages = [(call, package) for call, package in ASSUME.items() if package]
    return [], {
        "target": ibis.ifelse(rows.call == SWITCH, switched_to, taken),
        "action": ibis.literal("assume_role"),
        "auth_package": ibis.coalesce(rows.call.cases(*packages, else_=None), factor(rows)),
    }


def token(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(resource(rows), rows.service),
        "action": ibis.literal("logon"),
    }


def call(rows: ir.Table) -> Parsed:
    return [], {
        "target": ibis.coalesce(resource(rows), rows.service),
        "action": ibis.literal("object_access"),
    }


KINDS: dict[str, Callable[[ir.Table], Parsed]] = {
    SIGN_INS: sign_in,
    ROLES: role,
    TOKEN_CALLS: token,
    CALLS: call,
}


def factor(rows: ir.Table) -> ir.StringValue:
    """Whether a second factor was used; null if the record does not say."""
    used = ibis.coalesce(rows.mfa, rows.session_mfa).lower()
    return used.cases(("yes", "MFA"), ("true", "MFA"), ("no", "no MFA"), ("false", "no MFA"))


# --- who, and what ------------------------------------------------------------------------------------------


def account(rows: ir.Table) -> ir.StringValue:
    """The user of a record, as the table above says."""
    where = "@" + ibis.coalesce(rows.account_id, rows.owner)
    name = ibis.coalesce(rows.account_name, rows.center_name, rows.center_id)
    of_role = ibis.coalesce(rows.issuer_name, rows.arn.re_extract(ROLE_SESSION, 3).nullif(""))
    return ibis.cases(
        (rows.account_id == ANONYMOUS, "anonymous"),
        (rows.is_role & rows.person.notnull(), rows.person),
        (rows.is_role, "role/" + of_role + where),
        (rows.identity == "Root", "root" + where),
        (name.contains("@"), name),
        (name.notnull(), name + where),
        (rows.identity == "FederatedUser", rows.principal.re_extract(r":(.*)$", 1).nullif("") + where),
        else_=ibis.coalesce(
            rows.principal.split(":")[0].nullif(""), rows.arn.re_extract(r"[^:/]+$", 0).nullif("")
        )
        + where,
    )


def account_id(rows: ir.Table) -> ir.StringValue:
    """AWS's identifier of `account`. A person in a role's session has none: the role's would make one entity
    of all its people."""
    return ibis.cases(
        (rows.center_id.notnull(), rows.center_id),
        (rows.is_switch | (rows.is_role & rows.person.notnull()), None),
        (rows.is_role, ibis.coalesce(rows.issuer_id, rows.principal.split(":")[0])),
        (rows.identity == "AWSAccount", rows.principal.split(":")[0]),
        else_=ibis.coalesce(rows.principal, rows.arn.nullif("")),
    )


def switched(arn: ir.StringValue) -> ir.StringValue:
    """`alice@account` or `role/NAME@account`, from the ARN of the session that switched to a role."""
    user = arn.re_replace(r"^arn:[\w-]+:iam::(\d+):user/(?:.*/)?([^/]+)$", r"\2@\1")
    return once(user, lambda name: name.re_replace(ROLE_SESSION, r"role/\3@\2"))


def denied(message: ir.StringValue) -> ir.StringValue:
    """The ARN in the message of a denied call."""
    return message.re_extract(r'on resource: "?(arn:[^\s"]+)', 1).nullif("")


def resource(rows: ir.Table) -> ir.StringValue:
    """What a call is about, if the record names one thing plainly: a bucket as s3://name, all else by its
    ARN."""
    arn = ibis.coalesce(rows.resource, denied(rows.message))
    is_bucket = rows.service.startswith("s3") & rows.bucket.notnull() & ~is_arn(rows.bucket)
    secret = ibis.coalesce(rows.secret, rows.name).re_replace(SECRET_ARN, r"\1")
    is_alias = is_arn(rows.key) | rows.key.startswith("alias/")
    parameter = ibis.ifelse(rows.call.contains("Parameter"), rows.name.re_replace("^/", ""), None)
    instance = ibis.ifelse(rows.instance.startswith("i-"), rows.instance, None)
    everywhere = ibis.literal("")
    return ibis.cases(
        (is_bucket, "s3://" + rows.bucket),
        named(rows, "secretsmanager", "secretsmanager:secret:", secret),
        (arn.contains(":s3:::"), arn.re_replace(S3_ARN, r"s3://\1")),
        (is_arn(arn), arn),
        named(rows, "lambda", "lambda:function:", rows.function),
        named(rows, "dynamodb", "dynamodb:table/", rows.table),
        named(rows, "rds", "rds:db:", rows.database),
        named(rows, "rds", "rds:snapshot:", rows.snapshot),
        named(rows, "kms", "kms:", ibis.ifelse(is_alias, rows.key, "key/" + rows.key)),
        named(rows, "ssm", "ssm:parameter/", parameter),
        named(rows, "ssm", "ec2:instance/", instance),
        named(rows, "ec2", "ec2:instance/", instance),
        named(rows, "iam", "iam:role/", rows.role_name, everywhere),
        named(rows, "iam", "iam:user/", rows.user_name, everywhere),
    )


def named(
    rows: ir.Table, service: str, prefix: str, name: ir.StringValue, region: ir.StringValue | None = None
) -> events.Case:
    """The case that a service's call names a thing, and the ARN of that thing.

    prefix: the parts of the ARN around region and account, `ec2:instance/`; name: an ARN, or its last part
    """
    owner, kind = prefix.split(":", 1)
    partition = ibis.cases(
        (rows.region.startswith("cn-"), "aws-cn"),
        (rows.region.startswith("us-gov-"), "aws-us-gov"),
        else_="aws",
    )
    place = rows.region if region is None else region
    arn = "arn:" + partition + f":{owner}:" + place + ":" + rows.owner + f":{kind}" + name
    is_named = (rows.service == f"{service}.amazonaws.com") & name.notnull()
    return is_named, ibis.ifelse(is_arn(name), name, arn)


def is_arn(name: ir.StringValue) -> ir.BooleanValue:
    return name.startswith("arn:")
