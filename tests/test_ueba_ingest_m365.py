"""Records of the Microsoft 365 unified audit log in their wrappings -> events; expected events are worked
out by hand."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ingest_world import detected

from ueba.ingest import events_of, ingest
from ueba.ingest.sources import Sample, entra, m365, message_trace

AUDIT_LOG = Path(__file__).parents[2] / "shared/data/m365/unified_audit_log.csv.gz"
SHOWN = (
    "user",
    "source",
    "target",
    "detail",
    "action",
    "auth_package",
    "outcome",
    "outcome_reason",
    "user_id",
)
ALICE, ALICE_ID, PUID = "Alice@corp.example", "9d8001cb-a159-4252-a3a1-c2dc689f322a", "10032001266C162C"
EXCHANGE, GRAPH = "00000002-0000-0ff1-ce00-000000000000", "00000003-0000-0000-c000-000000000000"
ORGANIZATION = "EURPR04A009.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/corp.onmicrosoft.com"
SITE = "https://corp.sharepoint.com/sites/Finance"


def named(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def changes(**values: str) -> list[dict[str, str]]:
    return [
        {"Name": name.replace("_", "."), "NewValue": value, "OldValue": ""} for name, value in values.items()
    ]


def record(
    operation: str, workload: str = "Exchange", result: str | None = "Succeeded", **more: Any
) -> dict[str, Any]:
    return {
        "CreationTime": "2024-07-19T17:54:58",
        "Id": f"id of {operation}",
        "Operation": operation,
        "OrganizationId": "0873ee4d",
        "RecordType": 2,
        "ResultStatus": result,
        "UserKey": PUID,
        "UserType": 0,
        "Version": 1,
        "Workload": workload,
        "ClientIP": "203.0.113.7",
        "UserId": ALICE,
    } | more


def sign_in(operation: str = "UserLoggedIn", **more: Any) -> dict[str, Any]:
    return record(
        operation, "AzureActiveDirectory", "Success", UserKey=ALICE_ID, ObjectId=GRAPH, ApplicationId=EXCHANGE
    ) | {
        "ActorIpAddress": "203.0.113.7",
        "ExtendedProperties": named(ResultStatusDetail="Success", RequestType="OAuth2:Authorize"),
        "DeviceProperties": named(OS="Windows 10", SessionId="5d1f"),
        "ErrorNumber": "0",
        **more,
    }


def directory(operation: str, result: str = "Success", **more: Any) -> dict[str, Any]:
    actors = [{"ID": ALICE, "Type": 5}, {"ID": f"User_{ALICE_ID}", "Type": 2}, {"ID": "User", "Type": 2}]
    key = f"{PUID}@corp.example"
    return (
        record(operation, "AzureActiveDirectory", result, UserKey=key, Actor=actors, ClientIP="<null>") | more
    )


def target(name: str) -> list[dict[str, Any]]:
    return [{"ID": "ServicePrincipal_f104", "Type": 2}, {"ID": name, "Type": 1}, {"ID": "f432", "Type": 4}]


def mail(operation: str, **more: Any) -> dict[str, Any]:
    return (
        record(operation, MailboxOwnerUPN=ALICE, LogonType=0, ClientInfoString="Client=OWA;Action=ViaProxy")
        | more
    )


def command(operation: str, result: str = "True", **more: Any) -> dict[str, Any]:
    return record(operation, result=result, RecordType=1, UserType=2, ClientIP="203.0.113.7:43435") | more


def file(operation: str, **more: Any) -> dict[str, Any]:
    return record(operation, "SharePoint", None, UserKey=f"i:0h.f|membership|{PUID.lower()}@live.com") | {
        "SiteUrl": f"{SITE}/",
        "ObjectId": f"{SITE}/Shared Documents/Book.xlsx",
        **more,
    }


def event(
    target: str,
    detail: str | None,
    action: str,
    package: str | None = None,
    *more: str | None,
    id: str = PUID.lower(),
):
    """What comes out of most records. more: source, outcome, its reason"""
    source, outcome, reason = (*more, *("203.0.113.7", "success", None)[len(more) :])
    return ALICE, source, target, detail, action, package, outcome, reason, id


SSO = ("Microsoft Graph", "sso", "OAuth2:Authorize")
SCOPE = "[] => [[Id: kg, ClientId: f1, ConsentType: Principal, Scope:  Mail.Read Files.Read.All]]; "
FORWARDED = '[{"ActionType":"Forward","Recipients":["Evil@outside.example"],"ForwardFlags":"None"}]'
CASES = {
    "sign-in": (sign_in(), event("Office 365 Exchange Online", *SSO, id=ALICE_ID)),
    "its failure says Success": (
        sign_in("UserLoginFailed", ErrorNumber="50126", LogonError="InvalidUserNameOrPassword"),
        event(
            "Office 365 Exchange Online",
            *SSO,
            "203.0.113.7",
            "failure",
            "50126: InvalidUserNameOrPassword",
            id=ALICE_ID,
        ),
    ),
    "its interrupt": (
        sign_in("UserLoginFailed", ErrorNumber="65001", LogonError="DelegationDoesNotExist"),
        event(
            "Office 365 Exchange Online",
            *SSO,
            "203.0.113.7",
            "unknown",
            "65001: DelegationDoesNotExist",
            id=ALICE_ID,
        ),
    ),
    "stay signed in?": (
        sign_in(ErrorNumber="50140"),
        event("Office 365 Exchange Online", *SSO, "203.0.113.7", "unknown", "50140", id=ALICE_ID),
    ),
    "a device with a name, an application without": (
        sign_in(
            ApplicationId="F432ADF3",
            ObjectId="Unknown",
            DeviceProperties=named(DisplayName="WS7"),
            ExtendedProperties=[],
        ),
        event("F432ADF3", None, "sso", None, "WS7", id=ALICE_ID),
    ),
    "no application": (
        sign_in(ApplicationId=None, ExtendedProperties=None, DeviceProperties="x"),
        event("Microsoft Graph", None, "sso", id=ALICE_ID),
    ),
    "mail read": (
        mail(
            "MailItemsAccessed",
            Folders=[{"Path": "\\Inbox"}, {"Path": "\\Drafts"}],
            ClientIPAddress="::ffff:10.0.0.7",
        ),
        event("alice@corp.example", "\\Inbox", "mailbox_access", "OWA", "10.0.0.7"),
    ),
    "mail read by Exchange in her name": (
        mail(
            "MailItemsAccessed",
            ClientIPAddress="2603:10a6:802:59:cafe::56",
            ClientInfoString="Client=REST;Client=RESTSystem;;",
        ),
        event("alice@corp.example", None, "mailbox_access", "REST", None),
    ),
    "another's mail": (
        mail(
            "MoveToDeletedItems",
            MailboxOwnerUPN="Boss@corp.example",
            Folder={"Path": "\\Inbox"},
            LogonType=2,
            ClientIP="::1",
        ),
        event("boss@corp.example", "\\Inbox", "mailbox_access", "OWA", None),
    ),
    "mail sent": (
        mail(
            "Send",
            Item={"Subject": "Urgent", "ParentFolder": {"Path": "\\Drafts"}},
            ClientIP="[2001:db8::7]:443",
        ),
        event("alice@corp.example", "Urgent", "mailbox_access", "OWA", "2001:db8::7"),
    ),
    "mail sent as another": (
        mail("SendAs", SendAsUserSmtp="CEO@corp.example", ResultStatus="Failed"),
        event("ceo@corp.example", None, "mailbox_access", "OWA", "203.0.113.7", "failure"),
    ),
    "a folder's delegate": (
        mail(
            "ModifyFolderPermissions", Item={"ParentFolder": {"MemberUpn": "Everyone", "Path": "\\Calendar"}}
        ),
        event("alice@corp.example", "Everyone", "mailbox_access", "OWA"),
    ),
    "Outlook's rule that forwards": (
        mail("UpdateInboxRules", OperationProperties=named(RuleName=".", RuleActions=FORWARDED)),
        event("evil@outside.example", ".", "forward", "OWA"),
    ),
    "Outlook's rule that deletes": (
        mail(
            "UpdateInboxRules",
            OperationProperties=named(RuleName=".", RuleActions='[{"ActionType":"Delete"}]'),
        ),
        event("alice@corp.example", ".", "mailbox_access", "OWA"),
    ),
    "a mailbox forwards": (
        command(
            "Set-Mailbox",
            ObjectId="alice",
            Parameters=named(ForwardingSmtpAddress="smtp:Evil@outside.example"),
        ),
        event("evil@outside.example", "alice@corp.example", "forward"),
    ),
    "a mailbox stops forwarding": (
        command(
            "Set-Mailbox",
            ObjectId="alice",
            Parameters=named(ForwardingSmtpAddress="", DeliverToMailboxAndForward="False"),
        ),
        event("alice@corp.example", None, "mailbox_access"),
    ),
    "a rule forwards, to two": (
        command(
            "New-InboxRule",
            ObjectId=f"{ORGANIZATION}/Alice\\Invoices",
            Parameters=named(ForwardTo='"Evil" [SMTP:EVIL@outside.example];b@corp.example', Name="Invoices"),
        ),
        event("evil@outside.example", "Invoices", "forward"),
    ),
    "a rule forwards, to a colleague by name": (
        command("Set-InboxRule", ObjectId="alice\\Tea", Parameters=named(RedirectTo=f"{ORGANIZATION}/Bob")),
        event("bob@corp.example", "Tea", "forward"),
    ),
    "another's rule": (
        command(
            "New-InboxRule",
            ObjectId=f"{ORGANIZATION}/Boss\\Hide",
            Parameters=named(Name="Hide", DeleteMessage="True"),
        ),
        event("boss@corp.example", "Hide", "mailbox_access"),
    ),
    "a rule without a name": (
        command("New-InboxRule", ObjectId="alice\\ ", Parameters=named(Name="", DeleteMessage="True")),
        event("alice@corp.example", None, "mailbox_access"),
    ),
    "a delegate": (
        command(
            "Add-MailboxPermission",
            "False",
            ObjectId="HenriettaM",
            Parameters=named(
                Identity="henriettam@sub.example",
                User=f"{ORGANIZATION}/ITCornpany",
                AccessRights="FullAccess",
            ),
        ),
        event("henriettam@sub.example", "ITCornpany", "mailbox_access", None, "203.0.113.7", "failure"),
    ),
    "a mail flow rule that copies": (
        command(
            "New-TransportRule",
            ObjectId="Copy",
            Parameters=named(Name="Copy", BlindCopyTo="evil@outside.example"),
        ),
        event("evil@outside.example", "Copy", "forward"),
    ),
    "another mail flow rule": (
        command("Set-TransportRule", ObjectId="Disclaimer", Parameters=None),
        event("Exchange", "Disclaimer", "object_access"),
    ),
    "another command": (
        command("Set-AdminAuditLogConfig", ObjectId="Admin Audit Log Settings"),
        event("Exchange", "Admin Audit Log Settings", "object_access"),
    ),
    "consent": (
        directory(
            "Consent to application.",
            Target=target("Evil App"),
            ModifiedProperties=changes(ConsentAction_Permissions=SCOPE),
        ),
        event("Evil App", "Mail.Read Files.Read.All", "consent", None, None, id=ALICE_ID),
    ),
    "a permission for an application": (
        directory(
            "Add app role assignment to service principal.",
            "Failure",
            Target=target("Office 365 Management APIs"),
            ModifiedProperties=changes(
                AppRole_Value="ActivityFeed.Read", ServicePrincipal_DisplayName='[\r\n  "Evil App"\r\n]'
            ),
        ),
        event("Evil App", "ActivityFeed.Read", "consent", None, None, "failure", id=ALICE_ID),
    ),
    "a delegated permission": (
        directory(
            "Add delegated permission grant.",
            Target=target("Microsoft Graph"),
            ModifiedProperties=changes(
                DelegatedPermissionGrant_Scope="User.Read",
                ServicePrincipal_DisplayName="",
                ServicePrincipal_ObjectID="740bb83e",
            ),
        ),
        event("740bb83e", "User.Read", "consent", None, None, id=ALICE_ID),
    ),
    "a role": (
        directory(
            "Add member to role.",
            ObjectId="Bob@corp.example",
            ModifiedProperties=changes(Role_DisplayName="Helpdesk"),
        ),
        event("Helpdesk", "Bob@corp.example", "object_access", None, None, id=ALICE_ID),
    ),
    "a password": (
        directory(
            "Reset user password.",
            ObjectId="Bob@corp.example",
            Target=[{"ID": "Bob@corp.example", "Type": 5}],
        ),
        event("bob@corp.example", None, "object_access", None, None, id=ALICE_ID),
    ),
    "a secret of an application": (
        directory(
            "Update application – Certificates and secrets management ",
            Target=target("Payroll"),
            UserKey=None,
            Actor=None,
        ),
        event("Payroll", None, "object_access", None, None, id=None),
    ),
    "a file": (
        file("FileDownloaded"),
        event(SITE.lower(), f"{SITE}/Shared Documents/Book.xlsx", "object_access"),
    ),
    "a page": (
        file("PageViewed", SiteUrl=None, ObjectId="https://corp.sharepoint.com/_layouts/15/sharepoint.aspx"),
        event(
            "https://corp.sharepoint.com",
            "https://corp.sharepoint.com/_layouts/15/sharepoint.aspx",
            "object_access",
        ),
    ),
    "a team": (
        record("MemberAdded", "MicrosoftTeams", None, TeamName="Finance", ObjectId=None, UserKey=ALICE_ID),
        event("Finance", None, "object_access", id=ALICE_ID),
    ),
    "a search": (
        record(
            "SearchCreated",
            "SecurityComplianceCenter",
            "Odd",
            ObjectId="passwords",
            UserKey=ALICE,
            UserType=5,
        ),
        event(
            "SecurityComplianceCenter", "passwords", "object_access", None, "203.0.113.7", "unknown", id=None
        ),
    ),
}
REAL = [record for record, _ in CASES.values()]
EXPECTED = [expected for _, expected in CASES.values()]
DROPPED = {
    "not a logon: service account": [
        mail("MailItemsAccessed", UserId="NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)", UserType=3),
        mail("Create", UserId="S-1-5-18", UserType=2),
        file("FileModified", UserId="app@sharepoint"),
        file("FileModified", UserId="SHAREPOINT\\system"),
        directory("Update user.", UserId="ServicePrincipal_51e09c12-1410-42e8-b964-afa542cf2cb0"),
        directory("Add service principal.", UserId="Certificate", UserType=4),
        command("Set-Mailbox", UserId="x@corp.example", UserType="DcAdmin"),
    ],
    "not a logon: alert": [
        record("AlertTriggered", UserId="SecurityComplianceAlerts", UserType=4),
        record("DlpRuleMatch"),
        record("MCAS_ALERT_ANUBIS_DETECTION_VELOCITY", "MCAS", ResultStatus="New", RecordType=98),
        record("MCAS_ALERT_CABINET_EVENT_MATCH_AUDIT", "MCAS"),
    ],
    "not a Microsoft 365 record": [
        {},
        [],
        5,
        {"Operation": "Send", "Workload": "Exchange"},
        record("Send") | {"Workload": None},
    ],
    "no user": [mail("Send", UserId=None), sign_in(UserId="Not Available")],
    "no target": [sign_in(ApplicationId="Unknown", ObjectId=None)],
    "not JSON": ["{", json.dumps(sign_in())[:-9], "x"],
    "empty line": [""],
    "time not understood": [mail("Send", CreationTime="2024-02-30T00:00:00"), mail("Send", CreationTime=5)],
    "time before 1970": [mail("Send", CreationTime="1601-01-01T00:00:00")],
}


def read(path: Path, *records: Any, format: str = "m365") -> list[dict[str, Any]]:
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


def shown(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[column] for column in SHOWN)


def test_events_by_hand(tmp_path):
    found = read(tmp_path / "log", *REAL)
    assert dict(zip(CASES, map(shown, found), strict=True)) == dict(zip(CASES, EXPECTED, strict=True))
    assert {row["dropped"] for row in found} == {None}
    assert {row["time"] for row in found} == {dt.datetime(2024, 7, 19, 17, 54, 58)}
    assert {(row["reporter"], row["target_kind"]) for row in found} == {("0873ee4d", "resource")}
    assert [(row["code"], row["event_id"]) for row in found] == [
        (record["Operation"].strip(), record["Id"]) for record in REAL
    ]


def test_more_of_them(tmp_path):
    found = dict(zip(CASES, read(tmp_path / "log", *REAL), strict=True))
    assert [found[name]["logon_type"] for name in ("mail read", "another's mail", "sign-in")] == [
        "Owner",
        "Delegate",
        None,
    ]
    assert found["sign-in"]["session"] == "5d1f"
    noted = {name for name, row in found.items() if row["note"]}
    assert noted == {"another's rule"}
    assert found["another's rule"]["note"] == "mailbox without a domain: taken to be of the user's"
    guest, nobody = read(
        tmp_path / "log",
        file("FileAccessed", UserId="urn:spo:guest#bob@outside.example"),
        file("FileAccessed", UserId="urn:spo:anon#5d1f"),
    )
    assert (guest["user"], nobody["user"]) == ("bob@outside.example", "anonymous")


def test_dropped_by_hand(tmp_path):
    found = read(tmp_path / "log", sign_in(), *(record for records in DROPPED.values() for record in records))
    assert [row["dropped"] for row in found] == [
        None,
        *(reason for reason, records in DROPPED.items() for _ in records),
    ]


SEARCH = [
    "RecordType",
    "CreationDate",
    "UserIds",
    "Operations",
    "AuditData",
    "ResultIndex",
    "Identity",
    "IsValid",
]
PURVIEW = [
    "RecordId",
    "CreationDate",
    "RecordType",
    "Operation",
    "UserId",
    "AuditData",
    "AssociatedAdminUnits",
]


def as_csv(header: list[str], quoting: int, type_line: str = "") -> str:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting)
    writer.writerow(header)
    writer.writerows(
        [json.dumps(record) if name == "AuditData" else "7/19/2024 5:54:58 PM" for name in header]
        for record in REAL
    )
    return type_line + text.getvalue()


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        (json.dumps(REAL), 0),
        (json.dumps({"value": REAL}, indent=1), 0),
        ("".join(json.dumps({"Identity": 1, "AuditData": json.dumps(record)}) + "\n" for record in REAL), 0),
        ("".join(json.dumps({"id": "x", "auditData": record}) + "\n" for record in REAL), 0),
        (as_csv(SEARCH, csv.QUOTE_ALL), 1),
        (as_csv(SEARCH, csv.QUOTE_ALL, "#TYPE Selected.System.Management.Automation.PSCustomObject\r\n"), 2),
        ("\ufeff" + as_csv(PURVIEW, csv.QUOTE_MINIMAL), 1),
    ],
    ids=[
        "array",
        "wrapped",
        "AuditData",
        "auditData",
        "Search-UnifiedAuditLog",
        "with a type line",
        "Purview",
    ],
)
def test_wrappings(tmp_path, text, headers):
    (tmp_path / "log").write_text(text, newline="")
    found = events_of(tmp_path / "log").to_pylist()
    assert [row["dropped"] for row in found] == ["header"] * headers + [None] * len(REAL)
    assert [shown(row) for row in found[headers:]] == EXPECTED


def test_office_activity(tmp_path):
    common = {
        "TimeGenerated": "2024-07-19T17:54:58Z",
        "UserId": ALICE,
        "UserType": "Regular",
        "OrganizationId": "0873ee4d",
    }
    rows = [
        common
        | {
            "OfficeWorkload": "OneDrive",
            "Operation": "FileAccessed",
            "OfficeId": "1",
            "ClientIP": "203.0.113.7",
            "Site_Url": f"{SITE}/",
            "OfficeObjectId": f"{SITE}/a.docx",
            # a row has all columns of its table, most of them empty
            "MailboxOwnerUPN": "",
            "ResultStatus": "",
        },
        common
        | {
            "OfficeWorkload": "Exchange",
            "Operation": "Set-Mailbox",
            "OfficeId": "2",
            "OfficeObjectId": "alice",
            "Parameters": json.dumps(named(ForwardingSmtpAddress="smtp:evil@outside.example")),
            "ResultStatus": "True",
        },
        common
        | {
            "OfficeWorkload": "Exchange",
            "Operation": "MailItemsAccessed",
            "Client_IPAddress": "203.0.113.7",
            "MailboxOwnerUPN": ALICE,
            "Logon_Type": "Delegated",
            "ResultStatus": "Succeeded",
        },
    ]
    site, forward, read_mail = read(tmp_path / "log", *rows, format="auto")
    assert shown(site)[1:5] == ("203.0.113.7", SITE.lower(), f"{SITE}/a.docx", "object_access")
    assert (forward["action"], forward["target"], forward["event_id"]) == (
        "forward",
        "evil@outside.example",
        "2",
    )
    assert (read_mail["source"], read_mail["target"], read_mail["logon_type"]) == (
        "203.0.113.7",
        "alice@corp.example",
        "Delegate",
    )


def sample(*records: Any) -> Sample:
    return Sample(
        "log",
        tuple(record if isinstance(record, str) else json.dumps(record) for record in records),
        dt.datetime(2024, 1, 1),
    )


def test_recognises_its_own_and_nothing_else():
    assert m365.recognises(sample(*REAL)) == len(REAL)
    assert detected(as_csv(SEARCH, csv.QUOTE_ALL).splitlines()) == "m365"
    others = [
        {"@timestamp": "2024-05-20", "ecs": {}},
        [],
        5,
        {"AuditData": 5},
        {"auditData": {}},
        {"CreationTime": 1},
        "",
        "a,b",
    ]
    assert (
        m365.recognises(sample(*others))
        == m365.recognises(sample("a,b", "1,2"))
        == m365.recognises(sample())
        == 0
    )
    assert [module.recognises(sample(*REAL)) for module in (entra, message_trace)] == [0, 0]


@pytest.mark.skipif(not AUDIT_LOG.exists(), reason=f"needs {AUDIT_LOG}")
def test_real_records_are_accounted_for(tmp_path):
    csv.field_size_limit(1 << 20)
    with gzip.open(AUDIT_LOG, "rt", encoding="utf-8-sig", newline="") as file:
        records = [json.loads(row["AuditData"]) for row in csv.DictReader(file)]
    header, *found = events_of(AUDIT_LOG).to_pylist()
    assert (header["dropped"], len(found), len(records)) == ("header", 4675, 4675)
    assert Counter(row["dropped"] for row in found) == {
        None: 1258,
        "not a logon: service account": 3398,
        "not a logon: alert": 4,
        "no user": 15,
    }
    kept = [(row, record) for row, record in zip(found, records, strict=True) if row["dropped"] is None]
    assert all("@" in record["UserId"] or len(record["UserId"]) == 36 for _, record in kept)
    assert all(
        (row["event_id"], row["code"]) == (record["Id"], record["Operation"].strip()) for row, record in kept
    )
    operations = Counter(record["Operation"] for record in records)
    by_action = Counter((row["action"], row["code"]) for row, _ in kept)
    # the steps of taking over an account
    assert by_action["sso", "UserLoggedIn"] == operations["UserLoggedIn"] == 280
    assert by_action["sso", "UserLoginFailed"] == operations["UserLoginFailed"] == 174
    assert by_action["mailbox_access", "MailItemsAccessed"] == operations["MailItemsAccessed"] == 267
    assert by_action["mailbox_access", "New-InboxRule"] == operations["New-InboxRule"] == 3
    assert by_action["consent", "Consent to application."] == operations["Consent to application."] == 31
    assert Counter(action for action, _ in by_action.elements()) == {
        "sso": 454,
        "object_access": 396,
        "mailbox_access": 306,
        "consent": 100,
        "forward": 2,
    }
    forwards = {(row["user"], row["target"]) for row, _ in kept if row["action"] == "forward"}
    assert forwards == {("joey@dutchmasterz.onmicrosoft.com", "sans@dutchmasterz.onmicrosoft.com")}
    failed = [row["outcome"] for row, _ in kept if row["code"] == "UserLoginFailed"]
    assert Counter(failed) == {
        "failure": 135,
        "unknown": 39,
    }  # 22 consents, 10 without session, 5 enrolments, 2 unbound
    report = ingest(AUDIT_LOG, "auto", tmp_path / "lake")
    assert (report.format, report.lines, report.events) == ("m365", 4676, 1258)
