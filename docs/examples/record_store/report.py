"""What a person gets to see at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from record_store.queries import CustomerTotals, MonthlyRevenue

__all__ = ["month_table", "top_customer_table"]


def top_customer_table(customers: Sequence[CustomerTotals]) -> Table:
    """Return the customers as a table."""
    table = Table(title="Top customers", title_justify="left", title_style="bold")
    table.add_column("Customer")
    for name in ("Purchases", "CDs", "Dollars"):
        table.add_column(name, justify="right")
    for customer in customers:
        table.add_row(
            customer.customer_id,
            f"{customer.purchases:,}",
            f"{customer.units:,}",
            f"{customer.revenue:,.2f}",
        )
    return table


def month_table(months: Sequence[MonthlyRevenue]) -> Table:
    """Return revenue by month as bars."""
    table = Table.grid(padding=(0, 1))
    table.title, table.title_justify, table.title_style = "Revenue by month", "left", "bold"
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    largest = max((float(month.revenue) for month in months), default=0.0) or 1.0
    for month in months:
        bar = Bar(largest, 0, float(month.revenue), width=40, color="blue")
        table.add_row(month.month, f"{month.revenue:,.2f}", bar)
    return table
