"""A day's report: what it says is worked out by hand, what it is made of cannot be broken by a name, and a
browser shows it."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import verdicts
from browser import browse, in_a_browser
from ingest_world import event, read
from matplotlib import image
from scored_world import MODEL, explanation, incident_of, scored_edge, table
from small_workspace import CONFIG, LAST, run, set_aside

from ueba import findings, words
from ueba.config import Config
from ueba.contracts.explanation import Counterfactual, Expected, Explanation, Usual
from ueba.contracts.reason import CarryOver, NewPair, Unknown, is_backoff
from ueba.contracts.scored import ScoredEdge
from ueba.detect.look.likeness import DIM
from ueba.detect.look.tensors import Frame
from ueba.detect.past.history import day_number
from ueba.detect.past.ids import IdTable
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Detector
from ueba.files import write_json
from ueba.ingest import lake
from ueba.investigate.explain import kept
from ueba.investigate.report import days, incidents, trust
from ueba.investigate.report import page as report
from ueba.workspace import Workspace

DAYS = [dt.date(2026, 3, number) for number in range(2, 6)]
TODAY = DAYS[-1]
HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' onload='document.title=1",
    "</title></style></svg><script>document.title='owned'</script>",
    "{{ 7 * 7 }}{% raw %}",
    "evil\u202egnp.exe\u2066",
    "bell\x07esc\x1b[31mnul\x00\ud800",
    "javascript:document.title=1//&amp;",
    "n" * 300,
    "$(touch owned) `id` ; rm -rf .",
]


def edge(
    user: str, source: str | None, target: str, p: float, incident: str | None = None, **fields: Any
) -> ScoredEdge:
    """A scored edge, on TODAY at 06:00:00."""
    seen = dt.datetime(2026, 3, 5, 6)
    rest = {
        "user": user,
        "source": source,
        "target": target,
        "count": 2,
        "failures": 1,
        "first_seen": seen,
        "last_seen": seen + dt.timedelta(hours=12),
        "logon_types": ("Network",),
        "surprise": 3.0,
        "p_value": p,
        "once_in_days": 0.05 / p,
        "strangeness": float(3 - np.log(p)),
        "incident": incident,
        "reasons": (NewPair("user_target", user, target, False, 3.0, 0.0, 0.0),),
    }
    return scored_edge(**{**rest, **fields})


def explained(scored: ScoredEdge, usual: str) -> Explanation:
    """What the page shows of what is worked out when a day is scored."""
    change = Counterfactual("source", usual, None, "where the user usually acts from", 0.1, 0.5)
    expected = Expected(target=(Usual(usual, 0.9),))
    return explanation(scored.edge, expected=expected, counterfactuals=(change,))


def save(workspace: Workspace, day: dt.date, edges: list[ScoredEdge], scores: dict[str, float]) -> None:
    """What scoring would leave of a day. scores: incident -> score, best first"""
    incidents = []
    for rank, (name, score) in enumerate(scores.items(), start=1):
        inside = [edge for edge in edges if edge.incident == name]
        backoff = any(is_backoff(edge.reasons) for edge in inside)
        incidents.append(incident_of(inside, day=day, rank=rank, score=score, backoff=backoff))
    rows = table(edges).assign(day=day)
    findings.save(findings.Findings(day, rows, tuple(incidents)), workspace.findings)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four days; ann is in an incident on three of them, the last two in a row, bob on the last, eve is
    strange in none."""
    workspace = Workspace(tmp_path_factory.mktemp("days"))
    lines = [event(f"{day}T{hour:02}:10:00", "ann", "pc1", "srv") for day in DAYS for hour in (8, 9)]
    lines += [event(f"{TODAY}T09:00:00", "bob", "pc2", "srv"), event(f"{TODAY}T23:59:59", "bob", "pc2", "db")]
    read(workspace.root, [*lines, "no JSON", event("1601-01-01T00:00:00", "ann", "pc1", "srv")])
    for day in (DAYS[0], DAYS[2]):
        name = f"{day:%Y%m%d}-aaaaaaaa"
        save(workspace, day, [edge("ann", "pc1", "srv", 0.001, name)], {name: 10.0})
    save(workspace, DAYS[1], [edge("ann", "pc1", "srv", 0.01)], {})
    no_history = (Unknown("target", "db"),)
    today = [
        edge("ann", "pc1", "srv", 1 / 3300, "20260305-aaaaaaaa", carry_over=2.0),
        edge("bob", None, "db", 0.002, "20260305-bbbbbbbb", reasons=no_history),
        edge("eve", "pc3", "srv", 0.005),
        edge("eve", "pc3", "x", 0.5),
    ]
    save(workspace, TODAY, today, {"20260305-aaaaaaaa": 12.0, "20260305-bbbbbbbb": 8.0})
    kept.save({"20260305-bbbbbbbb": (explained(today[1], "pc2"),)}, workspace.findings, TODAY)
    return workspace


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A day all of whose names are hostile, in findings, verdicts and logs; one that fills the page."""
    workspace = Workspace(tmp_path_factory.mktemp("hostile"))
    lines = [
        event(f"{TODAY}T{hour:02}:00:00", "ann", "pc1", "srv", reporter=name)
        for hour, name in enumerate(HOSTILE[:6])
    ]
    read(workspace.root, lines + HOSTILE[:2])
    edges, scores = [], {}
    for number, (name, other) in enumerate(itertools.pairwise([*HOSTILE, HOSTILE[0]])):
        incident = f"20260305-{number:08x}"
        scores[incident] = 20.0 - number
        safe = [
            text.replace("\x00", "").replace("\ud800", "") for text in (name, other)
        ]  # Parquet holds no surrogate
        edges += [
            edge(safe[0], safe[1], safe[0], 1e-9, incident, logon_types=(safe[1],)),
            edge(safe[1], None, safe[1], 1e-3, incident),
        ]
    for day in DAYS[-2:]:
        save(workspace, day, edges, scores)
        explanations = {edge.incident or "": (explained(edge, edge.user),) for edge in edges[::2]}
        kept.save(explanations, workspace.findings, day)
    verdicts.write(
        workspace.root,
        verdicts.verdict("20260305-00000000", "true", reason=HOSTILE[1], who=HOSTILE[5]),
    )
    return workspace


def page(workspace: Workspace, day: dt.date = TODAY) -> str:
    return report.page(workspace, day, Config())


class Elements(HTMLParser):
    """Every element of a page with its attributes, its text, and whether all that was opened was closed."""

    EMPTY = ("meta", "link", "br", "img", "base", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


# --- what it says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worst", "text"),
    [
        (20.0, "The strangest of 4 scored days: the worst incident scores 1.7 times the usual worst"),
        (
            13.5,
            "Stranger than usual: the worst incident scores 1.1 times",
        ),  # the middle half of 10, 12, 14 is 11 to 13
        (12.0, "A usual day: "),
        (10.5, "Calmer than usual: "),
    ],
)
def test_a_day_is_compared_with_those_before(worst: float, text: str) -> None:
    trend = [days.DayNumbers(TODAY, 4, score, 9, None, None) for score in (10.0, 14.0, 12.0, worst)]
    assert days.compared(trend).startswith(text)
    assert days.compared(trend).endswith("; 4 incidents (usually 4), 9 strange edges (usually 9).")
    assert days.compared(trend[1:]).startswith("Too few days")


def test_whom_an_incident_is_about() -> None:
    assert incidents.title(["ann"], ["pc1"]) == incidents.title(["ann"], []) == "ann"
    assert incidents.title(["ann", "bob", "eve"], ["pc1"]) == "ann and 2 more"
    assert incidents.title(["ann", "bob", "eve", "kim"], ["pc1"]) == "pc1, 4 users"
    assert incidents.title(["ann", "bob", "eve", "kim"], []) == "ann and 3 more"
    reasons = CarryOver("ann", 2.0), NewPair("user_target", "ann (x)", "y", False, 1.0, 0.0, 0.0)
    assert words.headline(reasons) == "ann (x) never reached y before"


def test_the_facts_of_a_small_world(small: Workspace) -> None:
    facts = report.facts(small, TODAY, Config())
    assert facts.today.edges == 3 and facts.today.incidents == 2 and facts.today.strange == 3
    assert {hour: number for hour, number in enumerate(facts.today.active) if number} == {
        8: 1,
        9: 2,
        23: 1,
    }
    assert [numbers.worst for numbers in facts.trend] == [10.0, 0.0, 10.0, 12.0]
    assert [(mark.start, mark.width) for mark in facts.others] == [(25.0, 50.0)]  # eve's: 06:00 to 18:00
    assert facts.going_on == 1 and facts.with_verdict == 0 and facts.is_last
    user = facts.recurring[0]
    assert (user.name, user.strip, user.days, user.row) == ("ann", [2, 1, 2, 2], 3, 2)
    assert {(entity.name, entity.role) for entity in facts.recurring} == {
        ("ann", "user"),
        ("pc1", "acted from"),
        ("srv", "reached"),
    }
    assert facts.model.used == MODEL and facts.model.usual_score == 4.9 and facts.model.age == 4
    assert facts.model.backoffs == [words.sentence(Unknown("target", "db"))]
    assert facts.incidents[0].commands == [
        "ueba explain 20260305-aaaaaaaa --picture 20260305-aaaaaaaa.html",
        "ueba entity ann --day 2026-03-06",
        "ueba entity pc1 --day 2026-03-06",
        "ueba day ann 2026-03-05",
        "ueba perimeter --from ann --since 2026-03-05T06:00:00 --hops 2",
        "ueba triage 20260305-aaaaaaaa --verdict true --reason '...'      # or benign, expected",
    ]
    assert [incident.why for incident in facts.incidents] == [
        [],
        [
            "usually bob reaches pc2 (on 90% of its days).",
            "bob to db: it would have been normal from pc2, where the user usually acts from.",
        ],
    ]


def test_what_was_read_of_a_day(small: Workspace) -> None:
    health = trust.ingest_health(small, TODAY, Config())
    assert (health.files, health.lines, health.events, health.usual_events) == (1, 12, 4, 2.0)
    assert health.lost == 2 and health.clock == [("time out of range", 1)]
    shown = page(small)
    assert "2 records could not be used" in shown and "no JSON" in shown and "time out of range: 1" in shown


def test_who_was_silent_on_the_day_and_what_no_run_could_read(tmp_path: Path) -> None:
    """srv2 stops a day before the end; seen from the day before, both report. The last nightly run of a day
    counts."""
    times = [dt.datetime(2026, 3, 2) + dt.timedelta(minutes=10 * number) for number in range(6 * 72)]
    lines = [event(time.isoformat(), "a", "s", "t", reporter="srv1") for time in times]
    lines += [
        event(time.isoformat(), "a", "s", "t", reporter="srv2")
        for time in times
        if time < dt.datetime(2026, 3, 4)
    ]
    read(tmp_path, lines)
    workspace = Workspace(tmp_path)
    assert [reporter.name for reporter in trust.ingest_health(workspace, DAYS[2], Config()).silent] == [
        "srv2"
    ]
    assert trust.ingest_health(workspace, DAYS[1], Config()).silent == []
    for number, problem in enumerate([None, "it is a picture"]):
        ran = {
            "schema_version": 1,
            "day": "2026-03-04",
            "seconds": {"score": 1.5},
            "ingested": [{"file": "x.log", "problem": problem}],
        }
        write_json(workspace.runs / f"{number}-nightly.json", ran)
    assert (
        trust.unread(workspace, DAYS[2]) == [("x.log", "it is a picture")]
        and trust.unread(workspace, DAYS[1]) == []
    )


def test_a_gap_is_of_the_days_it_touches(tmp_path: Path) -> None:
    """Ten events an hour, none from 18:00 on the 2nd to 08:00 on the 4th."""
    away = dt.datetime(2026, 3, 2, 18), dt.datetime(2026, 3, 4, 8)
    hours = [dt.datetime(2026, 3, 1) + dt.timedelta(hours=hour) for hour in range(24 * 5)]
    times = [
        hour + dt.timedelta(minutes=6 * n)
        for hour in hours
        if not away[0] <= hour < away[1]
        for n in range(10)
    ]
    read(tmp_path, [event(time.isoformat(), "a", "s", "t") for time in times])
    for day, seen in ((1, 0), (2, 1), (3, 1), (4, 1), (5, 0)):
        gaps = trust.ingest_health(Workspace(tmp_path), dt.date(2026, 3, day), Config()).gaps
        assert {gap[1:] for gap in gaps} == ({("2026-03-02 18:00", "2026-03-04 08:00")} if seen else set()), (
            day
        )


def test_a_count_is_a_least_one_where_more_may_have_been_cut() -> None:
    """Two edges are kept. If that is the most, a third may have had a small p-value too."""
    trend = [days.DayNumbers(TODAY, 0, 0.0, 0, 1000, None)]
    rows = pd.DataFrame({"p_value": [0.001, 0.02], "strangeness": [9.0, 4.5]})
    for candidates, at_least in ((2, True), (3, False)):
        found = trust.level_facts(0.01, trend, {TODAY: rows}, candidates)
        assert found.today == found.all == trust.Count(1, 10.0, at_least)


def test_held_out_days_are_judged_by_the_others() -> None:
    """Among 99 other scores the highest of all has p = 1/100, and the lowest 1."""
    days = np.array([1] * 99 + [2] * 2)
    pool = Calibration(np.zeros(101, np.float32), np.array([*range(1, 100), 0.5, 200], np.float32), days)
    frame = Frame(IdTable(), np.zeros((0, DIM), np.float32))
    first, second = trust.held_out(Detector([], frame, pool, MODEL))
    assert (second.edges, second.shares) == (2, [0.5, 0.0, 0.0]) and first.edges == 99
    assert trust.held_out(Detector([], frame, pool.without(2), MODEL)) == []


def test_the_last_verdict_is_shown(small: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(shutil.copytree(small.root, tmp_path / "judged"))
    words_said = ("true", "benign")
    entries = [verdicts.verdict("20260305-aaaaaaaa", word, reason="checked") for word in words_said]
    verdicts.write(workspace.root, *entries)
    shown = page(workspace)
    assert (
        "benign, says kim" in shown
        and "“checked”" in shown
        and "1 of 2 with a verdict" in shown
        and "true, says" not in shown
    )


def test_a_day_without_lake_model_or_incident_has_a_report(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    save(workspace, TODAY, [edge("ann", "pc1", "srv", 0.3)], {})
    shown = page(workspace)
    Elements(shown)
    for phrase in (
        "0 incidents",
        "None: nothing this day",
        "The lake holds the day no longer",
        "no file of this day",
        "is gone",
    ):
        assert phrase in shown


# --- the command --------------------------------------------------------------------------------------------


def test_the_command(
    trained: Workspace, scored: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no day was scored yet" in run(trained.root, "report", code=1).output
    assert "was not scored" in run(scored.root, "report", "2026-01-01", code=1).output
    monkeypatch.chdir(tmp_path)
    assert run(scored.root, "report").stdout == ""
    written = (tmp_path / f"ueba-report-{LAST}.html").read_text(encoding="utf-8")
    assert run(scored.root, "report", str(LAST), "--output", "-").stdout == written  # the same bytes again
    assert all(incident.id in written for incident in findings.load_incidents(scored.findings, LAST, LAST))
    pairs = lake.read_pairs(scored.lake, LAST, LAST, "1GB")
    hours = pairs["hours"].to_numpy()
    facts = report.facts(scored, LAST, CONFIG)
    assert facts.today.edges == len(pairs)
    assert facts.today.active == [int((hours >> hour & 1).sum()) for hour in range(24)]
    assert [held_out_day.edges for held_out_day in facts.held_out] == [
        len(lake.read_pairs(scored.lake, held_out_day.day, held_out_day.day, "1GB"))
        - set_aside(scored, held_out_day.day)
        for held_out_day in facts.held_out
    ]
    assert {day_number(held_out_day.day) for held_out_day in facts.held_out} == set(
        Detector.load(scored.model).calibration.day.tolist()
    )


# --- what it is made of -------------------------------------------------------------------------------------


def test_the_page_has_no_word_of_the_model_but_numbers_beside(small: Workspace, scored: Workspace) -> None:
    for shown in (page(small), page(scored, LAST)):
        text = "".join(Elements(shown).text).partition("To the incidents")[2]
        assert text and not re.search(r"\b(nats|log odds|p-values?|p)\b", text)
    assert 'data-p-value="0.0003"' in page(small)


def test_names_are_shown_and_never_obeyed(hostile: Workspace) -> None:
    shown = page(hostile)
    assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    found = Elements(shown)
    names = {tag for tag, _ in found.elements}
    assert not names & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "foreignobject",
        "use",
        "image",
    }
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    text = "".join(found.text)
    for name in (
        HOSTILE[0],
        HOSTILE[1],
        HOSTILE[3],
        HOSTILE[4],
        HOSTILE[8],
        "evil\\u202egnp.exe\\u2066",
        "bell\\x07esc\\x1b[31mnul",
    ):
        assert name in text
    assert "ueba entity '$(touch owned) `id` ; rm -rf .' --day 2026-03-06" in text
    assert "ueba entity 'evil" not in text  # it cannot be typed


@pytest.mark.parametrize("world", ["small", "hostile"])
def test_the_page_needs_nothing_and_is_sound(world: str, request: pytest.FixtureRequest) -> None:
    shown = page(request.getfixturevalue(world))
    found = Elements(shown).elements
    policy = next(attributes for tag, attributes in found if tag == "meta" and "http-equiv" in attributes)
    assert str(policy["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    links = [
        value or ""
        for _, attributes in found
        for name, value in attributes.items()
        if name in ("href", "src", "xlink:href")
    ]
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids)) and all(link == "data:," or link[1:] in ids for link in links)
    assert "url(" not in shown and "@import" not in shown
    assert ("html", {"lang": "en"}) in found
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b <= a + 1 for a, b in itertools.pairwise(levels))
    for tag, attributes in found:
        if tag == "svg" and attributes.get("class") != "graph":  # a graph has its title inside
            assert (
                attributes.get("aria-label")
                or attributes.get("aria-hidden") == "true"
                or attributes.get("class") == "strip"
            )
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if "wide" in (attributes.get("class") or "").split():
            assert attributes["tabindex"] == "0" and attributes["aria-label"]  # to be scrolled by keyboard


def test_colours_can_be_read(small: Workspace) -> None:
    """Contrast by WCAG 2: text 4.5 to 1, marks 3 to 1, light and dark."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    assert contrast("#000", "#ffffff") == pytest.approx(21)
    schemes = [
        dict(re.findall(r"--([\w-]+):(#\w+)", rule))
        for rule in re.findall(r":root{([^}]*--paper[^}]*)}", page(small))
    ]
    assert len(schemes) == 2
    for colours in schemes:
        for ground in ("paper", "card"):
            for ink in ("ink", "soft", "link", "hot"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for name in ("hot", "warm", "good"):
            assert contrast(colours[name], colours[f"{name}-soft"]) >= 4.5, name


# --- in a browser -------------------------------------------------------------------------------------------

MEASURE = """<!doctype html>
<iframe id="frame" src="page.html" style="width:{width}px;height:800px;border:0"></iframe>
<script>frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement
  const out = [...page.body.querySelectorAll('*')].filter(each => !each.closest('.wide, .skip'))
    .filter(each => each.getBoundingClientRect().right > {width}).map(each => each.outerHTML.slice(0, 99))
  document.title = JSON.stringify({{title: page.title, wide: root.scrollWidth > root.clientWidth, out}})
}}</script>"""


def measured(folder: Path, width: int) -> dict[str, Any]:
    (folder / "frame.html").write_text(MEASURE.format(width=width))
    shown, console = browse(folder, "frame.html", "--allow-file-access-from-files", "--dump-dom")
    assert console == []
    title = re.search("<title>(.*)</title>", shown)
    assert title
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))  # type: ignore[no-any-return]


@pytest.fixture(params=["small", "hostile"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with `page.html`."""
    (tmp_path / "page.html").write_text(page(request.getfixturevalue(request.param)), encoding="utf-8")
    yield tmp_path


@in_a_browser
@pytest.mark.parametrize(("width", "height"), [(375, 800), (1200, 900)])
def test_a_browser_shows_it_light_and_dark(shown: Path, width: int, height: int) -> None:
    means = []
    for number, scheme in enumerate(("dark", "light")):
        shot = shown / f"{scheme}.png"
        size = f"--window-size={width},{height}"
        _, console = browse(
            shown,
            "page.html",
            f"--blink-settings=preferredColorScheme={number}",
            size,
            f"--screenshot={shot}",
        )
        assert console == []  # nothing was asked of a network, nothing tried to run
        pixels = image.imread(shot)[..., :3]
        assert pixels.shape == (height, width, 3)
        assert (np.abs(pixels - pixels[-1, 0]).max(axis=2) > 0.2).mean() > 0.01  # not blank
        means.append(pixels.mean())
    assert means[0] < 0.3 < 0.8 < means[1]


@in_a_browser
@pytest.mark.parametrize("width", [320, 375, 768, 1200])
def test_the_page_does_not_scroll_sideways(shown: Path, width: int) -> None:
    assert measured(shown, width) == {"title": "Incidents of 2026-03-05", "wide": False, "out": []}


@in_a_browser
def test_the_page_can_be_printed(shown: Path) -> None:
    """All of it: a table is no wider than the sheet, and what is folded is open."""
    _, console = browse(shown, "page.html", "--no-pdf-header-footer", f"--print-to-pdf={shown / 'page.pdf'}")
    assert console == [] and (shown / "page.pdf").read_bytes().startswith(b"%PDF")
    text = (shown / "page.html").read_text(encoding="utf-8")
    (shown / "page.html").write_text(text.replace("@media print", "@media all"), encoding="utf-8")
    a4 = round((210 - 2 * 12) / 25.4 * 96)
    assert measured(shown, a4)["wide"] is False
    script = (
        "document.title = [...document.querySelectorAll('details')]"
        ".map(each => each.getBoundingClientRect().height > 99)"
    )
    text = re.sub("<meta http-equiv[^>]*>", "", (shown / "page.html").read_text(encoding="utf-8"))
    (shown / "open.html").write_text(
        text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8"
    )
    opened, _ = browse(shown, "open.html", "--dump-dom")
    title = re.search("<title>([truefals,]*)</title>", opened)
    assert title and set(title[1].split(",")[:2]) == {"true"}


@in_a_browser
@pytest.mark.parametrize(
    "what", ["<script>document.title = 'owned'</script>", "<img src='http://192.0.2.1/x.png' onerror='0'>"]
)
def test_what_got_into_the_page_would_not_run(shown: Path, what: str) -> None:
    """The policy, and that the console says so: the tests above would see it."""
    text = (shown / "page.html").read_text(encoding="utf-8")
    (shown / "page.html").write_text(text.replace("</body>", f"{what}</body>"), encoding="utf-8")
    shown_page, console = browse(shown, "page.html", "--dump-dom")
    assert "<title>Incidents of 2026-03-05</title>" in shown_page
    assert any("Content Security Policy" in line for line in console)
