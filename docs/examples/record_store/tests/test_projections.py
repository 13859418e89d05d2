"""The projections against a fold of the same purchases that knows nothing of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_store.cohorts import CohortMonth, cohort_months
from record_store.customer_value import CustomerValue, CustomerValues
from record_store.projections import projectors
from record_store.purchase import PurchaseRecorded
from record_store.sales import MonthSales, WeekdaySales, month_sales, weekday_sales
from record_store.segments import scores, segments

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.projections import ProjectionWorker, ProjectorRegistry
from cqrs_ddd_core import StreamId
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event

FIRST_DAY = date(1997, 1, 1)

#: A customer, days after that customer's first purchase, units and amount.
purchases = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "eve"]),
        st.integers(0, 500),
        st.integers(1, 40),
        st.decimals(0, 600, places=2),
    ),
    max_size=40,
)


def recorded(rows: Sequence[tuple[str, int, int, Decimal]]) -> list[PurchaseRecorded]:
    """Return the events; no purchase of a customer is before the one that is recorded first."""
    known: set[str] = set()
    events = []
    for customer_id, days, units, amount in rows:
        later = days if customer_id in known else 0
        known.add(customer_id)
        events.append(
            PurchaseRecorded(
                customer_id=customer_id,
                purchased_on=FIRST_DAY + timedelta(days=later),
                units=units,
                amount=amount,
            )
        )
    return events


async def project(
    events: Sequence[PurchaseRecorded], *, batch_size: int
) -> InMemoryProjectionStore:
    feed, store = InMemoryEventStore(), InMemoryProjectionStore()
    for event in events:
        await feed.append(StreamId("Purchase", str(event.event_id)), [serialize_event(event)])
    registry = ProjectorRegistry(projectors(), store=store)
    worker = ProjectionWorker(registry, feed, batch_size=batch_size)
    await worker.run_once()
    await worker.stop()
    return store


@settings(max_examples=25, deadline=None)
@given(rows=purchases, batch_size=st.integers(1, 10))
async def test_all_tables_hold_the_fold_of_the_purchases(
    rows: list[tuple[str, int, int, Decimal]], batch_size: int
) -> None:
    events = recorded(rows)
    store = await project(events, batch_size=batch_size)

    of_customer = defaultdict[str, list[PurchaseRecorded]](list)
    of_month = defaultdict[date, list[PurchaseRecorded]](list)
    of_weekday = defaultdict[int, list[PurchaseRecorded]](list)
    for event in events:
        of_customer[event.customer_id].append(event)
        of_month[event.purchased_on.replace(day=1)].append(event)
        of_weekday[event.purchased_on.isoweekday()].append(event)
    assert await CustomerValues(store).query() == [
        CustomerValue(name, max(one.purchased_on for one in of), len(of), revenue(of))
        for name, of in sorted(of_customer.items())
    ]
    assert await month_sales(store).query() == [
        MonthSales(month, len(of), units(of), revenue(of)) for month, of in sorted(of_month.items())
    ]
    assert await weekday_sales(store).query() == [
        WeekdaySales(day, len(of), units(of), revenue(of)) for day, of in sorted(of_weekday.items())
    ]
    assert await cohort_months(store).query() == fold_of_cohorts(of_customer)


def fold_of_cohorts(
    of_customer: dict[str, list[PurchaseRecorded]],
) -> list[CohortMonth]:
    cells = defaultdict[tuple[date, int], list[PurchaseRecorded]](list)
    for of in of_customer.values():
        first = min(one.purchased_on for one in of)
        for event in of:
            day = event.purchased_on
            since = day.year * 12 + day.month - first.year * 12 - first.month
            cells[first.replace(day=1), since].append(event)
    return [
        CohortMonth(*key, len({one.customer_id for one in of}), len(of), revenue(of))
        for key, of in sorted(cells.items())
    ]


def revenue(events: Sequence[PurchaseRecorded]) -> Decimal:
    return sum((one.amount for one in events), Decimal(0))


def units(events: Sequence[PurchaseRecorded]) -> int:
    return sum(one.units for one in events)


async def test_those_who_spent_most_come_first() -> None:
    rows = [("ann", 0, 1, Decimal(10)), ("bob", 0, 1, Decimal(30)), ("ann", 5, 1, Decimal(25))]
    store = await project(recorded(rows), batch_size=10)

    assert [one.customer_id for one in await CustomerValues(store).best(2)] == ["ann", "bob"]


def values(count: int) -> list[CustomerValue]:
    """Return customers of whom each one is better than the one before."""
    return [
        CustomerValue(f"c{n}", FIRST_DAY + timedelta(days=n), n + 1, Decimal(n))
        for n in range(count)
    ]


def test_scores_divide_customers_into_fifths() -> None:
    assert [sum(score) for score in scores(values(10)).values()] == [
        3,
        3,
        6,
        6,
        9,
        9,
        12,
        12,
        15,
        15,
    ]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_equal_customers_have_equal_scores(count: int) -> None:
    same = [CustomerValue(f"c{n}", FIRST_DAY, 2, Decimal(5)) for n in range(count)]
    assert set(scores(same).values()) == ({(1, 1, 1)} if count else set())


def test_each_customer_is_in_one_segment() -> None:
    customers = values(50)
    found = segments(customers)
    assert sum(one.customers for one in found) == 50
    assert sum(one.revenue for one in found) == sum(one.revenue for one in customers)
    assert Counter(one.name for one in found).most_common(1)[0][1] == 1
    assert found[0].name == "champions"
    assert found[-1].name == "lost"
