"""A projection that several workers carry on at once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import ErrorPolicy, Projector, projects
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    AsyncShopProjector,
    Bought,
    Poison,
    ProjectionSuite,
    Shop,
    ShopProjector,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.outbox import partition_of

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import ProjectionRows

__all__ = ["PartitionTests"]


class _Partitioned(ShopProjector):
    partitions = 4


class _InOrder(Projector):
    """Refuses a purchase that is not behind the last one of its basket."""

    name = "shop"
    tables = (CUSTOMERS, BASKETS)
    partitions = 4

    @projects(Bought)
    async def bought(self, event: Bought, rows: ProjectionRows) -> None:
        row = await rows.get("baskets", event.aggregate_id)
        assert row is None or row["last_number"] < event.number
        ShopProjector().bought(event, rows)


class PartitionTests(ProjectionSuite):
    """Partitions share the streams."""

    async def test_partitions_together_apply_every_event_once(self, shop: Shop) -> None:
        """Rows of several partitions lose nothing either."""
        await shop.fill(baskets=12, each=4)
        for batch_size in (5, 500):
            await shop.catch_up(_Partitioned(), batch_size=batch_size)
            assert await shop.rows() == await shop.fold()
            await shop.fill(baskets=12, each=2)
        await shop.catch_up(_Partitioned())
        assert await shop.rows() == await shop.fold()
        positions = [one.position for one in await shop.store.checkpoints.get("shop")]
        assert positions == [await shop.event_store.get_latest_position()] * 4

    async def test_workers_share_the_partitions(self, shop: Shop) -> None:
        await shop.fill(baskets=12, each=2)
        workers = [shop.worker(_InOrder(), batch_size=3) for _ in range(2)]
        # Shares are settled when everybody has shown up, and whoever had too much gave it back.
        for worker in workers:
            await worker.start()
        await shop.is_projected()
        for worker in workers:
            await worker.stop()
        assert await shop.catch_up(_InOrder()) == 0
        assert await shop.rows() == await shop.fold()

    async def test_events_of_other_partitions_are_passed_over(self, shop: Shop) -> None:
        """P-3: a batch that is wholly of other partitions."""
        await shop.buy(_basket_of(0), 30)
        position = await shop.buy(_basket_of(1))
        await shop.catch_up(_Partitioned(), batch_size=10)
        positions = [one.position for one in await shop.store.checkpoints.get("shop")]
        assert positions == [position] * 4
        assert await shop.rows() == await shop.fold()

    @pytest.mark.parametrize("policy", ErrorPolicy)
    async def test_poison_in_one_partition_does_not_stop_the_others(
        self, shop: Shop, policy: ErrorPolicy
    ) -> None:
        """It is given up though many events of others lie between it and the checkpoint."""
        await shop.buy(_basket_of(1), 20)
        poison = Poison({21: 1_000_000})
        await shop.buy(_basket_of(0))
        await shop.buy(_basket_of(1), 20)
        projector = poison.projector(error_policy=policy, partitions=4)
        await shop.catch_up(projector, batch_size=3)
        states = [one.state for one in await shop.store.checkpoints.get("shop")]
        halted = [CheckpointState.HALTED] if policy is ErrorPolicy.HALT else []
        running = [CheckpointState.RUNNING] * (4 - len(halted))
        assert states == [*halted, *running]
        assert await shop.store.parked_events.count("shop", 1) == (policy is ErrorPolicy.PARK)
        _, baskets = await shop.rows()
        assert baskets == {_basket_of(1): (41, 40)}

    async def test_another_number_of_partitions_is_refused(self, shop: Shop) -> None:
        """The streams would be divided anew, and events be lost or doubled."""
        await shop.buy("b-1")
        await shop.catch_up(_Partitioned())
        worker = shop.worker(ShopProjector())
        with pytest.raises(ProjectionDefinitionError, match="4 partitions"):
            await worker.start()
        with pytest.raises(ProjectionDefinitionError, match="higher version"):
            await worker.run_once()

    async def test_rows_that_are_read_lose_nothing_to_other_partitions(self, shop: Shop) -> None:
        """Read, changed and put back, by several workers at once."""

        class Reading(AsyncShopProjector):
            partitions = 4

        for number in range(8):
            await shop.buy(f"b-{number}", 6, customer="Ada")
        workers = [shop.worker(Reading(), batch_size=3) for _ in range(2)]
        for worker in workers:
            await worker.start()
        await shop.is_projected()
        for worker in workers:
            await worker.stop()
        assert await shop.catch_up(Reading()) == 0
        assert await shop.rows() == await shop.fold()

    async def test_amounts_of_several_partitions_add_up(self, shop: Shop) -> None:
        for number in range(8):
            await shop.buy(f"b-{number}", 3, customer="Ada")
        worker = shop.worker(_Partitioned(), batch_size=2)
        await worker.run_once()
        await worker.stop()
        customers, _ = await shop.rows()
        assert customers == {"Ada": (24, Decimal("2.40"))}


def _basket_of(partition: int) -> str:
    """Return the id of a basket in a partition of four."""
    tenant_id = get_context().tenant_id
    return next(
        basket
        for basket in map(str, range(1000))
        if partition_of(f"{tenant_id}/{StreamId('Basket', basket)}", 4) == partition
    )
