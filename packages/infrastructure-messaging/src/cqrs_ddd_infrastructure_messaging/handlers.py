"""Handlers of messages: back to events for their handlers, and to commands for the mediator."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_infrastructure_messaging.exceptions import MessageKindError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cqrs_ddd_core.cqrs.command import Command
    from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
    from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_core.ports.event_dispatcher import IEventDispatcher
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["handle_commands", "handle_events", "read_command"]


def handle_events(
    dispatcher: IEventDispatcher | Mediator, serializer: EventSerializer
) -> MessageHandler:
    """Return a handler that calls the event handlers for what a message is read as today.

    That is one event, several, or none. Synchronous handlers run in the unit of work of the
    consumer, and the first exception fails the message; asynchronous ones run after its commit,
    where an exception is only logged: what must happen belongs into a synchronous one.

    Args:
        dispatcher: Whose handlers are called; a mediator stands for all of its.
        serializer: Reads the events; its registry is the closed list of what may be read.
    """
    dispatchers = (
        dispatcher.event_dispatchers if isinstance(dispatcher, Mediator) else (dispatcher,)
    )

    async def handle(message: OutboxMessage) -> None:
        _expect(MessageKind.EVENT, message)
        events = serializer.hydrate_message(message)
        for one in dispatchers:
            await _dispatch(one, events)

    return handle


def handle_commands(mediator: Mediator, registry: MessageRegistry) -> MessageHandler:
    """Return a handler that sends the command a message holds, in the consumer's unit of work.

    Nobody is told of the result; ``CommandReceiver`` answers.

    Args:
        mediator: Sends the commands.
        registry: The closed list of commands that may be read.
    """

    async def handle(message: OutboxMessage) -> None:
        await mediator.send(read_command(message, registry))

    return handle


def read_command(message: OutboxMessage, registry: MessageRegistry) -> Command[Any]:
    """Return the command a message holds; its id is that of the message.

    Raises:
        MessageKindError: It holds an event.
        UnknownMessageTypeError: Nobody registered its type.
        SchemaVersionError: It has another version than its class, and no upcaster.
        SerializationError: It does not fit its class.
    """
    _expect(MessageKind.COMMAND, message)
    command = registry.hydrate_command(
        message.message_type, message.payload, schema_version=message.schema_version
    )
    # Another sender may leave it out of the payload; a new one at each reading would be no key.
    if command.command_id != message.message_id:
        return command.model_copy(update={"command_id": message.message_id})
    return command


async def _dispatch(dispatcher: IEventDispatcher, events: Sequence[DomainEvent]) -> None:
    await dispatcher.dispatch(events)
    uow = get_current_uow()
    if uow is None:
        await dispatcher.dispatch_committed(events)
    else:
        uow.on_commit(partial(dispatcher.dispatch_committed, events))


def _expect(kind: MessageKind, message: OutboxMessage) -> None:
    if message.kind is not kind:
        raise MessageKindError(message.message_id, message.message_type, kind)
