"""The relay: what transactions left in the outbox goes to where it belongs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.background import WorkerState
from cqrs_ddd_core.outbox import OutboxService, OutboxWorker
from cqrs_ddd_core.ports.wake_up import OUTBOX_TOPIC
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_infrastructure_messaging.parked import ParkedMessages

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_core.ports.outbox import IOutboxStorage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher
    from cqrs_ddd_core.ports.wake_up import IWakeUp
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["OutboxRelay", "RelayHealth"]

_RATE_SECONDS: Final = 60.0
_A_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """How a relay and its outbox are.

    Attributes:
        state: What the relay is doing.
        pending: Messages of the whole outbox that wait.
        oldest_age_seconds: How long ago the first of them occurred; 0 when none waits.
        parked: Messages that wait for an operator.
        rate: Messages this relay worked off per second, over the last minute.
        partitions: How many partitions it has.
        last_error: What the last run that raised said.
    """

    state: WorkerState
    pending: int
    oldest_age_seconds: float
    parked: int
    rate: float
    partitions: int
    last_error: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether it runs and its last run did not raise."""
        return self.state is WorkerState.RUNNING


class OutboxRelay(OutboxWorker):
    """Publishes an outbox: wakes up after commits, shares the work, purges, and tells how it is.

    Guarantee (G4): every committed message is published and confirmed, the messages of a stream
    in order. Duplicates come only after a crash, a lost lease or a lost confirmation, and then
    at most one batch. Any number of relays may run: they share the partitions fairly, and those
    of one that stops or dies are taken over. ``stop`` finishes the batch under way and gives the
    partitions back (G10). A backlog does not grow the process (G11): it holds two batches.

    Args:
        storage: The outbox.
        publisher: Where messages go; ``KindPublisher`` sends commands another way than events.
        wake_up: Wakes it after commits, in this process and others; give the same or one like it
            to the storage of those who write. It is started with the relay and not stopped.
        owner: Name of this relay in the leases, unique among all; made up when not given.
        batch_size: How many messages are published and not yet marked at most; they go out in
            halves, one of which is published while the other is marked.
        poll_interval: Seconds until it looks again when nobody wakes it.
        max_attempts: How often publishing a message is begun before a failure parks it.
        message_backoff: How long a message that failed waits, in seconds.
        backoff: How long to wait, in seconds, while the broker or the database is unavailable.
        lease_seconds: How long others leave its partitions alone when this process dies.
        publish_timeout: Seconds the broker has to confirm a batch.
        max_partitions: How many partitions it takes at most; its fair share when not given.
        retention: How long published messages are kept; for ever on ``None``.
        stop_timeout: Seconds the batch under way may take to finish after ``stop``.
        clock: Tells how old messages are.
    """

    def __init__(
        self,
        storage: IOutboxStorage,
        publisher: IMessagePublisher,
        *,
        wake_up: IWakeUp | None = None,
        owner: str | None = None,
        batch_size: int = 500,
        poll_interval: float = 1.0,
        max_attempts: int = 5,
        message_backoff: ExponentialBackoff | None = None,
        backoff: ExponentialBackoff | None = None,
        lease_seconds: float = 30.0,
        publish_timeout: float = 30.0,
        max_partitions: int | None = None,
        retention: timedelta | None = _A_WEEK,
        stop_timeout: float = 30.0,
        clock: IClock | None = None,
    ) -> None:
        service = OutboxService(
            storage,
            publisher,
            owner=owner,
            max_attempts=max_attempts,
            backoff=message_backoff,
            lease_seconds=lease_seconds,
            publish_timeout=publish_timeout,
            max_partitions=max_partitions,
            clock=clock,
        )
        super().__init__(
            service,
            batch_size=batch_size,
            poll_interval=poll_interval,
            backoff=backoff,
            stop_timeout=stop_timeout,
            retention=retention,
        )
        self._storage = storage
        self._wake_up_port = wake_up
        self._stop_listening: Callable[[], None] | None = None
        self._rate = _Rate()
        self._now = (clock or SystemClock()).now

    @property
    def parked(self) -> ParkedMessages:
        """The messages it gave up, for an operator."""
        return ParkedMessages(self._storage)

    async def start(self) -> None:
        if self._wake_up_port is not None and self._stop_listening is None:
            self._stop_listening = self._wake_up_port.listen(OUTBOX_TOPIC, self.trigger)
            await self._wake_up_port.start()
        await super().start()

    async def stop(self) -> None:
        """Finish the batch under way and let other relays have the partitions."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        await super().stop()

    async def health(self) -> RelayHealth:
        """Ask the outbox and return how everything is; raises what the outbox raises."""
        backlog = await self._storage.backlog()
        age = timedelta(0) if backlog.oldest is None else self._now() - backlog.oldest
        status = self.status
        return RelayHealth(
            state=status.state,
            pending=backlog.pending,
            oldest_age_seconds=max(age.total_seconds(), 0.0),
            parked=backlog.parked,
            rate=self._rate.per_second(),
            partitions=len(self._service.partitions),
            last_error=status.last_error,
        )

    async def _work_off(self) -> int:
        done = await super()._work_off()
        self._rate.add(done)
        return done


class _Rate:
    """Counts over the last minute, in a few numbers."""

    def __init__(self) -> None:
        self._since = monotonic()
        self._seconds: deque[tuple[int, int]] = deque(maxlen=int(_RATE_SECONDS))

    def add(self, count: int) -> None:
        second = int(monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            count += self._seconds.pop()[1]
        if count:
            self._seconds.append((second, count))

    def per_second(self) -> float:
        now = monotonic()
        recent = sum(count for second, count in self._seconds if second > now - _RATE_SECONDS)
        return recent / min(max(now - self._since, 1.0), _RATE_SECONDS)
