"""Rows on their way into a file, or into one file after the other."""

from __future__ import annotations

import asyncio
import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, ParamSpec, TypeVar

from cqrs_ddd_advanced_core.export._arrow import EventTable, FileFormat, TableWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cqrs_ddd_advanced_core.export._directory import ExportDirectory
    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = ["DirectoryTarget", "Output", "SinkTarget"]

P = ParamSpec("P")
T = TypeVar("T")


class Target(ABC):
    """Where files come from, and what becomes of whole ones.

    Attributes:
        is_never_empty: A file is written even when there are no events for it.
    """

    is_never_empty: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> BinaryIO:
        """Return a new file."""

    @abstractmethod
    def keep(self, file: BinaryIO, first: int, last: int) -> Path | None:
        """Take a whole file with the events of these positions."""

    @abstractmethod
    def discard(self, file: BinaryIO) -> None:
        """Take back a file that never became whole."""


class DirectoryTarget(Target):
    """Files of a directory."""

    def __init__(self, directory: ExportDirectory, file_format: FileFormat) -> None:
        self._directory = directory
        self._file_format = file_format

    def open(self) -> BinaryIO:
        return self._directory.open()

    def keep(self, file: BinaryIO, first: int, last: int) -> Path:
        return self._directory.keep(file, first, last, self._file_format)

    def discard(self, file: BinaryIO) -> None:
        self._directory.discard(file)


class SinkTarget(Target):
    """One file, or anything with ``write``, that the caller opened and will close."""

    is_never_empty: ClassVar[bool] = True

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def open(self) -> BinaryIO:
        return self._sink

    def keep(self, file: BinaryIO, first: int, last: int) -> None:  # noqa: ARG002 - no name
        file.flush()

    def discard(self, file: BinaryIO) -> None:
        """Leave it to the caller."""


class _Counted(io.RawIOBase):
    """Counts the bytes that go into a file, and writes all of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._count

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            # An unbuffered file may take a part only.
            rest = rest[self._file.write(rest) :]
        self._count += size
        return size


class _Part:
    """The file under way."""

    def __init__(self, file: BinaryIO, table: EventTable, kind: FileFormat, group: int) -> None:
        self.file = file
        self.counted = _Counted(file)
        self.writer = TableWriter(self.counted, table.schema, kind, group)  # type: ignore[arg-type]
        self.events = 0


class Output:
    """Writes events in the order they come.

    Args:
        target: Takes the files.
        table: Makes rows of events.
        file_format: Which format.
        row_group_size: How many rows a row group has at most.
        events_per_file: When a file is finished, at the page of events that reaches it; never
            when not given.
        first_position: Where the first file begins.
    """

    def __init__(
        self,
        target: Target,
        table: EventTable,
        file_format: FileFormat,
        *,
        row_group_size: int,
        events_per_file: int | None,
        first_position: int,
    ) -> None:
        self._target = target
        self._table = table
        self._format: FileFormat = file_format
        self._row_group_size = row_group_size
        self._events_per_file = events_per_file
        self._first = first_position
        self._part: _Part | None = None
        self.events: int = 0
        self.bytes: int = 0
        self.files: list[Path] = []

    async def add(self, events: Sequence[StoredEvent], position: int) -> None:
        """Write events; everything up to the position has been seen."""
        if not events:
            return
        part = self._part or self._begin()
        await _in_thread(part.writer.add, self._table.rows(events))
        part.events += len(events)
        self.events += len(events)
        if self._events_per_file is not None and part.events >= self._events_per_file:
            await self.finish(position)

    async def finish(self, position: int) -> None:
        """Make the file under way whole; it covers everything up to the position."""
        if self._part is None and self._target.is_never_empty:
            self._begin()
        if self._part is not None:
            await _in_thread(self._finish, self._part, position)
            self._part = None
            self._first = position + 1

    def abort(self) -> None:
        """Remove the file under way."""
        part, self._part = self._part, None
        if part is not None:
            part.writer.abort()
            self._target.discard(part.file)

    def _begin(self) -> _Part:
        file = self._target.open()
        self._part = _Part(file, self._table, self._format, self._row_group_size)
        return self._part

    def _finish(self, part: _Part, position: int) -> None:
        part.writer.close()
        path = self._target.keep(part.file, self._first, position)
        self.bytes += part.counted.tell()
        if path is not None:
            self.files.append(path)


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread; who is cancelled leaves when it has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
