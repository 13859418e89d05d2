"""Buses: what a request handler talks to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.locking import InMemoryLockStrategy
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.bus import CommandBus, CQRSHandler, QueryBus
from cqrs_ddd_core.configuration import CQRSConfiguration, create_cqrs_infrastructure
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.handler import CommandHandler
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.ports.locking import ResourceIdentifier
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConfigurationError,
    HandlerTimeoutError,
    UnknownMessageTypeError,
    ValidationError,
)


class CreateUser(Command[UUID]):
    name: str
    email: str = "a@b.c"

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        return (ResourceIdentifier("User", self.name),)


class GetUser(Query[str | None]):
    user_id: UUID


class Users:
    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.asked = 0
        self.trouble: list[Exception] = []

    async def create(self, command: CreateUser) -> CommandResponse[UUID]:
        get_current_uow()
        if self.trouble:
            raise self.trouble.pop(0)
        user_id = uuid4()
        self.names[user_id] = command.name
        return CommandResponse(user_id)

    async def get(self, query: GetUser) -> QueryResponse[str | None]:
        self.asked += 1
        return QueryResponse(self.names.get(query.user_id))


def build(
    users: Users, configuration: CQRSConfiguration | None = None, **options: Any
) -> tuple[CommandBus, QueryBus]:
    command_bus, query_bus = create_cqrs_infrastructure(configuration, **options)
    command_bus.register_handler(CreateUser, users.create)
    query_bus.register_handler(GetUser, users.get)
    return command_bus, query_bus


async def test_buses_send_ask_and_know_what_they_did() -> None:
    users = Users()
    command_bus, query_bus = build(users)
    command = CreateUser(name="Ada")
    response = await command_bus.send(command)
    assert await query_bus.ask(GetUser(user_id=response.result)) == "Ada"
    answer = await query_bus.query(GetUser(user_id=uuid4()))
    assert answer.result is None
    assert answer.execution_time_ms > 0
    assert {name: one.count for name, one in command_bus.get_metrics().items()} == {"CreateUser": 1}
    assert {name: one.count for name, one in query_bus.get_metrics().items()} == {"GetUser": 2}
    assert [entry.command for entry in command_bus.get_history()] == [command]
    command_bus.clear_history()
    assert command_bus.get_history() == []


async def test_answers_are_cached_for_as_long_as_the_caller_says() -> None:
    users = Users()
    command_bus, query_bus = build(users)
    user_id = (await command_bus.send(CreateUser(name="Ada"))).result
    query = GetUser(user_id=user_id)
    for _ in range(2):
        await query_bus.ask(query, cache_ttl=60)
    assert users.asked == 1
    await query_bus.invalidate_cache(GetUser)
    await query_bus.ask(query, cache_ttl=60)
    await query_bus.clear_all_caches()
    await query_bus.ask(query, cache_ttl=60)
    assert users.asked == 3


async def test_a_query_type_can_be_cached_when_its_handler_is_registered() -> None:
    users = Users()
    _, query_bus = create_cqrs_infrastructure()
    query_bus.register_handler(GetUser, users.get, cache_ttl=60)
    for _ in range(2):
        await query_bus.ask(GetUser(user_id=UUID(int=1)))
    assert users.asked == 1


async def test_messages_run_by_name_and_plain_parameters() -> None:
    users = Users()
    cqrs = CQRSHandler(*create_cqrs_infrastructure())
    cqrs.register_command("createUser", CreateUser, users.create)
    cqrs.register_query("getUser", GetUser, users.get)
    user_id = await cqrs.command("createUser", {"name": "Ada"})
    for _ in range(2):
        assert await cqrs.query("getUser", {"user_id": str(user_id)}, 5) == "Ada"
    assert users.asked == 1
    with pytest.raises(ValidationError) as caught:
        await cqrs.command("createUser", {"email": "x", "admin": True})
    assert caught.value.errors == {
        "name": ["Field required"],
        "admin": ["Extra inputs are not permitted"],
    }
    with pytest.raises(UnknownMessageTypeError):
        await cqrs.command("dropTables", {})
    with pytest.raises(UnknownMessageTypeError):
        await cqrs.query("createUser", {})


def test_what_the_mediator_was_built_without_is_said() -> None:
    mediator = Mediator(HandlerRegistry(), InMemoryUnitOfWork)
    with pytest.raises(ConfigurationError, match="no MetricsMiddleware"):
        CommandBus(mediator).get_metrics()
    with pytest.raises(ConfigurationError, match="no CommandHistory"):
        CommandBus(mediator).get_history()
    with pytest.raises(ConfigurationError, match="no QueryCacheMiddleware"):
        QueryBus(mediator).register_handler(GetUser, Users().get, cache_ttl=1)


async def test_a_model_built_without_validation_is_refused() -> None:
    command_bus, _ = build(Users())
    broken: dict[str, Any] = {"name": 7}
    with pytest.raises(ValidationError, match="name"):
        await command_bus.send(CreateUser.model_construct(**broken))


async def test_slow_messages_are_cancelled_each_after_its_own_time() -> None:
    configuration = CQRSConfiguration(command_timeout_seconds=0.01, query_timeout_seconds=0.02)
    command_bus, query_bus = create_cqrs_infrastructure(configuration)

    async def hang(message: Any) -> None:
        await asyncio.Event().wait()

    command_bus.register_handler(CreateUser, hang)
    query_bus.register_handler(GetUser, hang)
    with pytest.raises(HandlerTimeoutError, match=r"0\.01"):
        await command_bus.send(CreateUser(name="Ada"))
    with pytest.raises(HandlerTimeoutError, match=r"0\.02"):
        await query_bus.ask(GetUser(user_id=uuid4()))


async def test_a_lost_race_is_tried_again_as_often_as_configured() -> None:
    users = Users()
    command_bus, _ = build(users, CQRSConfiguration(max_retry_attempts=1))
    users.trouble = [ConcurrencyError("lost")]
    assert (await command_bus.send(CreateUser(name="Ada"))).success
    users.trouble = [ConcurrencyError("lost"), ConcurrencyError("lost again")]
    with pytest.raises(ConcurrencyError, match="lost again"):
        await command_bus.send(CreateUser(name="Ada"))


class BrittleUnitOfWork(InMemoryUnitOfWork):
    losses = 1

    async def _commit(self) -> None:
        await super()._commit()
        if BrittleUnitOfWork.losses:
            BrittleUnitOfWork.losses -= 1
            msg = "connection lost"
            raise CommitOutcomeUnknownError(msg)


async def test_with_an_inbox_a_command_whose_commit_reply_was_lost_has_one_effect() -> None:
    users, database = Users(), InMemoryDatabase()
    command_bus, _ = build(
        users,
        uow_factory=lambda: BrittleUnitOfWork(database),
        inbox=InMemoryInbox(database),
        lock_strategy=InMemoryLockStrategy(),
    )
    response = await command_bus.send(CreateUser(name="Ada"))
    assert response.replayed
    assert users.names == {response.result: "Ada"}


async def test_batching_puts_concurrent_commands_into_one_unit_of_work() -> None:
    users = Users()
    units: list[UnitOfWork] = []

    def open_unit() -> UnitOfWork:
        units.append(InMemoryUnitOfWork())
        return units[-1]

    configuration = CQRSConfiguration(
        enable_command_batching=True, batch_size=10, batch_timeout_ms=1
    )
    command_bus, _ = build(users, configuration, uow_factory=open_unit)
    commands = [CreateUser(name=f"user {number}") for number in range(10)]
    responses = await asyncio.gather(*map(command_bus.send, commands))
    await command_bus.close()
    assert {response.result for response in responses} == set(users.names)
    assert len(units) == 1


async def test_hooks_tracing_and_a_container_take_part() -> None:
    hooks, told = HookRegistry(), list[str]()

    async def note(operation: str, details: Mapping[str, Any], /) -> None:
        told.append(operation)

    hooks.register(note, operations="command:*")

    class Greet(Command[str]):
        pass

    class GreetHandler(CommandHandler[Greet, str]):
        def __init__(self, greeting: str) -> None:
            self.greeting = greeting

        async def handle(self, command: Greet) -> str:
            assert get_context().traceparent is not None
            return self.greeting

    command_bus, _ = create_cqrs_infrastructure(
        CQRSConfiguration(), lambda handler_class: handler_class("hello"), hooks=hooks
    )
    command_bus.register_handler(Greet, GreetHandler)
    assert (await command_bus.send(Greet())).result == "hello"
    assert told == ["command:executing", "command:executed"]


async def test_everything_optional_can_be_switched_off() -> None:
    users = Users()
    configuration = CQRSConfiguration(
        enable_command_validation=False,
        enable_query_caching=False,
        enable_distributed_tracing=False,
        max_retry_attempts=0,
    )
    command_bus, query_bus = build(users, configuration)
    users.trouble = [ConcurrencyError("lost")]
    with pytest.raises(ConcurrencyError):
        await command_bus.send(CreateUser(name="Ada"))
    with pytest.raises(ConfigurationError, match="no QueryCacheMiddleware"):
        await query_bus.clear_all_caches()


def test_the_configuration_has_the_documented_defaults() -> None:
    assert CQRSConfiguration() == CQRSConfiguration(
        enable_command_validation=True,
        enable_query_caching=True,
        command_timeout_seconds=30,
        query_timeout_seconds=10,
        max_retry_attempts=3,
        enable_distributed_tracing=True,
        enable_command_batching=False,
        batch_size=100,
        batch_timeout_ms=1000,
    )
    with pytest.raises(ConfigurationError, match="max_retry_attempts"):
        CQRSConfiguration(max_retry_attempts=-1)
