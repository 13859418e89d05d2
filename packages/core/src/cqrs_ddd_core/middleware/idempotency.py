"""A command that comes again has no second effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cqrs_ddd_core.cqrs.batching import CommandBatch
from cqrs_ddd_core.cqrs.command import Command, CommandResponse, to_response
from cqrs_ddd_core.cqrs.result_codec import ResultCodec
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope
from cqrs_ddd_core.primitives.exceptions import InboxError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["IdempotencyMiddleware"]

_NOTHING = b"null"


class IdempotencyMiddleware(IMiddleware):
    """Handles each ``command_id`` once and answers a repeat with the recorded outcome.

    Guarantee (G5): the mark is made in the command's own unit of work, before the handler runs,
    and commits with its effect. A command that failed or was rolled back leaves no mark, so that
    it can be tried again. Commands sent by handlers are marked too. A replayed response has
    ``replayed`` set, no events and no position.

    Put it before every other middleware of scope ``INSIDE`` but the timeout. The result is kept
    as JSON in the type declared by ``Command[R]``; a class that names no ``R`` returns ``None``.

    Args:
        inbox: Where handled ids are marked; of the database the handlers write to.
        consumer: Name the marks are kept under.
    """

    scope: ClassVar[MiddlewareScope] = MiddlewareScope.INSIDE

    def __init__(self, inbox: IInbox, *, consumer: str = "commands") -> None:
        self._inbox = inbox
        self._consumer = consumer
        self._codecs: dict[type[Any], ResultCodec] = {}

    def applies_to(self, message_type: type[Any]) -> bool:
        """Whether it is a command; those of a batch are marked one by one, not the batch.

        Raises:
            ConfigurationError: The declared result cannot be kept as JSON.
        """
        if not issubclass(message_type, Command) or issubclass(message_type, CommandBatch):
            return False
        self._codecs[message_type] = ResultCodec(message_type, default=None)
        return True

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Handle a new command and record its outcome, or return what was recorded.

        Raises:
            SerializationError: The result is not of the declared type; nothing was changed.
            InboxError: Its own handler sent it again and wants its result.
        """
        known = await self._inbox.receive(self._consumer, message.command_id)
        if known is not None:
            return self._replay(message, known)
        response: CommandResponse[Any] = await next_handler(message)
        await self._record(message, response)
        return response

    async def _record(self, command: Command[Any], response: CommandResponse[Any]) -> None:
        outcome = self._codecs[type(command)].dump(response.result)
        if outcome != _NOTHING:  # A mark without an outcome says as much, one statement cheaper.
            await self._inbox.record_outcome(self._consumer, command.command_id, outcome)

    def _replay(self, command: Command[Any], known: InboxEntry) -> CommandResponse[Any]:
        codec = self._codecs[type(command)]
        if known.outcome is None and not codec.may_be_none:
            msg = (
                f"{type(command).__name__} {command.command_id} has begun but recorded no outcome: "
                "its own handler sent it again"
            )
            raise InboxError(msg)
        response = to_response(codec.load(known.outcome or _NOTHING), command)
        response.replayed = True
        return response
