"""Commands of an outbox have their effect once, in a unit of work of their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from uuid import UUID

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryInbox,
    InMemoryMessageBus,
    InMemoryMessagePublisher,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    DomainError,
    TransientPersistenceError,
    UndeliverableError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.samples import SampleOrder, new_message, place_order
from cqrs_ddd_infrastructure_messaging import KindPublisher, LocalCommandPublisher, OutboxRelay

AT_ONCE = ExponentialBackoff(initial=0.0, maximum=0.0)


class PlaceOrder(Command[str]):
    order_id: str
    failure: str = ""


class Application:
    """Places orders, and remembers who asked."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.storage = InMemoryOutboxStorage(self.database)
        self.repository = InMemoryRepository(SampleOrder, self.database)
        self.handled: list[tuple[str, str, str | None]] = []
        self.failures: dict[str, Exception] = {}
        self.refused: list[tuple[UUID, str]] = []
        handlers, self.messages = HandlerRegistry(), MessageRegistry()
        handlers.register_command_handler(PlaceOrder, self.place)
        self.messages.register_command(PlaceOrder)
        self.mediator = Mediator(
            handlers,
            lambda: InMemoryUnitOfWork(self.database),
            middlewares=[IdempotencyMiddleware(InMemoryInbox(self.database))],
            outbox=self.storage,
        )
        self.publisher = LocalCommandPublisher(self.mediator, self.messages)

    async def place(self, command: PlaceOrder) -> str:
        await asyncio.sleep(0)
        context = get_context()
        self.handled.append((command.order_id, context.tenant_id, context.correlation_id))
        await self.repository.save(place_order(command.order_id))
        if command.order_id in self.failures:
            raise self.failures[command.order_id]
        return command.order_id

    def relay(self, publisher: LocalCommandPublisher | None = None) -> OutboxRelay:
        events = InMemoryMessagePublisher(InMemoryMessageBus())
        return OutboxRelay(
            self.storage,
            KindPublisher(events=events, commands=publisher or self.publisher),
            message_backoff=AT_ONCE,
            max_attempts=3,
        )

    async def note_refusal(self, message: OutboxMessage, error: Exception) -> None:
        self.refused.append((message.message_id, str(error)))


@pytest.fixture
def application() -> Application:
    return Application()


def _command(order_id: str, *, stream: str = "Saga-1", tenant_id: str = "") -> OutboxMessage:
    return OutboxMessage(
        new_id(),
        MessageKind.COMMAND,
        "PlaceOrder",
        json.dumps({"order_id": order_id}).encode(),
        stream,
        correlation_id="request-1",
        tenant_id=tenant_id,
    )


async def test_a_command_is_handled_once_however_often_it_is_relayed(
    application: Application,
) -> None:
    """G5: under the id of its message, though the payload names none."""
    command = _command("o-1", tenant_id="acme")
    for _ in range(3):
        assert await application.publisher.publish([command]) == [None]
    assert application.handled == [("o-1", "acme", "request-1")]


async def test_each_command_has_its_own_unit_of_work(application: Application) -> None:
    application.failures["o-2"] = DomainError("sold out")
    commands = [_command(f"o-{number}", stream=f"Saga-{number}") for number in range(1, 4)]
    outcomes = await application.publisher.publish(commands)
    assert [type(outcome) for outcome in outcomes] == [type(None), UndeliverableError, type(None)]
    stored = [await application.repository.get_by_id(f"o-{number}") for number in range(1, 4)]
    assert [order is not None for order in stored] == [True, False, True]


async def test_commands_of_a_stream_run_one_after_the_other(application: Application) -> None:
    commands = [_command(f"o-{number}", stream=f"Saga-{number % 3}") for number in range(12)]
    await application.publisher.publish(commands)
    for stream in range(3):
        own = [order for order, _, _ in application.handled if int(order[2:]) % 3 == stream]
        assert own == sorted(own, key=lambda order: int(order[2:]))


async def test_what_follows_a_failure_in_its_stream_is_not_sent(application: Application) -> None:
    application.failures["o-1"] = TransientPersistenceError("deadlock")
    outcomes = await application.publisher.publish([_command("o-1"), _command("o-2")])
    assert outcomes[0] is outcomes[1]
    assert [order for order, _, _ in application.handled] == ["o-1"]


async def test_a_refused_command_is_parked_at_once_and_others_go_on(
    application: Application,
) -> None:
    """G9."""
    application.failures["o-1"] = DomainError("sold out")
    refused, other = _command("o-1"), _command("o-2", stream="Saga-2")
    await application.storage.save_messages([refused, other])
    relay = application.relay()
    await relay.run_once()
    [parked] = await relay.parked.list()
    assert (parked.message, parked.attempts) == (refused, 1)
    assert parked.error == "UndeliverableError: DomainError: sold out"
    assert await application.repository.get_by_id("o-2") is not None


async def test_a_refusal_can_be_dealt_with_instead(application: Application) -> None:
    application.failures["o-1"] = DomainError("sold out")
    publisher = LocalCommandPublisher(
        application.mediator, application.messages, on_refusal=application.note_refusal
    )
    refused, behind = _command("o-1"), _command("o-2")
    await application.storage.save_messages([refused, behind])
    relay = application.relay(publisher)
    await relay.run_once()
    assert application.refused == [(refused.message_id, "sold out")]
    assert await relay.parked.list() == []
    assert await application.repository.get_by_id("o-2") is not None


async def test_another_failure_is_tried_again_and_then_parked(application: Application) -> None:
    application.failures["o-1"] = RuntimeError("a bug")
    await application.storage.save_messages([_command("o-1")])
    relay = application.relay()
    for _ in range(5):
        await relay.run_once()
    [parked] = await relay.parked.list()
    assert (parked.attempts, parked.error) == (3, "RuntimeError: a bug")
    assert len(application.handled) == 3


@pytest.mark.parametrize(
    "unreadable",
    [
        replace(_command("o-1"), message_type="Unheard"),
        replace(_command("o-1"), payload=b"{}"),
        replace(_command("o-1"), schema_version=9),
        new_message(),
    ],
    ids=["unknown type", "wrong fields", "unknown version", "an event"],
)
async def test_what_cannot_be_read_is_parked_at_once(
    application: Application, unreadable: OutboxMessage
) -> None:
    [outcome] = await application.publisher.publish([unreadable])
    assert isinstance(outcome, UndeliverableError)
    assert application.handled == []


async def test_a_handled_command_leaves_its_events_in_the_outbox(application: Application) -> None:
    await application.storage.save_messages([_command("o-1")])
    relay = application.relay()
    assert await relay.run_once() == 1
    assert (await application.storage.backlog()).pending == 1
    assert await relay.run_once() == 1


async def test_a_cancelled_relay_cancels_its_commands(application: Application) -> None:
    """G10: nothing of a half-done command stays."""
    entered, never = asyncio.Event(), asyncio.Event()

    async def hang(command: PlaceOrder) -> str:
        entered.set()
        await never.wait()
        return command.order_id

    handlers = HandlerRegistry()
    handlers.register_command_handler(PlaceOrder, hang)
    inbox = InMemoryInbox(application.database)
    mediator = Mediator(
        handlers,
        lambda: InMemoryUnitOfWork(application.database),
        middlewares=[IdempotencyMiddleware(inbox)],
    )
    publisher = LocalCommandPublisher(mediator, application.messages)
    publishing = asyncio.create_task(publisher.publish([_command("o-1")]))
    await entered.wait()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert await application.repository.get_by_id("o-1") is None


def test_a_mediator_that_would_repeat_commands_is_refused(application: Application) -> None:
    mediator = Mediator(HandlerRegistry(), InMemoryUnitOfWork)
    with pytest.raises(ConfigurationError, match="IdempotencyMiddleware"):
        LocalCommandPublisher(mediator, application.messages)
