"""Conditions written as Python comparisons: ``field("total") > 100``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cqrs_ddd_core.domain.specification.operators import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification.tree import AttributeSpecification

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_core.domain.specification.tree import Specification
    from cqrs_ddd_core.domain.specification.values import Scalar

__all__ = ["FieldReference", "field"]


class FieldReference:
    """A field whose comparisons are specifications; put parentheses around them before ``&``."""

    __slots__ = ("_name",)
    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self._name = name

    def is_(self, operator: Op | str, value: object = None) -> Specification:
        """Compare with any operator of the closed list, such as ``"fts"``.

        Raises:
            UnknownOperatorError: There is no such operator.
            SpecificationValueError: The value means nothing for it.
        """
        return AttributeSpecification(self._name, Op.parse(operator), value)

    def __eq__(self, value: object) -> Specification:  # type: ignore[override]
        return self.is_(Op.EQUAL, value)

    def __ne__(self, value: object) -> Specification:  # type: ignore[override]
        return self.is_(Op.NOT_EQUAL, value)

    def __gt__(self, value: Scalar) -> Specification:
        return self.is_(Op.GREATER, value)

    def __ge__(self, value: Scalar) -> Specification:
        return self.is_(Op.GREATER_OR_EQUAL, value)

    def __lt__(self, value: Scalar) -> Specification:
        return self.is_(Op.LESS, value)

    def __le__(self, value: Scalar) -> Specification:
        return self.is_(Op.LESS_OR_EQUAL, value)

    def in_(self, values: Iterable[Scalar]) -> Specification:
        """Equal to one of the values."""
        return self.is_(Op.IN, tuple(values))


def field(name: str) -> FieldReference:
    """Name a field to compare, such as ``(field("total") > 100) & (field("paid") == True)``."""
    return FieldReference(name)
