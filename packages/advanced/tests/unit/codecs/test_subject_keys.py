"""Cached keys outlive a shred no longer than they may, and no key is used that was rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.codecs import KeyRing, SubjectKeys
from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadTamperedError,
    SubjectShreddedError,
    UnknownEncryptionKeyError,
)
from cqrs_ddd_advanced_core.ports import SubjectKey
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.testing.conformance import elsewhere, rolled_back

RING = KeyRing({"k": KeyRing.generate_key()})


class Timer:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowKeyStore(InMemorySubjectKeyStore):
    """Lets something happen between a look-up and its answer."""

    def __init__(self, database: InMemoryDatabase) -> None:
        super().__init__(database)
        self.calls: list[list[str]] = []
        self.found = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def find(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        self.calls.append(sorted(subjects))
        found = await super().find(subjects)
        self.found.set()
        await self.answer.wait()
        return found


class Process:
    """One process of several on one database."""

    def __init__(self, database: InMemoryDatabase, shared: InMemorySubjectKeyStore | None) -> None:
        self.timer = Timer()
        self.store = SlowKeyStore(database)
        if shared is not None:
            self.store._keys = shared._keys
        self.keys = SubjectKeys(self.store, RING, cache_seconds=30, timer=self.timer)

    async def can_read(self, subject: str = "anna") -> bool:
        return (await self.keys.for_reading([subject]))[subject] is not None


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def here(database: InMemoryDatabase) -> Process:
    return Process(database, None)


@pytest.fixture
def there(database: InMemoryDatabase, here: Process) -> Process:
    return Process(database, here.store)


async def test_all_processes_use_one_key(here: Process, there: Process) -> None:
    both = await asyncio.gather(*(p.keys.for_writing(["anna"]) for p in (here, there)))
    sealed = both[0]["anna"].encrypt(b"text", b"")
    assert both[1]["anna"].decrypt(sealed, b"") == b"text"


async def test_a_cached_key_outlives_a_shred_elsewhere_for_so_many_seconds(
    here: Process, there: Process
) -> None:
    await here.keys.for_writing(["anna"])
    assert await there.can_read()
    await here.keys.shred("anna")
    assert not await here.can_read(), "where it was shredded it is gone at once"
    there.timer.now += 29.9
    assert await there.can_read()
    there.timer.now += 0.1
    assert not await there.can_read()


async def test_reading_again_does_not_prolong_it(here: Process, there: Process) -> None:
    await here.keys.for_writing(["anna"])
    assert await there.can_read()
    await here.keys.shred("anna")
    for _ in range(29):
        there.timer.now += 1
        assert await there.can_read()
    there.timer.now += 1
    assert not await there.can_read()


async def test_the_seconds_count_from_before_the_look_up(here: Process, there: Process) -> None:
    await here.keys.for_writing(["anna"])
    there.store.answer.clear()
    there.store.found.clear()
    reading = asyncio.create_task(there.can_read())
    await there.store.found.wait()
    await here.keys.shred("anna")
    there.timer.now += 20
    there.store.answer.set()
    assert await reading
    there.timer.now += 10
    assert not await there.can_read()


async def test_writing_never_trusts_the_cache(here: Process, there: Process) -> None:
    await there.keys.for_writing(["anna"])
    assert await there.can_read()
    await here.keys.shred("anna")
    with pytest.raises(SubjectShreddedError):
        await there.keys.for_writing(["anna"])


async def test_reading_asks_once_for_all_that_are_not_cached(here: Process) -> None:
    await here.keys.for_writing(["a", "b"])
    here.store.calls.clear()
    here.timer.now += 60
    await here.keys.for_reading(["a", "b", "c"])
    await here.keys.for_reading(["b", "a"])
    assert here.store.calls == [["a", "b", "c"]]


async def test_a_shredded_subject_makes_no_key_for_the_others(here: Process) -> None:
    await here.keys.shred("anna")
    with pytest.raises(SubjectShreddedError, match="'anna'"):
        await here.keys.for_writing(["ben", "anna"])
    assert await here.store.find(["ben"]) == {}


async def test_a_rolled_back_key_is_not_cached(here: Process, database: InMemoryDatabase) -> None:
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await here.keys.for_writing(["anna"])
        assert await here.can_read()
    assert await here.keys.for_reading(["anna"]) == {}


async def test_a_committed_key_is_cached(here: Process, database: InMemoryDatabase) -> None:
    async with InMemoryUnitOfWork(database):
        await here.keys.for_writing(["anna"])
    here.store.calls.clear()
    assert await here.can_read()
    assert here.store.calls == []


async def test_a_unit_of_work_that_shreds_reads_nothing_more(
    here: Process, database: InMemoryDatabase
) -> None:
    await here.keys.for_writing(["anna"])
    async with InMemoryUnitOfWork(database):
        assert await here.can_read()
        await here.keys.shred("anna")
        assert not await here.can_read()
        assert await elsewhere(here.can_read()), "others read it until the commit"
    assert not await here.can_read(), "although it was cached again meanwhile"


async def test_a_rolled_back_shred_changes_nothing(
    here: Process, database: InMemoryDatabase
) -> None:
    await here.keys.for_writing(["anna"])
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await here.keys.shred("anna")
    assert await here.can_read()


async def test_a_key_made_and_shredded_in_one_unit_of_work_is_gone(
    here: Process, database: InMemoryDatabase
) -> None:
    async with InMemoryUnitOfWork(database):
        await here.keys.for_writing(["anna"])
        await here.keys.shred("anna")
        with pytest.raises(SubjectShreddedError):
            await here.keys.for_writing(["anna"])
    assert not await here.can_read()


async def test_the_cache_is_bounded(database: InMemoryDatabase) -> None:
    store = SlowKeyStore(database)
    keys = SubjectKeys(store, RING, cache_seconds=60, max_cached=2)
    await keys.for_writing(["a", "b", "c"])
    store.calls.clear()
    await keys.for_reading(["b", "c"])
    await keys.for_reading(["a"])
    assert store.calls == [["a"]]


async def test_a_key_belongs_to_its_subject_and_tenant(here: Process) -> None:
    with message_context(tenant_id="a"):
        await here.keys.for_writing(["anna"])
        wrapped = (await here.store.find(["anna"]))["anna"].wrapped_key
    assert wrapped is not None
    with message_context(tenant_id="b"):
        await here.store.get_or_create({"anna": wrapped})
        with pytest.raises(PayloadTamperedError):
            await here.keys.for_reading(["anna"])
    await here.store.get_or_create({"anna": wrapped})
    with pytest.raises(PayloadTamperedError):
        await here.keys.for_reading(["anna"])


async def test_old_master_keys_unwrap(here: Process) -> None:
    old, new = KeyRing.generate_key(), KeyRing.generate_key()
    before = SubjectKeys(here.store, KeyRing({"old": old}))
    sealed = (await before.for_writing(["anna"]))["anna"].encrypt(b"text", b"")
    after = SubjectKeys(here.store, KeyRing({"old": old, "new": new}))
    assert (await after.for_writing(["anna"]))["anna"].decrypt(sealed, b"") == b"text"
    without = SubjectKeys(here.store, KeyRing({"new": new}))
    with pytest.raises(UnknownEncryptionKeyError, match="'old'"):
        await without.for_reading(["anna"])
