"""Moves the old events of streams to an archive."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_advanced_core.domain.exceptions import EventSourcingConfigurationError
from cqrs_ddd_advanced_core.event_sourcing._moments import version_before
from cqrs_ddd_advanced_core.event_sourcing.archived_store import ArchivedEventStore
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable
    from datetime import datetime

    from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
    from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["ArchiveProgress", "StreamArchiver", "in_unit_of_work"]


class ArchiveProgress(NamedTuple):
    """How far an archiving of many streams has come.

    Attributes:
        streams: Streams that were looked at.
        events: Events that were moved.
        stream: The last of the streams.
    """

    streams: int = 0
    events: int = 0
    stream: StreamId | None = None


class StreamArchiver:
    """Copies old events to an archive and removes them from their streams, in one step.

    Guarantee: after a crash, an error or a cancellation an event is in the stream or in the
    archive, never in none. The newest event always stays, so that versions go on. Writers are
    not held up and may append meanwhile; readers go through an ``ArchivedEventStore``.

    Args:
        event_store: The live store itself, below payload codecs and other decorators, so that
            what is encrypted stays encrypted.
        archive: In the same database.
        unit_of_work: Makes the unit of work of each stream; inside of one, that one is joined.
        batch_size: Events in memory at once.

    Raises:
        EventSourcingConfigurationError: The store reads through an archive itself.
    """

    def __init__(
        self,
        event_store: IEventStore,
        archive: IEventArchive,
        unit_of_work: UnitOfWorkFactory,
        *,
        batch_size: int = 500,
    ) -> None:
        if isinstance(event_store, ArchivedEventStore):
            msg = "an ArchivedEventStore would archive its archive: give the live store"
            raise EventSourcingConfigurationError(msg)
        self._event_store = event_store
        self._archive = archive
        self._unit_of_work = unit_of_work
        self._batch_size = batch_size

    async def archive(
        self, stream: StreamId, *, up_to_version: int | None = None, before: datetime | None = None
    ) -> int:
        """Move the events of a stream that meet all limits, and return how many there were.

        Args:
            stream: Whose events; an unknown one has none.
            up_to_version: None newer than this version.
            before: None from the first one on that occurred at this moment or later, aware.

        Raises:
            EventStoreError: The moment has no time zone, or the archive has other events there.
        """
        async with in_unit_of_work(self._unit_of_work):
            until = await self._event_store.get_stream_version(stream) - 1
            if up_to_version is not None:
                until = min(until, up_to_version)
            if before is not None:
                until = min(until, await version_before(self._event_store, stream, before))
            return await self._move(stream, until)

    async def archive_all(
        self,
        streams: AsyncIterable[StreamId],
        *,
        before: datetime | None = None,
        progress: Callable[[ArchiveProgress], None] | None = None,
    ) -> ArchiveProgress:
        """Archive many streams, each in a unit of work of its own.

        Run it again after an interruption: what was moved is passed over quickly.

        Args:
            streams: Such as ``event_store.read_streams("Order")``.
            before: As for ``archive``.
            progress: Told after every stream.
        """
        done = ArchiveProgress()
        async for stream in streams:
            moved = await self.archive(stream, before=before)
            done = ArchiveProgress(done.streams + 1, done.events + moved, stream)
            if progress is not None:
                progress(done)
        return done

    async def _move(self, stream: StreamId, until: int) -> int:
        copied = 0
        while batch := await self._event_store.get_events(
            stream, after_version=copied, up_to_version=until, limit=self._batch_size
        ):
            await self._archive.add_events(stream, batch)
            copied = batch[-1].version
        if not copied:
            return 0
        return await self._event_store.delete_events(stream, up_to_version=copied)


@asynccontextmanager
async def in_unit_of_work(factory: UnitOfWorkFactory) -> AsyncIterator[None]:
    """Work in the current unit of work, or in a new one."""
    if get_current_uow() is not None:
        yield
        return
    async with factory():
        yield
