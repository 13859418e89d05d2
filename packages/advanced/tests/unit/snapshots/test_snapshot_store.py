"""Snapshots are taken behind the commands, and nothing hangs on them."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.ports import ISnapshotStore, Snapshot
from cqrs_ddd_advanced_core.snapshots import (
    AllOf,
    EveryIntervalStrategy,
    EveryNEventsStrategy,
    SnapshotStore,
    SnapshotStrategyRegistry,
    TailSizeStrategy,
    snapshot_store_of,
)
from cqrs_ddd_advanced_core.snapshots._last import LastSnapshot, LastSnapshots
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core import AggregateRoot
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, PersistenceError
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import MOMENT

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports import SnapshotProgress

STREAM = StreamId("SampleAccount", "a")
ALWAYS = EveryNEventsStrategy(n=1)


class SlowStore(InMemorySnapshotStore):
    """Writes when it may, and remembers in which order."""

    def __init__(self, database: InMemoryDatabase | None = None) -> None:
        super().__init__(database)
        self.may_write = asyncio.Event()
        self.written: list[tuple[str, int]] = []

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self.may_write.wait()
        await super().save_snapshot(snapshot)
        self.written.append((snapshot.stream.aggregate_id, snapshot.version))


class BrokenStore(InMemorySnapshotStore):
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        msg = "disk full"
        raise PersistenceError(msg)


def account(version: int, balance: int = 0, account_id: str = "a") -> SampleAccount:
    """An account as its unit of work leaves it behind."""
    account = SampleAccount(id=account_id, owner="Ada", balance=Decimal(balance))
    account.set_version(version)
    return account


async def latest_version(store: ISnapshotStore, stream: StreamId = STREAM) -> int | None:
    found = await store.get_latest_snapshot(stream)
    return None if found is None else found.version


# --- taking and using them


async def test_a_snapshot_gives_the_aggregate_back_at_its_version() -> None:
    snapshots = SnapshotStore(InMemorySnapshotStore(), ALWAYS)
    snapshots.after_commit(account(7, balance=5), 6)
    await snapshots.drain()
    found = await snapshots.load(SampleAccount, STREAM)
    assert found is not None
    assert (found.version, found.balance) == (7, Decimal(5))
    assert found.raised_events() == ()
    again = await snapshots.load(SampleAccount, STREAM)
    assert again is not found


async def test_one_can_ask_for_an_older_one() -> None:
    snapshots = SnapshotStore(InMemorySnapshotStore(), ALWAYS)
    for version in (1, 5):
        snapshots.after_commit(account(version, balance=version), version - 1)
        await snapshots.drain()
    found = await snapshots.load(SampleAccount, STREAM, up_to_version=4)
    assert found is not None
    assert (found.version, found.balance) == (1, Decimal(1))
    assert await snapshots.load(SampleAccount, STREAM, up_to_version=0) is None


async def test_each_commit_is_measured_from_the_last_snapshot() -> None:
    """A-8."""
    store = InMemorySnapshotStore()
    taken: list[int | None] = []
    for version in range(3, 45, 3):
        # Each command in a process of its own.
        snapshots = SnapshotStore(store, EveryNEventsStrategy(n=10))
        await snapshots.load(SampleAccount, STREAM)
        snapshots.after_commit(account(version), version - 3)
        await snapshots.drain()
        taken.append(await latest_version(store))
    assert list(dict.fromkeys(taken)) == [None, 12, 21, 30, 42]


async def test_a_stream_it_has_not_loaded_is_measured_from_the_commit_before() -> None:
    """An aggregate from a cache must not be written after each commit."""
    store = InMemorySnapshotStore()
    strategies = [
        EveryNEventsStrategy(n=10),
        TailSizeStrategy(10),
        EveryIntervalStrategy(60, clock=FixedClock()),
    ]
    for strategy in strategies:
        snapshots = SnapshotStore(store, strategy, clock=FixedClock())
        snapshots.after_commit(account(28), 25)
        await snapshots.drain()
        assert await latest_version(store) is None


async def test_the_age_of_a_snapshot_is_that_of_the_stored_one() -> None:
    store, clock = InMemorySnapshotStore(), FixedClock()
    strategy = AllOf(TailSizeStrategy(2), EveryIntervalStrategy(60, clock=clock))
    for version, seconds in ((1, 0), (2, 1), (4, 58), (5, 2), (6, 1)):
        clock.advance(seconds)
        snapshots = SnapshotStore(store, strategy, clock=clock)
        await snapshots.load(SampleAccount, STREAM)
        snapshots.after_commit(account(version), version - 1)
        await snapshots.drain()
    assert await latest_version(store) == 5
    assert await store.get_snapshot_count() == 2


async def test_a_registry_decides_per_type() -> None:
    registry = SnapshotStrategyRegistry()
    registry.register("Order", ALWAYS)
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store, registry)
    snapshots.after_commit(account(1000), 0)
    await snapshots.drain()
    assert await store.get_snapshot_count() == 0


async def test_without_strategy_every_hundredth_event_counts() -> None:
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store)
    for version in (99, 100):
        snapshots.after_commit(account(version), version - 1)
    await snapshots.drain()
    assert await latest_version(store) == 100


async def test_only_the_newest_are_kept() -> None:
    """S-27."""
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store, ALWAYS, keep=3)
    for version in range(1, 9):
        snapshots.after_commit(account(version), version - 1)
        await snapshots.drain()
    assert await store.get_snapshot_count() == 3
    assert await store.get_latest_snapshot(STREAM, up_to_version=5) is None


@pytest.mark.parametrize("numbers", [{"keep": 0}, {"max_pending": 0}])
def test_numbers_that_mean_nothing_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        SnapshotStore(InMemorySnapshotStore(), **numbers)  # type: ignore[arg-type]


# --- off the hot path


async def test_the_state_is_that_of_the_moment_of_the_commit() -> None:
    store = SlowStore()
    snapshots, changing = SnapshotStore(store, ALWAYS), account(3, balance=3)
    snapshots.after_commit(changing, 2)
    changing.deposit(1000)
    changing.set_version(4)
    store.may_write.set()
    await snapshots.drain()
    found = await snapshots.load(SampleAccount, STREAM)
    assert found is not None
    assert (found.version, found.balance) == (3, Decimal(3))


async def test_a_state_with_events_that_are_not_committed_is_not_taken() -> None:
    store = InMemorySnapshotStore()
    snapshots, changing = SnapshotStore(store, ALWAYS), account(3)
    changing.deposit(1)
    snapshots.after_commit(changing, 2)
    await snapshots.drain()
    assert await store.get_snapshot_count() == 0


async def test_a_command_does_not_wait_for_the_writing() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    snapshots.after_commit(account(1), 0)
    assert await snapshots.load(SampleAccount, STREAM) is None
    store.may_write.set()
    await snapshots.drain()
    assert await snapshots.load(SampleAccount, STREAM) is not None


async def test_of_those_that_wait_for_one_stream_the_newest_is_written() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    snapshots.after_commit(account(1), 0)
    await asyncio.sleep(0)  # the first one is being written
    for version in (2, 3, 5, 4):
        snapshots.after_commit(account(version), version - 1)
    store.may_write.set()
    await snapshots.drain()
    assert store.written == [("a", 1), ("a", 5)]


async def test_streams_are_written_in_the_order_they_came_and_never_at_once() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    for name in "cab":
        snapshots.after_commit(account(1, account_id=name), 0)
    store.may_write.set()
    await snapshots.drain()
    assert store.written == [("c", 1), ("a", 1), ("b", 1)]


async def test_what_waits_is_bounded() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS, max_pending=3)
    for number in range(10):
        snapshots.after_commit(account(1, account_id=str(number)), 0)
    snapshots.after_commit(account(2, account_id="0"), 1)
    assert snapshots.skipped == 7
    store.may_write.set()
    await snapshots.drain()
    assert store.written == [("0", 2), ("1", 1), ("2", 1)]
    snapshots.after_commit(account(2, account_id="9"), 1)
    await snapshots.drain()
    assert store.written[-1] == ("9", 2)


async def test_it_is_written_outside_of_any_unit_of_work() -> None:
    database = InMemoryDatabase()
    store = InMemorySnapshotStore(database)
    snapshots = SnapshotStore(store, ALWAYS)
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        snapshots.after_commit(account(1), 0)
        await snapshots.drain()
    assert await latest_version(store) == 1


async def test_each_tenant_has_its_own() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    for version, tenant in enumerate(("a", "b"), 1):
        with message_context(tenant_id=tenant):
            snapshots.after_commit(account(version), 0)
    store.may_write.set()
    await snapshots.drain()
    assert await snapshots.load(SampleAccount, STREAM) is None
    for version, tenant in enumerate(("a", "b"), 1):
        with message_context(tenant_id=tenant):
            assert await latest_version(store) == version


# --- nothing hangs on them


async def test_a_failing_store_is_counted_and_the_next_snapshot_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    snapshots = SnapshotStore(BrokenStore(), ALWAYS)
    for version in (1, 2):
        snapshots.after_commit(account(version), version - 1)
        await snapshots.drain()
    assert snapshots.failures == 2
    assert "disk full" in caplog.text
    assert await snapshots.load(SampleAccount, STREAM) is None


async def test_what_could_not_be_written_is_not_tried_again_after_each_commit() -> None:
    snapshots = SnapshotStore(BrokenStore(), EveryNEventsStrategy(n=10))
    for version in range(1, 25):
        await snapshots.load(SampleAccount, STREAM)
        snapshots.after_commit(account(version), version - 1)
        await snapshots.drain()
    assert snapshots.failures == 2


async def test_a_state_that_cannot_be_kept_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    snapshots, odd = SnapshotStore(InMemorySnapshotStore(), ALWAYS), account(1)
    odd.__dict__["balance"] = object()
    snapshots.after_commit(odd, 0)
    assert snapshots.failures == 1
    assert "SampleAccount" in caplog.text


async def test_a_strategy_that_raises_is_counted() -> None:
    class Broken(EveryNEventsStrategy):
        def should_snapshot(
            self, aggregate: AggregateRoot[Any], progress: SnapshotProgress
        ) -> bool:
            raise ZeroDivisionError

    snapshots = SnapshotStore(InMemorySnapshotStore(), Broken())
    snapshots.after_commit(account(1), 0)
    assert snapshots.failures == 1


def test_without_an_event_loop_it_is_counted() -> None:
    snapshots = SnapshotStore(InMemorySnapshotStore(), ALWAYS)
    snapshots.after_commit(account(1), 0)
    assert snapshots.failures == 1


# --- snapshots that cannot be used


def _version_of_the_program(**fields: Any) -> type[AggregateRoot[str]]:
    namespace = {"__annotations__": fields, "__module__": __name__}
    return type("SampleAccount", (AggregateRoot[str],), namespace)


async def test_a_snapshot_of_another_shape_is_passed_over_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = InMemorySnapshotStore()
    old = _version_of_the_program(name=str)
    snapshots = SnapshotStore(store, EveryNEventsStrategy(n=10))
    before = old.model_validate({"id": "a", "name": "Ada"})
    before.set_version(10)
    snapshots.after_commit(before, 9)
    await snapshots.drain()

    after_deployment = SnapshotStore(store, EveryNEventsStrategy(n=10))
    for _ in range(3):
        assert await after_deployment.load(SampleAccount, STREAM) is None
    assert after_deployment.ignored == 3
    assert caplog.text.count("another shape") == 1
    after_deployment.after_commit(account(11), 10)
    await after_deployment.drain()
    found = await after_deployment.load(SampleAccount, STREAM)
    assert found is not None
    assert found.version == 11


async def test_two_versions_of_the_program_each_use_their_own() -> None:
    store = InMemorySnapshotStore()
    snapshots, old = SnapshotStore(store, ALWAYS), _version_of_the_program(name=str)
    snapshots.after_commit(account(10, balance=10), 9)
    await snapshots.drain()
    other = old.model_validate({"id": "a", "name": "Ada"})
    other.set_version(12)
    snapshots.after_commit(other, 11)
    await snapshots.drain()
    assert (await snapshots.load(SampleAccount, STREAM)).version == 10  # type: ignore[union-attr]
    assert (await snapshots.load(old, STREAM)).version == 12  # type: ignore[union-attr]


async def test_a_snapshot_that_is_not_valid_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store, EveryNEventsStrategy(n=10))
    snapshots.after_commit(account(10), 0)
    await snapshots.drain()
    found = await store.get_latest_snapshot(STREAM)
    assert found is not None
    await store.save_snapshot(Snapshot(STREAM, 10, found.fingerprint, b"{", MOMENT))
    for _ in range(2):
        assert await snapshots.load(SampleAccount, STREAM) is None
    assert snapshots.ignored == 2
    assert caplog.text.count("cannot be read") == 1


async def test_snapshots_of_another_history_are_discarded() -> None:
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store, EveryNEventsStrategy(n=10))
    snapshots.after_commit(account(120), 119)
    await snapshots.drain()
    # The events are restored from a backup, and end with version 100.
    await snapshots.load(SampleAccount, STREAM)
    snapshots.discard(STREAM)
    await snapshots.drain()
    assert await store.get_snapshot_count() == 0
    snapshots.after_commit(account(101), 100)
    await snapshots.drain()
    assert await latest_version(store) == 101
    assert snapshots.ignored == 1


async def test_a_snapshot_does_not_overtake_the_removal_of_those_before() -> None:
    store = InMemorySnapshotStore()
    snapshots = SnapshotStore(store, ALWAYS)
    await store.save_snapshot(Snapshot(STREAM, 120, "shape", b"{}", MOMENT))
    snapshots.discard(STREAM)
    snapshots.after_commit(account(101), 100)
    await snapshots.drain()
    assert await store.get_snapshot_count() == 0
    assert snapshots.skipped == 1


# --- deleting them


async def test_deleting_takes_part_in_the_unit_of_work() -> None:
    database = InMemoryDatabase()
    store = InMemorySnapshotStore(database)
    snapshots = SnapshotStore(store, ALWAYS)
    snapshots.after_commit(account(1), 0)
    await snapshots.drain()
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        assert await snapshots.delete(STREAM) == 1
    assert await latest_version(store) == 1
    async with InMemoryUnitOfWork(database):
        assert await snapshots.delete(STREAM) == 1
    assert await latest_version(store) is None


async def test_what_waits_is_not_written_after_a_delete() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    snapshots.after_commit(account(1), 0)
    await asyncio.sleep(0)  # it is being written
    snapshots.after_commit(account(2), 1)
    snapshots.after_commit(account(1, account_id="b"), 0)
    await snapshots.delete(STREAM)
    store.may_write.set()
    await snapshots.drain()
    assert store.written == [("b", 1)]


async def test_a_delete_does_not_wait_for_a_writer_that_waits_for_its_transaction() -> None:
    database = InMemoryDatabase(lock_timeout=60)
    store = InMemorySnapshotStore(database)
    snapshots = SnapshotStore(store, ALWAYS)
    async with asyncio.timeout(5), InMemoryUnitOfWork(database):
        await store.save_snapshot(Snapshot(STREAM, 1, "shape", b"{}", MOMENT))
        snapshots.after_commit(account(2), 1)
        await asyncio.sleep(0)
        assert await snapshots.delete(STREAM) == 1
    assert await store.get_snapshot_count() == 0


# --- the end


def test_a_loop_that_ends_loses_what_is_not_needed_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="cqrs_ddd_advanced_core")
    database = InMemoryDatabase()

    async def end_at_once(store: SlowStore) -> SnapshotStore:
        snapshots = SnapshotStore(store, ALWAYS)
        for name in "abc":
            snapshots.after_commit(account(1, account_id=name), 0)
        return snapshots

    async def end_in_the_middle(store: SlowStore) -> SnapshotStore:
        snapshots = await end_at_once(store)
        await asyncio.sleep(0)
        return snapshots

    async def go_on(snapshots: SnapshotStore, store: SlowStore) -> None:
        store.may_write = asyncio.Event()
        store.may_write.set()
        for name in "ab":
            snapshots.after_commit(account(2, account_id=name), 1)
        await snapshots.drain()

    for end in (end_at_once, end_in_the_middle):
        store = SlowStore(database)
        snapshots = asyncio.run(end(store))
        assert store.written == []
        asyncio.run(go_on(snapshots, store))
        assert store.written == [("a", 2), ("b", 2)]
    assert caplog.records == []


async def test_draining_waits_for_what_comes_meanwhile() -> None:
    store = SlowStore()
    snapshots = SnapshotStore(store, ALWAYS)
    snapshots.after_commit(account(1), 0)
    draining = asyncio.create_task(snapshots.drain())
    await asyncio.sleep(0)
    snapshots.after_commit(account(2), 1)
    store.may_write.set()
    await draining
    assert store.written[-1] == ("a", 2)
    await snapshots.drain()


# --- where they are stored


def test_what_no_adapter_knows_is_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigurationError, match="cqrs_ddd_persistence_sqlalchemy"):
        SnapshotStore(object(), ALWAYS)


def test_an_adapter_can_teach_it_a_new_source() -> None:
    class Connection:
        pass

    def connect(connection: Connection) -> ISnapshotStore:
        return store

    store = InMemorySnapshotStore()
    snapshot_store_of.register(Connection, connect)
    assert SnapshotStore(Connection(), ALWAYS).store is store


def test_what_is_known_of_streams_is_bounded() -> None:
    known = LastSnapshots(limit=2)
    for name in "abac":
        known.note(("", StreamId("A", name)), LastSnapshot(1, MOMENT))
    assert known.get(("", StreamId("A", "b"))) is None
    assert known.get(("", StreamId("A", "a"))) == LastSnapshot(1, MOMENT)
    known.note(("", StreamId("A", "a")), LastSnapshot(0, None))
    assert known.get(("", StreamId("A", "a"))) == LastSnapshot(1, MOMENT)
