"""What every transport must do, beside what core asks of its publisher and its consumer."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.testing.dead_letters import DeadLetterTests
from cqrs_ddd_infrastructure_messaging.testing.delivery import DeliveryTests
from cqrs_ddd_infrastructure_messaging.testing.faults import FaultTests

__all__ = ["TransportConformance"]


class TransportConformance(DeliveryTests, DeadLetterTests, FaultTests):
    """The promises of a whole transport: publisher, consumers and dead letters together.

    Run ``PublisherConformance`` and ``ConsumerConformance`` of ``cqrs_ddd_core.testing`` as well;
    nothing of them is repeated here. What a transport may lack, with a reason:

    ``patterns``: consumers that ask for topics; ``partitions``: several consumers that keep
    streams in order; ``stranger``: bytes that no serializer of ours has written; ``crash`` and
    ``cut``: faults that can be brought about from a test.
    """
