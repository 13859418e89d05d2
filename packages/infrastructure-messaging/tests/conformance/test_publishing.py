"""A publisher around a publisher keeps the promises of a publisher."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryMessageBus,
    InMemoryMessageConsumer,
    InMemoryMessagePublisher,
)
from cqrs_ddd_core.testing import PublisherConformance, PublisherSubject
from cqrs_ddd_infrastructure_messaging import InstrumentedPublisher, KindPublisher


@pytest.fixture
def bus() -> InMemoryMessageBus:
    return InMemoryMessageBus(max_payload_bytes=1_000)


class TestKindPublisher(PublisherConformance):
    @pytest.fixture
    def subject(self, bus: InMemoryMessageBus) -> PublisherSubject:
        events, commands = InMemoryMessagePublisher(bus), InMemoryMessagePublisher(bus)
        publisher = KindPublisher(events=events, commands=commands)
        return PublisherSubject(publisher, lambda: InMemoryMessageConsumer(bus), 1_001)


class TestInstrumentedPublisher(PublisherConformance):
    @pytest.fixture
    def subject(self, bus: InMemoryMessageBus) -> PublisherSubject:
        publisher = InstrumentedPublisher(InMemoryMessagePublisher(bus))
        return PublisherSubject(publisher, lambda: InMemoryMessageConsumer(bus), 1_001)
