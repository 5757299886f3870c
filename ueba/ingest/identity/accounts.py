"""What kind of account a name is, by the name alone: human, service, machine or anonymous."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

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


def user_kind(name: ir.StringValue) -> ir.StringValue:
    """The kind of account of each name."""
    account = name.lower().re_replace(r"@.*$", "")
    return ibis.cases(
        (account.isin(ANONYMOUS), "anonymous"),
        (account.endswith("$"), "machine"),
        (account.isin(SERVICE) | account.re_search(SERVICE_PATTERN), "service"),
        else_="human",
    )
