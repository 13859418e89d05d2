"""The command, one for each row of a purchase log, and its handler."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cqrs_ddd_core import AggregateRoot, Command, CommandHandler
from record_store.customer import Customer
from record_store.purchase import Dollars, Purchase

if TYPE_CHECKING:
    from cqrs_ddd_core.primitives import IClock

__all__ = ["Aggregates", "RecordPurchase", "RecordPurchaseHandler"]

T = TypeVar("T", bound=AggregateRoot[Any])


class Aggregates(Protocol[T]):
    """What the handler asks of a repository, be it one of documents or one of events."""

    async def get_by_id(self, entity_id: Any) -> T | None: ...

    async def save(self, entity: T) -> None: ...


class RecordPurchase(Command[None]):
    """Record a purchase, and the customer with it when it is the first one.

    The same ``command_id`` again changes nothing; the purchase carries it as its own id.
    """

    customer_id: str
    purchased_on: date
    units: int
    amount: Dollars


class RecordPurchaseHandler(CommandHandler[RecordPurchase, None]):
    def __init__(
        self,
        customers: Aggregates[Customer],
        purchases: Aggregates[Purchase],
        clock: IClock,
    ) -> None:
        self._customers = customers
        self._purchases = purchases
        self._clock = clock

    async def handle(self, command: RecordPurchase) -> None:
        today = self._clock.now().date()
        customer = await self._customers.get_by_id(command.customer_id)
        if customer is None:
            customer = Customer.join(command.customer_id, command.purchased_on, today=today)
            await self._customers.save(customer)
        purchase = Purchase.record(
            command.command_id,
            customer,
            purchased_on=command.purchased_on,
            units=command.units,
            amount=command.amount,
            today=today,
        )
        await self._purchases.save(purchase)
