"""How a view is made, filled anew and replaced, on each database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.schema import CreateIndex, DropTable

from cqrs_ddd_core.primitives.exceptions import PersistenceError
from cqrs_ddd_persistence_sqlalchemy._advisory_lock import lock_key

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from cqrs_ddd_persistence_sqlalchemy.materialized_view._table import ViewTable
    from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import MaterializedView

__all__ = ["PostgresViews", "SQLiteViews", "ViewBuilder"]

_LIMITS: Final = text(
    "SELECT set_config('lock_timeout', :lock_timeout, true), "
    "set_config('statement_timeout', :timeout, true)"
)
# Otherwise a refresh would go on, and keep its lock, when the process that asked for it is gone.
_NOTICE_DEATH: Final = text(
    "SELECT set_config(name, :seconds || 's', true) FROM pg_settings "
    "WHERE name = 'client_connection_check_interval' AND version() LIKE '%linux%'"
)
#: Seconds after which the server looks whether the process is still there.
_DEATH_NOTICED_AFTER: Final = 5
_TRY_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(:key)")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)")
_KIND: Final = text(
    "SELECT relkind::text, relispopulated FROM pg_class WHERE oid = to_regclass(:name)"
)
_BUILT: Final = "__next"


class ViewBuilder(ABC):
    """Changes views inside the transaction of a connection; readers see all of it or nothing."""

    @abstractmethod
    async def lock(
        self, connection: AsyncConnection, view: MaterializedView, *, wait: bool
    ) -> bool:
        """Let nobody else refresh the view until the transaction has ended.

        Args:
            connection: In the transaction.
            view: Which view.
            wait: Whether to wait for who has the lock, as long as the policy says.

        Returns:
            Whether it was free, or became so.
        """

    @abstractmethod
    async def exists(self, connection: AsyncConnection, view: MaterializedView) -> bool:
        """Whether there is a view or table of that name."""

    @abstractmethod
    async def build(self, connection: AsyncConnection, table: ViewTable) -> None:
        """Make the view with its rows, in the place of the one there is."""

    @abstractmethod
    async def refresh(self, connection: AsyncConnection, table: ViewTable) -> None:
        """Fill the view anew."""


class PostgresViews(ViewBuilder):
    """Materialised views of PostgreSQL.

    A refresh is a ``CONCURRENTLY`` one: readers go on, and only rows that differ are written. It
    is in a transaction with the position it stands for, so that both are there or neither.
    """

    async def lock(
        self, connection: AsyncConnection, view: MaterializedView, *, wait: bool
    ) -> bool:
        policy = view.policy
        limits = {
            "lock_timeout": f"{policy.timeout if wait else policy.lock_timeout:.3f}s",
            "timeout": f"{policy.timeout:.3f}s",
        }
        await connection.execute(_LIMITS, limits)
        await connection.execute(_NOTICE_DEATH, {"seconds": str(_DEATH_NOTICED_AFTER)})
        key = {"key": lock_key(f"materialized-view:{view.name}")}
        if not wait:
            return bool(await connection.scalar(_TRY_LOCK, key))
        await connection.execute(_LOCK, key)
        limits["lock_timeout"] = f"{policy.lock_timeout:.3f}s"
        await connection.execute(_LIMITS, limits)
        return True

    async def exists(self, connection: AsyncConnection, view: MaterializedView) -> bool:
        return await self._kind(connection, view.name) is not None

    async def build(self, connection: AsyncConnection, table: ViewTable) -> None:
        name, built = table.view.name, table.view.name + _BUILT
        quoted, quoted_built = self._quote(connection, name), self._quote(connection, built)
        select = table.select(connection.dialect)
        await _run(connection, f"CREATE MATERIALIZED VIEW {quoted_built} AS {select}")
        for index in table.named(built, indexed=True).indexes:
            await connection.execute(CreateIndex(index))
        # Last: from here to the commit readers wait.
        await _run(connection, f"DROP MATERIALIZED VIEW IF EXISTS {quoted}")
        await _run(connection, f"ALTER MATERIALIZED VIEW {quoted_built} RENAME TO {quoted}")

    async def refresh(self, connection: AsyncConnection, table: ViewTable) -> None:
        kind = await self._kind(connection, table.view.name)
        # A restored dump may leave it without rows, and then nobody can read it anyway.
        how = "CONCURRENTLY " if kind is not None and kind[1] else ""
        name = self._quote(connection, table.view.name)
        await _run(connection, f"REFRESH MATERIALIZED VIEW {how}{name}")

    async def _kind(self, connection: AsyncConnection, name: str) -> tuple[str, bool] | None:
        quoted = self._quote(connection, name)
        found = (await connection.execute(_KIND, {"name": quoted})).first()
        if found is None:
            return None
        if found[0] != "m":
            msg = f"{name!r} is in the database already, and is no materialised view"
            raise PersistenceError(msg)
        return found[0], found[1]

    @staticmethod
    def _quote(connection: AsyncConnection, name: str) -> str:
        return connection.dialect.identifier_preparer.quote_identifier(name)


class SQLiteViews(ViewBuilder):
    """Tables of SQLite whose rows are replaced in one transaction.

    The transaction begins with the write lock of the database: there is no other refresh, and
    other writers wait for as long as it takes.
    """

    async def lock(
        self,
        connection: AsyncConnection,  # noqa: ARG002
        view: MaterializedView,  # noqa: ARG002
        *,
        wait: bool,  # noqa: ARG002
    ) -> bool:
        """Do nothing: it is locked already."""
        return True

    async def exists(self, connection: AsyncConnection, view: MaterializedView) -> bool:
        statement = text("SELECT 1 FROM sqlite_master WHERE name = :name")
        return await connection.scalar(statement, {"name": view.name}) is not None

    async def build(self, connection: AsyncConnection, table: ViewTable) -> None:
        made = table.named(table.view.name, indexed=True)
        await connection.execute(DropTable(made, if_exists=True))
        await connection.run_sync(made.create)
        await self._fill(connection, table)

    async def refresh(self, connection: AsyncConnection, table: ViewTable) -> None:
        await connection.execute(table.table.delete())
        await self._fill(connection, table)

    @staticmethod
    async def _fill(connection: AsyncConnection, table: ViewTable) -> None:
        quote = connection.dialect.identifier_preparer.quote_identifier
        columns = ", ".join(quote(column.name) for column in table.table.columns)
        select = table.select(connection.dialect)
        into = f"{quote(table.view.name)} ({columns})"
        await _run(connection, f"INSERT INTO {into} {select}")


async def _run(connection: AsyncConnection, statement: str) -> Any:
    return await connection.exec_driver_sql(statement)
