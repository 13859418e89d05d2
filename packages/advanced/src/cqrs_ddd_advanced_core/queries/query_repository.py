"""Query repositories: read models as typed objects, found by key, condition, order and page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.queries._reading import RowReader
from cqrs_ddd_advanced_core.queries.freshness import demanded_position, read_since
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.domain.page import Page
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import Specification, SpecificationBuilder
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, SpecificationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import Row, RowKey

__all__ = ["CatchUp", "Criteria", "QueryRepository", "RowSource"]

D = TypeVar("D")
D2 = TypeVar("D2")

#: What is asked for: a condition, or a condition with order and page, or ``None`` for everything.
Criteria: TypeAlias = Specification | SpecificationBuilder | QueryOptions | None

#: How long to wait for a projection, in seconds.
_TIMEOUT: Final = 5.0


class CatchUp(Protocol):
    """Waits until the rows of a read model show what was stored at a position."""

    async def __call__(self, position: int, *, timeout: float) -> None:
        """Return once they do.

        Args:
            position: Of an event, such as ``CommandResponse.position``.
            timeout: How long to wait, in seconds.

        Raises:
            ProjectionLagError: They do not in time.
        """


class RowSource(Protocol):
    """What a query repository reads from: a projection store, or materialised views.

    The calls promise what ``IProjectionStore`` says of them.
    """

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        """Return the rows that are there of some keys."""
        ...

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        """Return rows that meet the options, in their order."""
        ...

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        """Return how many rows meet the condition of the options, whatever their page."""
        ...


class QueryRepository(Generic[D]):
    """Answers questions about one read model.

    Every answer is what evaluation in memory gives, on every database: see ``Specification``.
    What ties is ordered by the key of the schema. Not finding anything is an answer. All calls
    see the tenant of the current context only, and inside a unit of work of the store what it
    has written.

    Rows follow the events later. ``after=`` waits for an event first, such as the last one of a
    command, whose response has its ``position``; without it the answer is what is there.

    Subclass it to give questions names.

    Args:
        store: Where the rows are.
        schema: The table.
        dto: What a row becomes: a dataclass or pydantic model with some columns as its fields,
            best a frozen one. Only those columns are read.
        catch_up: Waits for the projection that writes the rows.
        page_size: Objects on a page whose size nobody gave.

    Raises:
        ProjectionDefinitionError: A field of the class is no column, or cannot be ``None`` as
            its column can.
    """

    def __init__(
        self,
        store: RowSource,
        schema: ProjectionSchema,
        dto: type[D],
        *,
        catch_up: CatchUp | None = None,
        page_size: int = 50,
    ) -> None:
        self._store = store
        self._schema = schema
        self._reader = RowReader(schema, dto)
        self._catch_up = catch_up
        self._page_size = page_size

    def read_as(self, dto: type[D2]) -> QueryRepository[D2]:
        """Return a repository of the same rows that reads other fields of them.

        Raises:
            ProjectionDefinitionError: As above.
        """
        return QueryRepository(
            self._store, self._schema, dto, catch_up=self._catch_up, page_size=self._page_size
        )

    async def get(
        self, key: Any, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> D | None:
        """Return the object with that key, ``None`` when there is none.

        Args:
            key: The value of the key column, or a tuple of those of several.
            after: Wait for the event at this position first.
            timeout: How long to wait for it, in seconds.

        Raises:
            ProjectionValueError: The key cannot be one.
            ProjectionLagError: The event did not show in time.
        """
        return (await self.get_many([key], after=after, timeout=timeout)).get(key)

    async def get_many(
        self, keys: Collection[Any], *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> dict[Any, D]:
        """Return the objects with those keys that are there, by key, in one statement.

        Args:
            keys: As for ``get``; the answer has them in this order.
            after: Wait for the event at this position first.
            timeout: How long to wait for it, in seconds.

        Raises:
            ProjectionValueError: A key cannot be one.
            ProjectionLagError: The event did not show in time.
        """
        with read_since(await self._wait(after, timeout)):
            wanted = {key: self._key(key) for key in keys}
            found = await self._store.fetch(self._schema, list(dict.fromkeys(wanted.values())))
            read = self._reader.read
            return {
                key: read(found[row_key]) for key, row_key in wanted.items() if row_key in found
            }

    async def query(
        self, criteria: Criteria = None, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> list[D]:
        """Return the objects that meet the criteria, ordered as they say, else by key.

        Without a limit that is all of them; ``stream`` holds one batch of many in memory.

        Args:
            criteria: A condition, or options with order and page.
            after: Wait for the event at this position first.
            timeout: How long to wait for it, in seconds.

        Raises:
            UnknownFieldError: A field is no column.
            SpecificationValueError: A value does not fit its column, or the column has no order.
            CursorError: The cursor is none, or belongs to another order or condition.
            SpecificationError: Single fields were chosen: ``rows`` gives these.
            ProjectionLagError: The event did not show in time.
        """
        with read_since(await self._wait(after, timeout)):
            return self._objects(await self._select(self._options(criteria)))

    async def first(
        self, criteria: Criteria = None, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> D | None:
        """Return the first object that meets the criteria, ``None`` when there is none.

        Args and errors are those of ``query``.
        """
        with read_since(await self._wait(after, timeout)):
            options = replace(self._options(criteria), limit=1)
            found = self._objects(await self._select(options))
            return found[0] if found else None

    async def page(
        self,
        criteria: Criteria = None,
        *,
        with_total: bool = False,
        after: int | None = None,
        timeout: float = _TIMEOUT,
    ) -> Page[D]:
        """Return one page, and the cursor of the next one if there is more.

        Pages that follow cursors show every object that stays in its place once, however many
        are added or removed meanwhile, and cost the same at the beginning and at the end.

        Args:
            criteria: As for ``query``; its limit is the size of the page.
            with_total: Whether all that meet the condition are counted too, which reads them all.
            after: Wait for the event at this position first.
            timeout: How long to wait for it, in seconds.

        Raises:
            SpecificationError: The page has no room, or as for ``query``.
            ProjectionLagError: The event did not show in time.
        """
        with read_since(await self._wait(after, timeout)):
            options = self._options(criteria)
            size = self._page_size if options.limit is None else options.limit
            if size < 1:
                msg = "a page has room for one object at least; count() counts without any"
                raise SpecificationError(msg)
            rows = await self._select(replace(options, limit=size + 1))
            more, rows = len(rows) > size, rows[:size]
            return Page(
                self._objects(rows),
                options.cursor(rows[-1]) if more else None,
                await self._store.count(self._schema, options) if with_total else None,
            )

    async def stream(
        self,
        criteria: Criteria = None,
        *,
        batch_size: int = 500,
        after: int | None = None,
        timeout: float = _TIMEOUT,
    ) -> AsyncIterator[D]:
        """Yield the objects that meet the criteria in their order, holding one batch in memory.

        Each batch is read behind the one before, as a page is, and by the tenant of the first.

        Args:
            criteria: As for ``query``.
            batch_size: Rows to read at once.
            after: Wait for the event at this position first.
            timeout: How long to wait for it, in seconds.

        Raises:
            SpecificationError: The batches have no room, or as for ``query``.
            ProjectionLagError: The event did not show in time.
        """
        if batch_size < 1:
            msg = f"a batch has room for one object at least, not for {batch_size}"
            raise SpecificationError(msg)
        tenant_id = get_context().tenant_id
        demanded = await self._wait(after, timeout)
        options, left = self._options(criteria), QueryOptions.of(criteria).limit
        while left is None or left > 0:
            size = batch_size if left is None else min(batch_size, left)
            with message_context(tenant_id=tenant_id), read_since(demanded):
                rows = await self._select(replace(options, limit=size))
            for row in rows:
                yield self._reader.read(row)
            if len(rows) < size:
                return
            options = options.after_cursor(options.cursor(rows[-1]))
            left = None if left is None else left - size

    async def rows(
        self, criteria: Criteria = None, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> list[dict[str, Any]]:
        """Return plain rows with the chosen fields, or with all columns.

        Args and errors are those of ``query``, but that fields may be chosen.
        """
        with read_since(await self._wait(after, timeout)):
            options = QueryOptions.of(criteria).with_key(*self._schema.key)
            chosen = options if options.fields else options.with_fields(*self._schema.columns)
            return [chosen.pick(row) for row in await self._store.query(self._schema, chosen)]

    async def count(
        self, criteria: Criteria = None, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> int:
        """Return how many objects meet the condition, whatever order and page say.

        Args and errors are those of ``query``.
        """
        with read_since(await self._wait(after, timeout)):
            return await self._store.count(self._schema, self._options(criteria))

    async def exists(
        self, criteria: Criteria = None, *, after: int | None = None, timeout: float = _TIMEOUT
    ) -> bool:
        """Whether any object meets the condition.

        Args and errors are those of ``query``.
        """
        with read_since(await self._wait(after, timeout)):
            options = replace(self._options(criteria), limit=1, fields=self._schema.key)
            return bool(await self._store.query(self._schema, options))

    def _options(self, criteria: Criteria) -> QueryOptions:
        options = QueryOptions.of(criteria).with_key(*self._schema.key)
        if options.fields is not None:
            msg = (
                f"only {', '.join(options.fields)} were asked for: rows() returns single fields, "
                "and read_as() a repository of objects that have no others"
            )
            raise SpecificationError(msg)
        return options

    async def _select(self, options: QueryOptions) -> list[Row]:
        # A cursor is made of what a row is ordered by, whether the objects have it or not.
        ordered_by = (key.field.partition(".")[0] for key in options.keys)
        names = dict.fromkeys((*self._reader.names, *ordered_by))
        return await self._store.query(self._schema, options.with_fields(*names))

    def _objects(self, rows: list[Row]) -> list[D]:
        read = self._reader.read
        return [read(row) for row in rows]

    def _key(self, key: Any) -> RowKey:
        schema, values = self._schema, key if isinstance(key, tuple) else (key,)
        if len(values) != len(schema.key):
            msg = f"a key of {schema.name} has the columns {', '.join(schema.key)}, in this order"
            raise ProjectionValueError(msg)
        return tuple(map(schema.fit, schema.key, values))

    async def _wait(self, after: int | None, timeout: float) -> int | None:
        """Return the position that answers may not be older than."""
        if after is None:
            return demanded_position()
        if self._catch_up is None:
            msg = f"nothing was given that waits for {self._schema.name}; see catch_up="
            raise ConfigurationError(msg)
        await self._catch_up(after, timeout=timeout)
        return after
