"""Reading events from a table of events, live or archived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_persistence_sqlalchemy._event_filter import filter_conditions
from cqrs_ddd_persistence_sqlalchemy._event_rows import COLUMNS
from cqrs_ddd_persistence_sqlalchemy._streams import OF_STREAM

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from cqrs_ddd_core.ports.event_store import EventFilter, StreamId
    from cqrs_ddd_persistence_sqlalchemy._postgres_events import PostgresEvents
    from cqrs_ddd_persistence_sqlalchemy._sqlite_events import SQLiteEvents

__all__ = ["EventQuery"]

_LAST_VERSION: Final = 2**63 - 1


class EventQuery:
    """The statements that read one table.

    Args:
        sql: How the database filters.
        dialect: Of the database.
        table: With the columns of the events table.
    """

    def __init__(self, sql: PostgresEvents | SQLiteEvents, dialect: Dialect, table: str) -> None:
        self._sql = sql
        self._dialect = dialect
        columns = COLUMNS.replace("{metadata}", sql.metadata_text)
        select = f"SELECT {columns} FROM {table} WHERE"  # noqa: S608 - constants only
        self.select: str = select.format(stream="aggregate_type, aggregate_id")
        # Of a stream that is known its type and id need not be sent.
        self._of_stream = (
            f"{select.format(stream='NULL, NULL')} {OF_STREAM} AND version > $4 AND version <= $5"
        )

    def of_stream(
        self,
        tenant_id: str,
        stream: StreamId,
        *,
        after_version: int,
        up_to_version: int | None,
        limit: int | None,
        event_filter: EventFilter | None,
    ) -> tuple[str, list[Any]]:
        """Return the statement for the events of a stream in version order, and its arguments."""
        until = _LAST_VERSION if up_to_version is None else up_to_version
        args: list[Any] = [tenant_id, *stream, after_version, until]
        conditions = self.conditions(event_filter, args)
        statement = f"{' AND '.join([self._of_stream, *conditions])} ORDER BY version"
        if limit is not None:
            args.append(limit)
            statement += f" LIMIT ${len(args)}"
        return statement, args

    def conditions(self, event_filter: EventFilter | None, args: list[Any]) -> list[str]:
        """Return the conditions of a filter and append their arguments."""
        if event_filter is None:
            return []
        return filter_conditions(event_filter, args, self._sql, self._dialect)
