"""A snapshot and the events after it make the same aggregate as all events do."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader, EventSourcedRepository
from cqrs_ddd_advanced_core.ports import Snapshot
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.snapshots.codec import codec_of
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import PersistenceError
from cqrs_ddd_core.testing.samples import MOMENT

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import StoredEvent

STREAM = StreamId("SampleAccount", "a")
AMOUNTS = st.lists(st.decimals(-1000, 1000, places=2, allow_nan=False), max_size=12)


class CountingEventStore(InMemoryEventStore):
    """Counts the events that are read from it."""

    read = 0

    async def get_events(self, stream: StreamId, **options: Any) -> list[StoredEvent]:
        events = await super().get_events(stream, **options)
        self.read += len(events)
        return events


def history(amounts: list[Decimal]) -> list[DomainEvent]:
    account = SampleAccount.open("a")
    for amount in amounts:
        account.deposit(amount)
    return account.get_uncommitted_events()


def replayed(events: list[DomainEvent]) -> SampleAccount:
    account = SampleAccount.blank("a")
    account.load_from_history(events)
    return account


def snapshot_of(account: SampleAccount) -> Snapshot:
    codec = codec_of(SampleAccount)
    return Snapshot(STREAM, account.version, codec.fingerprint, codec.dump(account), MOMENT)


@given(AMOUNTS, st.data())
def test_a_state_and_the_events_after_it_are_as_good_as_all_events(
    amounts: list[Decimal], data: st.DataObject
) -> None:
    events = history(amounts)
    version = data.draw(st.integers(1, len(events)))
    codec = codec_of(SampleAccount)
    resumed = codec.load(codec.dump(replayed(events[:version])))
    resumed.set_version(version)
    resumed.load_from_history(events[version:])
    full = replayed(events)
    assert resumed.__dict__ == full.__dict__
    assert resumed.version == full.version


@settings(max_examples=50)
@given(AMOUNTS, st.data())
def test_loading_gives_the_same_at_every_version_whatever_snapshots_there_are(
    amounts: list[Decimal], data: st.DataObject
) -> None:
    events = history(amounts)
    versions = data.draw(st.sets(st.integers(1, len(events))))
    asked = data.draw(st.integers(1, len(events)))

    async def check() -> None:
        event_store, store = InMemoryEventStore(), InMemorySnapshotStore()
        await event_store.append(STREAM, [serialize_event(event) for event in events])
        for version in versions:
            await store.save_snapshot(snapshot_of(replayed(events[:version])))
        plain = EventSourcedLoader(SampleAccount, event_store)
        loader = EventSourcedLoader(SampleAccount, event_store, snapshot_store=store)
        for found, expected in [
            (await loader.load("a"), await plain.load("a")),
            (await loader.load_version("a", asked), await plain.load_version("a", asked)),
        ]:
            assert found is not None
            assert expected is not None
            assert found.__dict__ == expected.__dict__
            assert found.version == expected.version

    asyncio.run(check())


@pytest.mark.parametrize("length", [10, 100, 1000])
async def test_loading_with_a_snapshot_reads_as_much_however_long_the_stream_is(
    length: int,
) -> None:
    event_store = CountingEventStore()
    snapshots = SnapshotStore(InMemorySnapshotStore(), EveryNEventsStrategy(frequency=5))
    events = history([Decimal(1)] * (length - 1))
    await event_store.append(STREAM, [serialize_event(event) for event in events])
    snapshots.after_commit(replayed(events), 0)
    await snapshots.drain()
    more = history([Decimal(1)] * 3)[1:]
    await event_store.append(STREAM, [serialize_event(event) for event in more])
    account = await EventSourcedLoader(SampleAccount, event_store, snapshot_store=snapshots).load(
        "a"
    )
    assert account is not None
    assert (account.version, account.balance) == (length + 3, Decimal(length + 2))
    # The last event of the snapshot proves that it is of this stream.
    assert event_store.read == 4


async def test_a_stream_in_use_never_replays_more_than_the_frequency() -> None:
    """The repository takes the snapshots it uses."""
    database = InMemoryDatabase()
    event_store = CountingEventStore(database)
    snapshots = SnapshotStore(InMemorySnapshotStore(database), EveryNEventsStrategy(n=10))
    accounts = EventSourcedRepository(event_store, SampleAccount, snapshot_store=snapshots)
    async with InMemoryUnitOfWork(database):
        await accounts.save(SampleAccount.open("a"))
    longest = 0
    for _ in range(60):
        event_store.read = 0
        async with InMemoryUnitOfWork(database):
            account = await accounts.get("a")
            longest = max(longest, event_store.read)
            for _ in range(3):
                account.deposit(1)
            await accounts.save(account)
        await snapshots.drain()
    assert longest <= 13
    assert (await accounts.get("a")).balance == 180
    assert snapshots.failures == snapshots.ignored == snapshots.skipped == 0


async def test_a_command_commits_although_snapshots_cannot_be_written() -> None:
    class Broken(InMemorySnapshotStore):
        async def save_snapshot(self, snapshot: Snapshot) -> None:
            msg = "disk full"
            raise PersistenceError(msg)

    snapshots = SnapshotStore(Broken(), EveryNEventsStrategy(n=1))
    accounts = EventSourcedRepository(InMemoryEventStore(), SampleAccount, snapshot_store=snapshots)
    for _ in range(2):
        async with InMemoryUnitOfWork():
            account = await accounts.get_by_id("a") or SampleAccount.open("a")
            account.deposit(1)
            await accounts.save(account)
    assert (await accounts.get("a")).balance == 2
    await snapshots.drain()
    assert snapshots.failures >= 1


async def test_a_snapshot_newer_than_its_stream_is_not_used_and_goes_away() -> None:
    """The events were restored from a backup, the snapshots were not."""
    event_store, store = InMemoryEventStore(), InMemorySnapshotStore()
    events = history([Decimal(1)] * 9)
    await event_store.append(STREAM, [serialize_event(event) for event in events[:5]])
    await store.save_snapshot(snapshot_of(replayed(events)))
    snapshots = SnapshotStore(store, EveryNEventsStrategy(n=100))
    loader = EventSourcedLoader(SampleAccount, event_store, snapshot_store=snapshots)
    account = await loader.load("a")
    assert account is not None
    assert (account.version, account.balance) == (5, Decimal(4))
    await snapshots.drain()
    assert await store.get_latest_snapshot(STREAM) is None
    # The stream grows past the version of that snapshot, with another history.
    more = history([Decimal(100)] * 9)[5:]
    await event_store.append(STREAM, [serialize_event(event) for event in more])
    account = await loader.load("a")
    assert account is not None
    assert (account.version, account.balance) == (10, Decimal(504))


async def test_the_readme_works_as_written() -> None:
    session, event_store = InMemorySnapshotStore(), InMemoryEventStore()
    event_registry = EventTypeRegistry(SampleAccount.supported_event_types())
    strategy = EveryNEventsStrategy(frequency=100)
    snapshot_store = SnapshotStore(session, strategy)
    loader = EventSourcedLoader(
        aggregate_type=SampleAccount,
        event_store=event_store,
        event_registry=event_registry,
        snapshot_store=snapshot_store,
    )
    assert await loader.load("order_123") is None
