"""Registering handlers: by call, by decorator, and the mistakes that are caught at once."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.handler import CommandHandler, EventHandler, QueryHandler
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import HandlerNotFoundError, HandlerRegistrationError


class Greet(Command[str]):
    name: str


class WhoIsThere(Query[list[str]]):
    pass


class Greeted(DomainEvent):
    name: str


class GreetHandler(CommandHandler[Greet, str]):
    async def handle(self, command: Greet) -> str:
        return f"hello {command.name}"


async def greet(command: Greet) -> str:
    return command.name


def test_a_decorator_reads_the_message_type_from_the_annotations() -> None:
    registry = HandlerRegistry()

    @registry.command_handler
    async def handle_greet(command: Greet) -> str:
        return command.name

    @registry.query_handler
    class Doorman(QueryHandler[WhoIsThere, list[str]]):
        async def handle(self, query: WhoIsThere) -> list[str]:
            return []

    @registry.event_handler
    class Note(EventHandler[Greeted]):
        async def handle(self, event: Greeted) -> None:
            pass

    assert registry.get_command_handler(Greet) is handle_greet
    assert registry.get_query_handler(WhoIsThere) is Doorman
    assert [s.handler for s in registry.subscriptions] == [Note]


def test_a_decorator_may_name_the_message_type() -> None:
    registry = HandlerRegistry()

    @registry.command_handler(Greet)
    async def handle(command):  # type: ignore[no-untyped-def]
        return command.name

    assert registry.get_command_handler(Greet) is handle


def test_a_decorator_without_any_type_says_what_to_do() -> None:
    registry = HandlerRegistry()
    with pytest.raises(HandlerRegistrationError, match="annotate its parameter"):

        @registry.command_handler
        async def handle(command):  # type: ignore[no-untyped-def]
            return command


def test_a_second_handler_for_a_command_is_refused() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(Greet, GreetHandler)
    registry.register_command_handler(Greet, GreetHandler)
    with pytest.raises(HandlerRegistrationError, match="GreetHandler already"):
        registry.register_command_handler(Greet, greet)


def test_a_handler_that_is_not_async_is_refused() -> None:
    def handle(command: Greet) -> str:
        return command.name

    with pytest.raises(HandlerRegistrationError, match="async def"):
        HandlerRegistry().register_command_handler(Greet, handle)
    with pytest.raises(HandlerRegistrationError, match="no handler"):
        HandlerRegistry().register_command_handler(Greet, 42)


def test_a_type_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(HandlerRegistrationError, match="not a subclass of Command"):
        HandlerRegistry().register_command_handler(WhoIsThere, greet)  # type: ignore[arg-type]


def test_a_missing_handler_says_how_to_register_one() -> None:
    """C-16: a missing handler was a ValueError that told nothing."""
    with pytest.raises(HandlerNotFoundError, match="register_command_handler"):
        HandlerRegistry().get_command_handler(Greet)
    with pytest.raises(HandlerNotFoundError, match="register_query_handler"):
        HandlerRegistry().get_query_handler(WhoIsThere)


def test_an_event_handler_is_registered_once() -> None:
    registry = HandlerRegistry()

    async def note(event: Greeted) -> None:
        pass

    registry.register_event_handler(Greeted, note)
    registry.register_event_handler(Greeted, note)
    assert len(registry.subscriptions) == 1
