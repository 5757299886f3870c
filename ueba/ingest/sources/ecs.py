"""ECS: authentications in the Elastic Common Schema, as Filebeat modules, Elastic Agent and Elasticsearch
exports write them.

A record is a document; values stand alone or in a list. The target is the application or Kerberos service
that a module names, else `destination`, else the host of the record, else `service`, else the gateway that
observed it, else the cloud service whose log it is.

Traps: an alert repeats the fields of the events that it is about; `host` is the collector if a module reads
logs of another machine (such records name the target elsewhere); of su and sudo, `user.effective` is the
account that was used. Leaves out events of other categories, logoffs, changes of accounts, and documents of
Winlogbeat (`winlog`), which are of the format `windows`. Fields: https://www.elastic.co/docs/reference/ecs,
modules: https://github.com/elastic/integrations.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Columns,
    account,
    address,
    all_paths,
    any_time,
    has_zone,
    is_local,
    is_ticket_service,
    json_extract_string,
    json_fields,
    json_list,
    json_valid,
    kerberos_machine,
)
from ueba.ingest.identity import blank_to_null, once
from ueba.ingest.sources import LogSource, Options, Sample
from ueba.ingest.sources.entra import INTERRUPTS
from ueba.ingest.sources.ocsf import aws_user
from ueba.ingest.wellknown import is_system_name

FIELDS: dict[str, tuple[str, ...]] = {
    "at": ("@timestamp",),
    "categories": ("event.category",),
    "kind": ("event.kind",),
    "types": ("event.type",),
    "operation": ("event.action",),
    "event_code": ("event.code",),
    "dataset": ("event.dataset", "data_stream.dataset", "event.module"),
    "result": ("event.outcome",),
    "entra_error": ("azure.signinlogs.properties.status.error_code", "azure.signinlogs.result_type"),
    "reason": ("event.reason", "error.message", "error.code"),
    "uid": ("event.id",),
    "ecs_version": ("ecs.version",),
    "winlog": ("winlog.channel", "winlog.event_id", "winlog.provider_name"),
    "user_name": (
        "okta.actor.alternate_id",
        "user.name",
        "client.user.name",
        "source.user.name",
        "user.email",
    ),
    "user_domain": ("user.domain", "client.user.domain", "source.user.domain"),
    "user_uid": ("okta.actor.id", "user.id", "client.user.id", "source.user.id"),
    "arn": ("aws.cloudtrail.user_identity.arn",),
    "used_name": ("user.effective.name",),
    "used_domain": ("user.effective.domain",),
    "used_uid": ("user.effective.id",),
    "source_name": ("source.domain", "client.domain"),
    "source_address": ("source.ip", "source.address", "client.ip", "client.address"),
    "target_name": ("destination.domain", "server.domain"),
    "target_address": ("destination.ip", "destination.address", "server.ip", "server.address"),
    "host": ("host.name", "host.hostname"),
    "host_ips": ("host.ip",),
    "observer": ("observer.hostname", "observer.name", "observer.ip"),
    "service": ("service.name",),
    "application": (
        "azure.signinlogs.properties.app_display_name",
        "cisco_duo.auth.application.name",
        "auth0.logs.data.client_name",
        "google_workspace.saml.application_name",
        "service.target.name",
    ),
    "okta_target": ("okta.target",),
    "role": ("aws.cloudtrail.flattened.request_parameters.roleArn",),
    "provider": ("event.provider",),
    "cloud_account": ("cloud.account.id", "azure.tenant_id", "organization.id"),
    "kerberos_service": ("zeek.kerberos.service",),
    "method": (
        "system.auth.ssh.method",
        "okta.authentication_context.credential_type",
        "authentication.method",
        "cisco_duo.auth.factor",
    ),
    "protocol": ("network.protocol",),
}
# Module -> the cloud service whose log it reads, by its vendor's name: the target of records that name none.
SERVICES = {
    "okta": "Okta",
    "google_workspace": "Google Workspace",
    "gsuite": "Google Workspace",
    "azure": "Microsoft Entra ID",
    "o365": "Microsoft 365",
    "auth0": "Auth0",
    "onelogin": "OneLogin",
    "ping_one": "PingOne",
    "jumpcloud": "JumpCloud",
    "github": "GitHub",
    "slack": "Slack",
    "salesforce": "Salesforce",
    "1password": "1Password",
    "bitwarden": "Bitwarden",
    "zoom": "Zoom",
    "cisco_duo": "Duo",
}
AMAZON, CONSOLE = "aws", "ConsoleLogin"  # its services are named by `event.provider`
CLOUDS = (AMAZON, "gcp", *SERVICES)  # modules of which `host` is a collector
LISTS = ("categories", "types", "okta_target", "host_ips")  # fields with more than one value
EVENT_KIND = "event"  # other kinds are alerts about events, states and errors of pipelines
CHANGES = ("change", "creation", "deletion", "group")  # types of an event that is about an account
LOGOFFS = ("logged-out", "logout", "logoff", "user.session.end", "session_closed", "user_logout")
PROTOCOLS = {"kerberos": "Kerberos", "ntlm": "NTLM", "radius": "RADIUS", "ldap": "LDAP"}
TICKETS = {"AS": "ticket", "TGS": "service_ticket"}
OUTCOME = {"success": "success", "failure": "failure"}
NO_ZONE = "time without a zone: taken as UTC"


def source(format: str, options: Options) -> LogSource:
    """Times are UTC according to the schema."""
    return LogSource(format, {"format": format}, lambda lines, facts: read(lines), fields=all_paths(FIELDS))


def recognises(sample: Sample) -> int:
    """Documents with a time, the version of the schema or its categorisation, and nothing of Winlogbeat."""
    return sum(is_categorised(record) for record in sample.objects)


def resembles(sample: Sample) -> int:
    """Documents that their shipper did not parse: with the version of the schema alone."""
    return sum(is_document(record) for record in sample.objects)


def is_document(found: dict[str, Any]) -> bool:
    is_one = any(key in found for key in ("ecs", "ecs.version")) or is_categorised(found)
    return is_one and "@timestamp" in found and not any(key.split(".")[0] == "winlog" for key in found)


def is_categorised(found: dict[str, Any]) -> bool:
    """Whether a document says what kind of event it is."""
    event = found.get("event")
    nested = {f"event.{key}" for key in event} if isinstance(event, dict) else set()
    keys = {"event.category", "event.kind", "event.outcome"}
    is_one = "@timestamp" in found and bool(keys & (found.keys() | nested))
    return is_one and not any(key.split(".")[0] == "winlog" for key in found)


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = with_machine(documents(lines))
    rows = rows.mutate(**reached(rows))
    return events.finish(
        rows,
        dropped(rows),
        **accounts(rows),
        **result(rows),
        time=any_time(rows.at),
        source=acted_from(rows),
        target_ip=ibis.ifelse(rows.target_kind == "machine", address(rows.target_address), None),
        auth_package=ibis.coalesce(
            rows.method, rows.protocol.lower().cases(*PROTOCOLS.items(), else_=ibis.null("string"))
        ),
        reporter=ibis.coalesce(rows.host, rows.observer, rows.cloud_account, rows.module),
        witness=ibis.ifelse(rows.is_ticket, events.CONTROLLER, ibis.null("string")),
        code=ibis.coalesce(rows.event_code, rows.operation),
        # events of one connection share its Zeek identifier
        event_id=ibis.ifelse(rows.module == "zeek", None, rows.uid),
        note=ibis.ifelse(rows.at.contains(":") & ~has_zone(rows.at), NO_ZONE, ibis.null("string")),
    )


def documents(lines: ir.Table) -> ir.Table:
    """lines with the fields of their documents, and `is_json`."""
    rows = json_fields(lines, FIELDS)
    return rows.mutate(**{name: first(rows[name]) for name in FIELDS if name not in LISTS})


def with_machine(rows: ir.Table) -> ir.Table:
    """rows with the `machine` that the record names, its module, and what kind of record it is."""
    # a host that is reached under one of its own addresses has a name
    own_address = rows.host_ips.contains('"' + rows.target_address + '"')
    return rows.mutate(
        machine=ibis.coalesce(
            rows.target_name, ibis.ifelse(own_address, rows.host, None), address(rows.target_address)
        ),
        module=rows.dataset.split(".")[0],
        is_ticket=(rows.operation.isin((*TICKETS,)) & rows.dataset.startswith("zeek")).fill_null(False),
        source_ip=address(rows.source_address),
        has_effective=(rows.used_name != rows.user_name).fill_null(False),
    )


def dropped(rows: ir.Table) -> Cases:
    """Why a record is dropped."""
    is_authentication = has(rows.categories, ("authentication",)).fill_null(rows.has_effective)
    is_end = has(rows.types, ("end",)) | rows.operation.lower().isin(LOGOFFS)
    return [
        (~rows.is_json, "not JSON"),
        (rows.winlog.notnull(), "not an ECS record but one of Winlogbeat: use windows"),
        (rows.categories.isnull() & rows.kind.isnull() & rows.ecs_version.isnull(), "not an ECS record"),
        (
            rows.categories.isnull()
            & ~rows.has_effective,  # a change of account is one, whatever it is called
            "no event.category: its shipper did not parse it",
        ),
        (~is_authentication, f"{events.NOT_A_LOGON}: another category"),
        (rows.kind.notnull() & (rows.kind != EVENT_KIND), f"{events.NOT_A_LOGON}: an alert or a state"),
        (is_end, f"{events.NOT_A_LOGON}: logoff"),
        (
            is_system_name(account(rows.user_name, rows.user_domain), rows.user_uid) & ~rows.has_effective,
            f"{events.NOT_A_LOGON}: system account",
        ),
        (has(rows.types, CHANGES), f"{events.NOT_A_LOGON}: a change of an account"),
    ]


# --- who ----------------------------------------------------------------------------------------------------


def accounts(rows: ir.Table) -> Columns:
    """The account that was used, its identifier, and the account that used it, if another (su, sudo)."""
    name = account(rows.user_name, rows.user_domain)
    user = ibis.ifelse(rows.module == AMAZON, aws_user(rows.arn, name, rows.cloud_account), name)
    # auditd knows of a logon from outside only which account is used
    is_used = rows.has_effective | user.isnull()
    return {
        "user": ibis.ifelse(is_used, account(rows.used_name, rows.used_domain), user),
        "actor": ibis.ifelse(rows.has_effective, user, None),
        "user_id": ibis.ifelse(is_used, rows.used_uid, rows.user_uid),
    }


def acted_from(rows: ir.Table) -> ir.StringValue:
    """The source: the machine itself for a loopback address, and for su and sudo without a source."""
    here = ibis.ifelse(rows.target_kind == "machine", rows.target, rows.host)
    remote = ibis.coalesce(rows.source_name, rows.source_address)
    is_here = is_local(remote) | (remote.isnull() & rows.has_effective)
    return ibis.ifelse(is_here.fill_null(False), here, ibis.coalesce(rows.source_name, rows.source_ip))


def result(rows: ir.Table) -> Columns:
    outcome = ibis.ifelse(
        rows.entra_error.isin(INTERRUPTS), "unknown", rows.result.cases(*OUTCOME.items(), else_="unknown")
    )
    return {"outcome": outcome, "outcome_reason": ibis.ifelse(outcome == "failure", rows.reason, None)}


# --- what ---------------------------------------------------------------------------------------------------


def reached(rows: ir.Table) -> Columns:
    """The target, its kind, and the action."""
    is_service_ticket = rows.is_ticket & (rows.operation == "TGS") & ~is_ticket_service(rows.kerberos_service)
    by_kerberos = ibis.ifelse(is_service_ticket, kerberos_machine(rows.kerberos_service), None)
    is_account = is_service_ticket & by_kerberos.isnull()
    application = ibis.coalesce(
        rows.role,
        rows.application,
        okta_application(rows.okta_target),
        ibis.ifelse(is_account, rows.kerberos_service, None),
    )
    is_cloud = rows.module.isin(CLOUDS).fill_null(False)
    machine = ibis.coalesce(by_kerberos, rows.machine, ibis.ifelse(is_cloud, None, rows.host))
    service = cloud_service(rows)
    is_machine = application.isnull() & (machine.notnull() | service.isnull())
    return {
        "target": ibis.coalesce(application, machine, service, rows.observer),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "action": action(rows, application, service, is_machine),
    }


def cloud_service(rows: ir.Table) -> ir.StringValue:
    """The service that was logged on to: the AWS console of an account, the service of an AWS call, the
    service that the record names, or the one whose log it is."""
    is_amazon = rows.module == AMAZON
    return ibis.coalesce(
        ibis.ifelse(is_amazon & (rows.operation == CONSOLE), "AWS console " + rows.cloud_account, None),
        ibis.ifelse(is_amazon, rows.provider, None),
        rows.service,
        logged_service(rows),
    )


def logged_service(rows: ir.Table) -> ir.StringValue:
    return rows.module.cases(*SERVICES.items(), else_=ibis.null("string"))


def action(
    rows: ir.Table, application: ir.StringValue, service: ir.StringValue, is_machine: ir.BooleanValue
) -> ir.StringValue:
    """A logon is to a machine, or to the service whose log it is; sso is through that service to another."""
    is_console = (rows.module == AMAZON) & (rows.operation == CONSOLE)
    is_logon = is_machine | (application.isnull() & (is_console | (service == logged_service(rows))))
    return ibis.cases(
        (rows.is_ticket, rows.operation.cases(*TICKETS.items(), else_="ticket")),
        (rows.role.notnull(), "assume_role"),
        (rows.has_effective, "explicit_credential"),
        (is_logon, "logon"),
        else_="sso",
    )


def okta_application(targets: ir.StringValue) -> ir.StringValue:
    """The display name of the first application among the targets of an Okta event."""
    applications = json_list(targets, ("type", "display_name")).filter(
        lambda target: target["type"] == "AppInstance"
    )
    return applications[0]["display_name"]


def first(text: ir.StringValue) -> ir.StringValue:
    """The first value of a list, null if it is empty, `?` or `-`; a value that is no list is not changed."""
    is_list = text.startswith("[") & json_valid(text)
    return once(text, lambda text: ibis.ifelse(is_list, blank_to_null(json_extract_string(text, "/0")), text))


def has(listed: ir.StringValue, values: tuple[str, ...]) -> ir.BooleanValue:
    """Whether a list, or a value alone, contains one of these values."""
    return listed.re_search(rf'^({"|".join(values)})$|"({"|".join(values)})"')
