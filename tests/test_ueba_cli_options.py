"""Options of the command line: one meaning each, taken before and after a command; help, errors, exit
codes."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from command_line import COMMANDS, LEAVES

from ueba import config, findings
from ueba.cli import main
from ueba.cli.common import Command, Group, common_options, is_common, own_arguments
from ueba.config import Config
from ueba.workspace import Workspace

EVERY = {"": main, **COMMANDS}


def call(*arguments: str, code: int = 0, **options: Any) -> Result:
    result = CliRunner().invoke(main, arguments, **options)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(autouse=True)
def empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that make a workspace where none is make it here."""
    monkeypatch.chdir(tmp_path_factory.mktemp("current"))


def own_options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option) and not is_common(option)]


def settings_of(result: Result) -> dict[str, tuple[Any, str]]:
    """setting -> value and source, as `config show --format json` prints them."""
    return {row["setting"]: (row["value"], row["source"]) for row in json.loads(result.stdout)}


SHOW = ("config", "show", "--format", "json")


# --- one meaning --------------------------------------------------------------------------------------------


def test_no_environment_variable_has_two_meanings() -> None:
    variables: list[str] = [
        config.variable(*setting.name.split(".")) for setting in config.settings(Config())
    ]
    for name, command in EVERY.items():
        context = click.Context(command, info_name=name, parent=None)
        assert context.auto_envvar_prefix is None
        variables += [str(param.envvar) for param in command.params if param.envvar]
    assert len(variables) == len(set(variables))
    assert {"UEBA_WORKSPACE", "UEBA_CONFIG", "UEBA_TIMEZONE"} <= set(variables)
    assert set(variables) <= {*config.OTHER_VARIABLES, *variables[: len(config.settings(Config()))]}


def test_a_variable_named_as_an_option_is_not_read(tmp_path: Path) -> None:
    """`UEBA_INCIDENTS_LIMIT` was read by click; it is no setting, and is reported as such."""
    shown = call(*SHOW, "-w", str(tmp_path), env={"UEBA_INCIDENTS_LIMIT": "x", "UEBA_INGEST_LOG_EPOCH": "y"})
    assert "UEBA_INCIDENTS_LIMIT" in shown.stderr and "UEBA_INGEST_LOG_EPOCH" in shown.stderr


def test_one_letter_is_one_option_everywhere() -> None:
    long_by_short, short_by_long = defaultdict(set), defaultdict(set)
    for command in EVERY.values():
        for option in command.params:
            if isinstance(option, click.Option):
                shorts = [name for name in option.opts if not name.startswith("--")]
                (long,) = [name for name in option.opts if name.startswith("--")]
                short_by_long[long].add(tuple(shorts))
                for short in shorts:
                    long_by_short[short].add(long)
    assert {short: longs for short, longs in long_by_short.items() if len(longs) > 1} == {}
    assert {long: shorts for long, shorts in short_by_long.items() if len(shorts) > 1} == {}
    assert set(long_by_short) == {"-f", "-n", "-o", "-q", "-v", "-w"}


def test_an_option_is_of_one_type_everywhere() -> None:
    """But for four, where another type means the same: where a span begins or ends (`perimeter` begins with
    entities and ends with a time), the log formats to write (`simulate`), the parameters of a question, which
    a shell can complete."""
    types = defaultdict(set)
    for command in COMMANDS.values():
        for option in own_options(command):
            types[option.opts[-1]].add((type(option.type).__name__, option.multiple))
    assert {option: kinds for option, kinds in types.items() if len(kinds) > 1} == {
        "--from": {("Day", False), ("StringParamType", True)},
        "--until": {("Day", False), ("Time", False)},
        "--log-format": {("StringParamType", False), ("Choice", True)},
        "--param": {("StringParamType", True), ("Value", True)},
    }


def test_the_result_is_printed_in_the_same_formats_everywhere() -> None:
    with_format = {}
    for name, command in LEAVES.items():
        for option in own_options(command):
            if option.name == "output_format":
                assert option.opts == ["-f", "--format"]
                with_format[name] = list(option.type.choices)  # type: ignore[attr-defined]
    assert with_format.pop("perimeter") == ["table", "json", "jsonl", "csv", "graphml", "stix"]
    assert set(map(tuple, with_format.values())) == {("table", "json", "jsonl", "csv")}
    silent = {"train", "backtest", "simulate", "report", "export", "graph load", "triage incident", "seal"}
    assert set(LEAVES) - set(with_format) == silent | {"perimeter", "graph server start", "graph server stop"}


def test_log_formats_have_an_option_of_their_own() -> None:
    named = {
        name
        for name, command in LEAVES.items()
        for option in own_options(command)
        if "--log-format" in option.opts
    }
    assert named == {"ingest", "score", "nightly", "simulate"}


# --- common options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_command_takes_the_common_options(name: str) -> None:
    command = EVERY[name]
    assert isinstance(command, Command | Group)
    names = [option.opts[-1] for option in common_options(False)]
    assert [option.opts[-1] for option in command.params if option.opts[-1] in names] == names


@pytest.mark.parametrize("place", range(3))
def test_workspace_and_settings_are_taken_before_and_after_the_command(place: int, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[train]\nseeds = 7\n")
    words: list[Any] = ["config", "show", "--format=json"]
    words[place:place] = ["--config", str(file), "-w", str(tmp_path)]
    shown = settings_of(call(*words, env={"UEBA_WORKSPACE": "elsewhere", "UEBA_CONFIG": "none.toml"}))
    assert shown["workspace"] == (str(tmp_path), "--workspace")
    assert shown["train.seeds"] == (7, str(file))


def test_the_later_of_two_workspaces_counts_and_a_variable_loses_to_both() -> None:
    shown = call("-w", "first", *SHOW, "-w", "second", env={"UEBA_WORKSPACE": "third"})
    assert settings_of(shown)["workspace"] == ("second", "--workspace")
    shown = call(*SHOW, env={"UEBA_WORKSPACE": "third"})
    assert settings_of(shown)["workspace"] == ("third", "UEBA_WORKSPACE")
    assert settings_of(call(*SHOW))["workspace"] == ("ueba-workspace", "default")


def test_options_of_one_call_do_not_outlive_it() -> None:
    call("-q", "-w", "first", "config", "show")
    assert settings_of(call(*SHOW))["workspace"] == ("ueba-workspace", "default")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 0),
        (["20260121"], 0),
        (["--verdict", "true"], 0),
        (["-w", "log", "log"], 2),
        (["-wlog", "log"], 1),
        (["--workspace=log", "log"], 1),
        (["-q", "-vv", "--no-color", "log"], 3),
        (["--workspace"], 1),
    ],
)
def test_common_options_before_a_short_form_are_told_from_it(arguments: list[str], count: int) -> None:
    assert own_arguments(arguments) == count


@pytest.mark.parametrize("before", [(), ("-q",), ("--timezone", "Europe/Berlin", "-v")])
def test_the_short_form_of_triage_takes_common_options(before: tuple[str, ...], scored: Workspace) -> None:
    verdict = ("none", "--verdict", "true", "--reason", "stolen")
    failed = call("triage", "-w", str(scored.root), *before, *verdict, code=1)
    assert "none" in failed.stderr
    assert call("triage", *before, "-w", str(scored.root), "log").exit_code == 0


def test_quiet_leaves_out_notes_and_nothing_else(scored: Workspace) -> None:
    arguments = ("-w", str(scored.root), "triage", "log", "--format", "csv")
    loud, silent = call(*arguments), call(*arguments, "--quiet")
    assert "no verdict was entered" in loud.stderr and "entered,who" in loud.stdout
    assert silent.stderr == "" and silent.stdout == loud.stdout
    failed = call("-q", "-w", "nowhere", "train", code=1)
    assert "no edges yet" in failed.stderr


def test_verbose_logs_what_is_done(scored: Workspace) -> None:
    shown = call("incidents", "-w", str(scored.root), "-v", env={"UEBA_INCIDENTS_BUDGET": "5"})
    assert "INFO ueba.cli: " in shown.stderr and f"workspace {scored.root}" in shown.stderr
    assert "setting incidents.budget from UEBA_INCIDENTS_BUDGET" in shown.stderr
    assert "done in" in shown.stderr
    assert call("incidents", "-w", str(scored.root)).stderr == ""


def test_a_zone_that_is_none_says_what_to_give() -> None:
    failed = call("formats", "--timezone", "Mars/Olympus", code=2)
    assert "'Mars/Olympus' is not a zone; give a name of the IANA database, as Europe/Berlin" in failed.stderr


# --- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_help_has_an_example_and_a_meaning_for_each_option(name: str) -> None:
    text = call(*name.split(), "--help").stdout
    example = text.partition("Example:\n")[2].partition("\nOptions")[0]
    typed = name.replace("triage incident", "triage")  # its short form
    assert f"ueba {typed}".strip() in example, text
    assert "Options of every command, before or after it:" in text
    for option in own_options(EVERY[name]):
        assert option.help and option.help[0].isupper(), option.opts
    assert call(*name.split(), "-h").stdout == text


def test_help_of_the_group_documents_exit_codes() -> None:
    text = call("--help").stdout
    for code in ("0    done", "1    the work could not be done", "2    wrong use", "130  interrupted"):
        assert code in text


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["ingest"], "ingest"),
        (["ingest", "x", "--format", "lanl"], "ingest"),
        (["score", "x", "--day", "2026-01-16"], "score"),
        (["incidents", "--from", "2026-01-16", "--to", "2026-01-15"], "incidents"),
        (["export", "ocsf", "2026", "--day", "2026-01-16"], "export"),
        (["triage", "x", "--verdict", "true", "--reason", ""], "triage incident"),
        (["triage", "rules", "--apply", "x", "--dry-run"], "triage rules"),
        (["graph", "query", "RETURN 1", "--param", "x"], "graph query"),
        (["perimeter", "--since", "2026-01-16"], "perimeter"),
        (["evaluate", "--strength", "nan"], "evaluate"),
        (["simulate"], "simulate"),
    ],
)
def test_wrong_use_has_exit_code_2_and_says_where_to_read_on(arguments: list[str], command: str) -> None:
    failed = call("-w", "nowhere", *arguments, code=2)
    assert f"Try 'main {command} --help' for help." in failed.stderr
    assert "\nError: " in failed.stderr and failed.stdout == ""


def test_a_wrong_setting_has_exit_code_2_and_says_what_is_allowed() -> None:
    failed = call("doctor", code=2, env={"UEBA_TRAIN_SEEDS": "0"})
    expected = "UEBA_TRAIN_SEEDS: train.seeds = '0' is not allowed; give a whole number from 1 to 100"
    assert failed.stderr == f"Error: {expected}\n"


def test_a_fault_of_ueba_is_a_message_and_with_verbose_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: Config) -> None:
        raise KeyError("colour")

    monkeypatch.setattr(config, "settings", fail)
    failed = call("config", "show", code=1)
    assert "KeyError: 'colour'" in failed.stderr and "fault of ueba; -v shows where" in failed.stderr
    verbose = CliRunner().invoke(main, ["config", "show", "-v"])
    assert verbose.exit_code == 1 and "Traceback" in verbose.stderr and "'colour'" in verbose.stderr


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "not enough memory"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 1, "x.csv: No such file or directory"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_goes_wrong_outside_has_an_exit_code(
    error: BaseException, code: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(findings, "choose_incidents", fail)
    monkeypatch.setattr("ueba.cli.common.silence", lambda stream: None)
    assert expected in call("incidents", code=code).stderr


def test_a_missing_file_does_not_stop_the_others(tmp_path: Path) -> None:
    line = "{},a@x,a@x,C1,C2,NTLM,Network,LogOn,Success\n"
    (tmp_path / "one").write_text(line.format(1))
    (tmp_path / "three").write_text(line.format(90_000))
    files = [str(tmp_path / name) for name in ("one", "two", "three")]
    failed = call("ingest", *files, "-w", str(tmp_path / "ws"), "--format", "json", code=1)
    reports = json.loads(failed.stdout)
    events = {Path(report["file"]).name: report["events"] for report in reports}
    assert events == {"one": 1, "two": 0, "three": 1}
    assert f"{tmp_path / 'two'}: No such file or directory" in failed.stderr
    assert "three" not in failed.stderr.rpartition("Error")[2]
