"""Entities: equal by identity, whatever else changes."""

from __future__ import annotations

from typing import Any, ClassVar, Generic
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from cqrs_ddd_core.primitives.id_generator import new_id

__all__ = ["ID", "Entity"]

ID = TypeVar("ID", str, int, UUID, default=str)


def _default_id() -> Any:
    # Validated like a given id: text for str, a UUID for UUID, refused for int.
    return str(new_id())


class Entity(BaseModel, Generic[ID]):
    """Something with an identity of its own inside an aggregate.

    Assignments are validated. Two entities are equal when type and id are.

    Attributes:
        id: A new UUIDv7 when not given; an integer id must be given.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        validate_assignment=True, validate_default=True, extra="forbid", allow_inf_nan=False
    )

    id: ID = Field(default_factory=_default_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and type(self) is type(other) and self.id == other.id

    def __hash__(self) -> int:
        return hash((type(self), self.id))
