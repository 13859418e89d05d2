"""Making and upgrading the tables, one runner at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from cqrs_ddd_core.primitives.exceptions import TransientPersistenceError
from cqrs_ddd_persistence_sqlalchemy._database import database_of
from cqrs_ddd_persistence_sqlalchemy._errors import translate
from cqrs_ddd_persistence_sqlalchemy._event_changes import event_changes_allowed
from cqrs_ddd_persistence_sqlalchemy._schema import metadata
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from cqrs_ddd_persistence_sqlalchemy._database import Source
    from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

__all__ = ["VERSION_TABLE", "allow_event_changes", "create_schema", "drop_schema", "upgrade"]

#: Where Alembic notes which migrations ran; apart from an application's own version table.
VERSION_TABLE: Final = "cqrs_schema_version"

_RUNNER_LOCK: Final = 4_817_250_113  # an arbitrary number that nobody else should use


async def upgrade(source: Source, *, lock_timeout: float = 2.0, timeout: float = 60.0) -> None:
    """Create the tables, or bring them to the version this release needs.

    Runs in one transaction; several runners may start at once, one works and the others find
    nothing left to do.

    Args:
        source: The engine, or what has one.
        lock_timeout: Seconds to wait for a table that is in use before giving way to its users.
        timeout: Seconds to wait for another runner.

    Raises:
        TransientPersistenceError: A lock did not become free in time; nothing was changed.
    """
    async with _only_runner(source, lock_timeout, timeout) as connection:
        await connection.run_sync(_upgrade)


async def create_schema(source: Source) -> None:
    """Make all tables in an empty database, for tests and first steps; the same as ``upgrade``."""
    await upgrade(source)


async def drop_schema(source: Source) -> None:
    """Drop all tables with everything in them, for tests."""
    async with _only_runner(source, 10.0, 60.0) as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
        if connection.dialect.name == "postgresql":
            await connection.execute(text("DROP FUNCTION IF EXISTS cqrs_refuse_event_changes()"))


@asynccontextmanager
async def allow_event_changes(uow: SQLAlchemyUnitOfWork) -> AsyncIterator[None]:
    """Let the unit of work update and delete events inside the block, for administrators.

    Events are immutable everywhere else. Readers that have seen a changed event are not told.
    """
    driver = await uow.driver_connection()
    async with event_changes_allowed(driver, postgres=uow.database.is_postgres):
        yield


@asynccontextmanager
async def _only_runner(
    source: Source, lock_timeout: float, timeout: float
) -> AsyncIterator[AsyncConnection]:
    # On SQLite the transaction itself keeps others out; it begins with the write lock.
    try:
        async with Transaction(database_of(source)) as transaction:
            connection = await transaction.connection()
            if connection.dialect.name == "postgresql":
                await _lock_runner(connection, timeout)
                limit = text(f"SET LOCAL lock_timeout = {lock_timeout * 1000:.0f}")
                await connection.execute(limit)
            yield connection
    except Exception as error:
        raise translate(error) from error


async def _lock_runner(connection: AsyncConnection, timeout: float) -> None:
    statement = text("SELECT pg_try_advisory_xact_lock(:lock)")
    for _ in range(max(int(timeout / 0.1), 1)):
        if await connection.scalar(statement, {"lock": _RUNNER_LOCK}):
            return
        await asyncio.sleep(0.1)
    msg = f"another schema upgrade has been running for {timeout:g} s; try again when it is done"
    raise TransientPersistenceError(msg)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
