"""What the report asks of the read models."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select, table

from cqrs_ddd_core import Query
from record_store.read_models import customers, months

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Executable, RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = [
    "CustomerTotals",
    "GetRevenueByMonth",
    "GetTopCustomers",
    "GetTotals",
    "MonthlyRevenue",
    "Reports",
    "Totals",
]


class CustomerTotals(NamedTuple):
    customer_id: str
    purchases: int
    units: int
    revenue: Decimal


class MonthlyRevenue(NamedTuple):
    """A month, such as 1997-01, and what was bought in it."""

    month: str
    purchases: int
    revenue: Decimal


class Totals(NamedTuple):
    """Everything at a glance; events and outbox count rows of the toolkit's own tables."""

    customers: int
    purchases: int
    units: int
    revenue: Decimal
    events: int
    outbox: int

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._asdict().items())


class GetTopCustomers(Query[list[CustomerTotals]]):
    limit: int = 10


class GetRevenueByMonth(Query[list[MonthlyRevenue]]):
    pass


class GetTotals(Query[Totals]):
    pass


class Reports:
    """Answers the queries."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def top_customers(self, query: GetTopCustomers) -> list[CustomerTotals]:
        by_revenue = customers.select().order_by(customers.c.cents.desc(), customers.c.customer_id)
        return [
            CustomerTotals(
                row["customer_id"], row["purchases"], row["units"], _dollars(row["cents"])
            )
            for row in await self._rows(by_revenue.limit(query.limit))
        ]

    async def revenue_by_month(self, _query: GetRevenueByMonth) -> list[MonthlyRevenue]:
        return [
            MonthlyRevenue(row["month"], row["purchases"], _dollars(row["cents"]))
            for row in await self._rows(months.select().order_by(months.c.month))
        ]

    async def totals(self, _query: GetTotals) -> Totals:
        columns = {
            "customers": func.count(),
            "purchases": _sum(customers.c.purchases),
            "units": _sum(customers.c.units),
            "cents": _sum(customers.c.cents),
            "events": _count("cqrs_events"),
            "outbox": _count("cqrs_outbox"),
        }
        statement = select(*(column.label(name) for name, column in columns.items()))
        (row,) = await self._rows(statement.select_from(customers))
        return Totals(
            row["customers"],
            int(row["purchases"]),
            int(row["units"]),
            _dollars(int(row["cents"])),
            row["events"],
            row["outbox"],
        )

    async def _rows(self, statement: Executable) -> Sequence[RowMapping]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).mappings().all()


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _count(name: str) -> ColumnElement[int]:
    return select(func.count()).select_from(table(name)).scalar_subquery()


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
