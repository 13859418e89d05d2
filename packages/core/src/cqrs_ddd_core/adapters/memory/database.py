"""What the in-memory adapters share: committed rows, one writer at a time, commit and rollback."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from cqrs_ddd_core.primitives.exceptions import TransientPersistenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["InMemoryDatabase", "Participant", "Table", "Transaction"]

K = TypeVar("K")
V = TypeVar("V")


class Participant(Protocol):
    """Holds changes of the one transaction that writes, beside what is committed."""

    @abstractmethod
    def commit(self) -> None:
        """Make the changes visible to everybody."""
        ...

    @abstractmethod
    def rollback(self) -> None:
        """Forget the changes."""
        ...


class Transaction:
    """The right to write one database, until commit or rollback.

    Whoever has it sees its own changes, everybody else sees what is committed.
    """

    __slots__ = ("_participants", "_release")

    def __init__(self, release: Callable[[], None]) -> None:
        self._participants: set[Participant] = set()
        self._release = release

    def enlist(self, participant: Participant) -> None:
        """Commit or roll a participant back together with the others."""
        self._participants.add(participant)

    def commit(self) -> None:
        """Make all changes visible at once and let the next writer in."""
        for participant in self._participants:
            participant.commit()
        self._release()

    def rollback(self) -> None:
        """Forget all changes and let the next writer in."""
        for participant in self._participants:
            participant.rollback()
        self._release()


class InMemoryDatabase:
    """Ties in-memory adapters together, so that what is written through them commits as one.

    It works like SQLite: one transaction writes at a time, from its first write to its commit or
    rollback; the others wait in line. Readers never wait and see what is committed. The order of
    commits is therefore the order of writing.

    Args:
        lock_timeout: How many seconds a writer waits for the one before it.
    """

    def __init__(self, *, lock_timeout: float = 10.0) -> None:
        self._writer = asyncio.Lock()
        self._lock_timeout = lock_timeout

    async def begin(self) -> Transaction:
        """Wait to be the writer; a cancelled or refused waiter leaves the line.

        Raises:
            TransientPersistenceError: Another transaction kept on writing.
        """
        # Talking to a real database gives way to other tasks: so that races show up here as well.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._lock_timeout):
                await self._writer.acquire()
        except TimeoutError:
            msg = (
                f"another unit of work has been writing for {self._lock_timeout:g} s; if it waits "
                "for this task, it never ends: do such work in one task or after the commit"
            )
            raise TransientPersistenceError(msg) from None
        return Transaction(self._writer.release)


class Table(Participant, Generic[K, V]):
    """Rows by key, in the order they were added.

    Rows are shared, not copied: put only what nobody changes any more.

    Args:
        rows: Committed rows to begin with.
    """

    def __init__(self, rows: Iterable[tuple[K, V]] = ()) -> None:
        self._committed: dict[K, V | None] = dict(rows)
        # Of the one writer there can be; None stands for a deleted row.
        self._pending: dict[K, V | None] = {}

    def get(self, key: K, transaction: Transaction | None) -> V | None:
        """Return a row as the transaction sees it, or as it is committed."""
        if transaction is not None and key in self._pending:
            return self._pending[key]
        return self._committed.get(key)

    def items(self, transaction: Transaction | None) -> Iterator[tuple[K, V]]:
        """Yield keys and rows; change nothing meanwhile."""
        rows = self._committed
        if transaction is not None and self._pending:
            rows = rows | self._pending
        return ((key, row) for key, row in rows.items() if row is not None)

    def was_changed(self, key: K, transaction: Transaction | None) -> bool:
        """Whether the transaction itself has put or deleted the row."""
        return transaction is not None and key in self._pending

    def put(self, key: K, row: V, transaction: Transaction) -> None:
        """Add or replace a row."""
        transaction.enlist(self)
        self._pending[key] = row

    def delete(self, key: K, transaction: Transaction) -> None:
        """Remove a row."""
        transaction.enlist(self)
        self._pending[key] = None

    def commit(self) -> None:
        for key, row in self._pending.items():
            if row is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = row
        self._pending.clear()

    def rollback(self) -> None:
        self._pending.clear()
