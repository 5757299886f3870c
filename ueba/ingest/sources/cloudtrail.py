"""AWS CloudTrail: records as its log files hold them, `{"Records": [...]}`, or one a line.

Console sign-in is a logon to `AWS console <account>`, taking a role `assume_role` to the role's ARN, any
other call `object_access` to the thing that the record names plainly (a bucket, a secret, an instance, a
role, ...), else to the service (`iam.amazonaws.com`); the call itself is the detail. `resource` lists what
counts as named.

Who a user is:
    IAM user                         alice@123456789012; as it is, if the name has an @
    root                             root@123456789012
    a role's session                 the person, where the log names one: its source identity, or a session name with an @ (which
                                     IAM Identity Center and SAML providers set); else role/NAME@account, the session's name being
                                     the actor. A role is in common use: by its name alone the people behind it would be one entity
    SAML, web identity, federated    the name that the provider gave; with @account if it has no @
    another account's principal      AIDA...@account; anonymous for public access
What AWS services do by themselves (AWSService, service-linked roles, service events) is dropped. What a
service does in the name of a user is kept: its source is the service, null for `AWS Internal`. Traps: a
denied AssumeRole has no parameters, its role is in the error message; the console's failure is in
responseElements and not in errorCode; a wrong name at the console is hidden, so such a record has no user; a
secret is called by its name and by an ARN that ends in six random characters, which are left out;
sourceIPAddress may be a name. Leaves out: tables of Athena and CloudTrail Lake (columns in lower case),
EventBridge envelopes, that an AssumeRole across accounts is logged in both, and whom a policy makes an
administrator. Format:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
and cloudtrail-event-reference-user-identity.html there.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, has_zone, iso_time, json_fields
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source

PARAMETERS = {  # of a request, that name a thing; what their values are is in `resource`
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
    "at": "eventTime",
    "service": "eventSource",
    "call": "eventName",
    "kind": "eventType",
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
KEYS = ("eventVersion", "eventTime", "eventSource", "eventName", "awsRegion")


def source(format: str, options: Options) -> Source:
    settings = {"format": format}
    flat = [path for given in PATHS.values() for path in ([given] if isinstance(given, str) else given)]
    return Source(format, settings, lambda lines, sample: read(lines), fields=tuple(flat))


def recognises(sample: Sample) -> int:
    """Objects with the fields that every record has."""
    return sum(
        all(isinstance(record.get(key), str) for key in KEYS) and isinstance(record.get("userIdentity"), dict)
        for record in sample.objects
    )


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = json_fields(lines, PATHS)
    is_role = rows.identity == "AssumedRole"
    rows = rows.mutate(
        ip=address(rows.address),
        is_sign_in=rows.call.isin((CONSOLE, PORTAL)) & (rows.service == SIGN_IN),
        is_role_taken=rows.call.isin(tuple(ASSUME)) & rows.service.isin((STS, SIGN_IN)),
        is_role=is_role,
        session_name=ibis.ifelse(is_role, rows.principal.re_extract(r":(.*)$", 1).nullif(""), None),
    )
    rows = rows.mutate(
        person=ibis.coalesce(
            rows.source_identity, ibis.ifelse(rows.session_name.contains("@"), rows.session_name, None)
        ),
        by_service=(rows.identity == "AWSService")
        | (rows.identity.isnull() & rows.invoked_by.notnull())
        | ((rows.kind == "AwsServiceEvent") & (rows.call != PORTAL))
        | rows.issuer_arn.contains(SERVICE_ROLE),
        is_switch=(rows.call == SWITCH) & rows.switched_from.notnull(),
    )
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            (rows.call.isnull() | rows.service.isnull() | rows["at"].isnull(), "not a CloudTrail record"),
            (rows.kind == "AwsCloudTrailInsight", f"{events.NOT_A_LOGON}: insight"),
            (rows.by_service, f"{events.NOT_A_LOGON}: AWS service"),
            (rows.call.isin(STEPS) & (rows.service == SIGN_IN), f"{events.NOT_A_LOGON}: step of a sign-in"),
            (rows.account_name == HIDDEN, "no user: AWS hides a name that does not exist"),
        ],
        time=iso_time(rows["at"]),
        user=ibis.ifelse(rows.is_switch, switched(rows.switched_from), account(rows)),
        actor=ibis.ifelse(rows.is_role & rows.person.isnull() & ~rows.is_switch, rows.session_name, None),
        user_id=account_id(rows),
        source=ibis.coalesce(rows.ip, ibis.ifelse(rows.address == INTERNAL, None, rows.address)),
        source_ip=rows.ip,
        target=ibis.cases(
            (rows.is_sign_in & (rows.call == CONSOLE), "AWS console " + rows.owner),
            (rows.is_sign_in, "AWS access portal " + rows.owner),
            (
                rows.call == SWITCH,
                ibis.coalesce(rows.issuer_arn, rows.arn.re_replace(ROLE_SESSION, r"arn:\1:iam::\2:role/\3")),
            ),
            (rows.is_role_taken, ibis.coalesce(rows.role, denied(rows.message), rows.resource)),
            else_=ibis.coalesce(resource(rows), rows.service),
        ),
        target_kind=ibis.literal("resource"),
        detail=rows.call,
        action=ibis.cases(
            (rows.is_role_taken, "assume_role"),
            (rows.is_sign_in | (rows.call.isin(TOKENS) & (rows.service == STS)), "logon"),
            else_="object_access",
        ),
        auth_package=ibis.ifelse(
            rows.is_sign_in | rows.is_role_taken,
            ibis.coalesce(
                rows.call.cases(
                    *((call, package) for call, package in ASSUME.items() if package), else_=None
                ),
                ibis.coalesce(rows.mfa, rows.session_mfa)
                .lower()
                .cases(("yes", "MFA"), ("true", "MFA"), ("no", "no MFA"), ("false", "no MFA")),
            ),
            None,
        ),
        outcome=ibis.cases(
            (rows.error.notnull(), "failure"),
            (rows.console.notnull(), ibis.ifelse(rows.console.lower() == "success", "success", "failure")),
            else_=ibis.ifelse(rows.is_sign_in, "unknown", "success"),
        ),
        outcome_reason=ibis.coalesce(rows.error, ibis.ifelse(rows.is_sign_in, rows.message, None)),
        reporter=rows.owner,
        session=ibis.coalesce(rows.new_session, ibis.ifelse(rows.is_role, rows.arn, None)),
        code=rows.call,
        event_id=rows.uuid,
        note=ibis.ifelse(has_zone(rows["at"]), None, "time without a zone: taken as UTC"),
    )


def account(rows: ir.Table) -> ir.StringValue:
    """Who called, as the module says."""
    where = "@" + ibis.coalesce(rows.account_id, rows.owner)
    given = ibis.coalesce(rows.account_name, rows.center_name, rows.center_id)
    return ibis.cases(
        (rows.account_id == ANONYMOUS, "anonymous"),
        (rows.is_role & rows.person.notnull(), rows.person),
        (
            rows.is_role,
            "role/"
            + ibis.coalesce(rows.issuer_name, rows.arn.re_extract(ROLE_SESSION, 3).nullif(""))
            + where,
        ),
        (rows.identity == "Root", "root" + where),
        (given.contains("@"), given),
        (given.notnull(), given + where),
        (rows.identity == "FederatedUser", rows.principal.re_extract(r":(.*)$", 1).nullif("") + where),
        else_=ibis.coalesce(
            rows.principal.split(":")[0].nullif(""), rows.arn.re_extract(r"[^:/]+$", 0).nullif("")
        )
        + where,
    )


def account_id(rows: ir.Table) -> ir.StringValue:
    """AWS's own name for `account`: of a person in a role's session it has none, the role's would make one
    of all its people."""
    return ibis.cases(
        (rows.center_id.notnull(), rows.center_id),
        (rows.is_switch | (rows.is_role & rows.person.notnull()), None),
        (rows.is_role, ibis.coalesce(rows.issuer_id, rows.principal.split(":")[0])),
        (rows.identity == "AWSAccount", rows.principal.split(":")[0]),
        else_=ibis.coalesce(rows.principal, rows.arn.nullif("")),
    )


def switched(arn: ir.StringValue) -> ir.StringValue:
    """`alice@account` or `role/NAME@account` of the ARN that a console session switched from."""
    user = arn.re_replace(r"^arn:[\w-]+:iam::(\d+):user/(?:.*/)?([^/]+)$", r"\2@\1")
    return once(user, lambda name: name.re_replace(ROLE_SESSION, r"role/\3@\2"))


def denied(message: ir.StringValue) -> ir.StringValue:
    """The ARN that a call was denied on."""
    return message.re_extract(r'on resource: "?(arn:[^\s"]+)', 1).nullif("")


def resource(rows: ir.Table) -> ir.StringValue:
    """What a call is about, where the record names one thing plainly: a bucket as s3://name, all else by its
    ARN."""
    region = rows.region
    partition = ibis.cases(
        (region.startswith("cn-"), "aws-cn"), (region.startswith("us-gov-"), "aws-us-gov"), else_="aws"
    )

    def named(service: str, thing: str, value: ir.StringValue, place: ir.StringValue = region) -> events.Case:
        """What a service calls by its ARN, or by a last part to which `ec2:instance/` and the like lead."""
        owner, prefix = thing.split(":", 1)
        made = "arn:" + partition + f":{owner}:" + place + ":" + rows.owner + f":{prefix}" + value
        return (rows.service == f"{service}.amazonaws.com") & value.notnull(), ibis.ifelse(
            is_arn(value), value, made
        )

    everywhere = ibis.literal("")
    instance = ibis.ifelse(rows.instance.startswith("i-"), rows.instance, None)
    parameter = ibis.ifelse(rows.call.contains("Parameter"), rows.name.re_replace("^/", ""), None)
    arn = ibis.coalesce(rows.resource, denied(rows.message))
    return ibis.cases(
        (rows.service.startswith("s3") & rows.bucket.notnull() & ~is_arn(rows.bucket), "s3://" + rows.bucket),
        named(
            "secretsmanager",
            "secretsmanager:secret:",
            ibis.coalesce(rows.secret, rows.name).re_replace(SECRET_ARN, r"\1"),
        ),
        (arn.contains(":s3:::"), arn.re_replace(S3_ARN, r"s3://\1")),
        (is_arn(arn), arn),
        named("lambda", "lambda:function:", rows.function),
        named("dynamodb", "dynamodb:table/", rows.table),
        named("rds", "rds:db:", rows.database),
        named("rds", "rds:snapshot:", rows.snapshot),
        named(
            "kms",
            "kms:",
            ibis.ifelse(is_arn(rows.key) | rows.key.startswith("alias/"), rows.key, "key/" + rows.key),
        ),
        named("ssm", "ssm:parameter/", parameter),
        named("ssm", "ec2:instance/", instance),
        named("ec2", "ec2:instance/", instance),
        named("iam", "iam:role/", rows.role_name, everywhere),
        named("iam", "iam:user/", rows.user_name, everywhere),
    )


def is_arn(name: ir.StringValue) -> ir.BooleanValue:
    return name.startswith("arn:")
