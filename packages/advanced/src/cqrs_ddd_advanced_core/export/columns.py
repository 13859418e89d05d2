"""Which values of payloads become columns of their own."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Self,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)
from uuid import UUID

from pydantic import BaseModel

from cqrs_ddd_advanced_core.codecs.personal_data import Shredded
from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["ENVELOPE_COLUMNS", "PayloadColumn", "PayloadColumns"]

#: Columns that every export has.
ENVELOPE_COLUMNS: Final = (
    "position",
    "tenant_id",
    "aggregate_type",
    "aggregate_id",
    "version",
    "event_id",
    "event_type",
    "schema_version",
    "occurred_at",
    "recorded_at",
    "correlation_id",
    "causation_id",
    "metadata",
    "payload",
)
#: What a column can hold, a ``bool`` before an ``int`` and a ``datetime`` before a ``date``,
#: because they are some.
_KINDS: Final = (bool, int, float, Decimal, str, datetime, date, UUID)
_WRITTEN_AS_TEXT: Final = (bytes, time, timedelta)
_MOST_DIGITS: Final = 38


@dataclass(frozen=True, slots=True)
class PayloadColumn:
    """A value of payloads that becomes a column.

    Attributes:
        type: ``str``, ``int`` (64 bits), ``float``, ``bool``, ``Decimal``, ``datetime`` (aware, in
            microseconds of UTC), ``date``, ``UUID`` (as text), or ``dict`` for anything, as JSON.
        path: Names from the top of the payload to the value; the column's own name when empty.
        versions: The event types that have it, with the schema version it is read at; all events,
            whatever their version, when not given.
        precision: How many digits a ``Decimal`` has at most, up to 38.
        scale: How many of them stand behind the point.
    """

    type: type
    path: tuple[str, ...] = ()
    versions: Mapping[str, int] | None = None
    precision: int = _MOST_DIGITS
    scale: int = 10

    def __post_init__(self) -> None:
        if self.type not in (*_KINDS, dict):
            msg = f"a column cannot hold {self.type!r}; use dict to have it as JSON"
            raise ConfigurationError(msg)
        if not 0 <= self.scale <= self.precision <= _MOST_DIGITS:
            msg = f"a column of decimals needs 0 <= scale <= precision <= {_MOST_DIGITS}"
            raise ConfigurationError(msg)


_Shape: TypeAlias = tuple[type, tuple[str, ...], int, int]


class PayloadColumns:
    """Columns that are read from payloads, so that analysts need not look into JSON.

    A column is null where an event has no such value, and where its personal value was shredded.

    Args:
        columns: By name; a type alone reads the value of that name.
        upcasters: Reads older payloads in today's shape; needed for columns that say their
            versions, when events of other versions are stored.

    Raises:
        ConfigurationError: A name is one of the envelope, or a type cannot be held.
    """

    def __init__(
        self,
        columns: Mapping[str, type | PayloadColumn],
        *,
        upcasters: IUpcasterRegistry | None = None,
    ) -> None:
        taken = sorted(set(columns) & set(ENVELOPE_COLUMNS))
        if taken:
            msg = f"every export has {taken} already; name these columns otherwise"
            raise ConfigurationError(msg)
        self.upcasters: IUpcasterRegistry | None = upcasters
        self.by_name: Mapping[str, PayloadColumn] = {
            name: column if isinstance(column, PayloadColumn) else PayloadColumn(column)
            for name, column in columns.items()
        }

    @classmethod
    def of(
        cls, *event_classes: type[DomainEvent], upcasters: IUpcasterRegistry | None = None
    ) -> Self:
        """Return a column for each declared field of events.

        Nested models are flattened: ``address.city`` becomes ``address_city``. Lists, mappings and
        unions of several types become JSON. A field named like a column of the envelope becomes
        ``payload_<name>``. Classes share a column where name and type are the same.

        Args:
            event_classes: Whose fields.
            upcasters: As above.

        Raises:
            ConfigurationError: Two classes have fields of one name and different types.
        """
        found: dict[str, tuple[_Shape, dict[str, int]]] = {}
        for event_class in event_classes:
            for name, shape in _fields(event_class):
                known, versions = found.setdefault(name, (shape, {}))
                if known != shape:
                    msg = (
                        f"{name!r} is {known[0].__name__} in {', '.join(versions)} and "
                        f"{shape[0].__name__} in {event_class.event_type}; give columns by name"
                    )
                    raise ConfigurationError(msg)
                versions[event_class.event_type] = event_class.schema_version
        columns = {
            name: PayloadColumn(type_, path, versions, precision, scale)
            for name, ((type_, path, precision, scale), versions) in found.items()
        }
        return cls(columns, upcasters=upcasters)


def _fields(event_class: type[DomainEvent]) -> Iterator[tuple[str, _Shape]]:
    for name, field in event_class.model_fields.items():
        if name not in ENVELOPE_FIELDS:
            for path, shape in _flattened((name,), field, (event_class,)):
                column = "_".join(path)
                yield (f"payload_{column}" if column in ENVELOPE_COLUMNS else column), shape


def _flattened(
    path: tuple[str, ...], field: FieldInfo, owners: tuple[type[BaseModel], ...]
) -> Iterator[tuple[tuple[str, ...], _Shape]]:
    type_ = _plain(field.annotation)
    if isinstance(type_, type) and issubclass(type_, BaseModel) and type_ not in owners:
        for name, inner in type_.model_fields.items():
            yield from _flattened((*path, name), inner, (*owners, type_))
        return
    yield path, (_kind(type_), path, *_digits(field))


def _digits(field: FieldInfo) -> tuple[int, int]:
    def declared(name: str, default: int) -> int:
        found = (getattr(constraint, name, None) for constraint in field.metadata)
        return next((digits for digits in found if digits is not None), default)

    precision = min(declared("max_digits", _MOST_DIGITS), _MOST_DIGITS)
    return precision, min(declared("decimal_places", 10), precision)


def _plain(hint: Any) -> Any:
    """Return what an annotation says without ``Annotated``, ``None`` and markers; a union whole."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        members = [one for one in get_args(hint) if one not in (types.NoneType, Shredded)]
        return _plain(members[0]) if len(members) == 1 else hint
    return hint


def _kind(hint: Any) -> type:
    if get_origin(hint) is Literal:
        return _kind_of_values(get_args(hint))
    if not isinstance(hint, type):
        return dict
    if issubclass(hint, Enum):
        return _kind_of_values([member.value for member in hint])
    if issubclass(hint, _WRITTEN_AS_TEXT):
        return str
    return next((kind for kind in _KINDS if issubclass(hint, kind)), dict)


def _kind_of_values(values: Any) -> type:
    kinds = {_kind(type(value)) for value in values}
    return kinds.pop() if len(kinds) == 1 else dict
