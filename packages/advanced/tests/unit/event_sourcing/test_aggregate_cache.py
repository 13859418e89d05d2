"""The cache of aggregates saves reading and changes no answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from cqrs_ddd_advanced_core.event_sourcing import AggregateCache, EventSourcedRepository
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.conformance import rolled_back


class WatchedEventStore(InMemoryEventStore):
    """Remembers how many events were read."""

    read = 0

    async def get_events(self, *args: Any, **options: Any) -> list[StoredEvent]:
        found = await super().get_events(*args, **options)
        self.read += len(found)
        return found


@pytest.fixture
def cache() -> AggregateCache:
    return AggregateCache(max_size=100)


def _accounts(
    store: IEventStore, cache: AggregateCache | None
) -> EventSourcedRepository[SampleAccount]:
    return EventSourcedRepository(store, SampleAccount, cache=cache)


def _stream(account_id: str) -> StreamId:
    return StreamId("SampleAccount", account_id)


def _committed(account_id: str, version: int = 1) -> SampleAccount:
    account = SampleAccount(id=account_id, owner="Ada", balance=Decimal(version))
    account.set_version(version)
    return account


async def test_a_load_reads_only_what_the_cache_lacks(cache: AggregateCache) -> None:
    store = WatchedEventStore()
    account = SampleAccount.open("1")
    for _ in range(100):
        account.deposit(1)
    await _accounts(store, cache).save(account)
    loaded = await _accounts(store, cache).get("1")
    assert (loaded.version, loaded.balance) == (101, Decimal(100))
    # The last event again: it proves that the stream is still the same.
    assert store.read == 1


async def test_events_of_another_process_are_seen(cache: AggregateCache) -> None:
    store = WatchedEventStore()
    mine, theirs = _accounts(store, cache), _accounts(store, AggregateCache())
    await mine.save(SampleAccount.open("1"))
    for _ in range(3):
        account = await theirs.get("1")
        account.deposit(10)
        await theirs.save(account)
    store.read = 0
    assert (await mine.get("1")).balance == 30
    assert store.read == 4
    assert (await mine.get("1")).balance == 30
    assert store.read == 5


async def test_a_stream_that_is_shorter_than_the_cache_thinks_is_read_anew(
    cache: AggregateCache,
) -> None:
    """A database that was restored from a backup."""
    before, after = InMemoryEventStore(), InMemoryEventStore()
    account = SampleAccount.open("1")
    account.deposit(50)
    await _accounts(before, cache).save(account)
    await _accounts(after, None).save(SampleAccount.open("1", "Eve"))
    restored = await _accounts(after, cache).get("1")
    assert (restored.version, restored.balance, restored.owner) == (1, Decimal(0), "Eve")
    kept = cache.get(SampleAccount, _stream("1"))
    assert kept is not None
    assert (kept.version, kept.owner) == (1, "Eve")


async def test_only_committed_states_are_kept(cache: AggregateCache) -> None:
    database = InMemoryDatabase()
    accounts = _accounts(InMemoryEventStore(database), cache)
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await accounts.save(SampleAccount.open("1"))
        await accounts.get("1")
    assert len(cache) == 0
    async with InMemoryUnitOfWork(database):
        await accounts.save(SampleAccount.open("1"))
        await accounts.get("1")
        assert len(cache) == 0
    kept = cache.get(SampleAccount, _stream("1"))
    assert kept is not None
    assert kept.version == 1
    kept.deposit(1)
    cache.put(kept)
    assert cache.get(SampleAccount, _stream("1")) == _opened()


def _opened() -> SampleAccount:
    account = SampleAccount(id="1", owner="Ada")
    account.set_version(1)
    return account


async def test_a_deleted_aggregate_is_not_found_by_its_kept_state(cache: AggregateCache) -> None:
    accounts = _accounts(InMemoryEventStore(), cache)
    account = SampleAccount.open("1")
    await accounts.save(account)
    await accounts.delete(await accounts.get("1"))
    assert await accounts.get_by_id("1") is None


def test_what_a_caller_changes_never_reaches_the_cache(cache: AggregateCache) -> None:
    """A-10."""
    mine = _committed("1")
    cache.put(mine)
    mine.balance = Decimal(99)
    found = cache.get(SampleAccount, _stream("1"))
    assert found == _committed("1")
    found.balance = Decimal(98)
    assert cache.get(SampleAccount, _stream("1")) == _committed("1")


def test_the_least_recently_used_gives_way() -> None:
    """G11."""
    cache = AggregateCache(max_size=3)
    for name in "abc":
        cache.put(_committed(name))
    assert cache.get(SampleAccount, _stream("a")) is not None
    cache.put(_committed("d"))
    found = {name for name in "abcd" if cache.get(SampleAccount, _stream(name))}
    assert (len(cache), found) == (3, {"a", "c", "d"})
    assert (cache.hits, cache.misses) == (4, 1)


def test_tenants_share_nothing(cache: AggregateCache) -> None:
    cache.put(_committed("1", 1))
    with message_context(tenant_id="other"):
        assert cache.get(SampleAccount, _stream("1")) is None
        cache.put(_committed("1", 2))
    found = cache.get(SampleAccount, _stream("1"))
    assert found is not None
    assert found.version == 1


def test_a_class_gets_only_its_own_kind(cache: AggregateCache) -> None:
    class Other(SampleAccount):
        aggregate_type = "SampleAccount"

    cache.put(_committed("1"))
    assert cache.get(Other, _stream("1")) is None


def test_states_can_be_forgotten(cache: AggregateCache) -> None:
    cache.put(_committed("1"))
    cache.put(_committed("2"))
    cache.drop(_stream("1"))
    cache.drop(_stream("1"))
    assert cache.get(SampleAccount, _stream("1")) is None
    cache.clear()
    assert (len(cache), cache.misses) == (0, 1)


def test_a_new_aggregate_is_no_committed_state(cache: AggregateCache) -> None:
    cache.put(SampleAccount(id="1", owner="Ada"))
    assert len(cache) == 0


def test_a_cache_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        AggregateCache(max_size=0)


def test_threads_may_share_a_cache() -> None:
    cache = AggregateCache(max_size=5)

    def work(thread: int) -> int:
        for number in range(300):
            name = str((number + thread) % 8)
            cache.put(_committed(name, number + 1))
            found = cache.get(SampleAccount, _stream(str(number % 8)))
            assert found is None or found.balance == found.version
        return 300

    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(work, range(8)))
    assert len(cache) == 5
    assert cache.hits + cache.misses == done
