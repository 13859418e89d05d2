"""Which connection a store works on: the current unit of work's, or one of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy._database import Database, Source, database_of
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = [
    "Database",
    "Snapshot",
    "Source",
    "database_of",
    "reading",
    "reading_session",
    "reading_unit",
    "single_statement",
    "snapshot",
    "writing",
    "writing_session",
    "writing_unit",
]


_ANYTHING: Final = {
    True: "SELECT 1 FROM pg_class LIMIT 1",
    False: "SELECT 1 FROM sqlite_master LIMIT 1",
}


def reading_unit(database: Database) -> SQLAlchemyUnitOfWork | None:
    """Return the current unit of work when it is one of this database."""
    uow = get_current_uow()
    if isinstance(uow, SQLAlchemyUnitOfWork) and uow.database is database:
        return uow
    return None


def writing_unit(database: Database) -> SQLAlchemyUnitOfWork | None:
    """Return the unit of work a write belongs to, ``None`` outside any.

    Raises:
        ConfigurationError: The current unit of work is of another database, so that the write
            could not commit together with the rest of it.
    """
    uow = get_current_uow()
    if uow is None:
        return None
    if isinstance(uow, SQLAlchemyUnitOfWork) and uow.database is database:
        return uow
    msg = (
        f"the current unit of work is a {type(uow).__name__} of another database, so this write "
        "could not commit together with it; give the store and the unit of work the same engine, "
        "or write through the outbox"
    )
    raise ConfigurationError(msg)


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[DriverConnection]:
    """Read inside the current unit of work of this database, or in autocommit."""
    uow = reading_unit(database)
    if uow is not None:
        yield await uow.driver_connection()
        return
    async with await database.connect(writes=False) as connection:
        yield connection


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[DriverConnection]:
    """Write inside the current unit of work, or in a transaction of its own.

    Raises:
        ConfigurationError: The current unit of work is of another database.
    """
    uow = writing_unit(database)
    if uow is not None:
        yield await uow.driver_connection()
        return
    async with Transaction(database) as own:
        yield await own.driver_connection()


@asynccontextmanager
async def single_statement(database: Database) -> AsyncIterator[DriverConnection]:
    """Like ``writing``, for exactly one statement.

    Outside a unit of work PostgreSQL commits it by itself, which saves two round trips.
    """
    if database.is_postgres and writing_unit(database) is None:
        async with await database.connect(writes=True) as connection:
            yield connection
        return
    async with writing(database) as connection:
        yield connection


@asynccontextmanager
async def reading_session(database: Database) -> AsyncIterator[AsyncSession]:
    """Yield a session in the current unit of work, or in a transaction of its own that only reads.

    Objects loaded through it stay readable afterwards.
    """
    uow = reading_unit(database)
    if uow is not None:
        yield uow.session
        return
    own = Transaction(database, writes=False)
    try:
        yield own.session
    finally:
        await own.rollback()


@asynccontextmanager
async def writing_session(database: Database) -> AsyncIterator[AsyncSession]:
    """Yield a session in the current unit of work, or in a transaction of its own.

    It is flushed at the end, so that a conflict shows here and not at the commit.

    Raises:
        ConfigurationError: The current unit of work is of another database.
    """
    uow = writing_unit(database)
    if uow is not None:
        yield uow.session
        await uow.flush()
        return
    async with Transaction(database) as own:
        yield own.session


class Snapshot:
    """Reads what was committed at one moment, however long it takes; see ``snapshot``."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[DriverConnection]:
        """Read as of that moment; stands for the function of this name."""
        yield await self._transaction.driver_connection()

    @asynccontextmanager
    async def reading_session(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that reads as of that moment; stands for the function of this name."""
        yield self._transaction.session


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Read as of this moment, on a connection of its own that writers do not wait for."""
    transaction = Transaction(database, writes=False)
    try:
        connection = await transaction.driver_connection()
        if database.is_postgres:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # The moment is that of the first statement that reads.
        await connection.fetch(_ANYTHING[database.is_postgres])
        yield Snapshot(transaction)
    finally:
        await transaction.rollback()
