"""Whether two builds of a read model hold the same rows, and where they differ if not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.query_options import QueryOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, Row, RowKey

__all__ = ["RowDifference", "TableComparison", "Verification", "compare_tables"]

#: What stands for a row that one of both does not have.
_NO_ROW: Final = "no row"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One value that is not the same in both builds.

    Attributes:
        key: Of the row.
        column: Which column; ``None`` when one of both has no such row.
        serving: What the serving build has.
        new: What the new one has.
    """

    key: RowKey
    column: str | None
    serving: Any
    new: Any


@dataclass(frozen=True, slots=True)
class TableComparison:
    """How the rows of one table compare, those of one tenant.

    Attributes:
        table: Its name.
        tenant_id: Whose rows.
        serving_rows: How many the serving build has.
        new_rows: How many the new one has.
        differing: How many rows differ, or are in one of both only.
        samples: The first differences, for people to look at.
        left_out: Columns that were not compared: those that only one of both has, and those that
            were declared to differ.
    """

    table: str
    tenant_id: str
    serving_rows: int
    new_rows: int
    differing: int
    samples: tuple[RowDifference, ...]
    left_out: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference."""
        return not self.differing


@dataclass(frozen=True, slots=True)
class Verification:
    """How two builds compare, both of them as the same events have left them.

    Attributes:
        projection: Its name.
        serving_version: The build queries are answered from.
        new_version: The build that is to take its place.
        position: Of the last event in both of them, the highest of all tenants.
        tables: Each table of each tenant.
    """

    projection: str
    serving_version: int
    new_version: int
    position: int
    tables: tuple[TableComparison, ...]

    @property
    def is_equal(self) -> bool:
        """Whether no table differs."""
        return all(table.is_equal for table in self.tables)

    @property
    def rows(self) -> int:
        """How many rows the new build has."""
        return sum(table.new_rows for table in self.tables)

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return sum(table.differing for table in self.tables)

    def to_markdown(self) -> str:
        """Return it as tables for people: row counts, then differences by key and column."""
        versions = f"version {self.new_version} beside {self.serving_version}"
        lines = [
            f"{self.projection}: {versions}, at position {self.position}",
            "",
            *_markdown_row("table", "tenant", "serving rows", "new rows", "differing", "left out"),
            *_markdown_row(*["---"] * 6),
        ]
        for table in self.tables:
            counts = (table.serving_rows, table.new_rows, table.differing)
            lines += _markdown_row(table.table, table.tenant_id, *counts, ", ".join(table.left_out))
        if not self.is_equal:
            lines += ["", *_markdown_row("table", "tenant", "key", "column", "serving", "new")]
            lines += _markdown_row(*["---"] * 6)
        for table in self.tables:
            for one in table.samples:
                values = (_key_text(one.key), one.column or "", one.serving, one.new)
                lines += _markdown_row(table.table, table.tenant_id, *values)
        return "\n".join(lines)


async def compare_tables(
    serving: tuple[IProjectionStore, ProjectionSchema],
    new: tuple[IProjectionStore, ProjectionSchema],
    *,
    table: str = "",
    left_out: Collection[str] = (),
    page_size: int = 1000,
    samples: int = 20,
) -> TableComparison:
    """Compare all rows of the current tenant, holding two pages of them in memory.

    Each row of the serving table is looked up in the other one by its key, so the answer is exact
    and does not depend on how a database sorts. Sums of floats count as equal when they differ in
    the last digits only, for these depend on the order of adding.

    Args:
        serving: The serving table, and where to read it as it was at some moment.
        new: The new one, and where to read it as it was after the same events.
        table: What it is called in the answer; as the serving table when not given.
        left_out: Columns that are expected to differ.
        page_size: How many rows are read at once.
        samples: How many differences to remember.

    Raises:
        RebuildError: The tables have different keys, so no row of one could be found in the other.
    """
    (serving_store, before), (new_store, after) = serving, new
    if before.key != after.key:
        msg = (
            f"{after.name} has the key {after.key} instead of {before.key}, so its rows cannot be "
            "compared: declare that the whole table differs"
        )
        raise RebuildError(msg)
    found = _Findings(before, after, left_out, samples)
    async for page in _pages(serving_store, before, page_size):
        others = await new_store.fetch(after, page.keys())
        for key, row in page.items():
            found.compare(key, row, others.get(key))
    new_rows = await new_store.count(after)
    if new_rows != found.matched:
        async for page in _pages(new_store, after, page_size):
            known = await serving_store.fetch(before, page.keys())
            for key in page.keys() - known.keys():
                found.note(RowDifference(key, None, _NO_ROW, _row_text(page[key], after)))
    return TableComparison(
        table or before.name,
        get_context().tenant_id,
        found.rows,
        new_rows,
        found.differing,
        tuple(found.samples),
        found.left_out,
    )


class _Findings:
    """What has been compared so far."""

    def __init__(
        self,
        before: ProjectionSchema,
        after: ProjectionSchema,
        ignored: Collection[str],
        limit: int,
    ) -> None:
        one_sided = before.columns.keys() ^ after.columns.keys()
        self._before = before
        self._limit = limit
        self.left_out: tuple[str, ...] = tuple(sorted(one_sided.union(ignored)))
        skipped = {*self.left_out, *before.key}
        self._compared = [name for name in before.columns if name not in skipped]
        self.rows: int = 0
        self.matched: int = 0
        self.differing: int = 0
        self.samples: list[RowDifference] = []

    def compare(self, key: RowKey, row: Row, other: Row | None) -> None:
        self.rows += 1
        if other is None:
            self.note(RowDifference(key, None, _row_text(row, self._before), _NO_ROW))
            return
        self.matched += 1
        differences = [
            RowDifference(key, name, row[name], other[name])
            for name in self._compared
            if not _is_same(row[name], other[name])
        ]
        if differences:
            self.note(*differences)

    def note(self, *differences: RowDifference) -> None:
        """Count a row that differs, and remember how while there is room."""
        self.differing += 1
        self.samples += differences[: max(self._limit - len(self.samples), 0)]


async def _pages(
    store: IProjectionStore, schema: ProjectionSchema, size: int
) -> AsyncIterator[Mapping[RowKey, Row]]:
    first = QueryOptions().with_key(*schema.key).with_pagination(limit=size)
    options = first
    while rows := await store.query(schema, options):
        yield {schema.key_of(row): row for row in rows}
        options = first.after_cursor(options.cursor(rows[-1]))


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def _row_text(row: Row, schema: ProjectionSchema) -> str:
    return ", ".join(f"{name}={row[name]!r}" for name in schema.columns if name not in schema.key)


def _key_text(key: RowKey) -> str:
    return ", ".join(map(str, key))


def _markdown_row(*cells: object) -> list[str]:
    texts = (str(cell).replace("|", r"\|").replace("\n", " ") for cell in cells)
    return [f"| {' | '.join(texts)} |"]
