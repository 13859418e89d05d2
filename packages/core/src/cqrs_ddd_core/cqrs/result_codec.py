"""The result of a command or query as JSON and back, in the type its class declares."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from cqrs_ddd_core.domain.entity import Entity
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, SerializationError

__all__ = ["ResultCodec", "declared_result_type"]


def declared_result_type(message_type: type[Any]) -> Any:
    """Return ``R`` of ``Command[R]`` or ``Query[R]``; ``Any`` when the class names none."""
    for parent in message_type.__mro__:
        metadata = parent.__dict__.get("__pydantic_generic_metadata__")
        if metadata and metadata["origin"] is not None and metadata["args"]:
            return metadata["args"][0]
    return Any


class ResultCodec:
    """Writes and reads the results of one message type.

    Args:
        message_type: A command or query class; a class that names no ``R`` returns ``default``.
        default: The type of the result where the class does not say.

    Raises:
        ConfigurationError: The declared type would not come back as it was.
    """

    def __init__(self, message_type: type[Any], *, default: Any = Any) -> None:
        declared = declared_result_type(message_type)
        self._name = message_type.__name__
        self._type = default if declared is Any else declared
        self._refuse_what_gets_lost()
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(self._type)
        except PydanticUserError as error:
            msg = f"the result of {self._name} cannot be kept as JSON: {error}"
            raise ConfigurationError(msg) from error

    @property
    def may_be_none(self) -> bool:
        """Whether ``None`` is a result of the declared type."""
        return self._type is None or type(None) in (self._type, *get_args(self._type))

    def dump(self, result: Any) -> bytes:
        """Return the result as JSON that can be read again.

        Raises:
            SerializationError: It is not of the declared type, or has no JSON form.
        """
        try:
            data = self._adapter.dump_json(result, warnings="error")
        except PydanticSerializationError as error:
            raise self._error("written", error) from error
        # Pydantic writes None for any type, and what validators refuse.
        self.load(data)
        return data

    def load(self, data: bytes) -> Any:
        """Return the result that was written.

        Raises:
            SerializationError: The JSON does not fit the declared type.
        """
        try:
            return self._adapter.validate_json(data)
        except ValidationError as error:
            raise self._error("read", error) from error

    def _error(self, verb: str, error: Exception) -> SerializationError:
        msg = f"the result of {self._name} cannot be {verb} as {self._type}: {error}"
        return SerializationError(msg)

    def _refuse_what_gets_lost(self) -> None:
        if self._type is Any:
            msg = (
                f"{self._name} does not say what it returns, so that its result would come back "
                f"as bare JSON values: declare it, as in class {self._name}(...[UUID])"
            )
            raise ConfigurationError(msg)
        if _mentions(self._type, Entity):
            # The version of an aggregate is no field: a copy from JSON could never be saved.
            msg = f"{self._name} returns an entity: return its id or a read model instead"
            raise ConfigurationError(msg)


def _mentions(annotation: Any, base: type[Any]) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, base):
        return True
    return any(_mentions(argument, base) for argument in get_args(annotation))
