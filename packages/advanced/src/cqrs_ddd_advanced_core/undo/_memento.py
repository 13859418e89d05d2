"""What executors remember, as JSON and back in the declared type."""

from __future__ import annotations

from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from cqrs_ddd_advanced_core.domain.exceptions import UndoExecutorRegistrationError
from cqrs_ddd_core.primitives.exceptions import SerializationError

__all__ = ["MementoCodec"]

_NOTHING = (None, type(None))


class MementoCodec:
    """Writes and reads the mementos of one command type.

    Args:
        command_type: For which commands; named in errors.
        memento_type: The declared type; ``None`` for commands that need no memento.

    Raises:
        UndoExecutorRegistrationError: The type would not come back as it was.
    """

    def __init__(self, command_type: type, memento_type: Any) -> None:
        self._name = command_type.__name__
        self._type = memento_type
        if memento_type is Any:
            msg = (
                f"what is remembered of {self._name} has no type, so that it would come back as "
                "bare JSON values: declare it"
            )
            raise UndoExecutorRegistrationError(msg)
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(memento_type)
        except PydanticUserError as error:
            msg = f"what is remembered of {self._name} cannot be kept as JSON: {error}"
            raise UndoExecutorRegistrationError(msg) from error

    def dump(self, memento: Any) -> bytes | None:
        """Return a memento as JSON that can be read again, ``None`` for no memento.

        Raises:
            SerializationError: It is not of the declared type, or has no JSON form.
        """
        if self._type in _NOTHING and memento is None:
            return None
        try:
            data = self._adapter.dump_json(memento, warnings="error")
        except PydanticSerializationError as error:
            raise self._error("written", error) from error
        # Pydantic writes None for any type, and what validators refuse.
        self.load(data)
        return data

    def load(self, data: bytes | None) -> Any:
        """Return the memento that was written.

        Raises:
            SerializationError: The JSON does not fit the declared type.
        """
        if self._type in _NOTHING and data is None:
            return None
        try:
            return self._adapter.validate_json(data or b"null")
        except ValidationError as error:
            raise self._error("read", error) from error

    def _error(self, verb: str, error: Exception) -> SerializationError:
        msg = f"what is remembered of {self._name} cannot be {verb} as {self._type}: {error}"
        return SerializationError(msg)
