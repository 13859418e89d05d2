"""What one declared mapping does to a row when an event of one class happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.projections._sources import Source, SourceCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_advanced_core.projections._row_buffer import RowBuffer, TableShape
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["MappedEvent"]

#: Changes a row, given an event, or its stored form, the fields of its payload, and its position.
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
        code = SourceCode(event_class)
        keys = [code.value(one) for one in (key if isinstance(key, tuple) else (key,))]
        setting = {name: code.value(source) for name, source in sets.items()}
        adding = {name: code.value(source) for name, source in adds.items()}
        subtracting = {name: code.negated(source) for name, source in subtracts.items()}
        where = f"the mapping of {event_class.__name__} to {shape.schema.name}"
        if len(keys) != len(shape.key):
            raise ProjectionDefinitionError(f"{where} needs a key of {', '.join(shape.key)}")
        _check_columns(where, shape, setting, [*adding, *subtracting], deletes=deletes)
        self.table: str = shape.schema.name
        self.fields: frozenset[str] = frozenset(code.fields)
        self.needs_event: bool = code.needs_event
        call = _call(keys, setting, {**adding, **subtracting}, deletes=deletes)
        self.change: _Change = code.function("event, fields, rows, position", call, where)


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


def _call(
    key: Sequence[str], setting: Mapping[str, str], adding: Mapping[str, str], *, deletes: bool
) -> str:
    """Return the call that changes the row."""
    row = f"position, ({', '.join(key)},)"
    if deletes:
        return f"rows.delete({row})"
    if not adding:
        return f"rows.update({row}, {_mapping(setting)})"
    amounts = _mapping(adding)
    if not all(one.isidentifier() for one in adding.values()):
        amounts = f"given({amounts})"
    if not setting:
        return f"rows.add({row}, {amounts})"
    return f"rows.update_and_add({row}, {_mapping(setting)}, {amounts})"


def _mapping(expressions: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {one}' for name, one in expressions.items())}}}"
