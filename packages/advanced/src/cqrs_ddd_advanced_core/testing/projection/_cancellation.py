"""A worker that is cancelled anywhere."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection._suite import (
    AsyncShopProjector,
    ProjectionSuite,
    Shop,
)
from cqrs_ddd_core.testing.cancellation import completes_despite_cancellation_at
from cqrs_ddd_core.testing.conformance import needs

__all__ = ["CancellationTests"]


class CancellationTests(ProjectionSuite):
    """Nothing is lost or doubled wherever a worker is cancelled."""

    @needs("concurrent_transactions")
    async def test_nothing_is_lost_wherever_a_worker_is_cancelled(self, shop: Shop) -> None:
        """F35, G10: before, while and after the checkpoint is written."""
        suspension, completes = 1, False
        while not completes:
            await shop.buy(f"b-{suspension % 3}", 2)
            worker = shop.worker(AsyncShopProjector(), batch_size=2)
            completes = await completes_despite_cancellation_at(suspension, worker.run_once())
            await worker.stop()
            suspension += 1
        assert await shop.rows() == await shop.fold()
        assert suspension > 3
