"""The event archive on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import EventStoreError
from cqrs_ddd_persistence_sqlalchemy._dialect import to_uuid
from cqrs_ddd_persistence_sqlalchemy._event_changes import event_changes_allowed
from cqrs_ddd_persistence_sqlalchemy._event_query import EventQuery
from cqrs_ddd_persistence_sqlalchemy._event_rows import INSERTED
from cqrs_ddd_persistence_sqlalchemy._postgres_events import PostgresEvents
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading, writing
from cqrs_ddd_persistence_sqlalchemy._sql import sql
from cqrs_ddd_persistence_sqlalchemy._sqlite_events import SQLiteEvents
from cqrs_ddd_persistence_sqlalchemy._streams import OF_STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.event_store import EventFilter, StoredEvent, StreamId
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyEventArchive"]

# What is kept already stays; who kept it is checked afterwards.
_INSERT: Final = f"""
INSERT INTO cqrs_event_archive (position, {INSERTED})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {{json $10}}, $11, $12, $13, $14)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants only
_KEPT: Final = f"""
SELECT version, event_id, position FROM cqrs_event_archive
WHERE {OF_STREAM} AND version >= $4 AND version <= $5 ORDER BY version
"""  # noqa: S608 - constants only
_DELETE: Final = f"DELETE FROM cqrs_event_archive WHERE {OF_STREAM} AND version <= $4"  # noqa: S608
_ALL: Final = 2**63 - 1


class SQLAlchemyEventArchive(IEventArchive):
    """Keeps archived events in a table of their own, where they are as immutable as before.

    It has two indexes where the table of live events has three, and can lie in a tablespace of
    its own. Positions are those of one event store: two stores need two databases.

    Args:
        source: The engine, or what has one; the same as the event store's.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)
        postgres = self._database.is_postgres
        self._sql: PostgresEvents | SQLiteEvents = (
            PostgresEvents(serialized=False) if postgres else SQLiteEvents()
        )
        self._insert = sql(_INSERT, postgres=postgres)
        self._query = EventQuery(self._sql, self._database.engine.dialect, "cqrs_event_archive")

    async def add_events(self, stream: StreamId, events: Sequence[StoredEvent]) -> None:
        if not events:
            return
        tenant_id = get_context().tenant_id
        async with writing(self._database) as connection:
            rows = [self._row(tenant_id, stream, event) for event in events]
            await connection.execute_many(self._insert, rows)
            await _check_kept(connection, tenant_id, stream, events)

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

    async def read_positions(
        self,
        after_position: int,
        up_to_position: int,
        *,
        limit: int,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        args: list[Any] = [get_context().tenant_id, after_position, up_to_position, limit]
        select = (
            f"{self._query.select} (tenant_id = $1) IS TRUE AND position > $2 AND position <= $3"
        )
        statement = " AND ".join([select, *self._query.conditions(event_filter, args)])
        async with reading(self._database) as connection:
            rows = await connection.fetch(f"{statement} ORDER BY position LIMIT $4", *args)
        return self._sql.build(rows)

    async def delete_events(self, stream: StreamId, *, up_to_version: int | None = None) -> int:
        until = _ALL if up_to_version is None else up_to_version
        postgres = self._database.is_postgres
        async with (
            writing(self._database) as connection,
            event_changes_allowed(connection, postgres=postgres),
        ):
            return await connection.execute(_DELETE, get_context().tenant_id, *stream, until)

    def _row(self, tenant_id: str, stream: StreamId, event: StoredEvent) -> tuple[Any, ...]:
        return (
            event.position,
            tenant_id,
            *stream,
            event.version,
            event.event_id,
            event.event_type,
            event.schema_version,
            event.payload_bytes,
            self._sql.metadata_argument(event.metadata) if event.metadata else None,
            event.correlation_id,
            event.causation_id,
            event.occurred_at,
            event.recorded_at,
        )


async def _check_kept(
    connection: DriverConnection, tenant_id: str, stream: StreamId, events: Sequence[StoredEvent]
) -> None:
    """Make sure that every event is there: whoever asks is going to remove the original."""
    versions = [event.version for event in events]
    rows = await connection.fetch(_KEPT, tenant_id, *stream, min(versions), max(versions))
    kept = {row[0]: (to_uuid(row[1]), row[2]) for row in rows}
    for event in events:
        if kept.get(event.version) != (event.event_id, event.position):
            msg = (
                f"{stream}: version {event.version} was not archived, because the archive has "
                "another event under that version or position; it belongs to another event store"
            )
            raise EventStoreError(msg)
