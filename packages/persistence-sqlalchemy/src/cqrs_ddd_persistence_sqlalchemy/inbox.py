"""The inbox on PostgreSQL and SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
from cqrs_ddd_core.primitives.exceptions import InboxError, UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._session import database_of, single_statement, writing_unit
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source
    from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

__all__ = ["SQLAlchemyInbox"]

_Key: TypeAlias = tuple[str, str, UUID]

# Waits for another transaction that has inserted the same key: after its commit nothing is
# inserted, after its rollback the row is ours.
_RECEIVE: Final = """
INSERT INTO cqrs_inbox (consumer, tenant_id, message_id, received_at) VALUES ($1, $2, $3, {now})
ON CONFLICT (consumer, tenant_id, message_id) DO NOTHING
"""
# In one order, so that two that overlap wait for each other in that order and never in a circle.
_RECEIVE_MANY: Final = """
INSERT INTO cqrs_inbox (consumer, tenant_id, message_id, received_at)
SELECT $1, $2, value, {now} FROM {uuids $3} WHERE true ORDER BY value
ON CONFLICT (consumer, tenant_id, message_id) DO NOTHING
RETURNING message_id
"""
_ADVANCE: Final = """
INSERT INTO cqrs_inbox_places AS p (consumer, tenant_id, stream, version)
SELECT $1, $2, $3, $4
WHERE $5 = 0 OR EXISTS (
    SELECT 1 FROM cqrs_inbox_places WHERE consumer = $1 AND tenant_id = $2 AND stream = $3
)
ON CONFLICT (consumer, tenant_id, stream) DO UPDATE SET version = excluded.version
WHERE p.version >= $5 AND p.version < excluded.version
"""
_FIND_PLACE: Final = """
SELECT version FROM cqrs_inbox_places WHERE consumer = $1 AND tenant_id = $2 AND stream = $3
"""
_FIND: Final = """
SELECT received_at, outcome FROM cqrs_inbox
WHERE consumer = $1 AND tenant_id = $2 AND message_id = $3
"""
_RECORD: Final = """
UPDATE cqrs_inbox SET outcome = $4 WHERE consumer = $1 AND tenant_id = $2 AND message_id = $3
"""
# Rows another purge is at are left to it.
_PURGE: Final = """
DELETE FROM cqrs_inbox WHERE (consumer, tenant_id, message_id) IN (
    SELECT consumer, tenant_id, message_id FROM cqrs_inbox WHERE received_at < $1
    ORDER BY received_at LIMIT $2 {skip_locked}
)
"""


class SQLAlchemyInbox(IInbox):
    """Remembers handled messages in a table, in the transaction of their effects.

    A new message costs one statement, and so do many at once. On PostgreSQL a repeat waits only
    for the transaction that handles the same message; on SQLite every writing unit of work waits
    for the one before it.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)
        self._received: WeakKeyDictionary[UnitOfWork, set[_Key]] = WeakKeyDictionary()

    async def receive(self, consumer: str, message_id: UUID) -> InboxEntry | None:
        uow = self._unit_of_work()
        connection = await uow.driver_connection()
        key = _key(consumer, message_id)
        while not await connection.execute(self._sql(_RECEIVE), *key):
            known = await _find(connection, key)
            # None: it was purged between the two statements, and is new again.
            if known is not None:
                return known
        self._received.setdefault(uow, set()).add(key)
        return None

    async def receive_many(self, consumer: str, message_ids: Collection[UUID]) -> set[UUID]:
        uow, ids, tenant_id = self._unit_of_work(), set(message_ids), get_context().tenant_id
        if not ids:
            return ids
        listed = json.dumps(sorted(message_id.hex for message_id in ids))
        connection = await uow.driver_connection()
        rows = await connection.fetch(self._sql(_RECEIVE_MANY), consumer, tenant_id, listed)
        new = {to_uuid(row[0]) for row in rows}
        received = self._received.setdefault(uow, set())
        received.update((consumer, tenant_id, message_id) for message_id in new)
        return ids - new

    async def advance(
        self, consumer: str, stream: str, version: int, *, after: int = 0
    ) -> int | None:
        connection = await self._unit_of_work().driver_connection()
        key = consumer, get_context().tenant_id, stream
        if await connection.execute(self._sql(_ADVANCE), *key, version, after):
            return None
        rows = await connection.fetch(_FIND_PLACE, *key)
        return int(rows[0][0]) if rows else 0

    async def record_outcome(self, consumer: str, message_id: UUID, outcome: bytes) -> None:
        uow = writing_unit(self._database)
        key = _key(consumer, message_id)
        if uow is None or key not in self._received.get(uow, ()):
            msg = f"message {message_id} was not received by {consumer!r} in this unit of work"
            raise InboxError(msg)
        connection = await uow.driver_connection()
        await connection.execute(_RECORD, *key, outcome)

    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(self._sql(_PURGE), before, limit)

    def _unit_of_work(self) -> SQLAlchemyUnitOfWork:
        uow = writing_unit(self._database)
        if uow is None:
            msg = "a message is received in a unit of work, so that mark and effect commit together"
            raise UnitOfWorkError(msg)
        return uow

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)


def _key(consumer: str, message_id: UUID) -> _Key:
    return consumer, get_context().tenant_id, message_id


async def _find(connection: DriverConnection, key: _Key) -> InboxEntry | None:
    rows = await connection.fetch(_FIND, *key)
    return InboxEntry(to_datetime(rows[0][0]), rows[0][1]) if rows else None
