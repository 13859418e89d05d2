"""The in-memory publisher keeps the promises of its port, and its bounds."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryMessageBus,
    InMemoryMessageConsumer,
    InMemoryMessagePublisher,
)
from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_core.testing import PublisherConformance, PublisherSubject
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message


class TestInMemoryMessagePublisher(PublisherConformance):
    @pytest.fixture
    def subject(self) -> PublisherSubject:
        bus = InMemoryMessageBus(max_payload_bytes=1_000)
        return PublisherSubject(
            InMemoryMessagePublisher(bus), lambda: InMemoryMessageConsumer(bus), 1_001
        )


async def test_a_message_nobody_asked_for_is_confirmed_and_forgotten() -> None:
    assert list(await InMemoryMessagePublisher(InMemoryMessageBus()).publish([new_message()])) == [
        None
    ]


async def test_a_full_queue_refuses_messages() -> None:
    """G11."""
    bus = InMemoryMessageBus(max_queued=2)
    await InMemoryMessageConsumer(bus).subscribe(
        ["SampleOrderPlaced"], Received(), consumer="stopped"
    )
    messages = [new_message(f"Order-{number}") for number in range(3)]
    outcomes = await InMemoryMessagePublisher(bus).publish(messages)
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), MessagingError]
