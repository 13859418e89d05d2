"""Encoded stores keep the promises of the ports they wrap, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

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
from cqrs_ddd_core.testing import (
    EventStoreConformance,
    EventStoreSubject,
    OutboxConformance,
    OutboxSubject,
)
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyOutboxStorage,
    SQLAlchemySubjectKeyStore,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

# Whole suites once more: `make conformance` runs them, and `make test` those in memory.
pytestmark = pytest.mark.slow

RING = KeyRing({"2026": KeyRing.generate_key()})
CODECS = PayloadCodecs([ZstdCodec(min_size=64), AesGcmCodec(RING)])
ONE_CONNECTION = {"concurrent_transactions": "a database in memory has one connection"}


def _store(engine: AsyncEngine) -> EncodedEventStore:
    return EncodedEventStore(
        SQLAlchemyEventStore(engine), CODECS, personal_data=_personal_data(engine)
    )


def _outbox(engine: AsyncEngine) -> EncodedOutboxStorage:
    return EncodedOutboxStorage(
        SQLAlchemyOutboxStorage(engine), CODECS, personal_data=_personal_data(engine)
    )


def _personal_data(engine: AsyncEngine) -> PersonalDataCodec:
    keys = SubjectKeys(SQLAlchemySubjectKeyStore(engine), RING)
    return PersonalDataCodec(EventTypeRegistry(), keys)


class TestEncryptedSQLiteEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventStoreSubject:
        return EventStoreSubject(_store(sqlite_engine), lambda: SQLAlchemyUnitOfWork(sqlite_engine))


class TestEncryptedSQLiteMemoryEventStore(EventStoreConformance):
    lacks: ClassVar[Mapping[str, str]] = ONE_CONNECTION

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> EventStoreSubject:
        return EventStoreSubject(
            _store(sqlite_memory_engine), lambda: SQLAlchemyUnitOfWork(sqlite_memory_engine)
        )


class TestEncryptedPostgresEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventStoreSubject:
        return EventStoreSubject(
            _store(postgres_engine), lambda: SQLAlchemyUnitOfWork(postgres_engine)
        )


class TestEncryptedSQLiteOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> OutboxSubject:
        return OutboxSubject(_outbox(sqlite_engine), lambda: SQLAlchemyUnitOfWork(sqlite_engine))


class TestEncryptedPostgresOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> OutboxSubject:
        return OutboxSubject(
            _outbox(postgres_engine), lambda: SQLAlchemyUnitOfWork(postgres_engine)
        )


class TestEncryptedSQLiteEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventSourcingSubject:
        return EventSourcingSubject(
            _store(sqlite_engine),
            _outbox(sqlite_engine),
            lambda: SQLAlchemyUnitOfWork(sqlite_engine),
        )


class TestEncryptedPostgresEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventSourcingSubject:
        return EventSourcingSubject(
            _store(postgres_engine),
            _outbox(postgres_engine),
            lambda: SQLAlchemyUnitOfWork(postgres_engine),
        )
