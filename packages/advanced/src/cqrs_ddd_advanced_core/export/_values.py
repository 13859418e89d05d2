"""Values of payloads, as columns hold them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import to_json

from cqrs_ddd_advanced_core.codecs.personal_data import Shredded
from cqrs_ddd_advanced_core.export.exceptions import ExportValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cqrs_ddd_advanced_core.export.columns import PayloadColumn, PayloadColumns
    from cqrs_ddd_core.ports.event_store import StoredEvent
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload

__all__ = ["PayloadReader"]

_HIGHEST: Final = 2**63
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class _ValueError(Exception):
    """Why a value does not fit."""


class PayloadReader:
    """Reads the values of columns from events.

    Args:
        columns: Which.
    """

    def __init__(self, columns: PayloadColumns) -> None:
        self._upcasters = columns.upcasters
        self._columns = columns.by_name
        self._reads_all = any(column.versions is None for column in self._columns.values())
        self._versions: dict[str, int] = {}
        for column in self._columns.values():
            self._versions |= column.versions or {}

    def read(self, events: Sequence[StoredEvent]) -> dict[str, list[Any]]:
        """Return the values of each column, one for each event.

        Raises:
            ExportValueError: A value does not fit its column, or an event has to be upcast first.
        """
        values: dict[str, list[Any]] = {name: [] for name in self._columns}
        for event in events:
            event_type, payload = self._payload(event)
            for name, column in self._columns.items():
                is_there = column.versions is None or event_type in column.versions
                value = _find(payload, column.path or (name,)) if is_there else None
                values[name].append(None if value is None else _convert(event, name, column, value))
        return values

    def _payload(self, event: StoredEvent) -> tuple[str, Mapping[str, Any]]:
        """Return an event's type and payload as they are read today."""
        event_type, version = event.event_type, event.schema_version
        if self._upcasters is not None and self._upcasters.has_upcasters(event_type, version):
            return _upcast(event, self._upcasters)
        if self._versions.get(event_type, version) != version:
            reason = (
                f"it is of version {version} and not {self._versions[event_type]}; "
                "give the columns upcasters"
            )
            raise ExportValueError(event.position, event_type, _any(self._columns), reason)
        if not self._reads_all and event_type not in self._versions:
            return event_type, {}
        return event_type, _parse(event.payload_bytes)


def _upcast(event: StoredEvent, upcasters: IUpcasterRegistry) -> tuple[str, Mapping[str, Any]]:
    found: Sequence[UpcastPayload] = upcasters.upcast(
        event.event_type, event.schema_version, event.payload
    )
    if not found:
        return event.event_type, {}
    if len(found) > 1:
        reason = f"it is read as {len(found)} events today, and a row is one event"
        raise ExportValueError(event.position, event.event_type, "payload", reason)
    # What upcasters return may hold decimals and dates that are JSON only now.
    return found[0].event_type, _parse(to_json(found[0].payload))


def _parse(payload: bytes) -> dict[str, Any]:
    # The faster parser of events would make floats of all numbers with a point.
    parsed: dict[str, Any] = json.loads(payload, parse_float=Decimal)
    return parsed


def _any(columns: Mapping[str, PayloadColumn]) -> str:
    return next(name for name, column in columns.items() if column.versions)


def _find(payload: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = payload
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return None if Shredded.is_json_value(value) else value


def _convert(event: StoredEvent, name: str, column: PayloadColumn, value: Any) -> Any:
    try:
        if column.type is Decimal:
            return _to_decimal(value, column)
        return _CONVERTERS[column.type](value)
    except (_ValueError, ValueError, InvalidOperation) as error:
        # Never with the value: it may be personal, and errors are logged.
        reason = str(error) if isinstance(error, _ValueError) else f"no {column.type.__name__}"
        raise ExportValueError(event.position, event.event_type, name, reason) from None


def _to_decimal(value: Any, column: PayloadColumn) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise _ValueError("no number")
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise _ValueError("no finite number")
    _, digits, exponent = number.normalize(_EXACT).as_tuple()
    behind = -int(exponent)
    if number and (behind > column.scale or len(digits) - behind > column.precision - column.scale):
        raise _ValueError(
            f"it needs more digits than decimal({column.precision}, {column.scale}); "
            "declare the column with other ones"
        )
    return number


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _ValueError("no text")
    return value


def _to_uuid(value: Any) -> str:
    return str(UUID(_to_text(value)))


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _ValueError("neither true nor false")
    return value


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
        raise _ValueError("no whole number")
    if not -_HIGHEST <= value < _HIGHEST:
        raise _ValueError("it needs more than 64 bits; declare the column as Decimal")
    return int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _ValueError("no number")
    return float(value)


def _to_instant(value: Any) -> datetime:
    moment = datetime.fromisoformat(_to_text(value))
    if moment.tzinfo is None:
        raise _ValueError("a time without a zone; declare the column as str")
    return moment.astimezone(UTC)


def _to_date(value: Any) -> date:
    return date.fromisoformat(_to_text(value))


def _to_json_text(value: Any) -> str:
    return to_json(_with_floats(value)).decode()


def _with_floats(value: Any) -> Any:
    # to_json would write decimals as text.
    if isinstance(value, dict):
        return {key: _with_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_floats(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


_CONVERTERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    str: _to_text,
    datetime: _to_instant,
    date: _to_date,
    UUID: _to_uuid,
    dict: _to_json_text,
}
