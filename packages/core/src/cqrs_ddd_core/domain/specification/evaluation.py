"""Evaluation in memory: a leaf becomes one compiled function. It defines what databases do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.domain.specification.fields import field_reader
from cqrs_ddd_core.domain.specification.operators import TEXT_OPERATORS
from cqrs_ddd_core.domain.specification.operators import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification.patterns import TextPattern, words
from cqrs_ddd_core.domain.specification.values import canonical, kind_of_value

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification.tree import AttributeSpecification

__all__ = ["Predicate", "compile_leaf"]

#: Says whether a candidate satisfies a specification.
Predicate = Callable[[object], bool]

# A test sees only canonical values of the kind it was made for.
_Test = Callable[[Any], bool]

_COMPARISONS: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQUAL: operator.eq,
    Op.GREATER: operator.gt,
    Op.GREATER_OR_EQUAL: operator.ge,
    Op.LESS: operator.lt,
    Op.LESS_OR_EQUAL: operator.le,
}
_NEGATED = {Op.NOT_EQUAL: Op.EQUAL, Op.NOT_IN: Op.IN, Op.IS_NOT_NULL: Op.IS_NULL}


def compile_leaf(leaf: AttributeSpecification) -> Predicate:
    """Return the function that evaluates a leaf."""
    positive = _NEGATED.get(leaf.operator)
    predicate = _positive(leaf, positive or leaf.operator)
    return predicate if positive is None else lambda candidate: not predicate(candidate)


def _positive(leaf: AttributeSpecification, op: Op) -> Predicate:
    read = field_reader(leaf.field)
    if op is Op.IS_NULL:
        return lambda candidate: canonical(read(candidate)) is None
    test, family = _test(op, leaf.value), leaf.family

    def predicate(candidate: object) -> bool:
        value = canonical(read(candidate))
        return value is not None and kind_of_value(value).family is family and test(value)

    return predicate


def _test(op: Op, value: Any) -> _Test:
    if op is Op.IN:
        return _membership(value)
    if op is Op.BETWEEN:
        low = _comparison(operator.ge, value[0])
        high = _comparison(operator.le, value[1])
        return lambda found: low(found) and high(found)
    if op is Op.FTS:
        wanted = set(words(value))
        return lambda found: wanted.issubset(words(found))
    if op in TEXT_OPERATORS:
        return TextPattern.of(op, value).matches
    return _comparison(_COMPARISONS[op], value)


def _comparison(compare: Callable[[Any, Any], bool], value: Any) -> _Test:
    exact, floating = _exactly(value), _floating(value)
    return lambda found: compare(found, floating if isinstance(found, float) else exact)


def _membership(values: tuple[Any, ...]) -> _Test:
    exact, floating = {_exactly(value) for value in values}, {_floating(value) for value in values}
    return lambda found: found in (floating if isinstance(found, float) else exact)


def _exactly(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _floating(value: Any) -> Any:
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return float(value) if number else value
