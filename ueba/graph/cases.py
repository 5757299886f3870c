"""Cases in the graph: which incidents are one case, and which goes on from which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from graphdb import statements
from graphdb.store import Store
from ueba import ontology
from ueba.contracts.case import Case, Link
from ueba.contracts.period import Period
from ueba.investigate import cases, periods
from ueba.investigate.cases import Casebook


def write_cases(store: Store, book: Casebook, folder: Path) -> None:
    """Write all cases in place of those that were there. An incident that is not in the graph is passed over,
    and so is a case without any that is. folder: the findings that the cases are of"""
    for relationship in (ontology.PART_OF, ontology.GOES_ON_FROM):
        store.delete(statements.delete_all_relationships(relationship.type))
    if book.cases:
        often = periods.of_cases(folder, book, book.cases)
        rows = [_case(book, case, often[case.id]) for case in book.cases]
        store.load_nodes(ontology.CASE, pa.Table.from_pylist(rows))
        store.load_relationships(ontology.PART_OF, pa.Table.from_pylist(_parts(book)))
    if links := [_link(link) for case in book.cases for link in case.links]:
        store.load_relationships(ontology.GOES_ON_FROM, pa.Table.from_pylist(links))
    store.delete(statements.delete_lonely(ontology.CASE, (ontology.PART_OF.type,)))


def _case(book: Casebook, case: Case, period: Period) -> dict[str, Any]:
    return {
        "id": case.id,
        "first_day": case.first_day.isoformat(),
        "last_day": case.last_day.isoformat(),
        "score": case.score,
        **period.fields,
        "incidents": len(case.incidents),
        "story": cases.sentence(book, case),
    }


def _parts(book: Casebook) -> list[dict[str, str]]:
    return [{"start": incident, "end": case.id} for case in book.cases for incident in case.incidents]


def _link(link: Link) -> dict[str, str]:
    return {
        "start": link.incident,
        "end": link.goes_on_from,
        "kind": msgspec.to_builtins(link)["kind"],
        "by": link.by,
        "reason": cases.why(link),
    }
