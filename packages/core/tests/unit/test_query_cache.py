"""Answers from the cache: never another tenant's, never from before an invalidation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from pydantic import Field, SecretStr

from cqrs_ddd_core.adapters.memory.cache import InMemoryCache
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.query_cache import QueryCacheMiddleware, cache_for
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EntityNotFoundError,
    InfrastructureError,
    SerializationError,
)


@dataclass
class Price:
    product: str
    amount: Decimal
    history: list[Decimal] = field(default_factory=list)


class GetPrice(Query[Price]):
    product: str


class ListProducts(Query[list[str]]):
    pass


class SetPrice(Command[None]):
    product: str
    amount: Decimal


class PriceSet(DomainEvent):
    product: str


class PriceRaised(PriceSet):
    pass


class Shop:
    """Prices behind a cache; a gate can hold the answers back."""

    def __init__(self, cache: ICache | None = None) -> None:
        self.clock = FixedClock()
        self.cache = cache or InMemoryCache(clock=self.clock)
        self.registry = HandlerRegistry()
        self.answers = QueryCacheMiddleware(self.cache, self.registry)
        self.answers.configure(GetPrice, ttl=60, tags=lambda query: [f"product:{query.product}"])
        self.answers.configure(ListProducts, ttl=60, tags=["catalogue"])
        self.registry.register_query_handler(GetPrice, self.get_price)
        self.registry.register_query_handler(ListProducts, self.list_products)
        self.registry.register_command_handler(SetPrice, self.set_price)
        self.mediator = Mediator(self.registry, InMemoryUnitOfWork, middlewares=[self.answers])
        self.prices = {"pen": Decimal("1.50"), "ink": Decimal(4)}
        self.asked = 0
        self.read = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def get_price(self, query: GetPrice) -> Price:
        self.asked += 1
        if query.product not in self.prices:
            raise EntityNotFoundError("Product", query.product)
        price = Price(query.product, self.prices[query.product])
        self.read.set()
        if self.gate is not None:
            await self.gate.wait()
        return price

    async def list_products(self, query: ListProducts) -> list[str]:
        self.asked += 1
        return sorted(self.prices)

    async def set_price(self, command: SetPrice) -> CommandResponse[None]:
        raised = command.amount > self.prices.get(command.product, Decimal(0))
        self.prices[command.product] = command.amount
        event = PriceRaised if raised else PriceSet
        return CommandResponse(None, [event(product=command.product)])

    async def price(self, product: str = "pen") -> Decimal:
        return (await self.mediator.ask(GetPrice(product=product))).amount


async def test_a_second_answer_comes_from_the_cache_in_its_own_type() -> None:
    shop = Shop()
    first = await shop.mediator.query(GetPrice(product="pen"))
    query = GetPrice(product="pen")
    second = await shop.mediator.query(query)
    assert shop.asked == 1
    assert second.result == first.result
    assert type(second.result.amount) is Decimal
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.query_id == query.query_id


async def test_other_fields_are_another_question() -> None:
    shop = Shop()
    assert [await shop.price("pen"), await shop.price("ink")] == [Decimal("1.50"), Decimal(4)]
    assert shop.asked == 2


async def test_no_tenant_sees_the_answers_of_another() -> None:
    """C-13: the tenant is part of the key."""
    shop = Shop()
    with message_context(tenant_id="north"):
        assert await shop.price() == Decimal("1.50")
    shop.prices["pen"] = Decimal(9)
    with message_context(tenant_id="south"):
        assert await shop.price() == Decimal(9)
    with message_context(tenant_id="north"):
        assert await shop.price() == Decimal("1.50")


async def test_an_answer_is_forgotten_after_its_time() -> None:
    shop = Shop()
    await shop.price()
    shop.clock.advance(59)
    await shop.price()
    assert shop.asked == 1
    shop.clock.advance(2)
    await shop.price()
    assert shop.asked == 2


async def test_errors_are_not_kept() -> None:
    shop = Shop()
    for _ in range(2):
        with pytest.raises(EntityNotFoundError):
            await shop.price("map")
    assert shop.asked == 2


async def test_changing_an_answer_changes_no_other() -> None:
    shop = Shop()
    shop.gate = asyncio.Event()
    asking = [asyncio.create_task(shop.mediator.ask(GetPrice(product="pen"))) for _ in range(3)]
    await shop.read.wait()
    shop.gate.set()
    answers = [*(await asyncio.gather(*asking)), await shop.mediator.ask(GetPrice(product="pen"))]
    answers[0].history.append(Decimal(1))
    assert [len(answer.history) for answer in answers] == [1, 0, 0, 0]


async def test_answers_are_forgotten_by_query_by_type_and_by_tag() -> None:
    shop = Shop()
    for expected, forget in (
        ({"pen"}, shop.answers.invalidate(GetPrice(product="pen"))),
        ({"pen", "ink"}, shop.answers.invalidate(GetPrice)),
        ({"ink"}, shop.answers.invalidate(tags=["product:ink"])),
        (set(), shop.answers.invalidate(ListProducts, tags=["catalogue"])),
    ):
        for product in ("pen", "ink"):
            await shop.price(product)
        await forget
        responses = [await shop.mediator.query(GetPrice(product=name)) for name in ("pen", "ink")]
        assert {one.result.product for one in responses if not one.from_cache} == expected


async def test_clearing_forgets_everything() -> None:
    shop = Shop()
    await shop.price()
    await shop.answers.clear()
    await shop.price()
    assert shop.asked == 2


async def test_the_answer_after_a_command_shows_what_it_did() -> None:
    shop = Shop()
    shop.answers.invalidate_on(
        PriceSet, ListProducts, tags=lambda event: f"product:{event.product}"
    )
    await shop.price("pen")
    await shop.price("ink")
    await shop.mediator.ask(ListProducts())
    await shop.mediator.send(SetPrice(product="pen", amount=Decimal(2)))
    assert await shop.price("pen") == Decimal(2)
    await shop.price("ink")
    await shop.mediator.ask(ListProducts())
    assert shop.asked == 5


async def test_a_rolled_back_command_forgets_nothing() -> None:
    shop = Shop()
    shop.answers.invalidate_on(PriceSet, GetPrice)

    @shop.registry.event_handler(PriceSet)
    async def veto(event: PriceSet) -> None:
        msg = "veto"
        raise RuntimeError(msg)

    await shop.price()
    with pytest.raises(RuntimeError, match="veto"):
        await shop.mediator.send(SetPrice(product="pen", amount=Decimal(2)))
    assert await shop.price() == Decimal("1.50")
    assert shop.asked == 1


async def test_an_answer_begun_before_an_invalidation_is_not_served_after_it() -> None:
    """C-13: no stale re-fill."""
    shop = Shop()
    shop.answers.invalidate_on(PriceSet, GetPrice)
    shop.gate = asyncio.Event()
    slow = asyncio.create_task(shop.price())
    await shop.read.wait()
    await shop.mediator.send(SetPrice(product="pen", amount=Decimal(2)))
    shop.gate.set()
    assert await slow == Decimal("1.50")
    assert await shop.price() == Decimal(2)


async def test_a_question_asked_after_an_invalidation_does_not_share_an_older_run() -> None:
    """C-13: whoever has changed something sees it, whatever is under way."""
    shop = Shop()
    shop.answers.invalidate_on(PriceSet, GetPrice)
    shop.gate = asyncio.Event()
    slow = asyncio.create_task(shop.price())
    await shop.read.wait()
    await shop.mediator.send(SetPrice(product="pen", amount=Decimal(2)))
    after = asyncio.create_task(shop.price())
    shop.gate.set()
    assert [await slow, await after] == [Decimal("1.50"), Decimal(2)]


async def test_another_process_with_the_same_cache_cannot_refill_it_with_old_answers() -> None:
    """C-13: the fence is in the cache, not in the process."""
    cache = InMemoryCache()
    here, there = Shop(cache), Shop(cache)
    here.answers.invalidate_on(PriceSet, GetPrice)
    there.prices = here.prices
    there.gate = asyncio.Event()
    slow = asyncio.create_task(there.price())
    await there.read.wait()
    await here.mediator.send(SetPrice(product="pen", amount=Decimal(2)))
    there.gate.set()
    await slow
    assert await here.price() == Decimal(2)
    assert await there.price() == Decimal(2)


async def test_identical_questions_at_one_time_are_answered_by_one_run() -> None:
    shop = Shop()
    asked = [shop.price() for _ in range(10)] + [shop.price("ink")]
    assert await asyncio.gather(*asked) == [Decimal("1.50")] * 10 + [Decimal(4)]
    assert shop.asked == 2


async def test_a_cancelled_first_asker_does_not_fail_the_others() -> None:
    shop = Shop()
    shop.gate = asyncio.Event()
    first = asyncio.create_task(shop.price())
    await shop.read.wait()
    others = [asyncio.create_task(shop.price()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    shop.gate.set()
    assert await asyncio.gather(*others) == [Decimal("1.50")] * 3
    assert shop.asked == 1


async def test_when_all_askers_are_cancelled_the_run_is_too_and_the_next_begins_anew() -> None:
    shop = Shop()
    shop.gate = asyncio.Event()
    asking = asyncio.create_task(shop.price())
    await shop.read.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    shop.gate = None
    assert await shop.price() == Decimal("1.50")
    assert shop.asked == 2


async def test_an_error_reaches_all_who_share_the_run() -> None:
    shop = Shop()
    found = await asyncio.gather(*(shop.price("map") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [EntityNotFoundError] * 3
    assert shop.asked == 1


async def test_a_query_inside_a_unit_of_work_neither_reads_nor_fills_the_cache() -> None:
    shop = Shop()
    await shop.price()
    seen: list[Decimal] = []

    class Reprice(Command[None]):
        pass

    async def reprice(command: Reprice) -> None:
        shop.prices["pen"] = Decimal(7)
        seen.append(await shop.price())
        msg = "not after all"
        raise RuntimeError(msg)

    shop.registry.register_command_handler(Reprice, reprice)
    with pytest.raises(RuntimeError, match="not after all"):
        await shop.mediator.send(Reprice())
    assert seen == [Decimal(7)]
    assert await shop.price() == Decimal("1.50")


async def test_the_caller_can_say_how_long_one_answer_is_kept() -> None:
    shop = Shop()
    shop.answers.configure(GetPrice, ttl=None)
    await shop.price()
    await shop.price()
    assert shop.asked == 2
    for _ in range(2):
        with cache_for(5):
            await shop.price()
    assert shop.asked == 3
    await shop.price()
    assert shop.asked == 4


async def test_a_requested_time_is_not_for_the_queries_a_handler_asks() -> None:
    shop = Shop()
    shop.answers.configure(ListProducts, ttl=None)

    class CountProducts(Query[int]):
        pass

    async def count(query: CountProducts) -> int:
        return len(await shop.mediator.ask(ListProducts()))

    shop.registry.register_query_handler(CountProducts, count)
    with cache_for(60):
        assert await shop.mediator.ask(CountProducts()) == 2
    await shop.mediator.ask(ListProducts())
    assert shop.asked == 2


class Undeclared(Query):
    pass


class Account(AggregateRoot[str]):
    pass


class GetAccount(Query[Account | None]):
    pass


def test_answers_that_would_not_come_back_as_they_were_are_refused() -> None:
    """C-13: the version of an aggregate would be lost."""
    answers = Shop().answers
    with pytest.raises(ConfigurationError, match="Undeclared does not say what it returns"):
        answers.configure(Undeclared, ttl=60)
    with pytest.raises(ConfigurationError, match="GetAccount returns an entity"):
        answers.configure(GetAccount, ttl=60)
    with pytest.raises(ConfigurationError, match="positive number of seconds"):
        answers.configure(GetPrice, ttl=0)


async def test_an_answer_of_another_type_than_declared_is_refused() -> None:
    shop = Shop()

    class Find(Query[Price]):
        pass

    async def find(query: Find) -> None:
        return None

    shop.registry.register_query_handler(Find, find)
    shop.answers.configure(Find, ttl=60)
    with pytest.raises(SerializationError, match="the result of Find cannot be read"):
        await shop.mediator.ask(Find())


async def test_questions_whose_json_is_alike_are_not_mistaken_for_each_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()

    class Login(Query[str]):
        password: SecretStr
        hint: str = Field(default="", exclude=True)

    async def login(query: Login) -> str:
        return query.password.get_secret_value() + query.hint

    shop.registry.register_query_handler(Login, login)
    shop.answers.configure(Login, ttl=60)
    assert await shop.mediator.ask(Login(password=SecretStr("a"))) == "a"
    assert await shop.mediator.ask(Login(password=SecretStr("b"))) == "b"
    assert "Login is not cached" in caplog.text
    assert "password" not in caplog.text


async def test_what_another_release_has_cached_in_another_shape_is_answered_anew() -> None:
    class Spoilt(InMemoryCache):
        async def set(
            self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
        ) -> None:
            spoilt = b'{"old":1}' if key.startswith("answer") else value
            await super().set(key, spoilt, ttl=ttl, tags=tags)

    shop = Shop(Spoilt())
    assert [await shop.price(), await shop.price()] == [Decimal("1.50")] * 2


async def test_queries_are_answered_while_the_cache_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Down(InMemoryCache):
        async def get(self, key: str) -> bytes | None:
            msg = "no route to host"
            raise InfrastructureError(msg)

    shop = Shop(Down())
    with caplog.at_level(logging.WARNING):
        assert await shop.price() == Decimal("1.50")
    assert "cannot be read" in caplog.text


async def test_an_answer_is_given_although_it_cannot_be_cached() -> None:
    class Full(InMemoryCache):
        async def set(
            self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
        ) -> None:
            if key.startswith("answer"):
                msg = "out of memory"
                raise InfrastructureError(msg)
            await super().set(key, value, ttl=ttl, tags=tags)

    shop = Shop(Full())
    assert [await shop.price(), await shop.price()] == [Decimal("1.50")] * 2
    assert shop.asked == 2
