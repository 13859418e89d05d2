"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, Row, RowChange
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.specimens import Specimen

__all__ = [
    "LINES",
    "SPECIMENS",
    "Line",
    "QueryRepositorySubject",
    "QuerySuite",
    "for_every_example",
    "ids_of",
]

#: Each example fills the same table anew.
for_every_example = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,  # one suite is run by several classes
        HealthCheck.too_slow,
    ],
)


@dataclass(frozen=True)
class Line:
    """A row with a key of two columns, of which neither tells it apart."""

    order_id: str
    line: int
    note: str | None = None
    price: Decimal = Decimal(0)


SPECIMENS: Final = ProjectionSchema.of(Specimen, key="id", name="specimens", searched=("name",))
LINES: Final = ProjectionSchema.of(Line, key=("order_id", "line"), name="lines")


@dataclass(frozen=True)
class QueryRepositorySubject:
    """A projection store that can be filled.

    Args:
        store: Where the rows are.
    """

    store: IProjectionStore

    async def fill(self, schema: ProjectionSchema, rows: Iterable[Row]) -> None:
        """Keep these rows of the current tenant and no others."""
        changes = [
            RowChange(
                schema.key_of(row),
                position,
                position,
                sets={name: row[name] for name in schema.columns if name not in schema.key},
            )
            for position, row in enumerate(rows, 1)
        ]
        await self.store.ensure(schema)
        async with self.store.unit_of_work():
            await self.store.clear(schema)
            await self.store.apply(schema, changes)

    async def fill_specimens(self, items: Iterable[Specimen]) -> QueryRepository[Specimen]:
        """Keep these specimens, and return the repository that finds them."""
        await self.fill(SPECIMENS, [_row_of(item) for item in items])
        return QueryRepository(self.store, SPECIMENS, Specimen)

    async def fill_lines(self, items: Iterable[Line]) -> QueryRepository[Line]:
        """Keep these lines, and return the repository that finds them."""
        await self.fill(LINES, [vars(item) for item in items])
        return QueryRepository(self.store, LINES, Line)


def _row_of(item: Specimen) -> dict[str, Any]:
    row = {name: getattr(item, name) for name in Specimen.model_fields}
    return row | {"address": item.address.model_dump() if item.address else None}


def ids_of(found: Iterable[Specimen]) -> list[str]:
    return [item.id for item in found]


class QuerySuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> QueryRepositorySubject:
        raise NotImplementedError("yield a QueryRepositorySubject with an empty store")
