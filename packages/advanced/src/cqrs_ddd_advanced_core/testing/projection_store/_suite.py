"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from cqrs_ddd_advanced_core.ports.projection_schema import (
    LAST_POSITION,
    ROW_VERSION,
    ProjectionColumn,
    ProjectionSchema,
)
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, RowChange
from cqrs_ddd_core.ports.event_store import IEventStore
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

__all__ = [
    "EVERYTHING",
    "ORDERS",
    "PAIRS",
    "VALUES",
    "ProjectionStoreSubject",
    "ProjectionStoreSuite",
    "apply",
    "change",
    "delete",
    "row_of",
]

#: Counters with defaults, a column that may be empty, and one that must be given.
ORDERS: Final = ProjectionSchema(
    "orders",
    {
        "id": ProjectionColumn(str),
        "customer": ProjectionColumn(str),
        "note": ProjectionColumn(str, nullable=True),
        "lines": ProjectionColumn(int, default=0),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
        "extra": ProjectionColumn(Decimal, nullable=True),
    },
    ("id",),
    [("customer",), ("total", "lines")],
)
#: A key of two columns, and nothing besides.
PAIRS: Final = ProjectionSchema(
    "pairs", {"left": ProjectionColumn(UUID), "right": ProjectionColumn(int)}, ("right", "left")
)
_TYPES: Final = (bool, int, float, Decimal, str, bytes, datetime, date, UUID, dict, list)
#: A column of every type, as it is and nullable.
EVERYTHING: Final = ProjectionSchema(
    "everything",
    {
        "id": ProjectionColumn(int),
        **{f"some_{one.__name__.lower()}": ProjectionColumn(one) for one in _TYPES},
        **{f"maybe_{one.__name__.lower()}": ProjectionColumn(one, nullable=True) for one in _TYPES},
    },
    ("id",),
)

#: One value for each column that must have one.
VALUES: Final[dict[str, Any]] = {
    "some_bool": True,
    "some_int": 2**63 - 1,
    "some_float": 0.1,
    "some_decimal": Decimal("12345678901234567890.123456789"),
    "some_str": AWKWARD_TEXT,
    "some_bytes": b"\x00\xff",
    "some_datetime": MOMENT,
    "some_date": date(2026, 2, 28),
    "some_uuid": UUID(int=2**127 + 1),
    "some_dict": {"a": [1, 1.5, None, True, {"b": AWKWARD_TEXT}], "": {}},
    "some_list": [1, "two", None, {"three": [3]}],
}


@dataclass(frozen=True)
class ProjectionStoreSubject:
    """An empty store, and an event store of the same database."""

    store: IProjectionStore
    event_store: IEventStore


class ProjectionStoreSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> ProjectionStoreSubject:
        raise NotImplementedError("yield a ProjectionStoreSubject with an empty store")

    @pytest.fixture
    async def store(self, subject: ProjectionStoreSubject) -> AsyncIterator[IProjectionStore]:
        schemas = (ORDERS, PAIRS, EVERYTHING)
        for schema in schemas:
            await subject.store.ensure(schema)
        yield subject.store
        for schema in schemas:
            await subject.store.drop(schema)


def change(
    position: int,
    key: object = "o-1",
    *,
    last: int | None = None,
    deletes: bool = False,
    adds: dict[str, Any] | None = None,
    **sets: Any,
) -> RowChange:
    """Return a change of one row."""
    keys = key if isinstance(key, tuple) else (key,)
    until = position if last is None else last
    return RowChange(keys, position, until, deletes=deletes, sets=sets, adds=adds or {})


def delete(position: int, key: object = "o-1") -> RowChange:
    """Return a change that leaves no row."""
    keys = key if isinstance(key, tuple) else (key,)
    return RowChange(keys, position, position, deletes=True, is_delete=True)


async def apply(
    store: IProjectionStore,
    *changes: RowChange,
    schema: ProjectionSchema = ORDERS,
    guarded: bool = True,
) -> Sequence[tuple[Any, ...]]:
    """Apply changes in a unit of work of their own; return the keys of rows that refused."""
    async with store.unit_of_work():
        return await store.apply(schema, changes, guarded=guarded)


async def row_of(
    store: IProjectionStore, key: object = "o-1", *columns: str
) -> dict[str, Any] | tuple[Any, ...] | None:
    """Return an order without what every row has, some columns of it, or ``None``."""
    row = (await store.fetch(ORDERS, [(key,)])).get((key,))
    if row is None:
        return None
    if columns:
        return tuple(row[name] for name in columns)
    return _without(row.items(), (ROW_VERSION, LAST_POSITION))


def _without(items: Iterable[tuple[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in items if name not in names}
