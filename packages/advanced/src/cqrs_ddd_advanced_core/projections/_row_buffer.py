"""What a batch of events does to the rows of one table, folded row by row."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.ports.projection_store import Row, RowChange, RowKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema

__all__ = ["RowBuffer", "TableShape", "as_key"]

_NUMBERS: Final = (int, float, Decimal)


def as_key(key: Any) -> RowKey:
    """Return a key as a tuple, for a key of one column may be given bare."""
    return key if type(key) is tuple else (key,)


class TableShape:
    """What is looked up in a schema for every event, looked up once."""

    __slots__ = ("columns", "defaults", "key", "numbers", "schema")

    def __init__(self, schema: ProjectionSchema) -> None:
        self.schema: ProjectionSchema = schema
        self.key: tuple[str, ...] = schema.key
        columns = {name: one for name, one in schema.columns.items() if name not in schema.key}
        self.columns: frozenset[str] = frozenset(columns)
        self.numbers: frozenset[str] = frozenset(
            name for name, column in columns.items() if column.type in _NUMBERS
        )
        self.defaults: Mapping[str, Any] = {
            name: column.default for name, column in columns.items()
        }

    def check_settable(self, names: Iterable[str]) -> None:
        """Refuse names that are no columns, or belong to the key."""
        unknown = sorted(set(names) - self.columns)
        if unknown:
            msg = f"{self.schema.name} has no columns {unknown} that can be set"
            raise ProjectionValueError(msg)

    def check_addable(self, names: Iterable[str]) -> None:
        """Refuse names that are no columns of numbers."""
        unknown = sorted(set(names) - self.numbers)
        if unknown:
            raise ProjectionValueError(f"{self.schema.name} has no columns of numbers {unknown}")

    def key_of(self, row: Row) -> RowKey:
        """Return the key of a row."""
        try:
            return tuple([row[name] for name in self.key])
        except KeyError as error:
            raise ProjectionValueError(f"a row of {self.schema.name} lacks {error}") from None


class RowBuffer:
    """Changes of the rows of one table, one for each row.

    Names of columns are checked by the callers, values by the store. The mappings a method is
    given become its own: a batch has thousands of them.
    """

    __slots__ = ("_arity", "changes", "shape")

    def __init__(self, shape: TableShape) -> None:
        self.shape: TableShape = shape
        self.changes: dict[RowKey, RowChange] = {}
        self._arity = len(shape.key)

    def replace(self, position: int, key: RowKey, values: Mapping[str, Any]) -> None:
        """Let the row be this one, whatever it was."""
        change = self._change(position, key, {**self.shape.defaults, **values}, {})
        change.deletes = True

    def update(self, position: int, key: RowKey, values: dict[str, Any]) -> None:
        """Set columns of the row."""
        change = self.changes.get(key)
        if change is None:
            self._change(position, key, values, {})
            return
        change.last_position = position
        change.is_delete = False
        change.sets.update(values)
        if change.adds:
            for name in values:
                change.adds.pop(name, None)

    def add(self, position: int, key: RowKey, amounts: dict[str, Any]) -> None:
        """Add to columns of the row."""
        change = self.changes.get(key)
        if change is None:
            self._change(position, key, {}, amounts)
            return
        change.last_position = position
        change.is_delete = False
        sets, adds = change.sets, change.adds
        for name, amount in amounts.items():
            if name in adds:
                adds[name] += amount
            elif name in sets:
                known = sets[name]
                sets[name] = amount if known is None else known + amount
            else:
                adds[name] = amount

    def update_and_add(
        self, position: int, key: RowKey, values: dict[str, Any], amounts: dict[str, Any]
    ) -> None:
        """Set some columns of the row and add to others."""
        if key in self.changes:
            self.update(position, key, values)
            self.add(position, key, amounts)
        else:
            self._change(position, key, values, amounts)

    def delete(self, position: int, key: RowKey) -> None:
        """Leave no row."""
        change = self._change(position, key, {}, {})
        change.deletes = change.is_delete = True

    def _change(
        self, position: int, key: RowKey, sets: dict[str, Any], adds: dict[str, Any]
    ) -> RowChange:
        """Let the change of a row be this one, whatever it was."""
        change = self.changes.get(key)
        if change is not None:
            change.last_position = position
            change.is_delete = False
            change.sets, change.adds = sets, adds
            return change
        if len(key) != self._arity:
            msg = f"a key of {self.shape.schema.name} has the columns {', '.join(self.shape.key)}"
            raise ProjectionValueError(msg)
        change = RowChange(key, position, position, False, False, sets, adds)  # noqa: FBT003
        self.changes[key] = change
        return change
