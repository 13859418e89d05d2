"""Query options: which objects, in which order, which page of them, and which of their fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cqrs_ddd_core.domain.cursor import read_cursor, write_cursor
from cqrs_ddd_core.domain.specification import (
    AndSpecification,
    AttributeSpecification,
    FieldKind,
    OrSpecification,
    Specification,
    SpecificationBuilder,
    SpecificationOperator,
)
from cqrs_ddd_core.domain.specification.fields import field_reader, split_path
from cqrs_ddd_core.domain.specification.values import order_key
from cqrs_ddd_core.primitives.exceptions import SpecificationError, SpecificationValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from cqrs_ddd_core.domain.specification import FieldKinds

__all__ = ["KEY_FIELD", "Ordering", "QueryOptions"]

T = TypeVar("T")

#: The unique field that breaks ties where nothing else is said, so that pages never overlap.
KEY_FIELD = "id"


@dataclass(frozen=True, slots=True)
class Ordering:
    """One field to order by.

    ``None`` is smaller than every value: first when ascending, last when descending. Text
    orders by code point.

    Raises:
        SpecificationValueError: It is no field name.
    """

    field: str
    desc: bool = False

    def __post_init__(self) -> None:
        split_path(self.field)

    @classmethod
    def parse(cls, text: str, *, desc: bool = False) -> Ordering:
        """Read ``"created_at"``, or ``"-created_at"`` for descending.

        Raises:
            SpecificationError: Both say that it descends.
        """
        if not text.startswith("-"):
            return cls(text, desc)
        if desc:
            msg = f"{text!r} descends already; write the minus or desc=True, not both"
            raise SpecificationError(msg)
        return cls(text[1:], desc=True)

    def __str__(self) -> str:
        return f"-{self.field}" if self.desc else self.field


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What a query returns; immutable, every method returns a changed copy.

    Args:
        specification: The condition, or ``None`` for all.
        ordering: Fields to order by; what ties is ordered by the key, always.
        limit: Most objects to return, or ``None`` for all.
        offset: Objects to skip; the database still reads them, so prefer ``after``.
        after: A cursor, to begin behind the object it stands for.
        key: The fields that tell objects apart; a read model sets its own.
        fields: The only fields wanted, or ``None`` for all. Who cannot leave any out, such as a
            repository of aggregates, refuses it.

    Raises:
        SpecificationError: The parts contradict each other, or a name stands twice.
        SpecificationValueError: A name is no field name.
    """

    specification: Specification | None = None
    ordering: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0
    after: str | None = None
    key: tuple[str, ...] = (KEY_FIELD,)
    fields: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.limit is not None and self.limit < 0) or self.offset < 0:
            msg = f"limit and offset count objects, got {self.limit} and {self.offset}"
            raise SpecificationError(msg)
        if self.after is not None and self.offset:
            msg = "a page begins after a cursor or at an offset, not both"
            raise SpecificationError(msg)
        _check_names("order", [ordering.field for ordering in self.ordering], required=False)
        _check_names("key", self.key)
        if self.fields is not None:
            _check_names("selection", self.fields)
            _check_whole(self.fields)

    @classmethod
    def of(cls, criteria: Specification | SpecificationBuilder | QueryOptions | None) -> Self:
        """Return what a repository was asked for as query options."""
        if isinstance(criteria, cls):
            return criteria
        options = cls()
        return options if criteria is None else options.with_specification(criteria)  # type: ignore[arg-type]

    def with_specification(self, specification: Specification | SpecificationBuilder) -> Self:
        """Set the condition; a builder is built."""
        if isinstance(specification, SpecificationBuilder):
            specification = specification.build()
        return replace(self, specification=specification)

    def with_ordering(self, *fields: str, desc: bool = False) -> Self:
        """Order by further fields, after those given already.

        Args:
            fields: Names, with a minus in front to descend.
            desc: Whether all of these descend; for names without a minus.

        Raises:
            SpecificationError: One is ordered by already, descends twice, or is no field name.
        """
        added = (Ordering.parse(field, desc=desc) for field in fields)
        return replace(self, ordering=(*self.ordering, *added))

    def with_pagination(self, *, limit: int, offset: int = 0, after: str | None = None) -> Self:
        """Set the page, beginning at an offset or after a cursor."""
        return replace(self, limit=limit, offset=offset, after=after)

    def after_cursor(self, cursor: str | None) -> Self:
        """Begin behind the object of a cursor, such as ``next_cursor`` of the page before.

        Args:
            cursor: Valid for the same condition, order and key; ``None`` for the first page.
        """
        return replace(self, after=cursor, offset=0)

    def with_key(self, *fields: str) -> Self:
        """Set the fields that tell objects apart, and break ties in the order given."""
        return replace(self, key=fields)

    def with_fields(self, *fields: str) -> Self:
        """Ask for some fields only: whole ones, by their name at the first level."""
        return replace(self, fields=fields)

    @property
    def keys(self) -> tuple[Ordering, ...]:
        """The whole order: the given fields, then those of the key that are not among them."""
        given = {ordering.field for ordering in self.ordering}
        return (*self.ordering, *(Ordering(name) for name in self.key if name not in given))

    @property
    def condition(self) -> Specification:
        """The specification and, with a cursor, what comes after it: all that filters.

        Raises:
            CursorError: ``after`` is no cursor, or one for another order or condition.
        """
        return (self.specification or AndSpecification(())) & self.beyond_cursor()

    def beyond_cursor(self, is_nullable: Callable[[str], bool] = lambda _: True) -> Specification:
        """Return the condition that selects what comes after the cursor; all without one.

        Args:
            is_nullable: Whether a field can be ``None``; a condition that does not ask for it is
                served by an index better.

        Raises:
            CursorError: ``after`` is no cursor, or one for another order or condition.
        """
        if self.after is None:
            return AndSpecification(())
        values = read_cursor(self.after, self.keys, self.specification)
        return _after(self.keys, values, is_nullable)

    def cursor(self, item: object) -> str:
        """Return the ``after`` of the page that begins behind this object.

        The text is safe in a URL. It holds the values the object is ordered by, for everybody
        to read, and is refused with another condition, order or key.

        Raises:
            SpecificationValueError: The object has a value without order.
        """
        values = [field_reader(key.field)(item) for key in self.keys]
        return write_cursor(self.keys, self.specification, values)

    def check(self, kind_of: FieldKinds) -> None:
        """Refuse fields that are not declared or cannot be compared or ordered by.

        Raises:
            UnknownFieldError: A field is not declared.
            SpecificationValueError: A value does not fit its field, or the field has no order.
            CursorError: ``after`` is no cursor, or one for another order or condition.
        """
        self.condition.check(kind_of)
        for key in self.keys:
            kind = kind_of(key.field)
            if kind in (FieldKind.JSON, FieldKind.OBJECT):
                raise SpecificationValueError(key.field, f"it holds {kind.value}, without order")
        for name in self.fields or ():
            kind_of(name)

    def refuse_fields(self) -> None:
        """Refuse a choice of fields, where objects come whole or not at all.

        Raises:
            SpecificationError: Fields were chosen.
        """
        if self.fields is not None:
            msg = f"only {', '.join(self.fields)} were asked for, but aggregates come whole"
            raise SpecificationError(msg)

    def apply(self, items: Iterable[T]) -> list[T]:
        """Filter, order and page objects in memory; what every database has to return.

        The objects stay whole; ``pick`` leaves out of a row what was not asked for.
        """
        condition = self.condition
        found = [item for item in items if condition.is_satisfied_by(item)]
        for key in reversed(self.keys):
            read = field_reader(key.field)
            found.sort(key=lambda item, read=read: order_key(read(item)), reverse=key.desc)  # type: ignore[misc]
        end = None if self.limit is None else self.offset + self.limit
        return found[self.offset : end]

    def pick(self, row: Mapping[str, T]) -> dict[str, T]:
        """Return the wanted fields of a row."""
        names = row if self.fields is None else self.fields
        return {name: row[name] for name in names}


def _check_names(what: str, names: Collection[str], *, required: bool = True) -> None:
    if required and not names:
        msg = f"the {what} names no field"
        raise SpecificationError(msg)
    for name in names:
        split_path(name)
    if len(set(names)) < len(names):
        msg = f"the {what} names a field twice: {', '.join(names)}"
        raise SpecificationError(msg)


def _check_whole(names: Collection[str]) -> None:
    for name in names:
        if "." in name:
            raise SpecificationValueError(name, "only whole fields can be chosen")


# --- behind a cursor ------------------------------------------------------------------------------


def _after(
    keys: tuple[Ordering, ...], values: tuple[Any, ...], is_nullable: Callable[[str], bool]
) -> Specification:
    key, value = keys[0], values[0]
    beyond = _beyond(key, value, or_equal=False, nullable=is_nullable(key.field))
    if len(keys) == 1:
        return beyond
    further = _equal(key.field, value) & _after(keys[1:], values[1:], is_nullable)
    if value is None:
        return beyond | further
    # Says nothing new, but it is where an index begins to read.
    start = _beyond(key, value, or_equal=True, nullable=is_nullable(key.field))
    return start & (beyond | further)


def _beyond(key: Ordering, value: Any, *, or_equal: bool, nullable: bool) -> Specification:
    operators = SpecificationOperator
    if value is None:
        nothing = OrSpecification(())
        return nothing if key.desc else AttributeSpecification(key.field, operators.IS_NOT_NULL)
    if key.desc:
        sign = operators.LESS_OR_EQUAL if or_equal else operators.LESS
        less = AttributeSpecification(key.field, sign, value)
        missing = AttributeSpecification(key.field, operators.IS_NULL)
        return less | missing if nullable else less
    sign = operators.GREATER_OR_EQUAL if or_equal else operators.GREATER
    return AttributeSpecification(key.field, sign, value)


def _equal(name: str, value: Any) -> Specification:
    if value is None:
        return AttributeSpecification(name, SpecificationOperator.IS_NULL)
    return AttributeSpecification(name, SpecificationOperator.EQUAL, value)
