"""Specifications and query options as SQLAlchemy expressions, for PostgreSQL and SQLite."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import ARRAY, Enum, Text, and_, false, literal, or_, true

from cqrs_ddd_core.domain.specification import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
    TextPattern,
    words,
)
from cqrs_ddd_core.domain.specification.operators import COLLECTION_OPERATORS, TEXT_OPERATORS
from cqrs_ddd_core.domain.specification.operators import SpecificationOperator as Op
from cqrs_ddd_core.primitives.exceptions import SpecificationError, SpecificationValueError
from cqrs_ddd_persistence_sqlalchemy.specifications import _operators as sql
from cqrs_ddd_persistence_sqlalchemy.specifications._values import PatternType, WordType
from cqrs_ddd_persistence_sqlalchemy.specifications.fields import DocumentField

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

    from cqrs_ddd_core.domain.query_options import Ordering, QueryOptions
    from cqrs_ddd_core.domain.specification import Specification
    from cqrs_ddd_persistence_sqlalchemy.specifications.fields import SQLField, SQLFields

__all__ = ["apply_query_options", "compile_ordering", "compile_specification"]

S = TypeVar("S", bound="Select[Any]")

_NEGATED: Mapping[Op, Op] = {
    Op.NOT_EQUAL: Op.EQUAL,
    Op.NOT_IN: Op.IN,
    Op.IS_NOT_NULL: Op.IS_NULL,
}
_ORDERED: Mapping[Op, Callable[[Any, Any], Any]] = {
    Op.GREATER: operator.gt,
    Op.GREATER_OR_EQUAL: operator.ge,
    Op.LESS: operator.lt,
    Op.LESS_OR_EQUAL: operator.le,
}


def compile_specification(specification: Specification, fields: SQLFields) -> ColumnElement[bool]:
    """Return the condition for a WHERE; it selects what ``is_satisfied_by`` accepts in memory.

    Args:
        specification: The tree.
        fields: From ``document_fields`` or ``column_fields``.

    Raises:
        UnknownFieldError: A field is not declared.
        SpecificationValueError: An operator or value does not fit its field.
    """
    specification.check(lambda name: fields(name).kind)
    return _compile(specification, fields)


def compile_ordering(options: QueryOptions, fields: SQLFields) -> list[ColumnElement[Any]]:
    """Return what to order by: the given fields, then the key, NULL smaller than any value."""
    return [_ordering(key, fields(key.field)) for key in options.keys]


def apply_query_options(statement: S, options: QueryOptions, fields: SQLFields) -> S:
    """Add condition, order and page of the options to a SELECT, and leave out other columns.

    Chosen fields become the only columns, labelled with their names.

    Raises:
        UnknownFieldError: A field is not declared.
        SpecificationValueError: A value does not fit its field, the field has no order, or a
            chosen one is no column.
        CursorError: The cursor is none, or belongs to another order or condition.
    """
    options.check(lambda name: fields(name).kind)
    if options.specification is not None:
        statement = statement.where(_compile(options.specification, fields))
    if options.after is not None:
        beyond = options.beyond_cursor(lambda name: fields(name).nullable)
        statement = statement.where(_compile(beyond, fields))
    if options.fields is not None:
        chosen = (_chosen(name, fields(name)) for name in options.fields)
        statement = cast("S", statement.with_only_columns(*chosen, maintain_column_froms=True))
    statement = statement.order_by(*compile_ordering(options, fields))
    if options.limit is not None:
        statement = statement.limit(options.limit)
    return statement.offset(options.offset) if options.offset else statement


def _chosen(name: str, field: SQLField) -> ColumnElement[Any]:
    if isinstance(field, DocumentField):
        raise SpecificationValueError(name, "a part of a document cannot be chosen")
    return field.raw.label(name)


def _ordering(key: Ordering, field: SQLField) -> ColumnElement[Any]:
    expression = _ordered(key.field, field)
    direction = expression.desc() if key.desc else expression.asc()
    if not field.nullable:
        # Said for a column without NULLs, it would keep PostgreSQL from using an index.
        return direction
    return direction.nulls_last() if key.desc else direction.nulls_first()


def _ordered(name: str, field: SQLField) -> ColumnElement[Any]:
    if isinstance(field.raw.type, Enum):
        raise SpecificationValueError(name, "a database enum has no order of its texts")
    return field.operand().ordered


# --- conditions -----------------------------------------------------------------------------------


def _compile(specification: Specification, fields: SQLFields) -> ColumnElement[bool]:
    match specification:
        case AttributeSpecification():
            return _leaf(specification, fields(specification.field))
        case AndSpecification(parts):
            return and_(true(), *(_compile(part, fields) for part in parts))
        case OrSpecification(parts):
            return or_(false(), *(_compile(part, fields) for part in parts))
        case NotSpecification(part):
            return _not(_compile(part, fields))
    msg = f"{type(specification).__name__} is no part of a specification tree"
    raise SpecificationError(msg)


def _not(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # What SQL does not know is false here, so its opposite is true.
    return condition.is_not(true())


def _leaf(leaf: AttributeSpecification, field: SQLField) -> ColumnElement[bool]:
    positive = _NEGATED.get(leaf.operator)
    if positive is not None:
        return _not(_positive(leaf, positive, field))
    return _positive(leaf, leaf.operator, field)


def _positive(leaf: AttributeSpecification, op: Op, field: SQLField) -> ColumnElement[bool]:
    if op is Op.IS_NULL:
        return field.raw.is_(None)
    if op in TEXT_OPERATORS:
        return _text_condition(leaf.field, op, leaf.value, field)
    values = leaf.value if op in COLLECTION_OPERATORS else (leaf.value,)
    if not values:
        return false()
    return _comparison(leaf.field, op, values, field)


def _comparison(name: str, op: Op, values: tuple[Any, ...], field: SQLField) -> ColumnElement[bool]:
    operand = field.operand(values)
    bound = [operand.bind(value) for value in values]
    if op is Op.EQUAL:
        return operand.expression == bound[0]
    if op is Op.IN:
        return operand.expression.in_(bound)
    _ordered(name, field)
    if op is Op.BETWEEN:
        return operand.ordered.between(bound[0], bound[1])
    return cast("ColumnElement[bool]", _ORDERED[op](operand.ordered, bound[0]))


def _text_condition(name: str, op: Op, value: str, field: SQLField) -> ColumnElement[bool]:
    if isinstance(field.raw.type, Enum):
        raise SpecificationValueError(name, "a database enum is no text to search in")
    text = field.operand((value,)).expression
    if op is Op.FTS:
        wanted = list(dict.fromkeys(words(value)))
        return _has_indexed_words(text, wanted) if field.searched else _has_words(text, wanted)
    pattern = TextPattern.of(op, value)
    looked_at = sql.Folded(text) if pattern.folded else text
    return sql.Matches(looked_at, literal(pattern, PatternType()))


def _has_words(text: ColumnElement[Any], wanted: Sequence[str]) -> ColumnElement[bool]:
    spaced = sql.SpacedWords(text)
    return and_(true(), *(sql.Matches(spaced, literal(word, WordType())) for word in wanted))


def _has_indexed_words(text: ColumnElement[Any], wanted: Sequence[str]) -> ColumnElement[bool]:
    beginnings = [word[: sql.LONGEST_WORD] for word in wanted]
    found = sql.HasWords(text, literal(beginnings, ARRAY(Text())), _has_words(text, wanted))
    # One of exactly that length may be the beginning of a longer one.
    uncertain = [word for word in wanted if len(word) >= sql.LONGEST_WORD]
    return and_(found, _has_words(text, uncertain))
