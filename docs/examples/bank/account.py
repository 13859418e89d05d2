"""Accounts: their events, and the rules that refuse some."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Self

from pydantic import Field

from cqrs_ddd_advanced_core import EventSourcedAggregateMixin
from cqrs_ddd_core import AggregateRoot, DomainEvent, InvariantViolationError

__all__ = [
    "Account",
    "AccountOpened",
    "Euros",
    "FeeCharged",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "TransferReceived",
    "TransferSent",
]

#: Exact to the cent, in memory and in stored JSON; never a float.
Euros = Annotated[Decimal, Field(decimal_places=2)]


class AccountOpened(DomainEvent):
    owner: str


class MoneyDeposited(DomainEvent):
    schema_version: ClassVar[int] = 2

    amount: Euros
    note: str


class MoneyWithdrawn(DomainEvent):
    schema_version: ClassVar[int] = 2

    amount: Euros
    note: str


class TransferSent(DomainEvent):
    receiver: str
    amount: Euros
    note: str


class TransferReceived(DomainEvent):
    sender: str
    amount: Euros
    note: str


class FeeCharged(DomainEvent):
    amount: Euros
    reason: str


class Account(EventSourcedAggregateMixin, AggregateRoot[str]):
    """Somebody's money; methods check the rules, handlers change the state."""

    owner: str
    balance: Euros = Decimal("0.00")

    @classmethod
    def open(cls, account_id: str, owner: str, *, at: datetime) -> Self:
        account = cls.blank(account_id)
        account.raise_event(AccountOpened(owner=owner, occurred_at=at))
        return account

    def deposit(self, amount: Decimal, note: str, *, at: datetime) -> None:
        self.raise_event(MoneyDeposited(amount=amount, note=note, occurred_at=at))

    def withdraw(self, amount: Decimal, note: str, *, at: datetime) -> None:
        """Pay out cash or pay for something.

        Raises:
            InvariantViolationError: There is not so much on the account.
        """
        self._require(amount)
        self.raise_event(MoneyWithdrawn(amount=amount, note=note, occurred_at=at))

    def send(self, receiver: Account, amount: Decimal, note: str, *, at: datetime) -> None:
        """Give money to another account; both have to be saved in one unit of work.

        Raises:
            InvariantViolationError: There is not so much on the account.
        """
        self._require(amount)
        self.raise_event(
            TransferSent(receiver=receiver.id, amount=amount, note=note, occurred_at=at)
        )
        receiver.raise_event(
            TransferReceived(sender=self.id, amount=amount, note=note, occurred_at=at)
        )

    def charge(self, amount: Decimal, reason: str, *, at: datetime) -> None:
        """Take a fee, also from an account that is empty."""
        self.raise_event(FeeCharged(amount=amount, reason=reason, occurred_at=at))

    def apply_account_opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    def apply_money_deposited(self, event: MoneyDeposited) -> None:
        self.balance += event.amount

    def apply_money_withdrawn(self, event: MoneyWithdrawn) -> None:
        self.balance -= event.amount

    def apply_transfer_sent(self, event: TransferSent) -> None:
        self.balance -= event.amount

    def apply_transfer_received(self, event: TransferReceived) -> None:
        self.balance += event.amount

    def apply_fee_charged(self, event: FeeCharged) -> None:
        self.balance -= event.amount

    def _require(self, amount: Decimal) -> None:
        if amount > self.balance:
            msg = f"{self.owner} has only {self.balance:,.2f} and cannot pay {amount:,.2f}"
            raise InvariantViolationError(msg)
