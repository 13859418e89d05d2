"""Customers of the store."""

from __future__ import annotations

from datetime import date

from cqrs_ddd_core import AggregateRoot, DomainEvent, InvariantViolationError

__all__ = ["Customer", "CustomerJoined"]


class CustomerJoined(DomainEvent):
    customer_id: str
    joined_on: date


class Customer(AggregateRoot[str]):
    """Somebody who buys records; joins with the first purchase."""

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
        customer = cls(id=customer_id, joined_on=joined_on)
        customer.raise_event(CustomerJoined(customer_id=customer_id, joined_on=joined_on))
        return customer
