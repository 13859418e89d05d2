"""The answers of the projections as tables."""

from __future__ import annotations

from calendar import day_name
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.bar import Bar
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from record_store.cohorts import CohortMonth
    from record_store.customer_value import CustomerValue
    from record_store.sales import MonthSales, WeekdaySales
    from record_store.segments import Score, Segment

__all__ = [
    "cohort_table",
    "customer_table",
    "month_sales_table",
    "segment_table",
    "weekday_table",
]


def customer_table(customers: Sequence[CustomerValue], scores: Mapping[str, Score]) -> Table:
    """Return the value of customers with their scores."""
    table = _table(
        "Customer value", "Customer", "Last purchase", "Purchases", "Dollars", "RFM", "Segment"
    )
    for one in customers:
        score = scores[one.customer_id]
        digits = "".join(map(str, score))
        table.add_row(
            one.customer_id,
            str(one.last_purchase),
            f"{one.purchases:,}",
            f"{one.revenue:,.2f}",
            digits,
            score.segment,
        )
    return table


def segment_table(segments: Sequence[Segment]) -> Table:
    """Return the segments, and how much of the revenue each of them brings."""
    table = _table("Segments", "Segment", "Customers", "Purchases", "Dollars", "Share")
    everything = sum((one.revenue for one in segments), Decimal(0)) or 1
    for one in segments:
        table.add_row(
            one.name,
            f"{one.customers:,}",
            f"{one.purchases:,}",
            f"{one.revenue:,.2f}",
            f"{one.revenue / everything:.0%}",
        )
    return table


def month_sales_table(months: Sequence[MonthSales]) -> Table:
    """Return sales by month as bars."""
    return _bars("Revenue by month", [(f"{one.month:%Y-%m}", one) for one in months])


def weekday_table(weekdays: Sequence[WeekdaySales]) -> Table:
    """Return sales by weekday as bars."""
    return _bars("Revenue by weekday", [(day_name[one.weekday - 1], one) for one in weekdays])


def cohort_table(cohorts: Sequence[CohortMonth]) -> Table:
    """Return a column for each cohort, and a row for each month after its first."""
    found = {(one.cohort, one.months_since): one for one in cohorts}
    names = sorted({one.cohort for one in cohorts})
    title = "Cohorts: how many customers bought something, and for how much"
    table = _table(title, "Months later", *(f"{name:%Y-%m}" for name in names))
    for months in sorted({one.months_since for one in cohorts}):
        cells = (found.get((name, months)) for name in names)
        table.add_row(
            f"{months}",
            *(f"{one.customers:>6,} {one.revenue:>10,.2f}" if one else "" for one in cells),
        )
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="left" if name == "Segment" else "right")
    return table


def _bars(title: str, named: Sequence[tuple[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    largest = max((float(one.revenue) for _, one in named), default=0.0) or 1.0
    for name, one in named:
        bar = Bar(largest, 0, float(one.revenue), width=40, color="blue")
        table.add_row(name, f"{one.revenue:,.2f}", bar)
    return table
