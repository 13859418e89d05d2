"""The unit of work on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import async_sessionmaker

from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_persistence_sqlalchemy._database import database_of
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from cqrs_ddd_persistence_sqlalchemy._database import Database, Source
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["SQLAlchemyUnitOfWork"]


class SQLAlchemyUnitOfWork(UnitOfWork):
    """One transaction on PostgreSQL or SQLite.

    It takes a connection when something is first read or written through it, not before, and
    gives it back clean at its end, also when it was cancelled. The stores of this package find it
    by themselves; own statements go through ``session`` or ``connection()``, which share its
    transaction. On SQLite it holds the write lock from its first statement on.

    Args:
        source: The engine, a session factory (its options apply to ``session``) or a session,
            which only serves to find its engine.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.database: Database = database_of(source)
        self._transaction = Transaction(
            self.database, source if isinstance(source, async_sessionmaker) else None
        )
        self._first_position: int | None = None

    @property
    def session(self) -> AsyncSession:
        """A session in this unit's transaction; it is flushed before the commit.

        ``session.commit()`` only flushes, for the unit of work commits; after
        ``session.rollback()`` the unit of work can only roll back. Objects stay readable after
        the end, unless the session factory says otherwise.
        """
        self.ensure_active()
        return self._transaction.session

    async def connection(self) -> AsyncConnection:
        """Return SQLAlchemy's connection in this unit's transaction, for Core statements."""
        self.ensure_active()
        return await self._transaction.connection()

    async def driver_connection(self) -> DriverConnection:
        """Return the connection for statements that go straight to the driver.

        Raises:
            UnitOfWorkError: The unit of work is over.
            DatabaseUnavailableError: No connection was free in time, or there is none.
        """
        self.ensure_active()
        return await self._transaction.driver_connection()

    async def flush(self) -> None:
        """Write what ``session`` holds, so that conflicts show now and not at the commit."""
        await self._transaction.flush()

    @property
    def first_position(self) -> int | None:
        """The lowest position appended through it; ``None`` when no event was stored."""
        return self._first_position

    def note_position(self, position: int) -> None:
        super().note_position(position)
        if self._first_position is None:
            self._first_position = position

    async def _commit(self) -> None:
        await self._transaction.commit()

    async def _rollback(self) -> None:
        await self._transaction.rollback()
