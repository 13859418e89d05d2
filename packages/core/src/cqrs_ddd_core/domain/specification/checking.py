"""What a condition may compare with: checked once, when the condition is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from math import isfinite

from cqrs_ddd_core.domain.specification.operators import (
    COLLECTION_OPERATORS,
    NULL_OPERATORS,
    TEXT_OPERATORS,
    SpecificationOperator,
)
from cqrs_ddd_core.domain.specification.patterns import TextPattern, words
from cqrs_ddd_core.domain.specification.values import FieldKind, canonical, kind_of_value
from cqrs_ddd_core.primitives.exceptions import SpecificationLimitError, SpecificationValueError

__all__ = ["checked_value", "family_of"]

#: Values of one ``in``; more would exceed the parameters a database statement may have.
MAX_VALUES = 10_000
#: Characters of one text; more would exceed the pattern length of SQLite.
MAX_TEXT = 10_000
#: Digits of a decimal written out; more than that no database compares.
MAX_DIGITS = 1_000
_INT64 = 1 << 63


def checked_value(name: str, operator: SpecificationOperator, value: object) -> object:
    """Return the value of a condition in the form it is kept in.

    Raises:
        SpecificationValueError: It means nothing for that operator.
        SpecificationLimitError: It is too long.
    """
    if operator in NULL_OPERATORS:
        if value is not None:
            raise SpecificationValueError(name, f"{operator} takes no value")
        return None
    if operator in COLLECTION_OPERATORS:
        return _checked_values(name, operator, value)
    checked = _checked_scalar(name, value)
    if operator in TEXT_OPERATORS:
        _check_pattern(name, operator, checked)
    return checked


def _checked_values(
    name: str, operator: SpecificationOperator, value: object
) -> tuple[object, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, set, frozenset)):
        raise SpecificationValueError(name, f"{operator} takes a list of values")
    if len(value) > MAX_VALUES:
        msg = f"{operator} on field {name!r} lists more than {MAX_VALUES} values"
        raise SpecificationLimitError(msg)
    if operator is SpecificationOperator.BETWEEN and len(value) != 2:
        raise SpecificationValueError(name, "between takes the lowest and the highest value")
    return tuple(_checked_scalar(name, item) for item in value)


def _checked_scalar(name: str, value: object) -> object:
    if value is None:
        raise SpecificationValueError(name, "nothing compares with None; use is_null")
    plain = value.value if isinstance(value, Enum) else value
    if kind_of_value(plain) is FieldKind.OBJECT:
        reason = f"a {type(plain).__name__} cannot be compared with"
        raise SpecificationValueError(name, reason)
    if isinstance(plain, str):
        _check_text(name, plain)
    elif isinstance(plain, (int, float, Decimal)):
        _check_number(name, plain)
    return _in_utc(name, plain) if isinstance(plain, datetime) else plain


def _check_text(name: str, value: str) -> None:
    if len(value) > MAX_TEXT:
        msg = f"the text for field {name!r} is longer than {MAX_TEXT} characters"
        raise SpecificationLimitError(msg)
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise SpecificationValueError(name, "no database stores NUL or half a surrogate pair")


def _check_number(name: str, value: float | Decimal) -> None:
    # math.isfinite would turn a large decimal into an infinite float.
    if not (value.is_finite() if isinstance(value, Decimal) else isfinite(value)):
        raise SpecificationValueError(name, f"{value} is not a finite number")
    if isinstance(value, Decimal) and _digits(value) > MAX_DIGITS:
        raise SpecificationValueError(name, f"decimals have {MAX_DIGITS} digits at most")
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise SpecificationValueError(name, "integers have 64 bits; use a Decimal")


def _digits(value: Decimal) -> int:
    _, digits, exponent = value.as_tuple()
    return len(digits) + abs(int(exponent))


def _check_pattern(name: str, operator: SpecificationOperator, value: object) -> None:
    if not isinstance(value, str):
        raise SpecificationValueError(name, f"{operator} takes a text")
    if operator is SpecificationOperator.FTS:
        if not words(value):
            raise SpecificationValueError(name, "fts takes at least one word")
        return
    try:
        TextPattern.of(operator, value)
    except ValueError as exc:
        raise SpecificationValueError(name, str(exc)) from None


def _in_utc(name: str, value: datetime) -> object:
    try:
        return canonical(value)
    except OverflowError:
        raise SpecificationValueError(name, f"{value} has no UTC form") from None


def family_of(name: str, value: object) -> FieldKind | None:
    """Return the one kind of the value or of all values, ``None`` when there is none.

    Raises:
        SpecificationValueError: There are several kinds.
    """
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    families = {kind_of_value(item).family for item in values}
    if len(families) > 1:
        raise SpecificationValueError(name, "the values of one list are of one kind")
    return families.pop() if families else None
