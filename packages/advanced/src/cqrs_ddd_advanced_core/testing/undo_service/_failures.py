"""Undoing that fails: rolled back, recorded, compensated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import UndoFailedError
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.testing.undo_service._suite import (
    AddItem,
    Complain,
    RemoveItem,
    Shop,
    UndoServiceSuite,
)
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    InvariantViolationError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Veto

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["Failures"]


class Failures(UndoServiceSuite):
    async def test_a_failure_is_recorded_and_changes_nothing_else(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await _add_what_is_gone(shop, basket_id)
        with pytest.raises(UndoFailedError) as caught:
            await shop.service.undo(token)
        assert isinstance(caught.value.__cause__, InvariantViolationError)
        entry = await _entry(shop, token)
        assert entry.status is UndoStatus.UNDO_FAILED
        assert entry.error == "InvariantViolationError: there is no widget in it"
        assert (caught.value.token, caught.value.status) == (token, "undo_failed")
        assert caught.value.reason == entry.error

    async def test_a_failure_can_be_tried_again(self, shop: Shop, basket_id: str) -> None:
        token = await _add_what_is_gone(shop, basket_id)
        for _ in range(2):
            with pytest.raises(UndoFailedError):
                await shop.service.undo(token)
        await shop.mediator.send(AddItem(basket_id=basket_id, item="widget"))
        await shop.service.undo(token)
        entry = await _entry(shop, token)
        assert (entry.status, entry.error) == (UndoStatus.UNDONE, None)
        assert await shop.items(basket_id) == {}

    async def test_a_veto_at_the_commit_is_a_failure(self, shop: Shop, basket_id: str) -> None:
        shop.executors.clear()

        @shop.executors.undo(AddItem)
        def veto_later(command: AddItem) -> RemoveItem:
            uow = get_current_uow()
            assert uow is not None
            uow.after_record(_veto)
            return RemoveItem(basket_id=command.basket_id, item=command.item)

        token = await _add(shop, basket_id)
        with pytest.raises(UndoFailedError):
            await shop.service.undo(token)
        assert (await _entry(shop, token)).status is UndoStatus.UNDO_FAILED
        assert set(await shop.items(basket_id)) == {"widget"}

    async def test_a_failure_is_compensated(self, shop: Shop, basket_id: str) -> None:
        shop.executors.compensate(AddItem)(_complain)
        token = await _add_what_is_gone(shop, basket_id)
        with pytest.raises(UndoFailedError) as caught:
            await shop.service.undo(token)
        assert caught.value.status == "compensated"
        entry = await _entry(shop, token)
        assert entry.status is UndoStatus.COMPENSATED
        assert entry.error == "InvariantViolationError: there is no widget in it"
        assert await shop.complaints(basket_id) == ["there is no widget in it"]
        for decision in (await shop.service.can_undo(token), await shop.service.can_redo(token)):
            assert "is compensated" in decision.reason

    async def test_a_compensation_that_fails_is_recorded_and_tried_again(
        self, shop: Shop, basket_id: str
    ) -> None:
        stock = ["empty"]

        @shop.executors.compensate(AddItem)
        async def complain_and_fail(_: AddItem, error: Exception) -> list[Complain | RemoveItem]:
            complaint = Complain(basket_id=basket_id, text=str(error))
            return [complaint, *(RemoveItem(basket_id=basket_id, item=item) for item in stock)]

        token = await _add_what_is_gone(shop, basket_id)
        with pytest.raises(UndoFailedError) as caught:
            await shop.service.undo(token)
        entry = await _entry(shop, token)
        assert entry.status is UndoStatus.COMPENSATION_FAILED
        assert caught.value.status == "compensation_failed"
        assert entry.error == caught.value.reason
        assert entry.error == (
            "InvariantViolationError: there is no widget in it; its compensation failed with "
            "InvariantViolationError: there is no empty in it"
        )
        assert await shop.complaints(basket_id) == []
        stock.clear()
        with pytest.raises(UndoFailedError, match="compensated"):
            await shop.service.undo(token)
        assert (await _entry(shop, token)).status is UndoStatus.COMPENSATED
        assert await shop.complaints(basket_id) == ["there is no widget in it"]

    @pytest.mark.parametrize(
        "error",
        [
            OptimisticConcurrencyError("Basket-1", 1, 2),
            TransientPersistenceError("no connection"),
            CommitOutcomeUnknownError("no reply"),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_an_error_that_passes_is_neither_recorded_nor_compensated(
        self, shop: Shop, basket_id: str, error: Exception
    ) -> None:
        errors = [error]
        shop.executors.clear()

        @shop.executors.undo(AddItem)
        def fail_once(command: AddItem) -> RemoveItem:
            if errors:
                raise errors.pop()
            return RemoveItem(basket_id=command.basket_id, item=command.item)

        shop.executors.compensate(AddItem)(_complain)
        token = await _add(shop, basket_id)
        with pytest.raises(type(error)):
            await shop.service.undo(token)
        entry = await _entry(shop, token)
        assert (entry.status, entry.revision) == (UndoStatus.DONE, 1)
        await shop.service.undo(token)
        assert await shop.items(basket_id) == {}
        assert await shop.complaints(basket_id) == []

    async def test_only_the_command_at_fault_is_compensated(
        self, shop: Shop, basket_id: str
    ) -> None:
        shop.executors.compensate(AddItem)(_complain)
        group = new_id()
        first = await _add(shop, basket_id, "widget", group=group)
        second = await _add(shop, basket_id, "gadget", group=group)
        await shop.mediator.send(RemoveItem(basket_id=basket_id, item="widget"))
        with pytest.raises(UndoFailedError):
            await shop.service.undo_group(group)
        statuses = [(await _entry(shop, token)).status for token in (first, second)]
        assert statuses == [UndoStatus.COMPENSATED, UndoStatus.DONE]
        assert set(await shop.items(basket_id)) == {"gadget"}
        assert len((await shop.service.undo_group(group)).entries) == 1
        assert await shop.items(basket_id) == {}

    async def test_inside_another_unit_of_work_a_failure_is_its_failure(
        self, shop: Shop, basket_id: str
    ) -> None:
        token = await _add_what_is_gone(shop, basket_id)
        with pytest.raises(InvariantViolationError):
            async with shop.unit_of_work():
                await shop.service.undo(token)
        assert (await _entry(shop, token)).status is UndoStatus.DONE


async def _add(shop: Shop, basket_id: str, item: str = "widget", **options: Any) -> UUID:
    return await shop.service.execute(AddItem(basket_id=basket_id, item=item), **options)


async def _add_what_is_gone(shop: Shop, basket_id: str) -> UUID:
    token = await _add(shop, basket_id)
    await shop.mediator.send(RemoveItem(basket_id=basket_id, item="widget"))
    return token


async def _entry(shop: Shop, token: UUID) -> UndoEntry:
    entry = await shop.history.get(token)
    assert entry is not None
    return entry


def _complain(command: AddItem, error: Exception) -> Complain:
    return Complain(basket_id=command.basket_id, text=str(error))


async def _veto(_: UnitOfWork) -> None:
    raise Veto
