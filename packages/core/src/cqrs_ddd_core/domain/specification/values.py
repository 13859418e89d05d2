"""What can be compared: the kinds of values and the one form each is compared in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from math import isnan
from typing import TypeAlias
from uuid import UUID

__all__ = ["FieldKind", "Scalar", "canonical", "kind_of_type", "kind_of_value", "order_key"]

#: A value a field can be compared with.
Scalar: TypeAlias = bool | int | float | Decimal | str | datetime | date | UUID


class FieldKind(Enum):
    """What a field holds, and so what it can be compared with.

    Numbers compare with numbers whatever their type; every other kind only with itself. A
    ``JSON`` field holds any JSON value, known only when it is read; an ``OBJECT`` (list, nested
    object, bytes) can only be tested for null.
    """

    BOOLEAN = "a boolean"
    INTEGER = "an integer"
    FLOAT = "a float"
    DECIMAL = "a decimal number"
    TEXT = "text"
    INSTANT = "a point in time"
    DATE = "a date"
    UUID = "a UUID"
    JSON = "a JSON value"
    OBJECT = "a list or an object"

    @property
    def family(self) -> FieldKind:
        """The kind that stands for all it compares with: one for all numbers."""
        return FieldKind.DECIMAL if self in _NUMBERS else self

    def compares_with(self, value_kind: FieldKind) -> bool:
        """Whether a field of this kind can hold something equal to a value of that kind."""
        if self is FieldKind.JSON:
            return value_kind.family in _JSON_FAMILIES
        return self.family is value_kind.family


_NUMBERS = (FieldKind.INTEGER, FieldKind.FLOAT, FieldKind.DECIMAL)
_JSON_FAMILIES = (FieldKind.BOOLEAN, FieldKind.DECIMAL, FieldKind.TEXT)

# Subclasses first: a bool is an int, and a datetime is a date.
_KINDS: tuple[tuple[type, FieldKind], ...] = (
    (bool, FieldKind.BOOLEAN),
    (int, FieldKind.INTEGER),
    (float, FieldKind.FLOAT),
    (Decimal, FieldKind.DECIMAL),
    (str, FieldKind.TEXT),
    (datetime, FieldKind.INSTANT),
    (date, FieldKind.DATE),
    (UUID, FieldKind.UUID),
)
_EXACT = dict(_KINDS)
_ORDER = {kind: place for place, kind in enumerate(FieldKind)}


def kind_of_type(python_type: type) -> FieldKind:
    """Return what a field of that type holds; an enum holds what its values are."""
    if issubclass(python_type, Enum):
        kinds = {kind_of_value(member.value) for member in python_type}
        return kinds.pop() if len(kinds) == 1 else FieldKind.OBJECT
    return next((kind for base, kind in _KINDS if issubclass(python_type, base)), FieldKind.OBJECT)


def kind_of_value(value: object) -> FieldKind:
    """Return the kind of one value that is not ``None``."""
    return _EXACT.get(type(value)) or kind_of_type(type(value))


def canonical(value: object) -> object:
    """Return the value in the form it is compared in.

    An enum becomes its value, a point in time UTC (one without a zone counts as UTC), and a
    number that is not a number ``None``.
    """
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, (float, Decimal)) and isnan(value):
        return None
    return value


def order_key(value: object) -> tuple[object, ...]:
    """Return what sorts values: ``None`` is the smallest, text goes by code point."""
    found = canonical(value)
    if found is None:
        return (0,)
    kind = kind_of_value(found)
    return (1, _ORDER[kind.family], None if kind is FieldKind.OBJECT else found)
