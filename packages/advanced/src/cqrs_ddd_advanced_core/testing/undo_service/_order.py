"""The order of a scope, and groups."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import (
    UndoGroupClosedError,
    UndoNotAllowedError,
    UnknownUndoTokenError,
)
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.testing.undo_service._suite import (
    AddItem,
    EmptyBasket,
    RemoveItem,
    Shop,
    UndoServiceSubject,
    UndoServiceSuite,
)
from cqrs_ddd_advanced_core.undo import UndoOrder
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.id_generator import new_id

__all__ = ["Order"]


class Order(UndoServiceSuite):
    async def test_the_last_command_is_undone_first(self, shop: Shop, basket_id: str) -> None:
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"))
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        decision = await shop.service.can_undo(first)
        assert decision.reason == (
            f"AddItem {second} was executed later and has to be undone first"
        )
        with pytest.raises(UndoNotAllowedError, match="has to be undone first"):
            await shop.service.undo(first)
        await shop.service.undo(second)
        await shop.service.undo(first)
        assert await shop.items(basket_id) == {}

    async def test_what_was_undone_last_is_redone_first(self, shop: Shop, basket_id: str) -> None:
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"))
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        await shop.service.undo(second)
        await shop.service.undo(first)
        with pytest.raises(UndoNotAllowedError, match="has to be redone first"):
            await shop.service.redo(second)
        assert "has to be redone first" in (await shop.service.can_redo(second)).reason
        assert [one.token for one in (await shop.service.redo_last()).entries] == [first]
        assert [one.token for one in (await shop.service.redo_last()).entries] == [second]
        assert (await shop.service.redo_last()).entries == ()
        assert set(await shop.items(basket_id)) == {"a", "b"}

    async def test_a_new_command_ends_what_could_be_redone(
        self, shop: Shop, basket_id: str
    ) -> None:
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"))
        await shop.service.undo(first)
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        discarded = (await shop.service.history())[1]
        assert (discarded.token, discarded.status) == (first, UndoStatus.DISCARDED)
        assert discarded.error == f"AddItem {second} was executed afterwards"
        with pytest.raises(UndoNotAllowedError, match=r"is discarded: AddItem .* afterwards"):
            await shop.service.redo(first)
        assert "is discarded" in (await shop.service.can_undo(first)).reason
        assert set(await shop.items(basket_id)) == {"b"}

    async def test_can_says_what_is_the_case(self, shop: Shop, basket_id: str) -> None:
        token = await shop.service.execute(AddItem(basket_id=basket_id, item="a"))
        assert await shop.service.can_undo(token)
        assert (await shop.service.can_redo(token)).reason == f"AddItem {token} is done"
        await shop.service.undo(token)
        assert (await shop.service.can_undo(token)).reason == f"AddItem {token} is undone"
        assert await shop.service.can_redo(token)

    async def test_scopes_do_not_wait_for_each_other(self, shop: Shop, basket_id: str) -> None:
        stream = StreamId("Basket", basket_id)
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"), scope=stream)
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"), scope="other")
        await shop.service.undo(first)
        await shop.service.execute(AddItem(basket_id=basket_id, item="c"), scope="other")
        assert await shop.service.can_redo(first)
        assert [one.token for one in await shop.service.history(stream)] == [first]
        assert [one.token for one in await shop.service.history("other")][1] == second
        assert (await shop.service.undo_last(stream)).entries == ()

    async def test_a_scope_may_be_undone_in_any_order(
        self, subject: UndoServiceSubject, basket_id: str
    ) -> None:
        shop = Shop(subject, order=lambda scope: UndoOrder.ANY if scope else UndoOrder.LAST_FIRST)
        tokens = [
            await shop.service.execute(AddItem(basket_id=basket_id, item=item), scope="any")
            for item in "abc"
        ]
        await shop.service.undo(tokens[0])
        await shop.service.undo(tokens[1])
        await shop.service.execute(AddItem(basket_id=basket_id, item="d"), scope="any")
        await shop.service.redo(tokens[1])
        assert set(await shop.items(basket_id)) == {"b", "c", "d"}

    async def test_a_group_is_undone_and_redone_together(self, shop: Shop, basket_id: str) -> None:
        group = new_id()
        await shop.service.execute(AddItem(basket_id=basket_id, item="before"))
        tokens = [
            await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group),
            await shop.service.execute(EmptyBasket(basket_id=basket_id), group=group),
            await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group),
        ]
        undone = await shop.service.undo(tokens[1])
        assert [one.token for one in undone.entries] == tokens[::-1]
        assert set(await shop.items(basket_id)) == {"before"}
        assert (await shop.service.undo_group(group)).replayed
        redone = await shop.service.redo_group(group)
        assert [one.token for one in redone.entries] == tokens
        assert set(await shop.items(basket_id)) == {"a"}
        assert (await shop.service.redo(tokens[0])).replayed
        assert len((await shop.service.undo_last()).entries) == 3

    async def test_of_a_group_all_is_undone_or_nothing(self, shop: Shop, basket_id: str) -> None:
        group = new_id()
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group)
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"), group=group)
        await shop.mediator.send(RemoveItem(basket_id=basket_id, item="a"))
        with pytest.raises(Exception, match="there is no a in it") as caught:
            await shop.service.undo_group(group)
        assert caught.value.token == first  # type: ignore[attr-defined]
        assert set(await shop.items(basket_id)) == {"b"}
        found = {one.token: one.status for one in await shop.service.history()}
        assert found == {first: UndoStatus.UNDO_FAILED, second: UndoStatus.DONE}

    async def test_a_group_takes_no_command_after_another_one(
        self, shop: Shop, basket_id: str
    ) -> None:
        group = new_id()
        await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group)
        await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        with pytest.raises(UndoGroupClosedError):
            await shop.service.execute(AddItem(basket_id=basket_id, item="c"), group=group)
        assert set(await shop.items(basket_id)) == {"a", "b"}

    async def test_in_any_order_a_group_takes_further_commands(
        self, subject: UndoServiceSubject, basket_id: str
    ) -> None:
        shop, group = Shop(subject, order=UndoOrder.ANY), new_id()
        await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group)
        await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        await shop.service.execute(AddItem(basket_id=basket_id, item="c"), group=group)
        assert len((await shop.service.undo_group(group)).entries) == 2
        assert set(await shop.items(basket_id)) == {"b"}

    async def test_nothing_is_known_of_other_groups(self, shop: Shop, basket_id: str) -> None:
        group = new_id()
        await shop.service.execute(AddItem(basket_id=basket_id, item="a"), group=group)
        for asked, scope in ((new_id(), ""), (group, "another")):
            with pytest.raises(UnknownUndoTokenError, match=str(asked)):
                await shop.service.undo_group(asked, scope=scope)

    async def test_what_is_discarded_stands_in_nobodys_way(
        self, shop: Shop, basket_id: str
    ) -> None:
        first = await shop.service.execute(AddItem(basket_id=basket_id, item="a"))
        second = await shop.service.execute(AddItem(basket_id=basket_id, item="b"))
        discarded = await shop.service.discard(second, "it was shipped")
        assert [one.status for one in discarded.entries] == [UndoStatus.DISCARDED]
        assert (await shop.service.discard(second, "again")).replayed
        await shop.service.undo(first)
        assert set(await shop.items(basket_id)) == {"b"}
        with pytest.raises(UndoNotAllowedError, match="is discarded: it was shipped"):
            await shop.service.undo(second)
