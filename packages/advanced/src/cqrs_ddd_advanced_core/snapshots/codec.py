"""States of aggregates as JSON and back, exactly or not at all."""

from __future__ import annotations

import json
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.exceptions import SerializationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.json_schema import JsonSchemaWarningKind

__all__ = ["SnapshotCodec", "codec_of"]

T = TypeVar("T", bound=AggregateRoot[Any])

#: Keys of a JSON Schema that say nothing of the shape.
_PROSE: Final = frozenset({"title", "description", "examples"})
#: Keys under which names stand that somebody has chosen.
_NAMED: Final = frozenset({"properties", "$defs"})
#: Keys under which values stand.
_VALUES: Final = frozenset({"default", "const", "enum", "mapping"})


@cache
def codec_of(aggregate_class: type[AggregateRoot[Any]]) -> SnapshotCodec[Any]:
    """Return the codec of a class, made once."""
    return SnapshotCodec(aggregate_class)


class SnapshotCodec(Generic[T]):
    """Writes and reads the states of one class.

    A state is the fields and the private attributes of the class; version and raised events are
    no part of it, nor is what is computed or cached from the rest. Restoring validates. A state
    that would not come back as it is, such as a ``Decimal`` in a field of type ``Any``, is refused.

    Args:
        aggregate_class: The class.

    Attributes:
        fingerprint: Of the shape: the JSON Schema without titles and descriptions, and the
            ``snapshot_version`` that the class may raise when its meaning has changed and its
            shape has not.
    """

    def __init__(self, aggregate_class: type[T]) -> None:
        self._class = aggregate_class
        self._private = _private_attributes(aggregate_class)
        hints = _hints(aggregate_class) if self._private else {}
        private: dict[str, Any] = {
            _stored(name): (hints.get(name, Any), ...) for name in self._private
        }
        self._model: type[BaseModel] = create_model(
            f"{aggregate_class.__name__}Snapshot", aggregate=(aggregate_class, ...), **private
        )
        self.fingerprint: str = _fingerprint(aggregate_class, self._model)

    def dump(self, aggregate: T) -> bytes:
        """Return the state of an aggregate.

        Raises:
            SerializationError: It cannot be written, or would not come back as it is.
        """
        private = self._private_values(aggregate)
        values = {_stored(name): value for name, value in private.items()}
        try:
            state = (
                self._model.model_construct(None, aggregate=aggregate, **values)
                .model_dump_json(round_trip=True, by_alias=False, warnings="error")
                .encode()
            )
        except PydanticSerializationError as error:
            raise self._error("cannot be written", error) from error
        self._refuse_what_gets_lost(aggregate, self.load(state))
        return state

    def load(self, state: bytes) -> T:
        """Return the aggregate of a state, at version 0.

        Raises:
            SerializationError: The class does not accept it.
        """
        try:
            restored: Any = self._model.model_validate_json(state, by_alias=False, by_name=True)
        except Exception as error:
            # Validators raise what they like; the events know better than any of them.
            raise self._error("cannot be read", error) from error
        aggregate: T = restored.aggregate
        for name in self._private:
            setattr(aggregate, name, getattr(restored, _stored(name)))
        return aggregate

    def _refuse_what_gets_lost(self, aggregate: T, restored: T) -> None:
        before, after = _content(aggregate), _content(restored)
        names = before.keys() - AggregateRoot.__private_attributes__.keys()
        lost = sorted(name for name in names if not _is_same(before[name], after.get(name)))
        if lost:
            reason = (
                f"{', '.join(lost)} would come back different; declare the exact type, and let "
                "validators leave alone what they have made"
            )
            raise self._error("cannot be kept", reason)

    def _private_values(self, aggregate: T) -> dict[str, Any]:
        values: Mapping[str, Any] = aggregate.__pydantic_private__ or {}
        return {name: values[name] for name in self._private if name in values}

    def _error(self, problem: str, reason: object) -> SerializationError:
        msg = f"a snapshot of {self._class.__name__} {problem}: {reason}"
        return SerializationError(msg)


def _content(model: BaseModel) -> dict[str, Any]:
    fields = {name: model.__dict__.get(name) for name in type(model).model_fields}
    return {**fields, **(model.__pydantic_extra__ or {}), **(model.__pydantic_private__ or {})}


def _is_same(before: Any, after: Any) -> bool:
    """Whether two values are equal all the way down: entities are equal when their ids are."""
    if isinstance(before, BaseModel):
        return type(before) is type(after) and _is_same(_content(before), _content(after))
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_is_same(before[k], after[k]) for k in before)
    if isinstance(before, list | tuple) and type(before) is type(after):
        return len(before) == len(after) and all(map(_is_same, before, after))
    return bool(before == after)


def _private_attributes(aggregate_class: type[AggregateRoot[Any]]) -> tuple[str, ...]:
    ours = AggregateRoot.__private_attributes__
    return tuple(name for name in aggregate_class.__private_attributes__ if name not in ours)


def _hints(aggregate_class: type[AggregateRoot[Any]]) -> Mapping[str, Any]:
    try:
        return get_type_hints(aggregate_class, include_extras=True)
    except NameError:
        # Pydantic does not need these annotations, so they may name what is not imported.
        return {}


def _stored(private_name: str) -> str:
    """Return the name in the state: a field's name cannot begin with an underscore."""
    return f"private{private_name}"


class _Shapes(GenerateJsonSchema):
    """Finds a shape for everything: what JSON Schema cannot describe is of any shape."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        pass


def _fingerprint(aggregate_class: type[AggregateRoot[Any]], model: type[BaseModel]) -> str:
    schema = model.model_json_schema(mode="serialization", by_alias=False, schema_generator=_Shapes)
    meaning = getattr(aggregate_class, "snapshot_version", 1)
    text = json.dumps([meaning, _shape(schema)], sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _shape(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_shape(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _shape_under(key, value) for key, value in schema.items() if key not in _PROSE}


def _shape_under(key: str, value: Any) -> Any:
    if key in _NAMED:
        return {name: _shape(schema) for name, schema in value.items()}
    return value if key in _VALUES else _shape(value)
