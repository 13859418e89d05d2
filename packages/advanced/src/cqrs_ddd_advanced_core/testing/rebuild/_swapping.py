"""One version serves, then another: for readers, workers and operators."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import ProjectionRows, projects
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Bought,
    Closed,
    ShopProjector,
)
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    AGAIN,
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
    background,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.conformance import needs

__all__ = ["SwappingTests"]


class _Doubling(ShopProjectorV2):
    """A later definition whose totals can be told from the former ones."""

    @projects
    def bought(self, event: Bought, rows: ProjectionRows) -> None:
        super().bought(event, rows)
        rows.add("customers", event.customer, total=event.amount)


class SwappingTests(RebuildSuite):
    """One version serves, then another."""

    async def test_the_version_that_served_is_kept(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.rebuilder().rebuild("shop")
        assert await shop.serving() == 2
        assert await shop.states() == {1: CheckpointState.KEPT, 2: CheckpointState.RUNNING}
        kept = CUSTOMERS.named("customers__v1")
        assert await shop.store.count(kept) == await shop.store.count(CUSTOMERS) == 3
        assert not await shop.store.exists(CUSTOMERS.named("customers__v2"))

    async def test_the_worker_of_the_kept_version_is_fenced(self, shop: RebuiltShop) -> None:
        await shop.open()
        async with shop.working(ShopProjector()):
            await shop.rebuilder(_Doubling()).rebuild("shop", unverified_because="it doubles")
            await shop.fill(baskets=3, each=3)
            await shop.catch_up(_Doubling())
            await asyncio.sleep(0.05)
        customers, _ = await shop.rows()
        assert customers["customer 1"][1] == 2 * (await shop.fold())[0]["customer 1"][1]
        assert (await shop.states())[1] is CheckpointState.KEPT

    async def test_a_swap_lets_nobody_see_less_than_before(self, shop: RebuiltShop) -> None:
        """What the serving version got since the build is applied in the swap."""
        await shop.open()
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        await shop.fill(baskets=4, each=2)
        await shop.catch_up()
        await rebuilder.swap("shop", unverified_because="the test compares it")
        assert await shop.rows() == await shop.fold()

    async def test_it_is_rolled_back_at_once(self, shop: RebuiltShop) -> None:
        await shop.open()
        before = await shop.rows()
        await shop.rebuilder(_Doubling()).rebuild("shop", unverified_because="it doubles")
        await shop.fill(baskets=2, each=1)
        await shop.catch_up(_Doubling())
        assert await shop.rebuilder(_Doubling()).roll_back("shop") == 1
        assert await shop.serving() == 1
        assert await shop.rows() == before
        assert await shop.catch_up(ShopProjector()) == 2
        assert await shop.rows() == await shop.fold()

    async def test_it_goes_to_and_fro(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder(_Doubling())
        await rebuilder.rebuild("shop", unverified_because="it doubles")
        await rebuilder.roll_back("shop")
        await shop.fill(baskets=2, each=1)
        await shop.catch_up(ShopProjector())
        await rebuilder.rebuild("shop", unverified_because="it doubles")
        assert await shop.serving() == 2
        customers, baskets = await shop.rows()
        expected, expected_baskets = await shop.fold()
        assert customers == {name: (n, 2 * total) for name, (n, total) in expected.items()}
        assert baskets == expected_baskets
        await shop.rebuilder(ShopProjector()).roll_back("shop")
        await shop.catch_up(ShopProjector())
        assert await shop.rows() == await shop.fold()

    async def test_the_same_version_is_rolled_back(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil()
        spoilt = await shop.rows()
        rebuilder = shop.rebuilder(ShopProjector())
        await rebuilder.rebuild("shop", unverified_because="a row was spoilt")
        with pytest.raises(RebuildError, match="is kept as it was"):
            await rebuilder.swap("shop", unverified_because="there is no build")
        await shop.buy("b-0")
        await shop.catch_up()
        with pytest.raises(RebuildError, match="drop version -1 first"):
            await rebuilder.build("shop")
        assert await rebuilder.roll_back("shop") == 1
        assert await shop.rows() == spoilt
        assert await shop.catch_up() == 1
        assert (await shop.rows())[1] == (await shop.fold())[1]

    async def test_the_same_version_is_rebuilt_again_and_again(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder(ShopProjector())
        for _ in range(3):
            await shop.spoil()
            await rebuilder.rebuild("shop", unverified_because="a row was spoilt")
            assert await shop.rows() == await shop.fold()
            await rebuilder.drop("shop", AGAIN)
            await shop.buy("b-1")
            await shop.catch_up()

    async def test_which_version_to_roll_back_to_is_asked(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder()
        with pytest.raises(RebuildError, match="none"):
            await rebuilder.roll_back("shop")
        await rebuilder.rebuild("shop")
        with pytest.raises(RebuildError, match="keeps these versions: 1;"):
            await rebuilder.roll_back("shop", version=7)
        assert await rebuilder.roll_back("shop", version=1) == 1

    async def test_swapping_twice_is_refused(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilders = [shop.rebuilder(), shop.rebuilder()]
        await rebuilders[0].build("shop")
        results = await asyncio.gather(
            *(one.swap("shop", unverified_because="a race") for one in rebuilders),
            return_exceptions=True,
        )
        assert [str(type(one).__name__) for one in results].count("NoneType") == 1
        assert await shop.serving() == 2
        assert await shop.rows() == await shop.fold()

    async def test_what_was_not_built_is_not_swapped_in(self, shop: RebuiltShop) -> None:
        """Also when somebody else has just swapped it in: that is no reason to build it again."""
        await shop.open()
        rebuilder = shop.rebuilder()
        with pytest.raises(RebuildError, match="version 2 was not built"):
            await rebuilder.swap("shop", unverified_because="it is quicker")
        assert await shop.serving() == 1
        await rebuilder.rebuild("shop")
        with pytest.raises(RebuildError, match="version 2 serves, and version -2 was not built"):
            await rebuilder.swap("shop", unverified_because="somebody was faster")
        assert await shop.rows() == await shop.fold()

    @needs("concurrent_transactions")
    async def test_readers_see_all_of_one_version(self, shop: RebuiltShop) -> None:
        """F36: the old totals or the new ones, and neither nothing nor an error."""
        await shop.open(baskets=6, each=4)
        rebuilder = shop.rebuilder(_Doubling())
        await rebuilder.build("shop")
        seen = []

        async def read() -> None:
            rows = await shop.store.query(CUSTOMERS, QueryOptions())
            seen.append(sum(row["total"] for row in rows))

        async with background(read), background(read):
            for _ in range(3):
                await rebuilder.swap("shop", unverified_because="readers look at it")
                await asyncio.sleep(0.02)
                await rebuilder.roll_back("shop")
                await asyncio.sleep(0.02)
                await rebuilder.build("shop")
        assert set(seen) <= {Decimal("2.4"), Decimal("4.8")}
        assert len(seen) > 6

    async def test_tables_of_one_version_only_come_and_go(self, shop: RebuiltShop) -> None:
        class Smaller(ShopProjectorV2):
            tables = (CUSTOMERS,)

            @projects
            def bought(self, event: Bought, rows: ProjectionRows) -> None:
                rows.add("customers", event.customer, purchases=1, total=event.amount)

            @projects
            def closed(self, event: Closed, rows: ProjectionRows) -> None:
                """There are no baskets."""

        class Larger(ShopProjectorV2):
            version = 3

        await shop.open()
        await shop.rebuilder(Smaller()).rebuild("shop")
        assert await shop.store.count(BASKETS) == 3, "it stays where it was"
        rebuilder = shop.rebuilder(Larger())
        await rebuilder.build("shop")
        await rebuilder.swap("shop", unverified_because="there is nothing to compare with")
        assert await shop.rows() == await shop.fold()
        await shop.store.drop(BASKETS.named("baskets__v3"))
        await shop.store.drop(CUSTOMERS.named("customers__v3"))
