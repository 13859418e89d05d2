"""Purchases, and the rules that refuse some."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import Field

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_core import AggregateRoot, DomainEvent, InvariantViolationError

if TYPE_CHECKING:
    from record_store.customer import Customer

__all__ = ["Dollars", "Purchase", "PurchaseRecorded"]

#: Exact to the cent, in memory and in stored JSON; never a float.
Dollars = Annotated[Decimal, Field(decimal_places=2)]


class PurchaseRecorded(DomainEvent):
    customer_id: str
    purchased_on: date
    units: int
    amount: Dollars


class Purchase(EventSourcedAggregateMixin, AggregateRoot[UUID]):
    """What a customer bought on one day; an amount of 0.00 is a gift and a real purchase."""

    customer_id: str
    purchased_on: date
    units: int
    amount: Dollars

    @classmethod
    def record(
        cls,
        purchase_id: UUID,
        customer: Customer,
        *,
        purchased_on: date,
        units: int,
        amount: Decimal,
        today: date,
    ) -> Purchase:
        """Record what a customer bought.

        Raises:
            InvariantViolationError: Fewer than one unit, a negative amount, or a day that is in
                the future or before the customer joined.
        """
        _require(units >= 1, f"a purchase has at least one unit, not {units}")
        _require(amount >= 0, f"an amount cannot be negative: {amount}")
        _require(purchased_on <= today, f"{purchased_on} is in the future: today is {today}")
        _require(
            purchased_on >= customer.joined_on,
            f"{purchased_on} is before customer {customer.id} joined on {customer.joined_on}",
        )
        purchase = cls.blank(purchase_id)
        purchase.raise_event(
            PurchaseRecorded(
                customer_id=customer.id, purchased_on=purchased_on, units=units, amount=amount
            )
        )
        return purchase

    def apply_purchase_recorded(self, event: PurchaseRecorded) -> None:
        self.customer_id = event.customer_id
        self.purchased_on = event.purchased_on
        self.units = event.units
        self.amount = event.amount


def _require(rule_holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not rule_holds:
        raise InvariantViolationError(otherwise)
