"""What one declared mapping does to a row when an event of one class happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.projections._sources import Reading, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_advanced_core.projections._row_buffer import RowBuffer, TableShape
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["MappedEvent"]

#: Takes something out of an event, or its stored form, and the fields of its payload.
_Taking: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]
#: Changes a row, given the position of the event too.
_Change: TypeAlias = "Callable[[Any, Mapping[str, Any], RowBuffer, int], None]"


class MappedEvent:
    """A mapping of one event class to one table.

    Args:
        event_class: The class.
        shape: Of the table.
        key: Where the key comes from; a tuple for several columns.
        sets: Sources by column.
        adds: Sources of numbers to add.
        subtracts: Sources of numbers to subtract.
        deletes: Whether the row is removed.

    Attributes:
        table: Name of the table.
        fields: The fields of the payload it needs.
        needs_event: Whether the event itself is needed.
        change: Changes the row.

    Raises:
        ProjectionDefinitionError: Columns and sources do not fit together.
    """

    def __init__(
        self,
        event_class: type[DomainEvent],
        shape: TableShape,
        *,
        key: Source | tuple[Source, ...],
        sets: Mapping[str, Source],
        adds: Mapping[str, Source],
        subtracts: Mapping[str, Source],
        deletes: bool,
    ) -> None:
        read = partial(Reading, event_class)
        keys = [read(one) for one in (key if isinstance(key, tuple) else (key,))]
        setting = {name: read(source) for name, source in sets.items()}
        adding = {name: read(source) for name, source in adds.items()}
        subtracting = {name: read(source).negated() for name, source in subtracts.items()}
        where = f"the mapping of {event_class.__name__} to {shape.schema.name}"
        if len(keys) != len(shape.key):
            raise ProjectionDefinitionError(f"{where} needs a key of {', '.join(shape.key)}")
        _check_columns(where, shape, setting, [*adding, *subtracting], deletes=deletes)
        readings = [*keys, *setting.values(), *adding.values(), *subtracting.values()]
        self.table: str = shape.schema.name
        self.fields: frozenset[str] = frozenset(one.field for one in readings if one.field)
        self.needs_event: bool = any(one.needs_event for one in readings)
        take_key = _key_of(keys)
        self.change: _Change = (
            _deletion(take_key)
            if deletes
            else _changing(take_key, setting, {**adding, **subtracting})
        )


def _check_columns(
    where: str, shape: TableShape, setting: Iterable[str], adding: Sequence[str], *, deletes: bool
) -> None:
    try:
        shape.check_settable(setting)
        shape.check_addable(adding)
    except ProjectionValueError as error:
        raise ProjectionDefinitionError(f"{where}: {error}") from None
    columns = [*setting, *adding]
    if len(set(columns)) < len(columns):
        raise ProjectionDefinitionError(f"{where} changes a column in two ways")
    if bool(columns) is deletes:
        raise ProjectionDefinitionError(f"{where} either deletes, or sets, adds or subtracts")


def _key_of(readings: Sequence[Reading]) -> _Taking:
    getters = [one.get for one in readings]
    if len(getters) == 1:
        get = getters[0]
        return lambda event, fields: (get(event, fields),)
    return lambda event, fields: tuple([get(event, fields) for get in getters])


def _values_of(readings: Mapping[str, Reading]) -> _Taking:
    """Return what makes a new mapping of values for each event."""
    fixed = {name: one.fixed.value for name, one in readings.items() if one.fixed is not None}
    getters = [(name, one.get) for name, one in readings.items() if one.fixed is None]
    if not getters:
        return lambda _event, _fields: fixed.copy()

    def take(event: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        values = fixed.copy()
        for name, get in getters:
            values[name] = get(event, fields)
        return values

    return take


def _amounts_of(readings: Mapping[str, Reading]) -> _Taking:
    take = _values_of(readings)
    if all(one.fixed is not None for one in readings.values()):
        return take

    def amounts(event: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = take(event, fields)
        for amount in found.values():
            if amount is None:
                return {name: one for name, one in found.items() if one is not None}
        return found

    return amounts


def _deletion(take_key: _Taking) -> _Change:
    def delete(event: Any, fields: Mapping[str, Any], rows: RowBuffer, position: int) -> None:
        rows.delete(position, take_key(event, fields))

    return delete


def _changing(
    take_key: _Taking, setting: Mapping[str, Reading], adding: Mapping[str, Reading]
) -> _Change:
    take_values, take_amounts = _values_of(setting), _amounts_of(adding)

    def update(event: Any, fields: Mapping[str, Any], rows: RowBuffer, position: int) -> None:
        rows.update(position, take_key(event, fields), take_values(event, fields))

    def add(event: Any, fields: Mapping[str, Any], rows: RowBuffer, position: int) -> None:
        rows.add(position, take_key(event, fields), take_amounts(event, fields))

    def both(event: Any, fields: Mapping[str, Any], rows: RowBuffer, position: int) -> None:
        values, amounts = take_values(event, fields), take_amounts(event, fields)
        rows.update_and_add(position, take_key(event, fields), values, amounts)

    if not adding:
        return update
    return both if setting else add
