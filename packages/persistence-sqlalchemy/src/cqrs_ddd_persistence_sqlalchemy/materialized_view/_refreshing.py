"""One refresh of one view, all or nothing."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.exceptions import (
    InfrastructureError,
    PersistenceError,
)
from cqrs_ddd_persistence_sqlalchemy._errors import translate
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction
from cqrs_ddd_persistence_sqlalchemy.materialized_view._building import PostgresViews, SQLiteViews

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from cqrs_ddd_core.primitives.retry import ExponentialBackoff
    from cqrs_ddd_persistence_sqlalchemy._database import Database
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._bookkeeping import (
        ViewBooks,
        ViewRecord,
    )
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._building import ViewBuilder
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._staleness import Sources
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._table import ViewTable

__all__ = ["Refreshing"]

_logger = logging.getLogger(__name__)


class Refreshing:
    """Refreshes views, and builds those that are not there or have another definition.

    Args:
        database: Where.
        books: What is known of views.
        sources: What they depend on.
        backoff: How long to wait after failures, in seconds.
    """

    def __init__(
        self, database: Database, books: ViewBooks, sources: Sources, backoff: ExponentialBackoff
    ) -> None:
        self._database = database
        self._books = books
        self._sources = sources
        self._backoff = backoff
        self._builder: ViewBuilder = PostgresViews() if database.is_postgres else SQLiteViews()
        self._served: dict[str, str] = {}

    async def fingerprint(self, table: ViewTable, tenants: Collection[str]) -> str:
        """Return that of the view as this process would build it now."""
        versions: dict[str, int] = {}
        # Tenants share the tables, so whoever is ahead tells which ones there are.
        for tenant_id in tenants if table.view.after else ():
            with message_context(tenant_id=tenant_id):
                for projection, version in (await self._sources.versions(table.view)).items():
                    versions[projection] = max(version, versions.get(projection, 0))
        return table.fingerprint(self._database.engine.dialect, versions)

    def is_of_others(self, table: ViewTable, own: str, record: ViewRecord) -> bool:
        """Whether processes with another definition have taken the view over."""
        view = table.view
        if record.version != view.version or record.fingerprint == own:
            return record.version > view.version
        return self._served.get(view.name) == own

    async def run(
        self, table: ViewTable, tenants: Collection[str], record: ViewRecord, *, wait: bool
    ) -> Mapping[str, int] | None:
        """Refresh a view.

        Args:
            table: Which view.
            tenants: For whom it is noted how fresh the view is.
            record: As it was loaded.
            wait: Whether to wait for a refresh that is under way, and then do another one.

        Returns:
            By tenant, the position up to which the view shows everything; ``None`` when somebody
            else was or is about it, or serves another definition.

        Raises:
            PersistenceError: The refresh failed. The view is as it was, and the failure is noted.
        """
        try:
            # Before the refresh, which sees at least what was there then.
            positions = await self._positions(table, tenants)
            own = await self.fingerprint(table, tenants)
            expected = None if wait else record.refreshes
            is_done = await self._refresh(table, own, positions, expected)
        except Exception as error:
            error = translate(error)
            await self._note_failure(table, record, error)
            raise error from error.__cause__
        return positions if is_done else None

    async def _positions(self, table: ViewTable, tenants: Collection[str]) -> dict[str, int]:
        positions: dict[str, int] = {}
        for tenant_id in tenants:
            with message_context(tenant_id=tenant_id):
                positions[tenant_id] = await self._sources.position(table.view)
        return positions

    async def _refresh(
        self, table: ViewTable, own: str, positions: Mapping[str, int], refreshes: int | None
    ) -> bool:
        view, began = table.view, monotonic()
        async with Transaction(self._database) as transaction:
            connection = await transaction.connection()
            if not await self._builder.lock(connection, view, wait=refreshes is None):
                return False
            driver = await transaction.driver_connection()
            record = await self._books.load_in(driver, view)
            if record is None or refreshes not in (None, record.refreshes):
                return False
            if self.is_of_others(table, own, record):
                return False
            await self._bring_up(connection, table, record, own)
            seconds = monotonic() - began
            await self._books.note_refresh(driver, view, own, seconds, positions)
        self._served[view.name] = own
        return True

    async def _bring_up(
        self, connection: AsyncConnection, table: ViewTable, record: ViewRecord, own: str
    ) -> None:
        is_there = await self._builder.exists(connection, table.view)
        if is_there and record.fingerprint is None:
            msg = f"{table.view.name!r} is in the database already and was not made here; drop it"
            raise PersistenceError(msg)
        if is_there and record.fingerprint == own:
            await self._builder.refresh(connection, table)
        else:
            await self._builder.build(connection, table)

    async def _note_failure(self, table: ViewTable, record: ViewRecord, error: Exception) -> None:
        retry_in = self._backoff.delay(record.failures + 1)
        text = f"{type(error).__name__}: {error}"
        try:
            await self._books.note_failure(table.view, text, retry_in)
        except InfrastructureError:
            # The one that counts is raised; this one is of the same database.
            _logger.exception("the failure of %s could not be noted", table.view.name)
