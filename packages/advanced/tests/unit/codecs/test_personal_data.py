"""Personal values are encrypted for their subject, and read as markers once it is shredded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json, to_json

from cqrs_ddd_advanced_core.adapters.memory import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    EncodedEventStore,
    EncodedOutboxStorage,
    KeyRing,
    PayloadCodecs,
    Personal,
    PersonalData,
    PersonalDataCodec,
    PersonalDataService,
    Shredded,
    SubjectKeys,
)
from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadTamperedError,
    PersonalDataDefinitionError,
    SubjectKeyMissingError,
    SubjectMissingError,
    SubjectShreddedError,
)
from cqrs_ddd_advanced_core.ports import SubjectKey
from cqrs_ddd_core import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.domain.specification import AttributeSpecification as Where
from cqrs_ddd_core.domain.specification import SpecificationOperator
from cqrs_ddd_core.ports.event_store import EventFilter, NewEvent, StreamId
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.ports.payload_condition import PayloadCondition
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EventPayloadError,
    SpecificationValueError,
)
from cqrs_ddd_core.testing.conformance import rolled_back

RING = KeyRing({"k": KeyRing.generate_key()})
STREAM = StreamId("Customer", "c-1")
EQUAL = SpecificationOperator.EQUAL


class Sort(StrEnum):
    HOME = "home"


class Address(BaseModel):
    street: Personal[str]
    city: str = "Athens"
    sort: Sort = Sort.HOME


class Passenger(BaseModel):
    id: int
    name: Annotated[str | Shredded, PersonalData(subject="id")]


class Card(BaseModel):
    holder: Personal[str]


class Voucher(BaseModel):
    code: str
    holder: int = 0


class Registered(DomainEvent):
    email: Personal[str]
    plan: str = "free"
    born: Personal[date] | None = None
    balance: Personal[Decimal] = Decimal("0.10")
    seen_at: Personal[datetime | None] = None
    reference: Personal[UUID | None] = None
    extras: Personal[dict[str, Any]] = Field(default_factory=dict)
    addresses: list[Address] = Field(default_factory=list)
    by_name: dict[str, Address] = Field(default_factory=dict)


class Booked(DomainEvent):
    agent_id: str
    agent: Annotated[str | Shredded, PersonalData(subject="agent_id")]
    passengers: tuple[Passenger, ...] = ()
    payment: Card | Voucher | None = None


class Opened(DomainEvent):
    plan: str


class Planted(DomainEvent):
    kind: Literal["oak", "elm"]
    root: Node


class Node(BaseModel):
    name: Personal[str]
    children: list[Node] = Field(default_factory=list)


class Aliased(DomainEvent):
    customer: str = Field(alias="customerId")
    email: Annotated[str | Shredded, PersonalData(subject="customer")] = Field(alias="eMail")


class WrittenByAlias(Aliased):
    model_config = ConfigDict(serialize_by_alias=True)


REGISTRY = EventTypeRegistry()
for event_class in (Registered, Booked, Opened, Planted, Aliased, WrittenByAlias):
    REGISTRY.register(event_class)


class CountingKeyStore(InMemorySubjectKeyStore):
    """Counts how often it is asked."""

    calls = 0

    async def find(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        self.calls += 1
        return await super().find(subjects)

    async def get_or_create(self, proposed: Mapping[str, bytes]) -> dict[str, SubjectKey]:
        self.calls += 1
        return await super().get_or_create(proposed)


class App:
    """An event store and an outbox on one database, with everything switched on."""

    def __init__(self, codecs: PayloadCodecs | None = None, *, cache_seconds: float = 0) -> None:
        self.database = InMemoryDatabase()
        self.key_store = CountingKeyStore(self.database)
        self.keys = SubjectKeys(self.key_store, RING, cache_seconds=cache_seconds)
        self.codec = PersonalDataCodec(REGISTRY, self.keys)
        self.rows = InMemoryEventStore(self.database)
        self.store = EncodedEventStore(self.rows, codecs, personal_data=self.codec)
        self.outbox_rows = InMemoryOutboxStorage(self.database)
        self.outbox = EncodedOutboxStorage(self.outbox_rows, codecs, personal_data=self.codec)
        self.service = PersonalDataService(self.store)

    async def append(self, *events: DomainEvent, stream: StreamId = STREAM) -> None:
        await self.store.append(stream, [serialize_event(event) for event in events])

    async def read(self, stream: StreamId = STREAM) -> list[Any]:
        return EventSerializer(REGISTRY).deserialize_all(await self.store.get_events(stream))

    async def stored(self, stream: StreamId = STREAM) -> list[bytes]:
        return [event.payload_bytes for event in await self.rows.get_events(stream)]


@pytest.fixture(params=["personal data only", "and encrypted as a whole"])
def app(request: pytest.FixtureRequest) -> App:
    whole = request.param != "personal data only"
    return App(PayloadCodecs([AesGcmCodec(RING)]) if whole else None)


FULL = Registered(
    email="anna@example.com",
    born=date(2000, 2, 29),
    balance=Decimal("12345678901234567890.10"),
    seen_at=datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC),
    reference=UUID(int=5),
    extras={"pets": ["rex", 1.5e300, None, 2**70], "$shredded": ["no marker"]},
    addresses=[Address(street="Ermou 1"), Address(street="日本語", city="")],
    by_name={"work": Address(street="Stadiou 5")},
)
SECRETS = ["anna@", "2000-02-29", "1234567890", "2026-03-29", "Ermou", "日本語", "Stadiou", "rex"]


async def test_values_come_back_exactly_and_are_stored_encrypted(app: App) -> None:
    new = serialize_event(FULL)
    await app.store.append(STREAM, [new])
    [stored] = await app.store.get_events(STREAM)
    assert stored.payload_bytes == new.payload
    [event] = await app.read()
    assert event.model_dump(exclude=set(DomainEvent.model_fields)) == FULL.model_dump(
        exclude=set(DomainEvent.model_fields)
    )
    [row] = await app.stored()
    assert not [secret for secret in SECRETS if secret.encode() in row]


async def test_what_is_not_personal_stays_readable() -> None:
    app = App()
    await app.append(FULL)
    [row] = await app.stored()
    assert b'"plan":"free"' in row
    assert b'"city":"Athens"' in row
    assert row[0] != ord("{"), "a database must not look for values in it"


async def test_shredded_values_are_read_as_markers(app: App) -> None:
    await app.append(FULL)
    await app.append(Registered(email="ben"), stream=StreamId("Customer", "c-2"))
    assert await app.service.shred("c-1") is True
    [event] = await app.read()
    marker = Shredded("c-1")
    assert event.email == event.born == event.balance == event.seen_at == event.extras == marker
    assert [address.street for address in event.addresses] == [marker, marker]
    assert event.by_name["work"].street == marker
    assert (event.plan, event.addresses[0].city) == ("free", "Athens")
    [other] = await app.read(StreamId("Customer", "c-2"))
    assert other.email == "ben"


async def test_every_person_in_an_event_has_a_key_of_their_own(app: App) -> None:
    people = (Passenger(id=1, name="one"), Passenger(id=2, name="two"))
    await app.append(Booked(agent_id="a", agent="agent", passengers=people))
    await app.service.shred("1")
    [event] = await app.read()
    assert event.agent == "agent"
    assert [passenger.name for passenger in event.passengers] == [Shredded("1"), "two"]


async def test_of_several_models_the_one_that_is_there_counts(app: App) -> None:
    await app.append(
        Booked(agent_id="a", agent="x", payment=Card(holder="anna")),
        Booked(agent_id="a", agent="x", payment=Voucher(code="V", holder=7)),
    )
    await app.service.shred("c-1")
    card, voucher = await app.read()
    assert card.payment.holder == Shredded("c-1")
    assert voucher.payment == Voucher(code="V", holder=7)


@pytest.mark.parametrize("event_class", [Aliased, WrittenByAlias])
async def test_fields_with_aliases_are_protected(app: App, event_class: type[Aliased]) -> None:
    await app.append(event_class(customerId="c-7", eMail="anna@example.com"))
    [row] = await app.stored()
    assert b"anna" not in row
    assert [event.email for event in await app.read()] == ["anna@example.com"]
    await app.service.shred("c-7")
    assert [event.email for event in await app.read()] == [Shredded("c-7")]


async def test_models_inside_of_themselves_are_protected(app: App) -> None:
    tree = Node(name="trunk", children=[Node(name="leaf", children=[Node(name="seed")])])
    await app.append(Planted(kind="oak", root=tree))
    [row] = await app.stored()
    assert not [name for name in (b"trunk", b"leaf", b"seed") if b'"%s"' % name in row]
    assert (await app.read())[0].root == tree
    await app.service.shred("c-1")
    [event] = await app.read()
    assert event.root.children[0].children[0].name == Shredded("c-1")


async def test_nothing_to_protect_costs_no_key(app: App) -> None:
    await app.append(Opened(plan="free"))
    nothing = Registered(email=Shredded("c-9"), balance=Shredded("c-9"), extras=Shredded("c-9"))
    await app.append(nothing)
    assert app.key_store.calls == 0
    opened, registered = await app.read()
    assert opened.plan == "free"
    assert registered.email == Shredded("c-9")


async def test_a_shredded_subject_is_refused_with_advice(app: App) -> None:
    await app.append(Registered(email="anna"))
    await app.service.shred("c-1")
    with pytest.raises(SubjectShreddedError, match="use a new subject id") as caught:
        await app.append(Registered(email="again"))
    assert caught.value.subject == "c-1"
    assert await app.store.get_stream_version(STREAM) == 1
    with pytest.raises(SubjectShreddedError):
        await app.outbox.save_messages([_message(Registered(email="again"))])


async def test_events_with_markers_can_be_written_again(app: App) -> None:
    await app.append(Registered(email="anna"))
    await app.service.shred("c-1")
    [event] = await app.read()
    copy = Registered(email=event.email, balance=event.balance, extras=event.extras)
    await app.append(copy)
    assert (await app.read())[1].email == Shredded("c-1")


async def test_a_repeated_append_is_recognised(app: App) -> None:
    events = [serialize_event(Registered(email=text)) for text in ("a", "b")]
    first = await app.store.append(STREAM, events, expected_version=0)
    before = await app.stored()
    assert await app.store.append(STREAM, events, expected_version=0) == first
    assert await app.stored() == before


async def test_a_value_that_is_nobodys_is_refused(app: App) -> None:
    with pytest.raises(SubjectMissingError):
        await app.append(Booked(agent_id="", agent="x"))


async def test_an_event_of_no_aggregate_needs_a_field_for_the_subject(app: App) -> None:
    lonely = _message(Registered(email="x"))
    with pytest.raises(SubjectMissingError, match=r"Registered\.email"):
        await app.outbox.save_messages([replace(lonely, stream=str(lonely.message_id))])


async def test_a_payload_that_does_not_fit_its_class_is_refused(app: App) -> None:
    event = replace(serialize_event(Registered(email="x")), payload=b'{"mail": "x"}')
    with pytest.raises(EventPayloadError, match="its personal data cannot be found"):
        await app.store.append(STREAM, [event])


async def test_an_unregistered_type_with_personal_data_is_refused(app: App) -> None:
    class Forgotten(DomainEvent):
        email: Personal[str]

    with pytest.raises(PersonalDataDefinitionError, match=r"'Forgotten'.*register"):
        await app.append(Forgotten(email="x"))
    await app.store.append(STREAM, [replace(serialize_event(FULL), event_type="Unheard of")])


async def test_another_version_of_a_class_needs_a_class_of_it(app: App) -> None:
    class RegisteredV0(DomainEvent):
        event_type = "Registered"
        schema_version = 0
        mail: Personal[str]

    old = serialize_event(RegisteredV0(mail="anna"))
    with pytest.raises(PersonalDataDefinitionError, match="older_classes"):
        await app.store.append(STREAM, [old])
    codec = PersonalDataCodec(REGISTRY, app.keys, older_classes=[RegisteredV0])
    store = EncodedEventStore(app.rows, personal_data=codec)
    await store.append(STREAM, [old])
    [event] = await store.get_events(STREAM)
    assert event.payload == {"mail": "anna"}
    [row] = await app.stored()
    assert b"anna" not in row


async def test_reading_needs_no_class() -> None:
    app = App()
    await app.append(FULL)
    reader = PersonalDataCodec(EventTypeRegistry(), app.keys)
    store = EncodedEventStore(app.rows, personal_data=reader)
    [event] = await store.get_events(STREAM)
    assert event.payload["email"] == "anna@example.com"


async def test_rows_with_personal_data_need_a_codec() -> None:
    app = App()
    await app.append(FULL)
    with pytest.raises(ConfigurationError, match="personal_data=PersonalDataCodec"):
        await EncodedEventStore(app.rows).get_events(STREAM)


@pytest.mark.parametrize("change", ["another event", "another field", "another subject", "a byte"])
async def test_a_value_is_read_in_its_own_place_only(change: str) -> None:
    app = App()
    await app.append(Registered(email="anna", born=date(2000, 1, 1)))
    await app.append(Registered(email="ben"), stream=StreamId("Customer", "c-2"))
    [row] = await app.rows.get_events(STREAM)
    document = from_json(row.payload_bytes[1:])
    email, born, *_ = document["personal"]
    event_id = row.event_id
    if change == "another event":
        event_id = UUID(int=1)
    elif change == "another field":
        email["sealed"], born["sealed"] = born["sealed"], email["sealed"]
    elif change == "another subject":
        email["subject"] = "c-2"
    else:
        email["sealed"] = ("A" if email["sealed"][5] != "A" else "B").join(
            [email["sealed"][:5], email["sealed"][6:]]
        )
    forged = NewEvent(event_id, "Registered", b"\xc0" + to_json(document), row.occurred_at)
    target = StreamId("Customer", "forged")
    other = App()
    other.key_store._keys = app.key_store._keys
    await other.rows.append(target, [forged])
    with pytest.raises(PayloadTamperedError, match="the payload of Registered"):
        await other.store.get_events(target)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc0{",
        b'\xc0{"personal": [], "payload": []}',
        b'\xc0{"personal": [{"path": ["a", 0], "subject": "c-1", "sealed": ""}], "payload": {}}',
        b'\xc0{"personal": [{"path": ["a"], "subject": "c-1", "sealed": "?"}], "payload": {}}',
        b'\xc0{"personal": [{"path": [], "subject": "c-1", "sealed": ""}], "payload": {}}',
    ],
)
async def test_what_was_never_written_is_refused(payload: bytes) -> None:
    app = App()
    await app.append(Registered(email="anna"))
    forged = replace(serialize_event(Opened(plan="")), payload=payload)
    await app.rows.append(StreamId("Customer", "forged"), [forged])
    with pytest.raises(PayloadTamperedError):
        await app.store.get_events(StreamId("Customer", "forged"))
    with pytest.raises(EventPayloadError, match="begins like"):
        await app.store.append(STREAM, [replace(forged, event_id=UUID(int=9))])


async def test_a_lost_key_is_an_error_and_no_marker() -> None:
    app = App()
    await app.append(Registered(email="anna"))
    lost = App()
    lost.rows._logs = app.rows._logs
    with pytest.raises(SubjectKeyMissingError, match="restore the table of the keys"):
        await lost.store.get_events(STREAM)


async def test_each_tenant_has_its_own_subjects(app: App) -> None:
    for tenant in ("a", "b"):
        with message_context(tenant_id=tenant):
            await app.append(Registered(email=f"anna of {tenant}"))
    with message_context(tenant_id="a"):
        await app.service.shred("c-1")
        assert (await app.read())[0].email == Shredded("c-1")
    with message_context(tenant_id="b"):
        assert (await app.read())[0].email == "anna of b"


async def test_keys_are_looked_up_once_for_a_page(app: App) -> None:
    for number in range(30):
        await app.append(Registered(email="x"), stream=StreamId("Customer", f"c-{number}"))
    app.key_store.calls = 0
    page = await app.store.read_page(limit=30)
    assert len(page.events) == 30
    assert app.key_store.calls == 1


async def test_a_unit_of_work_asks_once_for_a_known_subject(app: App) -> None:
    await app.append(Registered(email="first"))
    app.key_store.calls = 0
    async with InMemoryUnitOfWork(app.database):
        await app.append(Registered(email="second"))
        await app.outbox.save_messages([_message(Registered(email="third"))])
        assert len(await app.read()) == 2
    assert app.key_store.calls == 1


async def test_a_rolled_back_key_is_never_used_again() -> None:
    app = App(cache_seconds=3600)
    async with rolled_back(lambda: InMemoryUnitOfWork(app.database)):
        await app.append(Registered(email="lost"))
        assert [event.email for event in await app.read()] == ["lost"]
    assert await app.key_store.find(["c-1"]) == {}
    await app.append(Registered(email="kept"))
    other = App()
    other.rows._logs, other.key_store._keys = app.rows._logs, app.key_store._keys
    assert [event.email for event in await other.read()] == ["kept"]


async def test_a_rolled_back_shred_changes_nothing() -> None:
    app = App(cache_seconds=3600)
    await app.append(Registered(email="anna"))
    async with rolled_back(lambda: InMemoryUnitOfWork(app.database)):
        await app.service.shred("c-1")
        assert (await app.read())[0].email == Shredded("c-1")
        with pytest.raises(SubjectShreddedError):
            await app.append(Registered(email="again"))
    assert (await app.read())[0].email == "anna"


async def test_conditions_on_payloads_see_them_in_clear(app: App) -> None:
    for number, plan in enumerate(["gold", "free", "gold"]):
        stream = StreamId("Customer", f"c-{number}")
        await app.append(Registered(email="x", plan=plan), stream=stream)
    wanted = EventFilter(payload=[PayloadCondition(Registered, Where("plan", EQUAL, "gold"))])
    found = await app.store.read_page(event_filter=wanted)
    assert [event.aggregate_id for event in found.events] == ["c-0", "c-2"]


async def test_a_limit_counts_events_that_match(app: App) -> None:
    plans = ["no"] * 5 + ["yes"] + ["no"] * 7 + ["yes", "yes", "no"]
    await app.append(*(Registered(email="x", plan=plan) for plan in plans))
    wanted = EventFilter(payload=[PayloadCondition(Registered, Where("plan", EQUAL, "yes"))])
    found = await app.store.get_events(STREAM, limit=2, event_filter=wanted)
    assert [event.version for event in found] == [6, 14]
    each = [e async for e in app.store.read_stream(STREAM, batch_size=2, event_filter=wanted)]
    assert [event.version for event in each] == [6, 14, 15]
    assert await app.store.get_events(STREAM, limit=0, event_filter=wanted) == []


def test_a_condition_on_a_personal_value_is_refused_and_never_wrong() -> None:
    with pytest.raises(SpecificationValueError, match="'email'"):
        PayloadCondition(Registered, Where("email", EQUAL, "anna"))


async def test_relays_see_personal_values_and_rows_do_not(app: App) -> None:
    message = _message(Registered(email="anna"))
    command = OutboxMessage(
        UUID(int=1), MessageKind.COMMAND, "Registered", b'{"email":"in clear"}', "Customer-c-1"
    )
    await app.outbox.save_messages([message, command])
    leases = await app.outbox.lease_partitions("relay", seconds=60)
    raw = await app.outbox_rows.claim_pending(leases)
    assert b"anna" not in raw[0].message.payload
    claimed = await app.outbox.claim_pending(leases)
    assert [item.message for item in claimed] == [message, command]
    await app.service.shred("c-1")
    claimed = await app.outbox.claim_pending(leases)
    assert from_json(claimed[0].message.payload)["email"] == {"$shredded": "c-1"}


texts = st.text(max_size=20)
events = st.builds(
    Registered,
    email=texts,
    born=st.none() | st.dates(),
    balance=st.decimals(allow_nan=False, allow_infinity=False),
    seen_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    extras=st.dictionaries(
        texts,
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
            max_leaves=5,
        ).filter(lambda value: value not in (float("inf"), float("-inf"))),
        max_size=3,
    ).filter(lambda value: not Shredded.is_json_value(value)),
    addresses=st.lists(st.builds(Address, street=texts, city=texts), max_size=3),
    by_name=st.dictionaries(texts, st.builds(Address, street=texts), max_size=3),
)


@given(events)
async def test_whatever_an_event_says_comes_back_byte_for_byte(event: Registered) -> None:
    app, new = App(), serialize_event(event)
    await app.store.append(STREAM, [new])
    [stored] = await app.store.get_events(STREAM)
    assert stored.payload_bytes == new.payload


def _message(event: DomainEvent) -> OutboxMessage:
    new = serialize_event(event)
    return OutboxMessage(
        new.event_id, MessageKind.EVENT, new.event_type, new.payload, "Customer-c-1"
    )
