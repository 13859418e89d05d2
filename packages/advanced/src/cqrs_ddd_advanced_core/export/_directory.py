"""A directory of exported files, each with the range of positions it covers in its name."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from cqrs_ddd_advanced_core.export.exceptions import ExportDirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ExportDirectory", "ExportedFile"]

_NAME: Final = re.compile(r"events-(\d{19})-(\d{19})\.(parquet|arrow)")
# Readers of partitioned directories pass over names that begin with a dot.
_UNFINISHED: Final = ".events.unfinished"
_LOCK: Final = ".events.lock"


class ExportedFile(NamedTuple):
    """A whole file: the events of these positions, both inclusive."""

    path: Path
    first_position: int
    last_position: int
    file_format: str


class ExportDirectory:
    """Takes one export at a time.

    A file is written under a name that readers pass over, and gets its own when all of it is on
    the disk: after a crash it is there as a whole, or not at all.

    Args:
        path: The directory; it is made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other exports out; the lock ends with the process at the latest.

        Raises:
            ExportDirectoryError: Another export has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("ab") as file:
            try:
                _lock(file)
            except OSError as error:
                raise ExportDirectoryError(self.path, "another export writes there") from error
            self._unfinished.unlink(missing_ok=True)
            yield

    def files(self) -> list[ExportedFile]:
        """Return the whole files by position."""
        found = [(path, _NAME.fullmatch(path.name)) for path in self.path.iterdir()]
        files = [ExportedFile(path, int(m[1]), int(m[2]), m[3]) for path, m in found if m]
        return sorted(files, key=lambda file: file.first_position)

    def open(self) -> BinaryIO:
        """Begin a file."""
        return self._unfinished.open("wb")

    def keep(self, file: BinaryIO, first: int, last: int, file_format: str) -> Path:
        """Close a file and give it its name, durably."""
        file.flush()
        os.fsync(file.fileno())
        file.close()
        path = self.path / f"events-{first:019}-{last:019}.{file_format}"
        self._unfinished.rename(path)
        _sync_directory(self.path)
        return path

    def discard(self, file: BinaryIO) -> None:
        """Close a file and remove it."""
        file.close()
        self._unfinished.unlink(missing_ok=True)

    @property
    def _unfinished(self) -> Path:
        return self.path / _UNFINISHED


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _sync_directory(path: Path) -> None:
        """Do nothing: a directory cannot be synchronised there."""
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_directory(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
