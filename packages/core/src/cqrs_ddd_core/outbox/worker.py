"""The relay: publishes the outbox beside the requests."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.background.polling import PollingLoop
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cqrs_ddd_core.outbox.service import OutboxService
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["OutboxWorker"]

_PURGE_EVERY: Final = 60.0
#: Whoever owns this partition purges, so that several workers do not delete the same rows.
_PURGING_PARTITION: Final = 0


class OutboxWorker(PollingLoop):
    """Publishes messages as they come, batch after batch without a pause while there are any.

    Wake it after a commit with ``trigger()``, with ``TriggerMiddleware`` or through ``IWakeUp``:
    messages then leave at once, and polling is only for what a crash left behind.

    Args:
        service: Publishes the batches.
        batch_size: How many messages are published and not yet marked at most.
        poll_interval: Seconds until it looks again when nobody wakes it.
        backoff: How long to wait, in seconds, while the broker or the database is unavailable.
        stop_timeout: Seconds the batch under way may take to finish after ``stop``.
        retention: How long published messages are kept; for ever when not given. They are looked
            for once a minute.
    """

    def __init__(
        self,
        service: OutboxService,
        *,
        batch_size: int = 500,
        poll_interval: float = 1.0,
        backoff: ExponentialBackoff | None = None,
        stop_timeout: float = 30.0,
        retention: timedelta | None = None,
    ) -> None:
        if batch_size < 1 or (retention is not None and retention < timedelta(0)):
            msg = "an outbox worker needs batch_size >= 1 and a retention that is not negative"
            raise ConfigurationError(msg)
        super().__init__(
            self._work_off,
            name="outbox",
            poll_interval=poll_interval,
            backoff=backoff,
            stop_timeout=stop_timeout,
        )
        self._service = service
        self._batch_size = batch_size
        self._retention = retention
        self._purge_at = monotonic()

    async def stop(self) -> None:
        """Finish the batch under way and let other relays have the partitions."""
        await super().stop()
        await self._service.release()

    async def _work_off(self) -> int:
        done = await self._service.drain(self._batch_size, is_stopping=self._stopping.is_set)
        if self._retention is not None and self._is_time_to_purge():
            await self._service.purge_published(self._retention)
            # Not before: a purge that failed is repeated at the next run.
            self._purge_at = monotonic() + _PURGE_EVERY
        return done

    def _is_time_to_purge(self) -> bool:
        owned = self._service.partitions
        is_mine = any(lease.number == _PURGING_PARTITION for lease in owned)
        return is_mine and monotonic() >= self._purge_at
