"""The statements of the event store for SQLite."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import from_json, to_json

from cqrs_ddd_core.ports.event_store import AppendResult
from cqrs_ddd_persistence_sqlalchemy._dialect import from_datetime, to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._event_rows import INSERTED, stored_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["SQLiteEvents"]

# One thread hop for any number of events: they travel as one JSON array of arrays, and their
# payloads, which may be no text, as one run of bytes.
_INSERT: Final = f"""
INSERT INTO cqrs_events ({INSERTED})
SELECT $1, $2, $3, stream.version + e.key + 1,
       json_extract(e.value, '$[0]'), json_extract(e.value, '$[1]'), json_extract(e.value, '$[2]'),
       coalesce(substr($6, json_extract(e.value, '$[3]'), json_extract(e.value, '$[4]')), x''),
       json_extract(e.value, '$[5]'), json_extract(e.value, '$[6]'), json_extract(e.value, '$[7]'),
       json_extract(e.value, '$[8]'),
       strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')
FROM (SELECT coalesce(max(version), 0) AS version FROM cqrs_events
      WHERE tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3) AS stream,
     json_each($5) AS e
WHERE CASE $4 WHEN -1 THEN 1 WHEN -2 THEN stream.version > 0 ELSE stream.version = $4 END
ORDER BY e.key
RETURNING version, position
"""  # noqa: S608 - constants only

# Numbers are equal whether they were written 1 or 1.0, but 1 is not true.
_HAS_METADATA: Final = """
NOT EXISTS (
    SELECT 1 FROM json_each({argument}) AS wanted WHERE NOT EXISTS (
        SELECT 1 FROM json_each(metadata) AS found
        WHERE found.key = wanted.key AND found.value IS wanted.value
          AND replace(found.type, 'real', 'integer') = replace(wanted.type, 'real', 'integer')))
"""


class SQLiteEvents:
    """How SQLite appends, filters and reads."""

    metadata_text = "metadata"

    async def insert(
        self,
        connection: DriverConnection,
        tenant_id: str,
        stream: StreamId,
        events: Sequence[NewEvent],
        expected: int,
    ) -> AppendResult | None:
        """Append in one statement; ``None`` when the stream is at another version."""
        starts = accumulate((len(event.payload) for event in events), initial=1)
        batch = to_json([_row(*pair) for pair in zip(events, starts, strict=False)]).decode()
        payloads = b"".join(event.payload for event in events)
        rows = await connection.fetch(_INSERT, tenant_id, *stream, expected, batch, payloads)
        return AppendResult(*max(rows)) if rows else None

    def build(self, rows: Sequence[Any], stream: StreamId | None = None) -> list[StoredEvent]:
        """Return the events of fetched rows, of one stream or each of its own."""
        return stored_events(map(_decoded, rows), stream)

    def any_of(self, argument: str, kind: str = "text") -> str:  # noqa: ARG002 - SQLite has none
        """Return the condition that a column is one of a list."""
        return f"IN (SELECT value FROM json_each({argument}))"  # noqa: S608

    def list_argument(self, values: Iterable[str | UUID]) -> str:
        """Return a list as an argument."""
        listed = [value.hex if isinstance(value, UUID) else value for value in values]
        return to_json(listed).decode()

    def has_metadata(self, argument: str) -> str:
        """Return the condition that metadata has these keys with exactly these values."""
        return _HAS_METADATA.format(argument=argument)

    def metadata_argument(self, values: Mapping[str, Any]) -> str:
        """Return metadata as an argument."""
        return _metadata(values)


def _metadata(values: Mapping[str, Any]) -> str:
    # Keys in one order, so that equal objects inside are equal text.
    return json.dumps(from_json(to_json(values)), sort_keys=True, ensure_ascii=False)


def _row(event: NewEvent, start: int) -> tuple[Any, ...]:
    return (
        event.event_id.hex,
        event.event_type,
        event.schema_version,
        start,
        len(event.payload),
        _metadata(event.metadata) if event.metadata else None,
        event.correlation_id,
        event.causation_id,
        from_datetime(event.occurred_at),
    )


def _decoded(row: Sequence[Any]) -> Sequence[Any]:
    """Return a row of ``COLUMNS`` with its id and its two times as such."""
    return (
        *row[:4],
        to_uuid(row[4]),
        *row[5:8],
        to_datetime(row[8]),
        to_datetime(row[9]),
        *row[10:],
    )
