"""What the read models hold against what was accepted."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from record_store.ingest import ingest
from record_store.purchase_log import Line
from record_store.queries import GetRevenueByMonth, GetTopCustomers, GetTotals
from record_store.rejects import Reject
from record_store.store import open_store

days = st.integers(0, 100).map(lambda days: date(1997, 1, 1) + timedelta(days=days))
rows = st.tuples(
    st.sampled_from(["00004", "00018", "00021"]),
    days | st.just(date(9999, 12, 31)),
    st.integers(-1, 40),
    st.decimals("-1.00", "600.00", places=2),
)


def text(row: tuple[str, date, int, Decimal]) -> bytes:
    customer_id, day, units, amount = row
    return f"{customer_id},0001,{day},{units},{amount}".encode()


@settings(max_examples=25, deadline=None)
@given(purchases=st.lists(rows, max_size=30))
async def test_read_models_hold_the_sums_of_the_accepted_lines(
    purchases: list[tuple[str, date, int, Decimal]],
) -> None:
    log_id = uuid4()
    lines = [Line(log_id, number, text(row)) for number, row in enumerate(purchases)]
    rejects: list[Reject] = []
    async with open_store("sqlite://") as mediator:
        first = await ingest(lines, mediator, rejects.append)
        again = await ingest(lines, mediator, rejects.append)
        totals = await mediator.ask(GetTotals())
        months = await mediator.ask(GetRevenueByMonth())
        customers = await mediator.ask(GetTopCustomers())

    rejected = {reject.line for reject in rejects}
    accepted = [row for number, row in enumerate(purchases) if number not in rejected]
    revenue: Counter[str] = Counter()
    by_month: Counter[str] = Counter()
    for customer_id, day, _, amount in accepted:
        revenue[customer_id] += amount  # type: ignore[assignment]
        by_month[f"{day:%Y-%m}"] += amount  # type: ignore[assignment]
    assert totals.purchases == len(accepted) == first.recorded == again.known
    assert totals.customers == len(revenue)
    assert totals.units == sum(units for _, _, units, _ in accepted)
    assert totals.revenue == sum(revenue.values())
    assert totals.events == totals.outbox == totals.purchases + totals.customers
    assert {month.month: month.revenue for month in months} == by_month
    assert {customer.customer_id: customer.revenue for customer in customers} == revenue


async def test_a_database_with_documents_can_be_carried_on_with_events_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/record_store.db"
    day, log_id = date(1997, 1, 1), uuid4()
    buy = [text(("00004", day, 1, Decimal("9.99"))), text(("00004", day, 2, Decimal("5.00")))]
    lines = [Line(log_id, number, line) for number, line in enumerate(buy)]
    async with open_store(url) as mediator:
        await ingest(lines[:1], mediator, _refuse)

    async with open_store(url, event_sourced=True) as mediator:
        summary = await ingest(lines, mediator, _refuse)
        totals = await mediator.ask(GetTotals())

    assert (summary.known, summary.recorded) == (1, 1)
    assert (totals.customers, totals.purchases, totals.events) == (1, 2, 3)


def _refuse(reject: Reject) -> None:
    raise AssertionError(reject)
