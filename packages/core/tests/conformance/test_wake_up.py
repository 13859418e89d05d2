"""The in-memory wake-up keeps what its port says."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryUnitOfWork,
    InMemoryWakeUp,
)
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC
from cqrs_ddd_core.testing import WakeUpConformance, WakeUpSubject
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_event, new_stream
from cqrs_ddd_core.testing.wake_up import Calls


class TestInMemoryWakeUp(WakeUpConformance):
    @pytest.fixture
    def subject(self) -> WakeUpSubject:
        wake_up = InMemoryWakeUp()
        return WakeUpSubject(wake_up, wake_up, InMemoryUnitOfWork)


async def test_new_events_are_announced_after_their_commit() -> None:
    database, wake_up, calls = InMemoryDatabase(), InMemoryWakeUp(), Calls()
    wake_up.listen(EVENTS_TOPIC, calls)
    store = InMemoryEventStore(database, wake_up=wake_up)
    async with InMemoryUnitOfWork(database):
        await store.append(new_stream(), [new_event()])
        assert calls.count == 0
    assert calls.count == 1
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await store.append(new_stream(), [new_event()])
    assert calls.count == 1
    await store.append(new_stream(), [new_event()])
    assert calls.count == 2
