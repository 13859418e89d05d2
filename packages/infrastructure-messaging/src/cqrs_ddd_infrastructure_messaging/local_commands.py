"""Commands of an outbox, handled in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    DomainError,
    HandlerNotFoundError,
    SerializationError,
    UndeliverableError,
    ValidationError,
)
from cqrs_ddd_infrastructure_messaging._transactions import handling
from cqrs_ddd_infrastructure_messaging.exceptions import MessageKindError
from cqrs_ddd_infrastructure_messaging.handlers import read_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["LocalCommandPublisher"]

#: Told of a command and of the error its handler refused it with.
RefusalHandler: TypeAlias = "Callable[[OutboxMessage, Exception], Awaitable[None]]"

_UNREADABLE: Final = (HandlerNotFoundError, MessageKindError, SerializationError)


class LocalCommandPublisher(IMessagePublisher):
    """Sends the commands of an outbox through a mediator of this process.

    Guarantee (G5): a command has its effect once, however often it is relayed: each runs in its
    own unit of work, and the mediator's ``IdempotencyMiddleware`` records it there under the id
    of its message. Commands of one stream run one after the other, those of different streams
    side by side. Tenant, correlation and trace are those of the message.

    A command that its handler refuses, with a ``DomainError``, a ``ValidationError`` or a
    response without success, will be refused again. It is parked with the reason and holds its
    stream back until an operator decides, unless ``on_refusal`` deals with it. One that cannot be
    read or has no handler is parked too. Whatever else is raised counts as a failed try.

    Args:
        mediator: Handles the commands; with an ``IdempotencyMiddleware``.
        registry: The closed list of commands that may be read.
        concurrency: How many streams are worked on at a time.
        on_refusal: Called instead of parking a refused command, such as to tell the saga that
            sent it. The command is done when it returns; after a crash it is called again.

    Raises:
        ConfigurationError: The mediator has no ``IdempotencyMiddleware``.
    """

    def __init__(
        self,
        mediator: Mediator,
        registry: MessageRegistry,
        *,
        concurrency: int = 10,
        on_refusal: RefusalHandler | None = None,
    ) -> None:
        if not any(isinstance(one, IdempotencyMiddleware) for one in mediator.middlewares):
            msg = (
                "a relayed command may come twice: give the mediator an IdempotencyMiddleware, "
                "so that it has its effect once"
            )
            raise ConfigurationError(msg)
        self._mediator = mediator
        self._registry = registry
        self._concurrency = concurrency
        self._on_refusal = on_refusal

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        outcomes: list[PublishOutcome] = [None] * len(messages)
        streams: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, message in enumerate(messages):
            streams[message.tenant_id, message.stream].append(number)
        turns = asyncio.Semaphore(self._concurrency)

        async def run(numbers: Sequence[int]) -> None:
            async with turns:
                failure: PublishOutcome = None
                for number in numbers:
                    failure = failure or await self._try(messages[number])
                    outcomes[number] = failure

        async with asyncio.TaskGroup() as group:
            for numbers in streams.values():
                group.create_task(run(numbers))
        return outcomes

    async def _try(self, message: OutboxMessage) -> PublishOutcome:
        try:
            with handling(message):
                await self._send(message)
        except Exception as error:  # noqa: BLE001 - the outcome of this one; the others go on
            return error
        return None

    async def _send(self, message: OutboxMessage) -> None:
        try:
            command = read_command(message, self._registry)
            response = await self._mediator.send(command)
        except _UNREADABLE as error:
            raise _undeliverable(error) from error
        except (DomainError, ValidationError) as error:
            await self._refuse(message, error)
            return
        if not response.success:
            await self._refuse(message, UndeliverableError("its handler reported a failure"))

    async def _refuse(self, message: OutboxMessage, error: Exception) -> None:
        if self._on_refusal is None:
            raise _undeliverable(error) from error
        await self._on_refusal(message, error)


def _undeliverable(error: Exception) -> UndeliverableError:
    if isinstance(error, UndeliverableError):
        return error
    return UndeliverableError(f"{type(error).__name__}: {error}")
