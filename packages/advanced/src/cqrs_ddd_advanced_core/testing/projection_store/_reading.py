"""How rows are found."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cqrs_ddd_advanced_core.testing.projection_store._suite import (
    EVERYTHING,
    ORDERS,
    PAIRS,
    VALUES,
    ProjectionStoreSuite,
    apply,
    change,
    row_of,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.primitives.exceptions import SpecificationValueError, UnknownFieldError
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore

__all__ = ["ReadingTests"]


class ReadingTests(ProjectionStoreSuite):
    """How rows are found."""

    @pytest.fixture
    async def orders(self, store: IProjectionStore) -> IProjectionStore:
        await apply(
            store,
            *(
                change(n + 1, f"o-{n}", customer=("Ada", "Bob")[n % 2], total=Decimal(n // 3))
                for n in range(9)
            ),
        )
        return store

    async def test_rows_are_fetched_by_key(self, orders: IProjectionStore) -> None:
        found = await orders.fetch(ORDERS, [("o-1",), ("unknown",), ("o-8",)])
        assert {key: row["customer"] for key, row in found.items()} == {
            ("o-1",): "Bob",
            ("o-8",): "Ada",
        }

    async def test_thousands_of_rows_are_fetched_at_once(self, store: IProjectionStore) -> None:
        await apply(
            store, *(change(1, (n, UUID(int=n)), deletes=True) for n in range(3000)), schema=PAIRS
        )
        found = await store.fetch(PAIRS, [(n, UUID(int=n)) for n in range(4000)])
        assert len(found) == 3000

    async def test_rows_that_meet_a_condition_come_in_order(self, orders: IProjectionStore) -> None:
        options = QueryOptions(field("customer") == "Ada").with_ordering("-total")
        found = await orders.query(ORDERS, options)
        assert [row["id"] for row in found] == ["o-6", "o-8", "o-4", "o-0", "o-2"]

    async def test_ties_are_broken_by_the_key(self, store: IProjectionStore) -> None:
        pairs = [(n, UUID(int=m)) for n in (2, 1) for m in (2, 3, 1)]
        await apply(store, *(change(1, key, deletes=True) for key in pairs), schema=PAIRS)
        found = await store.query(PAIRS, QueryOptions())
        assert [(row["right"], row["left"]) for row in found] == sorted(pairs)

    async def test_pages_do_not_overlap(self, orders: IProjectionStore) -> None:
        options = QueryOptions().with_ordering("total").with_key("id").with_pagination(limit=2)
        ids: list[str] = []
        while page := await orders.query(ORDERS, options):
            ids += [row["id"] for row in page]
            options = options.after_cursor(options.cursor(page[-1]))
        assert ids == [f"o-{n}" for n in range(9)]
        skipped = await orders.query(ORDERS, QueryOptions(limit=2, offset=7))
        assert [row["id"] for row in skipped] == ["o-7", "o-8"]

    async def test_only_some_columns_are_returned(self, orders: IProjectionStore) -> None:
        options = QueryOptions(limit=1).with_fields("customer", "total")
        assert await orders.query(ORDERS, options) == [{"customer": "Ada", "total": Decimal(0)}]

    async def test_rows_are_counted_whatever_the_page(self, orders: IProjectionStore) -> None:
        assert await orders.count(ORDERS) == 9
        options = QueryOptions(field("total") > Decimal(0), limit=1)
        assert await orders.count(ORDERS, options) == 6

    async def test_json_is_looked_into(self, store: IProjectionStore) -> None:
        changes = [
            change(1, 1, **VALUES, maybe_dict={"city": {"name": AWKWARD_TEXT}}),
            change(1, 2, **VALUES, maybe_dict={"city": "Paris"}),
            change(1, 3, **VALUES),
        ]
        await apply(store, *changes, schema=EVERYTHING)
        options = QueryOptions(field("maybe_dict.city.name") == AWKWARD_TEXT)
        assert [row["id"] for row in await store.query(EVERYTHING, options)] == [1]

    async def test_unknown_columns_are_refused(self, orders: IProjectionStore) -> None:
        for options in (
            QueryOptions(field("unknown") == 1),
            QueryOptions(field("customer.name") == "Ada"),
            QueryOptions().with_ordering("unknown"),
            QueryOptions().with_fields("unknown"),
        ):
            with pytest.raises(UnknownFieldError):
                await orders.query(ORDERS, options)
        with pytest.raises(UnknownFieldError):
            await orders.count(ORDERS, QueryOptions(field("unknown") == 1))

    async def test_values_of_another_kind_are_refused(self, orders: IProjectionStore) -> None:
        with pytest.raises(SpecificationValueError):
            await orders.query(ORDERS, QueryOptions(field("total") == "text"))

    async def test_tenants_do_not_see_each_other(self, store: IProjectionStore) -> None:
        for tenant in ("", "a", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                await apply(store, change(1, customer=tenant))
        with message_context(tenant_id="a"):
            await apply(store, change(2, customer="changed"))
            async with store.unit_of_work():
                await store.clear(ORDERS)
            assert (await store.count(ORDERS), await row_of(store)) == (0, None)
            assert await store.query(ORDERS, QueryOptions()) == []
        for tenant in ("", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                assert await row_of(store, "o-1", "customer") == (tenant,)
                assert await store.count(ORDERS) == 1
