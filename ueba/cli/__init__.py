"""The command line: parse, call, print. One group, one module per noun.

    common     options of every command, errors as messages    options    options of several commands
    output     tables, JSON, CSV, notes, progress              the others: the commands

Results go to standard output, progress and notes to standard error. Heavy libraries are imported inside the
commands that need them, so that help and reading incidents are quick.
"""

from __future__ import annotations

import click

from ueba import __version__
from ueba.cli import (
    ask,
    cases,
    data,
    detect,
    evaluate,
    explain,
    export,
    graph,
    inspect,
    perimeter,
    report,
    risk,
    scores,
    setup,
    suspects,
    triage,
)
from ueba.cli.common import Root, group


@click.version_option(__version__)
@group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """From authentication logs to a handful of ranked, explained incidents a day.

    \b
    Exit codes:
      0    done; also if the reader of the output leaves early, as in `ueba incidents | head`
      1    the work could not be done in whole, or a check failed (doctor, sources --silent, --fail-on-drops)
      2    wrong use: an option, a setting or a mapping file
      130  interrupted
    Example:
      ueba ingest auth.txt.gz && ueba train && ueba score && ueba incidents
    """


for command in (
    *data.COMMANDS,
    *detect.COMMANDS,
    *scores.COMMANDS,
    *risk.COMMANDS,
    *suspects.COMMANDS,
    *cases.COMMANDS,
    *explain.COMMANDS,
    *perimeter.COMMANDS,
    *ask.COMMANDS,
    *triage.COMMANDS,
    *report.COMMANDS,
    *export.COMMANDS,
    *graph.COMMANDS,
    *inspect.COMMANDS,
    *evaluate.COMMANDS,
    *setup.COMMANDS,
):
    main.add_command(command)
