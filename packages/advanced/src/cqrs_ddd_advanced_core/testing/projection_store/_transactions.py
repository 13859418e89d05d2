"""Rows, checkpoints, parked events and events commit or vanish together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.testing.projection_store._suite import (
    ORDERS,
    PAIRS,
    ProjectionStoreSubject,
    ProjectionStoreSuite,
    apply,
    change,
    delete,
    row_of,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import new_events, new_stream

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore

__all__ = ["TransactionTests"]

_KEY = CheckpointKey("orders")


class TransactionTests(ProjectionStoreSuite):
    """Rows, checkpoints, parked events and events commit or vanish together."""

    async def test_rows_and_checkpoint_commit_together(
        self, store: IProjectionStore, subject: ProjectionStoreSubject
    ) -> None:
        """G1, G6."""
        await store.checkpoints.ensure([_KEY])
        [lease] = await store.checkpoints.lease("a", [_KEY], seconds=60)
        stream = new_stream()
        async with store.unit_of_work():
            await subject.event_store.append(stream, new_events(1))
            await store.apply(ORDERS, [change(1, customer="Ada")])
            assert await row_of(store, "o-1", "customer") == ("Ada",)
            assert len(await store.query(ORDERS, QueryOptions())) == 1
            await store.checkpoints.advance(lease, 5)
        assert await row_of(store, "o-1", "customer") == ("Ada",)
        assert [one.position for one in await store.checkpoints.get("orders")] == [5]
        assert await subject.event_store.get_stream_version(stream) == 1

    async def test_rows_and_checkpoint_vanish_together(
        self, store: IProjectionStore, subject: ProjectionStoreSubject
    ) -> None:
        """G1, G6."""
        await store.checkpoints.ensure([_KEY])
        [lease] = await store.checkpoints.lease("a", [_KEY], seconds=60)
        await apply(store, change(1, "o-2", customer="Bob"), change(1, "o-3", customer="Eve"))
        stream = new_stream()
        await subject.event_store.append(stream, new_events(1))
        [event] = await subject.event_store.get_events(stream)
        async with rolled_back(store.unit_of_work):
            await subject.event_store.append(stream, new_events(1))
            await store.apply(ORDERS, [change(2, customer="x"), delete(2, "o-2")])
            await store.apply(ORDERS, [change(3, "o-3", customer="x")])
            await store.parked_events.park(_KEY, event, "because")
            await store.checkpoints.advance(lease, 5)
            await store.checkpoints.serve("orders", 2)
            await store.clear(ORDERS)
            await store.rename([("orders", "orders__old"), ("pairs", "orders")])
        assert await row_of(store) is None
        assert await row_of(store, "o-2", "customer") == ("Bob",)
        assert await row_of(store, "o-3", "customer", "_version") == ("Eve", 1)
        assert [one.position for one in await store.checkpoints.get("orders")] == [0]
        assert await store.checkpoints.serving_version("orders") is None
        assert await store.parked_events.count("orders", 1) == 0
        assert await subject.event_store.get_stream_version(stream) == 1
        assert await store.count(PAIRS) == 0

    async def test_a_row_is_changed_again_in_the_same_unit_of_work(
        self, store: IProjectionStore
    ) -> None:
        async with store.unit_of_work():
            await store.apply(ORDERS, [change(1, customer="Ada", lines=1)])
            assert list(await store.apply(ORDERS, [change(2, adds={"lines": 1})])) == []
            assert list(await store.apply(ORDERS, [change(2, adds={"lines": 1})])) == [("o-1",)]
            await store.apply(ORDERS, [delete(3)])
            assert await row_of(store) is None
            await store.apply(ORDERS, [change(4, customer="Bob", adds={"lines": 1})])
        assert await row_of(store, "o-1", "customer", "lines") == ("Bob", 1)

    async def test_nothing_is_lost_when_many_add_to_one_row(self, store: IProjectionStore) -> None:
        """S-20: no check and then a write."""

        async def add(number: int) -> None:
            await apply(
                store,
                change(number + 1, customer="Ada", adds={"lines": 1}),
                change(number + 1, "o-2", customer="Bob", adds={"lines": 2}),
                guarded=False,
            )

        await asyncio.gather(*(add(number) for number in range(8)))
        assert await row_of(store, "o-1", "lines", "_version") == (8, 8)
        assert await row_of(store, "o-2", "lines") == (16,)

    @needs("concurrent_transactions")
    async def test_others_see_no_rows_before_the_commit(self, store: IProjectionStore) -> None:
        async with store.unit_of_work():
            await store.apply(ORDERS, [change(1, customer="Ada")])
            assert await elsewhere(row_of(store)) is None
            assert await elsewhere(store.count(ORDERS)) == 0

    async def test_a_snapshot_shows_one_moment(self, store: IProjectionStore) -> None:
        await store.checkpoints.ensure([_KEY])
        [lease] = await store.checkpoints.lease("a", [_KEY], seconds=60)
        await apply(store, change(1, customer="Ada"))
        async with store.snapshot() as before:
            assert await before.count(ORDERS) == 1
        assert await store.count(ORDERS) == 1
        await store.checkpoints.advance(lease, 1)
        async with store.snapshot() as moment:
            [checkpoint] = await moment.checkpoints.get("orders")
            rows = await moment.query(ORDERS, QueryOptions())
        assert (checkpoint.position, len(rows)) == (1, 1)

    @needs("concurrent_transactions")
    async def test_a_snapshot_does_not_see_later_commits(self, store: IProjectionStore) -> None:
        await store.checkpoints.ensure([_KEY])
        await apply(store, change(1, customer="Ada"))
        async with store.snapshot() as moment:
            await elsewhere(apply(store, change(2, customer="Bob"), change(2, "o-2", customer="x")))
            await elsewhere(store.checkpoints.set_position("orders", 1, 9))
            assert (await moment.count(ORDERS), await store.count(ORDERS)) == (1, 2)
            found = await moment.fetch(ORDERS, [("o-1",), ("o-2",)])
            assert {key: row["customer"] for key, row in found.items()} == {("o-1",): "Ada"}
            assert [one.position for one in await moment.checkpoints.get("orders")] == [0]
