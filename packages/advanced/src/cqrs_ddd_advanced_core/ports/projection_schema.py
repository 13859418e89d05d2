"""What the rows of a read model look like, in any database."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.ports._column_values import FITTING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LAST_POSITION", "ROW_VERSION", "ProjectionColumn", "ProjectionSchema"]

#: Column of every row: how often it was changed.
ROW_VERSION: Final = "_version"
#: Column of every row: the position of the last event that changed it.
LAST_POSITION: Final = "_last_position"

#: What a column may hold. Lists and mappings are kept as JSON.
_TYPES: Final = (bool, int, float, Decimal, str, bytes, datetime, date, UUID, dict, list)
_is_name: Final = re.compile(r"[a-z][a-z0-9_]{0,40}").fullmatch


@dataclass(frozen=True, slots=True)
class ProjectionColumn:
    """One column of a read model.

    Attributes:
        type: ``str``, ``int``, ``float``, ``bool``, ``Decimal``, ``datetime`` (aware UTC),
            ``date``, ``UUID``, ``bytes``, or ``dict`` and ``list`` for JSON.
        nullable: Whether it may be ``None``.
        default: What it holds in a row nobody gave it a value in; for counters, 0.
    """

    type: type
    nullable: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class ProjectionSchema:
    """The columns of a read model's rows, and which of them tell rows apart.

    A database adapter makes a table of it, or checks the user's own table against it. Each row
    has ``_version`` and ``_last_position`` besides, and belongs to a tenant.

    Args:
        name: Of the table: up to 41 lower-case letters, digits and ``_``.
        columns: By name.
        key: Names of the columns that tell rows apart, none of them nullable.
        indexes: Columns to find rows by, each index a tuple of names.
        searched: Text columns in which words are searched for with ``fts``; a database that can
            keeps an index of their words.

    Raises:
        ProjectionDefinitionError: A name cannot be one, a type cannot be kept, the key is empty or
            nullable, an index names an unknown column, or a searched one holds no text.
    """

    name: str
    columns: Mapping[str, ProjectionColumn]
    key: tuple[str, ...]
    indexes: Sequence[tuple[str, ...]] = field(default=())
    searched: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        for name in (self.name, *self.columns):
            if not _is_name(name):
                msg = f"{name!r} names no table or column: use a-z, 0-9 and _, a letter first"
                raise ProjectionDefinitionError(msg)
        for name, column in self.columns.items():
            if column.type not in _TYPES:
                msg = f"{self.name}.{name}: a column cannot hold {column.type!r}"
                raise ProjectionDefinitionError(msg)
        self._check_key()
        unknown = {name for index in self.indexes for name in index} - self.columns.keys()
        if unknown:
            msg = f"{self.name} has an index on {sorted(unknown)}, which are no columns"
            raise ProjectionDefinitionError(msg)
        for name in self.searched:
            if name not in self.columns or self.columns[name].type is not str:
                msg = f"{self.name}.{name} is no column of text, so no words are searched in it"
                raise ProjectionDefinitionError(msg)

    @classmethod
    def of(
        cls,
        model: type[Any],
        *,
        key: str | tuple[str, ...],
        name: str | None = None,
        indexes: Sequence[tuple[str, ...]] = (),
        searched: Sequence[str] = (),
    ) -> Self:
        """Return the schema of a dataclass or pydantic model: a column for each field.

        A field's default is the column's: counters are 0 when the model says so.

        Args:
            model: Annotated with the types a column may hold, ``| None`` where it is nullable;
                nested models become JSON.
            key: The field, or fields, that tell rows apart.
            name: Of the table; the class name in snake case when not given.
            indexes: As above.
            searched: As above.
        """
        defaults = _defaults(model)
        columns = {name: _column(hint, defaults.get(name)) for name, hint in _hints(model).items()}
        keys = (key,) if isinstance(key, str) else key
        return cls(name or _snake_case(model.__name__), columns, keys, indexes, searched)

    def named(self, name: str) -> Self:
        """Return the same schema for a table of another name."""
        return replace(self, name=name)

    def fit(self, name: str, value: Any) -> Any:
        """Return a value as its column keeps it: times in UTC, JSON as a copy, enums by value.

        Raises:
            ProjectionValueError: It does not fit the column.
        """
        column = self.columns[name]
        if value is None:
            if column.nullable:
                return None
            raise ProjectionValueError(f"{self.name}.{name} has no value, and must have one")
        try:
            return FITTING[column.type](value)
        except (TypeError, ValueError) as error:
            # The value itself may be personal.
            msg = f"{self.name}.{name} holds {column.type.__name__}: {error}"
            raise ProjectionValueError(msg) from None

    def fit_all(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Return many values as their column keeps them; see ``fit``.

        Raises:
            ProjectionValueError: One does not fit the column.
        """
        fit = FITTING[self.columns[name].type]
        try:
            return list(map(fit, values))
        except (TypeError, ValueError):
            # None among them, or one that does not fit: that one says what is wrong.
            return [self.fit(name, value) for value in values]

    def key_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of a row that tell it apart."""
        return tuple(row[name] for name in self.key)

    def _check_key(self) -> None:
        if not self.key:
            raise ProjectionDefinitionError(f"{self.name} has no key, so no row could be found")
        for name in self.key:
            column = self.columns.get(name)
            if column is None or column.nullable:
                msg = f"{self.name}: key column {name!r} is missing, or may be None"
                raise ProjectionDefinitionError(msg)


def _hints(model: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(model)
    if is_dataclass(model):
        return {one.name: hints[one.name] for one in fields(model)}
    if issubclass(model, BaseModel):
        return {name: hints[name] for name in model.model_fields}
    msg = f"{model.__name__} is neither a dataclass nor a pydantic model"
    raise ProjectionDefinitionError(msg)


def _defaults(model: type[Any]) -> Mapping[str, Any]:
    if is_dataclass(model):
        found = {one.name: (one.default, one.default_factory) for one in fields(model)}
        return {
            name: default if factory is MISSING else factory()
            for name, (default, factory) in found.items()
            if (default, factory) != (MISSING, MISSING)
        }
    return {
        name: one.get_default(call_default_factory=True)
        for name, one in model.model_fields.items()
        if not one.is_required()
    }


def _column(hint: Any, default: Any) -> ProjectionColumn:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    given = [option for option in options if option is not type(None)]
    nullable = len(given) < len(options)
    if len(given) != 1:
        raise ProjectionDefinitionError(f"a column holds one type, not {hint!r}")
    return ProjectionColumn(_stored_type(given[0]), nullable, default)


def _stored_type(hint: Any) -> type:
    origin = get_origin(hint) or hint
    if origin in _TYPES:
        return origin  # type: ignore[no-any-return]
    if origin in (tuple, set, frozenset):
        return list
    if isinstance(origin, type):
        # An enum of texts is kept as text, a bool before an int because it is one.
        for type_ in _TYPES[:-2]:
            if issubclass(origin, type_):
                return type_
        if issubclass(origin, BaseModel | Mapping) or is_dataclass(origin):
            return dict
    raise ProjectionDefinitionError(f"a column cannot hold {hint!r}")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
