"""What a column of a read model takes, the same in every database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final
from uuid import UUID

from pydantic_core import PydanticSerializationError, from_json, to_json

__all__ = ["FITTING"]

_LARGEST: Final = 2**63 - 1


def _bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _unfit(value)


def _int(value: Any) -> int:
    if type(value) is not int and (not isinstance(value, int) or isinstance(value, bool)):
        raise _unfit(value)
    if not -_LARGEST - 1 <= value <= _LARGEST:
        raise ValueError("the number has more than 64 bits")
    return int(value)


def _float(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unfit(value)
    if not isfinite(value):
        raise ValueError("the number is not finite")
    return float(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("the number is not finite")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise _unfit(value)


def _str(value: Any) -> str:
    text = value if type(value) is str else _text_of(value)
    if "\0" in text:
        raise ValueError("the text has a NUL character, which databases refuse")
    if not text.isascii():
        _refuse_surrogates(text)
    return text


def _text_of(value: Any) -> str:
    found = value.value if isinstance(value, Enum) else value
    if not isinstance(found, str):
        raise _unfit(found)
    return found


def _refuse_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text has half a character") from None


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    raise _unfit(value)


def _datetime(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _unfit(value)
    if value.tzinfo is None:
        raise ValueError("the time has no time zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise _unfit(value)


def _uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    raise _unfit(value)


def _json(kind: type) -> Callable[[Any], Any]:
    def fit(value: Any) -> Any:
        try:
            copy = from_json(to_json(value))
        except PydanticSerializationError as error:
            raise ValueError(f"it cannot be written as JSON: {error}") from None
        if not isinstance(copy, kind):
            raise _unfit(value)
        return copy

    return fit


def _unfit(value: Any) -> TypeError:
    return TypeError(f"{type(value).__name__} does not fit")


#: By the type of the column: returns a value as it is kept, or raises.
FITTING: Final[Mapping[type, Callable[[Any], Any]]] = {
    bool: _bool,
    int: _int,
    float: _float,
    Decimal: _decimal,
    str: _str,
    bytes: _bytes,
    datetime: _datetime,
    date: _date,
    UUID: _uuid,
    dict: _json(dict),
    list: _json(list),
}
