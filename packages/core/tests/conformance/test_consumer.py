"""The in-memory consumer keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryMessageBus,
    InMemoryMessageConsumer,
    InMemoryMessagePublisher,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing import ConsumerConformance, ConsumerSubject
from cqrs_ddd_core.testing.publisher import Received

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.outbox import OutboxMessage


class TestInMemoryMessageConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self) -> ConsumerSubject:
        bus = InMemoryMessageBus(max_attempts=3)

        async def dead_letters(consumer: str) -> list[OutboxMessage]:
            return bus.dead_letters(consumer)

        return ConsumerSubject(
            lambda: InMemoryMessageConsumer(bus), InMemoryMessagePublisher(bus), 3, dead_letters
        )


async def test_one_consumer_name_cannot_have_two_handlers() -> None:
    """X-5: a message would reach the wrong one."""
    bus = InMemoryMessageBus()
    consumer = InMemoryMessageConsumer(bus)
    await consumer.subscribe(["A"], Received(), consumer="billing")
    with pytest.raises(ConfigurationError):
        await consumer.subscribe(["B"], Received(), consumer="billing")
    with pytest.raises(ConfigurationError):
        await InMemoryMessageConsumer(bus).subscribe(["B"], Received(), consumer="billing")
