"""Snapshots of event-sourced aggregates: taken after commits, used by loaders."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_advanced_core.ports.snapshot_strategy import ISnapshotStrategy, SnapshotProgress
from cqrs_ddd_advanced_core.snapshots._last import LastSnapshot, LastSnapshots
from cqrs_ddd_advanced_core.snapshots._writer import SnapshotWriter, key_of
from cqrs_ddd_advanced_core.snapshots.codec import codec_of
from cqrs_ddd_advanced_core.snapshots.source import snapshot_store_of
from cqrs_ddd_advanced_core.snapshots.strategy import EveryNEventsStrategy
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, SerializationError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.snapshots._writer import SnapshotKey
    from cqrs_ddd_advanced_core.snapshots.codec import SnapshotCodec

__all__ = ["SnapshotStore"]

T = TypeVar("T", bound=AggregateRoot[Any])

_NONE: Final = LastSnapshot(0, None)

_logger = logging.getLogger(__name__)


class SnapshotStore:
    """Takes snapshots after commits when a strategy says so, and gives aggregates back from them.

    A snapshot is a copy of what the events say. So nothing that goes wrong with one changes
    what a command does: what cannot be written is logged and counted, what cannot be used, since
    the class has another shape by now, is passed over and replaced by the next one.

    State is captured at the moment of the commit and written a little later, in a task of its
    own, outside of any unit of work and for the same tenant. What has not been written when the
    process ends is never missed; await ``drain`` at the end to write it nevertheless.

    Make one for the whole application: it remembers what it has seen.

    Args:
        session: Where snapshots are stored: an ``ISnapshotStore``, or what an imported adapter
            knows, such as SQLAlchemy's session, session factory or engine. A session only serves
            to find its database.
        strategy: When to take one, or a ``SnapshotStrategyRegistry`` that knows it per type;
            every 100 events when not given.
        keep: How many snapshots of a stream stay; the others are removed.
        max_pending: How many streams may have a snapshot that waits to be written; what comes on
            top is left out.
        clock: Tells when snapshots are taken.

    Raises:
        ConfigurationError: Nobody knows how to store snapshots there, or a number is less than 1.
    """

    def __init__(
        self,
        session: object,
        strategy: ISnapshotStrategy | None = None,
        *,
        keep: int = 2,
        max_pending: int = 100,
        clock: IClock | None = None,
    ) -> None:
        if keep < 1 or max_pending < 1:
            msg = f"keep and max_pending have to be 1 or more, not {keep} and {max_pending}"
            raise ConfigurationError(msg)
        self._store = snapshot_store_of(session)
        self._strategy = strategy or EveryNEventsStrategy()
        self._clock = clock or SystemClock()
        self._writer = SnapshotWriter(self._store, keep=keep, max_pending=max_pending)
        self._last = LastSnapshots()
        self._told: set[tuple[str, str]] = set()
        self._failures = 0
        self._ignored = 0

    @property
    def store(self) -> ISnapshotStore:
        """Where the snapshots are stored."""
        return self._store

    @property
    def failures(self) -> int:
        """How many snapshots could not be taken or written."""
        return self._failures + self._writer.failures

    @property
    def ignored(self) -> int:
        """How many snapshots were found that could not be used."""
        return self._ignored

    @property
    def skipped(self) -> int:
        """How many snapshots were left out because too many were waiting."""
        return self._writer.skipped

    async def load(
        self, aggregate_class: type[T], stream: StreamId, *, up_to_version: int | None = None
    ) -> T | None:
        """Return an aggregate as its newest usable snapshot has it, at that version.

        ``None`` when there is none: replay all events then. The caller has to make sure that the
        stream still has the event of that version; if it does not, call ``discard``.

        Args:
            aggregate_class: The class.
            stream: Whose.
            up_to_version: Nothing newer than this, when given.
        """
        snapshot = await self._find(codec_of(aggregate_class), stream, up_to_version)
        aggregate = None if snapshot is None else self._restore(aggregate_class, snapshot)
        if up_to_version is None:
            found = _NONE
            if snapshot is not None and aggregate is not None:
                found = LastSnapshot(snapshot.version, snapshot.created_at)
            self._last.note(key_of(stream), found)
        return aggregate

    def after_commit(self, aggregate: AggregateRoot[Any], previous_version: int) -> None:
        """Take a snapshot of a committed aggregate if its strategy says so; it never raises.

        Args:
            aggregate: Exactly what the stream's events say up to its version.
            previous_version: The version of the stream before the commit.
        """
        try:
            if not aggregate.raised_events() and self._is_due(aggregate, previous_version):
                self._writer.save(self._capture(aggregate))
        except Exception:
            self._failures += 1
            _logger.exception(
                "no snapshot of %s could be taken; it is not needed", aggregate.aggregate_type
            )

    def discard(self, stream: StreamId) -> None:
        """Remove all snapshots of a stream soon, because they do not belong to its events.

        The stream has no event of the version of a snapshot: the events were restored from a
        backup, or the past of the stream was removed. It is not part of the current unit of work.
        """
        _logger.warning("the snapshots of %s do not belong to its events: discarded", stream)
        self._ignored += 1
        self._last.forget(key_of(stream))
        self._last.note(key_of(stream), _NONE)
        self._writer.discard(stream)

    async def delete(self, stream: StreamId) -> int:
        """Remove all snapshots of a stream in the current unit of work, or at once outside of one.

        Those of this process that are not written yet are not written any more.

        Returns:
            How many were removed.
        """
        await self._writer.cancel(stream)
        self._last.forget(key_of(stream))
        return await self._store.delete_snapshots(stream)

    async def drain(self) -> None:
        """Wait until everything taken so far is written; outside of any unit of work."""
        await self._writer.drain()

    async def _find(
        self, codec: SnapshotCodec[T], stream: StreamId, up_to_version: int | None
    ) -> Snapshot | None:
        newest = await self._store.get_latest_snapshot(stream, up_to_version=up_to_version)
        if newest is None or newest.fingerprint == codec.fingerprint:
            return newest
        self._ignore(newest, "it has another shape than the class has now")
        # While versions of the program run side by side, each has snapshots of its own.
        return await self._store.get_latest_snapshot(
            stream, fingerprint=codec.fingerprint, up_to_version=newest.version
        )

    def _restore(self, aggregate_class: type[T], snapshot: Snapshot) -> T | None:
        codec: SnapshotCodec[T] = codec_of(aggregate_class)
        try:
            aggregate = codec.load(snapshot.state)
        except SerializationError as error:
            self._ignore(snapshot, str(error))
            return None
        aggregate.set_version(snapshot.version)
        return aggregate

    def _ignore(self, snapshot: Snapshot, reason: str) -> None:
        self._ignored += 1
        kind = snapshot.stream.aggregate_type, snapshot.fingerprint
        if kind not in self._told:
            self._told.add(kind)
            _logger.warning(
                "snapshots such as that of %s at version %d are not used, the events are: %s",
                snapshot.stream,
                snapshot.version,
                reason,
            )

    def _is_due(self, aggregate: AggregateRoot[Any], previous_version: int) -> bool:
        key = key_of(_stream_of(aggregate))
        last = self._last.get(key) or self._assume(key, previous_version)
        progress = SnapshotProgress(previous_version, aggregate.version, *last)
        if not self._strategy.should_snapshot(aggregate, progress):
            return False
        self._last.note(key, LastSnapshot(aggregate.version, self._clock.now()))
        return True

    def _assume(self, key: SnapshotKey, previous_version: int) -> LastSnapshot:
        """Take a stream that was not loaded through this store as if it had a fresh snapshot."""
        last = LastSnapshot(previous_version, self._clock.now()) if previous_version else _NONE
        self._last.note(key, last)
        return last

    def _capture(self, aggregate: AggregateRoot[Any]) -> Snapshot:
        codec = codec_of(type(aggregate))
        return Snapshot(
            _stream_of(aggregate),
            aggregate.version,
            codec.fingerprint,
            codec.dump(aggregate),
            self._clock.now(),
        )


def _stream_of(aggregate: AggregateRoot[Any]) -> StreamId:
    return StreamId(aggregate.aggregate_type, str(aggregate.id))
