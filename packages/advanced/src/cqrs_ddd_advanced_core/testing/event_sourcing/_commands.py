"""Commands on event-sourced aggregates."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.event_sourcing._suite import (
    EventSourcingSubject,
    EventSourcingSuite,
    queued,
    stored,
    stream_of,
)
from cqrs_ddd_advanced_core.testing.samples import (
    Deposit,
    MoneyDeposited,
    OpenAccount,
    SampleAccount,
    Withdraw,
    register_account_handlers,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.conformance import Veto

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.event_sourcing import EventSourcedMediator, EventSourcedRepository

    Accounts = EventSourcedRepository[SampleAccount]

__all__ = ["CommandTests"]


class Transfer(Command[None]):
    source: str
    target: str
    amount: Decimal


class CommandTests(EventSourcingSuite):
    """Through the mediator: events, outbox and versions of every command."""

    async def test_a_command_appends_its_events_and_queues_them(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        mediator = subject.mediator()
        await mediator.send(OpenAccount(account_id="a"))
        response = await mediator.send(Deposit(account_id="a", amount=Decimal("1.10")))
        assert response.result == Decimal("1.10")
        assert [event.event_type for event in response.events] == ["MoneyDeposited"]
        events = await stored(subject, "a")
        assert [event.version for event in events] == [1, 2]
        assert response.position == events[-1].position
        assert events[-1].causation_id == str(response.command_id)
        assert await queued(subject) == {event.event_id for event in events}
        assert (await accounts.get("a")).balance == Decimal("1.10")

    async def test_versions_count_each_stream_over_all_commands(
        self, subject: EventSourcingSubject
    ) -> None:
        """A-4."""
        mediator = subject.mediator()
        for _ in range(2):
            for account_id in ("a", "b"):
                if not await subject.event_store.get_stream_version(stream_of(account_id)):
                    await mediator.send(OpenAccount(account_id=account_id))
                await mediator.send(Deposit(account_id=account_id, amount=Decimal(1)))
        for account_id in ("a", "b"):
            assert [event.version for event in await stored(subject, account_id)] == [1, 2, 3]

    async def test_a_refused_command_leaves_nothing(self, subject: EventSourcingSubject) -> None:
        mediator = subject.mediator()
        await mediator.send(OpenAccount(account_id="a"))
        with pytest.raises(InvariantViolationError):
            await mediator.send(Withdraw(account_id="a", amount=Decimal(1)))
        assert len(await stored(subject, "a")) == 1
        assert len(await queued(subject)) == 1

    async def test_several_aggregates_commit_together(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        mediator, fail = self._with_transfers(subject, accounts)
        for account_id in ("a", "b"):
            await mediator.send(OpenAccount(account_id=account_id))
        await mediator.send(Deposit(account_id="a", amount=Decimal(10)))
        await mediator.send(Transfer(source="a", target="b", amount=Decimal(4)))
        fail.append(Veto())
        with pytest.raises(Veto):
            await mediator.send(Transfer(source="a", target="b", amount=Decimal(4)))
        balances = [(await accounts.get(account_id)).balance for account_id in ("a", "b")]
        assert balances == [6, 4]

    async def test_a_nested_command_never_precedes_what_its_parent_raised_before(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-5: the parent saves its aggregate last, and had raised its event first."""
        mediator, _ = self._with_transfers(subject, accounts)
        for account_id in ("a", "b"):
            await mediator.send(OpenAccount(account_id=account_id))
        await mediator.send(Deposit(account_id="a", amount=Decimal(10)))
        response = await mediator.send(Transfer(source="a", target="b", amount=Decimal(4)))
        assert [event.aggregate_id for event in response.events] == ["a", "b"]
        assert (await stored(subject, "a"))[-1].position < (await stored(subject, "b"))[-1].position

    async def test_concurrent_commands_with_retries_have_one_effect_each(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """G2: 32 commands on one aggregate."""
        policy = RetryPolicy(200, backoff=ExponentialBackoff(initial=0.002, maximum=0.05))
        mediator = subject.mediator(middlewares=[RetryMiddleware(policy)])
        await mediator.send(OpenAccount(account_id="a"))
        commands = [Deposit(account_id="a", amount=Decimal(2**n)) for n in range(32)]
        await asyncio.gather(*(mediator.send(command) for command in commands))
        account = await accounts.get("a")
        assert (account.balance, account.version) == (Decimal(2**32 - 1), 33)
        events = await stored(subject, "a")
        assert [event.version for event in events] == list(range(1, 34))
        causes = {event.causation_id for event in events[1:]}
        assert causes == {str(command.command_id) for command in commands}
        assert await queued(subject) == {event.event_id for event in events}

    async def test_an_event_a_handler_returns_is_appended_at_the_loaded_version(
        self, subject: EventSourcingSubject
    ) -> None:
        async with subject.unit_of_work() as uow:
            accounts = subject.repository()
            await accounts.save(SampleAccount.open("a"))
            uow.add_events(
                [
                    MoneyDeposited(
                        amount=Decimal(3),
                        aggregate_type=SampleAccount.aggregate_type,
                        aggregate_id="a",
                    )
                ]
            )
        assert (await subject.repository().get("a")).balance == 3

    def _with_transfers(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> tuple[EventSourcedMediator, list[Exception]]:
        registry = HandlerRegistry()
        register_account_handlers(registry, accounts)
        mediator, fail = subject.mediator(registry), list[Exception]()

        @registry.command_handler
        async def transfer(command: Transfer) -> None:
            source = await accounts.get(command.source)
            source.withdraw(command.amount)
            await mediator.send(Deposit(account_id=command.target, amount=command.amount))
            await accounts.save(source)
            if fail:
                raise fail.pop()

        return mediator, fail
