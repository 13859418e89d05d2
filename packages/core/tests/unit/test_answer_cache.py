"""Answers are computed by one who asks, in whatever process, and never outlive a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cqrs_ddd_core.adapters.memory.cache import InMemoryCache
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.answer_cache import Answer, AnswerCache, answer_scope
from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    InfrastructureError,
    SerializationError,
)


class Text:
    def dump(self, answer: str, /) -> bytes:
        return answer.encode()

    def load(self, data: bytes, /) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise SerializationError("another shape") from error


class Process:
    """One process of several that share a cache; what it computes waits for the gate."""

    def __init__(self, cache: ICache, *, patience: float = 60, truth: str = "answer") -> None:
        self.answers = AnswerCache(cache, patience=patience)
        self.truth = truth
        self.computed = 0
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def compute(self) -> str:
        self.computed += 1
        truth = self.truth
        self.began.set()
        await self.gate.wait()
        return truth

    async def ask(self, *scopes: str, accept: Callable[[str], bool] | None = None) -> Answer[str]:
        wanted = [answer_scope(scope) for scope in scopes or ("scope",)]
        return await self.answers.get(wanted, self.compute, ttl=60, codec=Text(), accept=accept)

    async def forget(self, scope: str = "scope") -> None:
        await self.answers.forget([answer_scope(scope)])


async def test_of_two_processes_that_ask_at_once_one_computes() -> None:
    cache = InMemoryCache()
    here, there = Process(cache), Process(cache)
    here.gate.clear()
    asking = [asyncio.create_task(process.ask()) for process in (here, there, there, here)]
    await here.began.wait()
    await asyncio.sleep(0.02)
    here.gate.set()
    answers = await asyncio.gather(*asking)
    assert [answer.result for answer in answers] == ["answer"] * 4
    assert [answer.from_cache for answer in answers] == [False, True, True, False]
    assert (here.computed, there.computed) == (1, 0)


async def test_others_compute_themselves_when_one_takes_too_long() -> None:
    cache = InMemoryCache()
    slow, other = Process(cache), Process(cache, patience=0.02)
    slow.gate.clear()
    asking = asyncio.create_task(slow.ask())
    await slow.began.wait()
    assert await other.ask() == Answer("answer", from_cache=False)
    slow.gate.set()
    await asking
    assert (slow.computed, other.computed) == (1, 1)


async def test_who_fails_lets_the_next_one_try_at_once() -> None:
    cache = InMemoryCache()
    broken, other = Process(cache), Process(cache)

    async def fail() -> str:
        broken.began.set()
        await broken.gate.wait()
        raise InfrastructureError("no database")

    broken.gate.clear()
    failing = asyncio.create_task(
        broken.answers.get([answer_scope("scope")], fail, ttl=60, codec=Text())
    )
    await broken.began.wait()
    asking = asyncio.create_task(other.ask())
    await asyncio.sleep(0.01)
    broken.gate.set()
    with pytest.raises(InfrastructureError, match="no database"):
        await failing
    assert await asking == Answer("answer", from_cache=False)


async def test_who_is_cancelled_lets_the_next_one_try_at_once() -> None:
    cache = InMemoryCache()
    here, there = Process(cache), Process(cache)
    here.gate.clear()
    asking = asyncio.create_task(here.ask())
    await here.began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await there.ask() == Answer("answer", from_cache=False)


async def test_a_question_after_a_change_waits_for_no_older_computation() -> None:
    """C-13, in another process than the one that computes."""
    cache = InMemoryCache()
    here, there = Process(cache), Process(cache)
    here.gate.clear()
    old = asyncio.create_task(here.ask())
    await here.began.wait()
    there.truth = "new"
    await there.forget()
    assert (await there.ask()).result == "new"
    here.gate.set()
    assert (await old).result == "answer"
    assert [(await process.ask()).result for process in (here, there)] == ["new", "new"]


async def test_an_answer_goes_with_any_of_its_scopes() -> None:
    process = Process(InMemoryCache())
    for scope in ("one", "two"):
        assert not (await process.ask("one", "two")).from_cache
        assert (await process.ask("one", "two")).from_cache
        await process.forget("three")
        assert (await process.ask("one", "two")).from_cache
        await process.forget(scope)


async def test_the_same_scopes_in_another_order_are_another_question() -> None:
    process = Process(InMemoryCache())
    await process.ask("one", "two")
    process.truth = "other"
    assert (await process.ask("two", "one")).result == "other"
    assert (await process.ask("one", "two")).result == "answer"


async def test_scopes_of_two_tenants_are_two_scopes() -> None:
    """F56: also when a tenant is named to look like another with a scope."""
    with message_context(tenant_id="a"):
        mine = answer_scope("b", "c")
    with message_context(tenant_id='a","b'):
        assert answer_scope("c") != mine
    with message_context(tenant_id="b"):
        assert answer_scope("b", "c") != mine
        assert answer_scope("b", "c", tenant_id="a") == mine


async def test_a_kept_answer_that_will_not_do_is_computed_and_replaced() -> None:
    process = Process(InMemoryCache(), truth="1")
    await process.ask()
    process.truth = "2"
    assert (await process.ask(accept=lambda text: int(text) >= 1)).result == "1"
    assert (await process.ask(accept=lambda text: int(text) >= 2)).result == "2"
    assert await process.ask() == Answer("2", from_cache=True)


async def test_an_answer_under_way_that_will_not_do_is_not_shared() -> None:
    process = Process(InMemoryCache(), truth="1")
    process.gate.clear()
    first = asyncio.create_task(process.ask())
    await process.began.wait()
    process.truth = "2"
    second = asyncio.create_task(process.ask(accept=lambda text: int(text) >= 2))
    await asyncio.sleep(0)
    process.gate.set()
    assert [(await first).result, (await second).result] == ["1", "2"]


async def test_what_cannot_be_read_is_computed_anew() -> None:
    class Spoilt(InMemoryCache):
        async def get(self, key: str) -> bytes | None:
            return b"\xff" if await super().get(key) else None

    process = Process(Spoilt())
    assert [(await process.ask()).result for _ in range(2)] == ["answer"] * 2
    assert process.computed == 2


def test_patience_is_positive() -> None:
    with pytest.raises(ConfigurationError, match="patience"):
        AnswerCache(InMemoryCache(), patience=0)
