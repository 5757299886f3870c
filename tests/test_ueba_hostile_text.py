"""Every command, in every format, over a workspace whose names, files, rules and verdicts are hostile:
nothing that it prints steers a terminal or begins a line of its own."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
import unicodedata
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
import stix2
from click.testing import CliRunner, Result
from command_line import LEAVES
from scored_world import explanation, save, scored_edge
from small_workspace import CONFIG, DAY, LAST

from graphdb import ServerError, server
from ueba import findings, suspects
from ueba.cli import main, output
from ueba.cli.common import Root, command
from ueba.contracts.explanation import Expected, Usual
from ueba.contracts.night import Night
from ueba.contracts.reason import Effect, NewPair, RareLogonType, Unknown
from ueba.contracts.suspect import Review, Suspect
from ueba.ingest import events, lake
from ueba.investigate.explain import kept
from ueba.text import LONGEST_LINE, as_json, ascii_json, brief, in_a_cell, plain, visible
from ueba.workspace import Workspace

HOSTILE = {
    "title": "\x1b]0;pwn\x07",
    "colour": "\x1b[31mred",
    "without end": "osc\x1b]8;;http://evil.example",
    "C1": "c\x9b31m\x9d0;t\x9c",
    "delete": "d\x7f\x7f\x08\x08",
    "direction": "\u202egnp.\u2066x\u2069\u200f\u200e\u061c",
    "line": "a\nFORGED: line",
    "return": "b\r\nFORGED\rFORGED",
    "separators": "c\u2028FORGED\u2029FORGED\x85FORGED\x0bFORGED\x0cFORGED\x1eFORGED",
    "markup": "[bold red]m[/bold red][link=http://evil.example]x[/link]",
    "no markup": "[/nothing][@click=quit]",
    "formula": " =1+1",
    "tab": "x\t=1",
    "html": "</script></style></title><script>alert(1)</script>",
    "quotes": "\"'><img src=x onerror=alert(1)>",
    "xml": "]]><!--&amp;&evil;<![CDATA[",
    "null": "n\x00u",
    "forms": "%s%n{0}{x}${7*7}{{7*7}}",
    "invisible": "\U000e0041\ufeffz\u200b\xad\ufffe",
    "option": "--help",
    "long": "l" * 1_000,
    "long and hostile": "\x1b[2J" * 200,
}
NAMES = list(HOSTILE.values())
MEMBER = "[/x]/\x1b]0;PWN\x07\x1b[31m[bold]\nFORGED\u202egnp.jsonl"
FORMATS = ("table", "json", "jsonl", "csv")


def not_printed(text: str) -> set[str]:
    """The characters of a text that would steer a terminal."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")} - {"\n"}


def check(text: str) -> None:
    assert not_printed(text) == set()
    assert [line for line in text.splitlines() if line.startswith("FORGED")] == []


def call(root: Path, *arguments: str, codes: tuple[int, ...] = (0,), **options: Any) -> Result:
    """Call a command and check what it prints."""
    result = CliRunner().invoke(main, ["-w", str(root), *arguments], **options)
    check(result.stdout)
    check(result.stderr)
    assert "Traceback" not in result.output and "fault of ueba" not in result.output, result.output[-2000:]
    assert result.exit_code in codes, (result.exit_code, result.output[-2000:])
    assert all(len(line) <= LONGEST_LINE + 100 for line in result.stderr.splitlines())
    return result


def checked_records(text: str, output_format: str) -> list[Any]:
    """The records of an output for programs, which is as valid as ever."""
    if output_format == "json":
        found = json.loads(text)
        return found if isinstance(found, list) else [found]
    if output_format == "jsonl":
        return [json.loads(line) for line in text.split("\n") if line]
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len({len(row) for row in rows}) <= 1
    assert not [cell for row in rows for cell in row if re.match(r"[\s\"]*[=@]", cell)]
    return rows


# --- the workspace ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(trained: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """To be read only but for the graph: on its last days each hostile name is a user, a source and a
    target."""
    folder = tmp_path_factory.mktemp("hostile")
    workspace = Workspace(shutil.copytree(trained.root, folder / "ws"))
    archive = write_archive(folder)
    people = folder / "people.json"
    people.write_text(ascii_json([{"user": name, "title": name, "aliases": name + "-2"} for name in NAMES]))
    mapping = folder / "all.toml"
    mapping.write_text(MAPPING)
    call(workspace.root, "ingest", str(archive), "--log-format", str(mapping), "--entities", str(people))
    save_incidents(workspace)
    incident = findings.load_incidents(workspace.findings, LAST)[0].id
    call(workspace.root, "triage", incident, "--verdict", "expected", "--reason", NAMES[0])
    apply_rules(workspace, folder / "rules.toml")
    yield workspace
    server.stop(workspace.graph)


def save_incidents(workspace: Workspace) -> None:
    """An incident for each edge of the last day with a hostile name, as scoring would leave it."""
    rows = lake.read(workspace.lake, LAST, LAST, "1GB").to_pylist()
    edges = []
    for row in rows:
        name = next((row[end] for end in ("user", "source", "target") if is_hostile(row[end])), None)
        if name is not None:
            ends = {end: row[end] for end in ("user", "source", "target", "target_kind")}
            reasons = (
                NewPair("user_target", row["user"], row["target"], False, 3.0, 0.0, 0.0),
                RareLogonType(row["user"], (name,), 2.0),
                Unknown("target", row["target"]),
                Effect(-1.0, "benign", "v1", "20260101-aaaaaaaa", name, LAST, name),
            )
            seen = {end: row[end] for end in ("first_seen", "last_seen")}
            incident = f"{LAST:%Y%m%d}-{len(edges):08x}"
            edges.append(scored_edge(**ends, **seen, logon_types=(name,), reasons=reasons, incident=incident))
    save(workspace.root, edges)
    strange = tuple(Suspect(edge.edge, 0.001, True) for edge in edges)
    suspects.save(Review(LAST - 3 * DAY, LAST, (), strange), workspace.findings)
    usual = Expected(target=(Usual(edges[0].user, 0.9),), hour=(Usual("9", 0.5),))
    explained = {str(edge.incident): (explanation(edge.edge, expected=usual),) for edge in edges}
    kept.save(explained, workspace.findings, LAST)


def is_hostile(name: str | None) -> bool:
    return name is not None and (bool(not_printed(name)) or name[0] in "[<\"' -]l%" and name != "srv1")


MAPPING = """
format = "jsonl"
time_format = "iso8601"
[columns]
""" + "\n".join(f'{name} = "{name}"' for name in events.KEPT)


def write_archive(folder: Path) -> Path:
    archive = folder / "logs.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(MEMBER, "".join(line + "\n" for line in hostile_lines()))
    return archive


def hostile_lines() -> Iterator[str]:
    """Each name on two days with each of three ends; and lines that are dropped."""
    for day in (LAST - 3 * DAY, LAST):
        for number, name in enumerate(NAMES):
            edges = ((name, "pc1", "srv1"), ("ann@x", name, "srv2"), ("bob@x", "pc2", name))
            for user, source, target in edges:
                yield json.dumps(
                    {
                        "time": f"{day}T09:{number:02}:00Z", "user": user, "source": source, "target": target,
                        "target_kind": "resource" if number % 2 else "machine", "action": "logon",
                        "outcome": "success", "logon_type": name[:50], "auth_package": name[:50],
                        "reporter": name[:90], "detail": name, "event_id": f"{day}-{number}-{target}",
                    }
                )  # fmt: skip
    yield "no JSON " + NAMES[0]
    yield json.dumps({"time": NAMES[3], "user": NAMES[1], "target": "x"})


def apply_rules(workspace: Workspace, file: Path) -> None:
    texts = [json.dumps(name[:200], ensure_ascii=False).replace("\x7f", "\\u007f") for name in NAMES]
    rules = [
        f'[[rule]]\nname = "{number} {text[1:]}\nreason = {text}\nowner = {text}\nuser = {text}\n'
        "expires = 2026-03-01\n"
        for number, text in enumerate(texts)
    ]
    file.write_text("".join(rules[:-1]))  # the last two names are one, cut short
    call(workspace.root, "triage", "rules", "--apply", str(file), "--yes", "--who", NAMES[1])


def arguments(workspace: Workspace, folder: Path) -> dict[str, list[list[str]]]:
    """What each command is called with."""
    incident = findings.load_incidents(workspace.findings, LAST)[0].id
    log, mapping = folder / "log\x1b[31m.jsonl", folder / "map\u202e.toml"
    log.write_text("\n".join([*hostile_lines()][-5:]))
    mapping.write_text(MAPPING)
    broken = folder / "broken\x9b.toml"
    broken.write_text('"\\u001b]0;x" = 1')
    day, since = str(LAST), str(LAST - 3 * DAY)
    by_name = [HOSTILE[kind] for kind in ("direction", "C1", "line", "long")]
    return {
        "ask": [["list"], [NAMES[0]], ["user-day", "--param", f"user={NAMES[1]}"]],
        "backtest": [
            ["--train-until", since, "--from", NAMES[1], "--to", day, "--output", str(folder / "b")]
        ],
        "calibration": [[NAMES[0]], ["--from", day, "--to", day, "--picture", str(folder / "c\x1b[31m.svg")]],
        "cases": [["--limit", "100", "--numbers"], ["--day", NAMES[0]]],
        "config show": [[], ["--config", str(broken)]],
        "day": [[name, day] for name in by_name],
        "doctor": [[]],
        "entity": [[], *([name, "--day", str(LAST + DAY)] for name in by_name)],
        "evaluate": [["--rows", NAMES[0]], ["--labels", str(broken)], [f"--{NAMES[1]}"]],
        "explain": [[incident], [incident, "--numbers"], [NAMES[0]]],
        "export": [[form] for form in LEAVES["export"].params[0].type.choices] + [["ocsf", NAMES[0]]],
        "formats": [[]],
        "graph load": [[NAMES[0]]],
        "graph query": [["RETURN 1", "--param", NAMES[0]]],
        "graph schema": [[]],
        "graph server start": [[NAMES[0]]],
        "graph server status": [[]],
        "graph server stop": [[]],
        "incidents": [["--limit", "100"], ["--all", "--numbers"], ["--day", NAMES[0]]],
        "ingest": [
            [str(log), "--log-format", str(mapping)],
            [str(log), str(folder / f"none{NAMES[1]}"), str(broken)],
            [str(log), "--log-format", NAMES[0]],
            [str(log), "--log-format", str(broken)],
        ],
        "nightly": [[str(log), "--log-format", str(mapping)]],
        "newcomers": [["--limit", "100"], ["--day", day, "--limit", "100"], ["--day", NAMES[0]]],
        "perimeter": [
            ["--from", "ann@x", "--since", since, "--hops", "3", "--picture", str(folder / "p.html")]
        ]
        + [["--from", name, "--since", since] for name in by_name[:2]],
        "report": [["--output", "-"], ["--output", str(folder / "r\x1b[31m.html")]],
        "risk": [["--limit", "1000"], ["--kind", NAMES[0]], ["--day", NAMES[1]]],
        "scores": [
            ["--limit", "1000"],
            *(["--user", name] for name in by_name),
            ["--target", "x" + NAMES[0]],
        ],
        "score": [[str(log), "--log-format", str(mapping)], ["--day", day]],
        "suspects": [["--limit", "1000"], *([name] for name in by_name), ["--day", NAMES[0]]],
        "simulate": [["--output", str(folder / "s\x1b[31m"), "--users", "20", "--days", "9"]],
        "sources": [[]],
        "seal": [[]],
        "train": [["--until", NAMES[0]], ["--until", "2020-01-01"]],
        "triage incident": [
            [NAMES[0], "--verdict", "true", "--reason", "x"],
            [incident, "--verdict", NAMES[1], "--reason", "x"],
            [incident, "--verdict", "benign", "--reason", NAMES[4], "--who", NAMES[5]],
        ],
        "triage log": [[]],
        "triage rules": [[], ["--dry-run"], ["--rules", str(broken)]],
    }


def formats_of(name: str) -> tuple[str, ...]:
    """The formats that a command prints in; one that is none if it has no `--format`."""
    option = next((param for param in LEAVES[name].params if param.name == "output_format"), None)
    return tuple(option.type.choices) if option is not None else ("",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", LEAVES)
def test_what_a_command_prints_steers_nothing(
    name: str, hostile: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new command is one of LEAVES, and has to be given arguments here."""
    root = hostile.root
    if name in ("nightly", "score", "ingest", "triage incident", "train"):
        root = shutil.copytree(hostile.root, tmp_path / "copy", ignore=shutil.ignore_patterns("control"))
    monkeypatch.chdir(tmp_path)
    night = Night(LAST, (), {}, {}, 0, findings.load_incidents(hostile.findings, LAST), {NAMES[0]: 1.0})
    monkeypatch.setattr("ueba.nightly.nightly", lambda *arguments: night)
    monkeypatch.setenv("UEBA_TRAIN_STEPS", str(CONFIG.train.steps))
    first, *others = arguments(hostile, tmp_path)[name]
    formats = formats_of(name)
    calls = [*((form, first) for form in formats), *((formats[0], rest) for rest in others)]
    for output_format, words in calls:
        options = ["--format", output_format] if output_format else []
        result = call(root, *name.split(), *words, *options, codes=(0, 1, 2))
        if result.exit_code == 0:
            check_format(result.stdout, output_format)


def check_format(text: str, output_format: str) -> None:
    if output_format in FORMATS[1:]:
        checked_records(text, output_format)
    elif output_format == "graphml":
        xml.fromstring(text)
    elif output_format == "stix":
        stix2.parse(text)


def test_the_names_are_there(hostile: Workspace) -> None:
    """Else the test above proves nothing: whole for programs, short for people."""
    rows = json.loads(call(hostile.root, "entity", "--format", "json").stdout)
    listed = {row["name"] for row in rows}
    for name in ("colour", "C1", "direction", "line", "markup", "html", "null", "long"):
        assert any(HOSTILE[name].casefold() in found for found in listed), name
    for output_format in ("json", "jsonl", "csv"):
        assert HOSTILE["long"] in call(hostile.root, "entity", "--format", output_format).stdout
    table = call(hostile.root, "entity", "--limit", "10000").stdout
    assert "l…l" in table and "l" * 400 not in re.sub(r"\s", "", table)
    found = json.loads(call(hostile.root, "incidents", "--limit", "100", "--format", "json").stdout)
    assert {name for row in found for name in row["users"] if not_printed(name)}


# --- what click, Python and rich print ----------------------------------------------------------------------


@pytest.mark.parametrize("text", [*NAMES[:12], "long: " + HOSTILE["long and hostile"]])
def test_messages_steer_nothing(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        [text],
        ["incidents", text],
        ["incidents", f"--{text}"],
        ["incidents", "--day", text],
        ["incidents", "--limit", text],
        ["incidents", "--format", text],
        ["incidents", "--timezone", text],
        ["incidents", "--config", text.replace("\0", "")],
        ["triage", text],
        ["export", text],
        ["ask", text],
        ["graph", text],
    ):
        assert call(tmp_path, *words, codes=(1, 2)).stderr
    monkeypatch.setenv(f"UEBA_{text[:40]}".replace("\0", "").replace("=", ""), "1")
    call(tmp_path, "incidents", codes=(1,))


@pytest.mark.parametrize("verbose", ["-q", "-v", "-vv"])
@pytest.mark.parametrize("text", NAMES[:12])
def test_errors_logs_and_warnings_steer_nothing(
    text: str, verbose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Exception] = [
        ServerError(text + "\n" + text * 5),
        OSError(2, "No such file or directory", text),
        OSError(text),
        ValueError(text),
    ]

    def fail(*arguments: Any) -> None:
        logging.getLogger("ueba.x").warning("name %s", text)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"beware of {text}", stacklevel=1)
        raise raised.pop()

    monkeypatch.setattr(findings, "choose_incidents", fail)
    results = [CliRunner().invoke(main, ["-w", str(tmp_path), "incidents", verbose]) for _ in range(4)]
    for result in results:
        assert result.exit_code == 1 and "beware of" in result.stderr
        assert not_printed(result.stderr) == set()
        assert not [line for line in result.stderr.splitlines() if line.startswith("FORGED")]
    assert ("Traceback" in results[0].stderr) is (verbose != "-q")


def test_a_server_s_answer_is_not_longer_than_a_person_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise ServerError("x" * 60_000 + "\n" * 60_000)

    monkeypatch.setattr(findings, "choose_incidents", fail)
    assert len(call(tmp_path, "incidents", codes=(1,)).stderr) < 3_000


def test_headings_cells_and_bars_are_no_markup() -> None:
    @command("probe")
    def probe() -> None:
        for output_format in FORMATS:
            output.emit([{name: name, "list": [name], "dict": {name: name}} for name in NAMES[:20]],
                        output_format, 1, [*NAMES[:20], "list", "dict"])  # fmt: skip
        output.wide_table(NAMES[:20], [NAMES[:20]])
        output.line(NAMES[6])
        output.note(NAMES[7])
        output.echo(NAMES[0] + "\n" + NAMES[3])

    group = Root("ueba", commands={"probe": probe})
    for color in (False, True):
        result = CliRunner().invoke(group, ["probe"], color=color, env={"FORCE_COLOR": "1" if color else ""})
        assert result.exit_code == 0, result.output
        text = re.sub("\x1b\\[[0-9;]*m", "", result.output) if color else result.output
        check(text.replace("a\nFORGED", ""))
        assert "[bold red]m[/bold red]" in text and "[/nothing]" in text


def in_a_terminal(root: Path, *words: str) -> str:
    """What a terminal gets of a command, on both outputs."""
    own, its = pty.openpty()
    code = "from ueba.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-w", str(root), *words], stdin=its, stdout=its, stderr=its,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(its)
    got = b""
    while True:
        try:
            got += (part := os.read(own, 65536))
        except OSError:  # the other end is closed
            break
        if not part:
            break
    os.close(own)
    assert process.wait() in (0, 1)
    return got.decode()


def test_a_terminal_gets_colours_and_bars_and_nothing_of_the_names(
    hostile: Workspace, tmp_path: Path
) -> None:
    """Bars and tables of `rich` are drawn there alone."""
    archive, mapping = write_archive(tmp_path), tmp_path / "all.toml"
    mapping.write_text(MAPPING)
    shown = in_a_terminal(tmp_path / "ws", "ingest", str(archive), "--log-format", str(mapping))
    shown += in_a_terminal(hostile.root, "incidents", "--limit", "100")
    assert "\x1b[" in shown and "read \\x1b]0;PWN" in shown  # colours, and a bar with the member's name
    own = re.sub(r"\x1b\[\??[0-9;]*[mKAhl]|\r|\x1b\[2K", "", shown)
    assert not_printed(own) == set()


# --- the texts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*NAMES[:20], "\ud800", "\udc80", "ok", "", "日本語 é ß"])
def test_a_text_is_shown_and_json_stays_what_it_is(text: str) -> None:
    assert not_printed(plain(text)) == not_printed(visible(text)) == not_printed(brief(text)) == set()
    assert "\n" not in plain(text) and visible("a\nb") == "a\nb"
    for written in (as_json({text: [text]}), as_json({text: [text]}, 1), ascii_json({text: [text]})):
        assert json.loads(written) == {text: [text]} and not_printed(written) == set()
    assert ascii_json(text).isascii()
    assert not_printed(in_a_cell(plain(text))) == set()


def test_a_long_name_and_a_long_line_are_cut_with_a_mark() -> None:
    assert brief("ann met " + "x" * 1_000 + "y") == f"ann met {'x' * 200}…{'x' * 198}y"
    assert brief("a b " * 1_000).count("…") == 1 and len(brief("a b " * 1_000)) == LONGEST_LINE
    assert brief("a" * 400) == "a" * 400
