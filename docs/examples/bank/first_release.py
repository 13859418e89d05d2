"""Accounts as the first release of the bank had them; nothing but the story's January uses it."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from cqrs_ddd_advanced_core import EventSourcedAggregateMixin
from cqrs_ddd_core import AggregateRoot, DomainEvent

__all__ = ["Account"]


class AccountOpened(DomainEvent):
    owner: str


class MoneyDeposited(DomainEvent):
    cents: int


class MoneyWithdrawn(DomainEvent):
    cents: int


class Account(EventSourcedAggregateMixin, AggregateRoot[str]):
    owner: str
    cents: int = 0

    @classmethod
    def open(cls, account_id: str, owner: str, *, at: datetime) -> Self:
        account = cls.blank(account_id)
        account.raise_event(AccountOpened(owner=owner, occurred_at=at))
        return account

    def deposit(self, cents: int, *, at: datetime) -> None:
        self.raise_event(MoneyDeposited(cents=cents, occurred_at=at))

    def withdraw(self, cents: int, *, at: datetime) -> None:
        self.raise_event(MoneyWithdrawn(cents=cents, occurred_at=at))

    def apply_account_opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    def apply_money_deposited(self, event: MoneyDeposited) -> None:
        self.cents += event.cents

    def apply_money_withdrawn(self, event: MoneyWithdrawn) -> None:
        self.cents -= event.cents
