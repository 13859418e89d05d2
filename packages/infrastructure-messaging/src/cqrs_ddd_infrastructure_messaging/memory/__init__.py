"""A broker in memory, for tests of programs that use messages."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.memory.consumer import InMemoryTransportConsumer
from cqrs_ddd_infrastructure_messaging.memory.dead_letters import InMemoryDeadLetters
from cqrs_ddd_infrastructure_messaging.memory.faults import Fault, FaultPlan
from cqrs_ddd_infrastructure_messaging.memory.transport import InMemoryTransport

__all__ = [
    "Fault",
    "FaultPlan",
    "InMemoryDeadLetters",
    "InMemoryTransport",
    "InMemoryTransportConsumer",
]
