"""Events survive the way to JSON and back exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import EventPayloadError, UnknownEventTypeError


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
        STREAM,
        1,
        event.event_id,
        event.event_type,
        event.schema_version,
        payload or event.payload,
        event.occurred_at,
        event.occurred_at,
        event.correlation_id,
        event.causation_id,
        event.metadata,
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
