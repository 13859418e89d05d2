"""What was sold by month and by weekday: two tables, and no code that adds anything up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.ports import ProjectionSchema
from cqrs_ddd_advanced_core.projections import MappedProjector
from cqrs_ddd_advanced_core.queries import QueryRepository
from record_store.purchase import PurchaseRecorded

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports import IProjectionStore

__all__ = [
    "MONTH_SALES",
    "WEEKDAY_SALES",
    "MonthSales",
    "WeekdaySales",
    "month_of",
    "month_sales",
    "sales_projector",
    "weekday_sales",
]


@dataclass(frozen=True)
class MonthSales:
    """Sales of a month, which is told by its first day."""

    month: date
    purchases: int = 0
    units: int = 0
    revenue: Decimal = Decimal(0)


@dataclass(frozen=True)
class WeekdaySales:
    """Sales on a day of the week, from 1 for Monday to 7 for Sunday."""

    weekday: int
    purchases: int = 0
    units: int = 0
    revenue: Decimal = Decimal(0)


MONTH_SALES = ProjectionSchema.of(MonthSales, key="month")
WEEKDAY_SALES = ProjectionSchema.of(WeekdaySales, key="weekday")
_SUMS: Final[dict[str, str | int]] = {"purchases": 1, "units": "units", "revenue": "amount"}


def month_of(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def sales_projector() -> MappedProjector:
    """Return the projector of both tables."""
    return (
        MappedProjector("sales", MONTH_SALES, WEEKDAY_SALES)
        .on(PurchaseRecorded, key=_month, adds=_SUMS)
        .on(PurchaseRecorded, key=_weekday, adds=_SUMS, table=WEEKDAY_SALES.name)
    )


def month_sales(store: IProjectionStore) -> QueryRepository[MonthSales]:
    """Return what answers questions about months."""
    return QueryRepository(store, MONTH_SALES, MonthSales)


def weekday_sales(store: IProjectionStore) -> QueryRepository[WeekdaySales]:
    """Return what answers questions about days of the week."""
    return QueryRepository(store, WEEKDAY_SALES, WeekdaySales)


def _month(event: PurchaseRecorded) -> date:
    return month_of(event.purchased_on)


def _weekday(event: PurchaseRecorded) -> int:
    return event.purchased_on.isoweekday()
