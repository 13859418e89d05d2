"""The outbox on PostgreSQL and SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import from_json, to_json

from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    MessageKind,
    OutboxMessage,
    OutboxPartition,
    OutboxStatus,
    PendingMessage,
    partition_of,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy import _outbox_sql as statements
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading, single_statement
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyOutboxStorage"]

#: One driver row, read by index; the drivers' row types have nothing else in common.
_Row: TypeAlias = Any


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
    """

    def __init__(self, source: Source, *, partitions: int = 16) -> None:
        self._database = database_of(source)
        self._partitions = partitions
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

    async def lease_partitions(
        self, owner: str, *, seconds: float, limit: int | None = None
    ) -> list[OutboxPartition]:
        limit = self._partitions if limit is None else limit
        async with single_statement(self._database) as connection:
            await self._check_partitions(connection)
            lease = self._sql(statements.LEASE)
            rows = await connection.fetch(lease, owner, float(seconds), limit)
        return sorted(OutboxPartition(number, epoch) for number, epoch in rows)

    async def release_partitions(self, owner: str) -> None:
        await self._execute(statements.RELEASE, owner)

    async def claim_pending(
        self, leases: Collection[OutboxPartition], *, limit: int = 100
    ) -> list[PendingMessage]:
        if not leases:
            return []
        claim = statements.claim(
            (lease.number for lease in leases), postgres=self._database.is_postgres
        )
        async with single_statement(self._database) as connection:
            rows = await connection.fetch(claim, _leases(leases), limit)
        # RETURNING keeps no order.
        return sorted(map(_to_pending, rows), key=_sequence)

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
            statements.MARK_FAILED, leases, sequence, _storable(error), seconds
        )
        return noted > 0

    async def list_parked(self, *, limit: int = 100) -> list[PendingMessage]:
        async with reading(self._database) as connection:
            rows = await connection.fetch(statements.LIST_PARKED, limit)
        return [_to_pending(row) for row in rows]

    async def replay_parked(self, sequences: Collection[int]) -> int:
        return await self._execute(statements.REPLAY_PARKED, json.dumps(list(sequences)))

    async def discard_parked(self, sequences: Collection[int]) -> int:
        return await self._execute(statements.DISCARD_PARKED, json.dumps(list(sequences)))

    async def count_pending(self) -> int:
        async with reading(self._database) as connection:
            count: int = (await connection.fetch(statements.COUNT_PENDING))[0][0]
        return count

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


def _storable(error: str) -> str:
    """Return text that both databases take, for a message that cannot be marked comes for ever."""
    return error.encode(errors="replace").decode().replace("\0", "\ufffd")


def _sequence(pending: PendingMessage) -> int:
    return pending.sequence
