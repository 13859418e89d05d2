"""The in-memory cache keeps the promises of its port, and its bound."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.testing import CacheConformance, CacheSubject


class TestInMemoryCache(CacheConformance):
    @pytest.fixture
    def subject(self) -> CacheSubject:
        clock = FixedClock()

        async def pass_time(seconds: float) -> None:
            clock.advance(seconds)

        return CacheSubject(InMemoryCache(clock=clock), pass_time)


async def test_a_full_cache_forgets_the_value_used_longest_ago() -> None:
    """G11."""
    cache = InMemoryCache(max_entries=2)
    await cache.set("one", b"1", tags=["tag"])
    await cache.set("two", b"2", tags=["tag"])
    await cache.get("one")
    await cache.set("three", b"3")
    assert [await cache.get(key) for key in ("one", "two", "three")] == [b"1", None, b"3"]
