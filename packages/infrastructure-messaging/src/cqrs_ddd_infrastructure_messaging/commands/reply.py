"""What became of a command, as it is recorded and as it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.primitives import exceptions
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["REPLY_PREFIX", "Outcome", "Refusal", "Reply"]

#: Every place for replies begins like that: a stranger cannot have one published as an event.
REPLY_PREFIX = "replies-"


class _Record(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)


class Refusal(_Record):
    """Why a command was refused.

    Attributes:
        error_type: Class name of the error.
        message: Its text.
        errors: Messages per field, of a validation error.
    """

    error_type: str
    message: str
    errors: dict[str, list[str]] = Field(default_factory=dict)


class Outcome(_Record):
    """What a command came to; final, and the same for every repeat.

    Attributes:
        success: Whether its effects were committed.
        result: What the handler returned, as JSON values.
        refusal: The error, when there was one.
    """

    success: bool = True
    result: Any = None
    refusal: Refusal | None = None

    @classmethod
    def refused(cls, error: Exception) -> Self:
        """Return the outcome of a command that raised an error."""
        errors = error.errors if isinstance(error, exceptions.ValidationError) else {}
        refusal = Refusal(error_type=type(error).__name__, message=str(error), errors=errors)
        return cls(success=False, refusal=refusal)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return the outcome that was recorded."""
        return cls.model_validate_json(data)

    def dump(self) -> bytes:
        """Return it as it is recorded."""
        return self.model_dump_json().encode()


class Reply(_Record):
    """An outcome on its way to who asked for it.

    Attributes:
        command_id: Of which command.
        outcome: What it came to.
        replayed: Whether the command had been handled before.
    """

    command_id: UUID
    outcome: Outcome
    replayed: bool = False

    @classmethod
    def read(cls, message: OutboxMessage) -> Self:
        """Return the reply a message holds.

        Raises:
            MalformedMessageError: It holds something else.
        """
        try:
            return cls.model_validate_json(message.payload)
        except ValidationError:
            # Without the cause, which quotes the payload.
            raise MalformedMessageError("it is no reply", message.message_id) from None

    def to_message(self, command: OutboxMessage, reply_to: str) -> OutboxMessage:
        """Return the message that carries it."""
        return OutboxMessage(
            new_id(),
            MessageKind.EVENT,
            reply_to,
            self.model_dump_json().encode(),
            stream=str(command.message_id),
            correlation_id=command.correlation_id,
            causation_id=str(command.message_id),
            tenant_id=command.tenant_id,
        )
