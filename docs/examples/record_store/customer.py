"""Customers of the store."""

from __future__ import annotations

from datetime import date

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_core import AggregateRoot, DomainEvent, InvariantViolationError

__all__ = ["Customer", "CustomerJoined"]


class CustomerJoined(DomainEvent):
    customer_id: str
    joined_on: date


class Customer(EventSourcedAggregateMixin, AggregateRoot[str]):
    """Somebody who buys records; joins with the first purchase.

    It changes by its events only, so that it can be kept as a document or as its events.
    """

    joined_on: date

    @classmethod
    def join(cls, customer_id: str, joined_on: date, *, today: date) -> Customer:
        """Welcome a new customer.

        Raises:
            InvariantViolationError: The day is in the future.
        """
        if joined_on > today:
            msg = f"customer {customer_id} cannot join on {joined_on}: today is {today}"
            raise InvariantViolationError(msg)
        customer = cls.blank(customer_id)
        customer.raise_event(CustomerJoined(customer_id=customer_id, joined_on=joined_on))
        return customer

    def apply_customer_joined(self, event: CustomerJoined) -> None:
        self.joined_on = event.joined_on
