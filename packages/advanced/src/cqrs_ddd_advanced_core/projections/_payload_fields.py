"""Some fields of a stored payload, converted as their event class declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from cqrs_ddd_core.cqrs._problems import problems_of
from cqrs_ddd_core.primitives.exceptions import EventPayloadError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic.fields import FieldInfo

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["FieldsReader", "fields_reader"]

#: Returns the fields by name; raises ``EventPayloadError``.
FieldsReader: TypeAlias = Callable[[bytes], Mapping[str, Any]]


def fields_reader(event_class: type[DomainEvent], names: Collection[str]) -> FieldsReader | None:
    """Return what reads these fields alone, which is faster than the whole event.

    ``None`` when only the class itself can tell what they hold, because it has code for it.
    """
    fields = {name: event_class.model_fields[name] for name in sorted(names)}
    if _has_code(event_class) or any(map(_is_special, fields.values())):
        return None
    validate = _part_of(event_class, fields).__pydantic_validator__.validate_json
    event_type = event_class.event_type

    def read(payload: bytes) -> Mapping[str, Any]:
        try:
            return validate(payload).__dict__  # type: ignore[no-any-return]
        except ValidationError as error:
            reason = f"does not fit its class: {problems_of(error)}"
            raise EventPayloadError(event_type, reason) from None

    return read


def _part_of(event_class: type[DomainEvent], fields: Mapping[str, FieldInfo]) -> type[BaseModel]:
    config = cast("ConfigDict", {**event_class.model_config, "extra": "ignore", "frozen": False})
    wanted: dict[str, Any] = {name: (field.annotation, field) for name, field in fields.items()}
    return create_model(event_class.__name__, __config__=config, **wanted)


def _has_code(event_class: type[DomainEvent]) -> bool:
    found = event_class.__pydantic_decorators__
    return bool(
        found.validators
        or found.field_validators
        or found.root_validators
        or found.model_validators
        or event_class.__pydantic_custom_init__
        or event_class.__pydantic_post_init__
    )


def _is_special(field: FieldInfo) -> bool:
    """Whether it has another name in JSON."""
    return field.alias is not None or field.validation_alias is not None
