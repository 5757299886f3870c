"""What can go wrong for a user, as a tree. Every message says where and what to do next.

    UebaError                 exit code 1: the work could not be done
    ├── InputError            a log file, an edge file: names the file, and the line where there is one
    ├── WorkspaceError        the workspace lacks what the command needs (no edges, no model), or is in use
    └── UsageError            exit code 2: an option, a configuration key or a mapping file is wrong
        └── ConfigError

`graphdb.GraphError` is the graph library's own; the command line answers both in one place,
`ueba/cli/__init__.py`.
"""


class UebaError(Exception):
    """Base of every error a user is shown; its text is the whole message."""

    exit_code = 1


class InputError(UebaError):
    """A file that cannot be read as what it is said to be."""


class WorkspaceError(UebaError):
    """The workspace lacks what a command needs; the text names the command that makes it."""


class UsageError(UebaError):
    """An option or a mapping file is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file has an unknown key or a value of the wrong type."""
