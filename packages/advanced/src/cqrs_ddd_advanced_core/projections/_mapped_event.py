"""What declared mappings do to rows when an event of one class happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.projections._payload_fields import fields_reader
from cqrs_ddd_advanced_core.projections._sources import Source, SourceCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_advanced_core.projections._row_buffer import TableShape
    from cqrs_ddd_advanced_core.projections.projector import EventHandler, StoredEventHandler
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["MappedEvent"]


class MappedEvent:
    """What the declared mappings of one event class do, each to a row of a table.

    Args:
        event_class: The class.
    """

    def __init__(self, event_class: type[DomainEvent]) -> None:
        self._event_class = event_class
        self._code = SourceCode(event_class)
        self._calls: list[str] = []

    def map_to(
        self,
        shape: TableShape,
        *,
        key: Source | tuple[Source, ...],
        sets: Mapping[str, Source],
        adds: Mapping[str, Source],
        subtracts: Mapping[str, Source],
        deletes: bool,
    ) -> None:
        """Add a mapping.

        Args:
            shape: Of the table.
            key: Where the key comes from; a tuple for several columns.
            sets: Sources by column.
            adds: Sources of numbers to add.
            subtracts: Sources of numbers to subtract.
            deletes: Whether the row is removed.

        Raises:
            ProjectionDefinitionError: Columns and sources do not fit together.
        """
        code = self._code
        keys = [code.value(one) for one in (key if isinstance(key, tuple) else (key,))]
        setting = {name: code.value(source) for name, source in sets.items()}
        adding = {name: code.value(source) for name, source in adds.items()}
        subtracting = {name: code.negated(source) for name, source in subtracts.items()}
        where = f"the mapping of {self._event_class.__name__} to {shape.schema.name}"
        if len(keys) != len(shape.key):
            raise ProjectionDefinitionError(f"{where} needs a key of {', '.join(shape.key)}")
        _check_columns(where, shape, setting, [*adding, *subtracting], deletes=deletes)
        call = _call(keys, setting, {**adding, **subtracting}, deletes=deletes)
        self._calls.append(f"rows.buffers[{shape.schema.name!r}].{call}")

    def handler(self) -> EventHandler:
        """Return what applies an event."""
        return self._code.function("event, rows", ["fields = event.__dict__", *self._calls])

    def stored_handler(self) -> StoredEventHandler | None:
        """Return what applies an event in its stored form; ``None`` when that is not enough."""
        code = self._code
        if code.needs_event:
            return None
        if not code.fields:
            return code.function("event, rows", self._calls)
        read = fields_reader(self._event_class, code.fields)
        if read is None:
            return None
        reading = f"fields = {code.named(read)}(event.payload_bytes)"
        return code.function("event, rows", [reading, *self._calls])


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
    row = f"rows.position, ({', '.join(key)},)"
    if deletes:
        return f"delete({row})"
    if not adding:
        return f"update({row}, {_mapping(setting)})"
    amounts = _mapping(adding)
    if not all(one.isidentifier() for one in adding.values()):
        amounts = f"given({amounts})"
    if not setting:
        return f"add({row}, {amounts})"
    return f"update_and_add({row}, {_mapping(setting)}, {amounts})"


def _mapping(expressions: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {one}' for name, one in expressions.items())}}}"
