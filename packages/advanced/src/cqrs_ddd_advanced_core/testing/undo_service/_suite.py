"""What is tested, and a shop whose commands can be undone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field

from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory
from cqrs_ddd_advanced_core.undo import Executed, IUndoExecutor, UndoExecutorRegistry, UndoService
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.inbox import IInbox
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.result import Result
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from cqrs_ddd_core.cqrs.handler import HandlerFunction


__all__ = [
    "AddItem",
    "AddLine",
    "Basket",
    "ChangePrice",
    "Complain",
    "EmptyBasket",
    "Refuse",
    "RemoveItem",
    "Shop",
    "UndoServiceSubject",
    "UndoServiceSuite",
]


class Basket(AggregateRoot[str]):
    items: dict[str, Decimal] = Field(default_factory=dict)
    complaints: list[str] = Field(default_factory=list)


class AddItem(Command[None]):
    basket_id: str
    item: str
    price: Decimal = Decimal("1.10")


class AddLine(Command[str]):
    """Names the item after the command, so that a repeat of the command has another name."""

    basket_id: str


class RemoveItem(Command[None]):
    basket_id: str
    item: str


class ChangePrice(Command[None]):
    basket_id: str
    item: str
    price: Decimal


class EmptyBasket(Command[None]):
    basket_id: str


class Complain(Command[None]):
    basket_id: str
    text: str


class Refuse(Command[Any]):
    """Its handler saves a basket, and then returns a failed result."""

    basket_id: str


@dataclass(frozen=True)
class UndoServiceSubject:
    """An empty history, and the units of work, inbox and baskets of its database."""

    history: IUndoHistory
    unit_of_work: UnitOfWorkFactory
    inbox: IInbox
    baskets: IRepository[Basket]


class Shop:
    """A service with handlers and executors; ``handled`` has the ids of all handled commands."""

    def __init__(self, subject: UndoServiceSubject, **options: Any) -> None:
        self.baskets: IRepository[Basket] = subject.baskets
        self.unit_of_work: UnitOfWorkFactory = subject.unit_of_work
        self.history: IUndoHistory = subject.history
        self.handlers: HandlerRegistry = HandlerRegistry()
        self.handled: list[UUID] = []
        self.mediator: Mediator = Mediator(
            self.handlers, subject.unit_of_work, middlewares=options.pop("middlewares", ())
        )
        self.executors: UndoExecutorRegistry = UndoExecutorRegistry()
        self.service: UndoService = UndoService(
            self.mediator, subject.history, self.executors, **options
        )
        _register_handlers(self)
        _register_executors(self)

    async def items(self, basket_id: str) -> dict[str, Decimal]:
        """Return what is committed."""
        basket = await self.baskets.get_by_id(basket_id)
        return {} if basket is None else basket.items

    async def complaints(self, basket_id: str) -> list[str]:
        """Return what is committed."""
        basket = await self.baskets.get_by_id(basket_id)
        return [] if basket is None else basket.complaints


class UndoServiceSuite(Conformance):
    """The base of the parts."""

    @pytest.fixture
    def subject(self) -> UndoServiceSubject:
        raise NotImplementedError("yield an UndoServiceSubject with an empty database")

    @pytest.fixture
    def shop(self, subject: UndoServiceSubject) -> Shop:
        return Shop(subject)

    @pytest.fixture
    def basket_id(self) -> str:
        return str(new_id())


def _register_handlers(shop: Shop) -> None:
    for command_type, change in _CHANGES.items():
        shop.handlers.register_command_handler(command_type, _handler(shop, change))


def _handler(shop: Shop, change: Callable[[Basket, Any], Any]) -> HandlerFunction:
    async def handle(command: Any) -> Any:
        shop.handled.append(command.command_id)
        basket = await shop.baskets.get_by_id(command.basket_id) or Basket(id=command.basket_id)
        result = change(basket, command)
        await shop.baskets.save(basket)
        return result

    return handle


def _add_item(basket: Basket, command: AddItem) -> None:
    if command.item in basket.items:
        msg = f"there is a {command.item} in it already"
        raise InvariantViolationError(msg)
    basket.items[command.item] = command.price


def _add_line(basket: Basket, command: AddLine) -> str:
    basket.items[str(command.command_id)] = Decimal(1)
    return str(command.command_id)


def _remove_item(basket: Basket, command: RemoveItem) -> None:
    if command.item not in basket.items:
        msg = f"there is no {command.item} in it"
        raise InvariantViolationError(msg)
    del basket.items[command.item]


def _change_price(basket: Basket, command: ChangePrice) -> None:
    basket.items[command.item] = command.price


def _empty_basket(basket: Basket, _: EmptyBasket) -> None:
    basket.items.clear()


def _complain(basket: Basket, command: Complain) -> None:
    basket.complaints.append(command.text)


def _refuse(_: Basket, __: Refuse) -> Result[Any]:
    return Result.failure("no")


_CHANGES: dict[type[Command[Any]], Callable[[Basket, Any], Any]] = {
    AddItem: _add_item,
    AddLine: _add_line,
    RemoveItem: _remove_item,
    ChangePrice: _change_price,
    EmptyBasket: _empty_basket,
    Complain: _complain,
    Refuse: _refuse,
}


def _register_executors(shop: Shop) -> None:
    baskets, executors = shop.baskets, shop.executors

    @executors.undo(AddItem)
    def take_it_out(command: AddItem) -> RemoveItem:
        return RemoveItem(basket_id=command.basket_id, item=command.item)

    @executors.after(AddLine)
    def its_name(_: AddLine, result: str) -> str:
        return result

    @executors.undo(AddLine)
    async def take_the_line_out(command: AddLine, item: str) -> list[RemoveItem]:
        return [RemoveItem(basket_id=command.basket_id, item=item)]

    @executors.before(ChangePrice)
    async def former_price(command: ChangePrice) -> Decimal:
        return (await baskets.get(command.basket_id)).items[command.item]

    @executors.undo(ChangePrice)
    def price_back(command: ChangePrice, memento: Decimal) -> ChangePrice:
        return command.model_copy(update={"price": memento})

    @executors.undo(Refuse)
    def nothing(_: Refuse) -> None: ...

    executors.register(FillAgain(baskets))


class FillAgain(IUndoExecutor[EmptyBasket, dict[str, Decimal]]):
    """Does the work itself, in the unit of work it is called in."""

    def __init__(self, baskets: IRepository[Basket]) -> None:
        self._baskets = baskets

    async def before(self, command: EmptyBasket) -> dict[str, Decimal]:
        return (await self._baskets.get(command.basket_id)).items

    async def can_undo(self, executed: Executed[EmptyBasket, dict[str, Decimal]]) -> bool:
        return not (await self._baskets.get(executed.command.basket_id)).items

    async def undo(self, executed: Executed[EmptyBasket, dict[str, Decimal]]) -> None:
        basket = await self._baskets.get(executed.command.basket_id)
        basket.items = executed.memento
        await self._baskets.save(basket)
