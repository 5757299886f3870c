"""Pictures: every node and edge is in them, names from logs stay text, and the same graph gives the same
picture."""

from __future__ import annotations

import datetime as dt
import re
from xml.etree import ElementTree as xml

import networkx as nx
from browser import browse, in_a_browser
from scored_world import on_day

from ueba.contracts.drawing import Drawing, Line
from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.investigate import draw
from ueba.investigate.draw import page
from ueba.investigate.draw.graphml import to_networkx
from ueba.investigate.draw.incident import incident_drawing
from ueba.investigate.draw.svg import MOST, svg
from ueba.text import plain, shortened

HOSTILE = '</title><script>alert("x")</script>'
SVG = "{http://www.w3.org/2000/svg}"


def edge(user, source, target, kind="machine"):
    return on_day(dt.date(2026, 3, 2), Edge(user, source, target, kind), "20260302-aaaaaaaa", count=2)


def world():
    edges = [
        edge("ann", "ws1", "srv1"),
        edge("ann", None, "\\\\srv1\\share", "resource"),
        edge(HOSTILE, "ws1", "srv1"),
    ]
    return incident_drawing(edges)


def test_an_incident_is_who_acted_from_where_and_what_was_reached():
    graph = to_networkx(world())
    assert sorted(graph.nodes) == sorted(
        ["user:ann", f"user:{HOSTILE}", "machine:ws1", "machine:srv1", "resource:\\\\srv1\\share"]
    )
    assert sorted((a, b, data["type"]) for a, b, data in graph.edges(data=True)) == sorted(
        [
            ("user:ann", "machine:ws1", "USED"),
            (f"user:{HOSTILE}", "machine:ws1", "USED"),
            ("machine:ws1", "machine:srv1", "REACHED"),
            ("machine:ws1", "machine:srv1", "REACHED"),
            ("user:ann", "resource:\\\\srv1\\share", "REACHED"),
        ]
    )
    list(nx.generate_graphml(graph))  # raises for values that it cannot hold


def test_a_still_picture_has_a_circle_a_node_and_a_line_an_edge_in_columns():
    drawn = xml.fromstring(svg(world(), "incident 1"))
    assert drawn.findtext(f"{SVG}title") == "incident 1"
    circles = drawn.findall(f".//{SVG}circle")
    assert len(circles) == 5 and len(drawn.findall(f".//{SVG}path")) == 5
    assert {circle.get("cx") for circle in circles} == {"14", "314", "614"}
    assert not drawn.findall(f".//{SVG}script")
    assert svg(world(), "incident 1") == svg(world(), "incident 1")


def test_a_crowd_is_cut_and_the_rest_counted():
    drawing = Drawing()
    for number in range(30):
        drawing.add(machine(f"ws{number}"), "confirmed" if number == 29 else "usual")
    drawn = svg(drawing, "many")
    assert drawn.count("<circle") == MOST and "and 6 more that are not drawn" in drawn and "ws29" in drawn


def test_a_page_of_a_crowd_keeps_origins_then_what_is_confirmed_then_what_is_near(tmp_path):
    drawing, origin = Drawing(), Entity("user", "the-origin")
    for number in range(page.MOST - 1):
        drawing.add(machine(f"ws{number}"), "possible", layer=2)
    drawing.add(machine("far-away"), "possible", layer=3)
    drawing.add(origin, "origin", layer=0)
    drawing.lines.append(Line(origin, machine("far-away"), "REACHED", "possible", ""))
    draw.write(drawing, tmp_path / "a.html", "many")
    text = (tmp_path / "a.html").read_text()
    assert (
        "and 1 more that are not drawn" in summary(text)
        and "user:the-origin" in text
        and "far-away" not in text
    )
    assert len(drawing.nodes) == page.MOST + 1
    del drawing.nodes[machine("far-away")], drawing.lines[:]
    draw.write(drawing, tmp_path / "b.html", "as many as there may be")
    assert "not drawn" not in summary((tmp_path / "b.html").read_text())


def machine(name):
    return Entity("machine", name)


def summary(text):
    """The line beside the picture of a page."""
    return text.rpartition("<summary>")[2].partition("</summary>")[0]


def test_a_page_says_what_its_lines_mean_and_holds_a_still_picture(tmp_path):
    graph = world()
    draw.write(graph, tmp_path / "a.html", "an incident")
    text = (tmp_path / "a.html").read_text()
    assert (
        "<b>an incident</b>" in summary(text)
        and "strange</span>" in summary(text)
        and "missing" not in summary(text)
    )
    assert svg(graph, "an incident") in text


def test_an_empty_graph_is_an_empty_picture():
    assert "<circle" not in svg(Drawing(), "nothing")


def test_pages_and_files_are_told_by_their_suffix_and_hold_no_markup_of_names(tmp_path):
    draw.write(world(), tmp_path / "new" / "a.svg", HOSTILE)
    draw.write(world(), tmp_path / "a.html", HOSTILE)
    assert (tmp_path / "new" / "a.svg").read_text().startswith("<svg")
    text = (tmp_path / "a.html").read_text()
    assert "<script>alert" not in text and "&lt;/title&gt;" in text


def test_names_are_shown_and_not_obeyed():
    assert plain("a\x1b[31mb\u202ec") == "a\\x1b[31mb\\u202ec"
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcde…hijk"


@in_a_browser
def test_a_page_runs_its_own_scripts_and_no_others(tmp_path):
    """The scripts of the page draw (or open the still picture, where there is no WebGL); one that was added,
    in any place, is refused, and nothing is asked of a network."""
    draw.write(world(), tmp_path / "page.html", HOSTILE)
    drawn, console = browse(tmp_path, "page.html", "--virtual-time-budget=9000", "--dump-dom")
    assert "<canvas" in drawn or re.search("<details[^>]* open", drawn)
    assert not [line for line in console if "Content Security Policy" in line or "Refused" in line]

    text = (tmp_path / "page.html").read_text()
    added = (
        "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
        "<a id=go href=\"javascript:document.title='run'\">x</a><iframe src='https://example.org/'></iframe>"
        "<script src='https://example.org/x.js'></script>"
    )
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{added}</body>"))
    drawn, console = browse(tmp_path, "page.html", "--virtual-time-budget=9000", "--dump-dom")
    assert "<title>run" not in drawn
    assert len([line for line in console if "Content Security Policy" in line]) >= 4
