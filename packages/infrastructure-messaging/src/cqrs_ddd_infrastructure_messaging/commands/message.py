"""A command as a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.primitives.exceptions import SerializationError

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.command import Command

__all__ = ["to_command_message"]


def to_command_message(
    command: Command[Any], *, stream: str | None = None, reply_to: str | None = None
) -> OutboxMessage:
    """Return a command as the message that carries it, under the id of the command.

    Tenant, correlation, cause, user and trace are those of the work under way.

    Args:
        command: What is asked for.
        stream: Commands of one stream arrive in order; each is alone when not given.
        reply_to: Where an answer is expected, if one is.

    Raises:
        SerializationError: A field holds something that JSON cannot.
    """
    context = get_context()
    headers = {
        "user_id": context.user_id,
        "traceparent": context.traceparent,
        "reply_to": reply_to,
    }
    return OutboxMessage(
        command.command_id,
        MessageKind.COMMAND,
        command.command_type,
        _payload_of(command),
        stream=stream or str(command.command_id),
        schema_version=command.schema_version,
        correlation_id=command.correlation_id or context.correlation_id,
        causation_id=context.causation_id,
        tenant_id=context.tenant_id,
        headers={name: value for name, value in headers.items() if value is not None},
    )


def _payload_of(command: Command[Any]) -> bytes:
    try:
        return command.__pydantic_serializer__.to_json(command)
    except PydanticSerializationError as error:
        msg = f"{command.command_type!r} cannot be written as JSON: {error}"
        raise SerializationError(msg) from error
