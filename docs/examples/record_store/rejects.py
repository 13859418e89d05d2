"""What could not be taken in, kept for a person to look at."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Reject", "rejects_file"]


class Reject(NamedTuple):
    """A line of a purchase log that was not taken in, and why."""

    line: int
    reason: str
    text: str


@contextmanager
def rejects_file(path: Path) -> Iterator[Callable[[Reject], None]]:
    """Yield a function that writes a reject into a new CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="", buffering=1) as file:
        writer = csv.writer(file)
        writer.writerow(Reject._fields)
        yield writer.writerow
