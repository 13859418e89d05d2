"""The inbox in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import InboxError, UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

__all__ = ["InMemoryInbox"]

_Key: TypeAlias = tuple[str, str, UUID]


class InMemoryInbox(IInbox):
    """Remembers handled messages in memory.

    Args:
        database: Shared with the adapters the handlers write to; it has to be, for the mark and
            the effect to wait for each other.
        clock: Tells when messages are received.
    """

    def __init__(
        self, database: InMemoryDatabase | None = None, *, clock: IClock | None = None
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._clock = clock or SystemClock()
        self._entries: Table[_Key, InboxEntry] = Table()
        self._places: Table[tuple[str, str, str], int] = Table()

    async def receive(self, consumer: str, message_id: UUID) -> InboxEntry | None:
        _require_unit_of_work()
        async with write_transaction(self._database) as transaction:
            key = _key(consumer, message_id)
            known = self._entries.get(key, transaction)
            if known is None:
                self._entries.put(key, InboxEntry(self._clock.now()), transaction)
            return known

    async def receive_many(self, consumer: str, message_ids: Collection[UUID]) -> set[UUID]:
        _require_unit_of_work()
        ids = set(message_ids)
        return {one for one in ids if await self.receive(consumer, one) is not None}

    async def advance(
        self, consumer: str, stream: str, version: int, *, after: int = 0
    ) -> int | None:
        _require_unit_of_work()
        async with write_transaction(self._database) as transaction:
            key = get_context().tenant_id, consumer, stream
            place = self._places.get(key, transaction) or 0
            if not after <= place < version:
                return place
            self._places.put(key, version, transaction)
            return None

    async def record_outcome(self, consumer: str, message_id: UUID, outcome: bytes) -> None:
        async with write_transaction(self._database) as transaction:
            key = _key(consumer, message_id)
            entry = self._entries.get(key, transaction)
            if entry is None or not self._entries.was_changed(key, transaction):
                msg = f"message {message_id} was not received by {consumer!r} in this unit of work"
                raise InboxError(msg)
            self._entries.put(key, InboxEntry(entry.received_at, outcome), transaction)

    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        async with write_transaction(self._database) as transaction:
            entries = self._entries.items(transaction)
            old = [key for key, entry in entries if entry.received_at < before][:limit]
            for key in old:
                self._entries.delete(key, transaction)
            return len(old)


def _require_unit_of_work() -> None:
    if get_current_uow() is None:
        msg = "a message is received in a unit of work, so that mark and effect commit together"
        raise UnitOfWorkError(msg)


def _key(consumer: str, message_id: UUID) -> _Key:
    return get_context().tenant_id, consumer, message_id
