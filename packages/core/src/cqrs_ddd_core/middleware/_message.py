"""What every middleware asks about a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cqrs_ddd_core.cqrs.command import Command

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["MessageKind", "id_of", "is_success", "kind_of", "name_of"]

MessageKind: TypeAlias = Literal["command", "query"]


def kind_of(message_type: type[Any]) -> MessageKind:
    """Return whether it is a command or a query."""
    return "command" if issubclass(message_type, Command) else "query"


def name_of(message_type: type[Any]) -> str:
    """Return the type name of a command or query."""
    name: str = getattr(message_type, f"{kind_of(message_type)}_type")
    return name


def id_of(message: Any) -> UUID:
    """Return the id of a command or query."""
    message_id: UUID = getattr(message, f"{kind_of(type(message))}_id")
    return message_id


def is_success(response: Any) -> bool:
    """Return whether a response stands for something done; an answered query always does."""
    return bool(getattr(response, "success", True))
