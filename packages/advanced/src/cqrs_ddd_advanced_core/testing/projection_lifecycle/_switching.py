"""From asynchronous to inline and back, under load: every event once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionSwitchError,
    ProjectionSwitchingError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import (
    Bank,
    ProjectionLifecycleSuite,
    deposited,
)
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError, TransientPersistenceError
from cqrs_ddd_core.testing.conformance import needs

__all__ = ["SwitchingTests"]


class SwitchingTests(ProjectionLifecycleSuite):
    async def test_events_of_the_past_are_applied_before(self, bank: Bank) -> None:
        """Backfilling: from asynchronous at 0, whether a worker has begun or not."""
        for number in range(25):
            await bank.run(deposited(f"a{number % 3}"))
        await bank.become_inline()
        assert (await bank.balances())["total"] == 25
        await bank.run(deposited("a1"))
        assert (await bank.balances())["total"] == 26

    async def test_switching_twice_changes_nothing(self, bank: Bank) -> None:
        await bank.become_inline()
        await bank.become_inline()
        await bank.run(deposited("a1"))
        await bank.switch.to_asynchronous("accounts")
        await bank.switch.to_asynchronous("accounts")
        await bank.run(deposited("a1"))
        await bank.work()
        assert await bank.balances() == {"a1": 2, "total": 2}

    async def test_a_backlog_is_left_to_a_worker(self, bank: Bank) -> None:
        """Commands would be refused for as long as it takes."""
        for _ in range(12):
            await bank.run(deposited("a1"))
        with pytest.raises(ProjectionSwitchError, match="positions behind"):
            await bank.switch.to_inline("accounts", max_lag=10)
        assert await bank.state() == "running"
        await bank.work()
        await bank.switch.to_inline("accounts", max_lag=10)
        assert await bank.balances() == {"a1": 12, "total": 12}

    async def test_commands_are_refused_meanwhile(self, bank: Bank) -> None:
        await bank.become_inline()
        async with bank.store.unit_of_work():
            await bank.store.checkpoints.set_position(
                "accounts", 1, 0, state=CheckpointState.SWITCHING
            )
        with pytest.raises(ProjectionSwitchingError):
            await bank.run(deposited("a1"))
        assert await bank.events.get_head_position() == 0
        # Whoever takes it up may go either way.
        await bank.switch.to_asynchronous("accounts")
        await bank.run(deposited("a1"))
        await bank.work()
        assert await bank.balances() == {"a1": 1, "total": 1}

    async def test_an_event_that_cannot_be_applied_leaves_it_asynchronous(self, bank: Bank) -> None:
        await bank.run(deposited("a1"))
        await bank.run(deposited("a2"))
        bank.fails_on = "a2"
        with pytest.raises(ProjectorError):
            await bank.switch.to_inline("accounts")
        assert await bank.state() == "running"
        bank.fails_on = None
        await bank.work()
        assert await bank.balances() == {"a1": 1, "a2": 1, "total": 2}

    @pytest.mark.parametrize("stop", ["pause", "halt"])
    async def test_a_projection_that_stands_still_is_not_switched(
        self, bank: Bank, stop: str
    ) -> None:
        checkpoints, [key] = bank.store.checkpoints, bank.registry.get("accounts").keys
        await checkpoints.ensure([key])
        if stop == "pause":
            await checkpoints.pause("accounts", 1)
        else:
            [lease] = await checkpoints.lease("someone", [key], seconds=30)
            await checkpoints.halt(lease, "no")
        with pytest.raises(ProjectionSwitchError, match=stop):
            await bank.switch.to_inline("accounts")

    async def test_a_version_that_does_not_serve_is_not_switched(self, bank: Bank) -> None:
        """Its rows are beside those that serve, where commands would not find them."""
        await bank.store.checkpoints.serve("accounts", 7)
        with pytest.raises(ProjectionSwitchError, match="another version"):
            await bank.switch.to_inline("accounts")

    async def test_parked_events_are_decided_before(self, bank: Bank) -> None:
        await bank.run(deposited("a1"))
        stored = [event async for event in bank.events.read_all()]
        async with bank.store.unit_of_work():
            [key] = bank.registry.get("accounts").keys
            await bank.store.parked_events.park(key, stored[0], "no")
        with pytest.raises(ProjectionSwitchError, match="parked"):
            await bank.switch.to_inline("accounts")

    @needs("concurrent_transactions")
    @pytest.mark.parametrize("to", ["inline", "asynchronous"])
    async def test_a_switch_waits_for_the_commands_under_way(self, bank: Bank, to: str) -> None:
        """What they have decided to apply, or to leave to a worker, holds until they commit."""
        await bank.run(deposited("a1"))
        await bank.become_inline()
        if to == "inline":
            await bank.switch.to_asynchronous("accounts")
        is_held, may_commit = asyncio.Event(), asyncio.Event()

        async def hold(_: object) -> None:
            is_held.set()
            await may_commit.wait()

        async def command() -> None:
            async with bank.unit_of_work() as uow:
                uow.add_events([deposited("a2")])
                uow.after_record(hold)

        under_way = asyncio.create_task(command())
        await is_held.wait()
        switch = bank.switch.to_inline if to == "inline" else bank.switch.to_asynchronous
        switching = asyncio.create_task(switch("accounts"))
        done, _ = await asyncio.wait([switching], timeout=0.1)
        assert not done
        may_commit.set()
        await asyncio.gather(under_way, switching)
        await bank.run(deposited("a3"))
        await bank.work()
        assert await bank.balances() == {"a1": 1, "a2": 1, "a3": 1, "total": 3}

    @needs("concurrent_transactions")
    async def test_every_event_is_applied_once_while_it_switches_to_and_fro(
        self, bank: Bank
    ) -> None:
        """G6: commands, a worker and the switch at the same time, and some roll back."""
        load = _Load(bank)
        async with asyncio.timeout(60):
            await asyncio.gather(*map(load.command, range(5)), load.work(), load.switch())
        stored = [event async for event in bank.events.read_all()]
        balances = await bank.balances()
        assert balances.pop("total") == len(stored) > 0
        assert balances == Counter(event.aggregate_id for event in stored)


class _Load:
    """Commands, a worker and an operator, until the operator is done."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._stop = asyncio.Event()

    async def command(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                async with self._bank.unit_of_work() as uow:
                    uow.add_events([deposited(f"a{number}"), deposited(f"a{number + 5}")])
                    await asyncio.sleep(0.001 * (number % 3))
                    if number == 4:
                        await uow.rollback()
            except (ConcurrencyError, TransientPersistenceError):
                await asyncio.sleep(0.002)

    async def work(self) -> None:
        while not self._stop.is_set():
            await self._bank.work()
            await asyncio.sleep(0.001)

    async def switch(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0.05)
            await self._bank.switch.to_inline("accounts")
            await asyncio.sleep(0.05)
            await self._bank.switch.to_asynchronous("accounts")
        await self._bank.switch.to_inline("accounts")
        self._stop.set()
