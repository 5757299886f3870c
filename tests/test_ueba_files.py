"""Writers that leave the old file or the new one, the lock, and the conversions of times."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ueba import files, state
from ueba.cli import main
from ueba.errors import WorkspaceError
from ueba.workspace import Workspace

MOMENT = dt.datetime(2026, 1, 5, 9, 30, 0, 123456)


# --- writing ------------------------------------------------------------------------------------------------


def test_each_writer_makes_its_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    table = pa.table({"user": ["ann"]})
    files.write_bytes(folder / "bytes", b"\0\xff")
    files.write_text(folder / "text", "Müller\n")
    files.write_json(folder / "json", {"day": dt.date(2026, 1, 5), "user": "Müller"})
    files.write_parquet(folder / "parquet", table)
    assert (folder / "bytes").read_bytes() == b"\0\xff"
    assert (folder / "text").read_bytes() == "Müller\n".encode()
    assert json.loads((folder / "json").read_text("utf-8")) == {"day": "2026-01-05", "user": "Müller"}
    assert pq.read_table(folder / "parquet").equals(table)
    assert {path.name for path in folder.iterdir()} == {"bytes", "text", "json", "parquet"}


def test_an_error_before_the_end_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "old")
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "file") as temporary:
        temporary.write(b"half of the n")
        raise ZeroDivisionError
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_process_killed_between_write_and_rename_leaves_the_old_file(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "old")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom ueba import files\n"
        "with files.replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'new')\n    file.flush()\n    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")]).returncode == 9
    assert (tmp_path / "file").read_text() == "old"
    files.write_text(tmp_path / "file", "newer")
    assert (tmp_path / "file").read_text() == "newer"


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    files.write_text(pipe, "through a pipe")
    reader.join()
    assert received == ["through a pipe"] and pipe.is_fifo()
    files.write_text(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()


def test_a_link_is_replaced_and_its_file_is_left_alone(tmp_path: Path) -> None:
    """Symbolic and hard links, links to nowhere, and links to what is no file."""
    real, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    files.write_text(real, "old")
    for target in (real, tmp_path / "nowhere", tmp_path / "elsewhere"):
        link.symlink_to(target)
        files.write_text(link, "new")
        assert not link.is_symlink() and link.read_text() == "new"
        link.unlink()
    link.hardlink_to(real)
    files.write_text(link, "new")
    assert real.read_text() == "old" and link.read_text() == "new"
    assert [path.name for path in real.parent.iterdir()] == ["real"]
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_lasts_is_not_opened_through_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with pytest.raises(WorkspaceError, match="link: is a link"):
        files.append_json(link, lambda content: {"lines": 1})
    with pytest.raises(WorkspaceError, match="link: is a link"), files.locked(link, "busy"):
        pass
    assert real.read_text() == "old"


def test_a_folder_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Neither where the folder is to be nor where it is made and put aside."""
    real = tmp_path / "real"
    files.write_text(real / "diary", "mine")
    for name in ("model", ".model.tmp", ".model.old"):
        (tmp_path / name).symlink_to(real)
        with files.replacing_folder(tmp_path / "model") as temporary:
            (temporary / "weights").write_text("1")
        assert not (tmp_path / "model").is_symlink() and (tmp_path / "model" / "weights").exists()
        assert [path.name for path in real.iterdir()] == ["diary"]
        files.remove(tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"real"}


def test_files_and_folders_are_for_the_user_alone(tmp_path: Path) -> None:
    """Whatever the umask: also what others could read before, and what a program makes that has its own."""
    (tmp_path / "text").write_text("old")
    (tmp_path / "text").chmod(0o666)
    before = os.umask(0)
    try:
        files.write_text(tmp_path / "text", "new")
        files.write_text(tmp_path / "a" / "b" / "text", "new")
        files.write_parquet(tmp_path / "a" / "parquet", pa.table({"user": ["ann"]}))
        files.append_json(tmp_path / "a" / "log", lambda content: {})
        with files.locked(tmp_path / "a" / "lock", "busy"), files.replacing_folder(tmp_path / "model"):
            pass
    finally:
        os.umask(before)
    assert modes(tmp_path) == {
        "text": 0o600, "a": 0o700, "a/b": 0o700, "a/b/text": 0o600, "a/parquet": 0o600, "a/log": 0o600,
        "a/lock": 0o600, "model": 0o700,
    }  # fmt: skip
    assert stat.S_IMODE(files.scratch().stat().st_mode) == 0o700


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_a_temporary_file_is_always_a_new_one_with_another_name(tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(2):
        with files.replacing(tmp_path / ("n" * 200)):
            names += os.listdir(tmp_path)
    assert len({name for name in names if name != "n" * 200}) == 2
    assert os.listdir(tmp_path) == ["n" * 200]


def test_what_happens_to_the_path_meanwhile_does_not_matter(tmp_path: Path) -> None:
    """The folder is exchanged for a link, the temporary file for another: nothing is written elsewhere."""
    folder, moved, victim = tmp_path / "folder", tmp_path / "moved", tmp_path / "victim"
    files.write_text(victim / "file", "old")
    folder.mkdir()
    with files.replacing(folder / "file") as file:
        folder.rename(moved)
        folder.symlink_to(victim)
        (temporary,) = moved.iterdir()
        temporary.unlink()
        temporary.symlink_to(victim / "file")
        file.write(b"new")
    assert (victim / "file").read_text() == "old" and os.listdir(victim) == ["file"]


def test_a_workspace_that_others_can_enter_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "w s"
    root.mkdir(0o700)
    assert Workspace(root).exposure is None and Workspace(tmp_path / "none").exposure is None
    root.chmod(0o750)
    problem = Workspace(root).exposure or ""
    assert problem.startswith(f"{root}: other users of this machine can get into it (mode 0750)")
    command = problem.split("`")[1]
    for arguments in (["doctor"], ["incidents"]):
        done = CliRunner().invoke(main, ["--workspace", str(root), *arguments])
        assert "(mode 0750)" in done.output.replace("\n", " ")
    subprocess.run(command, shell=True, check=True)
    assert Workspace(root).exposure is None


def test_no_pipe_keeps_a_writer_of_the_workspace_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    state.write(tmp_path / "state.json", b"{}")
    assert (tmp_path / "state.json").read_bytes() == b"{}"
    os.mkfifo(tmp_path / "log.jsonl")
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(WorkspaceError, match="is a pipe or a device, which is not written to; remove it"):
        files.append_json(tmp_path / "log.jsonl", lambda content: {"a": 1})
    with pytest.raises(WorkspaceError, match="remove it"), files.locked(tmp_path / "lock", "busy"):
        pass


def test_links_pipes_and_devices_of_others_are_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that lies here belongs to us, so we pretend to be somebody else."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    (tmp_path / "null").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    files.write_text(tmp_path / "way" / "file", "ours")
    files.write_text(tmp_path / "null", "ours")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, 65534, 65534, follow_symlinks=False) if os.geteuid() == 0 else None
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    for path in (tmp_path / "way" / "file", tmp_path / "null", tmp_path / "pipe"):
        with pytest.raises(WorkspaceError, match="of another user"):
            files.write_text(path, "new")
    assert (tmp_path / "folder" / "file").read_text() == "ours"


def test_an_open_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As /dev/stdout and the shell's >(...) are."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom ueba import files\n"
        "for path in sys.argv[1:]:\n    files.write_text(Path(path), path + '\\n')\n"
    )
    with open(tmp_path / "out", "w") as out:
        paths = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        subprocess.run([sys.executable, "-c", code, *paths], stdout=out, check=True)
    assert (tmp_path / "out").read_text().split() == paths


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("1")
        (temporary / "names").write_text("1")
    with pytest.raises(ZeroDivisionError), files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("2")
        raise ZeroDivisionError
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"weights": "1", "names": "1"}
    with files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("3")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"weights": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_line_is_added_and_nothing_is_overwritten(tmp_path: Path) -> None:
    log = tmp_path / "feedback" / "log.jsonl"
    contents: list[bytes] = []

    def line(content: bytes) -> dict[str, int] | None:
        contents.append(content)
        return {"lines": content.count(b"\n")} if content.count(b"\n") < 2 else None

    assert files.append_json(log, line) and files.append_json(log, line)
    assert not files.append_json(log, line)
    assert log.read_text() == '{"lines": 0}\n{"lines": 1}\n' and contents[1] == b'{"lines": 0}\n'
    log.write_bytes(b'{"lin')  # a writer was cut off
    assert files.append_json(log, line)
    assert log.read_text() == '{"lin\n{"lines": 0}\n'


def test_a_folder_lost_between_two_renames_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("1")
    folder.rename(tmp_path / ".model.old")  # a process ended here
    with pytest.raises(ZeroDivisionError), files.replacing_folder(folder):
        raise ZeroDivisionError
    assert (folder / "weights").read_text() == "1"


# --- locks --------------------------------------------------------------------------------------------------


def test_a_lock_is_held_by_one_and_goes_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / ".lock"
    with files.locked(lock, "busy here"):
        with pytest.raises(WorkspaceError, match="^busy here$"), files.locked(lock, "busy here"):
            pass
    with files.locked(lock, "busy here"):
        pass
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom ueba import files\n"
        "with files.locked(Path(sys.argv[1]), 'busy'):\n    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(lock)]).returncode == 9
    with files.locked(lock, "busy here"):
        pass


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-05T09:30:00.123456", MOMENT),
        ("2026-01-05 09:30:00.123456Z", MOMENT),
        ("2026-01-05T10:30:00.123456+01:00", MOMENT),
        ("2026-01-04T23:00:00.123456-10:30", MOMENT),
        ("2026-01-05", dt.datetime(2026, 1, 5)),
        (MOMENT, MOMENT),
        (MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=-2))), MOMENT + dt.timedelta(hours=2)),
    ],
)
def test_any_time_becomes_utc_without_a_zone(time: dt.datetime | str, expected: dt.datetime) -> None:
    assert files.utc(time) == expected and files.utc(time).tzinfo is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "25:00"])
def test_a_text_that_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        files.utc(text)


def test_now_is_utc() -> None:
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    assert before <= files.now() <= before + dt.timedelta(minutes=1)


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2100, 1, 1)), st.timezones())
def test_a_time_survives_its_zone_and_its_text(time: dt.datetime, zone: dt.tzinfo) -> None:
    assert files.aware(time).utcoffset() == dt.timedelta(0)
    assert files.utc(files.aware(time)) == time == files.utc(files.aware(time).astimezone(zone))
    assert files.utc(files.iso_utc(time, "microseconds")) == time


def test_times_as_other_programs_read_them() -> None:
    assert files.iso_utc(MOMENT) == "2026-01-05T09:30:00Z"
    assert files.iso_utc(MOMENT, "milliseconds") == "2026-01-05T09:30:00.123Z"
    later = MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert files.iso_utc(later, "microseconds") == "2026-01-05T07:30:00.123456Z"


def test_a_span_of_days() -> None:
    first, last = dt.date(2026, 1, 5), dt.date(2026, 1, 9)
    assert files.days_text(first, last) == "2026-01-05 to 2026-01-09"
    assert files.days_text(first, first) == "2026-01-05"
