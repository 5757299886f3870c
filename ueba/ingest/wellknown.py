"""Well-known accounts of Windows, which are called otherwise in every language: by SID, else by a table of
their names.

Leaves out accounts of a domain with a well-known number, such as 500 (Administrator): they are people's.
Source: Microsoft, "Security identifiers"; the names are those of the language packs of Windows.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest.identity import once

ANONYMOUS_SID = "S-1-5-7"
ANONYMOUS, AUTHORITY = "ANONYMOUS LOGON", "NT AUTHORITY"  # as English has them
SYSTEM_SIDS = r"^S-1-5-(18$|19$|20$|90-|96-)"
AUTHORITIES = (
    r"(?i)^(nt authority|nt-autorität|nt-autoritaet|autorite nt|autorité nt|autoridade nt|autoridad nt"
    r"|nt-myndighet|nt instans|nt-tilgang|nt-autoriteit|zarządzanie nt|window manager"
    r"|font driver host)$"
)
SYSTEM_NAMES = (
    r"(?i)^(system|local service|network service|dwm-\d+|umfd-\d+|système|systeme|service local"
    r"|service réseau|lokaler dienst|netzwerkdienst|sistema|servicio local|servicio de red"
    r"|serviço local|serviço de rede"
    r"|servizio locale|servizio di rete|lokale service|netwerkservice|lokal tjänst|nätverkstjänst"
    r"|usługa lokalna|usługa sieciowa|система|локальная служба|сетевая служба)$"
)
ANONYMOUS_NAMES = (
    r"(?i)^(anonymous logon|anonymous-anmeldung|connexion anonyme|ouverture de session anonyme"
    r"|inicio de sesión anónimo|logon anônimo|accesso anonimo|anonieme aanmelding|anonym inloggning"
    r"|logowanie anonimowe|анонимный вход)$"
)


def is_anonymous(name: ir.StringValue, sid: ir.StringValue) -> ir.BooleanValue:
    """Whether nobody in particular logged on. False without a name and SID."""
    return sid.identical_to(ANONYMOUS_SID) | name.re_search(ANONYMOUS_NAMES).fill_null(False)


def in_english(
    name: ir.StringValue, domain: ir.StringValue, sid: ir.StringValue
) -> tuple[ir.StringValue, ir.StringValue]:
    """The name and domain of an account; those of nobody in particular as English has them."""
    is_translated = is_anonymous(name, sid) & (name.upper() != ANONYMOUS).fill_null(True)
    return (
        ibis.ifelse(is_translated, ANONYMOUS, name),
        ibis.ifelse(is_translated & domain.notnull(), AUTHORITY, domain),
    )


def is_system(name: ir.StringValue, domain: ir.StringValue, sid: ir.StringValue) -> ir.BooleanValue:
    """Whether an account is one of the system itself: by its SID if there is one, else by its domain or name.
    Null without a name."""
    by_name = (domain.re_search(AUTHORITIES).fill_null(False) | name.re_search(SYSTEM_NAMES)) & ~is_anonymous(
        name, sid
    )
    return ibis.ifelse(sid.notnull(), sid.upper().re_search(SYSTEM_SIDS), by_name)


def is_system_name(whole: ir.StringValue, sid: ir.StringValue) -> ir.BooleanValue:
    """Whether `DOMAIN\\name`, or a name alone with its SID, is an account of the system itself. False without
    a name."""

    def of_parts(parts: ir.ArrayValue) -> ir.BooleanValue:
        is_whole = parts.length() == 2
        name, domain = ibis.ifelse(is_whole, parts[1], parts[0]), ibis.ifelse(is_whole, parts[0], None)
        is_local = is_whole & is_system(name, domain, ibis.null("string"))
        return is_local.fill_null(False)

    by_name = once(whole.split("\\"), of_parts).fill_null(False)
    has_sid = sid.upper().startswith("S-1-").fill_null(False)
    return ibis.ifelse(has_sid, sid.upper().re_search(SYSTEM_SIDS), by_name)
