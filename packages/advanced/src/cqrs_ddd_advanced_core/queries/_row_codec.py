"""Rows as bytes and back, each value in the type of its column."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import NamedTuple, TypedDict

from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_core.primitives.exceptions import SerializationError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema

__all__ = ["NumberCodec", "Read", "RowCodec"]

#: Kept for an answer that would not come back as it was, or is too long; it is no answer.
_NOTHING: Final = b""
_MOST_ROWS: Final = 1000
_JSON: Final = ConfigDict(
    ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings"
)
# Type checkers know it with literal names only.
_typed_dict: Final[Any] = TypedDict


class Read(NamedTuple):
    """What was read, and where its projection was before: all events up to there are in it.

    Attributes:
        position: -1 when nobody knows.
        content: Rows, or a number of them.
    """

    position: int
    content: Any


class _ReadCodec:
    def __init__(self, content: Any) -> None:
        # Reading goes by the configuration of the row, writing by that of the whole.
        self._adapter: TypeAdapter[Any] = TypeAdapter(tuple[int, content], config=_JSON)

    def dump(self, read: Read, /) -> bytes:
        """Return the bytes, or none when a value would not come back as it was."""
        try:
            data = self._adapter.dump_json(read, warnings="error")
            return data if self.load(data) == read else _NOTHING
        except (PydanticSerializationError, SerializationError):
            return _NOTHING

    def load(self, data: bytes, /) -> Read:
        """Return what was read.

        Raises:
            SerializationError: It has another shape.
        """
        try:
            return Read(*self._adapter.validate_json(data))
        except ValidationError as error:
            # Its cause would quote the values, which may be personal.
            msg = f"cached rows cannot be read: {error.error_count()} errors"
            raise SerializationError(msg) from None


class RowCodec(_ReadCodec):
    """Writes and reads rows of one table.

    Args:
        schema: Of the rows.

    Attributes:
        schema: As given.
        shape: The columns as text, which differs when they do.
    """

    def __init__(self, schema: ProjectionSchema) -> None:
        hints = {name: _hint(column.type) for name, column in schema.columns.items()}
        hints |= {ROW_VERSION: int, LAST_POSITION: int}
        row = _typed_dict(schema.name, hints, total=False)
        row.__pydantic_config__ = {**_JSON, "extra": "forbid"}
        super().__init__(GenericAlias(list, (row,)))
        self.schema: ProjectionSchema = schema
        types = (f"{name}:{one.type.__name__}" for name, one in schema.columns.items())
        self.shape: str = ",".join(sorted(types))

    def dump(self, read: Read, /) -> bytes:
        """Return the bytes, or none when there are too many rows."""
        return super().dump(read) if len(read.content) <= _MOST_ROWS else _NOTHING


class NumberCodec(_ReadCodec):
    """Writes and reads how many rows there are."""

    def __init__(self) -> None:
        super().__init__(int)


def _hint(kind: type) -> Any:
    kinds: dict[type, Any] = {dict: dict[str, Any], list: list[Any]}
    return kinds.get(kind, kind) | None
