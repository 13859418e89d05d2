"""Encoded stores keep the promises of the ports they wrap, in memory."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    EncodedEventStore,
    EncodedOutboxStorage,
    KeyRing,
    PayloadCodecs,
    PersonalDataCodec,
    SubjectKeys,
    ZstdCodec,
)
from cqrs_ddd_advanced_core.testing.event_sourcing import (
    EventSourcingConformance,
    EventSourcingSubject,
)
from cqrs_ddd_core import EventTypeRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.testing import (
    EventStoreConformance,
    EventStoreSubject,
    OutboxConformance,
    OutboxSubject,
)

RING = KeyRing({"2026": KeyRing.generate_key()})
CODECS = PayloadCodecs([ZstdCodec(min_size=64), AesGcmCodec(RING)])


def _personal_data(database: InMemoryDatabase) -> PersonalDataCodec:
    keys = SubjectKeys(InMemorySubjectKeyStore(database), RING)
    return PersonalDataCodec(EventTypeRegistry(), keys)


class TestEncryptedEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        database = InMemoryDatabase()
        store = EncodedEventStore(
            InMemoryEventStore(database), CODECS, personal_data=_personal_data(database)
        )
        return EventStoreSubject(store, lambda: InMemoryUnitOfWork(database))


class TestEventStoreWithoutCodecs(EventStoreConformance):
    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        database = InMemoryDatabase()
        store = EncodedEventStore(InMemoryEventStore(database))
        return EventStoreSubject(store, lambda: InMemoryUnitOfWork(database))


class TestEncryptedOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self) -> OutboxSubject:
        database, clock = InMemoryDatabase(), FixedClock()
        storage = EncodedOutboxStorage(
            InMemoryOutboxStorage(database, clock=clock),
            CODECS,
            personal_data=_personal_data(database),
        )

        async def pass_time(seconds: float) -> None:
            clock.advance(seconds)

        return OutboxSubject(storage, lambda: InMemoryUnitOfWork(database), pass_time)


class TestEncryptedEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self) -> EventSourcingSubject:
        database = InMemoryDatabase()
        personal_data = _personal_data(database)
        return EventSourcingSubject(
            EncodedEventStore(InMemoryEventStore(database), CODECS, personal_data=personal_data),
            EncodedOutboxStorage(
                InMemoryOutboxStorage(database), CODECS, personal_data=personal_data
            ),
            lambda: InMemoryUnitOfWork(database),
        )
