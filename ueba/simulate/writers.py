"""Events as files that people have: LANL `auth.txt`, a CSV with a header; labels and the list of staff.

The formats with records of their own are `windows` and `ocsf`. Each row of a file is one event, in the order
of the table. Leaves out quoting: a name with a comma or a quote is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ueba import files

ORIENTATION = {"ticket": "TGT", "service_ticket": "TGS"}  # of LANL; all else is a LogOn
CHUNK = 200_000  # events


def write_lanl(events: pa.Table, path: Path, epoch: datetime) -> None:
    """Lines of LANL `auth.txt`: seconds since `epoch`, no header, `?` for unknown; gzip when the name ends
    in .gz.

    The format knows computers and logons only: a resource is written where a destination computer stands,
    its use as a logon.
    """
    text = texts(events)
    codes = pc.index_in(text["action"], value_set=pa.array(list(ORIENTATION)))
    ticket = pc.is_valid(codes)
    user = text["user"]
    columns = [
        seconds_since(events["time"], epoch), user, user, pc.fill_null(text["source"], "?"), text["target"],
        pc.if_else(ticket, "?", pc.fill_null(text["auth_package"], "?")),
        pc.if_else(ticket, "?", pc.fill_null(text["logon_type"], "?")),
        pc.fill_null(pc.take(pa.array(list(ORIENTATION.values())), codes), "LogOn"),
        pc.if_else(pc.equal(text["outcome"], "failure"), "Fail", "Success"),
    ]  # fmt: skip
    write_rows(pa.table(columns, names=[f"f{i}" for i in range(len(columns))]), path, header=None)


def write_csv(events: pa.Table, path: Path) -> None:
    """A CSV with a header, as a VPN gateway or a SIEM exports it: what `configs/sources/vpn_csv.toml`
    reads."""
    columns = {
        "timestamp": iso(events["time"]), "account": events["user"], "from_host": events["source"],
        "to_host": events["target"], "protocol": events["auth_package"], "type": events["logon_type"],
        "result": events["outcome"],
    }  # fmt: skip
    write_rows(texts(pa.table(columns)), path, header=",".join(columns))


def write_labels(labels: pa.Table, path: Path, epoch: datetime | None = None) -> None:
    """Labels as CSV; times are ISO 8601, or seconds since `epoch` to go with `write_lanl`."""
    time = iso(labels["time"]) if epoch is None else seconds_since(labels["time"], epoch)
    write_rows(texts(labels.set_column(0, "time", time)), path, header=",".join(labels.column_names))


def write_staff(staff: pa.Table, path: Path) -> None:
    """user, department, role, manager, kind as CSV."""
    write_rows(staff, path, header=",".join(staff.column_names))


def texts(table: pa.Table) -> pa.Table:
    """The same with plain texts instead of dictionaries."""
    plain = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(plain))


def chunks(events: pa.Table) -> Iterator[pa.Table]:
    """Plain texts, as many rows at once as fit easily; never none."""
    for begin in range(0, max(len(events), 1), CHUNK):
        yield texts(events.slice(begin, CHUNK)).combine_chunks()


def seconds_since(time: pa.ChunkedArray, epoch: datetime) -> pa.ChunkedArray:
    return pc.subtract(pc.divide(time.cast(pa.int64()), 1_000_000), int(epoch.timestamp()))


def iso(time: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.strftime(time.cast(pa.timestamp("s", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")


def write_rows(table: pa.Table, path: Path, header: str | None) -> None:
    """Unquoted. The header is by hand, as pyarrow would quote it."""
    with sink_of(path) as sink:
        if header is not None:
            sink.write(f"{header}\n".encode())
        pyarrow.csv.write_csv(
            table, sink, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
        )


@contextlib.contextmanager
def sink_of(path: Path) -> Iterator[pa.NativeFile]:
    """Where to write a file, compressed if its name ends in .gz."""
    with (
        files.replacing(path) as file,
        pa.output_stream(file, compression="gzip" if path.suffix == ".gz" else None) as sink,
    ):
        yield sink
