"""Publish what the outbox holds: in order, confirmed, with an end to every failure."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxPartition, PendingMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome

__all__ = ["OutboxService"]

_logger = logging.getLogger(__name__)

_PURGE_CHUNK = 10_000


class OutboxService:
    """Publishes outbox messages; any number of services may share one outbox.

    Guarantee (G4): a message is marked as published after the broker has confirmed it; the
    messages of one stream are published in order; duplicates come only from a crash, a lost
    lease or a lost confirmation. A message that fails holds back its own stream, is tried again
    after growing waits, and is parked with its error after ``max_attempts`` (G9). While the
    broker is unavailable nothing is parked.

    Args:
        storage: The outbox.
        publisher: Where messages go.
        owner: Name of this service in the leases, unique among all; made up when not given.
        max_attempts: How often publishing a message is begun before a failure parks it.
        backoff: How long a message that failed waits, in seconds.
        lease_seconds: How long others leave the partitions alone when this process dies. A
            broker has half of that to confirm a batch.
        max_partitions: How many partitions it takes; set it where several services are to share
            the work instead of standing by.
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
        max_partitions: int | None = None,
        clock: IClock | None = None,
    ) -> None:
        if max_attempts < 1 or lease_seconds <= 0:
            msg = "an outbox service needs max_attempts >= 1 and lease_seconds > 0"
            raise ConfigurationError(msg)
        self._storage = storage
        self._publisher = publisher
        self._owner = owner or str(new_id())
        self._max_attempts = max_attempts
        self._backoff = backoff or ExponentialBackoff(initial=1.0, maximum=300.0)
        self._lease_seconds = lease_seconds
        self._max_partitions = max_partitions
        self._clock = clock or SystemClock()
        self._one_batch = asyncio.Lock()

    async def process_batch(self, batch_size: int = 100) -> int:
        """Publish up to so many due messages, once others of this service are done.

        Returns:
            How many messages were due, whether their publication succeeded or not.

        Raises:
            BrokerUnavailableError: Some stay pending because the broker did not answer.
        """
        async with self._one_batch:
            leases = await self._storage.lease_partitions(
                self._owner, seconds=self._lease_seconds, limit=self._max_partitions
            )
            claimed = await self._storage.claim_pending(leases, limit=batch_size)
            if claimed:
                outcomes = await self._publish(claimed)
                await self._mark_published(leases, claimed, outcomes)
                await self._mark_failed(leases, claimed, outcomes)
            return len(claimed)

    async def release(self) -> None:
        """Give the partitions back, so that another service need not wait for the leases."""
        await self._storage.release_partitions(self._owner)

    async def purge_published(self, older_than: timedelta) -> int:
        """Delete all messages published longer ago than that; return how many."""
        before = self._clock.now() - older_than
        purged = 0
        while chunk := await self._storage.purge_published(before, limit=_PURGE_CHUNK):
            purged += chunk
        return purged

    async def _publish(self, claimed: Sequence[PendingMessage]) -> Sequence[PublishOutcome]:
        seconds = self._lease_seconds / 2
        try:
            # Longer, and a new owner of the partitions might publish later messages before these.
            async with asyncio.timeout(seconds):
                return await self._publisher.publish([item.message for item in claimed])
        except TimeoutError as error:
            msg = f"the broker did not confirm {len(claimed)} messages within {seconds:g} s"
            raise BrokerUnavailableError(msg) from error

    async def _mark_published(
        self,
        leases: Sequence[OutboxPartition],
        claimed: Sequence[PendingMessage],
        outcomes: Sequence[PublishOutcome],
    ) -> None:
        confirmed = [
            item.sequence
            for item, outcome in zip(claimed, outcomes, strict=True)
            if outcome is None
        ]
        if not confirmed:
            return
        marked = await self._storage.mark_published(leases, confirmed)
        if marked < len(confirmed):
            _logger.warning(
                "outbox owner %s lost leases: %d of %d messages will be published again",
                self._owner,
                len(confirmed) - marked,
                len(confirmed),
            )

    async def _mark_failed(
        self,
        leases: Sequence[OutboxPartition],
        claimed: Sequence[PendingMessage],
        outcomes: Sequence[PublishOutcome],
    ) -> None:
        unavailable: BrokerUnavailableError | None = None
        failed: set[tuple[str, str]] = set()
        for item, outcome in zip(claimed, outcomes, strict=True):
            stream = item.message.tenant_id, item.message.stream
            if isinstance(outcome, BrokerUnavailableError):
                unavailable = outcome
            elif outcome is not None and stream not in failed:
                # Those behind it in its stream share its outcome, but were not sent.
                failed.add(stream)
                await self._note_failure(leases, item, outcome)
        if unavailable is not None:
            raise unavailable

    async def _note_failure(
        self, leases: Sequence[OutboxPartition], item: PendingMessage, failure: Exception
    ) -> None:
        gives_up = item.attempts >= self._max_attempts
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
