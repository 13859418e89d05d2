"""Reading along in both databases, without the programs' own code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs_ddd_persistence_sqlalchemy import create_engine
from tools.messaging_demo.audit import Handled


class Progress(NamedTuple):
    """How many purchases have come how far."""

    recorded: int = 0
    published: int = 0
    rewarded: int = 0


class Databases:
    """The record store's database and the loyalty service's."""

    def __init__(self, store: AsyncEngine, loyalty: AsyncEngine) -> None:
        """Read from the two."""
        self._store = store
        self._loyalty = loyalty

    async def progress(self) -> Progress:
        """Return how far the purchases are; zeros while there are no tables yet."""
        recorded = await _count(self._store, "cqrs_outbox")
        published = await _count(self._store, "cqrs_outbox WHERE status = 'published'")
        return Progress(recorded, published, await _count(self._loyalty, "loyalty_ledger"))

    async def ledger(self) -> list[Handled]:
        """Return the purchases that had an effect, in the order in which they had it."""
        rows = await _rows(
            self._loyalty, "SELECT purchase_id, customer_id FROM loyalty_ledger ORDER BY number"
        )
        return [Handled(UUID(str(purchase)), customer) for purchase, customer in rows]

    async def accounts(self) -> dict[str, int]:
        """Return the points by customer."""
        rows = await _rows(self._loyalty, "SELECT customer_id, points FROM loyalty_accounts")
        return dict(map(tuple, rows))


@asynccontextmanager
async def open_databases(store_url: str, loyalty_url: str) -> AsyncIterator[Databases]:
    """Yield a reader of both."""
    store, loyalty = create_engine(store_url), create_engine(loyalty_url)
    try:
        yield Databases(store, loyalty)
    finally:
        await store.dispose()
        await loyalty.dispose()


async def _count(engine: AsyncEngine, source: str) -> int:
    try:
        ((count,),) = await _rows(engine, f"SELECT count(*) FROM {source}")  # noqa: S608 - ours
    except SQLAlchemyError:
        return 0
    return int(count)


async def _rows(engine: AsyncEngine, statement: str) -> Sequence[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).all()
