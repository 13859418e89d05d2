"""The closed list of commands and queries that may be built from a name and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.primitives.exceptions import (
    MessageTypeRegistrationError,
    SerializationError,
    UnknownMessageTypeError,
)

if TYPE_CHECKING:
    pass

__all__ = ["MessageRegistry"]

C = TypeVar("C", bound=type[Command[Any]])
Q = TypeVar("Q", bound=type[Query[Any]])
M = TypeVar("M", bound=BaseModel)


class MessageRegistry:
    """Maps type names to command and query classes.

    What arrives from outside or from storage is only ever built as one of these; nothing is
    imported by name.
    """

    def __init__(self) -> None:
        self._commands: dict[str, type[Command[Any]]] = {}
        self._queries: dict[str, type[Query[Any]]] = {}

    def register_command(self, command_type: C, *, name: str | None = None) -> C:
        """Register a class under its ``command_type``, or another name; also as a decorator.

        Raises:
            MessageTypeRegistrationError: The name belongs to another class already.
        """
        _register(self._commands, name or command_type.command_type, command_type)
        return command_type

    def register_query(self, query_type: Q, *, name: str | None = None) -> Q:
        """Register a class under its ``query_type``, or another name; also as a decorator.

        Raises:
            MessageTypeRegistrationError: The name belongs to another class already.
        """
        _register(self._queries, name or query_type.query_type, query_type)
        return query_type

    def get_command(self, name: str) -> type[Command[Any]]:
        """Return the command class of a name.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
        """
        if name not in self._commands:
            raise UnknownMessageTypeError("command", name)
        return self._commands[name]

    def get_query(self, name: str) -> type[Query[Any]]:
        """Return the query class of a name.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
        """
        if name not in self._queries:
            raise UnknownMessageTypeError("query", name)
        return self._queries[name]

    def hydrate_command(self, name: str, payload: bytes | str) -> Command[Any]:
        """Build a command from JSON.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
            SerializationError: The JSON does not fit the class.
        """
        return _hydrate(name, self.get_command(name), payload)

    def hydrate_query(self, name: str, payload: bytes | str) -> Query[Any]:
        """Build a query from JSON.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
            SerializationError: The JSON does not fit the class.
        """
        return _hydrate(name, self.get_query(name), payload)

    @property
    def commands(self) -> Mapping[str, type[Command[Any]]]:
        """All command classes by name."""
        return dict(self._commands)

    @property
    def queries(self) -> Mapping[str, type[Query[Any]]]:
        """All query classes by name."""
        return dict(self._queries)


def _register(classes: dict[str, type[M]], name: str, message_type: type[M]) -> None:
    known = classes.setdefault(name, message_type)
    if known is not message_type:
        raise MessageTypeRegistrationError(name, known, message_type)


def _hydrate(name: str, message_type: type[M], payload: bytes | str) -> M:
    try:
        return message_type.model_validate_json(payload)
    except ValidationError as error:
        # Without the values, and so without the cause: they may not belong into a log.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        listed = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
        msg = f"{name!r} cannot be read as {message_type.__name__}: {listed}"
        raise SerializationError(msg) from None
