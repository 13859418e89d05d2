"""Who asks how far projections are, and who waits for them."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionHaltedError,
    ProjectionLagError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.projections import (
    ProjectionMonitor,
    ProjectionWaiter,
    ProjectionWorker,
    Staleness,
)
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import (
    Bank,
    Noted,
    ProjectionLifecycleSuite,
    deposited,
)
from cqrs_ddd_core.adapters.memory.wake_up import InMemoryWakeUp
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.primitives.clock import FixedClock, utc_now
from cqrs_ddd_core.primitives.exceptions import UnitOfWorkError
from cqrs_ddd_core.testing.samples import new_event, new_stream

__all__ = ["StatusTests", "WaitingTests"]


class WaitingTests(ProjectionLifecycleSuite):
    @pytest.fixture
    def waiter(self, bank: Bank) -> ProjectionWaiter:
        return ProjectionWaiter(bank.registry, bank.events)

    async def test_what_shows_already_is_not_waited_for(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        position = await bank.run(deposited("a1"))
        await bank.work()
        await waiter.wait_for("accounts", position, timeout=0)

    async def test_a_wait_ends_when_the_event_shows(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        position = await bank.run(deposited("a1"))
        waiting = [asyncio.create_task(waiter.wait_for("accounts", position)) for _ in range(20)]
        done, _ = await asyncio.wait(waiting, timeout=0.02)
        assert not done
        await bank.work()
        await asyncio.gather(*waiting)

    async def test_the_worker_wakes_those_who_wait(self, bank: Bank) -> None:
        """However long the pauses between looks are; hints are not needed, but they help."""
        wake_up = InMemoryWakeUp()
        waiter = ProjectionWaiter(bank.registry, bank.events, wake_up=wake_up)
        woken: list[None] = []
        wake_up.listen("projection:accounts", lambda: woken.append(None))
        worker = ProjectionWorker(bank.registry, bank.events, wake_up=wake_up, poll_interval=0.005)
        await worker.start()
        try:
            position = await bank.run(deposited("a1"))
            await waiter.wait_for("accounts", position)
        finally:
            await worker.stop()
        assert await bank.balances() == {"a1": 1, "total": 1}
        assert woken

    async def test_events_nobody_projects_are_passed(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        position = await bank.run(Noted(aggregate_type="Account", aggregate_id="a1"))
        await bank.work()
        await waiter.wait_for("accounts", position, timeout=0)

    async def test_a_wait_in_vain_tells_how_far_it_came(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        first = await bank.run(deposited("a1"))
        await bank.work()
        second = await bank.run(deposited("a1"))
        with pytest.raises(ProjectionLagError) as caught:
            await waiter.wait_for("accounts", second, timeout=0.02)
        assert (caught.value.wanted, caught.value.reached) == (second, first)
        stale = await waiter.wait_up_to("accounts", second, timeout=0.02)
        assert (stale.position, stale.head, stale.is_current) == (first, second, False)
        assert stale.lag == second - first
        await bank.work()
        assert await waiter.wait_up_to("accounts", second) == Staleness(second, second, 0.0)

    async def test_nobody_waits_for_a_projection_that_is_halted(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        """Who waits already learns of it too."""
        first = await bank.run(deposited("a1"))
        await bank.work()
        bank.fails_on = "a1"
        second = await bank.run(deposited("a1"))
        waiting = asyncio.create_task(waiter.wait_for("accounts", second, timeout=60))
        worker = ProjectionWorker(bank.registry, bank.events, attempts=1)
        await worker.run_once()
        await worker.stop()
        for wait in (waiting, waiter.wait_for("accounts", second, timeout=60)):
            with pytest.raises(ProjectionHaltedError, match="a1 is closed") as caught:
                await wait
            assert (caught.value.wanted, caught.value.reached) == (second, first)
        await waiter.wait_for("accounts", first, timeout=0)
        assert (await waiter.wait_up_to("accounts", second, timeout=60)).position == first

    async def test_inline_projections_show_whatever_is_committed(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        await bank.become_inline()
        position = await bank.run(deposited("a1"))
        await waiter.wait_for("accounts", position, timeout=0)
        assert (await waiter.staleness("accounts")).is_current

    async def test_nobody_waits_for_what_is_not_committed(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        """The worker may be waiting for this very unit of work."""
        await bank.run(deposited("a1"))
        await bank.work()
        async with bank.unit_of_work() as uow:
            result = await bank.events.append(new_stream(), [new_event()])
            uow.note_position(result.position)
            with pytest.raises(UnitOfWorkError, match="wait after it"):
                await waiter.wait_for("accounts", result.position)
            await uow.rollback()

    async def test_tenants_wait_for_their_own_events(
        self, bank: Bank, waiter: ProjectionWaiter
    ) -> None:
        position = await bank.run(deposited("a1"))
        await bank.work()
        with message_context(tenant_id="other"), pytest.raises(ProjectionLagError):
            await waiter.wait_for("accounts", position, timeout=0.01)

    def test_unknown_projections_are_refused_at_once(self, waiter: ProjectionWaiter) -> None:
        with pytest.raises(UnknownProjectionError, match="there is accounts"):
            waiter.catch_up("account")


class StatusTests(ProjectionLifecycleSuite):
    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock(utc_now())

    @pytest.fixture
    def monitor(self, bank: Bank, clock: FixedClock) -> ProjectionMonitor:
        return ProjectionMonitor(bank.registry, bank.events, clock=clock)

    async def test_a_projection_up_to_date_is_exactly_that(
        self, bank: Bank, monitor: ProjectionMonitor
    ) -> None:
        empty = await monitor.status("accounts")
        assert (empty.position, empty.head, empty.lag, empty.lag_seconds) == (0, 0, 0, 0.0)
        head = await bank.run(deposited("a1"))
        await bank.work()
        status = await monitor.status("accounts")
        assert (status.name, status.version, status.state) == ("accounts", 1, "running")
        assert (status.position, status.head, status.lag) == (head, head, 0)
        assert (status.lag_seconds, status.parked, status.error) == (0.0, 0, None)
        assert status.is_current

    async def test_lag_is_counted_in_positions_and_in_seconds(
        self, bank: Bank, monitor: ProjectionMonitor, clock: FixedClock
    ) -> None:
        """In seconds since the first event that waits, whatever came after it."""
        first = await bank.run(deposited("a1"))
        await bank.work()
        await bank.run(deposited("a1"))
        head = await bank.run(deposited("a1"))
        clock.advance(60)
        status = await monitor.status("accounts")
        assert (status.position, status.lag) == (first, head - first)
        assert 30 < status.lag_seconds < 90

    async def test_an_event_nobody_projects_makes_nobody_wait(
        self, bank: Bank, monitor: ProjectionMonitor, clock: FixedClock
    ) -> None:
        await bank.run(Noted(aggregate_type="Account", aggregate_id="a1"))
        clock.advance(60)
        status = await monitor.status("accounts")
        assert (status.lag_seconds, status.is_current) == (0.0, False)

    async def test_inline_projections_are_at_the_head(
        self, bank: Bank, monitor: ProjectionMonitor
    ) -> None:
        await bank.become_inline()
        head = await bank.run(deposited("a1"))
        status = await monitor.status("accounts")
        assert (status.state, status.position, status.lag_seconds) == ("inline", head, 0.0)

    async def test_owners_are_told(self, bank: Bank, monitor: ProjectionMonitor) -> None:
        worker = ProjectionWorker(bank.registry, bank.events, owner="me")
        await worker.run_once()
        assert (await monitor.status("accounts")).owners == ["me"]
        await worker.stop()
        assert (await monitor.status("accounts")).owners == []

    async def test_what_is_wrong_is_told(
        self, bank: Bank, monitor: ProjectionMonitor, clock: FixedClock
    ) -> None:
        assert (await monitor.check()).is_healthy
        bank.fails_on = "a1"
        await bank.run(deposited("a1"))
        clock.advance(120)
        health = await monitor.check(max_lag_seconds=60)
        assert len(health.problems) == 1
        assert "positions behind" in health.problems[0]
        worker = ProjectionWorker(bank.registry, bank.events, attempts=1)
        await worker.run_once()
        counting = ProjectionMonitor(bank.registry, bank.events, workers=[worker])
        health = await counting.check(max_lag_seconds=1_000)
        await worker.stop()
        assert not health.is_healthy
        assert ["a1 is closed" in problem for problem in health.problems] == [True]
        assert health.statuses[0].state == "halted"

    async def test_parked_events_are_counted(self, bank: Bank, monitor: ProjectionMonitor) -> None:
        await bank.run(deposited("a1"))
        stored = [event async for event in bank.events.read_all()]
        await bank.work()
        async with bank.store.unit_of_work():
            [key] = bank.registry.get("accounts").keys
            await bank.store.parked_events.park(key, stored[0], "no")
        assert (await monitor.status("accounts")).parked == 1
        assert (await monitor.check()).problems == ["accounts has 1 parked events"]

    async def test_hooks_are_told(self, bank: Bank, monitor: ProjectionMonitor) -> None:
        told: list[tuple[str, object, object]] = []

        async def hook(operation: str, details: object) -> None:
            assert isinstance(details, dict)
            told.append((operation, details["name"], details["lag"]))

        hooks = HookRegistry()
        hooks.register(hook, operations="projection:*")
        head = await bank.run(deposited("a1"))
        await monitor.report(hooks)
        assert told == [("projection:status", "accounts", head)]
