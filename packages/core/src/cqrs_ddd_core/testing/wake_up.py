"""What every wake-up must do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.ports.wake_up import IWakeUp, announce_after_commit
from cqrs_ddd_core.testing.conformance import Conformance, rolled_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["WakeUpConformance", "WakeUpSubject"]


@dataclass(frozen=True)
class WakeUpSubject:
    """Two wake-ups that should hear each other, not started, as in two processes.

    Attributes:
        unit_of_work: Makes units of work.
    """

    near: IWakeUp
    far: IWakeUp
    unit_of_work: UnitOfWorkFactory


class Calls:
    """Counts wake-ups and waits for the next."""

    def __init__(self) -> None:
        self.count: int = 0
        self._called = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._called.set()

    async def wait(self) -> None:
        async with asyncio.timeout(30):
            await self._called.wait()
        self._called.clear()

    def forget(self) -> None:
        """Count from here on; a start may wake everybody."""
        self.count = 0
        self._called.clear()


class WakeUpConformance(Conformance):
    """Hints reach those who listen, soon and at little cost; none of them is promised."""

    @pytest.fixture
    def subject(self) -> WakeUpSubject:
        raise NotImplementedError("return a WakeUpSubject")

    @pytest.fixture
    async def started(self, subject: WakeUpSubject) -> AsyncIterator[WakeUpSubject]:
        await subject.near.start()
        await subject.far.start()
        yield subject
        await subject.near.stop()
        await subject.far.stop()

    async def test_a_listener_is_woken_in_the_same_process(self, subject: WakeUpSubject) -> None:
        calls = Calls()
        subject.near.listen("orders", calls)
        subject.near.announce("orders")
        await calls.wait()

    async def test_a_listener_of_another_topic_sleeps_on(self, subject: WakeUpSubject) -> None:
        calls, others = Calls(), Calls()
        subject.near.listen("orders", calls)
        subject.near.listen("payments", others)
        subject.near.announce("orders")
        await calls.wait()
        assert others.count == 0

    async def test_all_listeners_of_a_topic_are_woken(self, subject: WakeUpSubject) -> None:
        calls = [Calls(), Calls()]
        for one in calls:
            subject.near.listen("orders", one)
        subject.near.announce("orders")
        for one in calls:
            await one.wait()

    async def test_who_listens_no_longer_is_not_woken(self, subject: WakeUpSubject) -> None:
        calls, others = Calls(), Calls()
        stop_listening = subject.near.listen("orders", calls)
        subject.near.listen("orders", others)
        stop_listening()
        stop_listening()
        subject.near.announce("orders")
        await others.wait()
        assert calls.count == 0

    async def test_a_listener_elsewhere_is_woken(self, started: WakeUpSubject) -> None:
        calls = Calls()
        started.far.listen("orders", calls)
        await _announce_until_heard(started.near, calls)

    async def test_any_topic_can_be_announced(self, started: WakeUpSubject) -> None:
        calls, topic = Calls(), "orders 'of' \"ü\""
        started.far.listen(topic, calls)
        await _announce_until_heard(started.near, calls, topic)

    async def test_many_announcements_wake_without_end(self, started: WakeUpSubject) -> None:
        calls = Calls()
        started.far.listen("orders", calls)
        for _ in range(1000):
            started.near.announce("orders")
        await calls.wait()
        await _announce_until_heard(started.near, calls)

    async def test_a_unit_of_work_announces_when_it_has_committed(
        self, subject: WakeUpSubject
    ) -> None:
        calls = Calls()
        subject.near.listen("orders", calls)
        async with subject.unit_of_work():
            announce_after_commit(subject.near, "orders")
            assert calls.count == 0
        await calls.wait()

    async def test_a_unit_of_work_that_rolled_back_announces_nothing(
        self, subject: WakeUpSubject
    ) -> None:
        calls = Calls()
        subject.near.listen("orders", calls)
        async with rolled_back(subject.unit_of_work):
            announce_after_commit(subject.near, "orders")
        assert calls.count == 0

    async def test_it_can_be_started_and_stopped_again(self, subject: WakeUpSubject) -> None:
        calls = Calls()
        await subject.near.stop()
        for _ in range(2):
            await subject.near.start()
        await subject.near.stop()
        await subject.near.stop()
        subject.near.listen("orders", calls)
        subject.near.announce("orders")
        await calls.wait()


async def _announce_until_heard(wake_up: IWakeUp, calls: Calls, topic: str = "orders") -> None:
    """Announce again and again, for any one hint may be lost."""
    calls.forget()
    async with asyncio.timeout(30):
        while not calls.count:
            wake_up.announce(topic)
            await asyncio.sleep(0.01)
