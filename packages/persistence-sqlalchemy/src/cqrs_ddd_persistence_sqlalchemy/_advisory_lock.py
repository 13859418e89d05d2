"""Advisory locks of PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from sqlalchemy.util import greenlet_spawn

from cqrs_ddd_core.ports.locking import LockMode
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    InfrastructureError,
    LockAcquisitionError,
    TransientPersistenceError,
)
from cqrs_ddd_persistence_sqlalchemy._queued_lock import Deadline, QueuedLock
from cqrs_ddd_persistence_sqlalchemy._session import database_of

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.locking import ResourceIdentifier
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["PostgresLock", "lock_key"]


class _Statements(NamedTuple):
    try_lock: str
    lock: str
    unlock: str


_ADVISORY: Final = {
    LockMode.WRITE: _Statements(
        "SELECT pg_try_advisory_lock($1)",
        "SELECT pg_advisory_lock($1)",
        "SELECT pg_advisory_unlock($1)",
    ),
    LockMode.READ: _Statements(
        "SELECT pg_try_advisory_lock_shared($1)",
        "SELECT pg_advisory_lock_shared($1)",
        "SELECT pg_advisory_unlock_shared($1)",
    ),
}
_IS_ALIVE: Final = "SELECT $1::bigint IS NOT NULL"
# The server gives up after us: it must not go on waiting for a client that has left.
_LIMITS: Final = """
SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)
"""
_SERVER_PATIENCE: Final = 1.0


class _Session:
    """A database session that holds advisory locks; statements take turns on it."""

    def __init__(self, connection: DriverConnection, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self._is_waiting = False
        self._connection = connection
        self._turns = asyncio.Lock()

    @property
    def is_alive(self) -> bool:
        return not self._connection.driver.is_closed()

    async def ask(self, statement: str, key: int) -> bool:
        async with self._turns:
            answer: bool = (await self._connection.fetch(statement, key))[0][0]
        return answer

    async def wait(self, statement: str, key: int, patience: float) -> None:
        """Wait for a lock; it outlives the transaction that the limits belong to."""
        connection, self._is_waiting = self._connection, True
        await connection.begin()
        await connection.fetch(_LIMITS, f"{1000 * (patience + _SERVER_PATIENCE):.0f}ms")
        await connection.fetch(statement, key)
        await connection.commit()
        self._is_waiting = False

    async def close(self) -> None:
        """End the session and with it all its locks."""
        if self._is_waiting:
            # Whatever it waits for must not come true after we have left.
            self._connection.driver.terminate()
        await self._connection.release()


class PostgresLock(QueuedLock[_Session]):
    """Advisory locks of PostgreSQL.

    A lock belongs to a database session, so it ends at the latest when this process dies or its
    connection breaks; ``extend`` and ``release`` then return ``False``. The time limit is kept by
    this process. One connection of its own holds all locks that were free when they were asked
    for; one more is opened for each lock that another process holds, and waits in the server's
    queue without polling. Needs a direct connection: a pooler that hands out a connection per
    transaction loses the session, use ``TableLock`` behind one.

    Close it when the application ends, or use it as ``async with PostgresLock(engine) as lock``.

    Args:
        source: The engine, or what has one; it tells how to connect, its pool is not used up.
        max_waiting: How many locks of other processes may be waited for, or held after such a
            wait, at a time.

    Raises:
        ConfigurationError: The database is not PostgreSQL.
    """

    def __init__(self, source: Source, *, max_waiting: int = 10) -> None:
        super().__init__()
        self._database = database_of(source)
        if not self._database.is_postgres:
            msg = "PostgresLock needs PostgreSQL; use TableLock on SQLite"
            raise ConfigurationError(msg)
        self._shared: _Session | None = None
        self._opening = asyncio.Lock()
        self._waiting = asyncio.Semaphore(max_waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await super().close()
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close()

    async def _take(
        self,
        resource: ResourceIdentifier,
        token: str,  # noqa: ARG002 - the session is the proof
        deadline: Deadline,
        ttl: float,  # noqa: ARG002 - kept by this process
    ) -> _Session:
        key, statements = lock_key(resource.key), _ADVISORY[resource.lock_mode]
        session = await self._shared_session()
        attempt = self._spawn(session.ask(statements.try_lock, key))
        try:
            if await asyncio.shield(attempt):
                return session
        except asyncio.CancelledError:
            self._spawn(_undo(attempt, session, statements.unlock, key))
            raise
        return await self._wait(resource, statements.lock, key, deadline)

    async def _shared_session(self) -> _Session:
        async with self._opening:
            if self._shared is not None and not self._shared.is_alive:
                dead, self._shared = self._shared, None
                await dead.close()
            if self._shared is None:
                self._shared = await self._open(is_shared=True)
            return self._shared

    async def _open(self, *, is_shared: bool) -> _Session:
        connection = await self._database.connect(writes=True)
        # Out of the pool, which opens another one: whoever waits for a lock keeps nobody else
        # from a connection.
        await greenlet_spawn(connection.proxied.detach)
        return _Session(connection, is_shared=is_shared)

    async def _wait(
        self, resource: ResourceIdentifier, statement: str, key: int, deadline: Deadline
    ) -> _Session:
        try:
            async with asyncio.timeout(deadline.remaining):
                await self._waiting.acquire()
                try:
                    return await self._locked_session(statement, key, deadline)
                except BaseException:
                    self._waiting.release()
                    raise
        except TimeoutError:
            raise LockAcquisitionError(resource, deadline.timeout) from None
        except TransientPersistenceError as error:
            raise LockAcquisitionError(resource, deadline.timeout, str(error)) from error

    async def _locked_session(self, statement: str, key: int, deadline: Deadline) -> _Session:
        session = await self._open(is_shared=False)
        try:
            await session.wait(statement, key, deadline.remaining)
        except BaseException:
            await asyncio.shield(self._spawn(session.close()))
            raise
        return session

    async def _keep(
        self,
        resource: ResourceIdentifier,
        token: str,  # noqa: ARG002
        claim: _Session,
        ttl: float,  # noqa: ARG002
    ) -> bool:
        return await _answer(claim, _IS_ALIVE, resource)

    async def _give_back(
        self,
        resource: ResourceIdentifier,
        token: str,  # noqa: ARG002
        claim: _Session,
    ) -> bool:
        try:
            return await _answer(claim, _ADVISORY[resource.lock_mode].unlock, resource)
        finally:
            if not claim.is_shared:
                self._waiting.release()
                await claim.close()


async def _answer(session: _Session, statement: str, resource: ResourceIdentifier) -> bool:
    """Ask a session that may be gone, and its locks with it."""
    try:
        return session.is_alive and await session.ask(statement, lock_key(resource.key))
    except InfrastructureError:
        return False


async def _undo(attempt: asyncio.Task[bool], session: _Session, unlock: str, key: int) -> None:
    """Give back a lock that was taken for somebody who was cancelled meanwhile."""
    with suppress(InfrastructureError):  # a broken connection has given it back
        if await attempt:
            await session.ask(unlock, key)


def lock_key(name: str) -> int:
    """Return the number of an advisory lock: the same in every process and version."""
    return int.from_bytes(blake2b(f"cqrs_ddd:{name}".encode(), digest_size=8).digest(), signed=True)
