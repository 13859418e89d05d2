"""Events that cannot be applied, under the policies halt and skip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections import ErrorPolicy, FunctionProjector
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Bought,
    Closed,
    Poison,
    ProjectionSuite,
    Shop,
    ShopProjector,
)
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import TransientPersistenceError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import ProjectionRows, Projector

__all__ = ["PoisonTests"]

_ALWAYS = 1_000_000


class PoisonTests(ProjectionSuite):
    """Everything before a poison event is applied once, and what happens then is visible."""

    @pytest.mark.parametrize("place", [1, 5, 9])
    @pytest.mark.parametrize("batch_size", [4, 500])
    async def test_the_default_is_to_halt_before_it(
        self, shop: Shop, place: int, batch_size: int
    ) -> None:
        """F37, P-1: nothing is passed over silently."""
        await shop.fill(baskets=3, each=3)
        poison = Poison({place: _ALWAYS})
        await shop.catch_up(poison.projector(), batch_size=batch_size)
        checkpoint = await shop.checkpoint()
        assert checkpoint.state is CheckpointState.HALTED
        assert "it is broken" in (checkpoint.error or "")
        assert poison.handled.count(place) >= 3
        assert await shop.rows() == await shop.fold(up_to=checkpoint.position)
        customers, _ = await shop.rows()
        assert sum(purchases for purchases, _ in customers.values()) == place - 1

    async def test_a_halted_projection_goes_on_when_it_is_resumed(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=3)
        await shop.catch_up(Poison({5: _ALWAYS}).projector())
        assert await shop.catch_up(ShopProjector()) == 0
        await shop.store.checkpoints.resume("shop", 1)
        assert await shop.catch_up(ShopProjector()) == 5
        assert await shop.rows() == await shop.fold()

    async def test_a_running_worker_notices_that_it_was_resumed(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=3)
        poison = Poison({5: 5})
        worker = shop.worker(poison.projector())
        for _ in range(4):
            await worker.run_once()
        assert (await shop.checkpoint()).state is CheckpointState.HALTED
        await shop.store.checkpoints.resume("shop", 1)
        assert await worker.run_once() == 5
        await worker.stop()
        assert await shop.rows() == await shop.fold()

    async def test_what_fails_for_a_while_is_applied_once(self, shop: Shop) -> None:
        """P-2."""
        await shop.fill(baskets=3, each=3)
        await shop.catch_up(Poison({2: 2, 5: 1, 9: 2}).projector(), batch_size=4)
        assert (await shop.checkpoint()).state is CheckpointState.RUNNING
        assert await shop.rows() == await shop.fold()

    async def test_a_database_that_is_down_is_waited_for(self, shop: Shop) -> None:
        """Errors that say nothing about an event never give it up."""
        await shop.fill(baskets=2, each=2)
        down = TransientPersistenceError("the database is down")
        await shop.catch_up(Poison({3: 8}, down).projector(), attempts=1)
        assert (await shop.checkpoint()).state is CheckpointState.RUNNING
        assert await shop.rows() == await shop.fold()

    @pytest.mark.parametrize("batch_size", [4, 500])
    async def test_it_may_be_skipped(self, shop: Shop, batch_size: int) -> None:
        await shop.fill(baskets=3, each=3)
        poison = Poison({1: _ALWAYS, 5: _ALWAYS, 6: _ALWAYS, 9: _ALWAYS})
        worker = shop.worker(poison.projector(error_policy=ErrorPolicy.SKIP), batch_size=batch_size)
        for _ in range(20):
            await worker.run_once()
        [health] = worker.health.partitions
        assert health.skipped == 4
        assert "it is broken" in (health.last_error or "")
        await worker.stop()
        assert (await shop.checkpoint()).state is CheckpointState.RUNNING
        customers, _ = await shop.rows()
        assert sum(purchases for purchases, _ in customers.values()) == 5

    @pytest.mark.parametrize("table", [CUSTOMERS, BASKETS], ids=lambda table: table.name)
    async def test_a_value_that_does_not_fit_is_found(self, shop: Shop, table: Any) -> None:
        """It is noticed when rows are written: by halves, and both tables vanish together."""
        await shop.fill(baskets=3, each=3)
        await shop.catch_up(_misfit(table, 8))
        checkpoint = await shop.checkpoint()
        assert checkpoint.state is CheckpointState.HALTED
        assert ProjectionValueError.__name__ in (checkpoint.error or "")
        assert await shop.rows() == await shop.fold(up_to=checkpoint.position)
        customers, _ = await shop.rows()
        assert sum(purchases for purchases, _ in customers.values()) == 7

    async def test_an_event_that_cannot_be_read_is_poison_too(self, shop: Shop) -> None:
        await shop.buy("b-1", 2)
        unreadable = replace(serialize_event(Closed()), event_type="Bought", payload=b'{"a": 1}')
        await shop.event_store.append(StreamId("Basket", "b-1"), [unreadable])
        await shop.buy("b-1", 2)
        await shop.catch_up(attempts=1)
        checkpoint = await shop.checkpoint()
        assert checkpoint.state is CheckpointState.HALTED
        assert "Bought" in (checkpoint.error or "")
        customers, _ = await shop.rows()
        assert sum(purchases for purchases, _ in customers.values()) == 2


def _misfit(table: Any, number: int) -> Projector:
    shop = ShopProjector()

    def bought(event: Bought, rows: ProjectionRows) -> None:
        shop.bought(event, rows)
        if event.number == number and table is CUSTOMERS:
            rows.add(CUSTOMERS, event.customer, purchases=2**63)
        elif event.number == number:
            rows.update(BASKETS, event.aggregate_id, last_number="eight")

    return FunctionProjector("shop", {Bought: bought}, tables=(CUSTOMERS, BASKETS))
