"""What a query asks for as text, such that two texts are equal only if the questions are."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import MAX_PREC, Context, Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import to_json

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import RowKey

__all__ = ["key_text", "question_text"]

_SCALARS: Final = frozenset({bool, int, float, Decimal, str, bytes, datetime, date, UUID})
_EXACT: Final = Context(prec=MAX_PREC)


def question_text(question: object) -> str | None:
    """Return all of query options as text; ``None`` when they hold what cannot be told apart.

    Values keep their types: the text ``"1"``, the numbers 1 and 1.0 and ``True`` are different
    conditions.
    """
    try:
        return to_json(_told(question)).decode()
    except TypeError:
        return None


def key_text(schema: ProjectionSchema, key: RowKey) -> str:
    """Return the key of a row as text, the same for all values that mean the same row.

    Raises:
        ProjectionValueError: It cannot be one.
    """
    fitted = map(schema.fit, schema.key, key)
    return to_json([_canonical(value) for value in fitted]).decode()


def _told(value: Any) -> Any:
    if value is None:
        return None
    kind = type(value)
    if kind in _SCALARS:
        return [kind.__name__, repr(value)]
    if kind in (tuple, list):
        return ["list", *map(_told, value)]
    if isinstance(value, Enum):
        return ["enum", _name(kind), value.name]
    if is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        compared = [one.name for one in fields(kind) if one.compare]
        return ["object", _name(kind), *(_told(getattr(value, name)) for name in compared)]
    raise TypeError


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _canonical(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value.normalize(_EXACT)) if value else "0"
    if isinstance(value, float):
        # Minus zero is zero.
        return repr(value + 0.0)
    return value.isoformat() if isinstance(value, date) else str(value)
