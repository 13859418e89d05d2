"""What can go wrong with messages on their way, beside what core's errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    DomainError,
    MessagingError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

__all__ = [
    "AbandonedMessageError",
    "CommandRefusedError",
    "DeadLetterError",
    "MalformedMessageError",
    "MessageKindError",
    "MessageOrderError",
    "NotSubscribedError",
    "QueueFullError",
    "ReplyTimeoutError",
    "TopicError",
    "TopologyMismatchError",
    "UnroutableMessageError",
]


class MalformedMessageError(MessagingError):
    """A message breaks the rules of the wire; trying again will not help.

    The text never quotes what the message holds, so that it may be logged.

    Args:
        reason: Which rule it breaks.
        message_id: Its id, where that can be read.
    """

    def __init__(self, reason: str, message_id: UUID | None = None) -> None:
        named = "a message" if message_id is None else f"message {message_id}"
        super().__init__(f"{named} is malformed: {reason}")
        self.reason = reason
        self.message_id = message_id


class MessageKindError(MalformedMessageError):
    """A message holds a command where an event is handled, or the other way round."""

    def __init__(self, message_id: UUID, message_type: str, expected: str) -> None:
        super().__init__(
            f"{message_type!r} is no {expected}, and only those are handled", message_id
        )


class MessageOrderError(MessagingError):
    """It is not a message's turn in its stream; nothing was changed.

    What waits for an earlier message succeeds once that was handled. What comes after later ones
    never does; it is for an operator to judge whether its effect is missing.

    Args:
        message_id: Which message.
        stream: Its stream.
        version: Its version in the stream.
        place: The last version that was handled, 0 for none.
    """

    def __init__(self, message_id: UUID, stream: str, version: int, place: int) -> None:
        reason = (
            f"version {place} was handled, which is no earlier one"
            if place >= version
            else f"it waits for version {place + 1}"
        )
        super().__init__(f"message {message_id} is version {version} of {stream}: {reason}")
        self.message_id = message_id
        self.stream = stream
        self.version = version
        self.place = place


class TopicError(MessagingError, ConfigurationError):
    """A topic or a pattern of topics is not written as it must be, or given twice."""


class CommandRefusedError(MessagingError, DomainError):
    """Another bounded context refused a command, for good; nothing was changed there.

    Args:
        command_id: Which command.
        error_type: Class name of the error there.
        message: Its text.
        errors: Messages per field, of a validation error.
    """

    def __init__(
        self, command_id: UUID, error_type: str, message: str, errors: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__(f"command {command_id} was refused with {error_type}: {message}")
        self.command_id = command_id
        self.error_type = error_type
        self.message = message
        self.errors: dict[str, list[str]] = {name: list(found) for name, found in errors.items()}


class DeadLetterError(MessagingError):
    """Dead letters cannot be replayed that way."""


class NotSubscribedError(MessagingError):
    """A queue holds a message of a type that its consumer did not ask for.

    Another process asked for it under the same consumer name: a newer or an older release, or
    one that should have a name of its own (X-5). It waits on the ladder of retries, so that
    during a rolling release the process that knows the type gets it.
    """

    def __init__(self, message_type: str, consumer: str) -> None:
        super().__init__(
            f"consumer {consumer!r} is not subscribed to {message_type!r} in this process: "
            "another one binds its queue to that type; give it a name of its own, or release it"
        )
        self.message_type = message_type
        self.consumer = consumer


class UnroutableMessageError(MessagingError):
    """No queue wants a message, and none keeps those that nobody wants.

    Args:
        message_id: Which message.
        routing_key: What it was published under.
    """

    def __init__(self, message_id: UUID, routing_key: str) -> None:
        super().__init__(
            f"message {message_id} was returned: no queue is bound to {routing_key!r}; start its "
            "consumer once, or keep what nobody wants with unroutable='keep'"
        )
        self.message_id = message_id
        self.routing_key = routing_key


class QueueFullError(BrokerUnavailableError):
    """A queue takes no more messages until its consumer has caught up; no message is to blame."""

    def __init__(self, message_id: UUID) -> None:
        super().__init__(f"message {message_id} was refused: a queue it goes to is full")
        self.message_id = message_id


class TopologyMismatchError(BrokerUnavailableError, ConfigurationError):
    """The broker has something else under a name, or nothing, or does not let us make it.

    Args:
        what: Such as ``queue 'cqrs.billing'``.
        reason: The difference, in the broker's words.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} is not what these settings say: {reason}; give all processes the same "
            "settings, or remove it on the broker once it is empty"
        )
        self.what = what
        self.reason = reason


class AbandonedMessageError(MessagingError):
    """A message came back too often without an answer, as if handling it ended the process.

    Args:
        deliveries: How often it was delivered.
    """

    def __init__(self, deliveries: int) -> None:
        super().__init__(f"it was delivered {deliveries} times, and nobody lived to answer")
        self.deliveries = deliveries


class ReplyTimeoutError(MessagingError):
    """No answer to a command came in time: it may have been handled, or may be later.

    Args:
        command_id: Which command.
        seconds: How long it was waited for; ``None`` when the bus was stopped.
    """

    def __init__(self, command_id: UUID, seconds: float | None) -> None:
        waited = "before the bus stopped" if seconds is None else f"within {seconds:g} s"
        super().__init__(
            f"no answer to command {command_id} came {waited}, so its outcome is unknown; send it "
            "again with the same command_id, which is handled once and answered the same way"
        )
        self.command_id = command_id
        self.seconds = seconds
