"""Relays that are killed and stalled lose nothing, invent nothing and keep every stream's order.

From PostgreSQL to RabbitMQ, each relay a process; committed and arrived messages are compared by
their ids.
"""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Any

import pytest


async def test_f06_a_relay_killed_between_publishing_and_marking(
    ledger: Any, relays: Any, broker: Any
) -> None:
    """F06, G4: nothing is lost, and at most one batch arrives twice."""
    queue = await broker.listen()
    await ledger.write(200)
    killed = await relays.start(dies_by=signal.SIGKILL)
    confirmed = int((await relays.expect(killed, b"confirmed")).split()[1])
    await killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert await ledger.storage.count_pending() == 200
    await relays.start()
    await ledger.wait_until_published()
    account = ledger.account(await broker.take_ids(queue))
    assert (account.lost, account.ghosts, account.inverted) == (set(), set(), [])
    assert account.duplicates == confirmed


async def test_f08_a_relay_that_stalls_past_its_lease_marks_nothing(
    ledger: Any, relays: Any, broker: Any
) -> None:
    """F08: another one has taken over by then, and the epoch fences the first."""
    queue = await broker.listen()
    await ledger.write(200)
    stalled = await relays.start(dies_by=signal.SIGSTOP)
    confirmed = int((await relays.expect(stalled, b"confirmed")).split()[1])
    await relays.start()
    await ledger.wait_until_published()
    stalled.send_signal(signal.SIGCONT)
    # It goes on with its share.
    await ledger.write(200)
    await ledger.wait_until_published()
    logged = await relays.stop(stalled)
    assert "lost leases" in logged
    account = ledger.account(await broker.take_ids(queue))
    assert (account.lost, account.ghosts, account.inverted) == (set(), set(), [])
    assert account.duplicates == confirmed


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(12, marks=[pytest.mark.fault, pytest.mark.timeout(900)]),
    ],
)
async def test_f07_relays_killed_at_random(
    ledger: Any, relays: Any, broker: Any, kills: int
) -> None:
    """F07, G4, S-10: three relays while writers commit and roll back."""
    chance, queue = random.Random(kills), await broker.listen()  # noqa: S311 - repeatable
    await ledger.write(1000)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.write_transactions(100 * kills))
        await asyncio.gather(*(relays.start() for _ in range(3)))
        for _ in range(kills):
            await asyncio.sleep(chance.random() * 0.3)
            await relays.kill(chance.choice(relays.running))
            await relays.start()
    await ledger.wait_until_published()
    account = ledger.account(await broker.take_ids(queue))
    assert (account.lost, account.ghosts, account.inverted) == (set(), set(), [])
    assert account.duplicates <= kills * relays.batch_size


async def test_a_relay_that_is_told_to_stop_leaves_nothing_leased(
    ledger: Any, relays: Any, broker: Any
) -> None:
    """G10: SIGTERM; the next one need not wait for the lease."""
    queue = await broker.listen()
    await ledger.write(200)
    first = await relays.start()
    await relays.stop(first)
    leases = await ledger.storage.lease_partitions("another", seconds=60)
    assert len(leases) == ledger.storage.partitions
    await ledger.storage.release_partitions("another")
    await relays.start()
    await ledger.wait_until_published()
    account = ledger.account(await broker.take_ids(queue))
    assert (account.lost, account.inverted, account.duplicates) == (set(), [], 0)
