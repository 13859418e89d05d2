"""Locks as rows of a table."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.primitives.exceptions import (
    InfrastructureError,
    LockAcquisitionError,
    TransientPersistenceError,
)
from cqrs_ddd_persistence_sqlalchemy._advisory_lock import lock_key
from cqrs_ddd_persistence_sqlalchemy._queued_lock import Deadline, QueuedLock
from cqrs_ddd_persistence_sqlalchemy._session import database_of
from cqrs_ddd_persistence_sqlalchemy._sql import sql
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_core.ports.locking import ResourceIdentifier
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["TableLock"]

_IN_THE_WAY: Final = """
SELECT 1 FROM cqrs_locks
WHERE resource = $1 AND expires_at > {now} AND (mode = 'write' OR CAST($2 AS text) = 'write')
LIMIT 1
"""
# Two transactions of PostgreSQL do not see each other's new rows: one at a time for a resource.
_GUARD: Final = "SELECT pg_advisory_xact_lock($1)"
_CLEAN: Final = "DELETE FROM cqrs_locks WHERE resource = $1 AND expires_at <= {now}"
_INSERT: Final = """
INSERT INTO cqrs_locks (resource, token, mode, expires_at) VALUES ($1, $2, $3, {later $4})
"""
_EXTEND: Final = """
UPDATE cqrs_locks SET expires_at = {later $3}
WHERE resource = $1 AND token = $2 AND expires_at > {now}
"""
_DELETE: Final = """
DELETE FROM cqrs_locks WHERE resource = $1 AND token = $2 AND expires_at > {now}
"""

#: Seconds between two looks at a lock that another process holds: the first, and the longest.
_FIRST_DELAY: Final = 0.01
_LONGEST_DELAY: Final = 0.25
#: Seconds the database may take, beside the waiting for the lock.
_PATIENCE: Final = 5.0


class TableLock(QueuedLock[None]):
    """Locks as rows of the table ``cqrs_locks``, on SQLite and PostgreSQL.

    A lock ends by the database's clock, also when its holder has died; until then nobody else
    gets it. A lock that another process holds is looked at again after 0.01 to 0.25 seconds,
    with jitter; processes are not served in order. On PostgreSQL prefer ``PostgresLock``, except
    behind a pooler that hands out a connection per transaction.

    The rows are written in transactions of their own. On SQLite, with its single writer, take a
    lock before the unit of work begins to write, as the concurrency guard does.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._database = database_of(source)

    async def _take(
        self, resource: ResourceIdentifier, token: str, deadline: Deadline, ttl: float
    ) -> None:
        delay = _FIRST_DELAY
        while not await self._try(resource, token, deadline, ttl):
            if not deadline.remaining:
                raise LockAcquisitionError(resource, deadline.timeout)
            pause = random.uniform(0.5, 1.0) * delay  # noqa: S311 - spreads pollers, no secret
            await asyncio.sleep(min(pause, deadline.remaining))
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _try(
        self, resource: ResourceIdentifier, token: str, deadline: Deadline, ttl: float
    ) -> bool:
        try:
            async with asyncio.timeout(deadline.remaining + _PATIENCE):
                return await self._is_free(resource) and await self._insert(resource, token, ttl)
        except (TimeoutError, TransientPersistenceError) as error:
            self._spawn(self._forget(resource, token))
            reason = f"the database is busy, {error}; take locks before the unit of work writes"
            raise LockAcquisitionError(resource, deadline.timeout, reason) from error
        except BaseException:
            # The commit may have gone through although nobody waited for its answer.
            self._spawn(self._forget(resource, token))
            raise

    async def _is_free(self, resource: ResourceIdentifier) -> bool:
        async with await self._database.connect(writes=False) as connection:
            return await self._can_enter(connection, resource)

    async def _insert(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        async with self._transaction() as connection:
            if self._database.is_postgres:
                await connection.fetch(_GUARD, lock_key(f"table:{resource.key}"))
            # Somebody may have been faster since the first look, which took no lock.
            if not await self._can_enter(connection, resource):
                return False
            await connection.execute(self._sql(_CLEAN), resource.key)
            await connection.execute(
                self._sql(_INSERT), resource.key, token, resource.lock_mode.value, float(ttl)
            )
            return True

    async def _can_enter(self, connection: DriverConnection, resource: ResourceIdentifier) -> bool:
        return not await connection.fetch(
            self._sql(_IN_THE_WAY), resource.key, resource.lock_mode.value
        )

    async def _keep(
        self,
        resource: ResourceIdentifier,
        token: str,
        claim: None,  # noqa: ARG002 - the token is the proof
        ttl: float,
    ) -> bool:
        async with self._transaction() as connection:
            changed = await connection.execute(self._sql(_EXTEND), resource.key, token, float(ttl))
        return changed > 0

    async def _give_back(
        self,
        resource: ResourceIdentifier,
        token: str,
        claim: None,  # noqa: ARG002
    ) -> bool:
        async with self._transaction() as connection:
            return await connection.execute(self._sql(_DELETE), resource.key, token) > 0

    async def _forget(self, resource: ResourceIdentifier, token: str) -> None:
        with suppress(InfrastructureError):  # its time ends it
            await self._give_back(resource, token, None)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[DriverConnection]:
        """Write apart from the current unit of work, whose rollback must free no lock."""
        async with Transaction(self._database) as own:
            yield await own.driver_connection()

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)
