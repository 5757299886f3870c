"""One spelling for an entity, and what kind of account a name is. events -> events, idempotent, ibis
expressions only.

    CORP\\Alice, alice@CORP, ALICE@corp.  ->  alice@corp         .\\Alice  ->  alice (a local account)
    WS7.corp.example., \\\\WS7.Corp.Example  ->  ws7.corp.example    ::ffff:10.0.0.7  ->  10.0.0.7
    ?, -, empty  ->  null                                       source ::1, 127.0.0.1, localhost, LOCAL  ->  the target

Windows names are case-insensitive, so everything is lower case here. A source whose names are canonical
already says so (`Source.canonical`) and keeps them as written: LANL's pseudonyms read `U7275@DOM1` in every
file that goes with it.

Leaves out what takes a look at other events: `ws7` and `ws7.corp.example` as one, `CORP` and `corp.example`
as one, and IP addresses as the host that held them at the time. That is `entities`.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

BLANK = ("", "?", "-")
LOOPBACK = ("::1", "127.0.0.1", "localhost", "local")
SERVICE = (
    "system",
    "local system",
    "local service",
    "localservice",
    "network service",
    "networkservice",
    "krbtgt",
    "iusr",
)
ANONYMOUS = ("anonymous logon", "anonymous")
SERVICE_PATTERN = r"^(dwm|umfd)-\d+$|^svc|^service[-_.]|[-_.](svc|service)$|^serviceprincipal_"


def once(value: ir.Value, stage: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """`stage(value)` with the value computed once: DuckDB copies an expression to wherever it is named, and
    runs each copy."""
    return ibis.array([value]).map(stage)[0]


def blank_to_null(name: ir.StringValue) -> ir.StringValue:
    """`?`, `-` and nothing are not names."""
    return ibis.ifelse(name.isin(BLANK), ibis.null("string"), name)


def user(name: ir.StringValue) -> ir.StringValue:
    """`user@domain`, lower case; the name alone for a local account."""

    def turned(lower: ir.StringValue) -> ir.StringValue:
        plain = lower.re_replace(r"^(\s*\.\s*\\)+", "").re_replace(r"^[\s\\]+|[\s.]+$", "")
        swapped = plain.re_replace(r"^([^\\@]+)\\([^@]*)$", r"\2@\1").re_replace(r"^[\s\\]+|[\s.]+$", "")
        return ibis.ifelse(lower.re_search(r"\\|^\s|[\s.]$"), swapped, lower)

    return once(once(name.lower(), turned), blank_to_null)


def host(name: ir.StringValue) -> ir.StringValue:
    """Lower case, without leading backslashes and trailing dots; an IPv4 address in IPv6 clothes is an IPv4
    address."""

    def bared(lower: ir.StringValue) -> ir.StringValue:
        plain = lower.re_replace(r"^[\s\\]+|[\s.]+$", "")
        plain = plain.re_replace(r"^(::ffff:)+(\d+\.\d+\.\d+\.\d+)$", r"\2")
        return ibis.ifelse(lower.re_search(r"^[\s\\:]|[\s.]$"), plain, lower)

    return once(once(name.lower(), bared), blank_to_null)


def resource(name: ir.StringValue) -> ir.StringValue:
    """As written: a path or an application may care for case."""
    return once(name.re_replace(r"^\s+|\s+$", ""), blank_to_null)


def unify(events: ir.Table) -> ir.Table:
    """events -> events with one spelling for each name and address. A name that is all dots and the like
    stays."""
    target = ibis.ifelse(events.target_kind == "resource", resource(events.target), host(events.target))
    source_ip = host(events.source_ip)
    source_ip = ibis.ifelse(source_ip.isin(LOOPBACK), ibis.null("string"), source_ip)
    loops = events.source.lower().isin(LOOPBACK) & (events.target_kind == "machine")
    named = events.mutate(
        user=ibis.coalesce(user(events.user), events.user),
        actor=user(events.actor),
        source=ibis.ifelse(loops, target, ibis.coalesce(host(events.source), source_ip)),
        target=ibis.coalesce(target, events.target),
        user_id=blank_to_null(events.user_id.lower()),
        source_ip=source_ip,
        target_ip=host(events.target_ip),
        reporter=host(events.reporter),
    )
    return named.mutate(actor=ibis.ifelse(named.actor == named.user, ibis.null("string"), named.actor))


def user_kind(name: ir.StringValue) -> ir.StringValue:
    """human, service, machine or anonymous, by the account's name alone."""
    account = name.lower().re_replace(r"@.*$", "")
    return ibis.cases(
        (account.isin(ANONYMOUS), "anonymous"),
        (account.endswith("$"), "machine"),
        (account.isin(SERVICE) | account.re_search(SERVICE_PATTERN), "service"),
        else_="human",
    )
