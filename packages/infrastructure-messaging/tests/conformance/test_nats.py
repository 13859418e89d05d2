"""NATS JetStream keeps the promises of publishers and consumers, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing import (
    ConsumerConformance,
    ConsumerSubject,
    PublisherConformance,
    PublisherSubject,
)

if TYPE_CHECKING:
    from tests.conformance.conftest import NATS


class TestNATSPublisher(PublisherConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> PublisherSubject:
        return PublisherSubject(
            nats_server.publisher(),
            # One at a time: messages arrive as they were sent.
            lambda: nats_server.consumer(partitions=1),
            refused_bytes=10_001,
        )


class TestNATSConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> ConsumerSubject:
        return _subject(nats_server, partitions=0)


class TestPartitionedNATSConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> ConsumerSubject:
        return _subject(nats_server, partitions=2)


def _subject(server: NATS, *, partitions: int) -> ConsumerSubject:
    return ConsumerSubject(
        new_consumer=lambda: server.consumer(partitions=partitions),
        publisher=server.publisher(),
        max_attempts=3,
        dead_letters=server.dead_messages,
    )
