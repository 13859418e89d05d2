"""A checkpoint that was moved back over rows that are ahead of it."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    Closed,
    ProjectionSuite,
    Shop,
)

__all__ = ["RewindingTests"]


class RewindingTests(ProjectionSuite):
    """Rows that had an event do not take it again."""

    @pytest.mark.parametrize("batch_size", [1, 4, 500])
    async def test_rows_do_not_take_an_event_twice(self, shop: Shop, batch_size: int) -> None:
        """G6: each row is guarded by the position of its last event."""
        await shop.fill(baskets=3, each=4)
        await shop.catch_up()
        before = await shop.rows()
        await shop.store.checkpoints.set_position("shop", 1, 0)
        assert await shop.catch_up(batch_size=batch_size) == 12
        assert await shop.rows() == before == await shop.fold()

    @pytest.mark.parametrize("batch_size", [2, 500])
    async def test_rows_take_what_they_have_not_had(self, shop: Shop, batch_size: int) -> None:
        await shop.fill(baskets=3, each=2)
        middle = await shop.buy("b-1")
        await shop.catch_up()
        await shop.store.checkpoints.set_position("shop", 1, middle - 3)
        await shop.fill(baskets=4, each=2)
        await shop.append("b-2", Closed())
        await shop.catch_up(batch_size=batch_size)
        assert await shop.rows() == await shop.fold()

    async def test_emptied_rows_are_filled_again(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=2)
        await shop.catch_up()
        async with shop.store.unit_of_work():
            for schema in (CUSTOMERS, BASKETS):
                await shop.store.clear(schema)
            await shop.store.checkpoints.set_position("shop", 1, 0)
        assert await shop.rows() == ({}, {})
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()

    async def test_a_worker_notices_that_its_checkpoint_was_moved(self, shop: Shop) -> None:
        await shop.fill(baskets=2, each=2)
        worker = shop.worker()
        await worker.run_once()
        await shop.store.checkpoints.set_position("shop", 1, 0)
        await shop.buy("b-0")
        for _ in range(3):
            await worker.run_once()
        await worker.stop()
        assert await shop.rows() == await shop.fold()
