"""Who is who: from the names that logs write to entities, in the order in which ingest uses the modules.

expressions  one spelling for each name of events, in the database (the rules are `ueba.spelling`)
accounts     what kind of account a name is
evidence     what the events of a batch prove about names
tables       what an entity table (`--entities`) says
entities     all evidence and tables -> one entity for each name, with the reason
witnesses    one logon that several machines saw -> one event
"""

from ueba.ingest.identity.accounts import ANONYMOUS, user_kind
from ueba.ingest.identity.expressions import (
    blank_to_null,
    host,
    is_local,
    once,
    resource,
    somewhere,
    unify,
    user,
)

__all__ = [
    "ANONYMOUS",
    "blank_to_null",
    "host",
    "is_local",
    "once",
    "resource",
    "somewhere",
    "unify",
    "user",
    "user_kind",
]
