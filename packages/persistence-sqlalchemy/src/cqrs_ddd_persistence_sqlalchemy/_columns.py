"""How a field's value becomes a column's value, and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum as PythonEnum
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, Union, get_args, get_origin

from sqlalchemy import ARRAY, JSON, DateTime, Enum, Float, Integer, String, Uuid, null
from sqlalchemy.types import TypeDecorator

from cqrs_ddd_core.domain.specification import FieldKind
from cqrs_ddd_persistence_sqlalchemy.specifications import ColumnField

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

__all__ = ["ColumnCodec", "choices", "codec_for", "is_json"]


class ColumnCodec(NamedTuple):
    """Functions between a field and its column."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def is_json(type_: TypeEngine[Any]) -> bool:
    """Whether a column of that type holds JSON, so that it can take every field."""
    return isinstance(type_, JSON)


def choices(annotation: object) -> tuple[object, ...]:
    """Return the types a field may hold: the members of a union, or the only one."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def codec_for(kind: FieldKind, column: Column[Any], annotation: object) -> ColumnCodec | str:
    """Return how a field goes into a column, or why it cannot."""
    type_ = column.type
    if is_json(type_):
        return _JSON
    if isinstance(type_, TypeDecorator):
        # Its author knows what it takes.
        return _SAME
    if isinstance(type_, DateTime) and kind is FieldKind.INSTANT:
        return _AWARE if type_.timezone else _NAIVE
    if isinstance(type_, Enum) and type_.enum_class is not None:
        return _SAME if type_.enum_class in choices(annotation) else _OTHER_ENUM
    if kind is FieldKind.UUID and (isinstance(type_, String) or _is_text_uuid(type_)):
        return _TEXT
    return _plain(kind, column, annotation)


def _plain(kind: FieldKind, column: Column[Any], annotation: object) -> ColumnCodec | str:
    type_, column_kind = column.type, ColumnField(column).kind
    if kind in (FieldKind.OBJECT, FieldKind.JSON):
        if isinstance(type_, ARRAY) or _python_type(type_) in choices(annotation):
            return _SAME
        return f"it holds {kind.value}; use a JSON column"
    if not kind.compares_with(column_kind):
        return f"it holds {kind.value} and the column {column_kind.value}"
    if kind is FieldKind.DECIMAL and isinstance(type_, (Float, Integer)):
        return "a decimal number would be rounded; use Numeric"
    if kind is FieldKind.FLOAT and isinstance(type_, Integer):
        return "a float would be rounded; use Float"
    return _VALUE


def _is_text_uuid(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, Uuid) and not type_.as_uuid


def _python_type(type_: TypeEngine[Any]) -> type | None:
    try:
        return type_.python_type
    except NotImplementedError:
        return None


def _same(value: Any) -> Any:
    return value


def _json(value: Any) -> Any:
    # SQL's NULL and not JSON's null: searching for what is missing has to find it.
    return null() if value is None else value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain_value(value: Any) -> Any:
    return value.value if isinstance(value, PythonEnum) else value


def _to_utc(value: datetime | None) -> datetime | None:
    # As everywhere in searching, a time without a zone counts as UTC.
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _to_naive(value: datetime | None) -> datetime | None:
    aware = _to_utc(value)
    return None if aware is None else aware.replace(tzinfo=None)


_SAME = ColumnCodec(_same, _same)
_JSON = ColumnCodec(_json, _same)
_TEXT = ColumnCodec(_text, _same)
_VALUE = ColumnCodec(_plain_value, _same)
# SQLite keeps no zone: what comes back without one is UTC, because it was written so.
_AWARE = ColumnCodec(_to_utc, _to_utc)
_NAIVE = ColumnCodec(_to_naive, _to_utc)
_OTHER_ENUM = "the column is of another enum"
