"""States that are one of several classes, written with the name of the class."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["members_of", "storable"]


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the types a union is made of; of anything else, itself."""
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) not in (Union, UnionType):
        return (NoneType if annotation is None else annotation,)
    return tuple(one for member in get_args(annotation) for one in members_of(member))


def storable(state_type: Any) -> Any:
    """Return a type that comes back from JSON as the same class of a union, alike as they may be.

    Pydantic alone picks the class by the fields, and two states often have the same ones.
    """
    members = members_of(state_type)
    by_name = {getattr(member, "__name__", ""): member for member in members}
    is_clear = len(by_name) == len(members) and all(isinstance(one, type) for one in members)
    return Annotated[state_type, _Named(by_name)] if is_clear and len(members) > 1 else state_type


class _Named:
    """Writes ``{"type": "Open", "state": {...}}``."""

    def __init__(self, members: dict[str, type[Any]]) -> None:
        self._members = members

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        boxes = core_schema.tagged_union_schema(
            {
                name: _box(name, handler.generate_schema(member))
                for name, member in self._members.items()
            },
            discriminator="type",
        )
        unboxed = core_schema.no_info_plain_validator_function(lambda box: box["state"])
        return core_schema.json_or_python_schema(
            json_schema=core_schema.chain_schema([boxes, unboxed]),
            python_schema=handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda state: {"type": type(state).__name__, "state": state},
                return_schema=boxes,
                when_used="json",
            ),
        )


def _box(name: str, state: CoreSchema) -> CoreSchema:
    return core_schema.typed_dict_schema(
        {
            "type": core_schema.typed_dict_field(core_schema.literal_schema([name])),
            "state": core_schema.typed_dict_field(state),
        }
    )
