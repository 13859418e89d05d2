"""Events that cannot be applied, under the policy park."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import (
    ErrorPolicy,
    FunctionProjector,
    ParkedEventService,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Bought,
    Poison,
    ProjectionSuite,
    Shop,
    ShopProjector,
)
from cqrs_ddd_core.ports.event_store import StreamId

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import ProjectionRows, Projector
    from cqrs_ddd_advanced_core.projections.projector import EventHandler
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["ParkingTests"]

_ALWAYS = 1_000_000


class ParkingTests(ProjectionSuite):
    """Only the stream of a poison event waits."""

    async def test_the_stream_waits_and_others_go_on(self, shop: Shop) -> None:
        """F37, G9."""
        await shop.fill(baskets=3, each=3)
        poison = Poison({2: _ALWAYS})
        await shop.catch_up(_parking(poison), batch_size=4)
        checkpoint = await shop.checkpoint()
        assert checkpoint.state is CheckpointState.RUNNING
        assert checkpoint.position == await shop.event_store.get_latest_position()
        parked = await shop.store.parked_events.list_parked("shop")
        # 2, 5 and 8 are those of one basket.
        assert [one.stream for one in parked] == [StreamId("Basket", "b-1")] * 3
        assert ["it is broken" in (one.error or "") for one in parked] == [True, False, False]
        assert poison.handled.count(5) <= 1
        _, baskets = await shop.rows()
        assert baskets == {"b-0": (7, 3), "b-2": (9, 3)}

    async def test_what_comes_later_waits_as_well(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=1)
        await shop.catch_up(_parking(Poison({1: _ALWAYS})))
        await shop.buy("b-0")
        await shop.buy("b-1")
        await shop.catch_up(ShopProjector())
        _, baskets = await shop.rows()
        assert baskets == {"b-1": (4, 2)}
        assert await shop.store.parked_events.count("shop", 1) == 2

    async def test_parked_events_are_retried_in_order(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=3)
        await shop.catch_up(_parking(Poison({2: _ALWAYS, 6: _ALWAYS})), batch_size=4)
        mended = Poison({})
        assert await _service(shop, mended.projector()).retry("shop") == 5
        assert mended.handled == [2, 5, 8, 6, 9]
        assert await shop.rows() == await shop.fold()
        assert await shop.store.parked_events.count("shop", 1) == 0
        await shop.fill(baskets=3, each=1)
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()

    async def test_one_stream_may_be_retried_alone(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=2)
        await shop.catch_up(_parking(Poison({2: _ALWAYS, 3: _ALWAYS})))
        service = _service(shop, ShopProjector())
        assert await service.retry("shop", stream=StreamId("Basket", "b-2")) == 2
        assert await service.retry("shop", stream=StreamId("Basket", "b-0")) == 0
        assert await service.count("shop") == 2

    async def test_what_fails_again_stays_with_all_behind_it(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=3)
        await shop.catch_up(_parking(Poison({2: _ALWAYS})))
        again = Poison({4: _ALWAYS}, ValueError("another reason"))
        service = _service(shop, again.projector())
        assert await service.retry("shop") == 1
        parked = await service.list_parked("shop")
        assert ["another reason" in (one.error or "") for one in parked] == [True, False]
        assert again.handled == [2, 4]
        assert await _service(shop, ShopProjector()).retry("shop") == 2
        assert await shop.rows() == await shop.fold()

    async def test_discarded_events_are_left_out(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=3)
        await shop.catch_up(_parking(Poison({2: _ALWAYS})))
        service = _service(shop, ShopProjector())
        first, *_ = await service.list_parked("shop", limit=1)
        assert await service.discard("shop", positions=[first.position]) == 1
        assert await service.retry("shop") == 2
        _, baskets = await shop.rows()
        assert baskets == {"b-0": (5, 3), "b-1": (6, 2)}

    async def test_a_whole_stream_is_discarded(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=3)
        await shop.catch_up(_parking(Poison({2: _ALWAYS})))
        service = _service(shop, ShopProjector())
        assert await service.discard("shop", stream=StreamId("Basket", "b-1")) == 3
        await shop.buy("b-1")
        await shop.catch_up()
        _, baskets = await shop.rows()
        assert baskets == {"b-0": (5, 3), "b-1": (7, 1)}

    async def test_a_worker_sees_that_a_stream_is_free_again(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=2)
        worker = shop.worker(_parking(Poison({2: 4})))
        for _ in range(6):
            await worker.run_once()
        assert await _service(shop, ShopProjector()).retry("shop") == 2
        await shop.buy("b-1")
        await worker.run_once()
        await worker.stop()
        assert await shop.rows() == await shop.fold()
        assert await shop.store.parked_events.count("shop", 1) == 0

    async def test_retrying_while_a_worker_goes_on_keeps_the_order(self, shop: Shop) -> None:
        """Whoever comes first, an event never overtakes one of its stream."""
        await shop.buy("b-1")
        poison = Poison({1: _ALWAYS})
        worker = shop.worker(_ordered(poison), batch_size=2)
        service = _service(shop, _ordered(Poison({})))

        async def buy() -> None:
            for _ in range(12):
                await shop.buy("b-1")
                await shop.buy("b-2")
                await worker.run_once()

        async def retry() -> None:
            for _ in range(12):
                await service.retry("shop")
                await asyncio.sleep(0)

        await worker.run_once()
        await asyncio.gather(buy(), retry())
        for _ in range(6):
            await worker.run_once()
        await worker.stop()
        await service.retry("shop")
        assert await service.count("shop") == 0
        assert await shop.rows() == await shop.fold()


def _ordered(poison: Poison) -> Projector:
    """Return a projector that parks, and refuses a purchase that overtook another."""
    plain = poison.projector().handlers()[Bought]

    async def bought(event: Bought, rows: ProjectionRows) -> None:
        row = await rows.get("baskets", event.aggregate_id)
        assert row is None or row["last_number"] < event.number
        plain(event, rows)

    handlers: dict[type[DomainEvent], EventHandler] = {Bought: bought}
    return FunctionProjector(
        "shop", handlers, tables=(CUSTOMERS, BASKETS), error_policy=ErrorPolicy.PARK
    )


def _parking(poison: Poison) -> Projector:
    return poison.projector(error_policy=ErrorPolicy.PARK)


def _service(shop: Shop, projector: Projector) -> ParkedEventService:
    registry = ProjectorRegistry([projector], store=shop.store)
    return ParkedEventService(registry, shop.event_store)
