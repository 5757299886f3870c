"""What the bundled server's process is asked beside Bolt: which queries run, and to end one.

A Unix socket in the server's folder, which its owner alone may enter: no port, no password, nothing that a
browser or another user of the machine can reach. A question is one line of JSON, and so is its answer; the
client closes the connection. Leaves out what is asked and how it is answered; that is `graphdb.server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graphdb.errors import ServerError

Message = dict[str, Any]
NAME = "control"  # of the socket, in the server's folder
LONGEST_S = 10.0  # of either side, for the other
LARGEST = 1_000_000  # bytes of a message


def ask(directory: Path, question: Message) -> Message:
    """The answer of the server process of a directory. Raises ServerError if it gives none."""
    try:
        with socket.socket(socket.AF_UNIX) as client, _address(directory) as address:
            client.settimeout(LONGEST_S)
            client.connect(address)
            client.sendall(json.dumps(question).encode() + b"\n")
            return _received(client)
    except (OSError, ValueError) as reason:
        raise ServerError(f"{directory}: the bundled graph server does not answer ({reason})") from reason


def serve(answer: Callable[[Message], Message]) -> None:
    """Answer in the working folder, one client after the other, until the process is told to end."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(NAME)  # of a process that was killed; whoever holds the folder's lock may
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(NAME)
        os.chmod(NAME, 0o600)
        listener.listen()
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError, ValueError):  # this client's trouble and nobody else's
                client.settimeout(LONGEST_S)
                client.sendall(json.dumps(answer(_received(client))).encode() + b"\n")


def _received(peer: socket.socket) -> Message:
    """One message. Raises ValueError if it is none, or too large."""
    content = b""
    while not content.endswith(b"\n"):
        part = peer.recv(65_536)
        content += part
        if not part or len(content) > LARGEST:
            raise ValueError("no message, or a larger one than there is")
    message = json.loads(content)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


@contextlib.contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket by a short path: an address of this kind has room for about a hundred bytes."""
    if not os.path.isdir("/proc/self/fd"):
        yield str(directory / NAME)
        return
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{NAME}"
    finally:
        os.close(opened)
