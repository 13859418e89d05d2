"""Builds beside the version that serves."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    RebuildError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import ErrorPolicy, EventReaction, Throttle
from cqrs_ddd_advanced_core.testing.projection._suite import Bought, Poison, ShopProjector
from cqrs_ddd_advanced_core.testing.rebuild._suite import (
    AGAIN,
    RebuildSuite,
    RebuiltShop,
    ShopProjectorV2,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["BesideTests"]


class BesideTests(RebuildSuite):
    """Builds beside the version that serves."""

    async def test_the_serving_version_is_not_touched_by_a_build(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil()
        before = await shop.rows()
        assert await shop.rebuilder().build("shop") == 2
        assert await shop.rows() == before
        assert await shop.serving() == 1
        assert set(await shop.states()) == {1, 2}

    async def test_the_serving_version_goes_on_during_a_build(self, shop: RebuiltShop) -> None:
        await shop.open()
        async with shop.working(ShopProjector()), shop.selling():
            await shop.rebuilder(batch_size=2).build("shop")
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()

    async def test_workers_leave_a_version_alone_that_does_not_serve(
        self, shop: RebuiltShop
    ) -> None:
        """It is theirs when it was swapped in; before, it would write into the serving rows."""
        await shop.open()
        assert await shop.catch_up(ShopProjectorV2()) == 0
        assert set(await shop.states()) == {1}
        await shop.rebuilder().build("shop")
        await shop.buy("b-1")
        assert await shop.catch_up(ShopProjectorV2()) == 0
        assert await shop.catch_up(ShopProjector()) == 1
        assert await shop.rows() == await shop.fold()

    async def test_a_worker_takes_over_what_was_swapped_in(self, shop: RebuiltShop) -> None:
        await shop.open()
        async with shop.working(ShopProjectorV2()):
            await shop.rebuilder().rebuild("shop")
            await shop.fill(baskets=2, each=2)
            await shop.is_projected()
        assert await shop.serving() == 2

    async def test_the_same_version_is_built_once_more(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.spoil()
        rebuilder = shop.rebuilder(ShopProjector())
        assert await rebuilder.build("shop") == AGAIN
        await rebuilder.swap("shop", unverified_because="a row was spoilt")
        assert await shop.rows() == await shop.fold()
        await shop.fill(baskets=5, each=2)
        assert await shop.catch_up() == 10
        assert await shop.rows() == await shop.fold()
        assert await shop.states() == {1: CheckpointState.RUNNING, -1: CheckpointState.KEPT}

    async def test_a_build_goes_on_where_it_was(self, shop: RebuiltShop) -> None:
        await shop.open()
        poison = Poison({})
        rebuilder = shop.rebuilder(poison.projector(version=2))
        await rebuilder.build("shop")
        await shop.fill(baskets=1, each=3)
        poison.handled.clear()
        await rebuilder.build("shop")
        assert poison.handled == [13, 14, 15]

    async def test_a_cancelled_build_goes_on_where_it_was(self, shop: RebuiltShop) -> None:
        await shop.fill(baskets=5, each=4)
        await shop.catch_up()
        poison = Poison({})
        projector = poison.projector(version=2)
        task = asyncio.create_task(shop.rebuilder(projector, batch_size=1).build("shop"))
        while len(poison.handled) < 8:  # noqa: ASYNC110 - handlers tell nobody
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        done = len(poison.handled)
        await shop.rebuilder(projector).build("shop")
        assert len(poison.handled) <= 21, "only the batch that was cancelled comes again"
        assert done < 20
        await self._assert_is_equal(shop)

    async def test_a_build_can_have_another_number_of_partitions(self, shop: RebuiltShop) -> None:
        class Divided(ShopProjectorV2):
            partitions = 3

        await shop.open(baskets=6)
        async with shop.working(ShopProjector()), shop.selling():
            await shop.rebuilder(Divided()).rebuild("shop")
        await shop.catch_up(Divided())
        assert await shop.rows() == await shop.fold()

    async def test_two_rebuilders_share_the_work(self, shop: RebuiltShop) -> None:
        class Divided(ShopProjectorV2):
            partitions = 4

        await shop.open(baskets=8, each=6)
        rebuilders = [shop.rebuilder(Divided(), lease_seconds=0.6) for _ in range(2)]
        await asyncio.gather(*(one.build("shop") for one in rebuilders))
        await rebuilders[0].swap("shop", unverified_because="the test compares it")
        assert await shop.rows() == await shop.fold()

    async def test_all_tenants_are_built_and_swapped_together(self, shop: RebuiltShop) -> None:
        for tenant_id in ("", "other", ""):
            with message_context(tenant_id=tenant_id):
                await shop.open()
        with message_context(tenant_id="other"):
            await shop.catch_up()
        verification = await shop.rebuilder().rebuild("shop")
        assert verification is not None
        assert {one.tenant_id for one in verification.tables} == {"", "other"}
        for tenant_id in ("", "other"):
            with message_context(tenant_id=tenant_id):
                assert await shop.rows() == await shop.fold()
                await shop.buy("b-1")
                assert await shop.catch_up(ShopProjectorV2()) == 1
                assert await shop.rows() == await shop.fold()

    async def test_an_event_that_cannot_be_applied_ends_a_build(self, shop: RebuiltShop) -> None:
        await shop.open()
        poison = Poison({4: 99})
        projector = poison.projector(version=2)
        with pytest.raises(RebuildError, match=r"position .*Broken"):
            await shop.rebuilder(projector).build("shop")
        assert await shop.rows() == await shop.fold()
        assert await shop.serving() == 1
        poison.failures.clear()
        await shop.rebuilder(projector).build("shop")
        await self._assert_is_equal(shop)

    async def test_a_build_may_park_what_it_cannot_apply(self, shop: RebuiltShop) -> None:
        await shop.open()
        projector = Poison({4: 99}).projector(version=2, error_policy=ErrorPolicy.PARK)
        await shop.rebuilder(projector).build("shop")
        assert await shop.store.parked_events.count("shop", 2) > 0
        assert await shop.store.parked_events.count("shop", 1) == 0

    async def test_parked_events_go_with_the_rows(self, shop: RebuiltShop) -> None:
        await shop.open()
        projector = Poison({4: 99}).projector(error_policy=ErrorPolicy.PARK)
        rebuilder = shop.rebuilder(projector)
        await rebuilder.build("shop")
        count = await shop.store.parked_events.count("shop", AGAIN)
        assert count > 0
        await rebuilder.swap("shop", unverified_because="it lacks a purchase")
        assert await shop.store.parked_events.count("shop", 1) == count
        await rebuilder.roll_back("shop")
        assert await shop.store.parked_events.count("shop", 1) == 0
        assert await shop.rows() == await shop.fold()

    async def test_progress_is_told_after_every_batch(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.rebuilder(batch_size=5).build("shop")
        done = [one.done for one in shop.progress]
        assert done == sorted(done)
        assert len(done) >= 3
        last = shop.progress[-1]
        assert (last.share, last.eta, last.done) == (1.0, 0.0, last.total)

    async def test_a_throttled_build_ends_as_well(self, shop: RebuiltShop) -> None:
        await shop.open()
        throttle = Throttle(max_rate=2000, max_lag=0)
        await shop.rebuilder(throttle=throttle, batch_size=5).build("shop")
        await self._assert_is_equal(shop)

    async def test_a_throttle_lets_the_serving_version_go_first(self, shop: RebuiltShop) -> None:
        await shop.open()
        await shop.fill(baskets=1, each=5)
        rebuilder = shop.rebuilder(throttle=Throttle(max_lag=2))
        building = asyncio.create_task(rebuilder.build("shop"))
        await asyncio.wait([building], timeout=0.05)
        assert shop.progress == [], "it waits while the serving version is behind"
        async with shop.working(ShopProjector()):
            await building
        await self._assert_is_equal(shop)

    async def test_a_build_can_be_dropped_and_begun_anew(self, shop: RebuiltShop) -> None:
        await shop.open()
        rebuilder = shop.rebuilder()
        await rebuilder.build("shop")
        await rebuilder.drop("shop", 2)
        assert set(await shop.states()) == {1}
        with pytest.raises(RebuildError, match="served from version 1"):
            await rebuilder.drop("shop", 1)
        await rebuilder.build("shop")
        await self._assert_is_equal(shop)
        await rebuilder.drop("shop", 1)
        assert await shop.rows() == await shop.fold()

    async def test_what_cannot_be_rebuilt_is_refused(self, shop: RebuiltShop) -> None:
        rebuilder = shop.rebuilder()
        with pytest.raises(UnknownProjectionError):
            await rebuilder.build("unknown")
        reaction = EventReaction("mails", {Bought: lambda _: None})
        with pytest.raises(RebuildError, match="reaction"):
            await shop.rebuilder(reaction).build("mails")
        with pytest.raises(ConfigurationError):
            shop.rebuilder(batch_size=0)
        with pytest.raises(ConfigurationError):
            Throttle(max_rate=0)

    async def test_partitions_of_a_build_stay_as_they_are(self, shop: RebuiltShop) -> None:
        class Divided(ShopProjectorV2):
            partitions = 3

        await shop.open()
        await shop.rebuilder().build("shop")
        with pytest.raises(ProjectionDefinitionError, match="partitions"):
            await shop.rebuilder(Divided()).build("shop")

    async def _assert_is_equal(self, shop: RebuiltShop) -> None:
        """Version 2 is complete, and equal to version 1."""
        rebuilder = shop.rebuilder()
        assert (await rebuilder.verify("shop")).is_equal
        await rebuilder.swap("shop", unverified_because="just verified")
        assert await shop.rows() == await shop.fold()
