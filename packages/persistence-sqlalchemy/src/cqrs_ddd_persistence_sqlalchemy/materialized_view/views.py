"""The materialised views of a database: read, ask how fresh, refresh."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionLagError,
    UnknownProjectionError,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, UnitOfWorkError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading_unit
from cqrs_ddd_persistence_sqlalchemy.checkpoints import SQLAlchemyCheckpointStore
from cqrs_ddd_persistence_sqlalchemy.event_store import SQLAlchemyEventStore
from cqrs_ddd_persistence_sqlalchemy.materialized_view._bookkeeping import ViewBooks
from cqrs_ddd_persistence_sqlalchemy.materialized_view._keeping import ViewKeeper
from cqrs_ddd_persistence_sqlalchemy.materialized_view._refreshing import Refreshing
from cqrs_ddd_persistence_sqlalchemy.materialized_view._rows import ViewRows
from cqrs_ddd_persistence_sqlalchemy.materialized_view._staleness import Sources
from cqrs_ddd_persistence_sqlalchemy.materialized_view._table import ViewTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Table

    from cqrs_ddd_advanced_core.ports.checkpoint_store import ICheckpointStore
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import Row, RowKey
    from cqrs_ddd_advanced_core.queries import CatchUp
    from cqrs_ddd_core.domain.query_options import QueryOptions
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_persistence_sqlalchemy._session import Source
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._keeping import DueRefresh
    from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import MaterializedView

__all__ = ["MaterializedViewStatus", "MaterializedViews"]

#: Seconds between two looks of who waits.
_SHORTEST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 0.5


@dataclass(frozen=True, slots=True)
class MaterializedViewStatus:
    """How fresh a view is, for the current tenant.

    Attributes:
        name: Of the view.
        version: Of the definition that is served; 0 before it is built.
        position: Everything up to here is shown.
        head: Position of the last settled event.
        stale_since: When the first event came that concerns the view and is not shown, aware UTC;
            ``None`` when it is fresh.
        lag_seconds: How long ago that was.
        refreshed_at: When the last refresh ended, aware UTC; ``None`` before the first.
        seconds: How long it took.
        failures: How many refreshes have failed since.
        error: What the last of them said.
        retry_at: When it is tried again, aware UTC.
    """

    name: str
    version: int
    position: int
    head: int
    stale_since: datetime | None
    lag_seconds: float
    refreshed_at: datetime | None
    seconds: float | None
    failures: int
    error: str | None
    retry_at: datetime | None

    @property
    def is_fresh(self) -> bool:
        """Whether it shows everything that has settled."""
        return self.refreshed_at is not None and self.stale_since is None


class MaterializedViews:
    """Reads views, says how fresh they are, and refreshes them on demand.

    A ``QueryRepository`` takes it for a store. Readers see the rows of one refresh, all of them,
    whatever goes on meanwhile.

    Args:
        source: The engine, or what has one.
        views: The views; those in other processes may be others.
        event_store: The feed they follow; that of the same database when not given.
        checkpoints: Of the projections they read; those of the same database when not given.
        tenants: Whose events make views stale, and for whom it is kept how fresh they are; the
            current one when not given.
        backoff: How long to wait after refreshes that failed, in seconds.

    Raises:
        ConfigurationError: Two views have one name.
    """

    def __init__(
        self,
        source: Source,
        views: Collection[MaterializedView],
        *,
        event_store: IEventStore | None = None,
        checkpoints: ICheckpointStore | None = None,
        tenants: Sequence[str] | None = None,
        backoff: ExponentialBackoff | None = None,
    ) -> None:
        self._database = database_of(source)
        self._tables = {view.name: ViewTable(view) for view in views}
        if len(self._tables) < len(views):
            msg = f"two materialised views have one name: {[view.name for view in views]}"
            raise ConfigurationError(msg)
        self._rows = {name: ViewRows(self._database, table) for name, table in self._tables.items()}
        self._tenants = tenants
        self._books = ViewBooks(self._database)
        self._sources = Sources(
            event_store or SQLAlchemyEventStore(source),
            checkpoints or SQLAlchemyCheckpointStore(source),
        )
        backoff = backoff or ExponentialBackoff(initial=1.0, maximum=300.0)
        self._refreshing = Refreshing(self._database, self._books, self._sources, backoff)
        self._keepers = {
            name: ViewKeeper(table, self._books, self._sources, self._refreshing)
            for name, table in self._tables.items()
        }

    @property
    def views(self) -> Sequence[MaterializedView]:
        """The views."""
        return [table.view for table in self._tables.values()]

    @property
    def _noted(self) -> Sequence[str]:
        return [get_context().tenant_id] if self._tenants is None else self._tenants

    def table(self, name: str) -> Table:
        """Return the view as SQLAlchemy's table, for queries of your own.

        It has the tenant column, which such a query has to compare itself.
        """
        return self._find(name).table

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        """Return the rows that are there of some keys."""
        return await self._rows_of(schema).fetch(keys)

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        """Return rows that meet the options, in their order.

        Raises:
            UnknownFieldError: A column is not declared.
            SpecificationValueError: A value does not fit its column.
        """
        return await self._rows_of(schema).query(options)

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        """Return how many rows meet the condition of the options, whatever their page."""
        return await self._rows_of(schema).count(options)

    async def refresh(self, name: str) -> None:
        """Refresh a view now; afterwards it shows everything that had settled before.

        It waits for a refresh that is under way and then does another one. Debouncing does not
        hold it back.

        Raises:
            UnitOfWorkError: There is a unit of work of this database, whose changes would not be
                seen.
            ConfigurationError: Another definition is served by now.
            PersistenceError: It failed; the view is as it was, and the failure shows in its status.
        """
        table = self._find(name)
        if reading_unit(self._database) is not None:
            msg = "a view is refreshed outside of a unit of work: it shows what is committed"
            raise UnitOfWorkError(msg)
        record = await self._books.load(table.view)
        if await self._refreshing.run(table, self._noted, record, wait=True) is None:
            raise ConfigurationError(f"another definition of {name!r} is served by now")

    async def refresh_if_due(self, name: str) -> DueRefresh:
        """Refresh a view when its policy says so, for workers; see ``MaterializedViewRefresher``.

        It returns without having done anything when another process is about it.

        Raises:
            PersistenceError: It failed, as for ``refresh``, and will be due again later.
        """
        self._find(name)
        return await self._keepers[name].visit(self._noted)

    async def status(self, name: str) -> MaterializedViewStatus:
        """Return how fresh a view is, and how its refreshes go."""
        view = self._find(name).view
        record = await self._books.load(view)
        position, head = (
            record.positions.get(get_context().tenant_id, 0),
            await self._sources.head(),
        )
        change, _ = await self._sources.first_change(view, position, head)
        stale_since = None if change is None else change.recorded_at
        lag = 0.0 if stale_since is None else (record.now - stale_since).total_seconds()
        return MaterializedViewStatus(
            name,
            record.version,
            position,
            head,
            stale_since,
            max(lag, 0.0),
            record.refreshed_at,
            record.seconds,
            record.failures,
            record.error,
            record.retry_at,
        )

    async def wait_for(self, name: str, position: int, *, timeout: float = 5.0) -> None:
        """Return once a view shows everything up to a position that concerns it.

        It waits for the refresher of whatever process, and does not hurry it: see ``refresh``.

        Args:
            name: Of the view.
            position: Of an event, such as ``CommandResponse.position``.
            timeout: How long to wait, in seconds.

        Raises:
            ProjectionLagError: It does not in time.
        """
        view, deadline, pause = self._find(name).view, monotonic() + timeout, _SHORTEST_WAIT
        shown = await self._shown(view, position)
        while shown < position:
            left = deadline - monotonic()
            if left <= 0:
                raise ProjectionLagError(name, position, shown, timeout)
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_WAIT)
            shown = await self._shown(view, position)

    def catch_up(self, name: str) -> CatchUp:
        """Return ``wait_for`` of a view, as a ``QueryRepository`` takes it."""
        self._find(name)

        async def wait(position: int, *, timeout: float) -> None:
            await self.wait_for(name, position, timeout=timeout)

        return wait

    async def _shown(self, view: MaterializedView, wanted: int) -> int:
        """Return up to where a view shows everything that concerns it."""
        record = await self._books.load(view)
        shown = record.positions.get(get_context().tenant_id, 0)
        if record.fingerprint is None or shown >= wanted:
            return shown
        change, seen = await self._sources.first_change(view, shown, wanted)
        return seen if change is None else shown

    def _find(self, name: str) -> ViewTable:
        try:
            return self._tables[name]
        except KeyError:
            raise UnknownProjectionError(name, sorted(self._tables)) from None

    def _rows_of(self, schema: ProjectionSchema) -> ViewRows:
        self._find(schema.name)
        return self._rows[schema.name]
