"""A person gets all of their data, and nobody gets any of it once it is shredded."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore, InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    EncodedEventStore,
    KeyRing,
    PayloadCodecs,
    Personal,
    PersonalData,
    PersonalDataCodec,
    PersonalDataService,
    Shredded,
    SubjectKeys,
)
from cqrs_ddd_advanced_core.ports import Snapshot
from cqrs_ddd_core import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import EventFilter, EventPage, StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import MOMENT

RING = KeyRing({"k": KeyRing.generate_key()})


class Address(BaseModel):
    street: Annotated[str | Shredded, PersonalData(subject="customer_id")]


class Registered(DomainEvent):
    customer_id: str
    email: Annotated[str | Shredded, PersonalData(subject="customer_id")]
    born: Annotated[date | Shredded | None, PersonalData(subject="customer_id")] = None
    addresses: list[Address] = Field(default_factory=list)


class Invited(DomainEvent):
    email: Personal[str]


class Ticked(DomainEvent):
    count: int


class RecordingEventStore(InMemoryEventStore):
    """Remembers the filters it was read with."""

    def __init__(self, database: InMemoryDatabase) -> None:
        super().__init__(database)
        self.filters: list[EventFilter | None] = []

    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        self.filters.append(event_filter)
        return await super().read_page(after_position, limit=limit, event_filter=event_filter)


class App:
    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.registry = EventTypeRegistry()
        for event_class in (Registered, Invited, Ticked):
            self.registry.register(event_class)
        keys = SubjectKeys(InMemorySubjectKeyStore(self.database), RING)
        self.codec = PersonalDataCodec(self.registry, keys)
        self.rows = RecordingEventStore(self.database)
        codecs = PayloadCodecs([AesGcmCodec(RING)])
        self.store = EncodedEventStore(self.rows, codecs, personal_data=self.codec)
        self.snapshots = InMemorySnapshotStore(self.database)
        self.service = PersonalDataService(self.store, snapshots=self.snapshots)

    async def append(self, aggregate_id: str, *events: DomainEvent) -> None:
        stream = StreamId("Customer", aggregate_id)
        await self.store.append(stream, [serialize_event(event) for event in events])

    async def export(self, subject: str) -> list[tuple[str, str, int, str, object]]:
        return [
            (found.event_type, found.stream.aggregate_id, found.version, found.field, found.value)
            async for found in self.service.export(subject)
        ]


@pytest.fixture
async def app() -> App:
    app = App()
    street = Address(street="Ermou 1")
    await app.append(
        "1",
        Registered(customer_id="anna", email="a@b", born=date(2000, 1, 2), addresses=[street]),
        Ticked(count=1),
        Invited(email="guest"),
    )
    await app.append("anna", Invited(email="other"), Registered(customer_id="ben", email="b@b"))
    return app


async def test_all_values_of_a_subject_are_exported_in_order(app: App) -> None:
    assert await app.export("anna") == [
        ("Registered", "1", 1, "email", "a@b"),
        ("Registered", "1", 1, "born", "2000-01-02"),
        ("Registered", "1", 1, "addresses.0.street", "Ermou 1"),
        ("Invited", "anna", 1, "email", "other"),
    ]
    assert await app.export("1") == [("Invited", "1", 3, "email", "guest")]
    assert await app.export("nobody") == []


async def test_an_exported_value_says_where_and_when(app: App) -> None:
    [found] = [value async for value in app.service.export("1")]
    [event] = await app.store.get_events(StreamId("Customer", "1"), after_version=2)
    assert (found.subject, found.event_id, found.position) == ("1", event.event_id, event.position)
    assert found.occurred_at == event.occurred_at


async def test_only_events_with_personal_data_are_read(app: App) -> None:
    await app.export("anna")
    assert app.rows.filters == [EventFilter(event_types=frozenset({"Registered", "Invited"}))]


async def test_types_without_a_class_are_read_when_they_are_named(app: App) -> None:
    reader = PersonalDataCodec(EventTypeRegistry(), app.codec.keys)
    store = EncodedEventStore(app.rows, PayloadCodecs([AesGcmCodec(RING)]), personal_data=reader)
    forgetful = PersonalDataService(store)
    assert [value async for value in forgetful.export("anna")] == []
    knowing = PersonalDataService(store, event_types=["Registered", "Invited"])
    assert len([value async for value in knowing.export("anna")]) == 4


async def test_after_a_shred_the_export_holds_markers(app: App) -> None:
    assert await app.service.shred("anna") is True
    assert {value for *_, value in await app.export("anna")} == {Shredded("anna")}
    assert await app.export("1") == [("Invited", "1", 3, "email", "guest")]
    assert await app.service.shred("anna") is False


async def test_shredding_deletes_the_snapshots_of_streams_with_data_of_the_subject(
    app: App,
) -> None:
    for aggregate_id in ("1", "anna", "other"):
        stream = StreamId("Customer", aggregate_id)
        await app.snapshots.save_snapshot(Snapshot(stream, 1, "shape", b"a@b", MOMENT))
    await app.service.shred("anna")
    assert await app.snapshots.get_snapshot_count() == 1
    stream = StreamId("Customer", "1")
    await app.snapshots.save_snapshot(Snapshot(stream, 1, "shape", b"a@b", MOMENT))
    assert await app.service.delete_snapshots("anna") == 1


async def test_a_rolled_back_shred_leaves_keys_and_snapshots(app: App) -> None:
    stream = StreamId("Customer", "1")
    await app.snapshots.save_snapshot(Snapshot(stream, 1, "shape", b"a@b", MOMENT))
    async with rolled_back(lambda: InMemoryUnitOfWork(app.database)):
        await app.service.shred("anna")
    assert await app.snapshots.get_snapshot_count() == 1
    assert len(await app.export("anna")) == 4
    assert Shredded("anna") not in {value for *_, value in await app.export("anna")}


async def test_a_store_without_personal_data_is_refused(app: App) -> None:
    with pytest.raises(ConfigurationError, match="personal_data=PersonalDataCodec"):
        PersonalDataService(EncodedEventStore(app.rows))
