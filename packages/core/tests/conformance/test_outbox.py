"""The in-memory outbox keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.primitives.clock import FixedClock, utc_now
from cqrs_ddd_core.testing import OutboxConformance, OutboxSubject


class TestInMemoryOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self) -> OutboxSubject:
        database, clock = InMemoryDatabase(), FixedClock(utc_now())

        async def pass_time(seconds: float) -> None:
            clock.advance(seconds)

        return OutboxSubject(
            InMemoryOutboxStorage(database, clock=clock),
            lambda: InMemoryUnitOfWork(database),
            pass_time,
        )
