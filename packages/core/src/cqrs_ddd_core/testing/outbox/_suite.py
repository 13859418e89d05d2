"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    OutboxMessage,
    OutboxPartition,
    PendingMessage,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = [
    "OutboxSubject",
    "OutboxSuite",
    "by_stream",
    "claim_all",
    "ids_of",
    "park_first",
    "publish_all",
    "saved_by_stream",
    "sequence_of",
    "sequences_of",
]


@dataclass(frozen=True)
class OutboxSubject:
    """An empty outbox with at least four partitions, and the units of work of its database.

    Attributes:
        pass_time: Lets so many seconds pass on the storage's clock; it really waits unless given.
    """

    storage: IOutboxStorage
    unit_of_work: UnitOfWorkFactory
    pass_time: Callable[[float], Awaitable[None]] = asyncio.sleep


class OutboxSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> OutboxSubject:
        raise NotImplementedError("yield an OutboxSubject with an empty outbox")

    @pytest.fixture
    def storage(self, subject: OutboxSubject) -> IOutboxStorage:
        return subject.storage


async def claim_all(storage: IOutboxStorage, *, limit: int = 100) -> list[PendingMessage]:
    leases = await storage.lease_partitions("suite", seconds=60)
    return await storage.claim_pending(leases, limit=limit)


async def publish_all(storage: IOutboxStorage) -> None:
    leases = await storage.lease_partitions("suite", seconds=60)
    claimed = await storage.claim_pending(leases)
    await storage.mark_published(leases, [item.sequence for item in claimed])
    await storage.release_partitions("suite")


async def park_first(
    storage: IOutboxStorage, messages: Sequence[OutboxMessage]
) -> list[OutboxPartition]:
    await storage.save_messages(messages)
    leases = await storage.lease_partitions("one", seconds=60)
    claimed = await storage.claim_pending(leases)
    sequence = sequence_of(claimed, messages[0])
    assert await storage.mark_failed(leases, sequence, error="refused", retry_in=None)
    return leases


def sequence_of(claimed: Sequence[PendingMessage], message: OutboxMessage) -> int:
    return next(item.sequence for item in claimed if item.message == message)


def sequences_of(items: Sequence[PendingMessage]) -> list[int]:
    return [item.sequence for item in items]


def ids_of(items: Sequence[PendingMessage]) -> list[UUID]:
    return [item.message.message_id for item in items]


def by_stream(items: Sequence[PendingMessage]) -> dict[str, list[UUID]]:
    return saved_by_stream([item.message for item in items])


def saved_by_stream(messages: Sequence[OutboxMessage]) -> dict[str, list[UUID]]:
    streams: dict[str, list[UUID]] = {}
    for message in messages:
        streams.setdefault(message.stream, []).append(message.message_id)
    return streams
