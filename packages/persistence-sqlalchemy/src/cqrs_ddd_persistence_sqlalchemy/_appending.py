"""Appending to a stream: one statement, and what to do when it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    AppendResult,
    StreamState,
)
from cqrs_ddd_core.primitives.exceptions import (
    EventStoreError,
    OptimisticConcurrencyError,
    UniqueViolationError,
)
from cqrs_ddd_persistence_sqlalchemy._dialect import to_uuid
from cqrs_ddd_persistence_sqlalchemy._streams import OF_STREAM, stream_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.event_store import ExpectedVersion, NewEvent, StreamId
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._postgres_events import PostgresEvents
    from cqrs_ddd_persistence_sqlalchemy._sqlite_events import SQLiteEvents

__all__ = ["Append"]

_EXPECTED: Final[dict[StreamState, int]] = {ANY: -1, STREAM_EXISTS: -2, NO_STREAM: 0}
#: No stream is ever at a negative version, and those above are taken.
_NEVER: Final = -3
#: How often an append that may follow any version tries again when another one was faster.
_RACES: Final = 1000

_BY_IDS: Final = f"""
SELECT event_id, version, position, {OF_STREAM} FROM cqrs_events WHERE event_id {{any_of}}
"""  # noqa: S608 - constants only


class Append:
    """One append on one connection."""

    def __init__(
        self,
        sql: PostgresEvents | SQLiteEvents,
        connection: DriverConnection,
        tenant_id: str,
        stream: StreamId,
        events: Sequence[NewEvent],
    ) -> None:
        self._sql = sql
        self._connection = connection
        self._tenant_id = tenant_id
        self._stream = stream
        self._events = events

    async def run(self, expected_version: ExpectedVersion) -> AppendResult:
        """Append, or recognise that it was done before.

        Raises:
            OptimisticConcurrencyError: The stream is at another version than expected.
            EventStoreError: Some event id is stored already, but not by the same append.
        """
        expected = _to_number(expected_version)
        for _ in range(_RACES):
            result = await self._insert(expected) or await self._find()
            if result is not None:
                return result
            version = await stream_version(self._connection, self._tenant_id, self._stream)
            if not _may_follow(expected, version):
                raise OptimisticConcurrencyError(self._stream, expected_version, version)
        raise OptimisticConcurrencyError(self._stream, expected_version)

    async def _insert(self, expected: int) -> AppendResult | None:
        """Try once; ``None`` when the stream is at another version or has the events already."""
        try:
            return await self._sql.insert(
                self._connection, self._tenant_id, self._stream, self._events, expected
            )
        except UniqueViolationError as error:
            if "event_id" in error.constraint and not self._may_be_repeat():
                msg = f"{self._stream}: an event id of this append is stored already"
                raise EventStoreError(msg) from error
            return None

    def _may_be_repeat(self) -> bool:
        """Whether it makes sense to look for the events that are stored already."""
        if self._connection.is_aborted_by_errors:
            return False
        return len({event.event_id for event in self._events}) == len(self._events)

    async def _find(self) -> AppendResult | None:
        """Return the result of the same append, when it was done before."""
        ids = [event.event_id for event in self._events]
        rows = await self._connection.fetch(
            _BY_IDS.format(any_of=self._sql.any_of("$4", "uuid")),
            self._tenant_id,
            *self._stream,
            self._sql.list_argument(ids),
        )
        if not rows:
            return None
        rows = sorted(rows, key=lambda row: row[1])
        first = rows[0][1]
        found = [(to_uuid(row[0]), row[1], bool(row[3])) for row in rows]
        if found != [(event_id, first + n, True) for n, event_id in enumerate(ids)]:
            msg = (
                f"{self._stream}: some event ids of this append are stored already, but not all "
                "of them, in this order, in this stream; an event id is used once"
            )
            raise EventStoreError(msg)
        return AppendResult(rows[-1][1], rows[-1][2])


def _to_number(expected: ExpectedVersion) -> int:
    if isinstance(expected, StreamState):
        return _EXPECTED[expected]
    return expected if expected >= 0 else _NEVER


def _may_follow(expected: int, version: int) -> bool:
    """Whether the refused append may simply try again."""
    if expected == _EXPECTED[STREAM_EXISTS]:
        return version > 0
    return expected in (_EXPECTED[ANY], version)
