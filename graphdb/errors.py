"""What can go wrong, as a tree.

GraphError            base; the text is the whole message
├── ServerError       the server cannot be started, reached or logged in to
├── QueryError        the server does not accept the statement
├── ReadOnlyError     a statement tried to write where only reading is allowed
└── QueryTimeout      a statement ran too long and was ended
"""


class GraphError(Exception):
    """Base of this library's errors."""

    exit_code = 1


class ServerError(GraphError):
    """The server cannot be started, reached or logged in to."""


class QueryError(GraphError):
    """The server does not accept the statement."""


class ReadOnlyError(GraphError):
    """A statement tried to write where only reading is allowed."""


class QueryTimeout(GraphError):
    """A statement ran too long and was ended."""
