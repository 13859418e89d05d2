"""JSON Schemas of payloads, and of the headers around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaWarningKind

__all__ = ["HEADERS_SCHEMA", "JSONObject", "payload_schemas"]

JSONObject: TypeAlias = dict[str, Any]

_PREFIX = "#/components/schemas/"

_HEADERS: Final[dict[str, tuple[str, JSONObject]]] = {
    "ce-id": ("Unique for ever; the receiver's idempotency key.", {"format": "uuid"}),
    "ce-source": ("Who sent it.", {"format": "uri-reference"}),
    "ce-specversion": ("Version of CloudEvents.", {"const": "1.0"}),
    "ce-type": ("Type name of the event or command.", {}),
    "ce-time": ("When it happened.", {"format": "date-time"}),
    "ce-subject": ("The stream whose messages stay in order.", {}),
    "ce-kind": ("What it is to its receiver.", {"enum": ["event", "command"]}),
    "ce-schemaversion": ("Version of the payload's shape.", {"pattern": "^[0-9]+$"}),
    "ce-dataschema": ("Where the payload's JSON Schema is found.", {"format": "uri"}),
    "ce-correlationid": ("Shared by everything one request did.", {}),
    "ce-causationid": ("Id of the command or event that led to it.", {}),
    "ce-tenantid": ("The tenant it belongs to; absent when there is one only.", {}),
    "ce-traceparent": ("W3C trace context.", {}),
    "ce-tracestate": ("W3C trace state.", {}),
    "ce-replyto": ("Where the answer is expected.", {}),
    "ce-attempt": ("Which delivery this is; absent at the first.", {"pattern": "^[0-9]+$"}),
    "cqrs-headers": (
        "Other headers, as one JSON object.",
        {"contentMediaType": "application/json"},
    ),
}
_REQUIRED: Final = ("ce-id", "ce-source", "ce-specversion", "ce-time", "ce-type")

#: What the headers of every message look like; values are percent-encoded as in HTTP.
HEADERS_SCHEMA: Final[JSONObject] = {
    "type": "object",
    "properties": {
        name: {"type": "string", "description": description, **rules}
        for name, (description, rules) in _HEADERS.items()
    },
    "required": list(_REQUIRED),
}


def payload_schemas(
    models: Iterable[type[BaseModel]],
) -> tuple[dict[type[BaseModel], JSONObject], dict[str, JSONObject]]:
    """Return a reference to the payload of each class, and what is referred to, by name.

    Raises:
        ConfigurationError: A class has a field of a type that JSON Schema cannot describe.
    """
    models = list(models)
    try:
        found, schema = models_json_schema(
            [(model, "serialization") for model in models],
            by_alias=False,
            ref_template=_PREFIX + "{model}",
            schema_generator=_PayloadSchema,
        )
    except PydanticInvalidForJsonSchema as error:
        msg = f"a message has a field of a type without JSON Schema: {error}"
        raise ConfigurationError(msg) from error
    references = {model: found[model, "serialization"] for model in models}
    definitions: dict[str, JSONObject] = schema.get("$defs", {})
    for model, reference in references.items():
        if issubclass(model, DomainEvent):
            _drop_envelope(definitions[reference["$ref"].removeprefix(_PREFIX)])
    return references, dict(sorted(definitions.items()))


class _PayloadSchema(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing: a default that is no JSON is still a default."""


def _drop_envelope(schema: JSONObject) -> None:
    """Take out what travels in headers."""
    for name in ENVELOPE_FIELDS:
        schema["properties"].pop(name, None)
    required = [name for name in schema.pop("required", ()) if name not in ENVELOPE_FIELDS]
    if required:
        schema["required"] = required
