"""What every repository must do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import Specification, field
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    EntityNotFoundError,
    OptimisticConcurrencyError,
    UnknownFieldError,
    UnrecordedEventsError,
    UnsavedChangesError,
)
from cqrs_ddd_core.testing.conformance import Conformance, elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import (
    AWKWARD_TEXT,
    MOMENT,
    OrderLine,
    OrderStatus,
    SampleOrder,
    new_order,
    place_order,
)

__all__ = ["RepositoryConformance", "RepositorySubject"]


@dataclass(frozen=True)
class RepositorySubject:
    """An empty repository of ``SampleOrder`` and the units of work of its database."""

    repository: IRepository[SampleOrder]
    unit_of_work: UnitOfWorkFactory


class RepositoryConformance(Conformance):
    """Copies, versions, deletion, searching, transactions, events and tenants."""

    @pytest.fixture
    def subject(self) -> RepositorySubject:
        raise NotImplementedError("yield a RepositorySubject with an empty repository")

    @pytest.fixture
    def repository(self, subject: RepositorySubject) -> IRepository[SampleOrder]:
        return subject.repository

    @pytest.fixture
    def unit_of_work(self, subject: RepositorySubject) -> UnitOfWorkFactory:
        return subject.unit_of_work

    # -- in and out ---------------------------------------------------------------------------

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

    # -- versions -----------------------------------------------------------------------------

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

    # -- deletion -----------------------------------------------------------------------------

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

    # -- searching ----------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "criteria, expected",
        [
            (None, "abcd"),
            (field("total") > 10, "bd"),
            (field("total") == Decimal("9.50"), "ac"),
            ((field("customer") == "eve") | (field("total") >= Decimal("100.0")), "bd"),
            (~(field("customer") == "adam"), "bd"),
            (field("status") == OrderStatus.SHIPPED, "d"),
            (field("placed_on") < date(2026, 1, 2), "ab"),
            (field("due_at") >= MOMENT + timedelta(seconds=2), "cd"),
            (field("id").in_(["a", "c", "x"]), "ac"),
            (field("customer") == "nobody", ""),
        ],
        ids=lambda value: value or "none" if isinstance(value, str) else "",
    )
    async def test_a_search_finds_what_satisfies_it_in_id_order(
        self, repository: IRepository[SampleOrder], criteria: Specification | None, expected: str
    ) -> None:
        await _save_samples(repository)
        assert _ids(await repository.search(criteria)) == list(expected)
        assert await repository.count(criteria) == len(expected)
        streamed = [order async for order in repository.stream(criteria, batch_size=1)]
        assert _ids(streamed) == list(expected)

    @pytest.mark.parametrize(
        "options, expected",
        [
            (QueryOptions().with_ordering("total"), "acdb"),
            (QueryOptions().with_ordering("total", desc=True), "bdac"),
            (QueryOptions().with_ordering("customer").with_ordering("total", desc=True), "acbd"),
            (QueryOptions().with_ordering("due_at", desc=True), "dcba"),
            (QueryOptions().with_ordering("id", desc=True), "dcba"),
            (QueryOptions().with_pagination(limit=2), "ab"),
            (QueryOptions().with_pagination(limit=2, offset=3), "d"),
            (QueryOptions().with_pagination(limit=2, offset=4), ""),
            (QueryOptions().with_pagination(limit=0), ""),
            (
                QueryOptions(field("total") < 100)
                .with_ordering("total", desc=True)
                .with_pagination(limit=2, offset=1),
                "ac",
            ),
        ],
        ids=str,
    )
    async def test_a_search_orders_and_pages(
        self, repository: IRepository[SampleOrder], options: QueryOptions, expected: str
    ) -> None:
        await _save_samples(repository)
        assert _ids(await repository.search(options)) == list(expected)

    async def test_pages_after_a_cursor_meet_and_do_not_overlap(
        self, repository: IRepository[SampleOrder]
    ) -> None:
        for number in range(11):
            await repository.save(new_order(f"o-{number:02}", total=str(number % 3)))
        options = QueryOptions().with_ordering("total", desc=True).with_pagination(limit=4)
        found: list[str] = []
        while page := await repository.search(options):
            found += _ids(page)
            options = options.with_pagination(limit=4, after=options.cursor(page[-1]))
        everything = await repository.search(QueryOptions().with_ordering("total", desc=True))
        assert found == _ids(everything)
        assert len(set(found)) == 11

    async def test_an_unknown_field_is_refused(self, repository: IRepository[SampleOrder]) -> None:
        """S-24."""
        await repository.save(new_order())
        for criteria in (field("price") == 1, QueryOptions().with_ordering("price")):
            with pytest.raises(UnknownFieldError):
                await repository.search(criteria)

    async def test_many_are_streamed_in_batches(self, repository: IRepository[SampleOrder]) -> None:
        for number in range(25):
            await repository.save(new_order(f"o-{number:02}"))
        streamed = [order async for order in repository.stream(batch_size=10)]
        assert _ids(streamed) == [f"o-{number:02}" for number in range(25)]

    # -- units of work ------------------------------------------------------------------------

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
            assert _ids(await repository.search()) == ["a", "c"]
            assert await repository.count(field("note") == "changed") == 1
            await repository.save(loaded)
        assert _ids(await repository.search()) == ["a", "c"]
        assert (await repository.get("a")).version == 3

    @pytest.mark.needs("concurrent_transactions")
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
        assert _ids(await repository.search()) == ["a", "b"]

    # -- events -------------------------------------------------------------------------------

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

    # -- tenants ------------------------------------------------------------------------------

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


async def _save_samples(repository: IRepository[SampleOrder]) -> None:
    samples = [("b", "eve", "100.00"), ("a", "adam", "9.50"), ("d", "eve", "10.25")]
    for order_id, customer, total in [*samples, ("c", "adam", "9.5")]:
        place = "abcd".index(order_id)
        order = new_order(
            order_id,
            total,
            customer=customer,
            placed_on=date(2026, 1, 1 + place // 2),
            due_at=MOMENT + timedelta(seconds=place),
            status=OrderStatus.SHIPPED if order_id == "d" else OrderStatus.PLACED,
        )
        await repository.save(order)


async def _load(repository: IRepository[SampleOrder], how: str) -> SampleOrder:
    if how == "get":
        return await repository.get("o-1")
    wanted = field("id") == "o-1"
    if how == "search":
        return (await repository.search(wanted))[0]
    [order] = [order async for order in repository.stream(wanted)]
    return order


def _ids(orders: Sequence[SampleOrder]) -> list[str]:
    return [order.id for order in orders]
