"""Copies in and out, versions, deletion."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    EntityNotFoundError,
    OptimisticConcurrencyError,
)
from cqrs_ddd_core.testing.repository._suite import RepositorySubject, RepositorySuite
from cqrs_ddd_core.testing.samples import (
    AWKWARD_TEXT,
    MOMENT,
    OrderLine,
    OrderStatus,
    SampleOrder,
    new_order,
)

__all__ = ["StorageTests"]


class StorageTests(RepositorySuite):
    async def test_an_aggregate_comes_back_whole(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        order = new_order(total="1234567890.10", note="", coupon=AWKWARD_TEXT)
        await repository.save(order)
        found = await repository.get(order.id)
        assert found.model_dump() == order.model_dump()
        assert type(found.total) is Decimal
        assert str(found.total) == "1234567890.10"
        assert found.status is OrderStatus.PLACED
        assert found.lines == [
            OrderLine(product="", quantity=3, price=Decimal("0.10"), tags=["a", ""])
        ]
        assert found.due_at == MOMENT
        assert found.due_at.utcoffset() == timedelta(0)
        assert found.get_uncommitted_events() == []

    async def test_an_id_may_be_any_text(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order(AWKWARD_TEXT)
        await repository.save(order)
        assert (await repository.get(AWKWARD_TEXT)).id == AWKWARD_TEXT

    async def test_an_unknown_id_is_not_found(self, repository: IRepository[SampleOrder]) -> None:
        assert await repository.get_by_id("nobody") is None
        assert not await repository.exists("nobody")
        with pytest.raises(EntityNotFoundError) as missing:
            await repository.get("nobody")
        assert missing.value.entity_id == "nobody"

    async def test_a_saved_aggregate_exists(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order()
        await repository.save(order)
        assert await repository.exists(order.id)

    async def test_changing_an_object_changes_nothing_stored(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        """C-15."""
        order = new_order(note="first")
        await repository.save(order)
        order.note = "second"
        order.lines.clear()
        found = await repository.get(order.id)
        found.note = "third"
        found.lines.append(OrderLine(product="p", quantity=1, price=Decimal(1)))
        [searched] = await repository.search()
        searched.note = "fourth"
        again = await repository.get(order.id)
        assert (again.note, len(again.lines)) == ("first", 1)

    async def test_each_save_raises_the_version_by_one(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        """M-4: what was loaded can be saved again and again."""
        order = new_order()
        assert order.version == 0
        await repository.save(order)
        assert order.version == 1
        loaded = await repository.get(order.id)
        assert loaded.version == 1
        for version in (2, 3):
            loaded.note = f"change {version}"
            await repository.save(loaded)
            assert loaded.version == (await repository.get(order.id)).version == version

    async def test_a_stale_save_is_refused(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order()
        await repository.save(order)
        one, two = await repository.get(order.id), await repository.get(order.id)
        one.note, two.note = "one", "two"
        await repository.save(one)
        with pytest.raises(OptimisticConcurrencyError) as refused:
            await repository.save(two)
        assert refused.value.expected == 1
        assert (await repository.get(order.id)).note == "one"

    async def test_a_second_new_aggregate_with_one_id_is_refused(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        await repository.save(new_order("o-1", note="first"))
        with pytest.raises(OptimisticConcurrencyError):
            await repository.save(new_order("o-1", note="second"))
        assert (await repository.get("o-1")).note == "first"

    async def test_of_many_saves_of_one_version_one_wins(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        """S-15."""
        order = new_order()
        await repository.save(order)
        copies = [await repository.get(order.id) for _ in range(16)]
        for number, copy in enumerate(copies):
            copy.note = str(number)
        outcomes = await asyncio.gather(
            *(repository.save(copy) for copy in copies), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert len(refused) == 15
        assert all(isinstance(outcome, OptimisticConcurrencyError) for outcome in refused)
        found = await repository.get(order.id)
        assert (found.version, found.note) == (2, str(outcomes.index(None)))

    async def test_of_many_creations_of_one_id_one_wins(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        outcomes = await asyncio.gather(
            *(repository.save(new_order("o-1")) for _ in range(8)), return_exceptions=True
        )
        assert outcomes.count(None) == 1
        assert sum(isinstance(o, OptimisticConcurrencyError) for o in outcomes) == 7

    async def test_concurrent_commands_lose_no_update(self, subject: RepositorySubject) -> None:
        order = new_order(total="0")
        await subject.repository.save(order)

        async def add_one() -> None:
            while True:
                try:
                    async with subject.unit_of_work():
                        found = await subject.repository.get(order.id)
                        found.total += 1
                        await asyncio.sleep(0)
                        await subject.repository.save(found)
                except ConcurrencyError:
                    continue
                return

        await asyncio.gather(*(add_one() for _ in range(8)))
        found = await subject.repository.get(order.id)
        assert (found.total, found.version) == (Decimal(8), 9)

    async def test_a_deleted_aggregate_is_gone(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order()
        await repository.save(order)
        await repository.delete(order)
        assert await repository.get_by_id(order.id) is None
        assert not await repository.exists(order.id)
        assert await repository.count() == 0

    async def test_a_stale_deletion_is_refused(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order()
        await repository.save(order)
        stale = await repository.get(order.id)
        await repository.save(order)
        with pytest.raises(OptimisticConcurrencyError):
            await repository.delete(stale)
        assert await repository.exists(order.id)

    async def test_a_deletion_happens_once(self, repository: IRepository[SampleOrder]) -> None:
        order = new_order()
        await repository.save(order)
        other = await repository.get(order.id)
        await repository.delete(order)
        with pytest.raises(OptimisticConcurrencyError):
            await repository.delete(other)
        with pytest.raises(OptimisticConcurrencyError):
            await repository.delete(new_order())

    async def test_a_deleted_aggregate_cannot_be_saved_by_who_loaded_it_before(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        order = new_order()
        await repository.save(order)
        loaded = await repository.get(order.id)
        await repository.delete(order)
        with pytest.raises(OptimisticConcurrencyError):
            await repository.save(loaded)
        assert not await repository.exists(order.id)

    async def test_a_deleted_id_can_be_used_for_a_new_aggregate(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        order = new_order("o-1", note="old")
        await repository.save(order)
        await repository.delete(order)
        await repository.save(new_order("o-1", note="new"))
        found = await repository.get("o-1")
        assert (found.note, found.version) == ("new", 1)
