"""When a view is refreshed: looking at what has come, and waiting for the right moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_persistence_sqlalchemy.materialized_view._staleness import Watch

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from cqrs_ddd_persistence_sqlalchemy.materialized_view._bookkeeping import (
        ViewBooks,
        ViewRecord,
    )
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._refreshing import Refreshing
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._staleness import Sources
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._table import ViewTable

__all__ = ["DueRefresh", "ViewKeeper"]

#: Positions without an event that concerns a view, after which they are noted as shown.
_WORTH_NOTING: Final = 1000


class DueRefresh(NamedTuple):
    """What became of a view that was looked at.

    Attributes:
        is_done: Whether it was refreshed.
        seconds: After how many seconds it will be due; ``None`` when it is fresh, or when others
            are about it.
    """

    is_done: bool
    seconds: float | None = None


class ViewKeeper:
    """Refreshes one view whenever that is due.

    Args:
        table: Which view.
        books: What is known of it.
        sources: What it depends on.
        refreshing: Does it.
    """

    def __init__(
        self, table: ViewTable, books: ViewBooks, sources: Sources, refreshing: Refreshing
    ) -> None:
        self._table = table
        self._books = books
        self._sources = sources
        self._refreshing = refreshing
        self._watches: dict[str, Watch] = {}

    async def visit(self, tenants: Collection[str]) -> DueRefresh:
        """Refresh the view if it is due.

        Raises:
            PersistenceError: It failed, and will be due again later.
        """
        record = await self._books.load(self._table.view)
        due_at = await self._due_at(record, tenants)
        if due_at is None:
            return DueRefresh(is_done=False)
        if due_at > record.now:
            return DueRefresh(is_done=False, seconds=(due_at - record.now).total_seconds())
        positions = await self._refreshing.run(self._table, tenants, record, wait=False)
        return DueRefresh(is_done=positions is not None)

    async def _due_at(self, record: ViewRecord, tenants: Collection[str]) -> datetime | None:
        own = await self._refreshing.fingerprint(self._table, tenants)
        if self._refreshing.is_of_others(self._table, own, record):
            return None
        due_at: datetime | None = record.now
        if record.fingerprint == own:
            due_at = await self._stale_at(record, tenants)
        if due_at is None or record.retry_at is None:
            return due_at
        return max(due_at, record.retry_at)

    async def _stale_at(self, record: ViewRecord, tenants: Collection[str]) -> datetime | None:
        watches = []
        for tenant_id in tenants:
            with message_context(tenant_id=tenant_id):
                watches.append(await self._look(tenant_id, record))
        stale = [watch.stale_since for watch in watches if watch.stale_since is not None]
        changed = [watch.changed_at for watch in watches if watch.changed_at is not None]
        if not stale:
            return None
        return self._table.view.policy.due_at(
            record.now,
            refreshed_at=record.refreshed_at,
            stale_since=min(stale),
            changed_at=max(changed),
        )

    async def _look(self, tenant_id: str, record: ViewRecord) -> Watch:
        """Look at what has come since the last time, for one tenant."""
        shown = record.positions.get(tenant_id, 0)
        watch = self._watches.get(tenant_id)
        if watch is None or watch.shown != shown:
            watch = self._watches[tenant_id] = Watch(shown, seen=shown)
        reached = await self._sources.position(self._table.view)
        if reached > watch.seen:
            event, seen = await self._sources.first_change(self._table.view, watch.seen, reached)
            watch.seen = seen if event is None else reached
            if event is not None:
                watch.note(event, record.now)
        if watch.stale_since is None and watch.seen - shown >= _WORTH_NOTING:
            await self._books.raise_position(self._table.view, tenant_id, watch.seen)
        return watch
