"""Writing snapshots behind the commands that made them due."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_core.correlation import get_context

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
    from cqrs_ddd_core.ports.event_store import StreamId

__all__ = ["SnapshotKey", "SnapshotWriter", "key_of"]

#: Tenant and stream.
SnapshotKey: TypeAlias = "tuple[str, StreamId]"

_logger = logging.getLogger(__name__)


class SnapshotWriter:
    """Writes snapshots one at a time, each stream's in a task of its own.

    A task has no current unit of work, and the context of whoever started it, so its tenant. Of
    several snapshots of one stream that wait, the newest is written.

    Args:
        store: Where.
        keep: How many snapshots of a stream stay.
        max_pending: How many streams may wait; what comes on top is left out.

    Attributes:
        failures: How many writes failed.
        skipped: How many were left out.
    """

    def __init__(self, store: ISnapshotStore, *, keep: int, max_pending: int) -> None:
        self._store = store
        self._keep = keep
        self._max_pending = max_pending
        self._tasks: dict[SnapshotKey, asyncio.Task[None]] = {}
        # None: all snapshots of the stream are to be removed.
        self._jobs: dict[SnapshotKey, Snapshot | None] = {}
        self._turn = asyncio.Lock()
        self.failures = 0
        self.skipped = 0

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot soon, unless a newer one of the stream or its removal waits already."""
        key = key_of(snapshot.stream)
        waiting = self._jobs.get(key, snapshot)
        if waiting is None or waiting.version > snapshot.version:
            self.skipped += 1
        else:
            self._put(key, snapshot)

    def discard(self, stream: StreamId) -> None:
        """Remove all snapshots of a stream soon, also those that wait."""
        self._put(key_of(stream), None)

    async def cancel(self, stream: StreamId) -> None:
        """Let nothing be written for a stream that has not been written by now."""
        task = self._tasks.get(key_of(stream))
        if task is not None:
            # Not waited for as it is: it may need the lock that the caller's transaction has.
            task.cancel()
            await asyncio.wait([task])

    async def drain(self) -> None:
        """Wait until nothing is left to be written."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _put(self, key: SnapshotKey, job: Snapshot | None) -> None:
        if key not in self._tasks and len(self._tasks) >= self._max_pending:
            self.skipped += 1
            return
        if key not in self._tasks:
            self._start(key)
        self._jobs[key] = job

    def _start(self, key: SnapshotKey) -> None:
        loop = asyncio.get_running_loop()
        if not self._tasks:
            # A lock belongs to the event loop it was first waited for in.
            self._turn = asyncio.Lock()
        task = self._tasks[key] = loop.create_task(self._run(key), name=f"snapshot {key[1]}")
        task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: SnapshotKey, task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        if task.cancelled():
            self._jobs.pop(key, None)
        elif key in self._jobs:
            self._start(key)

    async def _run(self, key: SnapshotKey) -> None:
        async with self._turn:
            stream, job = key[1], self._jobs.pop(key)
            try:
                await self._write(stream, job)
            except Exception:
                self.failures += 1
                _logger.exception("a snapshot of %s could not be written; it is not needed", stream)

    async def _write(self, stream: StreamId, job: Snapshot | None) -> None:
        if job is None:
            await self._store.delete_snapshots(stream)
            return
        await self._store.save_snapshot(job)
        await self._store.delete_snapshots(stream, keep=self._keep)


def key_of(stream: StreamId) -> SnapshotKey:
    """Return what tells a stream from those of other tenants."""
    return get_context().tenant_id, stream
