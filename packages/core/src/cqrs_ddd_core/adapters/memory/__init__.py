"""Every port in memory: for tests, for first steps, and as the reference of how ports behave."""

from __future__ import annotations

from cqrs_ddd_core.adapters.memory.cache import InMemoryCache
from cqrs_ddd_core.adapters.memory.consumer import InMemoryMessageConsumer
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.event_store import InMemoryEventStore
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.locking import InMemoryLockStrategy
from cqrs_ddd_core.adapters.memory.message_bus import InMemoryMessageBus
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.publisher import InMemoryMessagePublisher
from cqrs_ddd_core.adapters.memory.repository import InMemoryRepository
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.adapters.memory.wake_up import InMemoryWakeUp

__all__ = [
    "InMemoryCache",
    "InMemoryDatabase",
    "InMemoryEventStore",
    "InMemoryInbox",
    "InMemoryLockStrategy",
    "InMemoryMessageBus",
    "InMemoryMessageConsumer",
    "InMemoryMessagePublisher",
    "InMemoryOutboxStorage",
    "InMemoryRepository",
    "InMemoryUnitOfWork",
    "InMemoryWakeUp",
]
