"""A Redis that is paused, killed or refuses: a miss, never an error, and nothing stale after it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio.connection import AbstractConnection

from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import (
    CacheUnavailableError,
    LayeredCache,
    RedisCache,
    _changes,
)
from cqrs_ddd_core.cqrs.answer_cache import AnswerCache, answer_scope
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError
from tools.services.redis import RedisServer


@pytest.fixture
def server(new_redis_server: Callable[[], RedisServer]) -> RedisServer:
    return new_redis_server()


@pytest.fixture
async def cache(server: RedisServer) -> AsyncIterator[RedisCache]:
    async with RedisCache(server.url, timeout=0.2, retry_after=0.05) as cache:
        yield cache


@pytest.fixture
async def owner(server: RedisServer) -> AsyncIterator[RedisCache]:
    """One that waits as long as it takes."""
    async with RedisCache(server.url, timeout=60) as cache:
        yield cache


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_an_outage_is_a_miss_and_is_told_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with RedisCache(server.url, timeout=60, retry_after=0.05) as cache:
        await cache.set("key", b"1", tags=["tag"])
        server.crash()
        for _ in range(3):
            assert await cache.get("key") is None
        await cache.set("key", b"2", ttl=60)
        await cache.delete_tags(["tag"])
        await cache.delete("key")
        await cache.delete_if("key", b"1")
        assert await cache.get_or_set({"key": b"3"}, ttl=60) == {}
        available = [cache.is_available]
        server.start()
        await eventually(lambda: _is_set(cache))
        assert [*available, cache.is_available] == [False, True]
    told = [record.message for record in caplog.records if record.name.startswith("cqrs_ddd_core")]
    assert [message.split(" is ")[1][:4] for message in told] == ["away", "back"]


async def _is_set(cache: RedisCache) -> bool:
    await cache.set("key", b"4", ttl=60)
    return await cache.get("key") == b"4"


async def test_while_the_server_is_away_nobody_waits_for_it() -> None:
    callers: list[asyncio.StreamWriter] = []
    listener = await asyncio.start_server(lambda _, writer: callers.append(writer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    url = f"redis://127.0.0.1:{port}"
    async with RedisCache(url, timeout=0.1, retry_after=60, max_connections=2) as cache:
        keys = [str(number) for number in range(1000)]
        assert await asyncio.gather(*map(cache.get, keys)) == [None] * 1000
        assert await cache.get("key") is None
    # One command for each connection waited in vain, and all others did not try.
    assert len(callers) == 2
    for writer in callers:
        writer.close()
    listener.close()


async def test_answers_are_not_mixed_up_after_a_pause(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    """A connection on which an answer is still to come is not used again."""
    keys = [str(number) for number in range(50)]
    await asyncio.gather(*(owner.set(key, key.encode()) for key in keys))
    server.pause()
    assert await asyncio.gather(*map(cache.get, keys)) == [None] * 50
    asking = [asyncio.create_task(cache.get(key)) for key in keys]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    await asyncio.wait(asking)
    server.resume()

    missing = set(keys)

    async def all_were_found() -> bool:
        for key in keys:
            value = await cache.get(key)
            assert value in (None, key.encode())
            missing.difference_update([key] if value else [])
        return not missing

    await eventually(all_were_found)


async def test_what_was_to_be_forgotten_is_forgotten_when_the_server_is_back(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    await owner.set("deleted", b"1")
    await owner.set("tagged", b"1", tags=["tag"])
    await owner.set("kept", b"1")
    server.pause()
    await cache.delete("deleted")
    await cache.delete_tags(["tag"])
    server.resume()

    async def is_forgotten() -> bool:
        return [await owner.get("deleted"), await owner.get("tagged")] == [None, None]

    await eventually(is_forgotten)
    assert await owner.get("kept") == b"1"


async def test_no_process_reads_what_it_has_forgotten_during_an_outage(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    await owner.set("key", b"old")
    server.pause()
    await cache.delete("key")
    server.resume()
    for _ in range(200):
        assert await cache.get("key") is None
        await asyncio.sleep(0.001)
    await eventually(lambda: _is_set(cache))


async def test_a_cancelled_deletion_is_made_up_for(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    await owner.set("key", b"1")
    server.pause()
    deleting = asyncio.create_task(cache.delete("key"))
    await asyncio.sleep(0.01)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    server.resume()

    async def is_forgotten() -> bool:
        assert await cache.get("key") is None
        return await owner.get("key") is None

    await eventually(is_forgotten)


async def test_clearing_says_when_it_cannot(server: RedisServer, cache: RedisCache) -> None:
    server.crash()
    with pytest.raises(CacheUnavailableError):
        await cache.clear()


async def test_a_server_without_room_is_still_read(owner: RedisCache) -> None:
    await owner.set("key", b"1")
    await owner.link.run(lambda client: client.config_set("maxmemory", "1"))
    await owner.set("other", b"2")
    assert await owner.get_or_set({"other": b"2"}) == {}
    assert [await owner.get("key"), await owner.get("other")] == [b"1", None]
    assert owner.is_available


async def test_answers_survive_an_outage_and_no_change_is_missed(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    """C-13, with the cache away while something changes."""
    answers, scope, truth = AnswerCache(cache), answer_scope("table"), ["old"]

    async def ask(answers: AnswerCache = answers) -> str:
        async def compute() -> str:
            return truth[0]

        return (await answers.get([scope], compute, ttl=60, codec=Text())).result

    assert await ask(AnswerCache(owner)) == "old"
    server.pause()
    truth[0] = "new"
    await answers.forget([scope])
    assert await ask() == "new"
    server.resume()
    for _ in range(100):
        assert await ask() == "new"
        await asyncio.sleep(0.001)


class Text:
    def dump(self, answer: str, /) -> bytes:
        return answer.encode()

    def load(self, data: bytes, /) -> str:
        return data.decode()


async def test_values_in_memory_are_dropped_while_the_server_cannot_be_heard(
    server: RedisServer, cache: RedisCache, owner: RedisCache
) -> None:
    async with LayeredCache(InMemoryCache(), cache, max_staleness=0.2) as layered:

        async def is_local() -> bool:
            return layered.is_local

        async def is_not_local() -> bool:
            return not layered.is_local

        await eventually(is_local)
        await owner.set("key", b"1")
        await eventually(lambda: _has(layered, b"1"))
        server.pause()
        await eventually(is_not_local)
        assert await layered.get("key") is None
        server.resume()
        await eventually(is_local)
        await eventually(lambda: _has(layered, b"1"))
        server.crash()
        await eventually(is_not_local)
        assert await layered.get("key") is None
        server.start()
        await eventually(is_local)
        assert await layered.get("key") is None


async def test_memory_is_not_used_where_the_server_cannot_tell_of_changes(
    cache: RedisCache,
    owner: RedisCache,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All is accepted, and nothing comes, as behind a proxy that keeps messages back."""
    command = _changes._command

    async def swallowed(connection: AbstractConnection, *words: object) -> object:
        return b"OK" if "TRACKING" in words else await command(connection, *words)

    monkeypatch.setattr(_changes, "_command", swallowed)
    async with LayeredCache(InMemoryCache(), cache, max_staleness=0.2) as layered:
        await eventually(lambda: _is_logged(caplog))
        assert not layered.is_local
        await owner.set("key", b"1")
        await eventually(lambda: _has(layered, b"1"))
        assert not layered.is_local


async def _is_logged(caplog: pytest.LogCaptureFixture) -> bool:
    return "no local values" in caplog.text


async def _has(cache: LayeredCache, value: bytes) -> bool:
    return await cache.get("key") == value


async def test_a_password_is_never_shown(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port
    url = f"redis://user:se%40cret@127.0.0.1:{port}/1"
    async with RedisCache(url, retry_after=0.05) as cache:
        assert repr(cache) == f"<RedisCache redis://127.0.0.1:{port}/1, keys cqrs-ddd:...>"
        assert await cache.get("key") is None
        with pytest.raises(CacheUnavailableError) as caught:
            await cache.clear()
    shown = f"{caplog.text} {caught.value} {caught.value.__cause__!r}"
    assert "away" in shown
    assert "se@cret" not in shown
    assert "se%40cret" not in shown


@pytest.mark.parametrize(
    "url", ["localhost", "http://:secret@host", "redis://:secret@host:port", "redis://", ""]
)
def test_a_malformed_address_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address of the cache") as caught:
        RedisCache(url)
    assert "secret" not in str(caught.value)


def test_senseless_settings_are_refused() -> None:
    for settings in ({"timeout": 0}, {"retry_after": 0}, {"max_connections": 0}, {"prefix": "a:b"}):
        with pytest.raises(ConfigurationError):
            RedisCache(**settings)
    with pytest.raises(ConfigurationError, match="max_staleness"):
        LayeredCache(InMemoryCache(), RedisCache(), max_staleness=0)


def test_without_the_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    room = "cqrs_ddd_core.adapters.redis"
    for name in [*sys.modules]:
        if name == "redis" or name.startswith(("redis.", room)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"cqrs-ddd-core\[redis\]"):
        __import__(room)
