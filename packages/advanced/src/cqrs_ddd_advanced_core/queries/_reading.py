"""How rows of a read model become objects."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as hints_of

from pydantic import BaseModel, TypeAdapter, ValidationError

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import Row

__all__ = ["RowReader"]

D = TypeVar("D")

_Convert = Callable[[Any], Any]

#: Annotations that take the JSON of a column as it is.
_AS_IT_IS: Final = (Any, object, dict, list, Mapping, dict[str, Any], list[Any], Mapping[str, Any])


class RowReader(Generic[D]):
    """Makes objects of rows.

    A dataclass gets the values of plain columns as they are, and only what a column cannot hold,
    such as an enum or a nested object, is converted; a pydantic model validates all of them.

    Args:
        schema: Of the rows.
        dto: A dataclass or pydantic model, whose fields are columns.

    Raises:
        ProjectionDefinitionError: A field is no column, or cannot be ``None`` as its column can.

    Attributes:
        names: The columns it reads.
    """

    def __init__(self, schema: ProjectionSchema, dto: type[D]) -> None:
        hints = _fields(dto)
        self.names: tuple[str, ...] = tuple(hints)
        self._table = schema.name
        self._dto = dto
        for name, hint in hints.items():
            _check(schema, dto, name, hint)
        self._build: Callable[[Row], D] = (
            _model_builder(dto, self.names)
            if issubclass(dto, BaseModel)
            else _dataclass_builder(dto, _converters(schema, hints))
        )

    def read(self, row: Row) -> D:
        """Return the object of a row.

        Raises:
            ProjectionValueError: A value does not fit its field; which one is said, without it.
        """
        try:
            return self._build(row)
        except ValidationError as error:
            found = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['type']}"
                for one in error.errors(include_input=False, include_url=False)
            )
            msg = f"a row of {self._table} cannot be read as {self._dto.__name__}: {found}"
            # Its cause would quote the values, which may be personal.
            raise ProjectionValueError(msg) from None


def _fields(dto: Any) -> dict[str, Any]:
    if isinstance(dto, type):
        if issubclass(dto, BaseModel):
            return {name: field.annotation for name, field in dto.model_fields.items()}
        if is_dataclass(dto):
            hints = hints_of(dto)
            return {one.name: hints[one.name] for one in fields(dto) if one.init}
    msg = f"rows are read as a dataclass or pydantic model, and {dto!r} is neither"
    raise ProjectionDefinitionError(msg)


def _check(schema: ProjectionSchema, dto: type[Any], name: str, hint: Any) -> None:
    column = schema.columns.get(name)
    if column is None:
        msg = f"{dto.__name__}.{name} is no column of {schema.name}"
        raise ProjectionDefinitionError(msg)
    if column.nullable and not _takes_none(hint):
        msg = f"{dto.__name__}.{name} cannot be None, but column {schema.name}.{name} can"
        raise ProjectionDefinitionError(msg)


def _takes_none(hint: Any) -> bool:
    return hint in (Any, object) or type(None) in _alternatives(hint)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


# --- pydantic models ------------------------------------------------------------------------------


def _model_builder(dto: type[Any], names: tuple[str, ...]) -> Callable[[Row], Any]:
    validate = dto.model_validate

    def build(row: Row) -> Any:
        values = {name: row[name] for name in names}
        return validate(values, by_alias=False, by_name=True)

    return build


# --- dataclasses ----------------------------------------------------------------------------------


def _converters(schema: ProjectionSchema, hints: Mapping[str, Any]) -> dict[str, _Convert | None]:
    return {name: _converter(schema.columns[name], hint) for name, hint in hints.items()}


def _converter(column: ProjectionColumn, hint: Any) -> _Convert | None:
    given = [option for option in _alternatives(hint) if option is not type(None)]
    as_it_is = all(option is column.type or option in _AS_IT_IS for option in given)
    return None if as_it_is else TypeAdapter(hint).validate_python


def _dataclass_builder(
    dto: type[Any], converters: Mapping[str, _Convert | None]
) -> Callable[[Row], Any]:
    names = tuple(converters)
    conversions = [(name, convert) for name, convert in converters.items() if convert]
    if conversions or len(names) < 2 or any(_is_named(one) for one in fields(dto)):

        def build(row: Row) -> Any:
            values = {name: row[name] for name in names}
            for name, convert in conversions:
                values[name] = convert(values[name])
            return dto(**values)

        return build
    # Positional and picked in one call: twice as fast, and nearly all read models are plain.
    pick = itemgetter(*names)
    return lambda row: dto(*pick(row))


def _is_named(one: Field[Any]) -> bool:
    return one.init and one.kw_only is True
