"""Aggregates, entities, value objects, events and the event type registry."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID, uuid4

import pydantic
import pytest

from cqrs_ddd_core.correlation import MessageContext
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.archivable import ArchivableMixin
from cqrs_ddd_core.domain.auditable import AuditableMixin
from cqrs_ddd_core.domain.entity import Entity
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent, enrich_event
from cqrs_ddd_core.domain.value_object import ValueObject
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import (
    EventTypeRegistrationError,
    InvariantViolationError,
    UnknownEventTypeError,
)


class OrderPlaced(DomainEvent):
    total: Decimal


class OrderShipped(DomainEvent):
    event_type: ClassVar[str] = "order-shipped"


class Order(AggregateRoot[str]):
    total: Decimal = Decimal(0)

    def place(self, total: Decimal) -> None:
        self.total = total
        self.raise_event(OrderPlaced(total=total))


class Account(AggregateRoot[UUID]):
    aggregate_type: ClassVar[str] = "bank-account"


class Numbered(AggregateRoot[int]):
    pass


class Money(ValueObject):
    amount: Decimal
    currency: str = "EUR"


class Basket(ValueObject):
    lines: list[dict[str, list[int]]]
    tags: frozenset[str] = frozenset()


class Line(Entity[str]):
    quantity: int = 1


def test_an_event_learns_whose_it_is_when_it_is_raised() -> None:
    order = Order(id="o1")
    order.place(Decimal("9.90"))
    (event,) = order.get_uncommitted_events()
    assert (event.aggregate_type, event.aggregate_id) == ("Order", "o1")


def test_raised_events_are_forgotten_only_when_they_are_committed() -> None:
    order = Order(id="o1")
    order.place(Decimal(1))
    assert len(order.get_uncommitted_events()) == len(order.get_uncommitted_events()) == 1
    order.mark_events_as_committed()
    assert order.get_uncommitted_events() == []


def test_a_new_aggregate_gets_a_time_ordered_id_of_its_id_type() -> None:
    first, second = Account(), Account()
    assert first.id.version == 7
    assert first.id < second.id
    assert isinstance(Order().id, str)


def test_an_integer_id_has_to_be_given() -> None:
    assert Numbered(id=7).id == 7
    with pytest.raises(pydantic.ValidationError, match="id"):
        Numbered()


def test_the_type_name_of_a_stream_is_the_class_name_unless_set() -> None:
    assert Order.aggregate_type == "Order"
    assert Account.aggregate_type == "bank-account"


def test_an_aggregate_may_be_used_without_naming_its_id_type() -> None:
    class Preferences(AggregateRoot):
        user_id: str

    assert Preferences(user_id="u1").id


def test_assignments_to_an_aggregate_are_validated() -> None:
    order = Order(id="o1")
    with pytest.raises(pydantic.ValidationError):
        order.total = "a lot"  # type: ignore[assignment]


def test_entities_are_equal_by_type_and_id() -> None:
    assert Line(id="a", quantity=1) == Line(id="a", quantity=2)
    assert Line(id="a") != Line(id="b")
    assert len({Line(id="a"), Line(id="a", quantity=5)}) == 1


def test_value_objects_are_equal_by_value_and_cannot_change() -> None:
    assert Money(amount=Decimal("1.0")) == Money(amount=Decimal("1.00"))
    with pytest.raises(pydantic.ValidationError):
        Money(amount=Decimal(1)).amount = Decimal(2)  # type: ignore[misc]


def test_a_value_object_with_lists_and_dicts_is_hashable() -> None:
    """C-16: a value object that holds a list or dict could not be put into a set."""
    baskets = {Basket(lines=[{"a": [1]}], tags=frozenset("x")) for _ in range(2)}
    assert len(baskets) == 1


def test_an_event_cannot_change() -> None:
    event = OrderPlaced(total=Decimal(1))
    with pytest.raises(pydantic.ValidationError):
        event.total = Decimal(2)  # type: ignore[misc]


def test_ids_an_event_already_has_are_kept() -> None:
    event = OrderPlaced(total=Decimal(1), correlation_id="mine")
    enrich_event(event, MessageContext("other", uuid4(), user_id="u1"))
    assert event.correlation_id == "mine"
    assert event.causation_id is not None
    assert event.metadata == {"user_id": "u1"}


def test_a_registry_reads_only_what_was_registered() -> None:
    registry = EventTypeRegistry([OrderPlaced])
    registry.register(OrderShipped)
    assert registry.get("order-shipped") is OrderShipped
    assert registry.registered_types() == ("OrderPlaced", "order-shipped")
    with pytest.raises(UnknownEventTypeError, match=r"event_registry\.register"):
        registry.get("builtins.eval")


def test_a_type_name_belongs_to_one_class() -> None:
    class Impostor(DomainEvent):
        event_type: ClassVar[str] = "OrderPlaced"

    registry = EventTypeRegistry([OrderPlaced])
    registry.register(OrderPlaced)
    with pytest.raises(EventTypeRegistrationError, match="taken by"):
        registry.register(Impostor)


def test_an_old_name_can_be_read_as_the_new_class() -> None:
    registry = EventTypeRegistry([OrderPlaced])
    registry.register_alias("OrderCreated", OrderPlaced)
    assert registry.get("OrderCreated") is OrderPlaced


class Note(AuditableMixin, ArchivableMixin, AggregateRoot[str]):
    text: str = ""


def test_touching_moves_the_time_of_the_last_change() -> None:
    note = Note()
    later = datetime(2030, 1, 1, tzinfo=UTC)
    note.touch(later)
    assert note.updated_at == later
    assert note.created_at < later


def test_an_archive_mark_is_set_and_taken_away_once() -> None:
    note = Note()
    note.archive(by="ann", at=FixedClock().now())
    assert note.archived_by == "ann"
    with pytest.raises(InvariantViolationError, match="archived at"):
        note.archive()
    note.restore()
    assert note.archived_at is None
    with pytest.raises(InvariantViolationError, match="is not archived"):
        note.restore()
