"""The outbox port: messages that leave the system exactly when their transaction commits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cqrs_ddd_core.primitives.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

__all__ = [
    "IOutboxStorage",
    "MessageKind",
    "OutboxBacklog",
    "OutboxMessage",
    "OutboxPartition",
    "OutboxStatus",
    "PendingMessage",
    "partition_of",
    "partition_quota",
]


class MessageKind(StrEnum):
    """What an outbox message is to its receiver."""

    EVENT = "event"
    COMMAND = "command"


class OutboxStatus(StrEnum):
    """Where an outbox message is on its way."""

    PENDING = "pending"
    PUBLISHED = "published"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to be published after the commit of the transaction that wrote it.

    Attributes:
        message_id: The receiver's idempotency key; an event's own id, or a deterministic one.
        kind: Event or command.
        message_type: Registered type name.
        payload: JSON object as UTF-8 bytes.
        stream: Messages of one stream are published in the order they were saved, and a failing
            one holds back those behind it. ``Order-o1`` for an aggregate's events.
        occurred_at: Aware UTC.
        headers: Open keys with JSON values that travel beside the payload.
    """

    message_id: UUID
    kind: MessageKind
    message_type: str
    payload: bytes
    stream: str
    occurred_at: datetime = field(default_factory=utc_now)
    schema_version: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    tenant_id: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)


class PendingMessage(NamedTuple):
    """An outbox message with its place in the queue.

    Attributes:
        sequence: Order in which messages were saved; increasing within a stream.
        attempts: How often publishing was begun, this time included.
    """

    sequence: int
    partition: int
    attempts: int
    status: OutboxStatus
    error: str | None
    message: OutboxMessage


class OutboxPartition(NamedTuple):
    """The right to publish one partition until the lease ends; the epoch fences former owners."""

    number: int
    epoch: int


class OutboxBacklog(NamedTuple):
    """How much waits in an outbox.

    Attributes:
        pending: Messages neither published nor parked.
        parked: Messages given up, until an operator decides.
        oldest: When the first pending one occurred, aware UTC; ``None`` if none is pending.
    """

    pending: int
    parked: int
    oldest: datetime | None


def partition_of(stream: str, partitions: int) -> int:
    """Return the partition of a stream: stable over processes and versions."""
    return int.from_bytes(blake2b(stream.encode(), digest_size=4).digest(), "big") % partitions


def partition_quota(
    owner: str, *, held: Mapping[str, int], wants: Mapping[str, int], partitions: int
) -> int:
    """Return how many partitions an owner may have: as many as it wants, or its fair share.

    Its fair share while another owner has less than its own; so nothing lies idle because of an
    owner that wants little.

    Args:
        owner: One of those in ``wants``.
        held: How many partitions each owner has now.
        wants: How many each owner that is there would take.
        partitions: How many there are.
    """
    owners = sorted(held.keys() | wants.keys())
    each, rest = divmod(partitions, len(owners))
    fair = {name: each + (rank < rest) for rank, name in enumerate(owners)}
    someone_waits = any(
        held.get(other, 0) < min(wanted, fair[other])
        for other, wanted in wants.items()
        if other != owner
    )
    return min(wants[owner], fair[owner]) if someone_waits else wants[owner]


class IOutboxStorage(Protocol):
    """Messages waiting to be published, split into partitions with one owner each.

    Guarantee (G4): a saved message commits with the unit of work it was saved in; it stays
    pending until a publisher that owns its partition has marked it; the pending messages of one
    stream are handed out in order, and none of them behind an earlier one that failed: it is
    tried again alone until it is published, replayed or discarded. ``SKIP LOCKED`` over rows
    would reorder, hence leases over partitions.
    """

    @property
    @abstractmethod
    def partitions(self) -> int:
        """How many partitions there are; fixed when the tables are made."""
        ...

    @abstractmethod
    async def save_messages(self, messages: Sequence[OutboxMessage]) -> None:
        """Add messages in the current unit of work, or in a transaction of its own.

        A message id that is in the outbox already is left as it is: the same message was saved
        before.
        """
        ...

    @abstractmethod
    async def lease_partitions(
        self, owner: str, *, seconds: float, limit: int | None = None
    ) -> list[OutboxPartition]:
        """Own up to ``limit`` partitions for so many seconds, measured by the storage's clock.

        Renews those the owner has and takes free ones and those whose lease has ended, raising
        their epoch. All owners that called within their seconds share fairly: one that has more
        than its share gives partitions up as long as another has less. So call it only while
        nothing claimed is on its way to the broker.
        """
        ...

    @abstractmethod
    async def renew_partitions(
        self, leases: Collection[OutboxPartition], *, seconds: float
    ) -> list[OutboxPartition]:
        """Prolong leases and take or give up none; return those whose epoch is still current."""
        ...

    @abstractmethod
    async def release_partitions(self, owner: str) -> None:
        """Give all leases of an owner back at once."""
        ...

    @abstractmethod
    async def claim_pending(
        self,
        leases: Collection[OutboxPartition],
        *,
        limit: int = 100,
        excluding: Collection[int] = (),
    ) -> list[PendingMessage]:
        """Return due messages of leased partitions in order and count an attempt for each.

        Leases whose epoch is no longer current yield nothing.

        Args:
            leases: Of whose partitions.
            limit: How many at most.
            excluding: Sequences of claimed messages whose outcome is not known yet; those behind
                them in their streams are handed out as if they were published.
        """
        ...

    @abstractmethod
    async def return_claimed(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        """Take back the attempt of claimed messages that were not tried; return how many."""
        ...

    @abstractmethod
    async def mark_published(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        """Mark messages as published; return how many were, which is fewer if a lease was lost."""
        ...

    @abstractmethod
    async def mark_failed(
        self,
        leases: Collection[OutboxPartition],
        sequence: int,
        *,
        error: str,
        retry_in: float | None,
    ) -> bool:
        """Note a failure and try again in so many seconds, or park the message on ``None``.

        Returns:
            Whether it was noted; ``False`` if the lease was lost.
        """
        ...

    @abstractmethod
    async def list_parked(self, *, limit: int = 100, after: int = 0) -> list[PendingMessage]:
        """Return parked messages of a higher sequence with their errors, oldest first."""
        ...

    @abstractmethod
    async def edit_parked(self, sequence: int, payload: bytes) -> bool:
        """Replace the payload of a parked message; return whether it was parked."""
        ...

    @abstractmethod
    async def replay_parked(self, sequences: Collection[int]) -> int:
        """Make parked messages pending again with a fresh number of attempts."""
        ...

    @abstractmethod
    async def discard_parked(self, sequences: Collection[int]) -> int:
        """Give parked messages up; those behind them in their streams go on."""
        ...

    @abstractmethod
    async def count_pending(self) -> int:
        """Return how many messages are neither published nor parked."""
        ...

    @abstractmethod
    async def backlog(self) -> OutboxBacklog:
        """Return how much waits, and since when."""
        ...

    @abstractmethod
    async def purge_published(self, before: datetime, *, limit: int = 10_000) -> int:
        """Delete messages published before an aware UTC time; return how many."""
        ...
