"""Rows that commit with the events they come from."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionConflictError,
    ProjectionDefinitionError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_advanced_core.projections import (
    EventReaction,
    FunctionProjector,
    InlineProjections,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import (
    Bank,
    Noted,
    Opened,
    ProjectionLifecycleSuite,
    deposited,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError
from cqrs_ddd_core.testing.conformance import Veto, needs

__all__ = ["InlineTests"]


class InlineTests(ProjectionLifecycleSuite):
    async def test_rows_commit_with_the_command(self, bank: Bank) -> None:
        """G1: whoever sees the event sees the row, without a worker."""
        await bank.become_inline()
        position = await bank.run(deposited("a1", 3), deposited("a1", 4), deposited("a2", 5))
        assert await bank.balances() == {"a1": 7, "a2": 5, "total": 12}
        row = await bank.account("a1")
        assert (row["deposits"], row[ROW_VERSION]) == (2, 1)
        assert 0 < row[LAST_POSITION] < position

    async def test_rows_vanish_with_the_command(self, bank: Bank) -> None:
        await bank.become_inline()
        await bank.run(deposited("a1"))
        with pytest.raises(Veto):
            await self._refused_at_the_end(bank)
        assert await bank.balances() == {"a1": 1, "total": 1}
        assert len([event async for event in bank.events.read_all()]) == 1

    async def test_a_handler_that_fails_fails_the_command(self, bank: Bank) -> None:
        await bank.become_inline()
        bank.fails_on = "a2"
        with pytest.raises(ProjectorError, match="a2 is closed"):
            await bank.run(deposited("a1"), deposited("a2"))
        assert await bank.balances() == {}
        assert await bank.events.get_head_position() == 0

    async def test_workers_leave_inline_projections_alone(self, bank: Bank) -> None:
        await bank.become_inline()
        await bank.run(deposited("a1"))
        assert await bank.work() == 0
        assert await bank.balances() == {"a1": 1, "total": 1}

    async def test_commands_leave_asynchronous_projections_alone(self, bank: Bank) -> None:
        await bank.run(deposited("a1"))
        assert await bank.balances() == {}
        await bank.work()
        assert await bank.balances() == {"a1": 1, "total": 1}

    async def test_another_version_does_not_leave_an_inline_one_behind(self, bank: Bank) -> None:
        await bank.become_inline()
        projector = bank.registry.get("accounts").projector
        changed = FunctionProjector(
            "accounts", projector.handlers(), tables=projector.tables, version=2
        )
        inline = InlineProjections(ProjectorRegistry([changed], store=bank.store), ["accounts"])
        bank.inline = inline
        with pytest.raises(ProjectionDefinitionError, match="asynchronous first"):
            await bank.run(deposited("a1"))
        await bank.run(Noted(aggregate_type="Account", aggregate_id="a1"))

    def test_some_projections_cannot_be_inline(self, bank: Bank) -> None:
        projector = bank.registry.get("accounts").projector

        def nothing(_: object) -> None: ...

        bank.registry.register(EventReaction("mails", {Noted: nothing}))
        with pytest.raises(ProjectionDefinitionError, match="could not be rolled back"):
            InlineProjections(bank.registry, ["mails"])
        projector.depends_on = ("mails",)
        with pytest.raises(ProjectionDefinitionError, match="waits for mails"):
            InlineProjections(bank.registry, ["accounts"])
        projector.partitions = 2
        with pytest.raises(ProjectionDefinitionError, match="2 partitions"):
            InlineProjections(bank.registry, ["accounts"])

    async def test_events_no_event_store_has_are_not_projected(self, bank: Bank) -> None:
        """A rebuild could not find them again."""
        await bank.become_inline()
        nowhere = deposited("a1").model_copy(update={"aggregate_id": None})
        await bank.run(nowhere, deposited("a2"))
        assert await bank.balances() == {"a2": 1, "total": 1}

    async def test_tenants_have_rows_and_switches_of_their_own(self, bank: Bank) -> None:
        await bank.become_inline()
        with message_context(tenant_id="other"):
            await bank.run(deposited("a1"))
            assert (await bank.state(), await bank.balances()) == ("running", {})
        assert (await bank.state(), await bank.balances()) == ("inline", {})

    async def test_concurrent_commands_lose_nothing(self, bank: Bank) -> None:
        """They come to the row they share in another order than their positions."""
        await bank.become_inline()

        async def deposit(number: int) -> None:
            async with bank.unit_of_work() as uow:
                await asyncio.sleep(0.001 * (number % 3))
                uow.add_events([deposited(f"a{number % 5}", number)])

        outcomes = await asyncio.gather(*map(deposit, range(20)), return_exceptions=True)
        lost = [one for one in outcomes if one is not None]
        assert all(isinstance(one, ConcurrencyError) for one in lost)
        stored = [event async for event in bank.events.read_all()]
        expected: dict[str, int] = {}
        for event in stored:
            for account in (event.aggregate_id, "total"):
                expected[account] = expected.get(account, 0) + event.payload["amount"]
        assert len(stored) == 20 - len(lost) > 0
        assert await bank.balances() == expected

    @needs("concurrent_transactions")
    async def test_a_row_that_was_read_is_not_overwritten(self, bank: Bank) -> None:
        """Of two commands that read a row and change it, none loses what the other did."""
        await bank.become_inline()

        async def open_account(number: int) -> int:
            for attempt in range(200):
                try:
                    await bank.run(Opened(aggregate_type="Account", aggregate_id=f"a{number}"))
                except ProjectionConflictError:
                    await asyncio.sleep(0.001 * (attempt % 7 + number))
                else:
                    return attempt
            pytest.fail("a command lost every race")

        await asyncio.gather(*map(open_account, range(6)))
        assert (await bank.account("total"))["opened"] == 6

    async def _refused_at_the_end(self, bank: Bank) -> None:
        async def veto(_: object) -> None:
            raise Veto

        async with bank.unit_of_work() as uow:
            uow.add_events([deposited("a2")])
            uow.after_record(veto)
