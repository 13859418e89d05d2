"""Events survive the way to JSON and back exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from traceback import format_exception
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic_core import to_json

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EventPayloadError,
    SchemaVersionError,
    UnknownEventTypeError,
)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    sku: str
    price: Decimal


class Sold(DomainEvent):
    number: UUID
    price: Decimal
    at: datetime
    day: date
    colour: Colour
    lines: list[Line]
    note: str | None = None


class Loose(DomainEvent):
    anything: Any


STREAM = StreamId("Order", "o1")


def _stored(event: NewEvent, payload: bytes | None = None) -> StoredEvent:
    return StoredEvent(
        1,
        *STREAM,
        1,
        event.event_id,
        event.event_type,
        event.schema_version,
        payload or event.payload,
        event.occurred_at,
        event.occurred_at,
        event.correlation_id,
        event.causation_id,
        to_json(event.metadata),
    )


SERIALIZER = EventSerializer(EventTypeRegistry([Sold]))

events = st.builds(
    Sold,
    number=st.uuids(),
    price=st.decimals(allow_nan=False, allow_infinity=False, places=4),
    at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    day=st.dates(),
    colour=st.sampled_from(Colour),
    lines=st.lists(
        st.builds(Line, sku=st.text(), price=st.decimals(allow_nan=False, allow_infinity=False))
    ),
    note=st.none() | st.text(),
    correlation_id=st.none() | st.text(),
    metadata=st.dictionaries(st.text(), st.integers()),
)


@given(events)
def test_every_field_survives_the_round_trip(event: Sold) -> None:
    """S-6: decimals, UUIDs, datetimes, enums and nested models were lost or refused."""
    back = SERIALIZER.deserialize(_stored(serialize_event(event)))
    assert isinstance(back, Sold)
    expected = event.model_copy(
        update={"aggregate_id": STREAM.aggregate_id, "aggregate_type": STREAM.aggregate_type}
    )
    assert back == expected
    assert str(back.price) == str(event.price)


def test_the_payload_holds_the_fields_and_not_the_envelope() -> None:
    event = Loose(anything={"a": 1}, correlation_id="c", metadata={"user_id": "u"})
    assert serialize_event(event).payload == b'{"anything":{"a":1}}'


def test_a_value_json_cannot_hold_is_refused_with_its_event_type() -> None:
    with pytest.raises(EventPayloadError, match="'Loose'"):
        serialize_event(Loose(anything=object()))


def test_an_unknown_type_is_an_error_and_not_a_gap() -> None:
    """A-1: events of unknown types were dropped silently while loading."""
    with pytest.raises(UnknownEventTypeError, match="'Loose'"):
        SERIALIZER.deserialize(_stored(serialize_event(Loose(anything=1))))


def test_a_payload_that_does_not_fit_is_an_error_and_not_a_gap() -> None:
    event = NewEvent(uuid4(), "Sold", b'{"number": 1}', datetime.now(UTC))
    with pytest.raises(EventPayloadError, match="'Sold'"):
        SERIALIZER.deserialize(_stored(event))


def test_a_field_the_class_no_longer_has_is_left_out() -> None:
    sold = Sold(
        number=uuid4(),
        price=Decimal(1),
        at=datetime.now(UTC),
        day=date(2026, 1, 1),
        colour=Colour.RED,
        lines=[],
    )
    stored = serialize_event(sold)
    newer = stored.payload[:-1] + b',"added_later":true}'
    assert SERIALIZER.deserialize(_stored(stored, newer)).event_id == sold.event_id


def test_a_field_with_an_alias_survives_the_round_trip() -> None:
    """It was written under its name and looked for under its alias."""

    class Aliased(DomainEvent):
        customer: str = Field(alias="customerId")
        camel: str = Field(serialization_alias="camelCase", validation_alias="camelValue")

    event = Aliased(customerId="c-1", camelValue="x")
    back = EventSerializer(EventTypeRegistry([Aliased])).deserialize(
        _stored(serialize_event(event))
    )
    assert isinstance(back, Aliased)
    assert (back.customer, back.camel) == ("c-1", "x")


def test_the_envelope_comes_from_the_row_and_never_from_the_payload() -> None:
    event = NewEvent(
        uuid4(), "Loose", b'{"anything":1,"metadata":{"user_id":"root"}}', datetime.now(UTC)
    )
    back = EventSerializer(EventTypeRegistry([Loose])).deserialize(_stored(event))
    assert back.metadata == {}


# --- versions ------------------------------------------------------------------------------------


class Opened(DomainEvent):
    schema_version: ClassVar[int] = 2

    owner: str
    currency: str


class Greeted(DomainEvent):
    owner: str


class Upcasters(IUpcasterRegistry):
    """Version 1 of Opened had no currency; Begun is read as two events, Noise as none."""

    checks = 0

    def check(self) -> None:
        self.checks += 1

    def has_upcasters(self, event_type: str, schema_version: int) -> bool:
        return (event_type, schema_version) == ("Opened", 1) or event_type in ("Begun", "Noise")

    def latest_version(self, event_type: str) -> int | None:
        return 2 if event_type == "Opened" else None

    def upcast(
        self, event_type: str, schema_version: int, payload: dict[str, Any]
    ) -> Sequence[UpcastPayload]:
        opened = UpcastPayload("Opened", 2, {**payload, "currency": "EUR"})
        return {
            "Opened": [opened],
            "Begun": [opened, UpcastPayload("Greeted", 1, payload)],
            "Noise": [],
        }[event_type]

    def downcaster(
        self, event_type: str, source_version: int, target_version: int
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if (event_type, source_version, target_version) != ("Opened", 2, 1):
            raise ConfigurationError("no way")
        return lambda payload: {"owner": payload["owner"]}


EVENTS = EventTypeRegistry([Opened, Greeted])
VERSIONED = EventSerializer(EVENTS, Upcasters())


def _old(
    event_type: str = "Opened", version: int = 1, payload: bytes = b'{"owner":"o"}'
) -> StoredEvent:
    return _stored(NewEvent(uuid4(), event_type, payload, datetime.now(UTC), version))


def test_an_older_shape_is_read_as_todays_in_the_envelope_of_its_row() -> None:
    stored = _old()
    [opened] = VERSIONED.hydrate(stored)
    assert isinstance(opened, Opened)
    assert (opened.owner, opened.currency) == ("o", "EUR")
    assert (opened.event_id, opened.aggregate_id) == (stored.event_id, "o1")


def test_today_s_shape_is_read_without_an_upcaster() -> None:
    opened = Opened(owner="o", currency="USD")
    [back] = VERSIONED.hydrate(_stored(serialize_event(opened)))
    assert isinstance(back, Opened)
    assert back.currency == "USD"


def test_one_event_is_read_as_several_with_ids_that_stay_the_same() -> None:
    stored = _old("Begun")
    first, second = VERSIONED.hydrate(stored)
    assert isinstance(first, Opened)
    assert isinstance(second, Greeted)
    assert first.event_id == stored.event_id != second.event_id
    assert [event.event_id for event in VERSIONED.hydrate(stored)] == [
        first.event_id,
        second.event_id,
    ]
    assert second.occurred_at == stored.occurred_at


def test_an_event_may_be_read_as_none() -> None:
    assert VERSIONED.hydrate(_old("Noise")) == ()
    assert [
        e.event_type for e in VERSIONED.hydrate_all([_old("Noise"), _old("Begun"), _old()])
    ] == [
        "Opened",
        "Greeted",
        "Opened",
    ]


@pytest.mark.parametrize("event_type, count", [("Begun", 2), ("Noise", 0)])
def test_what_is_not_one_event_is_no_one_event(event_type: str, count: int) -> None:
    with pytest.raises(EventPayloadError, match=f"is read as {count} events today"):
        VERSIONED.deserialize(_old(event_type))


def test_an_older_version_without_an_upcaster_is_an_error_and_not_a_guess() -> None:
    """A-10: data of an older version passed as it was."""
    serializer = EventSerializer(EVENTS)
    with pytest.raises(SchemaVersionError, match="version 2 is read today: register upcasters"):
        serializer.hydrate(_old())


def test_a_newer_version_says_that_a_later_release_wrote_it() -> None:
    with pytest.raises(SchemaVersionError, match="later release") as caught:
        VERSIONED.hydrate(_old(version=3))
    error = caught.value
    assert (error.message_type, error.schema_version, error.known_version) == ("Opened", 3, 2)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'"text"'])
def test_an_upcaster_only_ever_sees_a_json_object(payload: bytes) -> None:
    stored = _old(payload=payload or b" ")
    with pytest.raises(EventPayloadError, match="'Opened' is no JSON"):
        VERSIONED.hydrate(stored)


def test_a_payload_that_does_not_fit_after_upcasting_names_the_stored_type() -> None:
    with pytest.raises(EventPayloadError, match="'Begun'"):
        VERSIONED.hydrate(_old("Begun", payload=b"{}"))


def test_upcasters_that_lead_past_the_class_are_refused_at_start_up() -> None:
    class OldOpened(DomainEvent):
        event_type: ClassVar[str] = "Opened"

    with pytest.raises(ConfigurationError, match=r"lead to version 2.*schema_version = 1"):
        EventSerializer(EventTypeRegistry([OldOpened]), Upcasters())


def test_the_upcasters_are_checked_at_start_up() -> None:
    upcasters = Upcasters()
    EventSerializer(EVENTS, upcasters)
    assert upcasters.checks == 1


# --- writing an older version --------------------------------------------------------------------

PINNED = EventSerializer(EVENTS, Upcasters(), write_versions={"Opened": 1})


def test_a_pinned_type_is_written_at_the_older_version_and_read_again() -> None:
    opened = Opened(owner="o", currency="EUR", correlation_id="c")
    new = PINNED.serialize(opened)
    assert (new.schema_version, new.payload) == (1, b'{"owner":"o"}')
    assert (new.event_id, new.correlation_id) == (opened.event_id, "c")
    [back] = PINNED.hydrate(_stored(new))
    assert isinstance(back, Opened)
    assert back.currency == "EUR"


def test_types_without_a_pin_are_written_at_today_s_version() -> None:
    greeted = Greeted(owner="o")
    assert PINNED.serialize(greeted) == serialize_event(greeted)


def test_a_pin_that_no_downcaster_leads_to_is_refused_at_start_up() -> None:
    with pytest.raises(ConfigurationError, match="no way"):
        EventSerializer(EVENTS, Upcasters(), write_versions={"Opened": 0})
    with pytest.raises(ConfigurationError, match="without upcaster_registry"):
        EventSerializer(EVENTS, write_versions={"Opened": 1})
    with pytest.raises(UnknownEventTypeError):
        EventSerializer(EVENTS, Upcasters(), write_versions={"Other": 1})


# --- messages ------------------------------------------------------------------------------------


async def _recorded(event: DomainEvent, serializer: EventSerializer) -> tuple[StoredEvent, Any]:
    """Return what event store and outbox hold after a unit of work."""
    database = InMemoryDatabase()
    store, outbox = InMemoryEventStore(database), InMemoryOutboxStorage(database)
    recorder = EventRecorder((), event_store=store, outbox=outbox, serialize=serializer.serialize)
    async with InMemoryUnitOfWork(database) as uow:
        uow.record_with(recorder.record)
        uow.add_events([event])
    leases = await outbox.lease_partitions("test", seconds=60)
    [pending] = await outbox.claim_pending(leases)
    stored = [event async for event in store.read_all()]
    return stored[0], pending.message


@pytest.mark.parametrize("aggregate_type", ["Account", "bank-account", "100%-sure"])
async def test_a_message_becomes_the_event_it_was(aggregate_type: str) -> None:
    event = Opened(
        owner="o",
        currency="EUR",
        aggregate_type=aggregate_type,
        aggregate_id="a-1",
        correlation_id="c",
        causation_id="d",
        metadata={"user_id": "u"},
    )
    stored, message = await _recorded(event, VERSIONED)
    assert message.schema_version == stored.schema_version == 2
    assert VERSIONED.hydrate_message(message) == (event,)


async def test_a_parked_message_of_an_older_shape_is_upcast() -> None:
    """Upcasters have to reach what waits in a queue, too."""
    event = Opened(owner="o", currency="EUR", aggregate_type="Account", aggregate_id="a-1")
    stored, message = await _recorded(event, PINNED)
    assert message.schema_version == stored.schema_version == 1
    assert message.payload == stored.payload_bytes == b'{"owner":"o"}'
    assert VERSIONED.hydrate_message(message) == (event,)


def test_an_event_of_no_aggregate_stays_one() -> None:
    event = Greeted(owner="o")
    new = serialize_event(event)
    message = OutboxMessage(
        new.event_id,
        MessageKind.EVENT,
        new.event_type,
        new.payload,
        stream=str(new.event_id),
        occurred_at=new.occurred_at,
    )
    assert VERSIONED.hydrate_message(message) == (event,)


@given(st.text(min_size=1), st.text())
def test_the_name_of_a_stream_leads_back_to_it(aggregate_type: str, aggregate_id: str) -> None:
    stream = StreamId(aggregate_type, aggregate_id)
    assert StreamId.parse(str(stream)) == stream


def test_a_text_that_is_no_stream_leads_nowhere() -> None:
    assert StreamId.parse("nothing") is None
    assert str(StreamId("Order", "o-1")) == "Order-o-1"


def test_an_error_quotes_nothing_of_the_payload() -> None:
    stored = _stored(serialize_event(Loose(anything=1)), b'{"price":"a secret"}')
    with pytest.raises(EventPayloadError, match="price") as caught:
        SERIALIZER.deserialize(stored._replace(event_type="Sold"))
    assert "secret" not in "".join(format_exception(caught.value))
