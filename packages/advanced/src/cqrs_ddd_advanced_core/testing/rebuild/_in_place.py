"""Rebuilds in place, and replays."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import ErrorPolicy
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Closed,
    Poison,
    ShopProjector,
)
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
)
from cqrs_ddd_core.correlation import message_context

__all__ = ["InPlaceTests"]


class InPlaceTests(RebuildSuite):
    """Rebuilds in place, and replays."""

    async def test_rows_are_made_anew_from_all_events(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.append("b-1", Closed())
        await shop.spoil()
        await shop.spoil("nobody")
        await shop.rebuilder(ShopProjector()).rebuild_in_place("shop")
        assert await shop.rows() == await shop.fold()
        head = await shop.event_store.get_latest_position()
        assert (await shop.checkpoint()).position == head

    async def test_a_halted_projection_is_rebuilt_and_goes_on(self, shop: RebuiltShop) -> None:
        await shop.fill(baskets=2, each=3)
        await shop.catch_up(Poison({4: 99}).projector())
        assert (await shop.checkpoint()).state is CheckpointState.HALTED
        await shop.rebuilder(ShopProjector()).rebuild_in_place("shop")
        assert await shop.rows() == await shop.fold()
        assert (await shop.checkpoint()).state is CheckpointState.RUNNING

    async def test_what_was_parked_is_tried_again(self, shop: RebuiltShop) -> None:
        await shop.fill(baskets=2, each=3)
        await shop.catch_up(Poison({4: 99}).projector(error_policy=ErrorPolicy.PARK))
        assert await shop.store.parked_events.count("shop", 1) > 0
        await shop.rebuilder(ShopProjector()).rebuild_in_place("shop")
        assert await shop.store.parked_events.count("shop", 1) == 0
        assert await shop.rows() == await shop.fold()

    async def test_nothing_is_doubled_while_workers_and_writers_go_on(
        self, shop: RebuiltShop
    ) -> None:
        """F36."""
        await shop.open()
        async with shop.working(ShopProjector(), ShopProjector()), shop.selling():
            for _ in range(3):
                await shop.rebuilder(ShopProjector()).rebuild_in_place("shop")
        async with shop.working(ShopProjector()):
            await shop.is_projected()
        assert await shop.catch_up() == 0
        assert await shop.rows() == await shop.fold()

    async def test_all_tenants_are_rebuilt(self, shop: RebuiltShop) -> None:
        for tenant_id in ("", "other"):
            with message_context(tenant_id=tenant_id):
                await shop.open()
                await shop.spoil()
        await shop.rebuilder(ShopProjector()).rebuild_in_place("shop")
        for tenant_id in ("", "other"):
            with message_context(tenant_id=tenant_id):
                assert await shop.rows() == await shop.fold()

    async def test_a_version_that_does_not_serve_is_not_rebuilt_in_place(
        self, shop: RebuiltShop
    ) -> None:
        await shop.open()
        before = await shop.rows()
        with pytest.raises(RebuildError, match="served from version 1"):
            await shop.rebuilder(ShopProjectorV2()).rebuild_in_place("shop")
        assert await shop.rows() == before

    async def test_what_commands_keep_is_not_rebuilt(self, shop: RebuiltShop) -> None:
        await shop.open()
        position = (await shop.checkpoint()).position
        await shop.store.checkpoints.set_position("shop", 1, position, state=CheckpointState.INLINE)
        before = await shop.rows()
        for rebuild in (
            lambda: shop.rebuilder(ShopProjector()).rebuild_in_place("shop"),
            lambda: shop.rebuilder(ShopProjector()).replay("shop", after=0),
            lambda: shop.rebuilder().build("shop"),
        ):
            with pytest.raises(RebuildError, match="kept by commands"):
                await rebuild()
        assert await shop.rows() == before
        assert (await shop.checkpoint()).position == position

    async def test_a_replay_honours_its_position_and_keeps_positions(
        self, shop: RebuiltShop
    ) -> None:
        """P-4: neither all events, nor a count instead of a position."""
        await shop.fill(baskets=1, each=5)
        middle = await shop.buy("b-0")
        last = await shop.buy("b-0", 2)
        await shop.catch_up()
        poison = Poison({})
        await shop.rebuilder(poison.projector()).replay("shop", after=middle)
        # Tried in a batch, then alone, where the rows tell that they have had it.
        assert set(poison.handled) == {7, 8}
        assert (await shop.checkpoint()).position == last
        assert await shop.rows() == await shop.fold()

    async def test_a_replay_brings_back_rows_that_were_lost(self, shop: RebuiltShop) -> None:
        await shop.open()
        async with shop.store.unit_of_work():
            await shop.store.clear(BASKETS)
        async with shop.working(ShopProjector()), shop.selling():
            await shop.rebuilder(ShopProjector()).replay("shop", after=0)
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()

    async def test_several_partitions_are_not_replayed(self, shop: RebuiltShop) -> None:
        class Divided(ShopProjector):
            partitions = 2

        await shop.fill(baskets=2, each=1)
        await shop.catch_up(Divided())
        with pytest.raises(RebuildError, match="several partitions"):
            await shop.rebuilder(Divided()).replay("shop", after=0)
        await shop.rebuilder(Divided()).rebuild_in_place("shop")
        assert await shop.rows() == await shop.fold()
        assert await shop.store.count(CUSTOMERS) == 2
