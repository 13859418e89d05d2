"""Specifications from client input: closed operators, declared fields, limited size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from cqrs_ddd_core.domain.specification.fields import kind_of_annotation
from cqrs_ddd_core.domain.specification.operators import (
    COLLECTION_OPERATORS,
    NULL_OPERATORS,
    SpecificationOperator,
)
from cqrs_ddd_core.domain.specification.tree import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
)
from cqrs_ddd_core.domain.specification.values import FieldKind
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationLimitError,
    SpecificationValueError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification.tree import Specification

__all__ = ["SpecificationLimits", "specification_from_dict"]

_TYPES: dict[FieldKind, TypeAdapter[Any]] = {
    FieldKind.BOOLEAN: TypeAdapter(bool),
    FieldKind.INTEGER: TypeAdapter(int),
    FieldKind.FLOAT: TypeAdapter(float),
    FieldKind.DECIMAL: TypeAdapter(Decimal),
    FieldKind.TEXT: TypeAdapter(str),
    FieldKind.INSTANT: TypeAdapter(datetime),
    FieldKind.DATE: TypeAdapter(date),
    FieldKind.UUID: TypeAdapter(UUID),
}
_COMPOSITES = {"and": AndSpecification, "or": OrSpecification}


@dataclass(frozen=True, slots=True)
class SpecificationLimits:
    """How much one client may ask.

    Args:
        depth: Levels of and, or and not around a condition.
        conditions: Conditions and groups altogether.
        values: Values in one list.
        text: Characters in one text.
    """

    depth: int = 8
    conditions: int = 100
    values: int = 1_000
    text: int = 1_000


def specification_from_dict(
    data: object,
    *,
    fields: Mapping[str, Any],
    limits: SpecificationLimits | None = None,
) -> Specification:
    """Read a specification that a client sent as JSON.

    A condition is ``{"field": "total", "op": ">", "value": "99.90"}``, a group
    ``{"op": "and" | "or" | "not", "conditions": [...]}``; nothing else is accepted.

    Args:
        data: Parsed JSON.
        fields: The fields a client may use with their types, such as ``{"total": Decimal}``.
            Names are looked up here and nowhere else; values must be JSON of that type.
        limits: How much one client may ask.

    Raises:
        UnknownFieldError: A field is not among ``fields``.
        UnknownOperatorError: An operator is not in the closed list.
        SpecificationValueError: A value is not of its field's type.
        SpecificationLimitError: It is too deep, too long or too wide.
        SpecificationError: It has another shape than described.
    """
    kinds = {name: kind_of_annotation(annotation) for name, annotation in fields.items()}
    return _Reader(kinds, limits or SpecificationLimits()).read(data, depth=0)


class _Reader:
    def __init__(self, kinds: Mapping[str, FieldKind], limits: SpecificationLimits) -> None:
        self._kinds = kinds
        self._limits = limits
        self._left = limits.conditions

    def read(self, data: object, depth: int) -> Specification:
        self._left -= 1
        if self._left < 0:
            msg = f"a specification may have {self._limits.conditions} conditions"
            raise SpecificationLimitError(msg)
        if not isinstance(data, Mapping) or not isinstance(data.get("op"), str):
            msg = f"a condition is an object with an 'op', not {type(data).__name__}"
            raise SpecificationError(msg)
        return self._group(data, depth) if "conditions" in data else self._leaf(data)

    def _group(self, data: Mapping[str, Any], depth: int) -> Specification:
        if depth >= self._limits.depth:
            msg = f"a specification may be {self._limits.depth} levels deep"
            raise SpecificationLimitError(msg)
        _refuse_other_keys(data, {"op", "conditions"})
        conditions, op = data["conditions"], data["op"]
        if not isinstance(conditions, list):
            msg = "'conditions' is a list"
            raise SpecificationError(msg)
        parts = tuple(self.read(item, depth + 1) for item in conditions)
        if op == "not" and len(parts) == 1:
            return NotSpecification(parts[0])
        if op not in _COMPOSITES:
            msg = "a group is 'and', 'or', or 'not' of one condition"
            raise SpecificationError(msg)
        return _COMPOSITES[op](parts)

    def _leaf(self, data: Mapping[str, Any]) -> Specification:
        operator = SpecificationOperator.parse(data["op"])
        _refuse_other_keys(data, {"op", "field", "value"})
        name = data.get("field")
        if not isinstance(name, str) or name not in self._kinds:
            raise UnknownFieldError(str(name), "this query")
        value = self._value(name, operator, data.get("value"))
        leaf = AttributeSpecification(name, operator, value)
        leaf.check(self._kinds.__getitem__)
        return leaf

    def _value(self, name: str, operator: SpecificationOperator, value: object) -> object:
        if operator in NULL_OPERATORS:
            return value
        if operator not in COLLECTION_OPERATORS:
            return self._scalar(name, value)
        if not isinstance(value, list):
            raise SpecificationValueError(name, f"{operator.value} takes a list of values")
        if len(value) > self._limits.values:
            msg = f"a list may have {self._limits.values} values"
            raise SpecificationLimitError(msg)
        return [self._scalar(name, item) for item in value]

    def _scalar(self, name: str, value: object) -> object:
        if not isinstance(value, (bool, int, float, str)):
            reason = f"a value is a text, number or boolean, not {type(value).__name__}"
            raise SpecificationValueError(name, reason)
        if isinstance(value, str) and len(value) > self._limits.text:
            msg = f"a text may have {self._limits.text} characters"
            raise SpecificationLimitError(msg)
        if isinstance(value, float) and not isfinite(value):
            raise SpecificationValueError(name, f"{value} is not a finite number")
        return self._typed(name, value)

    def _typed(self, name: str, value: float | str) -> object:
        kind = self._kinds[name]
        adapter = _TYPES.get(kind)
        if adapter is None:
            return value
        try:
            # As JSON, strictly: "1" is no integer and 1 no boolean, "2024-01-01" is a date.
            return adapter.validate_json(to_json(value), strict=True)
        except (ValidationError, ValueError):
            raise SpecificationValueError(name, f"it holds {kind.value}, not {value!r}") from None


def _refuse_other_keys(data: Mapping[str, Any], known: set[str]) -> None:
    other = sorted(str(key) for key in data.keys() - known)
    if other:
        msg = f"unknown keys {', '.join(other)}; a condition has {', '.join(sorted(known))}"
        raise SpecificationError(msg)
