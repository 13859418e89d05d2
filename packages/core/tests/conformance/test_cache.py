"""The caches keep the promises of their port, and their bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import LayeredCache, RedisCache
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.testing import CacheConformance, CacheSubject


class TestInMemoryCache(CacheConformance):
    @pytest.fixture
    def subject(self) -> CacheSubject:
        clock = FixedClock()

        async def pass_time(seconds: float) -> None:
            clock.advance(seconds)

        return CacheSubject(InMemoryCache(clock=clock), pass_time)


@pytest.fixture
async def redis_cache(redis_url: str) -> AsyncIterator[RedisCache]:
    async with RedisCache(redis_url, prefix=f"test-{uuid4().hex}", timeout=5) as cache:
        yield cache
        await cache.clear()


class TestRedisCache(CacheConformance):
    @pytest.fixture
    def subject(self, redis_cache: RedisCache) -> CacheSubject:
        return CacheSubject(redis_cache)


class TestLayeredCache(CacheConformance):
    @pytest.fixture
    async def subject(self, redis_cache: RedisCache) -> AsyncIterator[CacheSubject]:
        async with LayeredCache(InMemoryCache(), redis_cache, max_staleness=5) as cache:
            while not cache.is_local:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
            yield CacheSubject(cache)


class TestLayeredCacheBeforeItListens(CacheConformance):
    @pytest.fixture
    def subject(self, redis_cache: RedisCache) -> CacheSubject:
        return CacheSubject(LayeredCache(InMemoryCache(), redis_cache))


async def test_a_full_cache_forgets_the_value_used_longest_ago() -> None:
    """G11."""
    cache = InMemoryCache(max_entries=2)
    await cache.set("one", b"1", tags=["tag"])
    await cache.set("two", b"2", tags=["tag"])
    await cache.get("one")
    await cache.set("three", b"3")
    assert [await cache.get(key) for key in ("one", "two", "three")] == [b"1", None, b"3"]
