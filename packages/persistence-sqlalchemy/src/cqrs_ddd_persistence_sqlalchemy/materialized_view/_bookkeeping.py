"""What is known of a view between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_persistence_sqlalchemy._dialect import storable_text, to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import single_statement
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cqrs_ddd_persistence_sqlalchemy._database import Database
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import MaterializedView

__all__ = ["ViewBooks", "ViewRecord"]

_ENSURE: Final = """
INSERT INTO cqrs_materialized_views (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
"""
_LOAD: Final = """
SELECT v.version, v.fingerprint, v.refreshes, v.refreshed_at, v.seconds, v.failures, v.error,
       v.retry_at, {now}, p.tenant_id, p.position
FROM cqrs_materialized_views AS v
LEFT JOIN cqrs_materialized_view_positions AS p ON p.name = v.name
WHERE v.name = $1
"""
_NOTE_REFRESH: Final = """
UPDATE cqrs_materialized_views
SET version = $2, fingerprint = $3, refreshes = refreshes + 1, refreshed_at = {now}, seconds = $4,
    failures = 0, error = NULL, retry_at = NULL
WHERE name = $1
"""
_NOTE_FAILURE: Final = """
UPDATE cqrs_materialized_views
SET failures = failures + 1, error = $2, retry_at = {later $3} WHERE name = $1
"""
_RAISE: Final = """
INSERT INTO cqrs_materialized_view_positions (name, tenant_id, position) VALUES ($1, $2, $3)
ON CONFLICT (name, tenant_id) DO UPDATE SET position = excluded.position
WHERE cqrs_materialized_view_positions.position < excluded.position
"""


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """The record of a view.

    Attributes:
        version: Of the definition it was built from.
        fingerprint: Of that definition; ``None`` before it is built.
        refreshes: How often it was built or refreshed.
        refreshed_at: When the last refresh ended.
        seconds: How long it took.
        failures: How many refreshes have failed since.
        error: What the last of them said.
        retry_at: When it is tried again.
        now: The database's clock.
        positions: By tenant, everything up to there is shown.
    """

    version: int
    fingerprint: str | None
    refreshes: int
    refreshed_at: datetime | None
    seconds: float | None
    failures: int
    error: str | None
    retry_at: datetime | None
    now: datetime
    positions: Mapping[str, int]


class ViewBooks:
    """Reads and writes the records.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, view: MaterializedView) -> ViewRecord:
        """Return the record, made when there is none."""
        async with await self._database.connect(writes=False) as connection:
            found = await self.load_in(connection, view)
        if found is not None:
            return found
        async with single_statement(self._database) as connection:
            await connection.execute(_ENSURE, view.name)
        return await self.load(view)

    async def load_in(
        self, connection: DriverConnection, view: MaterializedView
    ) -> ViewRecord | None:
        """Return the record as a transaction sees it."""
        rows = await connection.fetch(self._sql(_LOAD), view.name)
        return _to_record(rows) if rows else None

    async def note_refresh(
        self,
        connection: DriverConnection,
        view: MaterializedView,
        fingerprint: str,
        seconds: float,
        positions: Mapping[str, int],
    ) -> None:
        """Write that the view was refreshed, in the transaction in which it was."""
        statement = self._sql(_NOTE_REFRESH)
        await connection.execute(statement, view.name, view.version, fingerprint, seconds)
        rows = [(view.name, tenant_id, position) for tenant_id, position in positions.items()]
        await connection.execute_many(_RAISE, rows)

    async def raise_position(self, view: MaterializedView, tenant_id: str, position: int) -> None:
        """Write up to where the view shows everything that concerns it; it never goes back."""
        async with single_statement(self._database) as connection:
            await connection.execute(_RAISE, view.name, tenant_id, position)

    async def note_failure(self, view: MaterializedView, error: str, retry_in: float) -> None:
        """Write that a refresh failed, and after how many seconds it is tried again."""
        async with single_statement(self._database) as connection:
            statement = self._sql(_NOTE_FAILURE)
            await connection.execute(statement, view.name, storable_text(error), float(retry_in))

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)


def _to_record(rows: Sequence[Any]) -> ViewRecord:
    first = rows[0]
    return ViewRecord(
        version=first[0],
        fingerprint=first[1],
        refreshes=first[2],
        refreshed_at=_optional_time(first[3]),
        seconds=first[4],
        failures=first[5],
        error=first[6],
        retry_at=_optional_time(first[7]),
        now=to_datetime(first[8]),
        positions={row[9]: row[10] for row in rows if row[9] is not None},
    )


def _optional_time(value: datetime | str | None) -> datetime | None:
    return None if value is None else to_datetime(value)
