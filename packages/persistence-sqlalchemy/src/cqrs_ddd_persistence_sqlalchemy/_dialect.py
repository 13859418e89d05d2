"""The two databases behind one small face: a pooled connection, spoken to through its driver.

SQLAlchemy owns the engine and the pool; hot statements go straight to the driver connection,
because its layers cost half the throughput of a small transaction. A transaction is begun and
ended here, and SQLAlchemy sessions join it.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from sqlalchemy.util import greenlet_spawn

from cqrs_ddd_core.primitives.exceptions import PersistenceError, UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy._errors import connection_was_lost, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.pool import PoolProxiedConnection

__all__ = [
    "DriverConnection",
    "PostgresConnection",
    "SQLiteConnection",
    "from_datetime",
    "to_datetime",
    "to_uuid",
]

#: Seconds after which a connection that does not answer a ROLLBACK is thrown away.
ROLLBACK_TIMEOUT: Final = 5.0


class DriverConnection(ABC):
    """One connection on loan from the pool, with at most one transaction.

    SQL is written with ``$1``, ``$2``; values may be ``str``, ``bytes``, ``int``, ``None``,
    ``UUID`` and aware ``datetime`` on both databases, JSON is given as text. Driver errors leave
    it as errors of the toolkit.

    Attributes:
        driver: The asyncpg or aiosqlite connection.
        in_transaction: Whether ``begin`` was called and neither ``commit`` nor ``rollback``.
    """

    __slots__ = ("_released", "driver", "in_transaction", "proxied", "writes")

    def __init__(
        self, proxied: PoolProxiedConnection, released: Callable[[], None] | None, *, writes: bool
    ) -> None:
        self.proxied = proxied
        self.driver: Any = proxied.driver_connection
        self.in_transaction = False
        self.writes = writes
        self._released = released

    @property
    @abstractmethod
    def is_aborted_by_errors(self) -> bool:
        """Whether a failed statement now would end all hope for the transaction around it."""

    @abstractmethod
    async def begin(self) -> None:
        """Begin a transaction; a writing one takes the lock of SQLite now, never by an upgrade."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit.

        Raises:
            UnitOfWorkError: An earlier statement had failed; the database rolled back instead.
            CommitOutcomeUnknownError: The connection broke before the answer came.
        """

    @abstractmethod
    async def rollback(self) -> None:
        """Roll back whatever is open; a connection that cannot is thrown away."""

    @abstractmethod
    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        """Run one statement and return its rows; columns are read by index."""

    @abstractmethod
    async def execute(self, sql: str, *args: Any) -> int:
        """Run one statement and return how many rows it changed."""

    @abstractmethod
    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row of arguments."""

    async def release(self) -> None:
        """Give the connection back to the pool."""
        released, self._released = self._released, None
        try:
            await greenlet_spawn(self.proxied.close)
        finally:
            if released is not None:
                released()

    def discard(self) -> None:
        """Cut the connection, whatever it is doing; the pool will open another one."""
        self.in_transaction = False
        if self.proxied.is_valid:
            self.proxied.invalidate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()

    def _translate(self, error: BaseException) -> Exception:
        return translate(error, committing=self.writes and not self.in_transaction)


class PostgresConnection(DriverConnection):
    """A PostgreSQL connection through asyncpg."""

    __slots__ = ()

    @property
    def is_aborted_by_errors(self) -> bool:
        return self.in_transaction

    async def begin(self) -> None:
        # Once sent it may succeed although its caller was cancelled, so it is undone from here on.
        self.in_transaction = True
        await self.execute(_BEGIN[self._isolation_level()])

    async def commit(self) -> None:
        try:
            status = await self.driver.execute("COMMIT")
        except Exception as error:
            self.discard()
            raise translate(error, committing=True) from error
        # Not reached when cancelled: nobody knows how far the server came, and a ROLLBACK follows.
        self.in_transaction = False
        if status != "COMMIT":
            msg = "an earlier statement of this transaction failed, so it was rolled back"
            raise UnitOfWorkError(msg)

    async def rollback(self) -> None:
        if not self.in_transaction:
            return
        self.in_transaction = False
        if self.driver.is_closed():
            return
        try:
            await self.driver.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT)
        except Exception:  # noqa: BLE001 - the server rolls back when the connection is gone
            self.discard()
        except BaseException:
            self.discard()
            raise

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        try:
            rows: Sequence[Any] = await self.driver.fetch(sql, *args)
        except Exception as error:
            raise self._translate(error) from error
        return rows

    async def execute(self, sql: str, *args: Any) -> int:
        try:
            status: str = await self.driver.execute(sql, *args)
        except Exception as error:
            raise self._translate(error) from error
        # "INSERT 0 3", "UPDATE 3"; commands without a count, such as BEGIN, changed no row.
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            await self.driver.executemany(sql, rows)
        except Exception as error:
            raise self._translate(error) from error

    async def release(self) -> None:
        if self.driver.is_closed():
            self.discard()
        await super().release()

    def _isolation_level(self) -> str | None:
        # What create_async_engine(isolation_level=...) asked for; SQLAlchemy would send it itself.
        level: str | None = getattr(self.proxied.dbapi_connection, "isolation_level", None)
        return level


_BEGIN: Final = {
    None: "BEGIN",
    "autocommit": "BEGIN",
    "read_committed": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "read_uncommitted": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "repeatable_read": "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE",
}


class SQLiteConnection(DriverConnection):
    """A SQLite connection through aiosqlite: one thread, statements in the order they were sent."""

    __slots__ = ()

    @property
    def is_aborted_by_errors(self) -> bool:
        return False

    async def begin(self) -> None:
        self.in_transaction = True
        await self.execute("BEGIN IMMEDIATE" if self.writes else "BEGIN")

    async def commit(self) -> None:
        try:
            await self.driver.commit()
        except Exception as error:
            raise self._translate(error) from error
        self.in_transaction = False

    async def rollback(self) -> None:
        if not self.in_transaction:
            return
        self.in_transaction = False
        try:
            # Queued behind what was sent before: even if this wait is cancelled, it will run.
            await self.driver.rollback()
        except Exception as error:  # noqa: BLE001 - a closed connection has rolled back
            if connection_was_lost(error):
                return
            self.discard()

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        try:
            rows: Sequence[Any] = await self.driver.execute_fetchall(_numbered(sql), _encoded(args))
        except Exception as error:
            raise self._translate(error) from error
        return rows

    async def execute(self, sql: str, *args: Any) -> int:
        try:
            cursor = await self.driver.execute(_numbered(sql), _encoded(args))
        except Exception as error:
            raise self._translate(error) from error
        return max(int(cursor.rowcount), 0)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            await self.driver.executemany(_numbered(sql), [_encoded(row) for row in rows])
        except Exception as error:
            raise self._translate(error) from error

    async def release(self) -> None:
        # The pool asks the thread for a rollback; cut short, it would drop the connection, and
        # with it a database in memory.
        await asyncio.shield(super().release())


@lru_cache(maxsize=512)
def _numbered(sql: str) -> str:
    """Turn PostgreSQL's ``$1`` into SQLite's ``?1``."""
    return re.sub(r"\$(\d+)", r"?\1", sql)


def _encoded(args: Sequence[Any]) -> list[Any]:
    return [_encode(value) for value in args]


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, UUID):
        return value.hex
    return value


def from_datetime(value: datetime) -> str:
    """Return the text SQLite keeps for an aware datetime: UTC, and it sorts by time.

    Raises:
        PersistenceError: The datetime is naive, so nobody knows which moment it means.
    """
    if value.tzinfo is None:
        msg = f"{value!r} has no time zone; give an aware datetime such as utc_now()"
        raise PersistenceError(msg)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def to_datetime(value: datetime | str) -> datetime:
    """Return an aware datetime for what either driver hands out."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def to_uuid(value: UUID | str) -> UUID:
    """Return a UUID for what either driver hands out."""
    return UUID(hex=value) if isinstance(value, str) else value
