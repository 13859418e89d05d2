"""The outbox on PostgreSQL and SQLite."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic_core import from_json, to_json

from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    MessageKind,
    OutboxBacklog,
    OutboxMessage,
    OutboxPartition,
    OutboxStatus,
    PendingMessage,
    partition_of,
    partition_quota,
)
from cqrs_ddd_core.ports.wake_up import OUTBOX_TOPIC, IWakeUp, announce_after_commit
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy import _outbox_sql as statements
from cqrs_ddd_persistence_sqlalchemy._dialect import storable_text, to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._session import (
    database_of,
    reading,
    single_statement,
    writing,
)
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyOutboxStorage"]

#: One driver row, read by index; the drivers' row types have nothing else in common.
_Row: TypeAlias = Any


class _Partition(NamedTuple):
    number: int
    owner: str | None
    is_leased: bool


class SQLAlchemyOutboxStorage(IOutboxStorage):
    """Keeps messages in a table until they are published.

    Messages are saved in the current unit of work with one statement. Leases are measured by the
    database's clock, so relays on machines with different clocks agree; each mark is fenced by
    the epoch of its lease in the same statement.

    Claiming costs the same however many messages wait, except those that are held back behind a
    failed one: they are looked at each time (about 0.2 s for 200,000).

    Args:
        source: The engine, or what has one.
        partitions: As many as the table ``cqrs_outbox_partitions`` has rows.
        wake_up: Told after the commit that there is something to publish.
    """

    def __init__(
        self, source: Source, *, partitions: int = 16, wake_up: IWakeUp | None = None
    ) -> None:
        self._database = database_of(source)
        self._partitions = partitions
        self._wake_up = wake_up
        self._is_checked = False

    @property
    def partitions(self) -> int:
        return self._partitions

    async def save_messages(self, messages: Sequence[OutboxMessage]) -> None:
        if not messages:
            return
        rows = [_to_row(message, self._partitions) for message in messages]
        async with single_statement(self._database) as connection:
            await self._check_partitions(connection)
            if self._database.is_postgres:
                await connection.execute(statements.SAVE_MANY, *map(list, zip(*rows, strict=True)))
            else:
                await connection.execute_many(statements.SAVE_EACH, rows)
        self._announce()

    def _announce(self) -> None:
        if self._wake_up is not None:
            announce_after_commit(self._wake_up, OUTBOX_TOPIC)

    async def lease_partitions(
        self, owner: str, *, seconds: float, limit: int | None = None
    ) -> list[OutboxPartition]:
        wants = self._partitions if limit is None else limit
        async with writing(self._database) as connection:
            await self._check_partitions(connection)
            lock = self._sql(statements.LOCK_PARTITIONS)
            partitions = [_Partition(*row) for row in await connection.fetch(lock)]
            await connection.execute(self._sql(statements.FORGET_OWNERS))
            await connection.execute(self._sql(statements.SHOW_UP), owner, wants, float(seconds))
            owners = await connection.fetch(statements.LIST_OWNERS)
            keep, give_up = _share(owner, partitions, dict(owners))
            await connection.execute(self._sql(statements.FREE), owner, json.dumps(give_up))
            take = self._sql(statements.TAKE)
            rows = await connection.fetch(take, owner, float(seconds), json.dumps(keep))
        return sorted(OutboxPartition(number, epoch) for number, epoch in rows)

    async def renew_partitions(
        self, leases: Collection[OutboxPartition], *, seconds: float
    ) -> list[OutboxPartition]:
        async with single_statement(self._database) as connection:
            renew = self._sql(statements.RENEW)
            rows = await connection.fetch(renew, _leases(leases), float(seconds))
        return sorted(OutboxPartition(number, epoch) for number, epoch in rows)

    async def release_partitions(self, owner: str) -> None:
        async with writing(self._database) as connection:
            await connection.execute(self._sql(statements.RELEASE), owner)
            await connection.execute(statements.GO_AWAY, owner)

    async def claim_pending(
        self,
        leases: Collection[OutboxPartition],
        *,
        limit: int = 100,
        excluding: Collection[int] = (),
    ) -> list[PendingMessage]:
        if not leases:
            return []
        claim = statements.claim(
            (lease.number for lease in leases), postgres=self._database.is_postgres
        )
        async with single_statement(self._database) as connection:
            rows = await connection.fetch(
                claim, _leases(leases), limit, json.dumps(list(excluding))
            )
        # RETURNING keeps no order.
        return sorted(map(_to_pending, rows), key=_sequence)

    async def return_claimed(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        if not leases or not sequences:
            return 0
        return await self._mark(statements.RETURN_CLAIMED, leases, json.dumps(list(sequences)))

    async def mark_published(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        if not leases or not sequences:
            return 0
        return await self._mark(statements.MARK_PUBLISHED, leases, json.dumps(list(sequences)))

    async def mark_failed(
        self,
        leases: Collection[OutboxPartition],
        sequence: int,
        *,
        error: str,
        retry_in: float | None,
    ) -> bool:
        seconds = None if retry_in is None else float(retry_in)
        noted = await self._mark(
            statements.MARK_FAILED, leases, sequence, storable_text(error), seconds
        )
        return noted > 0

    async def list_parked(self, *, limit: int = 100, after: int = 0) -> list[PendingMessage]:
        async with reading(self._database) as connection:
            rows = await connection.fetch(statements.LIST_PARKED, limit, after)
        return [_to_pending(row) for row in rows]

    async def edit_parked(self, sequence: int, payload: bytes) -> bool:
        return await self._execute(statements.EDIT_PARKED, sequence, payload) > 0

    async def replay_parked(self, sequences: Collection[int]) -> int:
        replayed = await self._execute(statements.REPLAY_PARKED, json.dumps(list(sequences)))
        self._announce()
        return replayed

    async def discard_parked(self, sequences: Collection[int]) -> int:
        discarded = await self._execute(statements.DISCARD_PARKED, json.dumps(list(sequences)))
        self._announce()
        return discarded

    async def count_pending(self) -> int:
        async with reading(self._database) as connection:
            count: int = (await connection.fetch(statements.COUNT_PENDING))[0][0]
        return count

    async def backlog(self) -> OutboxBacklog:
        async with reading(self._database) as connection:
            [(pending, parked, oldest)] = await connection.fetch(statements.BACKLOG)
        return OutboxBacklog(pending, parked, to_datetime(oldest) if oldest else None)

    async def purge_published(self, before: datetime, *, limit: int = 10_000) -> int:
        return await self._execute(statements.PURGE_PUBLISHED, before, limit)

    async def _mark(self, template: str, leases: Collection[OutboxPartition], *args: object) -> int:
        async with single_statement(self._database) as connection:
            return len(await connection.fetch(self._sql(template), _leases(leases), *args))

    async def _execute(self, template: str, *args: object) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(self._sql(template), *args)

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)

    async def _check_partitions(self, connection: DriverConnection) -> None:
        if self._is_checked:
            return
        count = (await connection.fetch(statements.COUNT_PARTITIONS))[0][0]
        if count != self._partitions:
            msg = (
                f"the outbox has {count} partitions and not {self._partitions}: a message in a "
                f"partition that nobody leases would never leave; use partitions={count}"
            )
            raise ConfigurationError(msg)
        self._is_checked = True


def _share(
    owner: str, partitions: Sequence[_Partition], wants: Mapping[str, int]
) -> tuple[list[int], list[int]]:
    """Return which partitions an owner has from now on, and which it gives up."""
    held = Counter(one.owner for one in partitions if one.owner is not None and one.is_leased)
    quota = partition_quota(owner, held=held, wants=wants, partitions=len(partitions))
    own = [one.number for one in partitions if one.is_leased and one.owner == owner]
    free = [one.number for one in partitions if not one.is_leased]
    return (own + free)[:quota], own[quota:]


def _leases(leases: Collection[OutboxPartition]) -> str:
    return json.dumps([{"number": lease.number, "epoch": lease.epoch} for lease in leases])


def _to_row(message: OutboxMessage, partitions: int) -> tuple[object, ...]:
    return (
        message.message_id,
        message.kind.value,
        message.message_type,
        message.payload,
        message.stream,
        partition_of(message.stream, partitions),
        message.tenant_id,
        to_json(message.headers).decode() if message.headers else None,
        message.correlation_id,
        message.causation_id,
        message.occurred_at,
        message.schema_version,
    )


def _to_pending(row: _Row) -> PendingMessage:
    headers = row[11]
    message = OutboxMessage(
        message_id=to_uuid(row[4]),
        kind=MessageKind(row[5]),
        message_type=row[6],
        payload=row[7],
        stream=row[8],
        occurred_at=to_datetime(row[14]),
        schema_version=row[15],
        correlation_id=row[12],
        causation_id=row[13],
        tenant_id=row[10],
        headers=from_json(headers) if headers is not None else {},
    )
    return PendingMessage(row[0], row[9], row[1], OutboxStatus(row[2]), row[3], message)


def _sequence(pending: PendingMessage) -> int:
    return pending.sequence
