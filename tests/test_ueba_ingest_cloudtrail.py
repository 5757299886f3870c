"""CloudTrail records -> events; expected events are worked out by hand, those of the real files by Python's
json."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, cloudtrail

REAL = Path(__file__).parents[2] / "shared/data/cloudtrail/CloudTrail"
SHOWN = ("user", "source", "target", "action", "auth_package", "outcome", "outcome_reason", "dropped")
ALICE = {
    "type": "IAMUser",
    "principalId": "AIDA1",
    "arn": "arn:aws:iam::123:user/Alice",
    "accountId": "123",
    "userName": "Alice",
}
ROLE = {
    "type": "AssumedRole",
    "principalId": "AROA1:aws-go-sdk-168",
    "arn": "arn:aws:sts::123:assumed-role/Deploy/aws-go-sdk-168",
    "accountId": "123",
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "principalId": "AROA1",
            "arn": "arn:aws:iam::123:role/ci/Deploy",
            "userName": "Deploy",
        },
        "attributes": {"mfaAuthenticated": "false"},
    },
}
JANE = ROLE | {
    "principalId": "AROA1:Jane@corp.example",
    "arn": "arn:aws:sts::123:assumed-role/Deploy/Jane@corp.example",
}
SERVICE = {"type": "AWSService", "invokedBy": "rds.amazonaws.com"}
SERVICE_ROLE = ROLE | {
    "sessionContext": {
        "sessionIssuer": {"arn": "arn:aws:iam::123:role/aws-service-role/rds.amazonaws.com/RDS"}
    }
}


def record(call: str, service: str, who: Any = ALICE, /, **more: Any) -> dict[str, Any]:
    return {
        "eventVersion": "1.08",
        "userIdentity": who,
        "eventTime": "2023-07-10T12:23:15Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": call,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.168.10.20",
        "requestParameters": None,
        "responseElements": None,
        "eventID": "70e5932e-9022-4b38-837e-ca10dad94eb7",
        "eventType": "AwsApiCall",
        "recipientAccountId": "123",
    } | more


def asked(call: str, service: str, who: Any = ALICE, /, **parameters: Any) -> dict[str, Any]:
    return record(call, service, who, requestParameters=parameters)


def sign_in(result: str, **more: Any) -> dict[str, Any]:
    return (
        record(
            "ConsoleLogin", "signin", eventType="AwsConsoleSignIn", responseElements={"ConsoleLogin": result}
        )
        | more
    )


def events(tmp_path, *records: Any, format: str = "cloudtrail") -> list[dict[str, Any]]:
    path = tmp_path / "log"
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


IP = "192.168.10.20"
DEPLOY = "arn:aws:iam::123:role/Deploy"
CASES = {
    "console": (
        sign_in("Success", additionalEventData={"MFAUsed": "Yes"}),
        ("Alice@123", IP, "AWS console 123", "logon", "MFA", "success", None, None),
    ),
    "console, wrong password": (
        sign_in("Failure", errorMessage="Failed authentication", additionalEventData={"MFAUsed": "No"}),
        ("Alice@123", IP, "AWS console 123", "logon", "no MFA", "failure", "Failed authentication", None),
    ),
    "console, root": (
        sign_in(
            "Success",
            userIdentity={
                "type": "Root",
                "accountId": "123",
                "arn": "arn:aws:iam::123:root",
                "principalId": "123",
            },
        ),
        ("root@123", IP, "AWS console 123", "logon", None, "success", None, None),
    ),
    "portal": (
        record(
            "UserAuthentication",
            "signin",
            {"type": "IdentityCenterUser", "accountId": "123", "onBehalfOf": {"userId": "544894e8"}},
            eventType="AwsServiceEvent",
            additionalEventData={"UserName": "jane", "CredentialType": "PASSWORD"},
            serviceEventDetails={"UserAuthentication": "Success"},
        ),
        ("jane@123", IP, "AWS access portal 123", "logon", None, "success", None, None),
    ),
    "role taken": (
        asked("AssumeRole", "sts", roleArn=DEPLOY, roleSessionName="s")
        | {"responseElements": {"assumedRoleUser": {"arn": "arn:aws:sts::123:assumed-role/Deploy/s"}}},
        ("Alice@123", IP, DEPLOY, "assume_role", None, "success", None, None),
    ),
    "role denied": (
        record(
            "AssumeRole",
            "sts",
            errorCode="AccessDenied",
            errorMessage=f"User: x is not to: sts:AssumeRole on resource: {DEPLOY}",
        ),
        ("Alice@123", IP, DEPLOY, "assume_role", None, "failure", "AccessDenied", None),
    ),
    "role taken by SAML": (
        asked(
            "AssumeRoleWithSAML",
            "sts",
            {"type": "SAMLUser", "principalId": "h=:Jane", "userName": "jane@corp.example"},
            roleArn=DEPLOY,
        ),
        ("jane@corp.example", IP, DEPLOY, "assume_role", "SAML", "success", None, None),
    ),
    "role taken by a workload": (
        asked(
            "AssumeRoleWithWebIdentity",
            "sts",
            {"type": "WebIdentityUser", "userName": "repo:o/r:ref:main"},
            roleArn=DEPLOY,
        ),
        ("repo:o/r:ref:main@123", IP, DEPLOY, "assume_role", "OpenID Connect", "success", None, None),
    ),
    "role switched to": (
        record(
            "SwitchRole",
            "signin",
            ROLE | {"sessionContext": None},
            responseElements={"SwitchRole": "Success"},
            additionalEventData={
                "SwitchFrom": "arn:aws:iam::456:user/ops/Alice",
                "RedirectTo": "https://console.aws.amazon.com",
            },
        ),
        ("Alice@456", IP, DEPLOY, "assume_role", None, "success", None, None),
    ),
    "token": (
        record("GetSessionToken", "sts"),
        ("Alice@123", IP, "sts.amazonaws.com", "logon", None, "success", None, None),
    ),
    "session of a role": (
        asked("DescribeInstances", "ec2", ROLE),
        ("role/Deploy@123", IP, "ec2.amazonaws.com", "object_access", None, "success", None, None),
    ),
    "session of a person": (
        asked("GetObject", "s3", JANE, bucketName="b", key="k"),
        ("Jane@corp.example", IP, "s3://b", "object_access", None, "success", None, None),
    ),
    "source identity": (
        asked("PutObject", "s3", ROLE | {"sessionContext": {"sourceIdentity": "jane"}}, bucketName="b"),
        ("jane", IP, "s3://b", "object_access", None, "success", None, None),
    ),
    "another account": (
        asked(
            "GetObject",
            "s3",
            {"type": "AWSAccount", "principalId": "AIDA9:x", "accountId": "999"},
            bucketName="b",
        ),
        ("AIDA9@999", IP, "s3://b", "object_access", None, "success", None, None),
    ),
    "public access": (
        asked(
            "GetObject",
            "s3",
            {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"},
            bucketName="b",
        ),
        ("anonymous", IP, "s3://b", "object_access", None, "success", None, None),
    ),
    "federated": (
        record("ListUsers", "iam", {"type": "FederatedUser", "principalId": "123:Bob", "accountId": "123"}),
        ("Bob@123", IP, "iam.amazonaws.com", "object_access", None, "success", None, None),
    ),
    "by a service for a user": (
        record("Decrypt", "kms", ALICE | {"invokedBy": "x"}, sourceIPAddress="secretsmanager.amazonaws.com"),
        (
            "Alice@123",
            "secretsmanager.amazonaws.com",
            "kms.amazonaws.com",
            "object_access",
            None,
            "success",
            None,
            None,
        ),
    ),
    "inside": (
        record("ListTrails", "cloudtrail", sourceIPAddress="AWS Internal", errorCode="ThrottlingException"),
        (
            "Alice@123",
            None,
            "cloudtrail.amazonaws.com",
            "object_access",
            None,
            "failure",
            "ThrottlingException",
            None,
        ),
    ),
}
SECRET = "arn:aws:secretsmanager:us-east-1:123:secret:db"
TARGETS = [
    (asked("GetSecretValue", "secretsmanager", secretId="db"), SECRET),
    (asked("GetSecretValue", "secretsmanager", secretId=SECRET + "-L0CnJd"), SECRET),
    (asked("CreateSecret", "secretsmanager", name="db"), SECRET),
    (asked("ListBuckets", "s3", Host="s3"), "s3.amazonaws.com"),
    (
        record("GetObject", "s3", resources=[{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k/k"}]),
        "s3://b",
    ),
    (record("GetObject", "s3", errorMessage='not on resource: "arn:aws:s3:::b/k" because'), "s3://b"),
    (
        asked("Decrypt", "kms", keyId="alias/x")
        | {"resources": [{"ARN": "arn:aws:kms:us-east-1:123:key/k"}]},
        "arn:aws:kms:us-east-1:123:key/k",
    ),
    (asked("Decrypt", "kms", keyId="k"), "arn:aws:kms:us-east-1:123:key/k"),
    (asked("Encrypt", "kms", keyId="alias/x"), "arn:aws:kms:us-east-1:123:alias/x"),
    (asked("Invoke", "lambda", functionName="f"), "arn:aws:lambda:us-east-1:123:function:f"),
    (
        asked("GetItem", "dynamodb", tableName="t") | {"awsRegion": "cn-north-1"},
        "arn:aws-cn:dynamodb:cn-north-1:123:table/t",
    ),
    (asked("DeleteDBInstance", "rds", dBInstanceIdentifier="d"), "arn:aws:rds:us-east-1:123:db:d"),
    (asked("GetParameter", "ssm", name="/a/b"), "arn:aws:ssm:us-east-1:123:parameter/a/b"),
    (asked("GetDocument", "ssm", name="x"), "ssm.amazonaws.com"),
    (asked("StartSession", "ssm", target="i-1"), "arn:aws:ec2:us-east-1:123:instance/i-1"),
    (asked("SendCommand", "ssm", instanceIds=["i-1", "i-2"]), "arn:aws:ec2:us-east-1:123:instance/i-1"),
    (asked("GetPasswordData", "ec2", instanceId="i-1"), "arn:aws:ec2:us-east-1:123:instance/i-1"),
    (
        asked("AttachRolePolicy", "iam", roleName="r", policyArn="arn:aws:iam::aws:policy/x"),
        "arn:aws:iam::123:role/r",
    ),
    (asked("CreateAccessKey", "iam", userName="u"), "arn:aws:iam::123:user/u"),
]
DROPPED = {
    "not a logon: AWS service": [
        asked("AssumeRole", "sts", SERVICE, roleArn=DEPLOY),
        record("DescribeInstances", "ec2", SERVICE_ROLE),
        record("SharedSnapshotVolumeCreated", "ec2", {"accountId": "123", "invokedBy": "ec2.amazonaws.com"}),
        record("RotateKey", "kms", eventType="AwsServiceEvent"),
    ],
    "not a logon: step of a sign-in": [
        record("CheckMfa", "signin", responseElements={"CheckMfa": "Success"})
    ],
    "not a logon: insight": [record("RunInstances", "ec2", None, eventType="AwsCloudTrailInsight")],
    "no user: AWS hides a name that does not exist": [
        sign_in(
            "Failure",
            userIdentity={
                "type": "IAMUser",
                "userName": "HIDDEN_DUE_TO_SECURITY_REASONS",
                "accountId": "123",
            },
        )
    ],
    "no user": [
        record("ListUsers", "iam", None),
        record("ListUsers", "iam", "Alice"),
        record("ListUsers", "iam", {"type": "Unknown"}),
    ],
    "no target": [record("AssumeRole", "sts", errorCode="AccessDenied")],
    "time not understood": [record("ListUsers", "iam", eventTime="yesterday")],
    "time before 1970": [record("ListUsers", "iam", eventTime="1601-01-01T00:00:00Z")],
    "not a CloudTrail record": [{}, [], 5, {"eventTime": "2023-07-10T12:23:15Z"}],
    "not JSON": ["{", json.dumps(record("ListUsers", "iam"))[:-9]],
    "empty line": [""],
}
ALL = [record for record, _ in CASES.values()]


def test_events_by_hand(tmp_path):
    found = events(tmp_path, *ALL)
    shown = {name: tuple(event[column] for column in SHOWN) for name, event in zip(CASES, found, strict=True)}
    assert shown == {name: expected for name, (_, expected) in CASES.items()}
    assert all(
        event["detail"] == event["code"] == record["eventName"]
        for event, record in zip(found, ALL, strict=True)
    )
    assert {
        (event["target_kind"], event["reporter"], event["event_id"], event["note"], event["time"])
        for event in found
    } == {
        (
            "resource",
            "123",
            "70e5932e-9022-4b38-837e-ca10dad94eb7",
            None,
            dt.datetime(2023, 7, 10, 12, 23, 15),
        )
    }


def test_who_a_user_is(tmp_path):
    names = (
        "console",
        "portal",
        "role taken",
        "session of a role",
        "session of a person",
        "role switched to",
        "another account",
    )
    found = events(tmp_path, *(CASES[name][0] for name in names))
    assert [event["user_id"] for event in found] == [
        "AIDA1",
        "544894e8",
        "AIDA1",
        "AROA1",
        None,
        None,
        "AIDA9",
    ]
    assert [event["actor"] for event in found] == [None, None, None, "aws-go-sdk-168", None, None, None]
    taken, role, person = (event["session"] for event in found[2:5])
    assert (taken, role, person) == ("arn:aws:sts::123:assumed-role/Deploy/s", ROLE["arn"], JANE["arn"])


def test_what_a_call_is_about(tmp_path):
    assert [event["target"] for event in events(tmp_path, *(record for record, _ in TARGETS))] == [
        target for _, target in TARGETS
    ]


def test_dropped_by_hand(tmp_path):
    found = events(tmp_path, ALL[0], *(record for records in DROPPED.values() for record in records))
    assert [event["dropped"] for event in found] == [
        None,
        *(reason for reason, records in DROPPED.items() for _ in records),
    ]


def test_recognises_its_own():
    def known(*records: Any) -> int:
        return cloudtrail.recognises(
            Sample("x", tuple(json.dumps(record) for record in records), dt.datetime(2020, 1, 1))
        )

    assert known(ALL[0], record("x", "y", {})) == 2
    assert not known(
        record("x", "y", "me"),
        ALL[0] | {"awsRegion": 5},
        {"eventType": "user.session.start", "uuid": "x"},
        [],
        5,
        None,
    )


def by_service(record: dict[str, Any]) -> bool:
    who = record["userIdentity"]
    issuer = who.get("sessionContext", {}).get("sessionIssuer", {}).get("arn", "")
    return who.get("type") in (None, "AWSService") or ":role/aws-service-role/" in issuer


@pytest.fixture(scope="module")
def real() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The records of the real files, and their events."""
    files = sorted(REAL.glob("*.json"))
    if len(files) != 55:
        pytest.skip(f"needs {REAL}")
    records = [record for file in files for record in json.loads(file.read_text())["Records"]]
    return records, [event for file in files for event in events_of(file).to_pylist()]


def test_every_real_record_is_accounted_for(real):
    records, found = real
    assert len(found) == len(records) == 2900
    assert [event["event_id"] for event in found] == [record["eventID"] for record in records]
    assert Counter(event["dropped"] for event in found) == {
        None: 2817,
        "not a logon: AWS service": sum(map(by_service, records)),
        "not a logon: step of a sign-in": sum(record["eventName"] == "CheckMfa" for record in records),
    }
    kept = [event for event in found if not event["dropped"]]
    logged = [record for record in records if not by_service(record) and record["eventName"] != "CheckMfa"]
    outcomes = Counter((event["code"], event["outcome"]) for event in kept)
    assert outcomes == Counter(
        (record["eventName"], "failure" if "errorCode" in record else "success") for record in logged
    )
    assert (
        outcomes["AssumeRole", "success"],
        outcomes["AssumeRole", "failure"],
        outcomes["ConsoleLogin", "success"],
    ) == (
        10,
        13,
        2,
    )
    buckets = [
        record["requestParameters"] or {} for record in logged if record["eventSource"] == "s3.amazonaws.com"
    ]
    names = Counter(parameters.get("bucketName") or parameters.get("bucket") for parameters in buckets)
    names.pop(None)
    assert (
        Counter(event["target"][5:] for event in kept if event["target"].startswith("s3://")) == names
        and names.total() == 250
    )


def test_the_red_team_is_to_be_seen(real):
    found = [event for event in real[1] if not event["dropped"]]
    taken = {
        event["target"]
        for event in found
        if event["action"] == "assume_role" and event["outcome"] == "success"
    }
    roles = (
        "ec2-get-password-data-role",
        "leave-org-role",
        "get-usr-data-role",
        "ec2lui-role-pcccexdthk",
        "ec2lui-role-wuzemnoeqa",
    )
    assert taken == {f"arn:aws:iam::123837392027:role/stratus-red-team-{name}" for name in roles}
    stolen = "role/stratus-red-team-ec2-steal-credentials-role@123837392027"
    assert {event["source"] for event in found if event["user"] == stolen} == {
        "3.225.16.109",
        "192.168.10.20",
    }
    assert "s3://stratus-red-team-ctlr-bucket-zqfsvooxqj" in {event["target"] for event in found}


def test_logstash_moves_the_time(tmp_path):
    shipped = sign_in("Success") | {"@version": "1", "@timestamp": "2024-03-05T10:00:00.000Z"}
    del shipped["eventTime"]
    (tmp_path / "log.jsonl").write_text(json.dumps(shipped) + "\n")
    (event,) = events_of(tmp_path / "log.jsonl").to_pylist()
    assert event["time"] == dt.datetime(2024, 3, 5, 10)
    assert (event["action"], event["outcome"], event["dropped"]) == ("logon", "success", None)
