"""Every port in memory: for tests, for first steps, and as the reference of how ports behave."""

from __future__ import annotations

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.event_store import InMemoryEventStore
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.repository import InMemoryRepository
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork

__all__ = [
    "InMemoryDatabase",
    "InMemoryEventStore",
    "InMemoryInbox",
    "InMemoryOutboxStorage",
    "InMemoryRepository",
    "InMemoryUnitOfWork",
]
