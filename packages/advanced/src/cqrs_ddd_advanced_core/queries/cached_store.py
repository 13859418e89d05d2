"""Read models that are asked once and answered from a cache until their rows change."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
from cqrs_ddd_advanced_core.queries._question import key_text, question_text
from cqrs_ddd_advanced_core.queries._row_codec import NumberCodec, Read, RowCodec
from cqrs_ddd_advanced_core.queries.freshness import demanded_position
from cqrs_ddd_core.cqrs.answer_cache import AnswerCache, answer_scope, checked_ttl
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope, get_current_uow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from cqrs_ddd_advanced_core.ports.checkpoint_store import ICheckpointStore
    from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import Row, RowChange, RowKey
    from cqrs_ddd_core.cqrs.answer_cache import AnswerCodec
    from cqrs_ddd_core.ports.cache import ICache
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["CachedProjectionStore"]

#: Where more rows are asked for or changed at once, the table stands for all of them.
_MOST_ROWS: Final = 100


class CachedProjectionStore(IProjectionStore):
    """Answers from a cache what was asked before, until rows change through this class.

    Give it to whoever writes the rows, such as the worker's registry, and to whoever reads them;
    they may be in several processes that share the cache. Rows asked for by key are forgotten
    with a change of one of them, queries and counts with any change of their table. Answers of more
    than 1,000 rows are not kept.

    Guarantees (C-13): an answer belongs to one tenant, table, and exact question; one that was
    begun before the commit of a change is not given after it is forgotten. Answers are forgotten
    right after the commit (G1: a rolled back change forgets nothing), so between the two, and
    when the process dies there, an answer from before may still be given, for ``ttl`` seconds at
    most. Who must see an event asks with ``after=``: an answer is kept with the position its
    projection had reached before it was read, and is not given to who demands a later one. Inside
    a unit of work everything is asked anew. Rows written by statements of your own are unknown
    here: call ``forget`` behind them.

    Args:
        store: Has the rows.
        cache: Has the answers.
        ttl: For how many seconds an answer is kept at most.
        projections: The projection behind each table by its name; its checkpoints are read before
            the rows. An answer about a table that is not named here is never given to who asks
            with ``after=``.
        patience: For how many seconds others wait for the process that asks, before they ask
            themselves.

    Raises:
        ConfigurationError: A number is not positive.
    """

    def __init__(
        self,
        store: IProjectionStore,
        cache: ICache,
        *,
        ttl: float,
        projections: Mapping[str, str] | None = None,
        patience: float = 5.0,
    ) -> None:
        checked_ttl(ttl)
        self._store = store
        self._answers = AnswerCache(cache, patience=patience)
        self._ttl = ttl
        self._projections = dict(projections or {})
        self._codecs: dict[str, RowCodec] = {}
        self._numbers = NumberCodec()

    @property
    def checkpoints(self) -> ICheckpointStore:
        return self._store.checkpoints

    @property
    def parked_events(self) -> IParkedEvents:
        return self._store.parked_events

    def unit_of_work(self) -> UnitOfWork:
        return self._store.unit_of_work()

    def snapshot(self) -> AbstractAsyncContextManager[IProjectionStore]:
        return self._store.snapshot()

    async def ensure(self, schema: ProjectionSchema) -> None:
        await self._store.ensure(schema)

    async def exists(self, schema: ProjectionSchema) -> bool:
        return await self._store.exists(schema)

    # --- changes --------------------------------------------------------------------------------

    async def drop(self, schema: ProjectionSchema) -> None:
        await self._store.drop(schema)
        await _after_commit(partial(self._answers.forget, [_of_all(schema.name)]))

    async def clear(self, schema: ProjectionSchema) -> None:
        await self._store.clear(schema)
        scopes = [_of_rows(schema.name), _of_queries(schema.name)]
        await _after_commit(partial(self._answers.forget, scopes))

    async def rename(self, names: Sequence[tuple[str, str]]) -> None:
        await self._store.rename(names)
        scopes = {_of_all(name) for pair in names for name in pair}
        await _after_commit(partial(self._answers.forget, scopes))

    async def apply(
        self, schema: ProjectionSchema, changes: Sequence[RowChange], *, guarded: bool = True
    ) -> Sequence[RowKey]:
        refused = await self._store.apply(schema, changes, guarded=guarded)
        if changes:
            scopes = [_of_rows(schema.name)]
            if len(changes) <= _MOST_ROWS:
                scopes = [_of_row(schema, change.key) for change in changes]
            scopes.append(_of_queries(schema.name))
            await _after_commit(partial(self._answers.forget, scopes))
        return refused

    async def forget(self, schema: ProjectionSchema) -> None:
        """Forget all answers about a table of the current tenant, at once."""
        await self._answers.forget([_of_rows(schema.name), _of_queries(schema.name)])

    # --- questions --------------------------------------------------------------------------------

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        async def rows() -> list[Row]:
            found = await self._store.fetch(schema, keys)
            return [dict(row) for row in found.values()]

        try:
            scopes = [_of_row(schema, key) for key in keys] if len(keys) <= _MOST_ROWS else []
        except ProjectionValueError:
            # The store says what is wrong with it.
            scopes = []
        if not scopes or current_scope() is not None:
            return await self._store.fetch(schema, keys)
        codec = self._codec(schema)
        question = answer_scope("fetch", codec.shape)
        scopes = [_of_all(schema.name), _of_rows(schema.name), *scopes, question]
        kept = await self._answer(schema, scopes, rows, codec)
        return {schema.key_of(row): row for row in kept}

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        async def rows() -> list[Row]:
            return [dict(row) for row in await self._store.query(schema, options)]

        codec = self._codec(schema)
        scopes = self._scopes(schema, "query", codec.shape, options)
        found: list[Row] = await self._answer(schema, scopes, rows, codec)
        return found

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        async def number() -> int:
            return await self._store.count(schema, options)

        scopes = self._scopes(schema, "count", "", options or QueryOptions())
        found: int = await self._answer(schema, scopes, number, self._numbers)
        return found

    def _scopes(
        self, schema: ProjectionSchema, kind: str, shape: str, options: QueryOptions
    ) -> list[str]:
        """Return what a question depends on; nothing when it has to be asked anew."""
        text = question_text(options)
        if text is None or current_scope() is not None:
            return []
        question = answer_scope(kind, schema.name, shape, text)
        return [_of_all(schema.name), _of_queries(schema.name), question]

    async def _answer(
        self,
        schema: ProjectionSchema,
        scopes: Sequence[str],
        ask: Callable[[], Awaitable[Any]],
        codec: AnswerCodec[Read],
    ) -> Any:
        if not scopes:
            return await ask()
        demanded = demanded_position()

        async def read() -> Read:
            # Before the rows, so that all events up to there are in them.
            position = await self._position(schema.name)
            return Read(position, await ask())

        def accept(kept: Read) -> bool:
            return demanded is None or kept.position >= demanded

        answer = await self._answers.get(scopes, read, ttl=self._ttl, codec=codec, accept=accept)
        return answer.result.content

    async def _position(self, table: str) -> int:
        projection = self._projections.get(table)
        if projection is None:
            return -1
        checkpoints = self._store.checkpoints
        version = await checkpoints.serving_version(projection)
        found = await checkpoints.get(projection, version)
        return min((one.position for one in found), default=-1)

    def _codec(self, schema: ProjectionSchema) -> RowCodec:
        known = self._codecs.get(schema.name)
        if known is None or known.schema is not schema:
            known = self._codecs[schema.name] = RowCodec(schema)
        return known


async def _after_commit(forget: Callable[[], Awaitable[None]]) -> None:
    uow = get_current_uow()
    if uow is None:
        await forget()
    else:
        uow.on_commit(forget)


def _of_all(table: str) -> str:
    """Of the table with the rows of all tenants."""
    return answer_scope("table", table, tenant_id="")


def _of_queries(table: str) -> str:
    return answer_scope("queries", table)


def _of_rows(table: str) -> str:
    return answer_scope("rows", table)


def _of_row(schema: ProjectionSchema, key: RowKey) -> str:
    return answer_scope("row", schema.name, key_text(schema, key))
