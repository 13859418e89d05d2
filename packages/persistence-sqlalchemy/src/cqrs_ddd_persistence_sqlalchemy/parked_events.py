"""Parked events of projections on PostgreSQL and SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents, ParkedEvent
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_persistence_sqlalchemy._dialect import storable_text, to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading, single_statement
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cqrs_ddd_core.ports.event_store import StoredEvent
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyParkedEvents"]

_COLUMNS: Final = (
    "projection, version, partition, position, aggregate_type, aggregate_id, event_type, error, "
    "parked_at"
)
_OF_PROJECTION: Final = "FROM cqrs_parked_events WHERE tenant_id = $1 AND projection = $2"
_OF_VERSION: Final = f"{_OF_PROJECTION} AND version = $3"
_OF_KEY: Final = f"{_OF_VERSION} AND partition = $4"

_PARK: Final = f"""
INSERT INTO cqrs_parked_events (tenant_id, {_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {{now}})
ON CONFLICT (tenant_id, projection, version, partition, position) DO UPDATE
SET error = excluded.error
"""  # noqa: S608 - made of constants
_HELD_STREAMS: Final = f"SELECT DISTINCT aggregate_type, aggregate_id {_OF_KEY}"
_LIST_PARKED: Final = f"""
SELECT {_COLUMNS} {_OF_PROJECTION} AND version = coalesce($3, version) AND position > $4
ORDER BY position, version, partition LIMIT $5
"""
_LIST_STREAM: Final = f"""
SELECT {_COLUMNS} {_OF_KEY} AND aggregate_type = $5 AND aggregate_id = $6 ORDER BY position
"""
_REMOVE: Final = f"DELETE {_OF_KEY} AND position {{in $5}}"
_COUNT: Final = f"SELECT count(*) {_OF_VERSION}"
_CLEAR: Final = f"DELETE {_OF_VERSION}"
_MOVE: Final = """
UPDATE cqrs_parked_events SET version = $4
WHERE tenant_id = $1 AND projection = $2 AND version = $3
"""


class SQLAlchemyParkedEvents(IParkedEvents):
    """Keeps in a table which events projections gave up; every call is one statement.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)

    async def park(self, key: CheckpointKey, event: StoredEvent, error: str | None) -> None:
        text = None if error is None else storable_text(error)
        await self._execute(_PARK, *key, event.position, *event.stream, event.event_type, text)

    async def held_streams(self, key: CheckpointKey) -> set[StreamId]:
        return {StreamId(*row) for row in await self._fetch(_HELD_STREAMS, *key)}

    async def list_parked(
        self, projection: str, *, version: int | None = None, limit: int = 100, after: int = 0
    ) -> Sequence[ParkedEvent]:
        rows = await self._fetch(_LIST_PARKED, projection, version, after, limit)
        return [_to_parked(row) for row in rows]

    async def list_stream(self, key: CheckpointKey, stream: StreamId) -> Sequence[ParkedEvent]:
        return [_to_parked(row) for row in await self._fetch(_LIST_STREAM, *key, *stream)]

    async def remove(self, key: CheckpointKey, positions: Collection[int]) -> int:
        return await self._execute(_REMOVE, *key, json.dumps(list(positions)))

    async def count(self, projection: str, version: int) -> int:
        count: int = (await self._fetch(_COUNT, projection, version))[0][0]
        return count

    async def clear(self, projection: str, version: int) -> int:
        return await self._execute(_CLEAR, projection, version)

    async def move(self, projection: str, version: int, to_version: int) -> int:
        return await self._execute(_MOVE, projection, version, to_version)

    async def _fetch(self, template: str, *args: object) -> Sequence[Any]:
        async with reading(self._database) as connection:
            return await connection.fetch(self._sql(template), get_context().tenant_id, *args)

    async def _execute(self, template: str, *args: object) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(self._sql(template), get_context().tenant_id, *args)

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)


def _to_parked(row: Any) -> ParkedEvent:
    return ParkedEvent(
        CheckpointKey(*row[:3]),
        position=row[3],
        stream=StreamId(row[4], row[5]),
        event_type=row[6],
        error=row[7],
        parked_at=to_datetime(row[8]),
    )
