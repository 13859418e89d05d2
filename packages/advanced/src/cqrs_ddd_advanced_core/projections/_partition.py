"""One partition of a projection, as long as this worker owns it: page after page, each once."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    CheckpointLostError,
    ProjectionConflictError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.projections._pages import FeedPages
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy, is_transient
from cqrs_ddd_advanced_core.projections.staging import reached_position
from cqrs_ddd_advanced_core.projections.topics import projection_topic
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.outbox import partition_of
from cqrs_ddd_core.ports.wake_up import announce_after_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointLease
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId
    from cqrs_ddd_core.ports.wake_up import IWakeUp
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["PartitionSettings", "ProjectionPartition"]

_logger = logging.getLogger(__name__)

#: How often a batch is tried at once that others were faster than.
_MOST_CONFLICTS: Final = 10


class PartitionSettings(NamedTuple):
    """What all partitions of a worker have in common.

    Attributes:
        event_store: Has the events.
        batch_size: How many events a batch holds at most.
        error_policy: What becomes of an event that cannot be applied.
        attempts: How often an event is tried before it is given up.
        backoff: How long to wait after failures, in seconds.
        wake: Looks for work again.
        wake_up: Is told when a projection has moved on.
    """

    event_store: IEventStore
    batch_size: int
    error_policy: ErrorPolicy
    attempts: int
    backoff: ExponentialBackoff
    wake: Callable[[], None]
    wake_up: IWakeUp | None


class ProjectionPartition:
    """Applies the events of a partition in the order of their positions.

    Events are read before the transaction that writes them begins, for an open one would hold back
    what others can read; as long as there are more, those of the next batch are read meanwhile. A
    batch that fails is rolled back and halved until the event is found that fails alone; everything
    before it is applied by then.

    Args:
        projection: Whose partition.
        lease: The right to carry it on.
        settings: Those of the worker.
        held: Streams with a parked event, whose later events have to wait.
    """

    def __init__(
        self,
        projection: Projection,
        lease: CheckpointLease,
        settings: PartitionSettings,
        held: set[StreamId],
    ) -> None:
        self.projection: Projection = projection
        self.lease: CheckpointLease = lease
        #: Whether somebody else may own it, so that it has to be leased anew.
        self.is_over: bool = False
        self.failures: int = 0
        self.skipped: int = 0
        self.last_error: str | None = None
        self._settings = settings
        self._held = held
        self._partitions = projection.projector.partitions
        self._policy = projection.projector.error_policy or settings.error_policy
        # How often the first event behind the checkpoint has failed alone.
        self._attempts = 0
        self._failures_in_a_row = 0
        self._due_at = 0.0

    async def drain(self, may_go_on: Callable[[], bool]) -> int:
        """Apply batch after batch while there are events; return how many there were.

        Errors are noted here and do not concern other partitions.
        """
        settings = self._settings
        pages = FeedPages(
            settings.event_store, self.projection.event_filter, limit=settings.batch_size
        )
        try:
            return await self._drain(pages, may_go_on)
        finally:
            await pages.close()

    async def _drain(self, pages: FeedPages, may_go_on: Callable[[], bool]) -> int:
        done = 0
        while not self.is_over and monotonic() >= self._due_at:
            try:
                count, is_last = await self._work_off_page(pages, may_go_on)
            except CheckpointLostError as error:
                _logger.warning("%s", error)
                self.is_over = True
                break
            except Exception as error:  # noqa: BLE001 - one projection does not stop others
                self._note_failure(error)
                break
            self._failures_in_a_row = 0
            done += count
            if is_last:
                break
            if not may_go_on():
                return max(done, 1)
        return done

    async def _work_off_page(
        self, pages: FeedPages, may_go_on: Callable[[], bool]
    ) -> tuple[int, bool]:
        bound = await reached_position(self.projection.upstreams)
        if bound is not None and bound <= self.lease.position:
            return 0, True
        events, position, is_last = await pages.after(self.lease.position)
        if bound is not None and bound < position:
            events = [event for event in events if event.position <= bound]
            position, is_last = bound, True
        if not is_last and may_go_on():
            pages.read_ahead(position)
        mine = self._mine(events)
        if position > self.lease.position:
            await self._work_off(mine, position)
        return len(mine), is_last

    def _mine(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        if self._partitions == 1:
            return events
        tenant_id, number = get_context().tenant_id, self.lease.key.partition
        return [
            event
            for event in events
            if partition_of(f"{tenant_id}/{event.stream}", self._partitions) == number
        ]

    async def _work_off(self, events: Sequence[StoredEvent], position: int) -> None:
        """Apply the events of a page, and move the checkpoint to where the page ends."""
        # An event that has failed is tried alone, for it would take its batch with it.
        done, size = 0, 1 if self._attempts else self._batch_limit(events)
        while True:
            batch = events[done : done + size]
            is_rest = done + len(batch) == len(events)
            until = position if is_rest else batch[-1].position
            try:
                await self._write(batch, until)
                if batch and self._attempts:
                    self._attempts, size = 0, self._batch_limit(events)
            except Exception as error:
                if not batch or _says_nothing_about_events(error):
                    raise
                if len(batch) > 1:
                    size = _narrowed(batch, error)
                    continue
                await self._try_again_or_give_up(batch[0], until, error)
                size = self._batch_limit(events)
            if is_rest:
                return
            done += len(batch)

    def _batch_limit(self, events: Sequence[StoredEvent]) -> int:
        """Return how many events of a page one transaction applies."""
        return len(events)

    async def _write(self, events: Sequence[StoredEvent], until: int) -> None:
        conflicts = 0
        while True:
            try:
                await self._write_once(events, until)
            except ProjectionConflictError:
                # Another partition had the same row; after some time the others have their turn.
                conflicts += 1
                if conflicts == _MOST_CONFLICTS:
                    raise
            else:
                return

    async def _write_once(self, events: Sequence[StoredEvent], until: int) -> None:
        try:
            await self._transact(events, until)
        except _RowsAheadError:
            _logger.warning(
                "%s: rows are ahead of position %d; events they have had are left out",
                self._name,
                self.lease.position,
            )
            await self._transact(events, until, one_by_one=True)

    async def _transact(
        self, events: Sequence[StoredEvent], until: int, *, one_by_one: bool = False
    ) -> None:
        """Apply events and move the checkpoint, in one transaction."""
        store = self.projection.store
        async with store.unit_of_work():
            if self._held and events:
                events = await self._park_held(events)
            if one_by_one:
                await self.projection.apply_one_by_one(events)
            # Partitions may share rows, and then do not come to them in the order of positions.
            elif await self.projection.apply(events, guarded=self._partitions == 1):
                raise _RowsAheadError
            lease = await self._advance(until)
        self.lease = lease

    async def _advance(self, until: int) -> CheckpointLease:
        """Move the checkpoint in the current unit of work, and tell those who wait for it."""
        lease = await self.projection.store.checkpoints.advance(self.lease, until)
        if self._settings.wake_up is not None:
            announce_after_commit(self._settings.wake_up, projection_topic(self.projection.name))
        return lease

    async def _park_held(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Park events of streams that have a parked one, and return the others."""
        store, key = self.projection.store, self.lease.key
        # Locked, so that an operator who retries a stream sees all of it, or it is free by then.
        await store.checkpoints.lock(key)
        self._held = await store.parked_events.held_streams(key)
        free = []
        for event in events:
            if event.stream in self._held:
                await store.parked_events.park(key, event, None)
            else:
                free.append(event)
        return free

    async def _try_again_or_give_up(self, event: StoredEvent, until: int, error: Exception) -> None:
        self._attempts += 1
        if self._attempts < self._settings.attempts:
            raise error
        await self._give_up(event, until, error)
        self._attempts = 0

    async def _give_up(self, event: StoredEvent, until: int, error: Exception) -> None:
        store = self.projection.store
        if self._policy is ErrorPolicy.HALT:
            await store.checkpoints.halt(self.lease, _described(error))
            self.is_over = True
            _logger.error("%s is halted at position %d", self._name, self.lease.position)
            raise error
        async with store.unit_of_work():
            if self._policy is ErrorPolicy.PARK:
                await store.parked_events.park(self.lease.key, event, _described(error))
            lease = await self._advance(until)
        self.lease = lease
        self._note_given_up(event, error)

    def _note_given_up(self, event: StoredEvent, error: Exception) -> None:
        self.last_error = _described(error)
        if self._policy is ErrorPolicy.PARK:
            self._held.add(event.stream)
            verb = "parked, and later events of its stream wait"
        else:
            self.skipped += 1
            verb = "skipped"
        _logger.error(
            "%s: %s at position %d is %s",
            self._name,
            event.event_type,
            event.position,
            verb,
            exc_info=error,
        )

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self._failures_in_a_row += 1
        self.last_error = _described(error)
        delay = self._settings.backoff.delay(self._failures_in_a_row)
        self._due_at = monotonic() + delay
        asyncio.get_running_loop().call_later(delay, self._settings.wake)
        trace = None if is_transient(error) else error
        _logger.warning("%s failed: %s", self._name, self.last_error, exc_info=trace)

    @property
    def _name(self) -> str:
        projection, version, partition = self.lease.key
        return f"projection {projection} version {version} partition {partition}"


class _RowsAheadError(Exception):
    """Rows have had some of the events: the checkpoint was moved back."""


def _says_nothing_about_events(error: Exception) -> bool:
    return isinstance(error, CheckpointLostError) or is_transient(error)


def _narrowed(batch: Sequence[StoredEvent], error: Exception) -> int:
    """Return how many events of a batch that failed to try next."""
    if isinstance(error, ProjectorError):
        before = sum(event.position < error.position for event in batch)
        return max(before, 1)
    return len(batch) // 2


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
