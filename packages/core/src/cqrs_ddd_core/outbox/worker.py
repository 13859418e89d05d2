"""The relay: publishes the outbox beside the requests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.background.polling import PollingLoop

if TYPE_CHECKING:
    from cqrs_ddd_core.outbox.service import OutboxService
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["OutboxWorker"]


class OutboxWorker(PollingLoop):
    """Publishes messages as they come, batch after batch without a pause while there are any.

    Wake it after a commit with ``trigger()``, or with ``TriggerMiddleware``: messages then leave
    at once, and polling is only for what a crash left behind.

    Args:
        service: Publishes the batches.
        batch_size: How many messages a batch holds at most.
        poll_interval: Seconds until it looks again when nobody wakes it.
        backoff: How long to wait, in seconds, while the broker or the database is unavailable.
        stop_timeout: Seconds the batch under way may take to finish after ``stop``.
    """

    def __init__(
        self,
        service: OutboxService,
        *,
        batch_size: int = 100,
        poll_interval: float = 1.0,
        backoff: ExponentialBackoff | None = None,
        stop_timeout: float = 30.0,
    ) -> None:
        super().__init__(
            partial(service.process_batch, batch_size),
            name="outbox",
            poll_interval=poll_interval,
            backoff=backoff,
            stop_timeout=stop_timeout,
        )
        self._service = service

    async def stop(self) -> None:
        """Finish the batch under way and let other relays have the partitions."""
        await super().stop()
        await self._service.release()
