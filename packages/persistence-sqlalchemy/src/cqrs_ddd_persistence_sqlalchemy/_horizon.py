"""How far everything has been settled: no event can appear at or below the horizon any more.

PostgreSQL hands out positions before transactions commit, so events become visible out of order,
and a position may never be used. A reader that simply went on after the highest position it saw
would lose events. Readers therefore stop at the horizon, and this is how it moves:

* Over a run of positions without a hole it moves at once.
* At a hole, a note is made of the highest position seen, and *afterwards* of a new transaction
  id N. Positions are handed out in order and every writer takes its transaction id before its
  first position, so whoever may still fill the hole has an id below N. As soon as the oldest
  running transaction of a statement's snapshot has reached N, all of those have ended, and what
  they wrote is visible in that same snapshot: the horizon moves to the noted position.

Nothing depends on time, and writers never wait.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from cqrs_ddd_core.primitives.exceptions import EventStoreError, SchemaNotInstalledError

if TYPE_CHECKING:
    from cqrs_ddd_persistence_sqlalchemy._database import Database
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = [
    "Horizon",
    "PostgresHorizon",
    "SQLiteHorizon",
    "highest_position",
    "refuse_unusable_sequence",
]

#: Positions looked through by one statement.
_WINDOW: Final = 20_000
#: Seconds between two writes of the position to its table.
_SAVE_INTERVAL: Final = 1.0

_START: Final = """
SELECT h.position, pg_is_in_recovery(), s.seqcache, s.seqincrement,
       coalesce(pg_sequence_last_value(s.seqrelid), 0)
FROM cqrs_event_horizon AS h
LEFT JOIN pg_sequence AS s
       ON s.seqrelid = pg_get_serial_sequence('cqrs_events', 'position')::regclass
WHERE h.id = 1
"""
# One statement, so one snapshot: the positions and the oldest transaction belong together.
_LOOK: Final = """
SELECT coalesce((SELECT max(position) FROM cqrs_events), 0),
       (SELECT coalesce(max(run.position), $1) FROM (
            SELECT position, row_number() OVER (ORDER BY position) AS n FROM cqrs_events
            WHERE position > $1 ORDER BY position LIMIT $2) AS run
        WHERE run.position = $1 + run.n),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint
"""
_NEW_TRANSACTION_ID: Final = "SELECT pg_current_xact_id()::text::bigint"
_SAVE: Final = "UPDATE cqrs_event_horizon SET position = $1 WHERE id = 1 AND position < $1"


class Horizon(ABC):
    """The horizon of one database, shared by all its readers in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._safe = 0
        self._lock = asyncio.Lock()
        self._looks = 0

    @property
    def position(self) -> int:
        """The horizon as it was last known; it never moves back."""
        return self._safe

    @property
    def hole_age(self) -> float:
        """Seconds since a hole was noted that still waits for older transactions; 0 if none."""
        return 0.0

    async def advance(self) -> int:
        """Move the horizon as far as it goes now, and return it.

        Concurrent readers share one look, if it began after they asked.
        """
        asked_at = self._looks
        async with self._lock:
            if self._looks == asked_at:
                async with await self._database.connect(writes=False) as connection:
                    self._looks += 1
                    await self._look(connection)
            return self._safe

    @abstractmethod
    async def _look(self, connection: DriverConnection) -> None:
        """Move the horizon as far as it goes now."""


class SQLiteHorizon(Horizon):
    """SQLite has one writer: positions are in commit order, and what is visible is settled."""

    async def _look(self, connection: DriverConnection) -> None:
        self._safe = await highest_position(connection)


class _Note(NamedTuple):
    position: int
    transaction_id: int
    made_at: float


class PostgresHorizon(Horizon):
    """The settled prefix of PostgreSQL."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._is_started = False
        self._note: _Note | None = None
        self._saved = 0
        self._saved_at = 0.0

    @property
    def hole_age(self) -> float:
        return 0.0 if self._note is None else monotonic() - self._note.made_at

    async def _look(self, connection: DriverConnection) -> None:
        if not self._is_started:
            await self._start(connection)
        target, is_settled = None, True
        while is_settled:
            highest, run_end, oldest = (await connection.fetch(_LOOK, self._safe, _WINDOW))[0]
            target = highest if target is None else target
            is_whole_window = run_end - self._safe == _WINDOW
            is_settled = self._move(run_end, oldest) or is_whole_window
            if self._safe >= target:
                break
            if not is_settled and self._note is None:
                await self._make_note(highest, connection)
                is_settled = True
        await self._save(connection)

    def _move(self, run_end: int, oldest: int) -> bool:
        """Move over a run, and over the noted holes if nobody can fill them any more."""
        self._safe = run_end
        note = self._note
        if note is None or (note.position > run_end and oldest < note.transaction_id):
            return False
        self._safe = max(run_end, note.position)
        self._note = None
        return True

    async def _make_note(self, position: int, connection: DriverConnection) -> None:
        # After the positions were read, and not from their snapshot: its xmax is too small.
        transaction_id = (await connection.fetch(_NEW_TRANSACTION_ID))[0][0]
        self._note = _Note(position, transaction_id, monotonic())

    async def _start(self, connection: DriverConnection) -> None:
        rows = await connection.fetch(_START)
        if not rows:
            msg = "the row of cqrs_event_horizon is missing: run `await upgrade(engine)` again"
            raise SchemaNotInstalledError(msg)
        position, is_standby, cache, increment, last = rows[0]
        refuse_unusable_sequence(is_standby=is_standby, cache=cache, increment=increment)
        # Beyond the last value handed out, the row is of another life of the table.
        self._safe = self._saved = position if position <= last else 0
        self._is_started = True

    async def _save(self, connection: DriverConnection) -> None:
        """Keep the horizon, so that a restart does not settle old holes again."""
        if self._safe > self._saved and monotonic() - self._saved_at > _SAVE_INTERVAL:
            await connection.execute(_SAVE, self._safe)
            self._saved, self._saved_at = self._safe, monotonic()


def refuse_unusable_sequence(*, is_standby: bool, cache: int | None, increment: int | None) -> None:
    """Refuse what would make readers lose events.

    Raises:
        EventStoreError: The server is a standby, or hands out positions out of order.
    """
    if is_standby:
        msg = (
            "this PostgreSQL server is a standby: which events are settled is only known on the "
            "primary, so connect readers of all events to it"
        )
        raise EventStoreError(msg)
    if cache != 1 or increment != 1:
        msg = (
            "the positions of cqrs_events must come from a sequence with CACHE 1 and INCREMENT 1 "
            f"(found CACHE {cache}, INCREMENT {increment}), or readers would lose events; run "
            "ALTER TABLE cqrs_events ALTER COLUMN position SET CACHE 1 SET INCREMENT 1"
        )
        raise EventStoreError(msg)


async def highest_position(connection: DriverConnection) -> int:
    """Return the highest position that is visible."""
    rows = await connection.fetch("SELECT coalesce(max(position), 0) FROM cqrs_events")
    position: int = rows[0][0]
    return position
