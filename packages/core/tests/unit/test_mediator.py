"""The mediator: one unit of work per command, events in order, and nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.event_store import InMemoryEventStore
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.repository import InMemoryRepository
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import get_causation_id, get_correlation_id, message_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.cqrs.handler import CommandHandler, QueryHandler
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    HandlerNotFoundError,
    InvariantViolationError,
    UnitOfWorkError,
    UnsavedChangesError,
)
from cqrs_ddd_core.primitives.result import Result

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.event_store import StoredEvent
    from cqrs_ddd_core.ports.middleware import NextHandler
    from cqrs_ddd_core.ports.outbox import OutboxMessage


class Deposited(DomainEvent):
    amount: int


class Notified(DomainEvent):
    text: str


class Account(AggregateRoot[str]):
    balance: int = 0

    def deposit(self, amount: int) -> None:
        if amount <= 0:
            msg = "a deposit is positive"
            raise InvariantViolationError(msg)
        self.balance += amount
        self.raise_event(Deposited(amount=amount))


class Deposit(Command[int]):
    account: str
    amount: int


class Transfer(Command):
    source: str
    target: str


class Try(Command[Result[int]]):
    amount: int


class Balance(Query[int]):
    account: str


class Bank:
    """Everything a small application needs, on memory."""

    def __init__(
        self, *middlewares: IMiddleware, dispatcher: EventDispatcher | None = None
    ) -> None:
        self.database = InMemoryDatabase()
        self.accounts = InMemoryRepository(Account, self.database)
        self.events = InMemoryEventStore(self.database)
        self.outbox = InMemoryOutboxStorage(self.database)
        self.units: list[UnitOfWork] = []
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Deposit, self.deposit)
        self.registry.register_query_handler(Balance, self.balance)
        self.mediator = Mediator(
            self.registry,
            self._open,
            middlewares=middlewares,
            event_dispatcher=dispatcher,
            event_store=self.events,
            outbox=self.outbox,
        )

    def _open(self) -> UnitOfWork:
        self.units.append(InMemoryUnitOfWork(self.database))
        return self.units[-1]

    async def deposit(self, command: Deposit) -> int:
        account = await self.accounts.get_by_id(command.account) or Account(id=command.account)
        account.deposit(command.amount)
        await self.accounts.save(account)
        return account.balance

    async def balance(self, query: Balance) -> int:
        account = await self.accounts.get_by_id(query.account)
        return account.balance if account else 0

    async def stored(self) -> list[StoredEvent]:
        return [event async for event in self.events.read_all()]

    async def queued(self) -> list[OutboxMessage]:
        leases = await self.outbox.lease_partitions("test", seconds=60)
        claimed = await self.outbox.claim_pending(leases, limit=100)
        return [pending.message for pending in sorted(claimed, key=lambda item: item.sequence)]


@pytest.fixture
def bank() -> Bank:
    return Bank()


async def test_a_command_changes_state_stores_its_events_and_queues_them(bank: Bank) -> None:
    response = await bank.mediator.send(command := Deposit(account="a", amount=5))
    assert response.result == 5
    assert response.command_id == command.command_id
    (event,) = await bank.stored()
    (message,) = await bank.queued()
    assert (event.event_type, event.payload, event.version) == ("Deposited", {"amount": 5}, 1)
    assert (message.message_id, message.stream) == (event.event_id, "Account-a")
    assert response.position == event.position
    assert [e.event_id for e in response.events] == [event.event_id]


async def test_events_carry_the_ids_of_the_command_that_caused_them(bank: Bank) -> None:
    """C-11: stored and published events had no correlation id."""
    command = Deposit(account="a", amount=5)
    with message_context(correlation_id="request-1", user_id="ann"):
        await bank.mediator.send(command)
    (event,) = await bank.stored()
    (message,) = await bank.queued()
    assert event.correlation_id == message.correlation_id == "request-1"
    assert event.causation_id == message.causation_id == str(command.command_id)
    assert event.metadata == {"user_id": "ann"}
    assert message.headers == {"user_id": "ann", "stream_version": 1}


async def test_messages_say_which_version_of_their_stream_they_are(bank: Bank) -> None:
    """F26: a consumer can tell what is missing, and reads the event as it was stored."""
    for account in ("a", "b", "a"):
        await bank.mediator.send(Deposit(account=account, amount=5))
    queued = await bank.queued()
    assert [(one.stream, one.headers["stream_version"]) for one in queued] == [
        ("Account-a", 1),
        ("Account-b", 1),
        ("Account-a", 2),
    ]
    serializer = EventSerializer(EventTypeRegistry([Deposited]))
    assert [e.metadata for one in queued for e in serializer.hydrate_message(one)] == [{}] * 3


async def test_a_failing_handler_leaves_nothing(bank: Bank) -> None:
    with pytest.raises(InvariantViolationError):
        await bank.mediator.send(Deposit(account="a", amount=-1))
    assert not await bank.accounts.exists("a")
    assert await bank.stored() == []


async def test_a_synchronous_event_handler_can_veto_the_command(bank: Bank) -> None:
    @bank.registry.event_handler
    async def veto(event: Deposited) -> None:
        msg = "not today"
        raise InvariantViolationError(msg)

    with pytest.raises(InvariantViolationError, match="not today"):
        await bank.mediator.send(Deposit(account="a", amount=1))
    assert not await bank.accounts.exists("a")
    assert await bank.stored() == []
    assert await bank.queued() == []


async def test_a_failed_result_rolls_back_without_an_exception(bank: Bank) -> None:
    @bank.registry.command_handler(Try)
    async def handle(command: Try) -> Result[int]:
        await bank.deposit(Deposit(account="a", amount=command.amount))
        return Result.failure("changed my mind")

    response = await bank.mediator.send(Try(amount=3))
    assert not response.success
    assert response.result.error == "changed my mind"
    assert not await bank.accounts.exists("a")


async def test_events_raised_after_the_last_save_are_refused(bank: Bank) -> None:
    @bank.registry.command_handler(Transfer)
    async def forgetful(command: Transfer) -> None:
        account = await bank.accounts.get(command.source)
        account.deposit(1)

    await bank.mediator.send(Deposit(account="a", amount=1))
    with pytest.raises(UnsavedChangesError, match=r"repository\.save"):
        await bank.mediator.send(Transfer(source="a", target="b"))


async def test_nested_commands_commit_or_vanish_together(bank: Bank) -> None:
    @bank.registry.command_handler(Transfer)
    async def transfer(command: Transfer) -> None:
        await bank.mediator.send(Deposit(account=command.source, amount=1))
        await bank.mediator.send(Deposit(account=command.target, amount=-1))

    with pytest.raises(InvariantViolationError):
        await bank.mediator.send(Transfer(source="a", target="b"))
    assert len(bank.units) == 1
    assert not await bank.accounts.exists("a")


async def test_a_nested_failure_that_is_swallowed_still_undoes_everything(bank: Bank) -> None:
    @bank.registry.command_handler(Transfer)
    async def transfer(command: Transfer) -> None:
        await bank.mediator.send(Deposit(account=command.source, amount=1))
        with contextlib.suppress(InvariantViolationError):
            await bank.mediator.send(Deposit(account=command.target, amount=-1))

    with pytest.raises(UnitOfWorkError, match="Deposit failed inside this unit of work"):
        await bank.mediator.send(Transfer(source="a", target="b"))
    assert not await bank.accounts.exists("a")


async def test_a_nested_failed_result_undoes_everything(bank: Bank) -> None:
    @bank.registry.command_handler(Try)
    async def handle(command: Try) -> Result[int]:
        await bank.deposit(Deposit(account="a", amount=command.amount))
        return Result.failure("changed my mind")

    @bank.registry.command_handler(Transfer)
    async def transfer(_command: Transfer) -> None:
        assert not (await bank.mediator.send(Try(amount=1))).success

    with pytest.raises(UnitOfWorkError, match="Try failed"):
        await bank.mediator.send(Transfer(source="a", target="b"))
    assert not await bank.accounts.exists("a")


async def test_events_of_a_command_sent_in_a_hand_opened_unit_of_work_are_recorded(
    bank: Bank,
) -> None:
    async with InMemoryUnitOfWork(bank.database):
        await bank.mediator.send(Deposit(account="a", amount=1))
        await bank.mediator.send(Deposit(account="a", amount=2))
        assert await bank.stored() == []
    assert [event.version for event in await bank.stored()] == [1, 2]
    assert len(await bank.queued()) == 2


async def test_a_nested_commands_events_come_after_its_parents_earlier_ones(bank: Bank) -> None:
    """A-5: a nested command's events were stored before its parent's."""

    @bank.registry.command_handler(Transfer)
    async def transfer(command: Transfer) -> None:
        account = Account(id=command.source)
        account.deposit(1)
        await bank.mediator.send(Deposit(account=command.target, amount=2))
        account.deposit(3)
        await bank.accounts.save(account)

    await bank.mediator.send(Transfer(source="a", target="b"))
    stored = [(event.aggregate_id, event.payload["amount"]) for event in await bank.stored()]
    assert stored == [("a", 1), ("b", 2), ("a", 3)]
    assert [message.message_id for message in await bank.queued()] == [
        event.event_id for event in await bank.stored()
    ]


async def test_what_an_event_causes_names_the_event_as_its_cause(bank: Bank) -> None:
    @bank.registry.event_handler
    async def follow(event: Deposited) -> None:
        if event.aggregate_id == "a":
            await bank.mediator.send(Deposit(account="b", amount=1))

    await bank.mediator.send(command := Deposit(account="a", amount=1))
    first, second = await bank.stored()
    assert first.causation_id == str(command.command_id)
    assert second.correlation_id == first.correlation_id
    assert second.causation_id not in (None, first.causation_id)


async def test_each_event_of_a_response_is_recorded_once(bank: Bank) -> None:
    class Announce(Command):
        pass

    @bank.registry.command_handler(Announce)
    async def announce(_command: Announce) -> CommandResponse[None]:
        account = Account(id="a")
        account.deposit(1)
        await bank.accounts.save(account)
        note = Notified(text="done")
        return CommandResponse(None, [*account.get_uncommitted_events(), note, note])

    response = await bank.mediator.send(Announce())
    assert [e.event_type for e in response.events] == ["Deposited", "Notified"]
    assert [e.event_type for e in await bank.stored()] == ["Deposited"]
    assert {m.message_type for m in await bank.queued()} == {"Deposited", "Notified"}


async def test_two_sends_of_one_task_are_two_requests(bank: Bank) -> None:
    """C-1: the correlation id of one command leaked into the next."""
    await bank.mediator.send(Deposit(account="a", amount=1))
    await bank.mediator.send(Deposit(account="a", amount=1))
    first, second = await bank.stored()
    assert first.correlation_id != second.correlation_id
    assert get_correlation_id() is None
    assert get_causation_id() is None


async def test_the_context_is_put_back_after_a_failure(bank: Bank) -> None:
    with pytest.raises(InvariantViolationError):
        await bank.mediator.send(Deposit(account="a", amount=-1, correlation_id="c"))
    assert get_correlation_id() is None
    assert get_current_uow() is None


async def test_a_task_started_by_a_handler_has_a_unit_of_work_of_its_own(bank: Bank) -> None:
    """C-2: such a task's command joined a unit of work that had ended, and was never committed."""
    tasks: list[asyncio.Task[Any]] = []
    release = asyncio.Event()

    async def later() -> None:
        await release.wait()
        await bank.mediator.send(Deposit(account="late", amount=1))

    @bank.registry.command_handler(Transfer)
    async def start(_command: Transfer) -> None:
        await bank.mediator.send(Deposit(account="now", amount=1))
        tasks.append(asyncio.create_task(later()))

    await bank.mediator.send(Transfer(source="a", target="b"))
    release.set()
    await asyncio.gather(*tasks)
    assert len(bank.units) == 2
    assert await bank.accounts.exists("late")


async def test_many_roots_whose_handlers_send_commands_do_not_block_each_other(bank: Bank) -> None:
    """C-3: a dispatcher slot was held while handlers sent commands that needed one."""

    @bank.registry.event_handler
    async def follow(event: Deposited) -> None:
        if event.amount > 1:
            await bank.mediator.send(
                Deposit(account=f"{event.aggregate_id}+", amount=event.amount - 1)
            )

    sends = [bank.mediator.send(Deposit(account=f"a{n}", amount=3)) for n in range(30)]
    await asyncio.gather(*sends)
    assert len(await bank.stored()) == 90


async def test_no_event_handler_runs_on_a_unit_of_work_that_is_rolled_back(bank: Bank) -> None:
    """C-4: siblings of a failed handler kept running after the rollback, at the same time."""
    seen: list[str] = []

    @bank.registry.event_handler
    async def first(_event: Deposited) -> None:
        seen.append("first")
        await asyncio.sleep(0)
        msg = "no"
        raise InvariantViolationError(msg)

    @bank.registry.event_handler
    async def second(_event: Deposited) -> None:
        seen.append("second")

    with pytest.raises(InvariantViolationError):
        await bank.mediator.send(Deposit(account="a", amount=1))
    await asyncio.sleep(0)
    assert seen == ["first"]


async def test_a_handler_of_a_base_class_sees_every_subclass() -> None:
    """C-16: the dispatcher knew exact types only."""
    dispatcher = EventDispatcher()
    seen: list[str] = []

    @dispatcher.subscribe(DomainEvent)
    async def log(event: DomainEvent) -> None:
        seen.append(event.event_type)

    bank = Bank(dispatcher=dispatcher)
    await bank.mediator.send(Deposit(account="a", amount=1))
    assert seen == ["Deposited"]


async def test_two_mediators_on_one_dispatcher_call_a_handler_once_each() -> None:
    """C-16: handlers were registered twice."""
    dispatcher = EventDispatcher()
    seen: list[int] = []

    @dispatcher.subscribe(Deposited, Notified)
    async def log(event: Deposited) -> None:
        seen.append(event.amount)

    first, second = Bank(dispatcher=dispatcher), Bank(dispatcher=dispatcher)
    await first.mediator.send(Deposit(account="a", amount=1))
    await second.mediator.send(Deposit(account="a", amount=2))
    assert seen == [1, 2]


async def test_a_handler_registered_late_is_called(bank: Bank) -> None:
    await bank.mediator.send(Deposit(account="a", amount=1))
    seen: list[int] = []

    @bank.registry.event_handler
    async def note(event: Deposited) -> None:
        seen.append(event.amount)

    await bank.mediator.send(Deposit(account="a", amount=2))
    assert seen == [2]


async def test_an_asynchronous_handler_runs_after_the_commit_and_cannot_undo_it(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    balances: list[int] = []

    async def after(event: Deposited) -> None:
        assert get_current_uow() is None
        balances.append(await bank.mediator.ask(Balance(account=event.aggregate_id or "")))
        msg = "the mail server is down"
        raise RuntimeError(msg)

    bank.registry.register_event_handler(Deposited, after, synchronous=False)
    with caplog.at_level(logging.ERROR):
        response = await bank.mediator.send(Deposit(account="a", amount=4))
    assert response.success
    assert balances == [4]
    assert "the mail server is down" in caplog.text


async def test_a_command_that_touches_no_store_opens_no_unit_of_work(bank: Bank) -> None:
    @bank.registry.command_handler(Transfer)
    async def nothing(_command: Transfer) -> None:
        return None

    await bank.mediator.send(Transfer(source="a", target="b"))
    assert bank.units == []


async def test_a_query_has_no_unit_of_work_and_says_how_long_it_took(bank: Bank) -> None:
    await bank.mediator.send(Deposit(account="a", amount=4))
    query = Balance(account="a")
    response = await bank.mediator.query(query)
    assert response.result == await bank.mediator.ask(query) == 4
    assert response.query_id == query.query_id
    assert response.execution_time_ms > 0
    assert len(bank.units) == 1


async def test_an_unknown_message_is_refused_by_name(bank: Bank) -> None:
    class Unheard(Command):
        pass

    class Unasked(Query[int]):
        pass

    with pytest.raises(HandlerNotFoundError, match="no command handler for Unheard"):
        await bank.mediator.send(Unheard())
    with pytest.raises(HandlerNotFoundError, match="no query handler for Unasked"):
        await bank.mediator.ask(Unasked())


async def test_handler_classes_are_built_once_and_by_the_factory() -> None:
    class Doubler(CommandHandler[Deposit, int]):
        def __init__(self, factor: int) -> None:
            self.factor = factor

        async def handle(self, command: Deposit) -> int:
            return command.amount * self.factor

    class Zero(QueryHandler[Balance, int]):
        async def handle(self, query: Balance) -> int:
            return 0

    built: list[Any] = []

    def factory(handler_class: type[Any]) -> Any:
        built.append(handler_class)
        return handler_class(2) if handler_class is Doubler else handler_class()

    registry = HandlerRegistry()
    registry.register_command_handler(Deposit, Doubler)
    registry.register_query_handler(Balance, Zero)
    mediator = Mediator(registry, InMemoryUnitOfWork, handler_factory=factory)
    for _ in range(2):
        assert (await mediator.send(Deposit(account="a", amount=4))).result == 8
        assert await mediator.ask(Balance(account="a")) == 0
    assert built == [Doubler, Zero]
    with pytest.raises(ConfigurationError, match="handler_factory"):
        await Mediator(registry, InMemoryUnitOfWork).send(Deposit(account="a", amount=4))


class Recorder(IMiddleware):
    """Notes what it sees, and whether a unit of work is current."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    def applies_to(self, message_type: type[Any]) -> bool:
        return message_type is not Transfer

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        self.seen.append(f"{self.name} {'in' if get_current_uow() else 'out'}")
        return await next_handler(message)


class InsideRecorder(Recorder):
    scope = MiddlewareScope.INSIDE


async def test_middlewares_run_in_order_around_and_in_the_unit_of_work() -> None:
    seen: list[str] = []
    bank = Bank(Recorder("first", seen), InsideRecorder("inner", seen), Recorder("second", seen))
    await bank.mediator.send(Deposit(account="a", amount=1))
    assert seen == ["first out", "second out", "inner in"]


async def test_for_queries_inside_means_nearer_to_the_handler() -> None:
    seen: list[str] = []
    bank = Bank(InsideRecorder("inner", seen), Recorder("outer", seen))
    await bank.mediator.ask(Balance(account="a"))
    assert seen == ["outer out", "inner out"]


async def test_a_middleware_may_leave_message_types_alone() -> None:
    seen: list[str] = []
    bank = Bank(Recorder("outer", seen))

    @bank.registry.command_handler(Transfer)
    async def nothing(_command: Transfer) -> None:
        return None

    await bank.mediator.send(Transfer(source="a", target="b"))
    assert seen == []
