"""What every cache must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

__all__ = ["CacheConformance", "CacheSubject"]


@dataclass(frozen=True)
class CacheSubject:
    """An empty cache with room for 100 values.

    Attributes:
        pass_time: Lets so many seconds pass on the cache's clock; it really waits unless given.
    """

    cache: ICache
    pass_time: Callable[[float], Awaitable[None]] = asyncio.sleep


class CacheConformance(Conformance):
    """Values, time limits and tags."""

    @pytest.fixture
    def subject(self) -> CacheSubject:
        raise NotImplementedError("yield a CacheSubject with an empty cache")

    @pytest.fixture
    def cache(self, subject: CacheSubject) -> ICache:
        return subject.cache

    @pytest.mark.parametrize("value", [b"", b"text", bytes(range(256)), b"x" * 100_000], ids=len)
    async def test_a_value_comes_back_exactly(self, cache: ICache, value: bytes) -> None:
        await cache.set("key", value)
        assert await cache.get("key") == value

    async def test_an_unknown_key_is_a_miss(self, cache: ICache) -> None:
        assert await cache.get("key") is None
        await cache.delete("key")
        await cache.delete_tags(["tag"])

    async def test_keys_and_tags_may_hold_any_text(self, cache: ICache) -> None:
        await cache.set(AWKWARD_TEXT, b"1", tags=[AWKWARD_TEXT])
        assert await cache.get(AWKWARD_TEXT) == b"1"
        await cache.delete_tags([AWKWARD_TEXT])
        assert await cache.get(AWKWARD_TEXT) is None

    async def test_the_last_value_counts(self, cache: ICache) -> None:
        await cache.set("key", b"1")
        await cache.set("key", b"2")
        assert await cache.get("key") == b"2"

    async def test_a_deleted_value_is_gone(self, cache: ICache) -> None:
        await cache.set("one", b"1")
        await cache.set("two", b"2")
        await cache.delete("one")
        assert await cache.get("one") is None
        assert await cache.get("two") == b"2"

    async def test_many_values_are_deleted_in_one_go(self, cache: ICache) -> None:
        for key in ("one", "two", "three"):
            await cache.set(key, b"1")
        await cache.delete("one", "unknown", "three")
        assert [await cache.get(key) for key in ("one", "two", "three")] == [None, b"1", None]
        await cache.delete()
        assert await cache.get("two") == b"1"

    async def test_everything_can_be_forgotten(self, cache: ICache) -> None:
        await cache.set("one", b"1")
        await cache.set("two", b"2", ttl=60, tags=["tag"])
        await cache.clear()
        assert [await cache.get("one"), await cache.get("two")] == [None, None]

    async def test_a_value_ends_with_its_time(self, subject: CacheSubject) -> None:
        await subject.cache.set("short", b"1", ttl=0.05)
        await subject.cache.set("long", b"2", ttl=60)
        await subject.cache.set("always", b"3")
        await subject.pass_time(0.1)
        assert await subject.cache.get("short") is None
        assert await subject.cache.get("long") == b"2"
        assert await subject.cache.get("always") == b"3"

    async def test_setting_a_value_again_sets_its_time_again(self, subject: CacheSubject) -> None:
        await subject.cache.set("longer", b"1", ttl=0.05)
        await subject.cache.set("longer", b"2", ttl=60)
        await subject.cache.set("unlimited", b"1", ttl=0.05)
        await subject.cache.set("unlimited", b"2")
        await subject.pass_time(0.1)
        assert await subject.cache.get("longer") == b"2"
        assert await subject.cache.get("unlimited") == b"2"

    async def test_values_are_forgotten_by_any_of_their_tags(self, cache: ICache) -> None:
        await cache.set("one", b"1", tags=["a", "b"])
        await cache.set("two", b"2", tags=["b", "c"])
        await cache.set("three", b"3", tags=["c"])
        await cache.set("four", b"4")
        await cache.delete_tags(["a", "b", "unknown"])
        keys = ["one", "two", "three", "four"]
        assert [await cache.get(key) for key in keys] == [None, None, b"3", b"4"]
        await cache.delete_tags([])
        assert await cache.get("three") == b"3"

    async def test_a_value_set_again_has_its_new_tags_only(self, cache: ICache) -> None:
        await cache.set("key", b"1", tags=["old"])
        await cache.set("key", b"2", tags=["new"])
        await cache.delete_tags(["old"])
        assert await cache.get("key") == b"2"
        await cache.delete_tags(["new"])
        assert await cache.get("key") is None

    async def test_of_many_at_once_one_sets_a_value_and_all_are_told_it(
        self, cache: ICache
    ) -> None:
        offers = [{"key": str(number).encode(), "other": b"0"} for number in range(10)]
        told = await asyncio.gather(*(cache.get_or_set(offer, ttl=60) for offer in offers))
        assert len({answer["key"] for answer in told}) == 1
        assert [answer["other"] for answer in told] == [b"0"] * 10
        assert await cache.get("key") == told[0]["key"]
        assert await cache.get_or_set({}, ttl=60) == {}

    async def test_what_is_set_where_there_was_nothing_ends_with_its_time(
        self, subject: CacheSubject
    ) -> None:
        cache = subject.cache
        await cache.set("kept", b"old", ttl=60)
        assert await cache.get_or_set({"kept": b"new", "short": b"1"}, ttl=0.05) == {
            "kept": b"old",
            "short": b"1",
        }
        await subject.pass_time(0.1)
        assert await cache.get_or_set({"kept": b"new", "short": b"2"}) == {
            "kept": b"old",
            "short": b"2",
        }

    async def test_a_value_can_be_deleted_only_if_it_is_the_known_one(self, cache: ICache) -> None:
        await cache.set("key", b"mine")
        await cache.delete_if("key", b"other")
        assert await cache.get("key") == b"mine"
        await cache.delete_if("key", b"mine")
        assert await cache.get("key") is None
        await cache.delete_if("key", b"mine")

    async def test_a_value_forgotten_by_its_tag_leaves_nothing_behind(self, cache: ICache) -> None:
        await cache.set("key", b"1", tags=["tag"])
        await cache.delete_tags(["tag"])
        assert await cache.get_or_set({"key": b"2"}) == {"key": b"2"}
        assert await cache.get("key") == b"2"

    async def test_many_values_are_kept_apart(self, cache: ICache) -> None:
        keys = [str(number) for number in range(100)]
        await asyncio.gather(*(cache.set(key, key.encode()) for key in keys))
        assert await asyncio.gather(*map(cache.get, keys)) == [key.encode() for key in keys]
