"""Publish what the outbox holds: in order, confirmed, with an end to every failure."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

from cqrs_ddd_core.outbox.leases import PartitionLeases
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    UndeliverableError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxPartition, PendingMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome

__all__ = ["OutboxService"]

_logger = logging.getLogger(__name__)

_PURGE_CHUNK: Final = 10_000
_DRAIN_SECONDS: Final = 3.0

_Stream: TypeAlias = tuple[str, str]


class OutboxService:
    """Publishes outbox messages; any number of services may share one outbox.

    Guarantee (G4): a message is marked as published after the broker has confirmed it; the
    messages of one stream are published in order; duplicates come only from a crash, a lost
    lease or a lost confirmation. A message that fails holds back its own stream, is tried again
    after growing waits, and is parked with its error after ``max_attempts``, at once after an
    ``UndeliverableError`` (G9). While the broker is unavailable nothing is parked.

    Args:
        storage: The outbox.
        publisher: Where messages go.
        owner: Name of this service in the leases, unique among all; made up when not given.
        max_attempts: How often publishing a message is begun before a failure parks it.
        backoff: How long a message that failed waits, in seconds.
        lease_seconds: How long others leave the partitions alone when this process dies. The
            leases are renewed while a batch is under way.
        publish_timeout: Seconds a broker has to confirm a batch.
        max_partitions: How many partitions it takes at most; all services share them fairly
            without it.
        clock: Tells how old published messages are.
    """

    def __init__(
        self,
        storage: IOutboxStorage,
        publisher: IMessagePublisher,
        *,
        owner: str | None = None,
        max_attempts: int = 5,
        backoff: ExponentialBackoff | None = None,
        lease_seconds: float = 30.0,
        publish_timeout: float = 30.0,
        max_partitions: int | None = None,
        clock: IClock | None = None,
    ) -> None:
        if max_attempts < 1 or lease_seconds <= 0 or publish_timeout <= 0:
            msg = (
                "an outbox service needs max_attempts >= 1, lease_seconds > 0 and "
                "publish_timeout > 0"
            )
            raise ConfigurationError(msg)
        self._storage = storage
        self._publisher = publisher
        self._owner = owner or str(new_id())
        self._leases = PartitionLeases(
            storage, self._owner, seconds=lease_seconds, limit=max_partitions
        )
        self._max_attempts = max_attempts
        self._backoff = backoff or ExponentialBackoff(initial=1.0, maximum=300.0)
        self._publish_timeout = publish_timeout
        self._clock = clock or SystemClock()
        self._one_batch = asyncio.Lock()
        self._marking: asyncio.Task[None] | None = None
        self._unmarked: list[int] = []

    async def process_batch(self, batch_size: int = 100) -> int:
        """Publish up to so many due messages, once others of this service are done.

        Returns:
            How many messages were due, whether their publication succeeded or not.

        Raises:
            BrokerUnavailableError: Some stay pending because the broker did not answer.
        """
        async with self._one_batch:
            leases = await self._leases.take()
            claimed = await self._storage.claim_pending(leases, limit=batch_size)
            if claimed:
                async with self._all_marked():
                    await self._process(leases, claimed, _nothing())
            return len(claimed)

    async def drain(
        self, batch_size: int = 500, *, is_stopping: Callable[[], bool] = lambda: False
    ) -> int:
        """Publish due messages, half a batch after the other.

        While one half is published, the one before it is marked and the next one is read.

        It ends when nothing is due, and after about three seconds at the latest: then messages
        whose wait is over get their turn, and other services their share of the partitions.

        Args:
            batch_size: How many messages are published and not yet marked at most; as many may
                be published twice after a crash.
            is_stopping: Whether to begin no further batch.

        Returns:
            How many messages were due.

        Raises:
            BrokerUnavailableError: Some stay pending because the broker did not answer.
        """
        async with self._one_batch:
            leases = await self._leases.take()
            half = max(batch_size // 2, 1)
            claimed = await self._storage.claim_pending(leases, limit=half)
            until, done = monotonic() + _DRAIN_SECONDS, 0
            async with self._all_marked():
                while claimed:
                    goes_on = len(claimed) == half and not (
                        monotonic() > until or self._leases.is_due or is_stopping()
                    )
                    ahead = self._claim_behind(leases, claimed) if goes_on else _nothing()
                    done += len(claimed)
                    claimed = await self._process(leases, claimed, ahead)
                    if half == batch_size:
                        # One message has no halves.
                        await self._finish_marking()
                    if claimed and is_stopping():
                        await self._give_back(leases, claimed)
                        break
            return done

    @property
    def partitions(self) -> Sequence[OutboxPartition]:
        """The partitions it has, as far as it knows."""
        return self._leases.owned

    async def release(self) -> None:
        """Give the partitions back, so that another service need not wait for the leases."""
        await self._leases.release()

    async def purge_published(self, older_than: timedelta) -> int:
        """Delete all messages published longer ago than that, chunk by chunk; return how many."""
        before = self._clock.now() - older_than
        purged = 0
        while chunk := await self._storage.purge_published(before, limit=_PURGE_CHUNK):
            purged += chunk
        return purged

    async def _claim_behind(
        self, leases: Sequence[OutboxPartition], claimed: Sequence[PendingMessage]
    ) -> list[PendingMessage]:
        under_way = [*self._unmarked, *(item.sequence for item in claimed)]
        return await self._storage.claim_pending(leases, limit=len(claimed), excluding=under_way)

    async def _process(
        self,
        leases: Sequence[OutboxPartition],
        claimed: Sequence[PendingMessage],
        claiming: Awaitable[list[PendingMessage]],
    ) -> list[PendingMessage]:
        """Publish a batch and begin to mark it; return what was claimed meanwhile and may go on."""
        outcomes, following = await asyncio.gather(
            self._publish(claimed), claiming, return_exceptions=True
        )
        if isinstance(outcomes, BaseException):
            raise outcomes
        batch = _Batch(claimed, outcomes)
        await self._finish_marking()
        self._unmarked = batch.confirmed()
        self._marking = asyncio.create_task(self._mark_published(leases, batch))
        for item, failure in batch.failures():
            await self._note_failure(leases, item, failure)
        if isinstance(following, BaseException):
            raise following
        return await self._go_on(leases, batch, following)

    async def _publish(self, claimed: Sequence[PendingMessage]) -> Sequence[PublishOutcome]:
        """Publish within the leases: later, a new owner might be ahead of these messages."""
        try:
            async with self._leases.kept(), asyncio.timeout(self._publish_timeout):
                return await self._publisher.publish([item.message for item in claimed])
        except BrokerUnavailableError as error:
            return [error] * len(claimed)
        except TimeoutError:
            msg = f"the broker did not confirm {len(claimed)} messages in time"
            return [BrokerUnavailableError(msg)] * len(claimed)

    @asynccontextmanager
    async def _all_marked(self) -> AsyncIterator[None]:
        """Wait at the end until what was published in the block is marked."""
        try:
            yield
        except asyncio.CancelledError:
            # It may wait for a database that is gone.
            if self._marking is not None:
                self._marking.cancel()
            raise
        finally:
            await self._finish_marking()

    async def _finish_marking(self) -> None:
        marking, self._marking = self._marking, None
        try:
            if marking is not None:
                await marking
        finally:
            self._unmarked = []

    async def _mark_published(self, leases: Sequence[OutboxPartition], batch: _Batch) -> None:
        confirmed = batch.confirmed()
        if not confirmed:
            return
        marked = await self._storage.mark_published(leases, confirmed)
        if marked < len(confirmed):
            self._leases.forget()
            _logger.warning(
                "outbox owner %s lost leases: %d of %d messages will be published again",
                self._owner,
                len(confirmed) - marked,
                len(confirmed),
            )

    async def _go_on(
        self,
        leases: Sequence[OutboxPartition],
        batch: _Batch,
        following: Sequence[PendingMessage],
    ) -> list[PendingMessage]:
        """Return what follows except what a failure holds back; that has not been tried."""
        unavailable = batch.unavailable()
        held = [i for i in following if unavailable is not None or batch.holds_back(i)]
        await self._give_back(leases, [*batch.untried(), *held])
        if unavailable is not None:
            raise unavailable
        return [item for item in following if not batch.holds_back(item)]

    async def _give_back(
        self, leases: Sequence[OutboxPartition], untried: Sequence[PendingMessage]
    ) -> None:
        if untried:
            await self._storage.return_claimed(leases, [item.sequence for item in untried])

    async def _note_failure(
        self, leases: Sequence[OutboxPartition], item: PendingMessage, failure: Exception
    ) -> None:
        gives_up = item.attempts >= self._max_attempts or isinstance(failure, UndeliverableError)
        retry_in = None if gives_up else self._backoff.delay(item.attempts)
        _logger.log(
            logging.ERROR if gives_up else logging.WARNING,
            "outbox message %s (%s) failed, attempt %d of %d, %s: %r",
            item.message.message_id,
            item.message.message_type,
            item.attempts,
            self._max_attempts,
            "parked" if retry_in is None else f"next in {retry_in:.1f} s",
            failure,
        )
        error = f"{type(failure).__name__}: {failure}"
        await self._storage.mark_failed(leases, item.sequence, error=error, retry_in=retry_in)


class _Batch:
    """What became of the messages of one batch."""

    def __init__(
        self, claimed: Sequence[PendingMessage], outcomes: Sequence[PublishOutcome]
    ) -> None:
        self._outcomes = list(zip(claimed, outcomes, strict=True))
        self._failed: dict[_Stream, tuple[PendingMessage, Exception]] = {}
        for item, outcome in self._outcomes:
            if outcome is not None:
                # Those behind it in its stream share its outcome, but were not sent.
                self._failed.setdefault(_stream_of(item), (item, outcome))

    def confirmed(self) -> list[int]:
        return [item.sequence for item, outcome in self._outcomes if outcome is None]

    def failures(self) -> list[tuple[PendingMessage, Exception]]:
        """The messages that failed, and not because nobody was there to take them."""
        return [one for one in self._failed.values() if not _is_unavailable(one[1])]

    def untried(self) -> list[PendingMessage]:
        """The messages whose attempt does not count."""
        failed = {item.sequence for item, _ in self.failures()}
        return [
            item
            for item, outcome in self._outcomes
            if outcome is not None and item.sequence not in failed
        ]

    def unavailable(self) -> Exception | None:
        return next((error for _, error in self._failed.values() if _is_unavailable(error)), None)

    def holds_back(self, item: PendingMessage) -> bool:
        return _stream_of(item) in self._failed


def _stream_of(item: PendingMessage) -> _Stream:
    return item.message.tenant_id, item.message.stream


def _is_unavailable(error: Exception) -> bool:
    return isinstance(error, BrokerUnavailableError)


async def _nothing() -> list[PendingMessage]:
    return []
