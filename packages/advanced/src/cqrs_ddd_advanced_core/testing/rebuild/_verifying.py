"""A build and what serves are compared after the same events."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import RowChange
from cqrs_ddd_advanced_core.projections import ProjectionRows, projects
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Bought,
    ShopProjector,
)
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
)
from cqrs_ddd_core.testing.conformance import needs

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import Verification

__all__ = ["VerifyingTests"]

_DATED: Final = ProjectionSchema(
    "customers",
    {**CUSTOMERS.columns, "last": ProjectionColumn(str, nullable=True)},
    CUSTOMERS.key,
)


class _Dated(ShopProjectorV2):
    """A later definition with one more column, and totals in another currency."""

    tables = (_DATED, BASKETS)

    @projects
    def bought(self, event: Bought, rows: ProjectionRows) -> None:
        rows.add("customers", event.customer, purchases=1, total=2 * event.amount)
        rows.update("customers", event.customer, last=event.aggregate_id)
        rows.update(BASKETS, event.aggregate_id, last_number=event.number)
        rows.add(BASKETS, event.aggregate_id, purchases=1)


class VerifyingTests(RebuildSuite):
    """A build and what serves are compared after the same events."""

    async def test_equal_builds_have_no_differences(self, shop: RebuiltShop) -> None:
        await shop.open()
        found = await self._verify(shop)
        assert found.is_equal
        assert found.position == await shop.event_store.get_latest_position()
        counts = {one.table: (one.serving_rows, one.new_rows) for one in found.tables}
        assert counts == {"customers": (3, 3), "baskets": (3, 3)}

    async def test_a_difference_is_found_and_named(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil("customer 2", total=Decimal(7))
        found = await self._verify(shop)
        [customers, baskets] = found.tables
        assert baskets.is_equal
        assert customers.differing == 1
        [difference] = customers.samples
        assert (difference.key, difference.column) == (("customer 2",), "total")
        assert (difference.serving, difference.new) == (Decimal(7), Decimal("0.40"))
        assert "| customers |  | customer 2 | total | 7 | 0.4" in found.to_markdown()

    async def test_rows_that_only_one_of_both_has_are_found(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil("nobody")
        async with shop.store.unit_of_work():
            gone = RowChange(("customer 1",), 10**9, 10**9, deletes=True, is_delete=True)
            await shop.store.apply(CUSTOMERS, [gone])
        found = await self._verify(shop)
        [customers, _] = found.tables
        assert customers.differing == 2
        sides = {one.key: (one.serving, one.new) for one in customers.samples}
        assert sides["nobody",][1] == sides["customer 1",][0] == "no row"
        assert "purchases=4" in sides["customer 1",][1]

    async def test_every_row_is_compared_and_some_differences_are_named(
        self, shop: RebuiltShop
    ) -> None:
        changes = [RowChange((f"row {number:04}",), 1, 1) for number in range(2500)]
        await shop.open()
        async with shop.store.unit_of_work():
            await shop.store.apply(CUSTOMERS, changes)
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        [customers, _] = (await rebuilder.verify("shop", samples=5)).tables
        assert customers.differing == 2500
        assert len(customers.samples) == 5

    async def test_expected_differences_are_left_out(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder(_Dated())
        await rebuilder.build("shop")
        found = await rebuilder.verify("shop", serving_tables=[CUSTOMERS])
        assert {one.column for one in found.tables[0].samples} == {"total"}
        with pytest.raises(RebuildError, match="rows of shop differ"):
            await rebuilder.swap("shop", verification=found)
        leave_out = {"customers": ["total"]}
        found = await rebuilder.verify("shop", serving_tables=[CUSTOMERS], leave_out=leave_out)
        assert found.is_equal
        assert found.tables[0].left_out == ("last", "total")
        await rebuilder.swap("shop", verification=found)
        rows = await shop.store.fetch(_DATED, [("customer 1",)])
        assert rows["customer 1",]["total"] == Decimal("0.80")
        assert rows["customer 1",]["last"] is not None

    async def test_a_whole_table_can_be_left_out(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil()
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        found = await rebuilder.verify("shop", leave_out={"customers": "*"})
        assert [one.table for one in found.tables] == ["baskets"]
        assert found.is_equal

    async def test_a_swap_needs_a_verification_or_a_reason(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        found = await rebuilder.verify("shop")
        with pytest.raises(RebuildError, match="not verified"):
            await rebuilder.swap("shop")
        other = shop.rebuilder(ShopProjector())
        await other.build("shop")
        with pytest.raises(RebuildError, match="not version -1"):
            await other.swap("shop", verification=found)
        assert await shop.serving() == 1
        await rebuilder.swap("shop", verification=found)
        assert await shop.serving() == 2

    async def test_a_serving_version_that_stands_still_behind_is_told(
        self, shop: RebuiltShop
    ) -> None:
        await shop.open()
        await shop.buy("b-1")
        rebuilder = shop.rebuilder(timeout=0.05)
        await rebuilder.build("shop")
        with pytest.raises(RebuildError, match="has to be carried on by a worker"):
            await rebuilder.verify("shop")
        assert (await shop.states())[2] == "running", "it does not stay paused"
        await shop.catch_up()
        assert (await rebuilder.verify("shop")).is_equal

    @needs("concurrent_transactions")
    async def test_builds_meet_while_purchases_keep_arriving(self, shop: RebuiltShop) -> None:
        await shop.open()
        async with shop.working(ShopProjector()), shop.selling():
            rebuilder = shop.rebuilder(batch_size=100)
            await rebuilder.build("shop")
            for _ in range(3):
                assert (await rebuilder.verify("shop")).is_equal
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()

    @needs("concurrent_transactions")
    async def test_partitions_meet_one_by_one(self, shop: RebuiltShop) -> None:
        class Divided(ShopProjector):
            partitions = 3

        class DividedV2(ShopProjectorV2):
            partitions = 3

        await shop.fill(baskets=6, each=2)
        await shop.catch_up(Divided())
        async with shop.working(Divided()), shop.selling(baskets=8):
            rebuilder = shop.rebuilder(DividedV2(), batch_size=100)
            await rebuilder.build("shop")
            for _ in range(2):
                assert (await rebuilder.verify("shop")).is_equal

    async def _verify(self, shop: RebuiltShop) -> Verification:
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        return await rebuilder.verify("shop")
