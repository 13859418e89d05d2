"""Processes that share a Redis: one computes, and none serves what was forgotten."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Final
from uuid import uuid4

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import LayeredCache, RedisCache
from cqrs_ddd_core.adapters.redis._link import Client
from cqrs_ddd_core.adapters.redis.cache import CachedValue
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.answer_cache import Answer, AnswerCache, answer_scope

# Answers each question on its input with a line on its output; what it computes takes a while.
PROGRAM: Final = """
import asyncio, json, sys
from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import LayeredCache, RedisCache
from cqrs_ddd_core.cqrs.answer_cache import AnswerCache, answer_scope

class Text:
    dump = staticmethod(str.encode)
    load = staticmethod(bytes.decode)

async def ask(answers, name, seconds):
    async def compute():
        print(json.dumps("computing"), flush=True)
        await asyncio.sleep(seconds)
        return name
    answer = await answers.get([answer_scope("scope")], compute, ttl=60, codec=Text())
    print(json.dumps([answer.result, answer.from_cache]), flush=True)

async def main():
    url, prefix, layered, patience = sys.argv[1:]
    async with RedisCache(url, prefix=prefix, timeout=5) as remote:
        async with LayeredCache(InMemoryCache(), remote, max_staleness=5) as local:
            while not local.is_local:
                await asyncio.sleep(0.001)
            cache = local if layered == "layered" else remote
            answers = AnswerCache(cache, patience=float(patience))
            loop = asyncio.get_running_loop()
            print(json.dumps("ready"), flush=True)
            tasks = set()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                tasks.add(asyncio.create_task(ask(answers, *json.loads(line))))
            await asyncio.gather(*tasks)

asyncio.run(main())
"""


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
async def remote(redis_url: str, prefix: str) -> AsyncIterator[RedisCache]:
    async with RedisCache(redis_url, prefix=prefix, timeout=5) as cache:
        yield cache
        await cache.clear()


@asynccontextmanager
async def other_process(
    url: str, prefix: str, kind: str, patience: float = 60
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, prefix, kind, str(patience), stdin=PIPE, stdout=PIPE
    )
    try:
        assert await told(process) == "ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told(process: Process) -> object:
    assert process.stdout is not None
    return json.loads(await process.stdout.readline())


def ask(process: Process, answer: str, seconds: float = 0.0) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps([answer, seconds]).encode() + b"\n")


class Text:
    def dump(self, answer: str, /) -> bytes:
        return answer.encode()

    def load(self, data: bytes, /) -> str:
        return data.decode()


async def here(answers: AnswerCache, answer: str) -> Answer[str]:
    async def compute() -> str:
        return answer

    return await answers.get([answer_scope("scope")], compute, ttl=60, codec=Text())


@pytest.mark.parametrize("kind", ["redis", "layered"])
async def test_one_process_computes_what_two_ask_for_at_once(
    redis_url: str, prefix: str, remote: RedisCache, kind: str
) -> None:
    async with other_process(redis_url, prefix, kind) as other:
        ask(other, "theirs", 0.1)
        assert await told(other) == "computing"
        answers = AnswerCache(remote, patience=60)
        assert await here(answers, "mine") == Answer("theirs", from_cache=True)
        assert await told(other) == ["theirs", False]


async def test_a_process_that_dies_while_it_computes_delays_others_by_their_patience(
    redis_url: str, prefix: str, remote: RedisCache
) -> None:
    async with other_process(redis_url, prefix, "redis", 0.2) as other:
        ask(other, "theirs", 600)
        assert await told(other) == "computing"
        other.kill()
        # It would wait for a minute, but the claim of the dead one ends before.
        async with asyncio.timeout(30):
            answer = await here(AnswerCache(remote, patience=60), "mine")
        assert answer == Answer("mine", from_cache=False)


@pytest.mark.parametrize("kind", ["redis", "layered"])
async def test_what_was_begun_before_a_change_is_not_served_after_it(
    redis_url: str, prefix: str, remote: RedisCache, kind: str
) -> None:
    """C-13: the process that computes hears of the change while it does."""
    async with other_process(redis_url, prefix, kind) as other:
        ask(other, "old", 0.2)
        assert await told(other) == "computing"
        answers = AnswerCache(remote)
        await answers.forget([answer_scope("scope")])
        assert await here(answers, "new") == Answer("new", from_cache=False)
        assert await told(other) == ["old", False]
        assert await here(answers, "newer") == Answer("new", from_cache=True)
        ask(other, "newer")
        assert await told(other) == ["new", True]


async def test_a_tenant_gets_no_answer_of_another(remote: RedisCache) -> None:
    """F56."""
    answers = AnswerCache(remote)
    for tenant in ("north", "south", ""):
        with message_context(tenant_id=tenant):
            assert await here(answers, tenant) == Answer(tenant, from_cache=False)
    with message_context(tenant_id="north"):
        await answers.forget([answer_scope("scope")])
        assert not (await here(answers, "north")).from_cache
    with message_context(tenant_id="south"):
        assert await here(answers, "new") == Answer("south", from_cache=True)


class Counting(RedisCache):
    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(url, prefix=prefix, timeout=5)
        self.fetched: list[str] = []

    async def fetch(self, keys: Collection[str]) -> Mapping[str, CachedValue]:
        self.fetched += keys
        return await super().fetch(keys)


@pytest.fixture
async def counting(redis_url: str, prefix: str) -> AsyncIterator[Counting]:
    async with Counting(redis_url, prefix) as cache:
        yield cache


@asynccontextmanager
async def layered(remote: RedisCache) -> AsyncIterator[LayeredCache]:
    async with LayeredCache(InMemoryCache(), remote, max_staleness=5) as cache:
        while not cache.is_local:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        yield cache


async def until(cache: LayeredCache, key: str, value: bytes | None) -> None:
    async with asyncio.timeout(20):
        while await cache.get(key) != value:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


async def test_what_is_known_is_not_asked_for_again(remote: RedisCache, counting: Counting) -> None:
    await remote.set("key", b"1", ttl=60)
    async with layered(counting) as cache:
        assert [await cache.get("key") for _ in range(10)] == [b"1"] * 10
        assert await cache.get_or_set({"key": b"2"}) == {"key": b"1"}
        assert counting.fetched == ["key"]


async def test_changes_made_by_others_are_told(remote: RedisCache, counting: Counting) -> None:
    await remote.set("set", b"1")
    await remote.set("tagged", b"1", tags=["tag"])
    await remote.set("short", b"1", ttl=1)
    await remote.set("deleted", b"1")
    async with layered(counting) as cache:
        for key in ("set", "tagged", "short", "deleted"):
            assert await cache.get(key) == b"1"
        await remote.set("set", b"2")
        await remote.delete_tags(["tag"])
        await remote.delete("deleted")
        await until(cache, "set", b"2")
        for key in ("tagged", "short", "deleted"):
            await until(cache, key, None)
        await remote.clear()
        await until(cache, "set", None)


async def test_what_was_read_before_a_change_is_not_kept_behind_it(
    remote: RedisCache, redis_url: str, prefix: str
) -> None:
    class Slow(Counting):
        async def fetch(self, keys: Collection[str]) -> Mapping[str, CachedValue]:
            found = await super().fetch(keys)
            read.set()
            await gate.wait()
            return found

    read, gate = asyncio.Event(), asyncio.Event()
    await remote.set("key", b"old")
    async with Slow(redis_url, prefix) as slow, layered(slow) as cache:
        reading = asyncio.create_task(cache.get("key"))
        await read.wait()
        await cache.set("key", b"new")
        gate.set()
        assert await reading == b"old"
        assert await cache.get("key") == b"new"


async def test_a_value_in_memory_ends_when_the_shared_one_does(
    remote: RedisCache, counting: Counting
) -> None:
    await remote.set("key", b"1", ttl=60)
    found = (await counting.fetch(["key", "unknown"]))["key"]
    assert found.ttl is not None
    assert 0 < found.ttl <= 60
    assert "unknown" not in await counting.fetch(["unknown"])


async def test_only_keys_of_the_own_prefix_are_cleared(redis_url: str, prefix: str) -> None:
    async with (
        RedisCache(redis_url, prefix=prefix) as mine,
        RedisCache(redis_url, prefix=f"{prefix}-2") as other,
    ):
        for number in range(3000):
            await mine.set(f"{number}", b"1", ttl=60)
        await other.set("key", b"2", ttl=60)
        await mine.clear()
        assert await mine.get("2999") is None
        assert await mine.get("0") is None
        assert await other.get("key") == b"2"
        await other.clear()


async def _set(name: bytes, data: bytes, client: Client) -> None:
    await client.set(name, data)


async def test_what_somebody_else_wrote_under_the_prefix_is_a_miss(
    remote: RedisCache, counting: Counting
) -> None:
    spoilt = [b"", b"\2new", b"\1", b"\1\0\0\0\2[]x", b"\1\0\0\0\2{}x", b"\1\0\0\0\1{x"]
    async with layered(counting) as cache:
        for number, data in enumerate(spoilt):
            name = remote.keys.value(str(number))
            await remote.link.run(partial(_set, name, data))
        await remote.link.run(partial(_set, remote.keys.value("") + b"\xff", b"odd"))
        found = [await cache.get(str(number)) for number in range(len(spoilt))]
        assert found == [None, None, None, None, b"x", None]
        assert await cache.get_or_set({"0": b"1", "3": b"1"}) == {"0": b"1", "3": b"1"}
        assert cache.is_local


class Number:
    def dump(self, answer: int, /) -> bytes:
        return str(answer).encode()

    def load(self, data: bytes, /) -> int:
        return int(data)


class World:
    """A number that grows, and what everybody was told of it already."""

    def __init__(self) -> None:
        self.truth = 0
        self.told = 0
        self.random = Random(7)  # noqa: S311 - any sequence will do

    async def pause(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0, 0.001, 0.003]))

    async def change(self, answers: AnswerCache) -> int:
        self.truth += 1
        truth = self.truth
        await self.pause()
        await answers.forget([answer_scope("number")])
        self.told = max(self.told, truth)
        return truth

    async def ask(self, answers: AnswerCache) -> int:
        async def compute() -> int:
            truth = self.truth
            await self.pause()
            return truth

        scopes = [answer_scope("number"), answer_scope("other")]
        return (await answers.get(scopes, compute, ttl=60, codec=Number())).result


async def test_nobody_ever_gets_an_answer_from_before_a_change_that_was_told(
    redis_url: str, prefix: str, remote: RedisCache
) -> None:
    """C-13, in every order in which things can happen: asked, computed, changed and forgotten."""
    world = World()

    async def ask_on(answers: AnswerCache) -> None:
        for _ in range(150):
            told = world.told
            assert await world.ask(answers) >= told
            await world.pause()

    async def change_on(answers: AnswerCache) -> None:
        for _ in range(60):
            await world.change(answers)
            await world.pause()

    async with RedisCache(redis_url, prefix=prefix, timeout=5) as other:
        here, there = AnswerCache(remote), AnswerCache(other)
        work = [ask_on(here), ask_on(here), ask_on(there), ask_on(there)]
        await asyncio.gather(*work, change_on(here), change_on(there))
        assert [await world.ask(here), await world.ask(there)] == [120, 120]


async def test_with_memory_in_front_a_process_sees_its_own_changes_at_once(
    redis_url: str, prefix: str, remote: RedisCache
) -> None:
    world = World()

    async def work_on(answers: AnswerCache) -> None:
        for _ in range(80):
            changed = await world.change(answers)
            assert await world.ask(answers) >= changed
            await world.pause()

    async with (
        RedisCache(redis_url, prefix=prefix, timeout=5) as other,
        layered(remote) as near,
        layered(other) as far,
    ):
        here, there = AnswerCache(near), AnswerCache(far)
        await asyncio.gather(work_on(here), work_on(here), work_on(there))
        async with asyncio.timeout(20):
            while [await world.ask(here), await world.ask(there)] != [240, 240]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
