"""The folder of a demo, and the purchase log it works on."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["emptied", "shortened"]


def emptied(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def shortened(log: Path, lines: int, folder: Path) -> Path:
    """Return a purchase log of so many lines, in a folder; the log itself when 0 are given."""
    if not lines:
        return log.resolve()
    short = folder / "purchases.csv"
    short.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[: lines + 1]))
    return short
