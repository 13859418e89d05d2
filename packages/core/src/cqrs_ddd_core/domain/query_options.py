"""Query options: which objects, in which order, and which page of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cqrs_ddd_core.domain.specification import (
    AndSpecification,
    AttributeSpecification,
    FieldKind,
    OrSpecification,
    Specification,
    SpecificationBuilder,
    SpecificationOperator,
    canonical,
)
from cqrs_ddd_core.domain.specification.fields import field_reader, split_path
from cqrs_ddd_core.domain.specification.values import order_key
from cqrs_ddd_core.primitives.exceptions import SpecificationError, SpecificationValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_core.domain.specification import FieldKinds

__all__ = ["KEY_FIELD", "Ordering", "QueryOptions"]

T = TypeVar("T")

#: The unique field that breaks ties, so that pages never overlap.
KEY_FIELD = "id"


@dataclass(frozen=True, slots=True)
class Ordering:
    """One field to order by.

    ``None`` is smaller than every value: first when ascending, last when descending. Text
    orders by code point.
    """

    field: str
    desc: bool = False


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What a query returns; immutable, every method returns a changed copy.

    Args:
        specification: The condition, or ``None`` for all.
        ordering: Fields to order by; what ties is ordered by id, always.
        limit: Most objects to return, or ``None`` for all.
        offset: Objects to skip; the database still reads them, so prefer ``after``.
        after: The cursor of the last object seen, from ``cursor``; one value for each of
            ``keys``.
    """

    specification: Specification | None = None
    ordering: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0
    after: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if (self.limit is not None and self.limit < 0) or self.offset < 0:
            msg = f"limit and offset count objects, got {self.limit} and {self.offset}"
            raise SpecificationError(msg)
        if self.after is not None and self.offset:
            msg = "a page begins after a cursor or at an offset, not both"
            raise SpecificationError(msg)
        if self.after is not None and len(self.after) != len(self.keys):
            names = ", ".join(key.field for key in self.keys)
            msg = f"the cursor has {len(self.after)} values for the keys {names}"
            raise SpecificationError(msg)

    @classmethod
    def of(cls, criteria: Specification | QueryOptions | None) -> QueryOptions:
        """Return what a repository was asked for as query options."""
        return criteria if isinstance(criteria, QueryOptions) else cls(criteria)

    def with_specification(self, specification: Specification | SpecificationBuilder) -> Self:
        """Set the condition; a builder is built."""
        if isinstance(specification, SpecificationBuilder):
            specification = specification.build()
        return replace(self, specification=specification)

    def with_ordering(self, field: str, *, desc: bool = False) -> Self:
        """Order by one more field, after those given already.

        Raises:
            SpecificationError: It is ordered by already, or no field name.
        """
        split_path(field)
        if any(ordering.field == field for ordering in self.ordering):
            msg = f"the order names {field!r} twice"
            raise SpecificationError(msg)
        return replace(self, ordering=(*self.ordering, Ordering(field, desc)))

    def with_pagination(
        self, *, limit: int, offset: int = 0, after: tuple[Any, ...] | None = None
    ) -> Self:
        """Set the page, beginning at an offset or after a cursor; set the ordering first."""
        return replace(self, limit=limit, offset=offset, after=after)

    @property
    def keys(self) -> tuple[Ordering, ...]:
        """The whole order: the given fields, then the id unless it is among them."""
        if any(ordering.field == KEY_FIELD for ordering in self.ordering):
            return self.ordering
        return (*self.ordering, Ordering(KEY_FIELD))

    @property
    def condition(self) -> Specification:
        """The specification and, with a cursor, what comes after it: all that filters."""
        given = self.specification or AndSpecification(())
        return given if self.after is None else given & _after(self.keys, self.after)

    def cursor(self, item: object) -> tuple[Any, ...]:
        """Return the ``after`` of the page that begins behind this object."""
        return tuple(canonical(field_reader(key.field)(item)) for key in self.keys)

    def check(self, kind_of: FieldKinds) -> None:
        """Refuse fields that are not declared or cannot be compared or ordered by.

        Raises:
            UnknownFieldError: A field is not declared.
            SpecificationValueError: A value does not fit its field, or the field has no order.
        """
        self.condition.check(kind_of)
        for key in self.keys:
            kind = kind_of(key.field)
            if kind in (FieldKind.JSON, FieldKind.OBJECT):
                raise SpecificationValueError(key.field, f"it holds {kind.value}, without order")

    def apply(self, items: Iterable[T]) -> list[T]:
        """Filter, order and page objects in memory; what every database has to return."""
        condition = self.condition
        found = [item for item in items if condition.is_satisfied_by(item)]
        for key in reversed(self.keys):
            read = field_reader(key.field)
            found.sort(key=lambda item, read=read: order_key(read(item)), reverse=key.desc)  # type: ignore[misc]
        end = None if self.limit is None else self.offset + self.limit
        return found[self.offset : end]


def _after(keys: tuple[Ordering, ...], values: tuple[Any, ...]) -> Specification:
    key, value = keys[0], values[0]
    beyond = _beyond(key, value)
    if len(keys) == 1:
        return beyond
    return beyond | (_equal(key.field, value) & _after(keys[1:], values[1:]))


def _beyond(key: Ordering, value: Any) -> Specification:
    operators = SpecificationOperator
    if value is None:
        nothing = OrSpecification(())
        return nothing if key.desc else AttributeSpecification(key.field, operators.IS_NOT_NULL)
    if key.desc:
        less = AttributeSpecification(key.field, operators.LESS, value)
        return less | AttributeSpecification(key.field, operators.IS_NULL)
    return AttributeSpecification(key.field, operators.GREATER, value)


def _equal(name: str, value: Any) -> Specification:
    if value is None:
        return AttributeSpecification(name, SpecificationOperator.IS_NULL)
    return AttributeSpecification(name, SpecificationOperator.EQUAL, value)
