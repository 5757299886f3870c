"""One spelling for each name and address of events: `ueba.spelling` as Ibis expressions. Idempotent.

A source that is the machine itself (::1, 127.0.0.1, localhost, LOCAL) becomes the target. Leaves out what
needs other events; that is `entities`.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from ueba.spelling import HOST, NOT_NAMES, RESOURCE, USER, Spelling

LOOPBACK = ("::1", "127.0.0.1", "localhost", "local")


def unify(events: ir.Table) -> ir.Table:
    """events -> events with one spelling for each name and address.

    A user or target of which nothing would be left (`..`) keeps its form: an event has both."""
    target = ibis.ifelse(events.target_kind == "resource", resource(events.target), host(events.target))
    source_ip = host(events.source_ip)
    source_ip = ibis.ifelse(source_ip.isin(LOOPBACK), ibis.null("string"), source_ip)
    loops = events.source.lower().isin(LOOPBACK) & (events.target_kind == "machine")
    named = events.mutate(
        user=ibis.coalesce(user(events.user), events.user.nullif("")),
        actor=user(events.actor),
        source=ibis.ifelse(loops, target, ibis.coalesce(host(events.source), source_ip)),
        target=ibis.coalesce(target, events.target.nullif("")),
        user_id=blank_to_null(events.user_id.lower()),
        source_ip=source_ip,
        target_ip=host(events.target_ip),
        reporter=host(events.reporter),
    )
    return named.mutate(actor=ibis.ifelse(named.actor == named.user, ibis.null("string"), named.actor))


def user(name: ir.StringValue) -> ir.StringValue:
    """`user@domain`, lower case; the name alone for a local account."""
    return spelt(name, USER)


def host(name: ir.StringValue) -> ir.StringValue:
    """Lower case, without leading backslashes and trailing dots; an IPv4 address mapped into IPv6 is the IPv4
    address."""
    return spelt(name, HOST)


def resource(name: ir.StringValue) -> ir.StringValue:
    """As written, without space around it: a path or an application may be case-sensitive."""
    return spelt(name, RESOURCE)


def spelt(name: ir.StringValue, spelling: Spelling) -> ir.StringValue:
    """The rules of a spelling, applied in the database."""

    def rewritten(text: ir.StringValue) -> ir.StringValue:
        form = text
        for pattern, replacement in spelling.rewrites:
            form = form.re_replace(pattern, replacement)
        return form if spelling.needed is None else ibis.ifelse(text.re_search(spelling.needed), form, text)

    return once(once(name.lower() if spelling.ignores_case else name, rewritten), blank_to_null)


def once(value: ir.Value, stage: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """`stage(value)` with the value computed once: DuckDB copies an expression to wherever it is named, and
    runs each copy."""
    return ibis.array([value]).map(stage)[0]


def blank_to_null(name: ir.StringValue) -> ir.StringValue:
    """`?`, `-` and nothing are not names."""
    return ibis.ifelse(name.isin(NOT_NAMES), ibis.null("string"), name)
