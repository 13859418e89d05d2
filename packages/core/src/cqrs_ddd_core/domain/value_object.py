"""Value objects: equal by what they hold."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["ValueObject"]


class ValueObject(BaseModel):
    """An immutable value without identity; equal and hashable by type and fields.

    Fields may hold lists, sets and dicts: they count for equality and hash by their contents.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False
    )

    def __hash__(self) -> int:
        return hash((type(self), _freeze(self.__dict__)))


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _freeze(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return frozenset(_freeze(item) for item in value)
    if isinstance(value, BaseModel) and not isinstance(value, ValueObject):
        return type(value), _freeze(value.__dict__)
    return value
