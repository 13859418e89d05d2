"""The statements of the event store for PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from cqrs_ddd_core.ports.event_store import AppendResult
from cqrs_ddd_persistence_sqlalchemy._event_rows import INSERTED, stored_events
from cqrs_ddd_persistence_sqlalchemy._schema import STREAM_UNIQUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["PostgresEvents"]

#: Key of the advisory lock that makes position order commit order; an arbitrary number.
_ORDER_LOCK: Final = 4_817_250_114

# The transaction id is taken before the first nextval, or readers could not tell which
# transactions may still fill a hole; OFFSET 0 and the comparison keep the planner from dropping
# it. The version is checked in the same WHERE, so that a refused append burns no position.
_STREAM: Final = """
FROM (SELECT {first} AS x OFFSET 0) AS transaction,
     (SELECT coalesce(max(version), 0) AS version FROM cqrs_events
      WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3) AS stream
WHERE transaction.x IS NOT NULL AND CASE $4::bigint
      WHEN -1 THEN true WHEN -2 THEN stream.version > 0 ELSE stream.version = $4 END
"""
_SETTLED: Final = "pg_current_xact_id()"
# The lock is taken as late as possible, and held until the commit is visible.
_SERIALIZED: Final = (
    f"(SELECT pg_current_xact_id() FROM (SELECT pg_advisory_xact_lock({_ORDER_LOCK}) OFFSET 0) l)"  # noqa: S608
)

# In a unit of work, losing a race must not abort everything before it: one who was faster leaves
# this statement without rows, which is the same refusal as a stale version. Only the first event
# of an append can meet that: whoever had stored a later version had stored this one before.
_NO_ABORT: Final = f"ON CONFLICT ON CONSTRAINT {STREAM_UNIQUE} DO NOTHING"

_ONE: Final = f"""
INSERT INTO cqrs_events ({INSERTED})
SELECT $1, $2, $3, stream.version + 1, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp()
{_STREAM}
{{conflict}}
RETURNING version, position
"""

_VALUES: Final = """
e.event_id, e.event_type, e.schema_version, e.payload, e.metadata::jsonb,
e.correlation_id, e.causation_id, e.occurred_at, clock_timestamp()
"""
_MANY: Final = f"""
WITH e AS (
    SELECT * FROM unnest($5::uuid[], $6::text[], $7::int[], $8::bytea[], $9::text[], $10::text[],
                         $11::text[], $12::timestamptz[])
    WITH ORDINALITY AS e(event_id, event_type, schema_version, payload, metadata, correlation_id,
                         causation_id, occurred_at, n)
), stream AS (
    SELECT stream.version {_STREAM}
), first AS (
    INSERT INTO cqrs_events ({INSERTED})
    SELECT $1, $2, $3, stream.version + 1, {_VALUES} FROM stream, e WHERE e.n = 1
    {{conflict}}
    RETURNING version, position
), rest AS (
    INSERT INTO cqrs_events ({INSERTED})
    SELECT $1, $2, $3, first.version + e.n - 1, {_VALUES} FROM first, e WHERE e.n > 1 ORDER BY e.n
    RETURNING version, position
)
SELECT max(version), max(position)
FROM (SELECT version, position FROM first UNION ALL SELECT version, position FROM rest) AS done
"""  # noqa: S608 - constants only


class PostgresEvents:
    """How PostgreSQL appends, filters and reads.

    Args:
        serialized: Take positions in commit order.
    """

    metadata_text = "metadata::text"

    def __init__(self, *, serialized: bool) -> None:
        first = _SERIALIZED if serialized else _SETTLED
        self._one = _variants(_ONE, first)
        self._many = _variants(_MANY, first)

    async def insert(
        self,
        connection: DriverConnection,
        tenant_id: str,
        stream: StreamId,
        events: Sequence[NewEvent],
        expected: int,
    ) -> AppendResult | None:
        """Append in one statement; ``None`` when the stream is at another version."""
        joined = connection.in_transaction
        if len(events) == 1:
            values = _row(events[0])
            rows = await connection.fetch(self._one[joined], tenant_id, *stream, expected, *values)
        else:
            columns = zip(*map(_row, events), strict=True)
            rows = await connection.fetch(
                self._many[joined], tenant_id, *stream, expected, *map(list, columns)
            )
        if not rows or rows[0][0] is None:
            return None
        version, position = rows[0]
        return AppendResult(version, position)

    def build(self, rows: Sequence[Any], stream: StreamId | None = None) -> list[StoredEvent]:
        """Return the events of fetched rows, of one stream or each of its own."""
        return stored_events(rows, stream)

    def any_of(self, argument: str, kind: str = "text") -> str:
        """Return the condition that a column is one of a list."""
        return f"= ANY({argument}::{kind}[])"

    def list_argument(self, values: Iterable[str | UUID]) -> list[str | UUID]:
        """Return a list as an argument."""
        return list(values)

    def has_metadata(self, argument: str) -> str:
        """Return the condition that metadata has these keys with exactly these values."""
        return (
            f"metadata @> {argument}::jsonb AND NOT EXISTS ("  # noqa: S608 - an argument's number
            f"SELECT FROM jsonb_each({argument}) AS wanted "
            "WHERE metadata -> wanted.key IS DISTINCT FROM wanted.value)"
        )

    def metadata_argument(self, values: Mapping[str, Any]) -> str:
        """Return metadata as an argument."""
        return to_json(values).decode()


def _variants(template: str, first: str) -> dict[bool, str]:
    """Return the statement for a transaction of its own and for a unit of work."""
    return {
        joined: template.format(first=first, conflict=_NO_ABORT if joined else "")
        for joined in (False, True)
    }


def _row(event: NewEvent) -> tuple[Any, ...]:
    return (
        event.event_id,
        event.event_type,
        event.schema_version,
        event.payload,
        to_json(event.metadata).decode() if event.metadata else None,
        event.correlation_id,
        event.causation_id,
        event.occurred_at,
    )
