"""The closed list of commands and queries that may be built from a name and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from cqrs_ddd_core.cqrs._problems import problems_of
from cqrs_ddd_core.cqrs.command import COMMAND_ENVELOPE_FIELDS, Command
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.primitives.exceptions import (
    MessageTypeRegistrationError,
    SchemaVersionError,
    SerializationError,
    UnknownMessageTypeError,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["MessageRegistry"]

C = TypeVar("C", bound=type[Command[Any]])
Q = TypeVar("Q", bound=type[Query[Any]])
M = TypeVar("M", bound=BaseModel)


class MessageRegistry:
    """Maps type names to command and query classes.

    What arrives from outside or from storage is only ever built as one of these; nothing is
    imported by name.

    Args:
        upcaster_registry: How commands of older shapes are read, where there are any.

    Raises:
        ConfigurationError: The upcasters have a gap.
    """

    def __init__(self, upcaster_registry: IUpcasterRegistry | None = None) -> None:
        if upcaster_registry is not None:
            upcaster_registry.check()
        self._upcasters = upcaster_registry
        self._commands: dict[str, type[Command[Any]]] = {}
        self._queries: dict[str, type[Query[Any]]] = {}

    def register_command(self, command_type: C, *, name: str | None = None) -> C:
        """Register a class under its ``command_type``, or another name; also as a decorator.

        A renamed class is registered under both names, and commands stored under the old one
        are still read.

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

    def hydrate_command(
        self, name: str, payload: bytes | str, *, schema_version: int | None = None
    ) -> Command[Any]:
        """Build a command from JSON; one of an older shape keeps its ids and correlation.

        Args:
            name: Type name.
            payload: JSON object.
            schema_version: The version it was written at; today's when not given.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
            SchemaVersionError: It has another version than its class, and no upcaster.
            SerializationError: The JSON does not fit the class, or an upcaster failed.
        """
        if schema_version is None:
            return _hydrate(name, self.get_command(name), payload)
        name, schema_version, payload = self._upcast(name, schema_version, payload)
        command_type = self.get_command(name)
        if command_type.schema_version != schema_version:
            raise SchemaVersionError(name, schema_version, command_type.schema_version)
        return _hydrate(name, command_type, payload)

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

    def _upcast(
        self, name: str, schema_version: int, payload: bytes | str
    ) -> tuple[str, int, bytes | str]:
        if self._upcasters is None or not self._upcasters.has_upcasters(name, schema_version):
            return name, schema_version, payload
        fields = _parse(name, payload)
        envelope = {key: fields.pop(key) for key in COMMAND_ENVELOPE_FIELDS & fields.keys()}
        upcast = self._upcasters.upcast(name, schema_version, fields)
        if len(upcast) != 1:
            msg = f"{name!r} of version {schema_version} is read as {len(upcast)} commands, not one"
            raise SerializationError(msg)
        name, schema_version, fields = upcast[0]
        return name, schema_version, to_json({**fields, **envelope})


def _register(classes: dict[str, type[M]], name: str, message_type: type[M]) -> None:
    known = classes.setdefault(name, message_type)
    if known is not message_type:
        raise MessageTypeRegistrationError(name, known, message_type)


def _hydrate(name: str, message_type: type[M], payload: bytes | str) -> M:
    try:
        # Names as well as aliases: model_dump_json writes the names of the fields.
        return message_type.model_validate_json(payload, by_alias=True, by_name=True)
    except ValidationError as error:
        msg = f"{name!r} cannot be read as {message_type.__name__}: {problems_of(error)}"
        raise SerializationError(msg) from None


def _parse(name: str, payload: bytes | str) -> dict[str, Any]:
    try:
        fields = from_json(payload)
    except ValueError:
        # Without the cause, which quotes the text.
        fields = None
    if not isinstance(fields, dict):
        msg = f"{name!r} is no JSON object"
        raise SerializationError(msg)
    return fields
