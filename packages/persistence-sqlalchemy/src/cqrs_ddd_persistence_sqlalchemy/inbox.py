"""The inbox on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
from cqrs_ddd_core.primitives.exceptions import InboxError, UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import database_of, single_statement, writing_unit
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyInbox"]

_Key: TypeAlias = tuple[str, str, UUID]

# Waits for another transaction that has inserted the same key: after its commit nothing is
# inserted, after its rollback the row is ours.
_RECEIVE: Final = """
INSERT INTO cqrs_inbox (consumer, tenant_id, message_id, received_at) VALUES ($1, $2, $3, {now})
ON CONFLICT (consumer, tenant_id, message_id) DO NOTHING
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

    A new message costs one statement. On PostgreSQL a repeat waits only for the transaction that
    handles the same message; on SQLite every writing unit of work waits for the one before it.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)
        self._received: WeakKeyDictionary[UnitOfWork, set[_Key]] = WeakKeyDictionary()

    async def receive(self, consumer: str, message_id: UUID) -> InboxEntry | None:
        uow = writing_unit(self._database)
        if uow is None:
            msg = "a message is received in a unit of work, so that mark and effect commit together"
            raise UnitOfWorkError(msg)
        connection = await uow.driver_connection()
        key = _key(consumer, message_id)
        while not await connection.execute(self._sql(_RECEIVE), *key):
            known = await _find(connection, key)
            # None: it was purged between the two statements, and is new again.
            if known is not None:
                return known
        self._received.setdefault(uow, set()).add(key)
        return None

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

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)


def _key(consumer: str, message_id: UUID) -> _Key:
    return consumer, get_context().tenant_id, message_id


async def _find(connection: DriverConnection, key: _Key) -> InboxEntry | None:
    rows = await connection.fetch(_FIND, *key)
    return InboxEntry(to_datetime(rows[0][0]), rows[0][1]) if rows else None
