"""Conditions, order, pages and streams."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import Specification, field
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.primitives.exceptions import (
    CursorMismatchError,
    SpecificationError,
    UnknownFieldError,
)
from cqrs_ddd_core.testing.repository._suite import RepositorySuite, ids_of
from cqrs_ddd_core.testing.samples import MOMENT, OrderStatus, SampleOrder, new_order

__all__ = ["SearchTests"]


class SearchTests(RepositorySuite):
    @pytest.mark.parametrize(
        "criteria, expected",
        [
            (None, "abcd"),
            (field("total") > 10, "bd"),
            (field("total") == Decimal("9.50"), "ac"),
            ((field("customer") == "eve") | (field("total") >= Decimal("100.0")), "bd"),
            (~(field("customer") == "adam"), "bd"),
            (field("status") == OrderStatus.SHIPPED, "d"),
            (field("placed_on") < date(2026, 1, 2), "ab"),
            (field("due_at") >= MOMENT + timedelta(seconds=2), "cd"),
            (field("id").in_(["a", "c", "x"]), "ac"),
            (field("customer") == "nobody", ""),
        ],
        ids=lambda value: value or "none" if isinstance(value, str) else "",
    )
    async def test_a_search_finds_what_satisfies_it_in_id_order(
        self, repository: IRepository[SampleOrder], criteria: Specification | None, expected: str
    ) -> None:
        await _save_samples(repository)
        assert ids_of(await repository.search(criteria)) == list(expected)
        assert await repository.count(criteria) == len(expected)
        streamed = [order async for order in repository.stream(criteria, batch_size=1)]
        assert ids_of(streamed) == list(expected)

    @pytest.mark.parametrize(
        "options, expected",
        [
            (QueryOptions().with_ordering("total"), "acdb"),
            (QueryOptions().with_ordering("total", desc=True), "bdac"),
            (QueryOptions().with_ordering("customer").with_ordering("total", desc=True), "acbd"),
            (QueryOptions().with_ordering("due_at", desc=True), "dcba"),
            (QueryOptions().with_ordering("id", desc=True), "dcba"),
            (QueryOptions().with_pagination(limit=2), "ab"),
            (QueryOptions().with_pagination(limit=2, offset=3), "d"),
            (QueryOptions().with_pagination(limit=2, offset=4), ""),
            (QueryOptions().with_pagination(limit=0), ""),
            (
                QueryOptions(field("total") < 100)
                .with_ordering("total", desc=True)
                .with_pagination(limit=2, offset=1),
                "ac",
            ),
        ],
        ids=str,
    )
    async def test_a_search_orders_and_pages(
        self, repository: IRepository[SampleOrder], options: QueryOptions, expected: str
    ) -> None:
        await _save_samples(repository)
        assert ids_of(await repository.search(options)) == list(expected)

    async def test_pages_after_a_cursor_meet_and_do_not_overlap(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        for number in range(11):
            await repository.save(new_order(f"o-{number:02}", total=str(number % 3)))
        options = QueryOptions().with_ordering("total", desc=True).with_pagination(limit=4)
        found: list[str] = []
        while page := await repository.search(options):
            found += ids_of(page)
            options = options.after_cursor(options.cursor(page[-1]))
        everything = await repository.search(QueryOptions().with_ordering("total", desc=True))
        assert found == ids_of(everything)
        assert len(set(found)) == 11

    async def test_an_unknown_field_is_refused(self, repository: IRepository[SampleOrder]) -> None:
        """S-24."""
        await repository.save(new_order())
        for criteria in (field("price") == 1, QueryOptions().with_ordering("price")):
            with pytest.raises(UnknownFieldError):
                await repository.search(criteria)

    async def test_single_fields_of_an_aggregate_are_refused(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        """S-24: a choice of fields is never ignored."""
        with pytest.raises(SpecificationError, match="come whole"):
            await repository.search(QueryOptions().with_fields("id", "total"))

    async def test_a_cursor_of_another_search_is_refused(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        order = new_order()
        await repository.save(order)
        cursor = QueryOptions().with_ordering("total").cursor(order)
        for options in (QueryOptions(), QueryOptions(field("total") > 1).with_ordering("total")):
            with pytest.raises(CursorMismatchError):
                await repository.search(options.after_cursor(cursor))

    async def test_many_are_streamed_in_batches(self, repository: IRepository[SampleOrder]) -> None:
        for number in range(25):
            await repository.save(new_order(f"o-{number:02}"))
        streamed = [order async for order in repository.stream(batch_size=10)]
        assert ids_of(streamed) == [f"o-{number:02}" for number in range(25)]


async def _save_samples(repository: IRepository[SampleOrder]) -> None:
    samples = [("b", "eve", "100.00"), ("a", "adam", "9.50"), ("d", "eve", "10.25")]
    for order_id, customer, total in [*samples, ("c", "adam", "9.5")]:
        place = "abcd".index(order_id)
        order = new_order(
            order_id,
            total,
            customer=customer,
            placed_on=date(2026, 1, 1 + place // 2),
            due_at=MOMENT + timedelta(seconds=place),
            status=OrderStatus.SHIPPED if order_id == "d" else OrderStatus.PLACED,
        )
        await repository.save(order)
