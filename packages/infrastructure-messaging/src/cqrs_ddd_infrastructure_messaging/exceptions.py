"""What can go wrong with messages on their way, beside what core's errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MessagingError

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["DeadLetterError", "MalformedMessageError", "TopicError"]


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


class TopicError(MessagingError, ConfigurationError):
    """A topic or a pattern of topics is not written as it must be, or given twice."""


class DeadLetterError(MessagingError):
    """Dead letters cannot be replayed that way."""
