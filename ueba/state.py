"""Files of a workspace, read as if a stranger had written them.

A file is a regular one, no larger than its kind may be, and reads as its kind; everything else is one
WorkspaceError that names the file and the command that makes it anew. Nothing is unpickled.

Where UEBA_KEY_FILE names a key, each file has a seal, `.seals/<name>` beside it: an HMAC-SHA256 of its place
and content. A file without a valid seal was written by someone without the key, and is refused. Before a
file is replaced its seal has both contents, so that an interruption between the two leaves a valid one.
Leaves out what a file holds (`ueba.contracts`), and an earlier file put back together with its seal.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import shutil
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ueba import files
from ueba.errors import ConfigError, UebaError, WorkspaceError
from ueba.text import plain, shortened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Types = Mapping[str, pa.DataType]  # of columns

KEY_FILE = "UEBA_KEY_FILE"
KEY_BYTES = (32, 4096)  # fewest and most
MOST_BYTES = 2**28  # of a file of JSON
MOST_TABLE_BYTES = 2**33  # of a table or of arrays, on disk and unpacked
MOST_TOML_BYTES = 2**18  # the parser's time grows faster than the file
MOST_REASON = 200  # characters of a reason in a message
SEALS = ".seals"  # the folder of the seals of a folder's files
SEALED = (  # what a key protects, below a workspace
    "lake/*.json",
    "lake/*.parquet",
    "lake/batches/*.json",
    "lake/given/*.json",
    "lake/edges/*/*.parquet",
    "lake/evidence/*.parquet",
    "lake/events/*/*.parquet",
    "history/*",
    "model/*",
    "findings/*.json",
    "findings/*.parquet",
    "feedback/head.json",
    "feedback/rules.toml",
    "runs/*.json",
)


# --- damage -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Make of whatever goes wrong while a file is read one WorkspaceError. remedy: what to do next, with the
    command that makes the file anew"""
    try:
        yield
    except UebaError:
        raise
    except OSError as reason:
        raise WorkspaceError(f"{path}: cannot be read ({reason.strerror or reason}); {remedy}") from reason
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as reason:
        problem = f"is damaged or of another version ({in_a_line(reason)})"
        raise WorkspaceError(f"{path}: {problem}; {remedy}") from reason


def in_a_line(reason: Exception) -> str:
    """The first line of an error, for a message."""
    if isinstance(reason, RecursionError):
        return "it is nested too deep"
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return shortened(plain(lines[0]), MOST_REASON)


def inside(path: Path, root: Path) -> Path:
    """A path. Raises WorkspaceError if it leads out of a folder, by `..` or by a link."""
    whole, within = Path(os.path.realpath(path)), Path(os.path.realpath(root))
    if not whole.is_relative_to(within):
        raise WorkspaceError(
            f"{path} leads out of {root}, and is neither read nor removed; remove the link or the file that"
            " names it"
        )
    return path


def is_there(path: Path) -> bool:
    """Whether something has this path, be it a link that leads nowhere, which is damage and not absence."""
    return os.path.lexists(path)


# --- reading ------------------------------------------------------------------------------------------------


def content(path: Path, remedy: str, most: int = MOST_BYTES) -> bytes:
    """The content of a file whose seal is valid. Raises WorkspaceError. most: bytes"""
    with reading(path, remedy):
        with opened(path, most) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ValueError(f"it is larger than {most:,} bytes")
    check_seal(path, data)
    return data


@contextlib.contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """A regular file, open to be read. Raises OSError, or ValueError if it is something else, or too
    large."""
    with open(path, "rb", opener=_without_waiting) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if facts.st_size > most:
            raise ValueError(f"it has {facts.st_size:,} bytes, more than {most:,}")
        yield file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that nobody writes to would never open


def toml(path: Path, most: int = MOST_TOML_BYTES) -> dict[str, Any]:
    """A TOML document. Raises OSError, ValueError or RecursionError; most: bytes"""
    with opened(path, most) as file:
        return tomllib.loads(file.read(most).decode("utf-8-sig"))


def table(path: Path, remedy: str, columns: Types | None = None) -> pa.Table:
    """A Parquet file whose seal is valid. Raises WorkspaceError, also if its columns are others."""
    import pyarrow as pa

    data = content(path, remedy, MOST_TABLE_BYTES)
    with reading(path, remedy), _arrow_errors():
        return _parquet(pa.BufferReader(data), columns).read()


def check_columns(path: Path, remedy: str, columns: Types | None = None) -> None:
    """Check the seal, the size and the columns of a Parquet file without reading its rows. Raises
    WorkspaceError."""
    with reading(path, remedy), _arrow_errors(), opened(path, MOST_TABLE_BYTES) as file:
        _parquet(file, columns)
    check_seal(path)


def _parquet(file: Any, columns: Types | None) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file)
    if columns is not None:
        compare_columns(parquet.schema_arrow, columns)
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if max(unpacked, parquet.metadata.num_rows) > MOST_TABLE_BYTES:
        raise ValueError(f"it has {unpacked:,} bytes unpacked, more than {MOST_TABLE_BYTES:,}")
    return parquet


def compare_columns(found: pa.Schema, columns: Types) -> None:
    """Raises ValueError if a schema has other columns or types."""
    if dict(zip(found.names, found.types, strict=True)) != columns:
        wrong = [name for name in {*found.names, *columns} if name not in found.names or name not in columns]
        raise ValueError(f"it has other columns or types: {', '.join(sorted(wrong)) or 'types'}")


@contextlib.contextmanager
def _arrow_errors() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as reason:  # some of them are nothing else
        raise ValueError(str(reason)) from reason


# --- writing ------------------------------------------------------------------------------------------------


def write(path: Path, data: bytes) -> None:
    """Write a file and its seal."""
    _write_seal(path, data, _lines_of(path)[-1:])
    with files.replacing_file(path) as file:
        file.write(data)


def write_table(path: Path, content: pa.Table, compact: Collection[str] = ()) -> None:
    """Write a table as Parquet, and its seal. compact: columns of numbers, if the file is to be small at the
    cost of time"""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for name in content.column_names if name not in compact]
    options: dict[str, Any] = (
        {"compression": "zstd", "use_dictionary": names, "use_byte_stream_split": list(compact)}
        if compact
        else {}
    )
    stream = pa.BufferOutputStream()
    pq.write_table(content, stream, **options)
    write(path, stream.getvalue().to_pybytes())


def remove(path: Path) -> None:
    """Remove a file or link with its seal, or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    path.unlink()
    _seal_path(path).unlink(missing_ok=True)


# --- seals --------------------------------------------------------------------------------------------------


def key() -> bytes | None:
    """The key that UEBA_KEY_FILE names; None if it is not set. Raises ConfigError if the file cannot be a
    key, or others may read it."""
    name = os.environ.get(KEY_FILE)
    if not name:
        return None
    least, most = KEY_BYTES
    try:
        with opened(Path(name), most) as file:
            found, mode = file.read(), os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as reason:
        raise ConfigError(f"{KEY_FILE} = {name}: cannot be read ({in_a_line(reason)})") from reason
    if len(found) < least:
        raise ConfigError(
            f"{KEY_FILE} = {name}: has {len(found)} bytes; make a key with `head -c 32 /dev/urandom`"
        )
    if mode & 0o077:
        raise ConfigError(f"{KEY_FILE} = {name}: others may read or change it; `chmod 600 {name}`")
    return found


def check_key(root: Path) -> None:
    """Raises ConfigError if the key lies in the workspace, where whoever changes a file can read it."""
    name = os.environ.get(KEY_FILE)
    if name and Path(os.path.realpath(name)).is_relative_to(os.path.realpath(root)):
        raise ConfigError(f"{KEY_FILE} = {name}: lies in the workspace; keep it where {root} is not")


def seal(path: Path, place: str = "") -> None:
    """Seal a file as it is. Nothing is done without a key. place: the folder's name, if the file is about to
    be moved there"""
    if key() is not None:
        _write_seal(path, None, [], place)


def check_seal(path: Path, data: bytes | None = None) -> None:
    """Raises WorkspaceError if there is a key, and the file's seal is not made with it. data: the file's
    content, if it was read already"""
    secret = key()
    if secret is None:
        return
    found, wanted = _lines_of(path), _seal_of(secret, path, data)
    if not any(hmac.compare_digest(line, wanted) for line in found):
        problem = "does not have the content that was sealed" if found else "has no seal"
        raise WorkspaceError(
            f"{path} {problem}: it was written without the key of {KEY_FILE}; put it back from a backup, or"
            " `ueba seal` if you trust the workspace as it is"
        )


def sealed_files(root: Path) -> list[Path]:
    """The files of a workspace that a key protects, in order."""
    found = (path for pattern in SEALED for path in root.glob(pattern))
    return sorted(path for path in found if path.is_file() and path.name != SEALS)


def _write_seal(path: Path, data: bytes | None, earlier: list[str], place: str = "") -> None:
    secret = key()
    if secret is not None:
        lines = [*earlier, _seal_of(secret, path, data, place)]
        with files.replacing_file(_seal_path(path)) as file:
            file.write(("\n".join(lines) + "\n").encode())


def _seal_of(secret: bytes, path: Path, data: bytes | None, place: str = "") -> str:
    """The HMAC of a file's folder, name and content, as hexadecimal digits."""
    label = f"{place or path.absolute().parent.name}/{path.name}".encode("utf-8", "surrogateescape")
    digest = hmac.new(secret, len(label).to_bytes(8) + label, hashlib.sha256)
    if data is not None:
        digest.update(data)
    else:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _seal_path(path: Path) -> Path:
    return path.parent / SEALS / path.name


def _lines_of(path: Path) -> list[str]:
    """The seals of a file, at most two; none if it has none."""
    try:
        with opened(_seal_path(path), 2**10) as file:
            return file.read().decode("ascii").split()[:2]
    except (OSError, ValueError):
        return []
