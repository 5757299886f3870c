"""The commands of `ueba`, found by walking its groups."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ueba.cli import main


def every(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Each command and group below a group, with its name as it is typed."""
    for name, command in sorted(group.commands.items()):
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from every(command, (*path, name))


COMMANDS = dict(every())
LEAVES = {name: command for name, command in COMMANDS.items() if not isinstance(command, click.Group)}
