"""Messages that are refused before their handlers run."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field

from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.validation import (
    CompositeValidator,
    PydanticValidator,
    ValidationMiddleware,
)
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.ports.validation import IValidator, ValidationResult
from cqrs_ddd_core.primitives.exceptions import ValidationError


class Line(BaseModel):
    quantity: int = Field(gt=0)


class Order(Command):
    customer: str = Field(min_length=1)
    lines: list[Line]


class Withdraw(Command):
    allowed: bool

    async def can_execute(self) -> bool:
        assert get_current_uow() is not None
        return self.allowed


class Search(Query[int]):
    page: int

    def can_execute(self) -> ValidationResult:
        if self.page > 9:
            return ValidationResult({"page": ("at most 9",)})
        return ValidationResult()


class Says(IValidator):
    def __init__(self, field: str, *found: str) -> None:
        self._result = ValidationResult({field: found})

    async def validate(self, message: Any) -> ValidationResult:
        return self._result


def mediator(validator: IValidator | None = None) -> tuple[Mediator, list[Any]]:
    handled: list[Any] = []

    async def handle(command: Order) -> None:
        handled.append(command)

    async def withdraw(command: Withdraw) -> None:
        handled.append(command)

    async def search(query: Search) -> int:
        handled.append(query)
        return query.page

    registry = HandlerRegistry()
    registry.register_command_handler(Order, handle)
    registry.register_command_handler(Withdraw, withdraw)
    registry.register_query_handler(Search, search)
    middlewares = [ValidationMiddleware(validator)]
    return Mediator(registry, InMemoryUnitOfWork, middlewares=middlewares), handled


async def test_a_valid_message_reaches_its_handler() -> None:
    app, handled = mediator(PydanticValidator())
    await app.send(Order(customer="Ada", lines=[Line(quantity=1)]))
    await app.send(Withdraw(allowed=True))
    assert await app.ask(Search(page=9)) == 9
    assert len(handled) == 3


async def test_a_model_built_without_validation_is_validated_down_to_its_lines() -> None:
    app, handled = mediator(PydanticValidator())
    lines = [Line(quantity=1), Line.model_construct(quantity=0)]
    built = Order.model_construct(customer="", lines=lines)
    with pytest.raises(ValidationError) as caught:
        await app.send(built)
    assert set(caught.value.errors) == {"customer", "lines.1.quantity"}
    assert caught.value.errors["lines.1.quantity"] == ["Input should be greater than 0"]
    assert handled == []


async def test_a_command_that_says_it_cannot_be_executed_is_refused() -> None:
    app, handled = mediator()
    with pytest.raises(ValidationError, match="Withdraw cannot be executed now") as caught:
        await app.send(Withdraw(allowed=False))
    assert set(caught.value.errors) == {"__all__"}
    assert handled == []


async def test_a_query_can_say_what_is_wrong_with_it() -> None:
    app, handled = mediator()
    with pytest.raises(ValidationError) as caught:
        await app.ask(Search(page=10))
    assert caught.value.errors == {"page": ["at most 9"]}
    assert handled == []


async def test_all_validators_have_their_say() -> None:
    validator = CompositeValidator(
        [Says("customer", "unknown"), Says("customer", "blocked")],
        per_type={Command: [Says("__all__", "closed today")], Search: [Says("page", "never")]},
    )
    app, _ = mediator(validator)
    with pytest.raises(ValidationError) as caught:
        await app.send(Order(customer="Ada", lines=[]))
    assert caught.value.errors == {
        "customer": ["unknown", "blocked"],
        "__all__": ["closed today"],
    }


def test_without_a_validator_only_messages_with_a_check_of_their_own_are_looked_at() -> None:
    middleware = ValidationMiddleware()
    assert middleware.applies_to(Withdraw)
    assert not middleware.applies_to(Order)
