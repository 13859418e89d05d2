"""How the values of read models travel to a database and back, past SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from cqrs_ddd_persistence_sqlalchemy._dialect import from_datetime, to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._sqlite_functions import EXACT

__all__ = ["POSTGRES", "SQLITE", "RowCodec", "key_codec", "scaled"]


class RowCodec(NamedTuple):
    """A column's values on their way.

    Attributes:
        encode: Makes of a value what the driver, or JSON, can carry; ``None``: it is that already.
        decode: Makes the value of what was read, likewise.
        carried: PostgreSQL's type of what is carried.
        unpack: SQL that makes the column's value of ``{}``, what was carried.
        read: SQL that reads ``{}``, the column.
        add: SQL that adds ``{1}`` to ``{0}``, which may be NULL; empty when it is no number.
    """

    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    carried: str = ""
    unpack: str = "{}"
    read: str = "{}"
    add: str = ""


def key_codec(codec: RowCodec, type_: type) -> RowCodec:
    """Return the codec of a key column: equal keys are written alike."""
    return _first(EXACT.normalize, codec) if type_ is Decimal else codec


def scaled(codec: RowCodec, scale: int) -> RowCodec:
    """Return the codec of a column that would round what has more digits behind the point."""
    last_digit = Decimal(1).scaleb(-scale)

    def check(value: Decimal) -> Decimal:
        EXACT.quantize(value, last_digit)
        return value

    return _first(check, codec)


def _first(prepare: Callable[[Any], Any], codec: RowCodec) -> RowCodec:
    encode = codec.encode
    if encode is None:
        return codec._replace(encode=prepare)
    return codec._replace(encode=lambda value: encode(prepare(value)))


def _decimal_text(value: Decimal) -> str:
    return str(EXACT.plus(value))


def _json_text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if "\\u0000" in text:
        raise ValueError("a text in it has a NUL character, which databases refuse")
    return text


_NUMBER_ADD: Final = "coalesce({0}, 0) + {1}"
_POSTGRES_JSON: Final = RowCodec(
    _json_text, from_json, "text", unpack="CAST({} AS jsonb)", read="CAST({} AS text)"
)

#: By the type of the column in the schema.
POSTGRES: Final[Mapping[type, RowCodec]] = {
    bool: RowCodec(carried="boolean"),
    int: RowCodec(carried="bigint", add=_NUMBER_ADD),
    float: RowCodec(carried="double precision", add=_NUMBER_ADD),
    Decimal: RowCodec(EXACT.plus, carried="numeric", add=_NUMBER_ADD),
    str: RowCodec(carried="text"),
    bytes: RowCodec(carried="bytea"),
    datetime: RowCodec(decode=to_datetime, carried="timestamp with time zone"),
    date: RowCodec(carried="date"),
    UUID: RowCodec(carried="uuid"),
    dict: _POSTGRES_JSON,
    list: _POSTGRES_JSON,
}

# Everything is carried in JSON: numbers that are no integers, and bytes, as text of their own.
SQLITE: Final[Mapping[type, RowCodec]] = {
    bool: RowCodec(int, bool),
    int: RowCodec(add="cqrs_add({0}, {1})"),
    float: RowCodec(float.hex, unpack="cqrs_float({})", add=_NUMBER_ADD),
    Decimal: RowCodec(_decimal_text, Decimal, add="cqrs_add({0}, {1})"),
    str: RowCodec(),
    bytes: RowCodec(bytes.hex, unpack="cqrs_bytes({})"),
    datetime: RowCodec(from_datetime, to_datetime),
    date: RowCodec(date.isoformat, date.fromisoformat),
    UUID: RowCodec(lambda value: value.hex, to_uuid),
    dict: RowCodec(_json_text, from_json),
    list: RowCodec(_json_text, from_json),
}
