"""Where a specification's fields are in the database: columns, or fields of a JSON document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Double,
    Enum,
    Float,
    Index,
    Numeric,
    String,
    Table,
    Uuid,
    inspect,
    literal,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.types import TypeDecorator

from cqrs_ddd_core.domain.query_options import KEY_FIELD
from cqrs_ddd_core.domain.specification import FieldKind, field_kind
from cqrs_ddd_core.domain.specification.values import kind_of_type, kind_of_value
from cqrs_ddd_core.primitives.exceptions import UnknownFieldError
from cqrs_ddd_persistence_sqlalchemy.specifications import _operators as sql
from cqrs_ddd_persistence_sqlalchemy.specifications._values import (
    DecimalType,
    FloatType,
    InstantType,
    NumberType,
    decimal_of,
)
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal

if TYPE_CHECKING:
    from decimal import Decimal

    from sqlalchemy import ColumnElement
    from sqlalchemy.types import TypeEngine

__all__ = [
    "ColumnField",
    "DocumentField",
    "Operand",
    "SQLField",
    "SQLFields",
    "column_fields",
    "document_fields",
    "word_index",
]


@dataclass(frozen=True, slots=True)
class Operand:
    """An expression, and how a value is bound to be compared with it.

    Args:
        expression: What is compared.
        bind: Makes a bound parameter of a value.
        is_text: Order needs a collation.
    """

    expression: ColumnElement[Any]
    bind: Callable[[Any], ColumnElement[Any]]
    is_text: bool = False

    @property
    def ordered(self) -> ColumnElement[Any]:
        """The expression for comparisons that ask for an order."""
        return sql.ByCodePoint(self.expression) if self.is_text else self.expression


class SQLField(ABC):
    """One field: what it holds, and how it is read in SQL.

    Attributes:
        kind: What it holds.
        raw: The expression that is NULL when the field is.
        nullable: Whether it can be NULL.
        searched: Whether there is a ``word_index`` on it.
    """

    kind: FieldKind
    raw: ColumnElement[Any]
    nullable: bool = True
    searched: bool = False

    @abstractmethod
    def operand(self, values: Sequence[object] = ()) -> Operand:
        """Return what compares with those values of one kind; without values, what sorts."""


#: Finds a field by its dotted name and raises ``UnknownFieldError`` for any other.
SQLFields: TypeAlias = Callable[[str], SQLField]


# --- columns --------------------------------------------------------------------------------------


class ColumnField(SQLField):
    """A column of a table.

    A column whose own collation ignores case or accents keeps doing so for equality; that is
    the schema's choice, and other databases will not agree.

    Args:
        column: The column.
        kind: What it holds; derived from the column's type when not given.
        searched: Whether there is a ``word_index`` on it.
    """

    def __init__(
        self,
        column: ColumnElement[Any],
        kind: FieldKind | None = None,
        *,
        searched: bool = False,
    ) -> None:
        self.raw: ColumnElement[Any] = column
        self.kind: FieldKind = kind or _column_kind(column.type)
        self.nullable: bool = bool(getattr(column, "nullable", True))
        self.searched: bool = searched

    def operand(self, values: Sequence[object] = ()) -> Operand:  # noqa: ARG002  # same for all
        if isinstance(self.raw.type, ExactDecimal):
            return Operand(sql.AsDecimal(self.raw), _binding(DecimalType()))
        is_text = self.kind is FieldKind.TEXT or isinstance(self.raw.type, String)
        return Operand(self.raw, self._bind, is_text=is_text)

    def _bind(self, value: Any) -> ColumnElement[Any]:
        type_ = self.raw.type
        if isinstance(type_, Enum):
            return _bind_enum(value, type_)
        if self.kind.family is FieldKind.DECIMAL:
            return _bind_number(value, self.kind, type_)
        if isinstance(type_, DateTime) and not type_.timezone:
            return literal(value.replace(tzinfo=None), type_)
        if isinstance(type_, String) and not isinstance(type_, CITEXT):
            # A collation belongs to the column; said of a parameter, it is an error in BETWEEN.
            return literal(str(value), String())
        as_text = self.kind is FieldKind.UUID and not getattr(type_, "as_uuid", False)
        return literal(str(value) if as_text else value, type_)


def _column_kind(type_: TypeEngine[Any]) -> FieldKind:
    if isinstance(type_, TypeDecorator):
        return _column_kind(type_.impl_instance)
    if isinstance(type_, Uuid):
        return FieldKind.UUID
    if isinstance(type_, Numeric):
        return FieldKind.FLOAT if isinstance(type_, Float) else FieldKind.DECIMAL
    try:
        return kind_of_type(type_.python_type)
    except NotImplementedError:
        return FieldKind.OBJECT


def _bind_number(value: Any, kind: FieldKind, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    number: float | Decimal
    own_type: TypeEngine[Any]
    if kind is FieldKind.FLOAT:
        number, own_type = float(value), Double()
    elif kind is FieldKind.INTEGER and isinstance(value, int):
        number, own_type = value, BigInteger()
    else:
        number, own_type = decimal_of(value), Numeric()
    # Bound as the column's type, a number too large for it would be an error of the driver.
    return literal(number, type_ if isinstance(type_, TypeDecorator) else own_type)


def _bind_enum(value: Any, type_: Enum) -> ColumnElement[Any]:
    # A value outside the enum is bound as NULL, which is equal to nothing; null() would be IS NULL.
    if type_.enum_class is None:
        return literal(value if value in type_.enums else None, type_)
    return literal(next((item for item in type_.enum_class if item.value == value), None), type_)


# --- documents ------------------------------------------------------------------------------------


def _bind_text(value: Any) -> ColumnElement[Any]:
    return literal(str(value), String())


def _binding(type_: TypeEngine[Any]) -> Callable[[Any], ColumnElement[Any]]:
    return lambda value: literal(value, type_)


def _bind_float(value: Any) -> ColumnElement[Any]:
    return sql.RealValue(literal(value, FloatType()))


_TYPED: Mapping[FieldKind, tuple[type[sql.Template], Callable[[Any], ColumnElement[Any]]]] = {
    FieldKind.BOOLEAN: (sql.AsBoolean, _binding(Boolean())),
    FieldKind.INTEGER: (sql.AsInteger, _binding(NumberType())),
    FieldKind.DECIMAL: (sql.AsDecimal, _binding(DecimalType())),
    FieldKind.FLOAT: (sql.AsFloat, _bind_float),
    FieldKind.INSTANT: (sql.AsInstant, _binding(InstantType())),
}
_UNTYPED: Mapping[FieldKind, tuple[type[sql.JsonValue], Callable[[Any], ColumnElement[Any]]]] = {
    FieldKind.BOOLEAN: (sql.JsonBoolean, _binding(Boolean())),
    FieldKind.DECIMAL: (sql.JsonNumber, _binding(NumberType())),
    FieldKind.TEXT: (sql.JsonText, _bind_text),
}


class DocumentField(SQLField):
    """A field of a JSON document as pydantic writes it: decimals and times are texts.

    Args:
        document: A ``jsonb`` column on PostgreSQL, JSON text on SQLite.
        name: Dotted name inside the document.
        kind: What it holds.
    """

    def __init__(self, document: ColumnElement[Any], name: str, kind: FieldKind) -> None:
        self.kind = kind
        self.raw: ColumnElement[Any] = sql.JsonValue(document, name)
        self._document = document
        self._name = name

    def operand(self, values: Sequence[object] = ()) -> Operand:
        if self.kind is FieldKind.JSON and values:
            return self._untyped(kind_of_value(values[0]).family)
        kind = self.kind
        if kind is FieldKind.INTEGER and not all(isinstance(value, int) for value in values):
            kind = FieldKind.DECIMAL
        if kind not in _TYPED:
            # UUIDs and dates are written so that their texts sort as they do.
            return Operand(self.raw, _bind_text, is_text=True)
        template, bind = _TYPED[kind]
        return Operand(template(self.raw), bind)

    def _untyped(self, family: FieldKind) -> Operand:
        template, bind = _UNTYPED[family]
        expression = template(self._document, self._name)
        return Operand(expression, bind, is_text=family is FieldKind.TEXT)


# --- finding --------------------------------------------------------------------------------------


def column_fields(
    source: type[Any] | Table, declared: Mapping[str, ColumnElement[Any] | SQLField] | None = None
) -> SQLFields:
    """Return the fields of a declarative model or table: its columns by attribute name.

    A name that leads into a JSON column, such as ``"details.colour"``, reads the JSON in it.

    Args:
        source: The model or table.
        declared: Further names, or other columns for the same names; ``"address.city"`` for a
            column ``address_city``.
    """
    fields = {name: _as_field(column) for name, column in _columns(source).items()}
    fields |= {name: _as_field(column) for name, column in (declared or {}).items()}

    def find(name: str) -> SQLField:
        if name in fields:
            return fields[name]
        column, _, inner = name.partition(".")
        if inner and column in fields and isinstance(fields[column].raw.type, JSON):
            return DocumentField(fields[column].raw, inner, FieldKind.JSON)
        raise UnknownFieldError(name, getattr(source, "__name__", str(source)))

    return find


def word_index(name: str, column: ColumnElement[Any]) -> Index:
    """Return the index that serves ``fts`` on a text column: GIN on PostgreSQL, none on SQLite.

    It belongs to the column's table, and is used for a ``ColumnField`` that says ``searched``.
    What is found is the same with and without it.

    Args:
        name: Of the index.
        column: A column of text.
    """
    index = Index(name, sql.WordArray(column), postgresql_using="gin")
    return index.ddl_if(dialect="postgresql")


def document_fields(
    model: type, document: ColumnElement[Any], *, key: ColumnElement[Any] | None = None
) -> SQLFields:
    """Return the fields of documents that pydantic wrote, with the types their class declares.

    Args:
        model: The pydantic class, such as an aggregate.
        document: The ``jsonb`` column on PostgreSQL, JSON text on SQLite.
        key: The text column that holds ``id`` too, so that its index serves it. An integer id
            is read from the document all the same, because its text sorts otherwise.
    """

    @lru_cache(maxsize=1024)
    def find(name: str) -> SQLField:
        kind = field_kind(model, name)
        if key is not None and name == KEY_FIELD and kind in (FieldKind.TEXT, FieldKind.UUID):
            return ColumnField(key, kind)
        return DocumentField(document, name, kind)

    return find


def _columns(source: type[Any] | Table) -> Mapping[str, ColumnElement[Any]]:
    if isinstance(source, Table):
        return dict(source.columns.items())
    return {attribute.key: attribute.columns[0] for attribute in inspect(source).column_attrs}


def _as_field(column: ColumnElement[Any] | SQLField) -> SQLField:
    return column if isinstance(column, SQLField) else ColumnField(column)
