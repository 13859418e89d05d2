"""Executing: the entry stands and falls with the effects of its command."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import (
    CommandNotExecutedError,
    UndoExecutorNotFoundError,
)
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.testing.undo_service._suite import (
    AddItem,
    AddLine,
    Complain,
    Refuse,
    Shop,
    UndoServiceSubject,
    UndoServiceSuite,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.middleware.idempotency import IdempotencyMiddleware
from cqrs_ddd_core.middleware.retry import RetryMiddleware
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    InvariantViolationError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Veto, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["Execution"]


class Execution(UndoServiceSuite):
    async def test_a_command_is_executed_and_recorded(self, shop: Shop, basket_id: str) -> None:
        group, command = new_id(), AddItem(basket_id=basket_id, item=AWKWARD_TEXT)
        with message_context(user_id="ada", correlation_id="request-1", tenant_id="t"):
            token = await shop.service.execute(command, group=group)
            [entry] = await shop.service.history()
            assert await shop.items(basket_id) == {AWKWARD_TEXT: Decimal("1.10")}
        assert token == entry.token == command.command_id
        assert (entry.scope, entry.user_id, entry.tenant_id) == ("ada", "ada", "t")
        assert (entry.correlation_id, entry.group_id) == ("request-1", group)
        assert (entry.command_type, entry.status) == ("AddItem", UndoStatus.DONE)
        assert entry.command == command.model_dump_json().encode()

    async def test_the_response_is_that_of_the_command(self, shop: Shop, basket_id: str) -> None:
        sent = await shop.service.send(AddLine(basket_id=basket_id))
        assert sent.response is not None
        assert sent.response.result == str(sent.token)
        assert sent.response.command_id == sent.token

    async def test_a_command_that_raises_leaves_no_entry(self, shop: Shop, basket_id: str) -> None:
        await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        with pytest.raises(InvariantViolationError):
            await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        assert len(await shop.service.history()) == 1

    async def test_a_failed_result_leaves_no_entry(self, shop: Shop, basket_id: str) -> None:
        with pytest.raises(CommandNotExecutedError, match=r"Refuse was not executed: no$"):
            await shop.service.execute(Refuse(basket_id=basket_id))
        assert await shop.baskets.get_by_id(basket_id) is None
        assert await shop.service.history() == []

    async def test_a_commit_that_fails_leaves_neither_effect_nor_entry(
        self, shop: Shop, basket_id: str
    ) -> None:
        """G1."""

        @shop.executors.before(AddItem)
        def veto_later(_: AddItem) -> None:
            uow = get_current_uow()
            assert uow is not None
            uow.after_record(_veto)

        with pytest.raises(Veto):
            await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        assert await shop.items(basket_id) == {}
        assert await shop.service.history() == []

    async def test_it_joins_the_unit_of_work_it_is_called_in(
        self, shop: Shop, basket_id: str
    ) -> None:
        async with rolled_back(shop.unit_of_work):
            await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        assert await shop.items(basket_id) == {}
        assert await shop.service.history() == []

    async def test_a_command_nobody_can_undo_is_not_executed(
        self, shop: Shop, basket_id: str
    ) -> None:
        with pytest.raises(UndoExecutorNotFoundError, match=r"@undo_executors\.undo\(Complain\)"):
            await shop.service.execute(Complain(basket_id=basket_id, text="why"))
        assert shop.handled == []

    async def test_a_repeated_command_has_no_second_effect(
        self, shop: Shop, basket_id: str
    ) -> None:
        command = AddLine(basket_id=basket_id)
        first = await shop.service.execute(command)
        again = await shop.service.send(command)
        assert (again.token, again.response) == (first, None)
        assert (len(await shop.items(basket_id)), len(await shop.service.history())) == (1, 1)
        assert len(shop.handled) == 1

    async def test_concurrent_repeats_of_a_command_have_one_effect(
        self, shop: Shop, basket_id: str
    ) -> None:
        command = AddItem(basket_id=basket_id, item="widget")
        tokens = await asyncio.gather(*(shop.service.execute(command) for _ in range(16)))
        assert set(tokens) == {command.command_id}
        assert (shop.handled, len(await shop.service.history())) == ([command.command_id], 1)

    async def test_marking_command_ids_agrees_with_the_history(
        self, subject: UndoServiceSubject, basket_id: str
    ) -> None:
        shop = Shop(subject, middlewares=[IdempotencyMiddleware(subject.inbox)])
        command = AddLine(basket_id=basket_id)
        for _ in range(2):
            token = await shop.service.execute(command)
            await shop.service.undo(token)
            await shop.service.redo(token)
            await shop.service.redo(token)
        assert len(await shop.items(basket_id)) == 1
        [entry] = await shop.service.history()
        assert entry.status is UndoStatus.DONE

    async def test_a_command_that_was_handled_before_is_not_recorded(
        self, subject: UndoServiceSubject, basket_id: str
    ) -> None:
        shop = Shop(subject, middlewares=[IdempotencyMiddleware(subject.inbox)])
        command = AddLine(basket_id=basket_id)
        await shop.mediator.send(command)
        with pytest.raises(CommandNotExecutedError, match="handled before"):
            await shop.service.execute(command)
        assert await shop.service.history() == []
        assert len(await shop.items(basket_id)) == 1

    async def test_a_retry_begins_anew(self, subject: UndoServiceSubject, basket_id: str) -> None:
        shop = Shop(subject, middlewares=[RetryMiddleware()])
        failures = iter([TransientPersistenceError("lost"), None])

        @shop.executors.before(AddItem)
        def fail_once(_: AddItem) -> None:
            failure = next(failures)
            if failure is not None:
                raise failure

        await shop.service.execute(AddItem(basket_id=basket_id, item="widget"))
        assert len(await shop.service.history()) == 1
        assert len(await shop.items(basket_id)) == 1

    async def test_commands_of_one_scope_run_one_after_the_other(
        self, shop: Shop, basket_id: str
    ) -> None:
        """All of them change one basket, and none of them loses a race."""
        commands = [AddItem(basket_id=basket_id, item=str(number)) for number in range(16)]
        await asyncio.gather(*(shop.service.execute(command) for command in commands))
        assert len(await shop.items(basket_id)) == 16
        outcomes = await asyncio.gather(*(shop.service.undo_last() for _ in commands))
        undone = [entry.token for outcome in outcomes for entry in outcome.entries]
        assert sorted(undone) == sorted(command.command_id for command in commands)
        assert await shop.items(basket_id) == {}
        assert (await shop.service.undo_last()).entries == ()


async def _veto(_: UnitOfWork) -> None:
    raise Veto
