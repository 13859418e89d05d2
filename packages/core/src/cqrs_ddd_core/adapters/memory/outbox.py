"""The outbox in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, islice
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    OutboxBacklog,
    OutboxMessage,
    OutboxPartition,
    OutboxStatus,
    PendingMessage,
    partition_of,
    partition_quota,
)
from cqrs_ddd_core.ports.wake_up import OUTBOX_TOPIC, IWakeUp, announce_after_commit
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from cqrs_ddd_core.adapters.memory.database import Transaction

__all__ = ["InMemoryOutboxStorage"]

_MessageKey: TypeAlias = tuple[str, UUID]


@dataclass(frozen=True, slots=True)
class _Row:
    sequence: int
    partition: int
    message: OutboxMessage
    attempts: int = 0
    status: OutboxStatus = OutboxStatus.PENDING
    error: str | None = None
    #: When it is tried again; only a message that failed has such a time.
    due_at: datetime | None = None

    @property
    def key(self) -> _MessageKey:
        return self.message.tenant_id, self.message.message_id

    @property
    def stream(self) -> tuple[str, str]:
        return self.message.tenant_id, self.message.stream

    def to_pending(self) -> PendingMessage:
        return PendingMessage(
            self.sequence, self.partition, self.attempts, self.status, self.error, self.message
        )


@dataclass(frozen=True, slots=True)
class _Lease:
    owner: str
    epoch: int
    until: datetime


@dataclass(frozen=True, slots=True)
class _Presence:
    """An owner that is there, whether it has partitions or not."""

    wants: int
    until: datetime


class InMemoryOutboxStorage(IOutboxStorage):
    """Keeps messages until they are published, and every promise of the port.

    Args:
        database: Shared with the adapters whose transactions the messages belong to.
        partitions: How many relays can share the work at most.
        clock: Measures leases and waiting times.
        wake_up: Told after the commit that there is something to publish.
    """

    def __init__(
        self,
        database: InMemoryDatabase | None = None,
        *,
        partitions: int = 16,
        clock: IClock | None = None,
        wake_up: IWakeUp | None = None,
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._partitions = partitions
        self._clock = clock or SystemClock()
        self._wake_up = wake_up
        self._next_sequence = count(1).__next__
        self._ids: Table[_MessageKey, int] = Table()
        # Pending and parked rows stand apart from published ones: looking for work costs no more
        # when much was published.
        self._open: Table[int, _Row] = Table()
        self._published: Table[int, tuple[_Row, datetime]] = Table()
        self._leases: Table[int, _Lease] = Table()
        self._owners: Table[str, _Presence] = Table()

    @property
    def partitions(self) -> int:
        return self._partitions

    async def save_messages(self, messages: Sequence[OutboxMessage]) -> None:
        if not messages:
            return
        async with write_transaction(self._database) as transaction:
            for message in messages:
                self._save(message, transaction)
        self._announce()

    def _announce(self) -> None:
        if self._wake_up is not None:
            announce_after_commit(self._wake_up, OUTBOX_TOPIC)

    def _save(self, message: OutboxMessage, transaction: Transaction) -> None:
        # The headers may be changed by whoever made them.
        message = replace(message, headers=dict(message.headers))
        partition = partition_of(message.stream, self._partitions)
        row = _Row(self._next_sequence(), partition, message)
        if self._ids.get(row.key, transaction) is None:
            self._ids.put(row.key, row.sequence, transaction)
            self._open.put(row.sequence, row, transaction)

    async def lease_partitions(
        self, owner: str, *, seconds: float, limit: int | None = None
    ) -> list[OutboxPartition]:
        now = self._clock.now()
        until = now + timedelta(seconds=seconds)
        wants = self._partitions if limit is None else limit
        async with write_transaction(self._database) as transaction:
            self._owners.put(owner, _Presence(wants, until), transaction)
            quota = self._quota(owner, now, transaction)
            leases = dict(self._leases.items(transaction))
            own = [n for n, lease in leases.items() if lease.owner == owner and lease.until > now]
            free = [n for n in range(self._partitions) if _is_free(leases.get(n), now)]
            taken = [OutboxPartition(n, leases[n].epoch) for n in own[:quota]]
            taken += [
                OutboxPartition(n, leases[n].epoch + 1 if n in leases else 1)
                for n in free[: quota - len(taken)]
            ]
            for number, epoch in taken:
                self._leases.put(number, _Lease(owner, epoch, until), transaction)
            for number in own[quota:]:
                self._free(number, leases[number], transaction)
            return taken

    def _quota(self, owner: str, now: datetime, transaction: Transaction) -> int:
        owners = self._owners.items(transaction)
        leases = self._leases.items(transaction)
        return partition_quota(
            owner,
            held=Counter(lease.owner for _, lease in leases if lease.until > now),
            wants={name: one.wants for name, one in owners if one.until > now},
            partitions=self._partitions,
        )

    async def renew_partitions(
        self, leases: Collection[OutboxPartition], *, seconds: float
    ) -> list[OutboxPartition]:
        until = self._clock.now() + timedelta(seconds=seconds)
        async with write_transaction(self._database) as transaction:
            owned = self._owned(leases, transaction)
            for number in owned:
                lease = self._leases.get(number, transaction)
                if lease is not None:
                    self._leases.put(number, replace(lease, until=until), transaction)
            return [lease for lease in leases if lease.number in owned]

    async def release_partitions(self, owner: str) -> None:
        async with write_transaction(self._database) as transaction:
            self._owners.delete(owner, transaction)
            for number, lease in list(self._leases.items(transaction)):
                if lease.owner == owner:
                    self._free(number, lease, transaction)

    def _free(self, number: int, lease: _Lease, transaction: Transaction) -> None:
        # The row stays, for its epoch must only ever grow.
        freed = replace(lease, owner="", until=self._clock.now())
        self._leases.put(number, freed, transaction)

    async def claim_pending(
        self,
        leases: Collection[OutboxPartition],
        *,
        limit: int = 100,
        excluding: Collection[int] = (),
    ) -> list[PendingMessage]:
        async with write_transaction(self._database) as transaction:
            owned, excluded = self._owned(leases, transaction), frozenset(excluding)
            claimed = [
                replace(row, attempts=row.attempts + 1)
                for row in islice(self._due(owned, excluded, transaction), limit)
            ]
            for row in claimed:
                self._open.put(row.sequence, row, transaction)
            return [row.to_pending() for row in claimed]

    def _due(
        self, partitions: set[int], excluded: Collection[int], transaction: Transaction
    ) -> Iterator[_Row]:
        now = self._clock.now()
        held: set[tuple[str, str]] = set()
        for _, row in self._open.items(transaction):
            if row.partition not in partitions or row.stream in held:
                continue
            if row.due_at is not None:
                held.add(row.stream)
            is_due = row.due_at is None or row.due_at <= now
            if is_due and row.status is OutboxStatus.PENDING and row.sequence not in excluded:
                yield row

    def _owned(self, leases: Collection[OutboxPartition], transaction: Transaction) -> set[int]:
        return {
            number
            for number, epoch in leases
            if (lease := self._leases.get(number, transaction)) is not None
            and lease.owner
            and lease.epoch == epoch
        }

    async def return_claimed(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        async with write_transaction(self._database) as transaction:
            rows = self._owned_rows(leases, sequences, transaction)
            for row in rows:
                returned = replace(row, attempts=max(row.attempts - 1, 0))
                self._open.put(row.sequence, returned, transaction)
            return len(rows)

    async def mark_published(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        async with write_transaction(self._database) as transaction:
            now = self._clock.now()
            rows = self._owned_rows(leases, sequences, transaction)
            for row in rows:
                self._open.delete(row.sequence, transaction)
                self._published.put(row.sequence, (row, now), transaction)
            return len(rows)

    async def mark_failed(
        self,
        leases: Collection[OutboxPartition],
        sequence: int,
        *,
        error: str,
        retry_in: float | None,
    ) -> bool:
        async with write_transaction(self._database) as transaction:
            rows = self._owned_rows(leases, (sequence,), transaction)
            for row in rows:
                failed = replace(
                    row,
                    error=error,
                    status=OutboxStatus.PARKED if retry_in is None else OutboxStatus.PENDING,
                    due_at=self._clock.now() + timedelta(seconds=retry_in or 0),
                )
                self._open.put(sequence, failed, transaction)
            return bool(rows)

    def _owned_rows(
        self,
        leases: Collection[OutboxPartition],
        sequences: Collection[int],
        transaction: Transaction,
    ) -> list[_Row]:
        owned = self._owned(leases, transaction)
        rows = (self._open.get(sequence, transaction) for sequence in sequences)
        return [
            row
            for row in rows
            if row is not None and row.partition in owned and row.status is OutboxStatus.PENDING
        ]

    async def list_parked(self, *, limit: int = 100, after: int = 0) -> list[PendingMessage]:
        rows = self._open.items(current_transaction(self._database))
        parked = (
            row for _, row in rows if row.status is OutboxStatus.PARKED and row.sequence > after
        )
        return [row.to_pending() for row in islice(parked, limit)]

    async def edit_parked(self, sequence: int, payload: bytes) -> bool:
        def edit(row: _Row, transaction: Transaction) -> None:
            message = replace(row.message, payload=payload)
            self._open.put(sequence, replace(row, message=message), transaction)

        return await self._change_parked([sequence], edit) > 0

    async def replay_parked(self, sequences: Collection[int]) -> int:
        def replay(row: _Row, transaction: Transaction) -> None:
            again = replace(row, status=OutboxStatus.PENDING, attempts=0, due_at=None)
            self._open.put(row.sequence, again, transaction)

        return await self._change_parked(sequences, replay)

    async def discard_parked(self, sequences: Collection[int]) -> int:
        def discard(row: _Row, transaction: Transaction) -> None:
            self._open.delete(row.sequence, transaction)
            self._ids.delete(row.key, transaction)

        return await self._change_parked(sequences, discard)

    async def _change_parked(
        self, sequences: Collection[int], change: Callable[[_Row, Transaction], None]
    ) -> int:
        async with write_transaction(self._database) as transaction:
            rows = [self._open.get(sequence, transaction) for sequence in sequences]
            parked = [row for row in rows if row and row.status is OutboxStatus.PARKED]
            for row in parked:
                change(row, transaction)
        self._announce()
        return len(parked)

    async def count_pending(self) -> int:
        rows = self._open.items(current_transaction(self._database))
        return sum(row.status is OutboxStatus.PENDING for _, row in rows)

    async def backlog(self) -> OutboxBacklog:
        rows = [row for _, row in self._open.items(current_transaction(self._database))]
        pending = [row for row in rows if row.status is OutboxStatus.PENDING]
        oldest = min(pending, key=lambda row: row.sequence, default=None)
        return OutboxBacklog(
            pending=len(pending),
            parked=len(rows) - len(pending),
            oldest=None if oldest is None else oldest.message.occurred_at,
        )

    async def purge_published(self, before: datetime, *, limit: int = 10_000) -> int:
        async with write_transaction(self._database) as transaction:
            published = self._published.items(transaction)
            old = list(islice((row for _, (row, at) in published if at < before), limit))
            for row in old:
                self._published.delete(row.sequence, transaction)
                self._ids.delete(row.key, transaction)
            return len(old)


def _is_free(lease: _Lease | None, now: datetime) -> bool:
    return lease is None or lease.until <= now
