"""How a transfer is undone: by one in the other direction, as long as the money is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bank.account import Account
from bank.commands import ReturnTransfer, Transfer
from cqrs_ddd_advanced_core.undo import ALLOWED, Executed, IUndoExecutor, UndoDecision

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core import EventSourcedRepository

__all__ = ["SendItBack"]


class SendItBack(IUndoExecutor[Transfer]):
    def __init__(self, accounts: EventSourcedRepository[Account]) -> None:
        self._accounts = accounts

    async def can_undo(self, executed: Executed[Transfer, None]) -> UndoDecision:
        transfer = executed.command
        receiver = await self._accounts.get(transfer.receiver)
        if receiver.balance < transfer.amount:
            return UndoDecision(allowed=False, reason=f"{receiver.owner} has spent it")
        return ALLOWED

    async def undo(self, executed: Executed[Transfer, None]) -> ReturnTransfer:
        transfer = executed.command
        return ReturnTransfer(
            sender=transfer.sender, receiver=transfer.receiver, amount=transfer.amount
        )
