"""Which field of an aggregate goes into which column of a user's model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Column, Integer, Table, case, cast, inspect, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.query_options import KEY_FIELD
from cqrs_ddd_core.domain.specification import FieldKind, field_kind
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    SerializationError,
    UnknownFieldError,
)
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import refuse_lost_fields
from cqrs_ddd_persistence_sqlalchemy._columns import ColumnCodec, choices, codec_for, is_json
from cqrs_ddd_persistence_sqlalchemy.specifications import ColumnField, DocumentField, SQLField

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement

__all__ = ["AggregateMapping", "Place"]

T = TypeVar("T", bound=AggregateRoot[Any])

_TENANT = "tenant_id"


class Place(NamedTuple):
    """A field, or a field of a value object in it, and the column it goes into."""

    path: tuple[str, ...]
    column: Column[Any]
    codec: ColumnCodec

    @property
    def name(self) -> str:
        """The dotted name."""
        return ".".join(self.path)


class AggregateMapping(Generic[T]):
    """Turns aggregates into column values and rows into aggregates.

    Everything that cannot work is refused here, before the first row is written.

    Args:
        aggregate_class: What is stored.
        model: A declarative model of one table.
        field_map: Attribute of the model by dotted field name.
        exclude: Fields that are not stored.
        version_column: Attribute of the model that keeps the version.
        postgres: For PostgreSQL; otherwise for SQLite.

    Raises:
        ConfigurationError: The two do not fit; the message lists everything that is missing.
    """

    def __init__(
        self,
        aggregate_class: type[T],
        model: type[Any],
        *,
        field_map: Mapping[str, str],
        exclude: Collection[str],
        version_column: str,
        postgres: bool,
    ) -> None:
        refuse_lost_fields(aggregate_class, exclude)
        self.aggregate_class = aggregate_class
        self._model = model
        self._columns = _columns_of(model)
        self._field_map = field_map
        self._is_postgres = postgres
        self._excluded = {*exclude, *_never_dumped(aggregate_class)}
        self._refused: set[Column[Any]] = set()
        self._objects: dict[tuple[str, ...], bool] = {}
        self._problems = [
            f"field_map or exclude names {name!r}, which is no field"
            for name in (*field_map, *exclude)
            if name.partition(".")[0] not in aggregate_class.model_fields
        ]
        self.places = tuple(self._find_places(aggregate_class, ()))
        self.version = self._find_version(version_column)
        self.tenant = self._find_tenant()
        self._check_keys()
        if self._problems:
            listed = "\n- ".join(self._problems)
            msg = f"{aggregate_class.__name__} does not fit {model.__name__}:\n- {listed}"
            raise ConfigurationError(msg)
        self.table: Table = self.version.table
        self.id = next(place for place in self.places if place.name == KEY_FIELD)
        self._by_name = {place.name: place for place in self.places}
        self._json_roots = {place.path[0] for place in self.places if is_json(place.column.type)}

    # --- finding columns ------------------------------------------------------------------------

    def _find_places(self, owner: type[BaseModel], parents: tuple[str, ...]) -> Iterator[Place]:
        for name, field in owner.model_fields.items():
            path = (*parents, name)
            if path[0] in self._excluded:
                continue
            dotted = ".".join(path)
            attribute = self._field_map.get(dotted, "_".join(path))
            inner, is_optional = _value_object(field.annotation)
            if attribute in self._columns:
                column = self._columns[attribute]
                codec = codec_for(
                    field_kind(self.aggregate_class, dotted), column, field.annotation
                )
                if isinstance(codec, str):
                    self._refused.add(column)
                    self._problems.append(f"field {dotted!r} cannot go into {column}: {codec}")
                else:
                    yield Place(path, column, codec)
            elif inner is not None and dotted not in self._field_map:
                self._objects[path] = is_optional
                yield from self._find_places(inner, path)
            else:
                self._problems.append(
                    f"field {dotted!r} has no column {attribute!r}: add one, name another in "
                    f"field_map={{{dotted!r}: ...}}, or leave it out with exclude"
                )

    def _find_version(self, name: str) -> Column[Any]:
        column = self._columns.get(name)
        if column is None or not isinstance(column.type, Integer):
            self._problems.append(f"there is no integer column {name!r} for the version")
        return column if column is not None else next(iter(self._columns.values()))

    def _find_tenant(self) -> Column[Any] | None:
        column = self._columns.get(_TENANT)
        if column is not None and any(place.column is column for place in self.places):
            self._problems.append(
                f"column {_TENANT!r} is filled from the context; no field can go into it"
            )
        return column

    def _check_keys(self) -> None:
        filled = {place.column for place in self.places} | {self.version} | self._refused
        filled |= set() if self.tenant is None else {self.tenant}
        table = self.version.table
        key = {place.column for place in self.places if place.name == KEY_FIELD}
        if set(table.primary_key) - ({self.tenant} if self.tenant is not None else set()) != key:
            self._problems.append(
                "the primary key is neither the id's column nor that and tenant_id"
            )
        self._problems += [
            f"column {column.name!r} must not be NULL and no field goes into it: give it a default"
            for column in table.columns
            if column not in filled and _needs_value(column)
        ]
        self._problems += [
            f"column {place.column.name!r} must not be NULL, but {place.path[0]!r} may be None"
            for place in self.places
            if not place.column.nullable
            and any(self._objects.get(place.path[:end]) for end in range(1, len(place.path)))
        ]

    # --- values ---------------------------------------------------------------------------------

    def to_values(self, entity: T) -> dict[str, object]:
        """Return the column values of an aggregate, without version and tenant."""
        dumped = entity.model_dump(round_trip=True, by_alias=False, exclude=self._excluded)
        if self._json_roots:
            as_json = entity.model_dump(
                mode="json", round_trip=True, by_alias=False, include=self._json_roots
            )
        else:
            as_json = {}
        return {
            place.column.key: place.codec.encode(
                _walk(as_json if is_json(place.column.type) else dumped, place.path)
            )
            for place in self.places
        }

    def to_aggregate(self, row: Sequence[Any]) -> T:
        """Return the aggregate of a row in the order of ``columns``.

        Raises:
            SerializationError: The row does not fit the class.
        """
        data: dict[str, Any] = {}
        for place, value in zip(self.places, row, strict=False):
            _put(data, place.path, place.codec.decode(value))
        for path, is_optional in reversed(self._objects.items()):
            if is_optional and _is_empty(_walk(data, path)):
                _put(data, path, None)
        try:
            entity = self.aggregate_class.model_validate(data, by_alias=False, by_name=True)
        except ValidationError as error:
            name = self.aggregate_class.__name__
            msg = f"a row of {self.table.name} cannot be read as {name}: {error}"
            raise SerializationError(msg) from error
        entity.set_version(row[-1])
        return entity

    @property
    def columns(self) -> list[Column[Any]]:
        """What a row is read from."""
        return [*(place.column for place in self.places), self.version]

    # --- searching ------------------------------------------------------------------------------

    def field(self, name: str) -> SQLField:
        """Return where a field is, by its dotted name.

        Raises:
            UnknownFieldError: There is no such field, or it is not stored.
        """
        kind = field_kind(self.aggregate_class, name)
        path = tuple(name.split("."))
        for end in range(len(path), 0, -1):
            place = self._by_name.get(".".join(path[:end]))
            if place is not None and end == len(path):
                return ColumnField(place.column, kind)
            if place is not None and is_json(place.column.type):
                return DocumentField(self._document(place.column), ".".join(path[end:]), kind)
        if path in self._objects:
            inside = [p.column.is_not(None) for p in self.places if p.path[: len(path)] == path]
            return ColumnField(case((or_(*inside), 1)), FieldKind.OBJECT)
        raise UnknownFieldError(name, self.aggregate_class.__name__)

    def _document(self, column: Column[Any]) -> ColumnElement[Any]:
        # json and jsonb have not the same functions; for jsonb the cast is none.
        return cast(column, JSONB) if self._is_postgres else column


def _columns_of(model: type[Any]) -> dict[str, Column[Any]]:
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        msg = f"{model!r} is no declarative model"
        raise ConfigurationError(msg)
    if not isinstance(mapper.local_table, Table) or len(mapper.tables) != 1:
        msg = f"{model.__name__} is spread over several tables; map a model of one table"
        raise ConfigurationError(msg)
    return {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if isinstance(attribute.columns[0], Column)
    }


def _never_dumped(aggregate_class: type[BaseModel]) -> set[str]:
    return {name for name, field in aggregate_class.model_fields.items() if field.exclude}


def _value_object(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """Return the model a field holds, and whether the field may be ``None`` instead."""
    parts = choices(annotation)
    models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    others = [part for part in parts if part is not NoneType and part not in models]
    return (models[0] if len(models) == 1 and not others else None), NoneType in parts


def _needs_value(column: Column[Any]) -> bool:
    has_default = (
        column.default is not None
        or column.server_default is not None
        or column.computed is not None
        or column.identity is not None
    )
    return not column.nullable and not has_default


def _walk(data: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = data
    for segment in path:
        value = None if value is None else value[segment]
    return value


def _put(data: dict[str, Any], path: Sequence[str], value: object) -> None:
    for segment in path[:-1]:
        data = data.setdefault(segment, {})
    data[path[-1]] = value


def _is_empty(data: object) -> bool:
    return isinstance(data, dict) and all(_is_empty(v) or v is None for v in data.values())
