"""Archives of members by name."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
import zipfile

WHEN = dt.datetime(2024, 2, 29, 12, 30, 0)  # of every member


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, WHEN.timetuple()[:6])
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes | str], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A member that is a str is a link to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mtime = int(WHEN.replace(tzinfo=dt.UTC).timestamp())
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
