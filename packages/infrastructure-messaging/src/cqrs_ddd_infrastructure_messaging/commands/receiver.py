"""The receiving side of commands from elsewhere."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import from_json

from cqrs_ddd_core.cqrs.result_codec import ResultCodec
from cqrs_ddd_core.primitives.exceptions import DomainError, MessagingError, ValidationError
from cqrs_ddd_infrastructure_messaging._transactions import MessageTransactions, handling
from cqrs_ddd_infrastructure_messaging.commands.reply import REPLY_PREFIX, Outcome, Reply
from cqrs_ddd_infrastructure_messaging.handlers import read_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from cqrs_ddd_core.cqrs.command import Command
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
    from cqrs_ddd_core.ports.inbox import IInbox
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher
    from cqrs_ddd_core.ports.retry import IRetryPolicy
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["CommandReceiver"]

_logger = logging.getLogger(__name__)

# What is recorded, and whether it was before. Nothing is where a plain consumer made the mark.
_Found: TypeAlias = tuple[Outcome | None, bool]


class CommandReceiver:
    """Handles each command message once, records what it came to, and answers who asked.

    Guarantee (G5): one effect per command id. Mark, effects and outcome commit together; a repeat
    gets the recorded outcome as its answer. A refusal is an outcome too: everything the command
    did is rolled back, the refusal is recorded, and a repeat is not decided anew. Other errors
    are raised, so that the transport tries again or gives up. An instance is a
    ``MessageHandler``.

    The answer is sent after the commit and not again when that fails: who asked repeats the
    command after its timeout and gets it then.

    Args:
        mediator: Sends the commands; they join the receiver's unit of work.
        registry: The closed list of commands that may be read.
        consumer: Name the marks are kept under; that of the subscription.
        inbox: Of the database the handlers write to.
        uow_factory: Makes the unit of work of each command.
        publisher: Sends the answers; nobody is answered when not given.
        refusals: Errors that are an answer and not a failure.
        retry: Whether to try again at once, in a fresh unit of work; 3 times after a lost race
            when not given.

    Raises:
        ConfigurationError: The result of a registered command cannot be kept as JSON.
    """

    def __init__(
        self,
        mediator: Mediator,
        registry: MessageRegistry,
        *,
        consumer: str,
        inbox: IInbox,
        uow_factory: UnitOfWorkFactory,
        publisher: IMessagePublisher | None = None,
        refusals: tuple[type[Exception], ...] = (DomainError, ValidationError),
        retry: IRetryPolicy | None = None,
    ) -> None:
        self._mediator = mediator
        self._registry = registry
        self._consumer = consumer
        self._inbox = inbox
        self._transactions = MessageTransactions(uow_factory, retry=retry)
        self._publisher = publisher
        self._refusals = refusals
        self._codecs = {one: _codec_of(one) for one in registry.commands.values()}
        self._unsent_replies = 0

    @property
    def unsent_replies(self) -> int:
        """How many answers could not be sent."""
        return self._unsent_replies

    async def __call__(self, message: OutboxMessage) -> None:
        """Handle a command unless it is known, and answer.

        Raises:
            SerializationError: It cannot be read; no further try will help.
            Exception: Whatever the handler raised that is no refusal; nothing was changed.
        """
        command = read_command(message, self._registry)
        with handling(message):
            outcome, replayed = await self._handle(command)
            reply_to = message.headers.get("reply_to")
            if reply_to is not None and outcome is not None:
                reply = Reply(command_id=message.message_id, outcome=outcome, replayed=replayed)
                await self._answer(message, reply, str(reply_to))

    async def _handle(self, command: Command[Any]) -> _Found:
        try:
            return await self._once(command.command_id, partial(self._send, command))
        except _Failed as failed:
            refused = failed.outcome
        except self._refusals as error:
            refused = Outcome.refused(error)
        return await self._once(command.command_id, partial(_just, refused))

    async def _once(self, command_id: UUID, work: Callable[[], Awaitable[Outcome]]) -> _Found:
        return await self._transactions.run(partial(self._receive, command_id, work))

    async def _receive(self, command_id: UUID, work: Callable[[], Awaitable[Outcome]]) -> _Found:
        known = await self._inbox.receive(self._consumer, command_id)
        if known is not None:
            return (None if known.outcome is None else Outcome.read(known.outcome)), True
        outcome = await work()
        await self._inbox.record_outcome(self._consumer, command_id, outcome.dump())
        return outcome, False

    async def _send(self, command: Command[Any]) -> Outcome:
        response = await self._mediator.send(command)
        codec = self._codecs.get(type(command)) or _codec_of(type(command))
        outcome = Outcome(success=response.success, result=from_json(codec.dump(response.result)))
        if not response.success:
            raise _Failed(outcome)
        return outcome

    async def _answer(self, message: OutboxMessage, reply: Reply, reply_to: str) -> None:
        if self._publisher is None or not reply_to.startswith(REPLY_PREFIX):
            _logger.warning("command %s wants an answer nobody sends", message.message_id)
            return
        try:
            (failure,) = await self._publisher.publish([reply.to_message(message, reply_to)])
        except MessagingError as error:
            failure = error
        if failure is not None:
            self._unsent_replies += 1
            _logger.warning("no answer to command %s: %r", message.message_id, failure)


class _Failed(Exception):  # noqa: N818 - never leaves this module
    """Rolls back a command whose handler returned a failed result."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def _codec_of(command_type: type[Command[Any]]) -> ResultCodec:
    return ResultCodec(command_type, default=None)


async def _just(outcome: Outcome) -> Outcome:
    return outcome
