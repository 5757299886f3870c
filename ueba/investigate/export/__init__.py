"""Incidents in the forms that other tools read: one module for each form, all from the same alerts.

| form           | what it is                                             | for                          |
|----------------|--------------------------------------------------------|------------------------------|
| ocsf           | OCSF Detection Finding (2004), JSON lines              | SIEMs and security lakes     |
| ecs            | Elastic Common Schema alerts, JSON lines               | Elastic, OpenSearch          |
| csv            | a row for each edge                                    | people with a spreadsheet    |
| timesketch     | a row for each event and for the incident, JSON lines  | timelines                    |
| opengraph      | BloodHound OpenGraph, one JSON document                | attack paths                 |
| opengraph-link | a second document: our nodes to those of the directory | to be loaded after the first |

Another export of the same incidents is the same, with the same ids. Text is ASCII JSON with all control
characters escaped, so that no name can break a line or steer a terminal. Leaves out STIX, which is for a
perimeter and not for a day's incidents, see `stix`; and sending, see `webhook`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ueba.text import ascii_json

if TYPE_CHECKING:
    from ueba.investigate.export.alerts import Alert

FORMATS = ("ocsf", "ecs", "csv", "timesketch", "opengraph", "opengraph-link")
# Events of an edge that a form has: the first ones; None is all. The other forms have no events.
EVENTS: dict[str, int | None] = {"ocsf": 100, "ecs": 100, "timesketch": None}


def text(form: str, alerts: Sequence[Alert]) -> str:
    """Cases as the text of a file in one of FORMATS."""
    from ueba.investigate.export import ecs, ocsf, opengraph, spreadsheet, timesketch

    if form == "csv":
        return spreadsheet.text(alerts)
    if form == "opengraph":
        return ascii_json(opengraph.graph(alerts), indent=1) + "\n"
    if form == "opengraph-link":
        return ascii_json(opengraph.links(alerts), indent=1) + "\n"
    if form == "timesketch":
        return lines(row for alert in alerts for row in timesketch.rows(alert))
    record = ocsf.finding if form == "ocsf" else ecs.document
    return lines(record(alert) for alert in alerts)


def lines(records: Iterable[dict[str, Any]]) -> str:
    """JSON lines."""
    return "".join(ascii_json(record) + "\n" for record in records)
