"""Filters on one stream, and on payloads."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.specification import Specification, SpecificationOperator, field
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, NewEvent
from cqrs_ddd_core.ports.payload_condition import PayloadCondition
from cqrs_ddd_core.primitives.exceptions import SpecificationValueError, UnknownFieldError
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of
from cqrs_ddd_core.testing.samples import (
    AWKWARD_TEXT,
    MOMENT,
    OrderStatus,
    SampleOrderPlaced,
    new_event,
    new_events,
    new_stream,
)

__all__ = ["FilterTests"]


class FilterTests(EventStoreSuite):
    async def test_a_stream_is_read_by_a_filter(self, store: IEventStore) -> None:
        stream, events = new_stream(), [new_event(occurred_at=_at(n)) for n in range(10)]
        await store.append(stream, events)
        await store.append(new_stream(), new_events(2))
        wanted = EventFilter(occurred_from=_at(2), occurred_until=_at(7))
        found = await store.get_events(stream, event_filter=wanted)
        assert ids_of(found) == ids_of(events[2:7])
        part = await store.get_events(
            stream, after_version=3, up_to_version=9, limit=2, event_filter=wanted
        )
        assert ids_of(part) == ids_of(events[3:5])
        each = [e async for e in store.read_stream(stream, batch_size=2, event_filter=wanted)]
        assert ids_of(each) == ids_of(events[2:7])
        assert ids_of(await store.get_events(stream, event_filter=EventFilter())) == ids_of(events)

    @pytest.mark.parametrize(
        "condition, expected",
        [
            (field("total") > Decimal("9.99"), [1, 2]),
            (field("total") == 100, [2]),
            (field("customer") == AWKWARD_TEXT, [1]),
            (field("customer").is_(SpecificationOperator.STARTS_WITH, "a"), [0, 2]),
            (field("reference") == UUID(int=2), [1]),
            (field("placed_on") >= date(2026, 2, 2), [1, 2]),
            (field("due_at") < MOMENT + timedelta(days=1), [0]),
            (field("status") == OrderStatus.SHIPPED, [2]),
            (field("coupon").is_(SpecificationOperator.IS_NULL), [0, 1]),
            (field("coupon") != "HALF", [0, 1]),
            ((field("total") > 1) & ~(field("customer") == "anna"), [1]),
            (field("total").in_([1, 100]) | (field("note") == "x"), [2]),
        ],
        ids=str,
    )
    async def test_events_are_found_by_their_payload(
        self, store: IEventStore, condition: Specification, expected: list[int]
    ) -> None:
        stream = new_stream()
        events = [
            _placed(1, customer="anna", total="0.10"),
            _placed(2, customer=AWKWARD_TEXT, total="12345678901234567890.10"),
            _placed(3, customer="anna", total="100.0", coupon="HALF", status=OrderStatus.SHIPPED),
        ]
        await store.append(stream, events)
        wanted = EventFilter(payload=[PayloadCondition(SampleOrderPlaced, condition)])
        matching = ids_of([events[index] for index in expected])
        assert ids_of(await store.get_events(stream, event_filter=wanted)) == matching
        assert ids_of((await store.read_page(event_filter=wanted)).events) == matching

    @pytest.mark.parametrize(
        "envelope",
        [
            {"event_type": "Other"},
            {"schema_version": 2},
            {"payload": b""},
            {"payload": b"\x00\xff\xfe{"},
            {"payload": b"(\xb5/\xfd\x04\x00 no json"},
        ],
        ids=["another type", "an older shape", "empty", "encrypted", "compressed"],
    )
    async def test_what_a_store_cannot_look_into_is_passed_on(
        self, store: IEventStore, envelope: dict[str, Any]
    ) -> None:
        stream, event = new_stream(), new_event(**envelope)
        await store.append(stream, [event, new_event()])
        condition = PayloadCondition(SampleOrderPlaced, field("total") < 0)
        found = await store.get_events(stream, event_filter=EventFilter(payload=[condition]))
        assert ids_of(found) == [event.event_id]

    def test_a_payload_condition_names_fields_of_the_payload(self) -> None:
        for name in ("totl", "occurred_at", "event_id"):
            with pytest.raises(UnknownFieldError):
                PayloadCondition(SampleOrderPlaced, field(name).is_(SpecificationOperator.IS_NULL))
        with pytest.raises(SpecificationValueError):
            PayloadCondition(SampleOrderPlaced, field("total") == "much")


def _at(hours: int) -> Any:
    return MOMENT + timedelta(hours=hours)


def _placed(number: int, **fields: Any) -> NewEvent:
    values = {
        "reference": UUID(int=number),
        "customer": "",
        "total": Decimal(0),
        "placed_on": date(2026, 2, number),
        "due_at": _at(24 * (number - 1)),
        **fields,
    }
    return serialize_event(SampleOrderPlaced.model_validate(values))
