"""Units of work, events, and tenants."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.primitives.exceptions import (
    OptimisticConcurrencyError,
    UnrecordedEventsError,
    UnsavedChangesError,
)
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.repository._suite import RepositorySubject, RepositorySuite, ids_of
from cqrs_ddd_core.testing.samples import SampleOrder, new_order, place_order

__all__ = ["TransactionTests"]


class TransactionTests(RepositorySuite):
    async def test_a_unit_of_work_sees_what_it_wrote(self, subject: RepositorySubject) -> None:
        repository = subject.repository
        kept, dropped, new = new_order("a"), new_order("b"), new_order("c")
        await repository.save(kept)
        await repository.save(dropped)
        async with subject.unit_of_work():
            loaded = await repository.get("a")
            loaded.note = "changed"
            await repository.save(loaded)
            await repository.delete(await repository.get("b"))
            await repository.save(new)
            assert (await repository.get("a")).note == "changed"
            assert await repository.get_by_id("b") is None
            assert ids_of(await repository.search()) == ["a", "c"]
            assert await repository.count(field("note") == "changed") == 1
            await repository.save(loaded)
        assert ids_of(await repository.search()) == ["a", "c"]
        assert (await repository.get("a")).version == 3

    @needs("concurrent_transactions")
    async def test_others_see_a_save_after_its_commit(self, subject: RepositorySubject) -> None:
        repository, order = subject.repository, new_order("a", note="old")
        await repository.save(order)
        async with subject.unit_of_work():
            order.note = "new"
            await repository.save(order)
            await repository.save(new_order("b"))
            assert (await elsewhere(repository.get("a"))).note == "old"
            assert await elsewhere(repository.count()) == 1
        assert (await repository.get("a")).note == "new"

    async def test_a_rollback_undoes_saves_and_deletions(self, subject: RepositorySubject) -> None:
        """C-15."""
        repository = subject.repository
        await repository.save(new_order("a", note="old"))
        await repository.save(new_order("b"))
        async with rolled_back(subject.unit_of_work):
            loaded = await repository.get("a")
            loaded.note = "new"
            await repository.save(loaded)
            await repository.delete(await repository.get("b"))
            await repository.save(new_order("c"))
        found = await repository.search()
        assert [(o.id, o.note, o.version) for o in found] == [("a", "old", 1), ("b", "", 1)]

    async def test_a_refused_save_leaves_the_unit_of_work_usable(
        self, subject: RepositorySubject
    ) -> None:
        """S-16."""
        repository = subject.repository
        await repository.save(new_order("a"))
        async with subject.unit_of_work():
            with pytest.raises(OptimisticConcurrencyError):
                await repository.save(new_order("a"))
            await repository.save(new_order("b"))
        assert ids_of(await repository.search()) == ["a", "b"]

    async def test_saving_hands_the_events_to_the_unit_of_work(
        self, subject: RepositorySubject
    ) -> None:
        order = place_order("o-1")
        async with subject.unit_of_work() as uow:
            await subject.repository.save(order)
            order.ship("p-1")
            await subject.repository.save(order)
            events = uow.take_events()
        assert [event.event_type for event in events] == ["SampleOrderPlaced", "SampleOrderShipped"]
        assert {event.aggregate_id for event in events} == {"o-1"}
        assert order.get_uncommitted_events() == []

    async def test_deleting_hands_the_events_to_the_unit_of_work(
        self, subject: RepositorySubject
    ) -> None:
        order = new_order()
        await subject.repository.save(order)
        async with subject.unit_of_work() as uow:
            loaded = await subject.repository.get(order.id)
            loaded.ship("p-1")
            await subject.repository.delete(loaded)
            assert [event.event_type for event in uow.take_events()] == ["SampleOrderShipped"]

    async def test_events_are_not_saved_where_nobody_records_them(
        self, subject: RepositorySubject
    ) -> None:
        order = place_order()
        with pytest.raises(UnrecordedEventsError, match="SampleOrderPlaced"):
            await subject.repository.save(order)
        with pytest.raises(UnrecordedEventsError, match="SampleOrderPlaced"):
            async with subject.unit_of_work():
                await subject.repository.save(order)
        assert not await subject.repository.exists(order.id)

    @pytest.mark.parametrize("load", ["get", "search", "stream"])
    async def test_events_of_a_loaded_aggregate_that_is_not_saved_refuse_the_commit(
        self, subject: RepositorySubject, load: str
    ) -> None:
        repository = subject.repository
        await repository.save(new_order("o-1"))

        async def forget_to_save() -> None:
            async with subject.unit_of_work():
                await repository.save(new_order("o-2"))
                (await _load(repository, load)).ship("p-1")

        with pytest.raises(UnsavedChangesError):
            await forget_to_save()
        assert not await repository.exists("o-2")

    async def test_tenants_see_their_own_aggregates_only(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        """C-13."""
        for tenant in ("", "a", "b"):
            with message_context(tenant_id=tenant):
                await repository.save(new_order("o-1", note=tenant))
        with message_context(tenant_id="a"):
            await repository.delete(await repository.get("o-1"))
            assert await repository.count() == 0
        for tenant in ("", "b"):
            with message_context(tenant_id=tenant):
                assert [order.note for order in await repository.search()] == [tenant]
                assert [order.note async for order in repository.stream()] == [tenant]
                assert (await repository.get("o-1")).note == tenant
        with message_context(tenant_id="c"):
            assert not await repository.exists("o-1")


async def _load(repository: IRepository[SampleOrder], how: str) -> SampleOrder:
    if how == "get":
        return await repository.get("o-1")
    wanted = field("id") == "o-1"
    if how == "search":
        return (await repository.search(wanted))[0]
    [order] = [order async for order in repository.stream(wanted)]
    return order
