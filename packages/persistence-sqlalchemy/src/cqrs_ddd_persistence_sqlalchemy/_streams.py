"""Statements about streams as such: which there are, how far they go, and removing their past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import NewestEventError
from cqrs_ddd_persistence_sqlalchemy._event_changes import event_changes_allowed

if TYPE_CHECKING:
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["OF_STREAM", "delete_events", "list_streams", "stream_version"]

OF_STREAM: Final = "tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3"

_VERSION: Final = f"SELECT coalesce(max(version), 0) FROM cqrs_events WHERE {OF_STREAM}"  # noqa: S608
_DELETE: Final = f"DELETE FROM cqrs_events WHERE {OF_STREAM} AND version <= $4"  # noqa: S608

_NEXT: Final = """
SELECT min(aggregate_id) FROM cqrs_events
WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id > {after}
"""
# From one stream to the next in the index: DISTINCT would read every event of every stream.
_STREAMS: Final = f"""
WITH RECURSIVE streams(aggregate_id, n) AS (
    SELECT ({_NEXT.format(after="$3")}), 1
    UNION ALL
    SELECT ({_NEXT.format(after="streams.aggregate_id")}), n + 1
    FROM streams WHERE aggregate_id IS NOT NULL AND n < $4
)
SELECT aggregate_id FROM streams WHERE aggregate_id IS NOT NULL AND n <= $4 ORDER BY n
"""  # noqa: S608 - constants only


async def stream_version(connection: DriverConnection, tenant_id: str, stream: StreamId) -> int:
    """Return the version of the stream's last event; 0 when there is no such stream."""
    rows = await connection.fetch(_VERSION, tenant_id, *stream)
    version: int = rows[0][0]
    return version


async def list_streams(
    connection: DriverConnection, tenant_id: str, aggregate_type: str, after_id: str, limit: int
) -> list[StreamId]:
    """Return the next streams of a type, by id in code point order."""
    rows = await connection.fetch(_STREAMS, tenant_id, aggregate_type, after_id, limit)
    return [StreamId(aggregate_type, row[0]) for row in rows]


async def delete_events(
    connection: DriverConnection,
    tenant_id: str,
    stream: StreamId,
    up_to_version: int,
    *,
    postgres: bool,
) -> int:
    """Remove a stream's events up to a version, and return how many there were.

    Versions only grow, so what is checked first still holds when the events are removed.

    Raises:
        NewestEventError: It would remove the newest event.
    """
    version = await stream_version(connection, tenant_id, stream)
    if 0 < version <= up_to_version:
        raise NewestEventError(stream, version, up_to_version)
    async with event_changes_allowed(connection, postgres=postgres):
        return await connection.execute(_DELETE, tenant_id, *stream, up_to_version)
