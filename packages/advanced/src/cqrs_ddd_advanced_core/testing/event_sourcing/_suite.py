"""What the parts of the suite have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.event_sourcing import (
    EventSourcedMediator,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount, register_account_handlers
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.ports.outbox import IOutboxStorage
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = ["EventSourcingSubject", "EventSourcingSuite", "queued", "stored", "stream_of"]


@dataclass(frozen=True)
class EventSourcingSubject:
    """An empty event store and outbox, and the units of work of their database."""

    event_store: IEventStore
    outbox: IOutboxStorage
    unit_of_work: UnitOfWorkFactory

    def repository(self, **options: Any) -> EventSourcedRepository[SampleAccount]:
        return EventSourcedRepository(self.event_store, SampleAccount, **options)

    def mediator(
        self, registry: HandlerRegistry | None = None, **options: Any
    ) -> EventSourcedMediator:
        if registry is None:
            registry = HandlerRegistry()
            register_account_handlers(registry, self.repository())
        orchestrator = EventSourcedPersistenceOrchestrator(self.event_store)
        orchestrator.register_event_sourced_type(SampleAccount.aggregate_type)
        return EventSourcedMediator(
            registry,
            self.unit_of_work,
            outbox=self.outbox,
            event_persistence_orchestrator=orchestrator,
            **options,
        )


class EventSourcingSuite(Conformance):
    """The base of the parts."""

    @pytest.fixture
    def subject(self) -> EventSourcingSubject:
        raise NotImplementedError("yield an EventSourcingSubject with an empty database")

    @pytest.fixture
    def accounts(self, subject: EventSourcingSubject) -> EventSourcedRepository[SampleAccount]:
        return subject.repository()


def stream_of(account_id: str) -> StreamId:
    return StreamId(SampleAccount.aggregate_type, account_id)


async def stored(subject: EventSourcingSubject, account_id: str) -> list[StoredEvent]:
    return await subject.event_store.get_events(stream_of(account_id))


async def queued(subject: EventSourcingSubject) -> set[UUID]:
    leases = await subject.outbox.lease_partitions("suite", seconds=60)
    claimed = await subject.outbox.claim_pending(leases, limit=1000)
    return {pending.message.message_id for pending in claimed}
