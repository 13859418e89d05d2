"""Cursors: the place of one object in an order, as a text a client keeps and sends back."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from binascii import Error as NoBase64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import from_json, to_json

from cqrs_ddd_core.domain.specification.values import FieldKind, canonical, kind_of_value
from cqrs_ddd_core.primitives.exceptions import (
    CursorError,
    CursorMismatchError,
    SpecificationValueError,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.query_options import Ordering
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["read_cursor", "write_cursor"]

#: Of the form below; a cursor of any other version is refused.
_VERSION: Final = 1
#: Characters of a cursor; the longest texts that can be compared with have 10,000.
_MAX_LENGTH: Final = 100_000
_URL_SAFE: Final = str.maketrans("-_", "+/", "+/=")

#: What JSON has no value for is written as an object of one key.
_TAGS: Final[Mapping[FieldKind, str]] = {
    FieldKind.DECIMAL: "n",
    FieldKind.INSTANT: "t",
    FieldKind.DATE: "d",
    FieldKind.UUID: "u",
}
_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "n": Decimal,
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "u": UUID,
}


def write_cursor(
    keys: Sequence[Ordering], condition: Specification | None, values: Sequence[object]
) -> str:
    """Return the place behind an object as URL-safe text.

    It holds the values, readable for whoever decodes it, and a fingerprint of order and condition.

    Args:
        keys: The whole order.
        condition: What selects the objects, or ``None`` for all.
        values: What the object has in those keys.

    Raises:
        SpecificationValueError: A value has no order.
    """
    written = [_written(key.field, value) for key, value in zip(keys, values, strict=True)]
    content = to_json([_VERSION, _fingerprint(keys, condition), written])
    return urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(
    text: str, keys: Sequence[Ordering], condition: Specification | None
) -> tuple[Any, ...]:
    """Return the values a cursor holds, one for each key.

    Who changes a cursor can reach another place of the same order, and nothing else: values are
    compared with as those of any condition.

    Raises:
        CursorError: It is no cursor, or of another version.
        CursorMismatchError: It was made for another order or condition.
    """
    content = _decoded(text)
    if not isinstance(content, list) or len(content) != 3 or content[0] != _VERSION:
        raise _no_cursor()
    _, fingerprint, values = content
    if fingerprint != _fingerprint(keys, condition):
        msg = (
            "this cursor belongs to another order or condition: both have to stay as they were "
            "for the page before, down to their values"
        )
        raise CursorMismatchError(msg)
    if not isinstance(values, list) or len(values) != len(keys):
        raise _no_cursor()
    return tuple(_read(value) for value in values)


def _decoded(text: str) -> object:
    if len(text) > _MAX_LENGTH:
        raise _no_cursor()
    padded = text.translate(_URL_SAFE) + "=" * (-len(text) % 4)
    try:
        content = a2b_base64(padded.encode("ascii"), strict_mode=True)
        return from_json(content, allow_inf_nan=False)
    except (NoBase64Error, ValueError) as error:
        raise _no_cursor() from error


def _written(name: str, value: object) -> object:
    found = canonical(value)
    if found is None or isinstance(found, (bool, int, float, str)):
        return found
    tag = _TAGS.get(kind_of_value(found))
    if tag is None:
        raise SpecificationValueError(name, f"a {type(found).__name__} has no place in an order")
    return {tag: found.isoformat() if isinstance(found, date) else str(found)}


def _read(value: object) -> object:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise _no_cursor()
        return value
    try:
        [(tag, text)] = value.items()
        return _READERS[tag](str(text))
    except (ValueError, KeyError, ArithmeticError) as error:
        raise _no_cursor() from error


def _no_cursor() -> CursorError:
    return CursorError("this is no cursor of today's form; begin at the first page")


# --- fingerprints ---------------------------------------------------------------------------------


def _fingerprint(keys: Sequence[Ordering], condition: Specification | None) -> str:
    order = [[key.field, key.desc] for key in keys]
    asked = None if condition is None else _sorted(condition.to_dict())
    return blake2b(to_json([order, asked]), digest_size=9).hexdigest()


def _sorted(data: Mapping[str, Any]) -> object:
    # What means the same in another order: the parts of a group, and the values of a list, which
    # a set gives in another order in every process.
    if "conditions" in data:
        return [data["op"], sorted(map(_sorted, data["conditions"]), key=repr)]
    value = data.get("value")
    if data["op"] in ("in", "not_in"):
        value = sorted(map(repr, data["value"]))
    return [data["field"], data["op"], value]
