"""Who comes back: customers by the month of their first purchase, and what they did later."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.ports import ProjectionSchema
from cqrs_ddd_advanced_core.projections import Projector, projects
from cqrs_ddd_advanced_core.queries import QueryRepository
from record_store.purchase import PurchaseRecorded
from record_store.sales import month_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cqrs_ddd_advanced_core.ports import IProjectionStore
    from cqrs_ddd_advanced_core.projections import ProjectionRows

__all__ = ["COHORTS", "COHORT_MEMBERS", "CohortMonth", "CohortProjector", "cohort_months"]


@dataclass(frozen=True)
class CohortMonth:
    """What customers of one cohort did in one month.

    Attributes:
        cohort: First day of the month of their first purchase.
        months_since: How many months after it.
        customers: How many of them bought something.
        purchases: How often.
        revenue: For how much.
    """

    cohort: date
    months_since: int
    customers: int = 0
    purchases: int = 0
    revenue: Decimal = Decimal(0)


@dataclass(frozen=True)
class CohortMember:
    """What has to be known of a customer to count them once a month."""

    customer_id: str
    cohort: date
    active_in: list[int] = field(default_factory=list)


COHORTS = ProjectionSchema.of(CohortMonth, key=("cohort", "months_since"), name="cohorts")
COHORT_MEMBERS = ProjectionSchema.of(CohortMember, key="customer_id", name="cohort_members")


class CohortProjector(Projector):
    """Keeps the cohorts, and in a second table what it needs to know for that.

    A customer's first purchase tells the cohort: no purchase can be recorded that was made before.
    """

    name = "cohorts"
    tables = (COHORTS, COHORT_MEMBERS)

    def reads(self, event: PurchaseRecorded) -> Iterator[tuple[ProjectionSchema, str]]:
        yield COHORT_MEMBERS, event.customer_id

    @projects
    async def purchased(self, event: PurchaseRecorded, rows: ProjectionRows) -> None:
        customer_id, month = event.customer_id, month_of(event.purchased_on)
        member = await rows.get(COHORT_MEMBERS, customer_id) or {"cohort": month, "active_in": []}
        cohort, active_in = member["cohort"], member["active_in"]
        since = _months_between(cohort, month)
        rows.add(COHORTS, (cohort, since), purchases=1, revenue=event.amount)
        if since not in active_in:
            rows.add(COHORTS, (cohort, since), customers=1)
            rows.put(
                COHORT_MEMBERS,
                {"customer_id": customer_id, "cohort": cohort, "active_in": [*active_in, since]},
            )


def cohort_months(store: IProjectionStore) -> QueryRepository[CohortMonth]:
    """Return what answers questions about cohorts."""
    return QueryRepository(store, COHORTS, CohortMonth)


def _months_between(earlier: date, later: date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month
