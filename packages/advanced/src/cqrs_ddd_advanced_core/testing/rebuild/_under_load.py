"""F36: the whole of a rebuild while purchases keep arriving and several workers are at it."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.testing.projection._suite import ShopProjector
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
)
from cqrs_ddd_core.testing.conformance import needs

__all__ = ["UnderLoadTests"]


class UnderLoadTests(RebuildSuite):
    """Rebuilt is the fold of all events; the one that served is not doubled."""

    @needs("concurrent_transactions")
    @pytest.mark.parametrize("partitions", [1, 3])
    async def test_a_rebuild_while_the_shop_is_open(
        self, shop: RebuiltShop, partitions: int
    ) -> None:
        """F36."""
        before, after = ShopProjector(), ShopProjectorV2()
        before.partitions = after.partitions = partitions
        await shop.fill(baskets=5, each=4)
        await shop.catch_up(before)
        async with shop.working(before, before, after), shop.selling(baskets=6):
            options = {"lease_seconds": 0.6, "batch_size": 100}
            rebuilders = [shop.rebuilder(after, **options) for _ in range(2)]
            await asyncio.gather(*(one.build("shop") for one in rebuilders))
            verification = await rebuilders[0].verify("shop")
            assert verification.is_equal, verification.to_markdown()
            await rebuilders[0].swap("shop", verification=verification)
            await asyncio.sleep(0.05)
            await rebuilders[1].roll_back("shop")
            await asyncio.sleep(0.05)
            await rebuilders[0].rebuild("shop")
        await shop.catch_up(after)
        assert await shop.rows() == await shop.fold()
        await shop.rebuilder(after).roll_back("shop")
        await shop.catch_up(before)
        assert await shop.rows() == await shop.fold()

    @needs("concurrent_transactions")
    async def test_the_same_version_again_while_the_shop_is_open(self, shop: RebuiltShop) -> None:
        """F36."""
        await shop.open()
        rebuilder = shop.rebuilder(ShopProjector(), batch_size=100)
        async with shop.working(ShopProjector(), ShopProjector()), shop.selling():
            for _ in range(2):
                verification = await rebuilder.rebuild("shop")
                assert verification is not None
                await rebuilder.drop("shop", -1)
            await rebuilder.rebuild("shop")
            await rebuilder.roll_back("shop")
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()
