"""What one can ask the bank for, and who does it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from bank.account import Account, Euros, TransferSent
from cqrs_ddd_core import Command, HandlerRegistry

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core import EventSourcedRepository
    from cqrs_ddd_core.primitives import IClock

__all__ = ["Deposit", "ReturnTransfer", "Transfer", "Withdraw", "handlers"]

_FREE_UP_TO: Final = Decimal("1000.00")
_FEE: Final = Decimal("0.01")


class Deposit(Command[None]):
    account_id: str
    amount: Euros
    note: str


class Withdraw(Command[None]):
    account_id: str
    amount: Euros
    note: str


class Transfer(Command[None]):
    sender: str
    receiver: str
    amount: Euros
    note: str


class ReturnTransfer(Command[None]):
    """Send back what came by a transfer."""

    sender: str
    receiver: str
    amount: Euros


def handlers(accounts: EventSourcedRepository[Account], clock: IClock) -> HandlerRegistry:
    """Return the handlers of all commands, and of the event that costs a fee."""
    registry = HandlerRegistry()

    @registry.command_handler
    async def deposit(command: Deposit) -> None:
        account = await accounts.get(command.account_id)
        account.deposit(command.amount, command.note, at=clock.now())
        await accounts.save(account)

    @registry.command_handler
    async def withdraw(command: Withdraw) -> None:
        account = await accounts.get(command.account_id)
        account.withdraw(command.amount, command.note, at=clock.now())
        await accounts.save(account)

    @registry.command_handler
    async def transfer(command: Transfer) -> None:
        await _send(command.sender, command.receiver, command.amount, command.note)

    @registry.command_handler
    async def return_transfer(command: ReturnTransfer) -> None:
        await _send(command.receiver, command.sender, command.amount, "returned")

    async def _send(sender_id: str, receiver_id: str, amount: Decimal, note: str) -> None:
        sender, receiver = await accounts.get(sender_id), await accounts.get(receiver_id)
        sender.send(receiver, amount, note, at=clock.now())
        await accounts.save(sender)
        await accounts.save(receiver)

    @registry.event_handler
    async def charge_fee(event: TransferSent) -> None:
        if event.amount > _FREE_UP_TO:
            sender = await accounts.get(event.aggregate_id)
            fee = (event.amount * _FEE).quantize(Decimal("0.01"))
            sender.charge(fee, f"transfer over {_FREE_UP_TO:,.2f}", at=event.occurred_at)
            await accounts.save(sender)

    return registry
