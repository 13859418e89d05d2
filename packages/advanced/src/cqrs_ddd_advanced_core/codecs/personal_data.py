"""How an event says which of its fields are personal data, and what is read once they are gone."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic_core import core_schema

from cqrs_ddd_advanced_core.codecs.exceptions import PersonalDataDefinitionError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Personal", "PersonalData", "Shredded"]

T = TypeVar("T")

#: The one key of a marker in JSON.
_MARK: Final = "$shredded"


@dataclass(frozen=True, slots=True)
class Shredded:
    """Stands where a personal value was before its subject was shredded.

    It is false, so that ``if event.email:`` leaves it out, and its text is ``[shredded]``. Two
    are equal when they are of the same subject. In JSON it is ``{"$shredded": "<subject>"}``.

    Attributes:
        subject: Whose value it was.
    """

    subject: str

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "[shredded]"

    def to_json_value(self) -> dict[str, str]:
        """Return the marker as JSON values."""
        return {_MARK: self.subject}

    @staticmethod
    def is_json_value(value: object) -> bool:
        """Whether JSON values are a marker."""
        return isinstance(value, dict) and value.keys() == {_MARK} and isinstance(value[_MARK], str)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return how pydantic reads and writes a marker."""
        fields = {_MARK: core_schema.typed_dict_field(core_schema.str_schema(strict=True))}
        marker = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
        from_json = core_schema.no_info_after_validator_function(_from_json_value, marker)
        return core_schema.json_or_python_schema(
            json_schema=from_json,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), from_json], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_json_value, return_schema=marker
            ),
        )


def _marker_or_value(value: object) -> str:
    return "shredded" if isinstance(value, Shredded) or Shredded.is_json_value(value) else "value"


def _from_json_value(value: dict[str, str]) -> Shredded:
    return Shredded(value[_MARK])


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Marks a field of an event as personal data, which is encrypted under its subject's key.

    It is written around the whole type of a field, which has to allow for a marker:
    ``email: Annotated[str | Shredded, PersonalData(subject="customer_id")]``. Constraints hold for
    values only: ``email: Personal[str] = Field(max_length=80)``; inside ``Annotated`` they stand
    before ``PersonalData``.

    Args:
        subject: The field that says whose it is: one beside it, or else one of the event. When
            not given, it is the aggregate that raised the event.
    """

    subject: str | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return a schema that looks for a marker first, and for a value otherwise.

        Raises:
            PersonalDataDefinitionError: The type has no room for a marker.
        """
        members = get_args(source) if get_origin(source) in (Union, UnionType) else (source,)
        others = tuple(member for member in members if member is not Shredded)
        if len(others) == len(members) or not others:
            msg = f"personal data may be shredded: write {source} | Shredded, or Personal[...]"
            raise PersonalDataDefinitionError(msg)
        # By a tag, because a marker could also be read as a value that is any object.
        return core_schema.tagged_union_schema(
            {
                "shredded": handler.generate_schema(Shredded),
                "value": handler(Union[others]),  # noqa: UP007 - of a tuple
            },
            discriminator=_marker_or_value,
        )


#: A personal value whose subject is the aggregate that raised the event, such as
#: ``email: Personal[str]``.
Personal: TypeAlias = Annotated[T | Shredded, PersonalData()]
