"""A page as Chromium shows it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
    " --disable-quic --disable-gpu"
)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to show the page in")


def browse(folder: Path, name: str, *options: str) -> tuple[str, list[str]]:
    """What a browser that is shown a file prints, and what its console says."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        *QUIET.split(),
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += ["--enable-logging=stderr", *options, (folder / name).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
