"""How much each customer is worth: when they bought last, how often, and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.ports import ProjectionSchema
from cqrs_ddd_advanced_core.projections import Projector, QueryOptions, projects
from cqrs_ddd_advanced_core.queries import QueryRepository
from record_store.purchase import PurchaseRecorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cqrs_ddd_advanced_core.ports import IProjectionStore
    from cqrs_ddd_advanced_core.projections import ProjectionRows

__all__ = ["CUSTOMER_VALUE", "CustomerValue", "CustomerValueProjector", "CustomerValues"]


@dataclass(frozen=True)
class CustomerValue:
    """Recency, frequency and monetary value of a customer."""

    customer_id: str
    last_purchase: date
    purchases: int = 0
    revenue: Decimal = Decimal(0)


# No index on the revenue, which every purchase changes: it would cost more than a few reports gain.
CUSTOMER_VALUE = ProjectionSchema.of(CustomerValue, key="customer_id")


class CustomerValueProjector(Projector):
    """Keeps a row for each customer.

    Purchases may be recorded later than others that were made after them, so the day of the last
    one depends on what is known already, and this is no mapping.
    """

    name = "customer_value"
    tables = (CUSTOMER_VALUE,)

    def reads(self, event: PurchaseRecorded) -> Iterator[tuple[ProjectionSchema, str]]:
        yield CUSTOMER_VALUE, event.customer_id

    @projects
    async def purchased(self, event: PurchaseRecorded, rows: ProjectionRows) -> None:
        customer_id, day = event.customer_id, event.purchased_on
        known = await rows.get(CUSTOMER_VALUE, customer_id)
        if known is None or day > known["last_purchase"]:
            rows.update(CUSTOMER_VALUE, customer_id, last_purchase=day)
        rows.add(CUSTOMER_VALUE, customer_id, purchases=1, revenue=event.amount)


class CustomerValues(QueryRepository[CustomerValue]):
    """Answers questions about the value of customers."""

    def __init__(self, store: IProjectionStore) -> None:
        super().__init__(store, CUSTOMER_VALUE, CustomerValue)

    async def best(self, limit: int) -> list[CustomerValue]:
        """Return those who have spent most."""
        by_revenue = QueryOptions().with_ordering("-revenue")
        return await self.query(by_revenue.with_pagination(limit=limit))
