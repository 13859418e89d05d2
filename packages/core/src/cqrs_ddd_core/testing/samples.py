"""Events and an aggregate that are awkward to store: what the suites write and read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.domain.value_object import ValueObject
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.primitives.id_generator import new_id

__all__ = [
    "AWKWARD_TEXT",
    "MOMENT",
    "OrderLine",
    "OrderStatus",
    "SampleOrder",
    "SampleOrderPlaced",
    "SampleOrderShipped",
    "awkward_message",
    "new_event",
    "new_events",
    "new_message",
    "new_order",
    "new_stream",
    "place_order",
]

#: Quotes, backslash, newline, non-Latin scripts, a combining mark and a character beyond 16 bits.
AWKWARD_TEXT = "Ünïcödé 'quoted' \"twice\" \\ \n\t % _ {} 日本語 e\u0301 \U0001f4bf"

#: A time with microseconds.
MOMENT = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC)


class OrderStatus(StrEnum):
    PLACED = "placed"
    SHIPPED = "shipped"


class OrderLine(ValueObject):
    product: str
    quantity: int
    price: Decimal
    tags: list[str] = Field(default_factory=list)


class SampleOrderPlaced(DomainEvent):
    reference: UUID
    customer: str
    total: Decimal
    placed_on: date
    due_at: datetime
    status: OrderStatus = OrderStatus.PLACED
    lines: list[OrderLine] = Field(default_factory=list)
    note: str = ""
    coupon: str | None = None


class SampleOrderShipped(DomainEvent):
    parcel: str


class SampleOrder(AggregateRoot[str]):
    customer: str
    total: Decimal
    status: OrderStatus = OrderStatus.PLACED
    placed_on: date = date(2026, 2, 28)
    due_at: datetime = MOMENT
    lines: list[OrderLine] = Field(default_factory=list)
    note: str = ""
    reference: UUID = UUID(int=1)
    coupon: str | None = None

    def place(self) -> None:
        self.raise_event(
            SampleOrderPlaced(
                reference=self.reference,
                customer=self.customer,
                total=self.total,
                placed_on=self.placed_on,
                due_at=self.due_at,
                lines=self.lines,
                note=self.note,
            )
        )

    def ship(self, parcel: str) -> None:
        self.status = OrderStatus.SHIPPED
        self.raise_event(SampleOrderShipped(parcel=parcel))


def new_order(order_id: str | None = None, total: str = "12.50", **fields: object) -> SampleOrder:
    """Return a new order that has raised no event."""
    values: dict[str, object] = {
        "id": order_id or str(new_id()),
        "customer": AWKWARD_TEXT,
        "total": Decimal(total),
        "lines": [OrderLine(product="", quantity=3, price=Decimal("0.10"), tags=["a", ""])],
        "reference": new_id(),
        **fields,
    }
    return SampleOrder.model_validate(values)


def place_order(order_id: str | None = None, total: str = "12.50", **fields: object) -> SampleOrder:
    """Return a new order that has raised its first event."""
    order = new_order(order_id, total, **fields)
    order.place()
    return order


def new_stream(aggregate_type: str = "SampleOrder") -> StreamId:
    """Return a stream that nobody has written to."""
    return StreamId(aggregate_type, str(new_id()))


def new_event(event_type: str | None = None, **envelope: object) -> NewEvent:
    """Return an event that is ready to be appended.

    Args:
        event_type: Another type name than that of the sample.
        envelope: Other fields of ``NewEvent`` than those of the sample.
    """
    event = serialize_event(
        SampleOrderPlaced(
            reference=new_id(),
            customer=AWKWARD_TEXT,
            total=Decimal("1234567890.10"),
            placed_on=date(2026, 2, 28),
            due_at=MOMENT,
            lines=[OrderLine(product="", quantity=3, price=Decimal("0.10"))],
            correlation_id="request-1",
            causation_id="command-1",
            metadata={"user_id": "u-1", "nested": {"list": [1, None, AWKWARD_TEXT], "empty": {}}},
        )
    )
    values = {name: getattr(event, name) for name in NewEvent.__slots__}
    return NewEvent(**{**values, "event_type": event_type or event.event_type, **envelope})


def new_events(count: int) -> list[NewEvent]:
    """Return so many events."""
    return [new_event() for _ in range(count)]


def new_message(stream: str = "Order-1", **fields: object) -> OutboxMessage:
    """Return a message for the outbox."""
    values: dict[str, object] = {
        "message_id": new_id(),
        "kind": MessageKind.EVENT,
        "message_type": "SampleOrderPlaced",
        "payload": b'{"note": "\xc3\xbc", "total": "1.10"}',
        "stream": stream,
        "occurred_at": MOMENT,
        "schema_version": 2,
        "correlation_id": "request-1",
        "causation_id": "command-1",
        "headers": {"trace": ["a", {"b": 1}], "empty": ""},
        **fields,
    }
    return OutboxMessage(**values)  # type: ignore[arg-type]


def awkward_message() -> OutboxMessage:
    """Return a command for the outbox that leaves out what it may, and is awkward in the rest."""
    return new_message(
        AWKWARD_TEXT,
        kind=MessageKind.COMMAND,
        message_type=AWKWARD_TEXT,
        payload=b'{"b": 1,  "a": 1.10}',
        tenant_id="tenant",
        correlation_id=None,
        causation_id=None,
        headers={},
    )
