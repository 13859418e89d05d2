"""The shape of an event's payload as JSON Schema, without its prose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaWarningKind
    from pydantic_core import core_schema

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["Schema", "payload_schema", "resolve"]

Schema: TypeAlias = dict[str, Any]

#: What says nothing about the values.
_PROSE = frozenset({"title", "description", "examples", "deprecated"})
#: Keywords under which names stand, and not keywords.
_NAMED = frozenset({"properties", "$defs"})


def payload_schema(event_class: type[DomainEvent]) -> Schema:
    """Return which payloads can be read as that class.

    Raises:
        ConfigurationError: One of its fields has a type that JSON Schema cannot describe.
    """
    try:
        schema = event_class.model_json_schema(by_alias=False, schema_generator=_PayloadSchema)
    except PydanticInvalidForJsonSchema as error:
        msg = f"{event_class.__qualname__} has a field of a type without JSON Schema: {error}"
        raise ConfigurationError(msg) from error
    root = resolve(schema, schema)
    root["properties"] = _without_envelope(root["properties"])
    root.setdefault("required", [])
    shape: Schema = _shape(root)
    return shape


def resolve(schema: Schema, root: Schema) -> Schema:
    """Return what a schema refers to, with what stands beside the reference."""
    while "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][schema["$ref"].rpartition("/")[2]], **beside}
    return schema


class _PayloadSchema(GenerateJsonSchema):
    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Schema:
        """Describe a decimal by its limits: the usual pattern changes with pydantic's releases."""
        number = super().decimal_schema(schema)["anyOf"][0]
        text = {"type": "string", "format": "decimal"}
        digits = {"max_digits": schema.get("max_digits"), "places": schema.get("decimal_places")}
        stated = {key: value for key, value in digits.items() if value is not None}
        return {"anyOf": [{**number, **stated}, {**text, **stated}]}

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing: a default that is no JSON is still a default."""


def _without_envelope(properties: Schema) -> Schema:
    return {name: value for name, value in properties.items() if name not in ENVELOPE_FIELDS}


def _shape(value: Any) -> Any:
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _shape_under(key, inner) for key, inner in value.items() if key not in _PROSE}


def _shape_under(key: str, value: Any) -> Any:
    if key in _NAMED:
        return {name: _shape(schema) for name, schema in value.items()}
    if key == "required":
        return sorted(value)
    return value if key in ("default", "enum", "const") else _shape(value)
