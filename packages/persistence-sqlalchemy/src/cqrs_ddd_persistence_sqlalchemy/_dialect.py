"""The two databases behind one small face: a pooled connection, spoken to through its driver.

SQLAlchemy owns the engine and the pool; hot statements go straight to the driver connection,
because its layers cost half the throughput of a small transaction. A transaction is begun and
ended here, and SQLAlchemy sessions join it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from sqlalchemy.util import greenlet_spawn

from cqrs_ddd_core.primitives.exceptions import PersistenceError
from cqrs_ddd_persistence_sqlalchemy._errors import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.pool import PoolProxiedConnection

__all__ = ["DriverConnection", "from_datetime", "storable_text", "to_datetime", "to_uuid"]


class DriverConnection(ABC):
    """One connection on loan from the pool, with at most one transaction.

    SQL is written with ``$1``, ``$2``; values may be ``str``, ``bytes``, ``int``, ``None``,
    ``UUID`` and aware ``datetime`` on both databases, JSON is given as text. Driver errors leave
    it as errors of the toolkit.

    Attributes:
        driver: The asyncpg or aiosqlite connection.
        in_transaction: Whether ``begin`` was called and neither ``commit`` nor ``rollback``.
    """

    __slots__ = ("_released", "driver", "in_transaction", "proxied", "writes")

    def __init__(
        self, proxied: PoolProxiedConnection, released: Callable[[], None] | None, *, writes: bool
    ) -> None:
        self.proxied = proxied
        self.driver: Any = proxied.driver_connection
        self.in_transaction = False
        self.writes = writes
        self._released = released

    @property
    @abstractmethod
    def is_aborted_by_errors(self) -> bool:
        """Whether a failed statement now would end all hope for the transaction around it."""

    @abstractmethod
    async def begin(self) -> None:
        """Begin a transaction; a writing one takes the lock of SQLite now, never by an upgrade."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit.

        Raises:
            UnitOfWorkError: An earlier statement had failed; the database rolled back instead.
            CommitOutcomeUnknownError: The connection broke before the answer came.
        """

    @abstractmethod
    async def rollback(self) -> None:
        """Roll back whatever is open; a connection that cannot is thrown away."""

    @abstractmethod
    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        """Run one statement and return its rows; columns are read by index."""

    @abstractmethod
    async def execute(self, sql: str, *args: Any) -> int:
        """Run one statement and return how many rows it changed."""

    @abstractmethod
    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row of arguments."""

    async def release(self) -> None:
        """Give the connection back to the pool."""
        released, self._released = self._released, None
        try:
            await greenlet_spawn(self.proxied.close)
        finally:
            if released is not None:
                released()

    def discard(self) -> None:
        """Cut the connection, whatever it is doing; the pool will open another one."""
        self.in_transaction = False
        if self.proxied.is_valid:
            self.proxied.invalidate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()

    def _translate(self, error: BaseException) -> Exception:
        return translate(error, committing=self.writes and not self.in_transaction)


def from_datetime(value: datetime) -> str:
    """Return the text SQLite keeps for an aware datetime: UTC, and it sorts by time.

    Raises:
        PersistenceError: The datetime is naive, so nobody knows which moment it means.
    """
    if value.tzinfo is None:
        msg = f"{value!r} has no time zone; give an aware datetime such as utc_now()"
        raise PersistenceError(msg)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def to_datetime(value: datetime | str) -> datetime:
    """Return an aware datetime for what either driver hands out."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    # asyncpg keeps the first and the last moment there are as infinite, and forgets their zone.
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def to_uuid(value: UUID | str) -> UUID:
    """Return a UUID for what either driver hands out."""
    return UUID(hex=value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Return text that both databases take, for an error that cannot be noted comes for ever."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
