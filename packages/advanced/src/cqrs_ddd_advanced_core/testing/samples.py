"""An event-sourced aggregate, its commands and their handlers: what the suites store and load."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Self

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.domain import AggregateRoot, DomainEvent
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry

__all__ = [
    "AccountOpened",
    "Deposit",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "OpenAccount",
    "SampleAccount",
    "Withdraw",
    "register_account_handlers",
]


class AccountOpened(DomainEvent):
    owner: str


class MoneyDeposited(DomainEvent):
    amount: Decimal


class MoneyWithdrawn(DomainEvent):
    amount: Decimal


class SampleAccount(EventSourcedAggregateMixin, AggregateRoot[str]):
    owner: str
    balance: Decimal = Decimal(0)

    @classmethod
    def open(cls, account_id: str, owner: str = "Ada") -> Self:
        account = cls.blank(account_id)
        account.raise_event(AccountOpened(owner=owner))
        return account

    def deposit(self, amount: int | str | Decimal) -> None:
        self.raise_event(MoneyDeposited(amount=Decimal(amount)))

    def withdraw(self, amount: int | str | Decimal) -> None:
        if self.balance < Decimal(amount):
            msg = f"{self.id} has only {self.balance}"
            raise InvariantViolationError(msg)
        self.raise_event(MoneyWithdrawn(amount=Decimal(amount)))

    def apply_account_opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    def apply_money_deposited(self, event: MoneyDeposited) -> None:
        self.balance += event.amount

    def apply_money_withdrawn(self, event: MoneyWithdrawn) -> None:
        self.balance -= event.amount


class OpenAccount(Command[str]):
    account_id: str
    owner: str = "Ada"


class Deposit(Command[Decimal]):
    account_id: str
    amount: Decimal


class Withdraw(Command[Decimal]):
    account_id: str
    amount: Decimal


def register_account_handlers(
    registry: HandlerRegistry, accounts: EventSourcedRepository[SampleAccount]
) -> None:
    """Let handlers open accounts, deposit and withdraw; the latter return the new balance."""

    @registry.command_handler
    async def open_account(command: OpenAccount) -> str:
        await accounts.save(SampleAccount.open(command.account_id, command.owner))
        return command.account_id

    @registry.command_handler
    async def deposit(command: Deposit) -> Decimal:
        account = await accounts.get(command.account_id)
        account.deposit(command.amount)
        await accounts.save(account)
        return account.balance

    @registry.command_handler
    async def withdraw(command: Withdraw) -> Decimal:
        account = await accounts.get(command.account_id)
        account.withdraw(command.amount)
        await accounts.save(account)
        return account.balance
