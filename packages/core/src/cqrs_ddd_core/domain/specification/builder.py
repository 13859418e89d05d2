"""Fluent building of specifications: conditions, and groups that end where they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cqrs_ddd_core.domain.specification.operators import SpecificationOperator
from cqrs_ddd_core.domain.specification.tree import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
    Specification,
)
from cqrs_ddd_core.primitives.exceptions import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SpecificationBuilder"]


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    close: Callable[[tuple[Specification, ...]], Specification]
    parts: list[Specification] = field(default_factory=list)


def _negated(parts: tuple[Specification, ...]) -> Specification:
    return NotSpecification(_joined(parts))


def _joined(parts: tuple[Specification, ...]) -> Specification:
    return parts[0] if len(parts) == 1 else AndSpecification(parts)


class SpecificationBuilder:
    """Collects conditions that must all be met, with groups for the rest.

    ``or_group()`` needs one of its conditions, ``and_group()`` all, ``not_group()`` not all of
    them; ``end_group()`` closes the innermost one. Without any condition the result is met by
    everything.
    """

    def __init__(self) -> None:
        self._groups = [_Group("root", _joined)]

    def where(self, field: str, operator: str | SpecificationOperator, value: Any = None) -> Self:
        """Add a condition such as ``where("total", ">", 100)``.

        Raises:
            SpecificationError: The operator is unknown or the value cannot be compared.
        """
        return self.add(AttributeSpecification(field, SpecificationOperator.parse(operator), value))

    def add(self, specification: Specification) -> Self:
        """Add a specification that exists already."""
        self._groups[-1].parts.append(specification)
        return self

    def and_group(self) -> Self:
        """Begin conditions that must all be met."""
        return self._begin("and_group", _joined)

    def or_group(self) -> Self:
        """Begin conditions of which one must be met."""
        return self._begin("or_group", OrSpecification)

    def not_group(self) -> Self:
        """Begin conditions that must not all be met."""
        return self._begin("not_group", _negated)

    def end_group(self) -> Self:
        """Close the innermost group.

        Raises:
            SpecificationError: No group is open, or nothing was added to it.
        """
        if len(self._groups) == 1:
            msg = "end_group() without a group; begin one with or_group()"
            raise SpecificationError(msg)
        group = self._groups.pop()
        if not group.parts:
            msg = f"{group.name}() has no conditions; add one with where()"
            raise SpecificationError(msg)
        return self.add(group.close(tuple(group.parts)))

    def build(self) -> Specification:
        """Return what was collected; the builder can go on collecting.

        Raises:
            SpecificationError: A group is still open.
        """
        if len(self._groups) > 1:
            msg = f"{self._groups[-1].name}() is still open; close it with end_group()"
            raise SpecificationError(msg)
        return _joined(tuple(self._groups[0].parts))

    def _begin(
        self, name: str, close: Callable[[tuple[Specification, ...]], Specification]
    ) -> Self:
        self._groups.append(_Group(name, close))
        return self
