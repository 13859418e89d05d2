"""Several workers of one projection."""

from __future__ import annotations

import asyncio

from cqrs_ddd_advanced_core.testing.projection._suite import (
    AsyncShopProjector,
    ProjectionSuite,
    Shop,
)
from cqrs_ddd_core.testing.conformance import needs

__all__ = ["SharingTests"]


class SharingTests(ProjectionSuite):
    """Of several workers one carries a partition on; nothing is applied twice."""

    async def test_one_worker_has_the_partition(self, shop: Shop) -> None:
        await shop.buy("b-1")
        first, second = shop.worker(), shop.worker()
        assert (await first.run_once(), await second.run_once()) == (1, 0)
        await shop.buy("b-1")
        assert (await second.run_once(), await first.run_once()) == (0, 1)
        assert len(first.health.partitions) == 1
        assert list(second.health.partitions) == []
        await first.stop()
        await second.stop()

    async def test_a_worker_that_stops_is_replaced_at_once(self, shop: Shop) -> None:
        await shop.buy("b-1")
        first, second = shop.worker(), shop.worker()
        await first.run_once()
        await second.run_once()
        await first.stop()
        await shop.buy("b-1")
        assert await second.run_once() == 1
        await second.stop()
        assert await shop.rows() == await shop.fold()

    async def test_a_worker_that_dies_is_replaced_when_its_lease_ends(self, shop: Shop) -> None:
        await shop.buy("b-1")
        dead, living = shop.worker(lease_seconds=0.1), shop.worker()
        assert await dead.run_once() == 1
        await shop.buy("b-1")
        await asyncio.sleep(0.2)
        assert await living.run_once() == 1
        await living.stop()
        assert await shop.rows() == await shop.fold()

    async def test_a_worker_that_was_replaced_applies_nothing(self, shop: Shop) -> None:
        """F34: it wakes up, still believes it owns the partition, and is fenced."""
        await shop.buy("b-1")
        late, other = shop.worker(lease_seconds=0.3), shop.worker()
        await late.run_once()
        await shop.buy("b-1", 2)
        [partition] = late._leased[0].partitions  # noqa: SLF001 - a worker that hangs meanwhile
        await shop.store.checkpoints.release(late._owner)  # noqa: SLF001
        assert await other.run_once() == 2
        assert await partition.drain(lambda: True) == 0
        assert await shop.rows() == await shop.fold()
        await other.stop()

    @needs("concurrent_transactions")
    async def test_workers_that_keep_losing_their_leases_apply_every_event_once(
        self, shop: Shop
    ) -> None:
        """F34: the checkpoint only ever moves forward."""
        await shop.fill(baskets=4, each=6)
        workers = [
            shop.worker(AsyncShopProjector(), batch_size=2, lease_seconds=0.02) for _ in range(3)
        ]
        positions = [0]

        async def work(number: int) -> None:
            while await shop.rows() != expected:
                await workers[number].run_once()
                await asyncio.sleep(0)

        async def watch() -> None:
            while True:
                positions.append((await shop.checkpoint()).position)
                await asyncio.sleep(0.002)

        expected = await shop.fold()
        await workers[0].run_once()
        watcher = asyncio.create_task(watch())
        async with asyncio.timeout(30):
            await asyncio.gather(*(work(number) for number in range(3)))
        watcher.cancel()
        for worker in workers:
            await worker.stop()
        assert await shop.catch_up() == 0
        assert await shop.rows() == expected
        assert positions == sorted(positions)
