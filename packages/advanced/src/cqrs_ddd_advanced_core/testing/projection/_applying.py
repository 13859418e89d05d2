"""Events reach the rows, each once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.projections import FunctionProjector, ProjectorRegistry
from cqrs_ddd_advanced_core.projections.worker import ProjectionWorker
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    AsyncShopProjector,
    Bought,
    Browsed,
    Closed,
    ProjectionSuite,
    Shop,
    ShopProjector,
    function_projector,
    mapped_projector,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_advanced_core.projections import ProjectionRows, Projector

__all__ = ["ApplyingTests"]


class ApplyingTests(ProjectionSuite):
    """Events reach the rows, each once."""

    async def test_the_first_event_is_applied(self, shop: Shop) -> None:
        """A-11."""
        await shop.buy("b-1")
        assert await shop.worker().run_once() == 1
        assert await shop.rows() == await shop.fold()

    @pytest.mark.parametrize("batch_size", [1, 7, 500])
    async def test_every_event_is_applied_once(self, shop: Shop, batch_size: int) -> None:
        """G6."""
        await shop.fill(baskets=5, each=6)
        await shop.append("b-1", Closed())
        worker = shop.worker(batch_size=batch_size)
        assert await worker.run_once() == 31
        assert await worker.run_once() == 0
        assert await shop.rows() == await shop.fold()

    @pytest.mark.parametrize(
        "projector", [ShopProjector, AsyncShopProjector, function_projector, mapped_projector]
    )
    async def test_all_kinds_of_projectors_agree(
        self, shop: Shop, projector: Callable[[], Projector]
    ) -> None:
        await shop.fill(baskets=3, each=3)
        await shop.append("b-1", Closed())
        await shop.catch_up(projector(), batch_size=4)
        await shop.buy("b-1", 2)
        await shop.append("b-2", Closed(), Closed())
        await shop.catch_up(projector(), batch_size=4)
        assert await shop.rows() == await shop.fold()

    async def test_what_comes_later_is_applied_later(self, shop: Shop) -> None:
        worker = shop.worker()
        for _ in range(3):
            await shop.buy("b-1", 2)
            assert await worker.run_once() == 2
        assert await shop.rows() == await shop.fold()

    async def test_a_new_worker_goes_on_where_the_last_one_ended(self, shop: Shop) -> None:
        for _ in range(3):
            await shop.buy("b-1", 2)
            assert await shop.catch_up() == 2
        assert await shop.rows() == await shop.fold()

    async def test_the_checkpoint_is_the_position_of_the_last_event(self, shop: Shop) -> None:
        """P-4: not a count."""
        await shop.append("b-1", Browsed(), Browsed(), Browsed())
        position = await shop.buy("b-1")
        await shop.catch_up()
        assert (await shop.checkpoint()).position == position

    async def test_a_batch_is_one_transaction_with_one_move(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A-12."""
        await shop.fill(baskets=4, each=5)
        worker = shop.worker(batch_size=10)
        transactions = _counted(monkeypatch, shop.store, "unit_of_work")
        moves = _counted(monkeypatch, shop.store.checkpoints, "advance")
        assert await worker.run_once() == 20
        assert (len(transactions), len(moves)) == (2, 2)

    async def test_events_nobody_handles_cost_no_transaction_each(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A-12."""
        await shop.buy("b-1")
        position = await shop.append("b-1", *(Browsed() for _ in range(60)))
        worker = shop.worker(batch_size=10)
        transactions = _counted(monkeypatch, shop.store, "unit_of_work")
        assert await worker.run_once() == 1
        assert len(transactions) <= 7
        assert (await shop.checkpoint()).position == position
        assert await shop.rows() == await shop.fold()

    async def test_nothing_is_written_when_nothing_happened(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await shop.buy("b-1")
        worker = shop.worker()
        await worker.run_once()
        transactions = _counted(monkeypatch, shop.store, "unit_of_work")
        moves = _counted(monkeypatch, shop.store.checkpoints, "advance")
        assert await worker.run_once() == 0
        assert (transactions, moves) == ([], [])

    async def test_the_projections_of_a_worker_come_along_independently(self, shop: Shop) -> None:
        await shop.fill(baskets=3, each=2)
        counts = CUSTOMERS.named("counts")

        def count(event: Bought, rows: ProjectionRows) -> None:
            rows.add(counts, event.customer, purchases=1)

        def fail(event: Bought, _: ProjectionRows) -> None:
            raise RuntimeError(event.number)

        broken = CUSTOMERS.named("broken")
        registry = ProjectorRegistry(
            [
                FunctionProjector("broken", {Bought: fail}, tables=[broken]),
                FunctionProjector("counts", {Bought: count}, tables=[counts]),
                ShopProjector(),
            ],
            store=shop.store,
        )
        worker = ProjectionWorker(registry, shop.event_store)
        await worker.run_once()
        await worker.stop()
        assert await shop.rows() == await shop.fold()
        rows = await shop.store.query(counts, QueryOptions())
        assert sum(row["purchases"] for row in rows) == 6
        for schema in (counts, broken):
            await shop.store.drop(schema)

    async def test_tenants_have_rows_and_checkpoints_of_their_own(self, shop: Shop) -> None:
        for tenant, count in (("", 1), ("a", 2), ("b", 3)):
            with message_context(tenant_id=tenant):
                await shop.buy("b-1", count)
        assert await shop.catch_up(tenants=["a", "b"]) == 5
        for tenant in ("a", "b"):
            with message_context(tenant_id=tenant):
                assert await shop.rows() == await shop.fold()
        assert await shop.rows() == ({}, {})
        assert await shop.catch_up() == 1
        assert await shop.rows() == await shop.fold()

    async def test_a_worker_belongs_to_the_tenant_it_was_made_for(self, shop: Shop) -> None:
        await shop.buy("b-1")
        with message_context(tenant_id="a"):
            await shop.buy("b-1", 2)
            worker = shop.worker()
        assert await worker.run_once() == 2
        await worker.stop()
        assert await shop.rows() == ({}, {})

    async def test_a_started_worker_follows_the_events(self, shop: Shop) -> None:
        worker = shop.worker(batch_size=3)
        await worker.start()
        await worker.start()
        await shop.fill(baskets=2, each=4)
        await shop.is_projected()
        await worker.stop()
        await worker.stop()
        await shop.buy("b-1")
        assert await shop.rows() != await shop.fold()
        assert (await shop.checkpoint()).owner is None

    async def test_events_appended_while_it_works_are_applied_once(self, shop: Shop) -> None:
        workers = [shop.worker(batch_size=3) for _ in range(2)]
        for worker in workers:
            await worker.start()
        await asyncio.gather(*(shop.buy(f"b-{n % 4}", 2) for n in range(20)))
        await shop.is_projected()
        for worker in workers:
            await worker.stop()
        assert await shop.catch_up() == 0
        assert await shop.rows() == await shop.fold()

    async def test_own_tables_may_be_there_already(self, shop: Shop) -> None:
        await shop.store.ensure(CUSTOMERS)
        await shop.store.ensure(BASKETS)
        await shop.buy("b-1")
        await shop.catch_up()
        assert await shop.rows() == await shop.fold()


def _counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[Any]:
    """Let a method note each call in the list that is returned."""
    calls: list[Any] = []
    method = getattr(type(owner), name)

    def counting(self: object, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return method(self, *args, **kwargs)

    monkeypatch.setattr(type(owner), name, counting)
    return calls
