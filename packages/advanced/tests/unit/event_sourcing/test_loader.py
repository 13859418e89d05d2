"""The loader: exactly what the events say, from a snapshot, from the cache, or from the start."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
from cqrs_ddd_advanced_core.domain import (
    EventSourcedAggregateMixin,
    EventSourcedAggregateRequiredError,
    EventSourcingConfigurationError,
    EventValidationConfig,
    EventValidator,
    IncompleteAggregateError,
    MissingEventHandlerError,
)
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader, EventSourcedRepository
from cqrs_ddd_advanced_core.event_sourcing.cache import AggregateCache
from cqrs_ddd_advanced_core.snapshots import (
    EveryNEventsStrategy,
    SnapshotStore,
    SnapshotStrategyRegistry,
)
from cqrs_ddd_advanced_core.testing.samples import AccountOpened, MoneyDeposited, SampleAccount
from cqrs_ddd_core import AggregateRoot, DomainEvent, EventTypeRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.testing.conformance import rolled_back

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.event_store import StoredEvent


class CountingEventStore(InMemoryEventStore):
    """Counts the events it hands out."""

    read = 0

    async def get_events(self, *args: Any, **kwargs: Any) -> list[StoredEvent]:
        events = await super().get_events(*args, **kwargs)
        self.read += len(events)
        return events


@pytest.fixture
def store() -> CountingEventStore:
    return CountingEventStore()


async def save(store: InMemoryEventStore, deposits: int, **options: Any) -> SampleAccount:
    repository = EventSourcedRepository(store, SampleAccount, **options)
    account = SampleAccount.open("a")
    for _ in range(deposits):
        account.deposit(1)
    await repository.save(account)
    return account


def test_a_class_without_the_mixin_is_refused(store: CountingEventStore) -> None:
    with pytest.raises(EventSourcedAggregateRequiredError, match="EventSourcedAggregateMixin"):
        EventSourcedLoader(type("Plain", (AggregateRoot,), {}), store)


def test_events_that_nobody_names_are_refused(store: CountingEventStore) -> None:
    class Catching(EventSourcedAggregateMixin, AggregateRoot[str]):
        def _when(self, event: DomainEvent) -> None: ...

    with pytest.raises(EventSourcingConfigurationError, match="event_registry"):
        EventSourcedLoader(Catching, store)


async def test_a_registry_serves_a_class_that_only_has_a_fallback(
    store: CountingEventStore,
) -> None:
    class Catching(EventSourcedAggregateMixin, AggregateRoot[str]):
        count: int = 0

        def _when(self, event: DomainEvent) -> None:
            self.count += 1

    registry = EventTypeRegistry([AccountOpened])
    repository = EventSourcedRepository(store, Catching, registry)
    catching = Catching(id="a")
    catching.raise_event(AccountOpened(owner="Ada"))
    await repository.save(catching)
    assert (await repository.get("a")).count == 1


async def test_required_fields_come_from_the_events(store: CountingEventStore) -> None:
    """A-2."""
    await save(store, 2)
    account = await EventSourcedLoader(SampleAccount, store).load("a")
    assert account is not None
    assert (account.owner, account.balance, account.version) == ("Ada", Decimal(2), 3)


async def test_a_required_field_that_no_event_sets_is_an_error(store: CountingEventStore) -> None:
    """A-2: never "not found"."""

    class Forgetful(SampleAccount):
        aggregate_type = SampleAccount.aggregate_type

        def apply_account_opened(self, event: AccountOpened) -> None: ...

    await save(store, 0)
    with pytest.raises(IncompleteAggregateError, match="owner") as caught:
        await EventSourcedLoader(Forgetful, store).load("a")
    assert caught.value.missing == ("owner",)


async def test_an_event_without_a_handler_is_an_error_unless_a_validator_is_lenient(
    store: CountingEventStore,
) -> None:
    class Older(EventSourcedAggregateMixin, AggregateRoot[str]):
        aggregate_type = SampleAccount.aggregate_type
        owner: str = ""

        def apply_account_opened(self, event: AccountOpened) -> None:
            self.owner = event.owner

    await save(store, 1)
    registry = EventTypeRegistry([AccountOpened, MoneyDeposited])
    with pytest.raises(MissingEventHandlerError):
        await EventSourcedLoader(Older, store, registry).load("a")
    lenient = EventValidator(EventValidationConfig(enabled=False))
    older = await EventSourcedLoader(Older, store, registry, validator=lenient).load("a")
    assert older is not None
    assert (older.owner, older.version) == ("Ada", 2)


async def test_an_aggregate_may_be_made_by_a_function(store: CountingEventStore) -> None:
    def create(entity_id: str) -> SampleAccount:
        return SampleAccount(id=entity_id, owner="nobody", balance=Decimal(100))

    await save(store, 1)
    account = await EventSourcedLoader(SampleAccount, store, create_aggregate=create).load("a")
    assert account is not None
    assert account.balance == 101


async def test_ids_that_are_no_text(store: CountingEventStore) -> None:
    class ByUuid(EventSourcedAggregateMixin, AggregateRoot[UUID]):
        owner: str = ""

        def apply_account_opened(self, event: AccountOpened) -> None:
            self.owner = event.owner

    repository, entity_id = EventSourcedRepository(store, ByUuid), uuid4()
    entity = ByUuid(id=entity_id)
    entity.raise_event(AccountOpened(owner="Ada"))
    await repository.save(entity)
    assert (await repository.get(entity_id)).id == entity_id
    assert [found.id async for found in repository.get_all()] == [entity_id]


async def test_the_state_at_a_version(store: CountingEventStore) -> None:
    await save(store, 5)
    loader = EventSourcedLoader(SampleAccount, store)
    states = [await loader.load_version("a", version) for version in range(8)]
    assert [state and state.balance for state in states] == [None, 0, 1, 2, 3, 4, 5, 5]


async def test_a_long_stream_is_read_in_batches(store: CountingEventStore) -> None:
    await save(store, 2500)
    account = await EventSourcedLoader(SampleAccount, store).load("a")
    assert account is not None
    assert (account.balance, account.version) == (Decimal(2500), 2501)


class TestSnapshots:
    @pytest.fixture
    def snapshots(self) -> SnapshotStore:
        return SnapshotStore(InMemorySnapshotStore(), EveryNEventsStrategy(frequency=10))

    async def test_loading_costs_the_tail_only(
        self, store: CountingEventStore, snapshots: SnapshotStore
    ) -> None:
        await save(store, 500, snapshot_store=snapshots)
        await snapshots.drain()
        repository = EventSourcedRepository(store, SampleAccount, snapshot_store=snapshots)
        for _ in range(2):
            store.read = 0
            account = await repository.get("a")
            assert store.read <= 2
            account.deposit(1)
            await repository.save(account)
        assert (await repository.get("a")).balance == 502

    async def test_the_mediators_way_takes_them_as_well(
        self, store: CountingEventStore, snapshots: SnapshotStore
    ) -> None:
        """A-8: in a unit of work, after its commit."""
        database = InMemoryDatabase()
        store = CountingEventStore(database)
        repository = EventSourcedRepository(store, SampleAccount, snapshot_store=snapshots)
        async with InMemoryUnitOfWork(database):
            account = SampleAccount.open("a")
            for _ in range(11):
                account.deposit(1)
            await repository.save(account)
        await snapshots.drain()
        found = await snapshots.store.get_latest_snapshot(StreamId("SampleAccount", "a"))
        assert found is not None
        assert found.version == 12

    async def test_a_rolled_back_state_is_never_kept(
        self, store: CountingEventStore, snapshots: SnapshotStore
    ) -> None:
        repository = EventSourcedRepository(store, SampleAccount, snapshot_store=snapshots)
        async with rolled_back(InMemoryUnitOfWork):
            account = SampleAccount.open("a")
            for _ in range(20):
                account.deposit(1)
            await repository.save(account)
        await snapshots.drain()
        assert await snapshots.store.get_latest_snapshot(StreamId("SampleAccount", "a")) is None

    async def test_a_snapshot_of_another_history_is_dropped(
        self, store: CountingEventStore, snapshots: SnapshotStore
    ) -> None:
        """The events were restored from a backup that is older than the snapshot."""
        await save(store, 20, snapshot_store=snapshots)
        await snapshots.drain()
        older = CountingEventStore()
        await save(older, 5)
        account = await EventSourcedLoader(SampleAccount, older, snapshot_store=snapshots).load("a")
        assert account is not None
        assert (account.balance, account.version) == (Decimal(5), 6)
        await snapshots.drain()
        assert await snapshots.store.get_latest_snapshot(StreamId("SampleAccount", "a")) is None

    async def test_a_bare_store_takes_its_strategies_from_the_registry(
        self, store: CountingEventStore
    ) -> None:
        bare, strategies = InMemorySnapshotStore(), SnapshotStrategyRegistry()
        strategies.register("SampleAccount", EveryNEventsStrategy(n=2))
        loader = EventSourcedLoader(
            SampleAccount, store, snapshot_store=bare, snapshot_strategy_registry=strategies
        )
        account = await save(store, 5)
        loader.committed(account, 0)
        assert loader.snapshots is not None
        await loader.snapshots.drain()
        assert await bare.get_latest_snapshot(StreamId("SampleAccount", "a")) is not None

    async def test_a_deleted_aggregate_stays_deleted(
        self, store: CountingEventStore, snapshots: SnapshotStore
    ) -> None:
        cache = AggregateCache()
        options: dict[str, Any] = {"snapshot_store": snapshots, "cache": cache}
        account = await save(store, 19, **options)
        repository = EventSourcedRepository(store, SampleAccount, **options)
        await repository.delete(account)
        await snapshots.drain()
        assert await repository.get_by_id("a") is None
        restored = await repository.restore("a")
        assert restored.balance == (await repository.get("a")).balance == 19

    async def test_a_hard_delete_takes_snapshots_along(self, snapshots: SnapshotStore) -> None:
        database, cache = InMemoryDatabase(), AggregateCache()
        store = CountingEventStore(database)
        options: dict[str, Any] = {"snapshot_store": snapshots, "cache": cache}
        account = await save(store, 20, **options)
        await snapshots.drain()
        repository = EventSourcedRepository(store, SampleAccount, **options)
        async with InMemoryUnitOfWork():
            await repository.delete(account, hard=True)
        await snapshots.drain()
        assert await snapshots.store.get_latest_snapshot(StreamId("SampleAccount", "a")) is None
        assert len(cache) == 0
        assert await repository.get_by_id("a") is None


class TestCache:
    async def test_only_events_after_the_cached_state_are_read(
        self, store: CountingEventStore
    ) -> None:
        cache = AggregateCache()
        await save(store, 100, cache=cache)
        store.read = 0
        repository = EventSourcedRepository(store, SampleAccount, cache=cache)
        assert (await repository.get("a")).balance == 100
        assert store.read == 1

    async def test_events_of_other_processes_are_seen(self, store: CountingEventStore) -> None:
        cache = AggregateCache()
        await save(store, 3, cache=cache)
        elsewhere = EventSourcedRepository(store, SampleAccount)
        account = await elsewhere.get("a")
        account.deposit(10)
        await elsewhere.save(account)
        cached = EventSourcedRepository(store, SampleAccount, cache=cache)
        assert (await cached.get("a")).balance == 13

    async def test_what_a_caller_does_never_reaches_it(self, store: CountingEventStore) -> None:
        cache = AggregateCache()
        account = await save(store, 3, cache=cache)
        account.deposit(10)
        repository = EventSourcedRepository(store, SampleAccount, cache=cache)
        (await repository.get("a")).deposit(20)
        assert (await repository.get("a")).balance == 3

    async def test_tenants_are_apart(self, store: CountingEventStore) -> None:
        cache = AggregateCache()
        repository = EventSourcedRepository(store, SampleAccount, cache=cache)
        await save(store, 3, cache=cache)
        with message_context(tenant_id="other"):
            assert await repository.get_by_id("a") is None

    async def test_a_state_that_lacks_merged_events_is_not_kept(
        self, store: CountingEventStore
    ) -> None:
        cache = AggregateCache()
        await save(store, 0, cache=cache)
        repository = EventSourcedRepository(
            store, SampleAccount, cache=cache, conflict_policy=_deposits_commute()
        )
        first, second = await repository.get("a"), await repository.get("a")
        first.deposit(1)
        second.deposit(2)
        await repository.save(first)
        await repository.save(second)
        assert (await repository.get("a")).balance == 3
        assert (await repository.get("a")).version == 3


def _deposits_commute() -> EventConflictPolicy:
    return EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited)


async def test_a_repository_of_another_kind_may_share_the_unit_of_work() -> None:
    class Note(AggregateRoot[str]):
        text: str

    database = InMemoryDatabase()
    notes = InMemoryRepository(Note, database)
    accounts = EventSourcedRepository(InMemoryEventStore(database), SampleAccount)
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await notes.save(Note(id="n", text="x"))
        await accounts.save(SampleAccount.open("a"))
    assert not await notes.exists("n")
    assert not await accounts.exists("a")
