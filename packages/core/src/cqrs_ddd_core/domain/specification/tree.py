"""The specification tree: immutable conditions on the fields of an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.domain.specification.checking import checked_value, family_of
from cqrs_ddd_core.domain.specification.evaluation import compile_leaf
from cqrs_ddd_core.domain.specification.fields import split_path
from cqrs_ddd_core.domain.specification.operators import (
    COLLECTION_OPERATORS,
    NULL_OPERATORS,
    SpecificationOperator,
)
from cqrs_ddd_core.primitives.exceptions import SpecificationValueError

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification.evaluation import Predicate
    from cqrs_ddd_core.domain.specification.fields import FieldKinds
    from cqrs_ddd_core.domain.specification.values import FieldKind

__all__ = [
    "AndSpecification",
    "AttributeSpecification",
    "NotSpecification",
    "OrSpecification",
    "Specification",
]


class Specification(ABC):
    """A condition on an object: evaluated here, or compiled to a query by an adapter.

    Combine with ``&``, ``|`` and ``~``. All evaluators agree on these rules:

    - **Two values, no third.** A condition is true or false, never unknown, and ``~`` is its
      exact opposite. ``None``, a missing field and a field of a missing parent are the same.
      ``None`` is equal to no value, greater and less than none, in no list, and matches no
      text; so ``!=`` and ``not_in``, the exact opposites of ``=`` and ``in``, are true for it.
      Comparing *with* ``None`` is refused: ask ``is_null`` or ``is_not_null``.
    - **No coercion.** Values of another kind are never equal to, greater or less than each
      other. Integers, floats and decimals are one kind and compare by value; a float counts as
      its shortest decimal text, and a float field compares in float. NaN counts as ``None``;
      infinite floats are outside the contract.
    - **Text compares by code point**, without normalisation and in every locale the same.
      ``icontains`` and its like fold A-Z only. ``fts`` asks for all words of the value, in any
      order, as whole folded words; words end at ASCII punctuation and white space.
    - **Points in time** compare in UTC; one without a zone counts as UTC.
    - ``between`` includes both ends; ``in`` of nothing is false.
    """

    __slots__ = ()

    @abstractmethod
    def is_satisfied_by(self, candidate: object) -> bool:
        """Whether a pydantic model, dataclass or mapping meets the condition.

        Raises:
            UnknownFieldError: The candidate's class declares no field of that name.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the condition as JSON-able data for ``specification_from_dict``."""

    @abstractmethod
    def check(self, kind_of: FieldKinds) -> None:
        """Refuse fields that are not declared and values they can never be compared with.

        Raises:
            UnknownFieldError: A field is not declared.
            SpecificationValueError: An operator or value does not fit its field.
        """

    def __and__(self, other: Specification) -> Specification:
        return AndSpecification((*_parts(self, AndSpecification), *_parts(other, AndSpecification)))

    def __or__(self, other: Specification) -> Specification:
        return OrSpecification((*_parts(self, OrSpecification), *_parts(other, OrSpecification)))

    def __invert__(self) -> Specification:
        return NotSpecification(self)


@dataclass(frozen=True, slots=True)
class AttributeSpecification(Specification):
    """A leaf: one field, one operator, one value.

    Args:
        field: Declared name; dots lead into nested objects, as in ``"address.city"``.
        operator: A ``SpecificationOperator`` or its text, such as ``">="``.
        value: What it compares with; a list for ``in`` and ``not_in``, two values for
            ``between``, nothing for ``is_null`` and ``is_not_null``.

    Raises:
        UnknownOperatorError: The operator is not one of the closed list.
        SpecificationValueError: The field name or the value can mean nothing.
        SpecificationLimitError: A text or list is too long.
    """

    field: str
    operator: SpecificationOperator
    value: Any = None
    #: Part of equality: 1 and True are equal in Python, and different conditions.
    family: FieldKind | None = dataclass_field(init=False, repr=False, default=None)
    _predicate: Predicate = dataclass_field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        split_path(self.field)
        operator = SpecificationOperator.parse(self.operator)
        value = checked_value(self.field, operator, self.value)
        object.__setattr__(self, "operator", operator)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "family", family_of(self.field, value))
        object.__setattr__(self, "_predicate", compile_leaf(self))

    def is_satisfied_by(self, candidate: object) -> bool:
        return self._predicate(candidate)

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"field": self.field, "op": self.operator.value}
        if self.operator in COLLECTION_OPERATORS:
            data["value"] = [_to_json(item) for item in self.value]
        elif self.operator not in NULL_OPERATORS:
            data["value"] = _to_json(self.value)
        return data

    def check(self, kind_of: FieldKinds) -> None:
        kind = kind_of(self.field)
        if self.family is not None and not kind.compares_with(self.family):
            reason = f"it holds {kind.value}, which is never compared with {self.family.value}"
            raise SpecificationValueError(self.field, reason)


@dataclass(frozen=True, slots=True)
class _Composite(Specification):
    parts: tuple[Specification, ...]

    def check(self, kind_of: FieldKinds) -> None:
        for part in self.parts:
            part.check(kind_of)

    def _parts_to_dict(self, operator: str) -> dict[str, Any]:
        return {"op": operator, "conditions": [part.to_dict() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class AndSpecification(_Composite):
    """Every part is met; with no parts, always."""

    def is_satisfied_by(self, candidate: object) -> bool:
        return all(part.is_satisfied_by(candidate) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        return self._parts_to_dict("and")


@dataclass(frozen=True, slots=True)
class OrSpecification(_Composite):
    """At least one part is met; with no parts, never."""

    def is_satisfied_by(self, candidate: object) -> bool:
        return any(part.is_satisfied_by(candidate) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        return self._parts_to_dict("or")


@dataclass(frozen=True, slots=True)
class NotSpecification(Specification):
    """The part is not met."""

    part: Specification

    def is_satisfied_by(self, candidate: object) -> bool:
        return not self.part.is_satisfied_by(candidate)

    def to_dict(self) -> dict[str, Any]:
        return {"op": "not", "conditions": [self.part.to_dict()]}

    def check(self, kind_of: FieldKinds) -> None:
        self.part.check(kind_of)

    def __invert__(self) -> Specification:
        return self.part


def _parts(specification: Specification, joined: type[_Composite]) -> tuple[Specification, ...]:
    # Flat, so that a chain of a thousand `&` is one level deep.
    return specification.parts if isinstance(specification, joined) else (specification,)


def _to_json(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)
