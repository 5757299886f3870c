"""ECS: authentications in the Elastic Common Schema, as Filebeat modules, Elastic Agent and Elasticsearch
exports write them.

A record is a document or an Elasticsearch hit around one (`_source`, `fields`); keys are nested or dotted
(`"user.name": ...`), values alone or in a list. What is reached is the application or Kerberos service that
a module names, else `destination`, else the host of the record, else `service`, else the gateway that
observed it, else the cloud service that was logged on to.

Traps: an alert repeats the fields of the events it is about; `host` is the collector where a module reads
logs of elsewhere (such records name the target elsewhere); of su and sudo, `user.effective` is the account
that was used. Leaves out events of other categories, logoffs, changes of accounts, and documents of
Winlogbeat (`winlog`), which are `windows`. Fields: https://www.elastic.co/docs/reference/ecs, modules:
https://github.com/elastic/integrations.
"""

from __future__ import annotations

from typing import Any

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
    json_extract_string,
    json_fields,
    json_list,
    json_valid,
    kerberos_machine,
)
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source
from ueba.ingest.sources.entra import INTERRUPTS
from ueba.ingest.sources.ocsf import aws_user

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
# Of a module, the cloud service that it logs, where a record names no other target. Named as its vendor
# names it.
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
LISTS = ("categories", "types", "okta_target", "host_ips")  # fields that hold more than one value
KINDS = ("event",)  # others are alerts about events, states and errors of pipelines
CHANGES = ("change", "creation", "deletion", "group")  # types of an event that is about an account
LOGOFFS = ("logged-out", "logout", "logoff", "user.session.end", "session_closed", "user_logout")
PROTOCOLS = {"kerberos": "Kerberos", "ntlm": "NTLM", "radius": "RADIUS", "ldap": "LDAP"}
TICKETS = {"AS": "ticket", "TGS": "service_ticket"}
OUTCOME = {"success": "success", "failure": "failure"}
NO_ZONE = "time without a zone: taken as UTC"


def source(format: str, options: Options) -> Source:
    """Times are UTC by the schema."""
    fields = tuple(path for each in FIELDS.values() for path in each)
    return Source(format, {"format": format}, lambda lines, sample: read(lines), fields=fields)


def recognises(sample: Sample) -> int:
    """Documents with a time, the version of the schema or its categorisation, and nothing of Winlogbeat."""
    return sum(is_document(each.get("_source", each.get("fields", each))) for each in sample.objects)


def is_document(found: Any) -> bool:
    if (
        not isinstance(found, dict)
        or "@timestamp" not in found
        or any(key.split(".")[0] == "winlog" for key in found)
    ):
        return False
    event = found.get("event")
    says = {f"event.{key}" for key in event} if isinstance(event, dict) else set()
    return bool(
        {"ecs", "ecs.version"} & found.keys()
        or {"event.category", "event.kind", "event.outcome"} & (found.keys() | says)
    )


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = documents(lines)
    rows = rows.mutate(
        machine=ibis.coalesce(
            rows.target_name,
            # a host that is reached under one of its own addresses has a name
            ibis.ifelse(rows.host_ips.contains('"' + rows.target_address + '"'), rows.host, None),
            address(rows.target_address),
        ),
        module=rows.dataset.split(".")[0],
        is_ticket=(rows.operation.isin((*TICKETS,)) & rows.dataset.startswith("zeek")).fill_null(False),
        source_ip=address(rows.source_address),
        has_effective=(rows.used_name != rows.user_name).fill_null(False),
    )
    rows = rows.mutate(**reached(rows))
    given = account(rows.user_name, rows.user_domain)
    user = ibis.ifelse(rows.module == AMAZON, aws_user(rows.arn, given, rows.cloud_account), given)
    here = ibis.ifelse(rows.target_kind == "machine", rows.target, rows.host)
    remote = ibis.coalesce(rows.source_name, rows.source_address)
    stays = is_local(remote) | (remote.isnull() & rows.has_effective)
    outcome = ibis.ifelse(
        rows.entra_error.isin(INTERRUPTS), "unknown", rows.result.cases(*OUTCOME.items(), else_="unknown")
    )
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            (rows.winlog.notnull(), "not an ECS record but one of Winlogbeat: use windows"),
            (rows.categories.isnull() & rows.kind.isnull() & rows.ecs_version.isnull(), "not an ECS record"),
            (rows.categories.isnull(), "no event.category: not parsed by whoever shipped it"),
            (
                ~has(rows.categories, ("authentication",)).fill_null(False),
                f"{events.NOT_A_LOGON}: another category",
            ),
            (rows.kind.notnull() & rows.kind.notin(KINDS), f"{events.NOT_A_LOGON}: an alert or a state"),
            (
                has(rows.types, ("end",)) | rows.operation.lower().isin(LOGOFFS),
                f"{events.NOT_A_LOGON}: logoff",
            ),
            (has(rows.types, CHANGES), f"{events.NOT_A_LOGON}: a change of an account"),
        ],
        time=any_time(rows.at),
        user=ibis.ifelse(rows.has_effective, account(rows.used_name, rows.used_domain), user),
        actor=ibis.ifelse(rows.has_effective, user, None),
        user_id=ibis.ifelse(rows.has_effective, rows.used_uid, rows.user_uid),
        source=ibis.ifelse(stays.fill_null(False), here, ibis.coalesce(rows.source_name, rows.source_ip)),
        target_ip=ibis.ifelse(rows.target_kind == "machine", address(rows.target_address), None),
        auth_package=ibis.coalesce(
            rows.method, rows.protocol.lower().cases(*PROTOCOLS.items(), else_=ibis.null("string"))
        ),
        outcome=outcome,
        outcome_reason=ibis.ifelse(outcome == "failure", rows.reason, None),
        reporter=ibis.coalesce(rows.host, rows.observer, rows.cloud_account, rows.module),
        witness=ibis.ifelse(rows.is_ticket, events.CONTROLLER, ibis.null("string")),
        code=ibis.coalesce(rows.event_code, rows.operation),
        # the events of one connection share the identity that Zeek gives it
        event_id=ibis.coalesce(ibis.ifelse(rows.module == "zeek", None, rows.uid), rows.document_id),
        note=ibis.ifelse(rows.at.contains(":") & ~has_zone(rows.at), NO_ZONE, ibis.null("string")),
    )


def documents(lines: ir.Table) -> ir.Table:
    """lines with the fields of their documents, and `is_json`."""
    is_hit = lines.text.contains('"_index"') & json_valid(lines.text)
    document = ibis.coalesce(
        *(json_extract_string(lines.text, path) for path in ("/_source", "/fields")), "{}"
    )
    identity = ibis.ifelse(is_hit, json_extract_string(lines.text, "/_id"), None)
    inner = lines.mutate(
        text=ibis.ifelse(is_hit, document, lines.text), whole=lines.text, document_id=identity
    )
    rows = json_fields(
        inner,
        {name: [path for each in given for path in (each, f"/{each}")] for name, given in FIELDS.items()},
    )
    return rows.mutate(**{name: first(rows[name]) for name in FIELDS if name not in LISTS}, text=rows.whole)


def reached(rows: ir.Table) -> dict[str, ir.StringValue]:
    """The target, and how it was reached."""
    is_cloud = rows.module.isin(CLOUDS).fill_null(False)
    is_service_ticket = rows.is_ticket & (rows.operation == "TGS") & ~is_ticket_service(rows.kerberos_service)
    by_kerberos = ibis.ifelse(is_service_ticket, kerberos_machine(rows.kerberos_service), None)
    application = ibis.coalesce(
        rows.role,
        rows.application,
        okta_application(rows.okta_target),
        ibis.ifelse(is_service_ticket & by_kerberos.isnull(), rows.kerberos_service, None),
    )
    is_console = (rows.module == AMAZON) & (rows.operation == CONSOLE)
    own = rows.module.cases(*SERVICES.items(), else_=ibis.null("string"))
    machine = ibis.coalesce(by_kerberos, rows.machine, ibis.ifelse(is_cloud, None, rows.host))
    service = ibis.coalesce(
        ibis.ifelse(is_console, "AWS console " + rows.cloud_account, None),
        ibis.ifelse(rows.module == AMAZON, rows.provider, None),
        rows.service,
        own,
    )
    is_machine = application.isnull() & (machine.notnull() | service.isnull())
    return {
        "target": ibis.coalesce(application, machine, service, rows.observer),
        "target_kind": ibis.ifelse(is_machine, "machine", "resource"),
        "action": ibis.cases(
            (rows.is_ticket, rows.operation.cases(*TICKETS.items(), else_="ticket")),
            (rows.role.notnull(), "assume_role"),
            (rows.has_effective, "explicit_credential"),
            # to the service that the log is of, and not by it to another
            (is_machine | (application.isnull() & (is_console | (service == own))), "logon"),
            else_="sso",
        ),
    }


def okta_application(targets: ir.StringValue) -> ir.StringValue:
    """The display name of the first application among what an Okta event is about."""
    applications = json_list(targets, ("type", "display_name")).filter(
        lambda target: target["type"] == "AppInstance"
    )
    return applications[0]["display_name"]


def first(text: ir.StringValue) -> ir.StringValue:
    """A value that may stand in a list."""
    is_list = text.startswith("[") & json_valid(text)
    return once(text, lambda text: ibis.ifelse(is_list, json_extract_string(text, "/0"), text))


def has(listed: ir.StringValue, values: tuple[str, ...]) -> ir.BooleanValue:
    """Whether a list, or a value alone, has one of some values."""
    return listed.re_search(rf'^({"|".join(values)})$|"({"|".join(values)})"')
