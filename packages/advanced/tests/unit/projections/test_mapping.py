"""Declared projections: the same rows as from the events themselves, read faster."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import pytest
from pydantic import Field, field_validator, model_validator

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    AGGREGATE_ID,
    AGGREGATE_TYPE,
    CAUSATION_ID,
    CORRELATION_ID,
    EVENT_ID,
    OCCURRED_AT,
    EnvelopeField,
    Fixed,
    MappedProjector,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain import DomainEvent
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections._sources import Source
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry

MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Channel(StrEnum):
    WEB = "web"


class Sold(DomainEvent):
    item: UUID
    customer: str
    amount: Decimal
    sold_on: date
    shipped_at: datetime
    channel: Channel = Channel.WEB
    discount: Decimal | None = None
    tags: list[str] = Field(default_factory=list)


class Returned(DomainEvent):
    item: UUID
    customer: str
    amount: Decimal


COLUMNS: dict[str, type] = {
    "item": UUID,
    "customer": str,
    "amount": Decimal,
    "sold_on": date,
    "shipped_at": datetime,
    "channel": str,
    "discount": Decimal,
    "tags": list,
    "event_id": UUID,
    "occurred_at": datetime,
    "stream": str,
    "stream_type": str,
    "correlation": str,
    "causation": str,
    "label": str,
    "one": int,
    "yes": bool,
    "nothing": str,
    "computed": str,
}
SALES = ProjectionSchema(
    "sales",
    {name: ProjectionColumn(one, nullable=name != "item") for name, one in COLUMNS.items()},
    ("item",),
)
TOTALS = ProjectionSchema(
    "totals",
    {
        "customer": ProjectionColumn(str),
        "orders": ProjectionColumn(int, default=0),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
        "discounts": ProjectionColumn(Decimal, default=Decimal(0)),
    },
    ("customer",),
)
FIELDS = ("customer", "amount", "sold_on", "shipped_at", "channel", "discount", "tags")
ENVELOPE = {
    "event_id": EVENT_ID,
    "occurred_at": OCCURRED_AT,
    "stream": AGGREGATE_ID,
    "stream_type": AGGREGATE_TYPE,
    "correlation": CORRELATION_ID,
    "causation": CAUSATION_ID,
}


def sold(number: int, **fields: Any) -> Sold:
    values = {
        "item": UUID(int=number),
        "customer": f"customer {number % 2}",
        "amount": Decimal("1.10"),
        "sold_on": date(2026, 2, 28),
        "shipped_at": MOMENT,
        **fields,
    }
    return Sold(**values)


async def projected(
    projector: MappedProjector,
    *events: DomainEvent | NewEvent,
    event_registry: EventTypeRegistry | None = None,
    upcaster_registry: UpcasterRegistry | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of the first table, by key."""
    event_store, store = InMemoryEventStore(), InMemoryProjectionStore()
    new = [one if isinstance(one, NewEvent) else serialize_event(one) for one in events]
    await event_store.append(StreamId("Sale", "s-1"), new)
    registry = ProjectorRegistry(
        [projector],
        store=store,
        event_registry=event_registry,
        upcaster_registry=upcaster_registry,
    )
    worker = ProjectionWorker(registry, event_store, attempts=1)
    await worker.run_once()
    await worker.stop()
    [checkpoint] = await store.checkpoints.get(projector.name)
    assert checkpoint.error is None
    table = projector.tables[0]
    rows = await store.query(table, QueryOptions().with_fields(*table.columns))
    return [dict(row) for row in rows]


async def test_fields_are_converted_as_the_event_declares_them() -> None:
    projector = MappedProjector("sales", SALES).on(
        Sold, key="item", sets={name: name for name in FIELDS}
    )
    event = sold(1, discount=Decimal("0.5"), tags=["a"])
    assert await projected(projector, event) == [
        {
            **dict.fromkeys(COLUMNS),
            "item": UUID(int=1),
            **{name: getattr(event, name) for name in FIELDS},
        }
    ]


async def test_the_envelope_fixed_values_and_functions_are_sources_too() -> None:
    fixed: dict[str, Source] = {"label": Fixed("sold"), "one": 1, "yes": True, "nothing": None}
    projector = MappedProjector("sales", SALES).on(Sold, key="item", sets={**ENVELOPE, **fixed})
    event = sold(1, correlation_id="request", causation_id="command")
    [row] = await projected(projector, event)
    assert (row["event_id"], row["occurred_at"]) == (event.event_id, event.occurred_at)
    assert (row["stream"], row["stream_type"]) == ("s-1", "Sale")
    assert (row["correlation"], row["causation"]) == ("request", "command")
    assert (row["label"], row["one"], row["yes"], row["nothing"]) == ("sold", 1, True, None)


async def test_a_function_gets_the_event() -> None:
    projector = MappedProjector("sales", SALES).on(
        Sold,
        key=lambda event: event.item,
        sets={"computed": lambda event: event.customer.upper(), **ENVELOPE, "amount": "amount"},
    )
    [row] = await projected(projector, sold(1, customer="ada"))
    assert (row["computed"], row["stream"], row["amount"]) == ("ADA", "s-1", Decimal("1.10"))


async def test_numbers_are_added_and_subtracted() -> None:
    projector = (
        MappedProjector("totals", TOTALS)
        .on(Sold, key="customer", adds={"orders": 1, "total": "amount", "discounts": "discount"})
        .on(Returned, key="customer", subtracts={"orders": 1, "total": "amount"})
    )
    returned = Returned(item=UUID(int=1), customer="customer 1", amount=Decimal("1.10"))
    events = [sold(1), sold(2, discount=Decimal(3)), sold(3), returned]
    assert await projected(projector, *events) == [
        {
            "customer": "customer 0",
            "orders": 1,
            "total": Decimal("1.10"),
            "discounts": Decimal(3),
        },
        {"customer": "customer 1", "orders": 1, "total": Decimal("1.10"), "discounts": 0},
    ]


async def test_rows_are_removed() -> None:
    projector = (
        MappedProjector("sales", SALES)
        .on(Sold, key="item", sets={"customer": "customer"})
        .on(Returned, key="item", deletes=True)
    )
    returned = Returned(item=UUID(int=1), customer="x", amount=Decimal(1))
    rows = await projected(projector, sold(1), sold(2), returned)
    assert [row["item"] for row in rows] == [UUID(int=2)]


async def test_one_event_may_change_several_rows() -> None:
    projector = (
        MappedProjector("totals", TOTALS)
        .on(Sold, key="customer", adds={"orders": 1})
        .on(Sold, key=Fixed("everybody"), adds={"orders": 1, "total": "amount"})
    )
    rows = await projected(projector, sold(1), sold(2), sold(3))
    assert {row["customer"]: row["orders"] for row in rows} == {
        "customer 0": 1,
        "customer 1": 2,
        "everybody": 3,
    }


async def test_a_key_may_have_several_columns() -> None:
    table = ProjectionSchema(
        "days",
        {
            "day": ProjectionColumn(date),
            "kind": ProjectionColumn(str),
            "n": ProjectionColumn(int, default=0),
        },
        ("day", "kind"),
    )
    projector = MappedProjector("days", table).on(
        Sold, key=("sold_on", Fixed("sale")), adds={"n": 1}
    )
    assert await projected(projector, sold(1), sold(2)) == [
        {"day": date(2026, 2, 28), "kind": "sale", "n": 2}
    ]


async def test_a_field_that_was_not_stored_has_its_default() -> None:
    projector = MappedProjector("sales", SALES).on(
        Sold, key="item", sets={"channel": "channel", "tags": "tags", "discount": "discount"}
    )
    stored = serialize_event(sold(1))
    payload = b'{"item": "%s", "customer": "x"}' % str(UUID(int=1)).encode()
    bare = NewEvent(stored.event_id, "Sold", payload, stored.occurred_at)
    [row] = await projected(projector, bare)
    assert (row["channel"], row["tags"], row["discount"]) == ("web", [], None)


async def test_classes_with_validators_are_read_as_themselves() -> None:
    class Shouted(DomainEvent):
        event_type: ClassVar[str] = "Shouted"
        customer: str
        amount: int = 0

        @field_validator("customer")
        @classmethod
        def shout(cls, value: str) -> str:
            return value.upper()

    class Doubled(DomainEvent):
        customer: str
        amount: int = 0

        @model_validator(mode="before")
        @classmethod
        def double(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "amount": 2 * data["amount"]}

    class Renamed(DomainEvent):
        customer: str = Field(alias="CustomerName")
        amount: int = 0

    def renamed() -> Renamed:
        return Renamed(CustomerName="c", amount=3)

    events = [Shouted(customer="a", amount=1), Doubled(customer="b", amount=1), renamed()]
    projector = MappedProjector("totals", TOTALS)
    for one in (Shouted, Doubled, Renamed):
        projector.on(one, key="customer", adds={"orders": "amount"})
        assert projector.stored_handler(one) is None
    rows = await projected(projector, *events)
    # Validated when it was made, and once more when it was read.
    assert {row["customer"]: row["orders"] for row in rows} == {"A": 1, "b": 4, "c": 3}


async def test_older_shapes_go_through_their_upcasters() -> None:
    class Priced(DomainEvent):
        schema_version: ClassVar[int] = 2
        customer: str
        amount: Decimal

    upcasters = UpcasterRegistry()

    @upcasters.upcaster("Priced", source_version=1)
    def to_decimal(data: dict[str, Any]) -> dict[str, Any]:
        return {"customer": data["customer"], "amount": str(Decimal(data["cents"]) / 100)}

    upcasters.rename("OldPriced", "Priced", source_version=1, target_version=2)
    projector = MappedProjector("totals", TOTALS).on(
        Priced, key="customer", adds={"total": "amount", "orders": 1}
    )
    new = serialize_event(Priced(customer="a", amount=Decimal("0.50")))
    old = NewEvent(UUID(int=1), "Priced", b'{"customer": "a", "cents": 125}', MOMENT)
    renamed = NewEvent(
        UUID(int=2), "OldPriced", b'{"customer": "a", "amount": "1.00"}', MOMENT, schema_version=1
    )
    rows = await projected(projector, old, new, renamed, upcaster_registry=upcasters)
    assert [(row["total"], row["orders"]) for row in rows] == [(Decimal("2.75"), 3)]


async def test_another_version_without_upcaster_is_poison() -> None:
    projector = MappedProjector("totals", TOTALS).on(Sold, key="customer", adds={"orders": 1})
    stored = serialize_event(sold(1))
    newer = NewEvent(stored.event_id, "Sold", stored.payload, stored.occurred_at, schema_version=2)
    with pytest.raises(AssertionError, match="SchemaVersionError"):
        await projected(projector, newer)


async def test_a_payload_that_does_not_fit_is_poison() -> None:
    projector = MappedProjector("totals", TOTALS).on(Sold, key="customer", adds={"total": "amount"})
    broken = NewEvent(UUID(int=1), "Sold", b'{"customer": "a", "amount": "much"}', MOMENT)
    with pytest.raises(AssertionError, match=ProjectorError.__name__) as raised:
        await projected(projector, broken)
    assert "amount" in str(raised.value)
    assert "much" not in str(raised.value)


def test_only_mappings_without_functions_are_read_directly() -> None:
    plain = MappedProjector("totals", TOTALS).on(Sold, key="customer", adds={"orders": 1})
    envelope = MappedProjector("totals", TOTALS).on(Sold, key=AGGREGATE_ID, adds={"orders": 1})
    computed = MappedProjector("totals", TOTALS).on(
        Sold, key=lambda e: e.customer, adds={"orders": 1}
    )
    assert plain.stored_handler(Sold) is not None
    assert envelope.stored_handler(Sold) is not None
    assert computed.stored_handler(Sold) is None


def test_what_events_lack_is_refused() -> None:
    with pytest.raises(ProjectionDefinitionError, match="events have no 'total'"):
        EnvelopeField("total")


@pytest.mark.parametrize(
    "mapping, reason",
    [
        ({"key": "unknown", "adds": {"orders": 1}}, "no field 'unknown'"),
        ({"key": "customer", "adds": {"unknown": 1}}, "unknown"),
        ({"key": "customer", "adds": {"customer": 1}}, "customer"),
        ({"key": "customer", "sets": {"customer": "customer"}}, "customer"),
        ({"key": "customer", "sets": {"orders": "customers"}}, "no field 'customers'"),
        ({"key": ("customer", "item"), "adds": {"orders": 1}}, "needs a key of customer"),
        ({"key": "customer"}, "either deletes"),
        ({"key": "customer", "deletes": True, "adds": {"orders": 1}}, "either deletes"),
        ({"key": "customer", "sets": {"orders": 1}, "adds": {"orders": 1}}, "in two ways"),
        ({"key": "customer", "subtracts": {"orders": 1}, "adds": {"orders": 1}}, "in two ways"),
        ({"key": "customer", "adds": {"orders": 1}, "table": "unknown"}, "no table 'unknown'"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(mapping: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProjectionDefinitionError, match=reason):
        MappedProjector("totals", TOTALS).on(Sold, **mapping)
