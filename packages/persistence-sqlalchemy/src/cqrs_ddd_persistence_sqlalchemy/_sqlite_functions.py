"""What SQLite cannot compute itself, as functions in SQL on every connection."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["EXACT", "add_functions"]

#: Numbers that PostgreSQL keeps as they are: up to 16,384 digits, and as many behind the point.
#: What would be rounded is refused.
EXACT: Final = Context(
    prec=16_384, Emax=131_071, Emin=0, traps=[Inexact, InvalidOperation, Overflow]
)


def add_functions(connection: DBAPIConnection) -> None:
    """Add the functions to a new connection."""
    for name, arguments, function in (
        ("cqrs_add", 2, _add),
        ("cqrs_bytes", 1, _bytes),
        ("cqrs_float", 1, _float),
    ):
        connection.create_function(name, arguments, function, deterministic=True)


def _add(first: int | str | None, second: int | str | None) -> int | str | None:
    """Add integers, or decimals that are kept as text; a sum that does not fit is an error."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    return str(EXACT.add(Decimal(first), Decimal(second)))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _float(text: str | None) -> float | None:
    # SQLite's own reading of decimal digits is off by the last bit now and then.
    return None if text is None else float.fromhex(text)
