"""The unit of work of the in-memory adapters."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope, get_current_uow
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Transaction

__all__ = ["InMemoryUnitOfWork", "current_transaction", "write_transaction"]


class InMemoryUnitOfWork(UnitOfWork):
    """Commits what in-memory adapters wrote, or forgets it.

    Every in-memory database that is written to while it is current takes part. Adapters made
    without a database have one each: two units of work that write to such adapters in different
    order can wait for each other until one is refused; one shared database rules that out.

    Args:
        database: The only one that may take part, when given.
    """

    def __init__(self, database: InMemoryDatabase | None = None) -> None:
        super().__init__()
        self._database = database
        self._transactions: dict[InMemoryDatabase, Transaction] = {}

    def transaction(self, database: InMemoryDatabase) -> Transaction | None:
        """Return what it has written in a database, ``None`` when nothing; for adapters."""
        return self._transactions.get(database)

    async def enlist(self, database: InMemoryDatabase) -> Transaction:
        """Begin to write in a database, or go on with it; for adapters.

        Raises:
            UnitOfWorkError: This unit of work is not active.
            ConfigurationError: It belongs to another database.
            TransientPersistenceError: Another one kept on writing.
        """
        self.ensure_active()
        if self._database not in (None, database):
            msg = (
                "this unit of work belongs to another in-memory database than the adapter: "
                "give both the same InMemoryDatabase"
            )
            raise ConfigurationError(msg)
        transaction = self._transactions.get(database)
        if transaction is None:
            transaction = self._transactions[database] = await database.begin()
        return transaction

    async def _commit(self) -> None:
        while self._transactions:
            self._transactions.popitem()[1].commit()

    async def _rollback(self) -> None:
        while self._transactions:
            self._transactions.popitem()[1].rollback()


def current_transaction(database: InMemoryDatabase) -> Transaction | None:
    """Return what the current unit of work has written in a database; for readers."""
    scope = current_scope()
    uow = None if scope is None else scope.uow
    return uow.transaction(database) if isinstance(uow, InMemoryUnitOfWork) else None


@asynccontextmanager
async def write_transaction(database: InMemoryDatabase) -> AsyncIterator[Transaction]:
    """Write in the current unit of work, or in a transaction that ends with the block.

    Check everything before the first change: in a unit of work, an exception undoes nothing.

    Raises:
        ConfigurationError: The current unit of work is of another database.
    """
    uow = get_current_uow()
    if isinstance(uow, InMemoryUnitOfWork):
        yield await uow.enlist(database)
    elif uow is None:
        transaction = await database.begin()
        try:
            yield transaction
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit()
    else:
        msg = (
            f"an in-memory adapter cannot take part in a {type(uow).__name__}: "
            "use adapters of one database in a command"
        )
        raise ConfigurationError(msg)
