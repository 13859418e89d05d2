"""A relay outlives lost connections to its database and its broker, and loses nothing with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs_ddd_core.background import WorkerState
from cqrs_ddd_core.ports.publisher import IMessagePublisher
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging import OutboxRelay
from cqrs_ddd_persistence_sqlalchemy import PostgresWakeUp, SQLAlchemyOutboxStorage, create_engine
from tools.services.proxy import TcpProxy

QUICKLY = ExponentialBackoff(initial=0.01, maximum=0.2)
BATCH_SIZE = 50


@asynccontextmanager
async def _relay(
    engine: AsyncEngine, publisher: IMessagePublisher, *, lease_seconds: float = 3.0
) -> AsyncIterator[OutboxRelay]:
    """Run a relay on connections that are asked for an answer within a second."""
    wake_up = PostgresWakeUp(engine, backoff=QUICKLY)
    relay = OutboxRelay(
        SQLAlchemyOutboxStorage(engine),
        publisher,
        wake_up=wake_up,
        batch_size=BATCH_SIZE,
        poll_interval=0.05,
        backoff=QUICKLY,
        lease_seconds=lease_seconds,
    )
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
        await wake_up.stop()


def _assert_nothing_lost(ledger: Any, arrived: list[str], *, interruptions: int) -> None:
    account = ledger.account(arrived)
    assert (account.lost, account.ghosts, account.inverted) == (set(), set(), [])
    assert account.duplicates <= interruptions * BATCH_SIZE


async def test_f10_the_database_ends_all_sessions_again_and_again(
    ledger: Any, postgres_database: str, broker: Any
) -> None:
    """F10: the relay connects again and goes on."""
    queue = await broker.listen()
    own = create_engine(postgres_database)
    rounds = 8
    async with _relay(own, broker.publisher()) as relay:
        for _ in range(rounds):
            await ledger.write(300)
            async with ledger.engine.begin() as connection:
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.2)
        await ledger.wait_until_published()
        assert relay.status.state is not WorkerState.STOPPED
    await own.dispose()
    _assert_nothing_lost(ledger, await broker.take_ids(queue), interruptions=rounds)


async def test_f11_connections_to_the_database_are_cut_in_the_middle(
    ledger: Any, postgres_database: str, broker: Any
) -> None:
    """F11: within a frame."""
    queue, rounds = await broker.listen(), 6
    async with TcpProxy(postgres_database) as proxy:
        own = create_engine(proxy.url)
        async with _relay(own, broker.publisher()):
            for number in range(rounds):
                await ledger.write(300)
                proxy.cut_after(down=3_000 + 5_000 * number)
                await asyncio.sleep(0.2)
                await proxy.heal()
            await ledger.wait_until_published()
        await own.dispose()
    _assert_nothing_lost(ledger, await broker.take_ids(queue), interruptions=rounds)


@pytest.mark.parametrize(
    "seconds", [2.0, pytest.param(10.0, marks=[pytest.mark.fault, pytest.mark.timeout(300)])]
)
async def test_f12_the_database_is_silent_for_a_while(
    ledger: Any, postgres_database: str, broker: Any, seconds: float
) -> None:
    """F12: the relay resumes by itself."""
    queue = await broker.listen()
    async with TcpProxy(postgres_database) as proxy:
        own = create_engine(proxy.url, connect_args={"command_timeout": 1.0, "timeout": 1.0})
        async with _relay(own, broker.publisher()) as relay:
            await ledger.write(300)
            await ledger.wait_until_published()
            proxy.blackhole(up=True, down=True)
            await ledger.write(300)
            await asyncio.sleep(seconds)
            assert relay.status.failures
            await proxy.heal()
            await ledger.wait_until_published()
        await own.dispose()
    _assert_nothing_lost(ledger, await broker.take_ids(queue), interruptions=1)


@pytest.mark.parametrize(
    "seconds", [1.0, pytest.param(30.0, marks=[pytest.mark.fault, pytest.mark.timeout(300)])]
)
async def test_f20_the_broker_refuses_connections_for_a_while(
    ledger: Any, postgres_engine: AsyncEngine, broker: Any, proxy: TcpProxy, seconds: float
) -> None:
    """F20: the backlog is kept, nothing is parked, and it drains in order."""
    queue = await broker.listen()
    async with _relay(postgres_engine, broker.publisher(broker.connection(proxy.url))) as relay:
        await ledger.write(300)
        await ledger.wait_until_published()
        await proxy.refuse()
        await ledger.write(1000)
        await asyncio.sleep(seconds)
        health = await relay.health()
        assert (health.pending, health.parked) == (1000, 0)
        assert not health.is_healthy
        await proxy.heal()
        await ledger.wait_until_published()
        assert (await relay.health()).parked == 0
    _assert_nothing_lost(ledger, await broker.take_ids(queue), interruptions=1)
