"""A projection is switched on PostgreSQL, however many commands are always under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.testing import ProjectionLifecycleSubject
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import ACCOUNTS, Bank, deposited
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def test_a_switch_gets_its_turn(postgres_engine: AsyncEngine) -> None:
    """Commands that overlap share the checkpoint all the time; locks of rows have no line."""
    store = SQLAlchemyProjectionStore(postgres_engine)
    await store.ensure(ACCOUNTS)
    bank = Bank(ProjectionLifecycleSubject(SQLAlchemyEventStore(postgres_engine), store))
    is_switched, committed = asyncio.Event(), 0

    async def hold(_: object) -> None:
        await asyncio.sleep(0.05)

    async def command(number: int) -> None:
        nonlocal committed
        while not is_switched.is_set():
            try:
                async with bank.unit_of_work() as uow:
                    uow.add_events([deposited(f"a{number}")])
                    uow.after_record(hold)
                committed += 1
            except ConcurrencyError:
                await asyncio.sleep(0.002)

    async def switch() -> None:
        await asyncio.sleep(0.1)
        await bank.switch.to_inline("accounts")
        is_switched.set()

    async with asyncio.timeout(60):
        await asyncio.gather(*map(command, range(6)), switch())
    assert (await bank.balances())["total"] == committed > 0
