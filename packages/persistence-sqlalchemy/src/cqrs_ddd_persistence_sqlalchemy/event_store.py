"""The event store on PostgreSQL and SQLite."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import ANY, AppendResult, EventPage, IEventStore
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC, announce_after_commit
from cqrs_ddd_persistence_sqlalchemy._appending import Append
from cqrs_ddd_persistence_sqlalchemy._event_query import EventQuery
from cqrs_ddd_persistence_sqlalchemy._horizon import (
    Horizon,
    PostgresHorizon,
    SQLiteHorizon,
    highest_position,
)
from cqrs_ddd_persistence_sqlalchemy._postgres_events import PostgresEvents
from cqrs_ddd_persistence_sqlalchemy._session import (
    database_of,
    reading,
    reading_unit,
    single_statement,
    writing,
    writing_unit,
)
from cqrs_ddd_persistence_sqlalchemy._sqlite_events import SQLiteEvents
from cqrs_ddd_persistence_sqlalchemy._streams import (
    delete_events,
    list_streams,
    stream_version,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cqrs_ddd_core.ports.event_store import (
        EventFilter,
        ExpectedVersion,
        NewEvent,
        StoredEvent,
        StreamId,
    )
    from cqrs_ddd_core.ports.wake_up import IWakeUp
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyEventStore"]

#: Positions one statement of a page looks through at most.
_WIDEST: Final = 100_000
_HIGHEST: Final = 2**63 - 1
_LATEST: Final = """
SELECT position FROM cqrs_events WHERE tenant_id = $1 AND position <= $2
ORDER BY position DESC LIMIT 1
"""


class SQLAlchemyEventStore(IEventStore):
    """Streams of events on PostgreSQL (asyncpg) or SQLite (aiosqlite).

    Appends and reads of a stream belong to the current unit of work of this database. Reading
    everything (``read_page``, ``read_all``, and the positions of its end) never does, because only
    what is committed can be settled. All stores on one engine share what is known of that.

    Args:
        source: The engine, or a session factory or session, which only serve to find it.
        ordering: For PostgreSQL. ``"settled"``: writers do not wait for each other, and readers
            stop at a hole until nothing can fill it. ``"serialized"``: writers wait for each
            other from their append to their commit, so that positions are in commit order; only
            rollbacks leave holes then. It costs half the throughput.
        wake_up: Told after the commit, never inside the transaction, that there are new events.
    """

    def __init__(
        self,
        source: Source,
        *,
        ordering: Literal["settled", "serialized"] = "settled",
        wake_up: IWakeUp | None = None,
    ) -> None:
        self._database = database_of(source)
        self._wake_up = wake_up
        self._sql: PostgresEvents | SQLiteEvents
        self._horizon: Horizon
        if self._database.is_postgres:
            self._sql = PostgresEvents(serialized=ordering == "serialized")
            self._horizon = self._database.share(PostgresHorizon)
        else:
            self._sql = SQLiteEvents()
            self._horizon = self._database.share(SQLiteHorizon)
        dialect = self._database.engine.dialect
        self._query = EventQuery(self._sql, dialect, "cqrs_events")
        # IS TRUE keeps the planner from going by the index of the streams, which begins with the
        # tenant: it would read all events of the tenant for every page.
        self._select_page = f"{self._query.select} (tenant_id = $1) IS TRUE"

    @property
    def hole_age(self) -> float:
        """Seconds for which readers have been waiting at a hole for older transactions to end.

        About 0 in normal operation, and always on SQLite. When it grows, look for the oldest
        writing transaction of the whole cluster in ``pg_stat_activity`` and ``pg_prepared_xacts``.
        """
        return self._horizon.hole_age

    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        if not events:
            return AppendResult(await self.get_stream_version(stream), 0)
        tenant_id = get_context().tenant_id
        async with single_statement(self._database) as connection:
            result = await Append(self._sql, connection, tenant_id, stream, events).run(
                expected_version
            )
        unit = writing_unit(self._database)
        if unit is not None:
            unit.note_position(result.position)
        if self._wake_up is not None:
            announce_after_commit(self._wake_up, EVENTS_TOPIC)
        return result

    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        statement, args = self._query.of_stream(
            get_context().tenant_id,
            stream,
            after_version=after_version,
            up_to_version=up_to_version,
            limit=limit,
            event_filter=event_filter,
        )
        async with reading(self._database) as connection:
            rows = await connection.fetch(statement, *args)
        return self._sql.build(rows, stream)

    async def get_stream_version(self, stream: StreamId) -> int:
        async with reading(self._database) as connection:
            return await stream_version(connection, get_context().tenant_id, stream)

    async def get_streams(
        self, aggregate_type: str, *, after_id: str = "", limit: int = 500
    ) -> list[StreamId]:
        tenant_id = get_context().tenant_id
        async with reading(self._database) as connection:
            return await list_streams(connection, tenant_id, aggregate_type, after_id, limit)

    async def delete_events(self, stream: StreamId, *, up_to_version: int) -> int:
        tenant_id = get_context().tenant_id
        postgres = self._database.is_postgres
        async with writing(self._database) as connection:
            return await delete_events(
                connection, tenant_id, stream, up_to_version, postgres=postgres
            )

    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        horizon = self._horizon.position
        is_fresh = horizon <= after_position
        if is_fresh:
            horizon = await self._settled()
            if horizon <= after_position:
                return EventPage([], after_position, is_last=True)
        events, position = await self._look_through(after_position, horizon, limit, event_filter)
        if position < horizon:
            return EventPage(events, position, is_last=False)
        is_last = is_fresh or await self._settled() <= horizon
        return EventPage(events, position, is_last)

    async def get_latest_position(self) -> int:
        return await self._last_up_to(await self._settled())

    async def get_head_position(self) -> int:
        # Elsewhere than on PostgreSQL everything that is committed is settled.
        is_postgres = self._database.is_postgres
        return await self._last_up_to(_HIGHEST if is_postgres else await self._settled())

    async def _last_up_to(self, position: int) -> int:
        async with self._committed() as connection:
            rows = await connection.fetch(_LATEST, get_context().tenant_id, position)
        return rows[0][0] if rows else 0

    async def _look_through(
        self, after: int, horizon: int, limit: int, event_filter: EventFilter | None
    ) -> tuple[list[StoredEvent], int]:
        """Return the next events that match, and how far was looked for them.

        It goes by ranges of positions, so that no statement has to look through everything,
        whatever plan the database makes of it; the ranges grow where nothing matches.
        """
        args: list[Any] = [get_context().tenant_id, limit]
        select = " AND ".join([self._select_page, *self._query.conditions(event_filter, args)])
        events: list[StoredEvent] = []
        width = 2 * limit
        async with self._committed() as connection:
            while not events and after < horizon:
                until = min(after + width, horizon)
                rows = await connection.fetch(
                    f"{select} AND position > ${len(args) + 1} AND position <= ${len(args) + 2} "
                    "ORDER BY position LIMIT $2",
                    *args,
                    after,
                    until,
                )
                events = self._sql.build(rows)
                after, width = until, min(width * 8, _WIDEST)
        return events, events[-1].position if len(events) == limit else after

    async def _settled(self) -> int:
        """Return how far everything committed can be read, as of now."""
        unit = reading_unit(self._database) if self._database.is_single_connection else None
        if unit is None:
            return await self._horizon.advance()
        # On the one connection of a database in memory, what this unit of work appended is
        # visible although it is not committed.
        if unit.first_position is not None:
            return unit.first_position - 1
        return await highest_position(await unit.driver_connection())

    @asynccontextmanager
    async def _committed(self) -> AsyncIterator[DriverConnection]:
        """Yield a connection that sees what is committed, outside of any unit of work."""
        if self._database.is_single_connection:
            async with reading(self._database) as connection:
                yield connection
            return
        async with await self._database.connect(writes=False) as connection:
            yield connection
