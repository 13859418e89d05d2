"""One database of the application: its engine, and how connections are taken from its pool."""

from __future__ import annotations

import asyncio
import sqlite3
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import await_only, greenlet_spawn

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, TransientPersistenceError
from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
from cqrs_ddd_persistence_sqlalchemy._errors import translate
from cqrs_ddd_persistence_sqlalchemy._postgres_connection import (
    PostgresConnection,
    notice_silence,
)
from cqrs_ddd_persistence_sqlalchemy._sqlite_connection import SQLiteConnection
from cqrs_ddd_persistence_sqlalchemy._sqlite_functions import add_functions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

__all__ = ["Database", "Source", "database_of"]

#: What a store or unit of work is given. A session only serves to find its engine: one session
#: shared by concurrent commands would mix their transactions.
Source: TypeAlias = AsyncEngine | async_sessionmaker[Any] | AsyncSession

#: Seconds a writer of SQLite waits for the one before it.
SQLITE_BUSY_TIMEOUT: Final = 30.0

_KEY: Final = "cqrs_ddd"
_CONNECTIONS: Final[dict[tuple[str, str], type[DriverConnection]]] = {
    ("postgresql", "asyncpg"): PostgresConnection,
    ("sqlite", "aiosqlite"): SQLiteConnection,
}

T = TypeVar("T")


class Database:
    """What all stores and units of work on one engine share; get it with ``database_of``.

    Attributes:
        engine: The engine, for SQLAlchemy's own use.
        is_postgres: PostgreSQL; otherwise SQLite.
        is_single_connection: SQLite in memory, where everybody takes turns on one connection.
    """

    def __init__(self, sync_engine: Engine) -> None:
        dialect = sync_engine.dialect
        try:
            self._connection_type = _CONNECTIONS[dialect.name, dialect.driver]
        except KeyError:
            msg = (
                f"{dialect.name}+{dialect.driver} is not supported; make the engine with "
                "create_engine('postgresql://...') or create_engine('sqlite:///...')"
            )
            raise ConfigurationError(msg) from None
        self.engine: AsyncEngine = AsyncEngine(sync_engine)
        self.is_postgres: bool = dialect.name == "postgresql"
        self.is_single_connection: bool = isinstance(sync_engine.pool, StaticPool)
        self._turns = asyncio.Lock()
        self._shared: dict[Callable[[Database], object], object] = {}
        self._prepare = _prepare_postgres if self.is_postgres else _prepare_sqlite
        event.listen(sync_engine, "connect", self._prepare)

    def share(self, make: Callable[[Database], T]) -> T:
        """Return the one object of that kind for this database, made on first use."""
        found = self._shared.get(make)
        if found is None:
            found = self._shared[make] = make(self)
        return found  # type: ignore[return-value]

    async def connect(self, *, writes: bool) -> DriverConnection:
        """Take a living connection from the pool; the caller releases it.

        Args:
            writes: On SQLite, wait for a turn first: writers of one process queue here in order
                and without holding connections, not inside SQLite, where they would starve.

        Raises:
            DatabaseUnavailableError: No connection was free in time, or there is none.
            TransientPersistenceError: SQLite: no turn came in time.
        """
        turn = await self._take_turn() if self._takes_turns(writes=writes) else None
        try:
            proxied = await self._checkout()
            return self._connection_type(proxied, turn, writes=writes)
        except BaseException:
            if turn is not None:
                turn()
            raise

    def _takes_turns(self, *, writes: bool) -> bool:
        return self.is_single_connection or (writes and not self.is_postgres)

    async def _take_turn(self) -> Callable[[], None]:
        try:
            async with asyncio.timeout(SQLITE_BUSY_TIMEOUT):
                await self._turns.acquire()
        except TimeoutError:
            msg = (
                f"SQLite has one writer at a time, and this one waited {SQLITE_BUSY_TIMEOUT:g} s; "
                "a unit of work is kept open for too long, or waits for another one"
            )
            raise TransientPersistenceError(msg) from None
        return self._turns.release

    async def _checkout(self) -> PoolProxiedConnection:
        try:
            proxied = await self.engine.raw_connection()
            while self.is_postgres and proxied.driver_connection.is_closed():  # type: ignore[union-attr]
                # The server went away while it lay in the pool: the others may live.
                proxied.invalidate()
                await greenlet_spawn(proxied.close)
                proxied = await self.engine.raw_connection()
        except Exception as error:
            raise translate(error) from error
        if _KEY not in proxied.info:
            await self._prepare_late(proxied)
        return proxied

    async def _prepare_late(self, proxied: PoolProxiedConnection) -> None:
        """Prepare a connection that was opened before anybody asked for this database."""
        try:
            await greenlet_spawn(self._prepare, proxied.dbapi_connection, proxied)
        except BaseException:
            # Half prepared it does no harm, and the next one to have it begins again.
            await greenlet_spawn(proxied.close)
            raise


def database_of(source: Source) -> Database:
    """Return the database behind an engine, a session factory or a session.

    Raises:
        ConfigurationError: The source is bound to no engine, or its driver is not supported.
    """
    engine = _sync_engine(source)
    # Kept on the dialect, which engines derived with execution_options() share, so that it lives
    # exactly as long as the engine does.
    attributes = vars(engine.dialect)
    database: Database | None = attributes.get(_KEY)
    if database is None:
        database = attributes[_KEY] = Database(engine)
    return database


def _sync_engine(source: Source) -> Engine:
    if isinstance(source, AsyncEngine):
        return source.sync_engine
    if isinstance(source, async_sessionmaker):
        source = source()
    if not isinstance(source, AsyncSession):
        msg = (
            f"expected an AsyncEngine, an async_sessionmaker or an AsyncSession, "
            f"got {type(source).__name__}"
        )
        raise ConfigurationError(msg)
    return source.sync_session.get_bind().engine


def _prepare_postgres(
    connection: DBAPIConnection, record: ConnectionPoolEntry | PoolProxiedConnection
) -> None:
    """Make a PostgreSQL connection notice that its server is gone."""
    notice_silence(connection)
    record.info[_KEY] = True


def _prepare_sqlite(
    connection: DBAPIConnection, record: ConnectionPoolEntry | PoolProxiedConnection
) -> None:
    """Make a SQLite connection durable, patient and strict."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT * 1000:.0f}")
    _switch_to_wal(cursor)
    # In WAL mode the default would be NORMAL in many builds, which forgets the last commits when
    # the power fails.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    add_functions(connection)
    record.info[_KEY] = True


def _switch_to_wal(cursor: DBAPICursor) -> None:
    # While others switch a new file at the same moment, SQLite does not wait: it refuses.
    deadline = monotonic() + SQLITE_BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            await_only(asyncio.sleep(0.01))
        else:
            return
