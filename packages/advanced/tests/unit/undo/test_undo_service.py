"""Undo together with what else a program has: upcasters, locks, event sourcing, other hooks."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import Field, computed_field

from cqrs_ddd_advanced_core.adapters.memory import InMemoryUndoHistory
from cqrs_ddd_advanced_core.domain.exceptions import UndoFailedError, UndoNotAllowedError
from cqrs_ddd_advanced_core.event_sourcing import (
    EventSourcedMediatorFactory,
    EventSourcedRepository,
)
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.testing.samples import (
    Deposit,
    OpenAccount,
    SampleAccount,
    Withdraw,
    register_account_handlers,
)
from cqrs_ddd_advanced_core.undo import (
    Executed,
    IUndoExecutor,
    UndoDecision,
    UndoExecutorRegistry,
    UndoService,
)
from cqrs_ddd_advanced_core.upcasting import CommandUpcaster, UpcasterRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryLockStrategy,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.concurrency import ConcurrencyGuardMiddleware
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.locking import ResourceIdentifier
from cqrs_ddd_core.ports.middleware import IMiddleware, NextHandler
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import CommitOutcomeUnknownError, SerializationError


class Turn(Command[int]):
    by: int

    def get_critical_resources(self) -> tuple[ResourceIdentifier, ...]:
        return (ResourceIdentifier("Dial", "1"),)


class Dial:
    """Something to turn; it is not stored, so that only the history is."""

    def __init__(self, **options: Any) -> None:
        self.database = InMemoryDatabase()
        self.history = InMemoryUndoHistory(self.database)
        self.at = 0
        self.executors = UndoExecutorRegistry(options.pop("messages", None))
        self.handlers = HandlerRegistry()
        self.handlers.register_command_handler(Turn, self._turn)
        self.mediator = Mediator(
            self.handlers,
            lambda: InMemoryUnitOfWork(self.database),
            middlewares=options.pop("middlewares", ()),
        )
        self.service = UndoService(self.mediator, self.history, self.executors, **options)

    async def _turn(self, command: Turn) -> int:
        self.at += command.by
        return self.at


def _turn_back(command: Turn) -> Turn:
    return Turn(by=-command.by)


async def test_times_are_those_of_the_clock() -> None:
    clock = FixedClock()
    dial = Dial(clock=clock)
    dial.executors.undo(Turn)(_turn_back)
    token = await dial.service.execute(Turn(by=1))
    created = clock.now()
    clock.advance(60)
    [entry] = (await dial.service.undo(token)).entries
    assert (entry.created_at, entry.updated_at) == (created, clock.now())


async def test_functions_say_how_a_command_is_redone() -> None:
    dial = Dial()
    dial.executors.undo(Turn)(_turn_back)
    dial.executors.redo(Turn)(lambda command: [Turn(by=command.by), Turn(by=100)])
    token = await dial.service.execute(Turn(by=1))
    await dial.service.undo(token)
    [entry] = (await dial.service.redo(token)).entries
    assert dial.at == 101
    assert (entry.status, entry.memento) == (UndoStatus.DONE, None)


async def test_a_redo_may_change_the_command() -> None:
    dial = Dial()
    dial.executors.undo(Turn)(_turn_back)
    dial.executors.redo(Turn)(lambda command: Turn(by=command.by * 2))
    token = await dial.service.execute(Turn(by=1))
    await dial.service.undo(token)
    await dial.service.redo(token)
    assert dial.at == 2
    await dial.service.undo(token)
    assert dial.at == 0


async def test_a_decision_has_its_reason() -> None:
    dial = Dial()
    dial.executors.undo(Turn)(_turn_back)

    @dial.executors.can_undo(Turn)
    async def only_when_at_one(command: Turn) -> UndoDecision:
        return UndoDecision(dial.at == 1, "the dial was turned since")

    token = await dial.service.execute(Turn(by=1))
    assert await dial.service.can_undo(token)
    dial.at = 5
    assert (await dial.service.can_undo(token)).reason == (
        f"Turn {token}: the dial was turned since"
    )
    with pytest.raises(UndoNotAllowedError, match="the dial was turned since"):
        await dial.service.undo(token)
    assert [one.status for one in await dial.service.history()] == [UndoStatus.DONE]


async def test_a_class_may_remember_before_and_after() -> None:
    dial = Dial()

    class TurnBack(IUndoExecutor[Turn, tuple[int, int]]):
        async def before(self, command: Turn) -> tuple[int, int]:
            return dial.at, 0

        async def after(
            self, command: Turn, result: int, memento: tuple[int, int] | None
        ) -> tuple[int, int]:
            assert memento is not None
            return memento[0], result

        async def undo(self, executed: Executed[Turn, tuple[int, int]]) -> Turn:
            before, after = executed.memento
            assert executed.entry.token == executed.command.command_id
            return Turn(by=before - after)

    dial.executors.register(TurnBack())
    dial.at = 7
    token = await dial.service.execute(Turn(by=3))
    await dial.service.undo(token)
    assert dial.at == 7


async def test_a_failed_class_is_compensated_with_its_memento() -> None:
    dial = Dial()

    class Jammed(IUndoExecutor[Turn, int]):
        async def after(self, command: Turn, result: int, memento: int | None) -> int:
            return result

        async def undo(self, executed: Executed[Turn, int]) -> None:
            msg = "jammed"
            raise RuntimeError(msg)

        async def compensate(self, executed: Executed[Turn, int], error: Exception) -> Turn:
            assert str(error) == "jammed"
            return Turn(by=-executed.memento)

    dial.executors.register(Jammed())
    token = await dial.service.execute(Turn(by=3))
    with pytest.raises(UndoFailedError, match=r"compensated.*RuntimeError: jammed"):
        await dial.service.undo(token)
    assert dial.at == 0


class LoseReplies(IMiddleware):
    """The commit goes through, and nobody hears of it."""

    def applies_to(self, message_type: type[Any]) -> bool:
        return getattr(message_type, "command_type", "") == "undo.Compensate"

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        await next_handler(message)
        raise CommitOutcomeUnknownError("no reply")


async def test_a_compensation_whose_reply_is_lost_is_not_called_failed() -> None:
    dial = Dial(middlewares=[LoseReplies()])

    @dial.executors.undo(Turn)
    def jammed(command: Turn) -> None:
        msg = "jammed"
        raise RuntimeError(msg)

    dial.executors.compensate(Turn)(_turn_back)
    token = await dial.service.execute(Turn(by=3))
    with pytest.raises(UndoFailedError, match=r"\(compensated\)"):
        await dial.service.undo(token)
    assert dial.at == 0
    assert [one.status for one in await dial.service.history()] == [UndoStatus.COMPENSATED]


class Weigh(Command[None]):
    weight: Decimal
    note: str = Field("", exclude=True)
    sign: str = Field(default="+", alias="theSign")

    @computed_field
    def doubled(self) -> Decimal:
        return 2 * self.weight


def _scales() -> Dial:
    dial = Dial()

    async def weigh(command: Weigh) -> None:
        dial.at = 1

    dial.handlers.register_command_handler(Weigh, weigh)
    dial.executors.undo(Weigh)(lambda command: None)
    return dial


async def test_a_command_with_aliases_and_computed_fields_comes_back() -> None:
    dial = _scales()
    token = await dial.service.execute(Weigh(weight=Decimal("1.50"), theSign="-"))
    assert await dial.service.can_undo(token)
    [entry] = await dial.service.history()
    assert b'"weight":"1.50","sign":"-"' in entry.command


async def test_a_command_that_would_not_come_back_is_not_executed() -> None:
    """Better now than when somebody wants to undo it."""
    dial = _scales()
    for weight in ("heavy", Decimal("NaN")):
        with pytest.raises(SerializationError):
            await dial.service.execute(Weigh.model_construct(weight=weight))  # type: ignore[arg-type]
    with pytest.raises(SerializationError, match="comes back from JSON as another command"):
        await dial.service.execute(Weigh(weight=Decimal(1), note="this is excluded"))
    assert (dial.at, await dial.service.history()) == (0, [])


async def test_undoing_locks_what_the_command_locked() -> None:
    locks = InMemoryLockStrategy()
    held: list[bool] = []
    dial = Dial(middlewares=[ConcurrencyGuardMiddleware(locks, timeout=0.01)])

    @dial.executors.before(Turn)
    async def look(command: Turn) -> None:
        held.append(await _is_locked(locks))

    @dial.executors.can_undo(Turn)
    async def look_again(command: Turn) -> bool:
        held.append(await _is_locked(locks))
        return True

    dial.executors.undo(Turn)(_turn_back)
    token = await dial.service.execute(Turn(by=1))
    await dial.service.undo(token)
    assert held == [True, True]
    assert not await _is_locked(locks)


async def _is_locked(locks: InMemoryLockStrategy) -> bool:
    async def take() -> bool:
        resource = ResourceIdentifier("Dial", "1")
        try:
            token = await locks.acquire(resource, timeout=0, ttl=1)
        except Exception:  # noqa: BLE001 - whatever it is, it is not free
            return True
        return not await locks.release(resource, token)

    return await asyncio.create_task(take())


class Spin(Command[int]):
    """What Turn is called today."""

    schema_version: ClassVar[int] = 2

    by: int
    direction: str


class TurnIsSpin(CommandUpcaster):
    command_type = "Turn"
    source_version = 1
    target_type = "Spin"

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "direction": "right"}


async def test_a_command_of_an_older_shape_is_undone_and_redone() -> None:
    dial = Dial()
    dial.executors.undo(Turn)(_turn_back)
    token = await dial.service.execute(Turn(by=3))

    executors = UndoExecutorRegistry(MessageRegistry(UpcasterRegistry([TurnIsSpin()])))
    executors.undo(Spin)(lambda command: Spin(by=-command.by, direction=command.direction))
    spun: list[Spin] = []

    async def spin(command: Spin) -> int:
        spun.append(command)
        return 0

    dial.handlers.register_command_handler(Spin, spin)
    today = UndoService(dial.mediator, dial.history, executors)
    await today.undo(token)
    [entry] = (await today.redo(token)).entries
    assert (entry.command_type, entry.schema_version) == ("Spin", 2)
    await today.undo(token)
    assert [(command.by, command.direction) for command in spun] == [
        (-3, "right"),
        (3, "right"),
        (-3, "right"),
    ]


async def test_events_of_undoing_are_appended_with_everything_else() -> None:
    database, handlers = InMemoryDatabase(), HandlerRegistry()
    store = InMemoryEventStore(database)
    register_account_handlers(handlers, EventSourcedRepository(store, SampleAccount))
    factory = EventSourcedMediatorFactory(
        event_store=store,
        uow_factory=lambda: InMemoryUnitOfWork(database),
        handler_registry=handlers,
    )
    factory.register_event_sourced_type("SampleAccount")
    mediator, executors = factory.create(), UndoExecutorRegistry()
    service = UndoService(mediator, InMemoryUndoHistory(database), executors)

    @executors.undo(Deposit)
    def take_it_back(command: Deposit) -> Withdraw:
        return Withdraw(account_id=command.account_id, amount=command.amount)

    await mediator.send(OpenAccount(account_id="a"))
    sent = await service.send(Deposit(account_id="a", amount=Decimal(5)))
    assert sent.response is not None
    assert sent.response.position == 2
    assert [event.event_type for event in sent.response.events] == ["MoneyDeposited"]
    await service.undo(sent.token)
    await service.redo(sent.token)
    events = await store.get_events(StreamId("SampleAccount", "a"))
    assert [event.event_type for event in events] == [
        "AccountOpened",
        "MoneyDeposited",
        "MoneyWithdrawn",
        "MoneyDeposited",
    ]
    [entry] = await service.history()
    assert {event.correlation_id for event in events[1:2]} == {entry.correlation_id}
