"""The snapshot store on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_advanced_core.snapshots.source import snapshot_store_of
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading, single_statement

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.event_store import StreamId
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemySnapshotStore"]

_NEWEST: Final = 2**63 - 1

_SAVE: Final = """
INSERT INTO cqrs_snapshots
    (tenant_id, aggregate_type, aggregate_id, version, fingerprint, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, aggregate_type, aggregate_id, version) DO UPDATE
SET fingerprint = excluded.fingerprint, state = excluded.state, created_at = excluded.created_at
"""
_LATEST: Final = """
SELECT version, fingerprint, state, created_at FROM cqrs_snapshots
WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND version <= $4
  AND fingerprint = coalesce($5, fingerprint)
ORDER BY version DESC LIMIT 1
"""
_DELETE: Final = """
DELETE FROM cqrs_snapshots
WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND version <= (
    SELECT version FROM cqrs_snapshots
    WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3
    ORDER BY version DESC LIMIT 1 OFFSET $4
)
"""
_OF_TYPE: Final = "tenant_id = $1 AND aggregate_type = coalesce($2, aggregate_type)"
_CLEAR: Final = f"DELETE FROM cqrs_snapshots WHERE {_OF_TYPE}"  # noqa: S608 - made of constants
_COUNT: Final = f"SELECT count(*) FROM cqrs_snapshots WHERE {_OF_TYPE}"  # noqa: S608


class SQLAlchemySnapshotStore(ISnapshotStore):
    """Keeps snapshots in a table; every call is one statement.

    ``SnapshotStore`` makes one of a session, a session factory or an engine by itself.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        async with single_statement(self._database) as connection:
            await connection.execute(
                _SAVE,
                *_key(snapshot.stream),
                snapshot.version,
                snapshot.fingerprint,
                snapshot.state,
                snapshot.created_at,
            )

    async def get_latest_snapshot(
        self, stream: StreamId, *, fingerprint: str | None = None, up_to_version: int | None = None
    ) -> Snapshot | None:
        newest = _NEWEST if up_to_version is None else up_to_version
        async with reading(self._database) as connection:
            rows = await connection.fetch(_LATEST, *_key(stream), newest, fingerprint)
        if not rows:
            return None
        version, fingerprint, state, created_at = rows[0]
        return Snapshot(stream, version, fingerprint, state, to_datetime(created_at))

    async def delete_snapshots(self, stream: StreamId, *, keep: int = 0) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(_DELETE, *_key(stream), keep)

    async def clear(self, aggregate_type: str | None = None) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(_CLEAR, get_context().tenant_id, aggregate_type)

    async def get_snapshot_count(self, aggregate_type: str | None = None) -> int:
        async with reading(self._database) as connection:
            rows = await connection.fetch(_COUNT, get_context().tenant_id, aggregate_type)
        count: int = rows[0][0]
        return count


def _key(stream: StreamId) -> tuple[str, str, str]:
    return get_context().tenant_id, stream.aggregate_type, stream.aggregate_id


snapshot_store_of.register(AsyncEngine, SQLAlchemySnapshotStore)
snapshot_store_of.register(async_sessionmaker, SQLAlchemySnapshotStore)
snapshot_store_of.register(AsyncSession, SQLAlchemySnapshotStore)
