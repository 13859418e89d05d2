"""The snippet of the requirements on resilient handlers runs as it is written there."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from pydantic import Field

from cqrs_ddd_core.adapters.memory import InMemoryRepository, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot

SNIPPET = """
from cqrs_ddd_advanced_core.cqrs import ResilientCommandHandler
from cqrs_ddd_advanced_core.conflict import DeepMergeStrategy

class UpdateOrderHandler(ResilientCommandHandler[UpdateOrder]):
    # Retry configuration
    max_retries = 3
    retry_delay = 1.0
    exponential_backoff = True
    
    # Conflict resolution
    conflict_strategy = DeepMergeStrategy(list_identity_key="id")
    
    async def _handle_internal(self, command: UpdateOrder):
        order = await self.repo.get(command.order_id)
        order.update(command.changes)
        await self.repo.save(order)
    
    def resolve_conflict(self, existing: Order, incoming: dict) -> Order:
        merged = self.conflict_strategy.merge(
            existing.model_dump(),
            incoming,
        )
        return Order(**merged)
"""  # noqa: W293 - as it is written there


class UpdateOrder(Command[None]):
    order_id: str
    changes: dict[str, Any]


class Order(AggregateRoot[str]):
    status: str = "new"
    total: Decimal = Decimal(0)
    items: list[dict[str, Any]] = Field(default_factory=list)

    def update(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            setattr(self, name, value)


def handler_class() -> Any:
    names: dict[str, Any] = {"UpdateOrder": UpdateOrder, "Order": Order}
    exec(SNIPPET, names)  # noqa: S102 - the example of the requirements
    return names["UpdateOrderHandler"]


def with_repo_as_attribute(repo: InMemoryRepository[Order]) -> Any:
    handler = handler_class()()
    handler.repo = repo
    return handler


def with_constructor_of_its_own(repo: InMemoryRepository[Order]) -> Any:
    class Constructed(handler_class()):  # type: ignore[misc]
        def __init__(self, orders: InMemoryRepository[Order]) -> None:
            self.repo = orders

    return Constructed(repo)


@pytest.mark.parametrize(
    "make",
    [handler_class(), with_repo_as_attribute, with_constructor_of_its_own],
    ids=["given", "attribute", "constructor"],
)
async def test_both_writers_changes_are_kept(make: Any) -> None:
    orders = InMemoryRepository(Order)
    await orders.save(Order(id="o", items=[{"id": 1, "qty": 1}, {"id": 2, "qty": 1}]))
    registry = HandlerRegistry()
    registry.command_handler(make(orders))
    mediator = Mediator(registry, InMemoryUnitOfWork)
    await asyncio.gather(
        mediator.send(UpdateOrder(order_id="o", changes={"status": "paid"})),
        mediator.send(UpdateOrder(order_id="o", changes={"items": [{"id": 2, "qty": 5}]})),
        mediator.send(UpdateOrder(order_id="o", changes={"total": Decimal("9.90")})),
    )
    order = await orders.get("o")
    assert (order.status, order.total, order.version) == ("paid", Decimal("9.90"), 4)
    # Whichever lost was merged by id; a first one replaced the items, as update() says.
    assert {"id": 2, "qty": 5} in order.items
