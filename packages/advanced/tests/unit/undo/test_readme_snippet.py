"""The snippet of the requirements on undo and redo runs as it is written there."""

from __future__ import annotations

import ast
import inspect
from decimal import Decimal
from types import CodeType

from pydantic import Field

from cqrs_ddd_advanced_core.adapters.memory import InMemoryUndoHistory
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot

SNIPPET = """
from cqrs_ddd_advanced_core.undo import UndoService

# Execute command with undo support
undo_token = await undo_service.execute(
    AddItemToOrder(
        order_id="order_123",
        item="Widget",
        price=Decimal("50.00"),
    ),
)

# Undo command
await undo_service.undo(undo_token)

# Redo command
await undo_service.redo(undo_token)
"""


class Order(AggregateRoot[str]):
    items: dict[str, Decimal] = Field(default_factory=dict)


class AddItemToOrder(Command[None]):
    order_id: str
    item: str
    price: Decimal


class RemoveItemFromOrder(Command[None]):
    order_id: str
    item: str


async def test_the_snippet_runs_as_written() -> None:
    database, handlers, seen = InMemoryDatabase(), HandlerRegistry(), []
    orders, executors = InMemoryRepository(Order, database), UndoExecutorRegistry()

    @handlers.command_handler
    async def add_item(command: AddItemToOrder) -> None:
        order = await orders.get_by_id(command.order_id) or Order(id=command.order_id)
        order.items[command.item] = command.price
        await orders.save(order)
        seen.append(dict(order.items))

    @handlers.command_handler
    async def remove_item(command: RemoveItemFromOrder) -> None:
        order = await orders.get(command.order_id)
        del order.items[command.item]
        await orders.save(order)
        seen.append(dict(order.items))

    @executors.undo(AddItemToOrder)
    def take_it_out(command: AddItemToOrder) -> RemoveItemFromOrder:
        return RemoveItemFromOrder(order_id=command.order_id, item=command.item)

    mediator = Mediator(handlers, lambda: InMemoryUnitOfWork(database))
    service = UndoService(mediator, InMemoryUndoHistory(database), executors)
    names = {"undo_service": service, "AddItemToOrder": AddItemToOrder, "Decimal": Decimal}
    result = eval(_compiled(SNIPPET), names)  # noqa: S307 - the snippet above
    assert inspect.iscoroutine(result)
    await result
    widget = {"Widget": Decimal("50.00")}
    assert seen == [widget, {}, widget]
    assert (await orders.get("order_123")).items == widget


def _compiled(source: str) -> CodeType:
    code = compile(source, "readme", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    return code
