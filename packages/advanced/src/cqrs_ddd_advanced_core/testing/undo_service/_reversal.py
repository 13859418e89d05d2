"""Undoing and redoing: each has one effect, however often it is asked for."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid5

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import UndoNotAllowedError, UnknownUndoTokenError
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.testing.undo_service._suite import (
    AddItem,
    AddLine,
    ChangePrice,
    EmptyBasket,
    Shop,
    UndoServiceSubject,
    UndoServiceSuite,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import rolled_back

__all__ = ["Reversal"]

_PRICE = Decimal("1.10")


class Reversal(UndoServiceSuite):
    async def test_a_command_is_undone_and_redone(self, shop: Shop, basket_id: str) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        for _ in range(3):
            undone = await shop.service.undo(token)
            assert await shop.items(basket_id) == {}
            assert [one.status for one in undone.entries] == [UndoStatus.UNDONE]
            redone = await shop.service.redo(token)
            assert await shop.items(basket_id) == {"widget": _PRICE}
            assert [one.status for one in redone.entries] == [UndoStatus.DONE]
            assert (undone.replayed, redone.replayed) == (False, False)
        assert [one.token for one in await shop.service.history()] == [token]

    async def test_undoing_twice_has_one_effect(self, shop: Shop, basket_id: str) -> None:
        """H-6."""
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        first = await shop.service.undo(token)
        second = await shop.service.undo(token)
        assert (first.replayed, second.replayed) == (False, True)
        assert second.entries == first.entries
        assert len(shop.handled) == 2

    async def test_redoing_twice_has_one_effect(self, shop: Shop, basket_id: str) -> None:
        token = await shop.service.execute(AddLine(basket_id=basket_id))
        await shop.service.undo(token)
        first = await shop.service.redo(token)
        second = await shop.service.redo(token)
        assert (first.replayed, second.replayed) == (False, True)
        assert second.entries == first.entries
        assert len(await shop.items(basket_id)) == 1

    async def test_undoing_at_the_same_moment_has_one_effect(
        self, shop: Shop, basket_id: str
    ) -> None:
        """H-6."""
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        outcomes = await asyncio.gather(*(shop.service.undo(token) for _ in range(16)))
        assert [one.replayed for one in outcomes].count(False) == 1
        assert (len(shop.handled), await shop.items(basket_id)) == (2, {})

    async def test_redoing_at_the_same_moment_has_one_effect(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await shop.service.execute(AddLine(basket_id=basket_id))
        await shop.service.undo(token)
        outcomes = await asyncio.gather(*(shop.service.redo(token) for _ in range(16)))
        assert [one.replayed for one in outcomes].count(False) == 1
        assert (len(shop.handled), len(await shop.items(basket_id))) == (3, 1)

    async def test_another_process_can_undo(
        self, subject: UndoServiceSubject, basket_id: str
    ) -> None:
        token = await Shop(subject).service.execute(AddItem(basket_id=basket_id, item="widget"))
        later = Shop(subject)
        await later.service.undo(token)
        assert await later.items(basket_id) == {}

    async def test_what_was_remembered_comes_back_exactly(self, shop: Shop, basket_id: str) -> None:
        await shop.service.execute(AddItem(basket_id=basket_id, item="widget", price=_PRICE))
        raise_it = ChangePrice(basket_id=basket_id, item="widget", price=Decimal("2.00"))
        token = await shop.service.execute(raise_it)
        await shop.service.undo(token)
        assert str((await shop.items(basket_id))["widget"]) == "1.10"

    async def test_redoing_remembers_anew(self, shop: Shop, basket_id: str) -> None:
        await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        double = ChangePrice(basket_id=basket_id, item="widget", price=Decimal(2))
        token = await shop.service.execute(double)
        await shop.service.undo(token)
        await shop.mediator.send(
            ChangePrice(basket_id=basket_id, item="widget", price=Decimal("1.50"))
        )
        await shop.service.redo(token)
        await shop.service.undo(token)
        assert await shop.items(basket_id) == {"widget": Decimal("1.50")}

    async def test_what_a_redone_command_has_made_can_be_undone(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await shop.service.execute(AddLine(basket_id=basket_id))
        await shop.service.undo(token)
        await shop.service.redo(token)
        [line] = await shop.items(basket_id)
        assert line != str(token)
        await shop.service.undo(token)
        assert await shop.items(basket_id) == {}

    async def test_an_executor_may_do_the_work_itself(self, shop: Shop, basket_id: str) -> None:
        await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        token = await shop.service.execute(EmptyBasket(basket_id=basket_id))
        await shop.service.undo(token)
        assert await shop.items(basket_id) == {"widget": _PRICE}
        await shop.service.redo(token)
        assert await shop.items(basket_id) == {}

    async def test_an_executor_can_say_no(self, shop: Shop, basket_id: str) -> None:
        await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        token = await shop.service.execute(EmptyBasket(basket_id=basket_id))
        assert await shop.service.can_undo(token)
        await shop.mediator.send(AddItem(basket_id=basket_id, item="gadget"))
        decision = await shop.service.can_undo(token)
        assert not decision
        assert "its executor says that it cannot be undone" in decision.reason
        with pytest.raises(UndoNotAllowedError, match="its executor says"):
            await shop.service.undo(token)
        assert await shop.items(basket_id) == {"gadget": _PRICE}

    async def test_the_ids_of_its_commands_are_made_of_token_and_revision(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        await shop.service.undo(token)
        await shop.service.redo(token)
        await shop.service.undo(token)
        names = ("undo:1:0", "redo:2:0", "undo:3:0")
        assert shop.handled == [token, *(uuid5(token, name) for name in names)]

    async def test_undoing_vanishes_with_the_unit_of_work_it_is_called_in(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        async with rolled_back(shop.unit_of_work):
            await shop.service.undo(token)
        assert await shop.items(basket_id) == {"widget": _PRICE}
        assert not (await shop.service.undo(token)).replayed
        async with rolled_back(shop.unit_of_work):
            await shop.service.redo(token)
        assert await shop.items(basket_id) == {}
        assert await shop.service.can_redo(token)

    async def test_redoing_that_fails_changes_nothing(self, shop: Shop, basket_id: str) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        undone = await shop.service.undo(token)
        await shop.mediator.send(AddItem(basket_id=basket_id, item="widget"))
        with pytest.raises(Exception, match="a widget in it already"):
            await shop.service.redo(token)
        assert await shop.service.history() == list(undone.entries)

    async def test_nothing_is_known_of_other_tokens(self, shop: Shop, basket_id: str) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        for asked in (new_id(), token):
            with message_context(tenant_id="another"):
                with pytest.raises(UnknownUndoTokenError):
                    await shop.service.undo(asked)
                with pytest.raises(UnknownUndoTokenError):
                    await shop.service.redo(asked)
                decision = await shop.service.can_undo(asked)
            assert (decision.allowed, str(asked) in decision.reason) == (False, True)
        assert await shop.items(basket_id) == {"widget": _PRICE}
