"""Bound values: each database gets a value in the form its expressions compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import DateTime, Double, Numeric, String
from sqlalchemy.types import NullType, TypeDecorator

from cqrs_ddd_core.domain.specification import TextPattern, Wildcard

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = [
    "DecimalType",
    "FloatType",
    "InstantType",
    "NumberType",
    "PatternType",
    "WordType",
    "decimal_key",
    "decimal_of",
]

_COMPLEMENT: Final = str.maketrans("0123456789", "9876543210")
_LIKE: Final = {"%": "\\%", "_": "\\_", "\\": "\\\\", Wildcard.ANY_TEXT: "%"}
_GLOB: Final = {"*": "[*]", "?": "[?]", "[": "[[]", Wildcard.ANY_TEXT: "*"}
# No ASCII letter or digit and nothing beyond ASCII.
_NO_WORD: Final = "[^a-z0-9\x80-\U0010ffff]"


def decimal_key(value: Decimal) -> str:
    """Return a text that sorts as the number does, the same for equal numbers.

    A sign, the place of the decimal point before the first digit, the digits without zeros at
    the ends; negative ones with every digit complemented.
    """
    sign, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    if not written:
        return "1"
    key = f"{500_000 + len(written) + int(exponent):06d}{written.rstrip('0')}"
    return f"0{key.translate(_COMPLEMENT)}~" if sign else f"2{key}"


class _PerDatabase(TypeDecorator[Any], ABC):
    """A value of one type on PostgreSQL and of another, mostly text, on SQLite."""

    impl = String
    cache_ok = True
    postgresql: ClassVar[TypeEngine[Any]] = String()
    sqlite: ClassVar[TypeEngine[Any]] = String()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return self.sqlite if dialect.name == "sqlite" else self.postgresql

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return self.to_sqlite(value) if dialect.name == "sqlite" else self.to_postgresql(value)

    @abstractmethod
    def to_postgresql(self, value: Any) -> Any: ...

    @abstractmethod
    def to_sqlite(self, value: Any) -> Any: ...


class DecimalType(_PerDatabase):
    """A number for ``AsDecimal``."""

    cache_ok = True
    postgresql = Numeric()

    def to_postgresql(self, value: Any) -> Decimal:
        return decimal_of(value)

    def to_sqlite(self, value: Any) -> str:
        return decimal_key(decimal_of(value))


class NumberType(_PerDatabase):
    """A number for ``JsonNumber`` and ``AsInteger``, which read JSON numbers only."""

    cache_ok = True
    postgresql = Numeric()
    sqlite = NullType()

    def to_postgresql(self, value: Any) -> Decimal:
        return decimal_of(value)

    def to_sqlite(self, value: Any) -> int | float:
        return value if isinstance(value, int) else float(value)


class FloatType(_PerDatabase):
    """A number for ``AsFloat``."""

    cache_ok = True
    postgresql = Double()

    def to_postgresql(self, value: Any) -> float:
        return float(value)

    def to_sqlite(self, value: Any) -> str:
        return repr(float(value))


class InstantType(_PerDatabase):
    """A point in time for ``AsInstant``."""

    cache_ok = True
    postgresql = DateTime(timezone=True)

    def to_postgresql(self, value: datetime) -> datetime:
        return value

    def to_sqlite(self, value: datetime) -> str:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


class PatternType(_PerDatabase):
    """A ``TextPattern`` for ``Matches``: LIKE or GLOB, every literal character escaped."""

    cache_ok = True

    def to_postgresql(self, value: TextPattern) -> str:
        return "".join(_LIKE.get(part) or _plain(part) for part in value.parts)

    def to_sqlite(self, value: TextPattern) -> str:
        return "".join(_GLOB.get(part) or _plain(part, "?") for part in value.parts)


class WordType(_PerDatabase):
    """A folded word for ``Matches`` on ``SpacedWords``."""

    cache_ok = True

    def to_postgresql(self, value: str) -> str:
        return f"% {value} %"

    def to_sqlite(self, value: str) -> str:
        return f"*{_NO_WORD}{value}{_NO_WORD}*"


def _plain(part: str | Wildcard, any_character: str = "_") -> str:
    return any_character if isinstance(part, Wildcard) else part


def decimal_of(value: Any) -> Decimal:
    """Return a number as a decimal; a float counts as its shortest decimal text."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
