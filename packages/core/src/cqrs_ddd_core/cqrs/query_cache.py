"""Answers to queries are kept for a while, and forgotten when events say so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cqrs_ddd_core.cqrs.answer_cache import AnswerCache, answer_scope, checked_ttl
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.cqrs.result_codec import ResultCodec
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.cache import ICache
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["QueryCacheMiddleware", "TagsOf", "cache_for"]

_logger = logging.getLogger(__name__)

#: Tags, or a function from a query or event to its tags.
TagsOf: TypeAlias = Iterable[str] | Callable[[Any], Iterable[str]]

_requested_ttl: ContextVar[float | None] = ContextVar("cqrs_ddd_requested_ttl", default=None)


@contextmanager
def cache_for(ttl: float | None) -> Iterator[None]:
    """Cache the query asked in the block for so many seconds, instead of what its type says."""
    token = _requested_ttl.set(checked_ttl(ttl))
    try:
        yield
    finally:
        _requested_ttl.reset(token)


@dataclass(frozen=True, slots=True)
class _Policy:
    ttl: float | None
    tags: TagsOf


class QueryCacheMiddleware(IMiddleware):
    """Answers a query from a cache, when its type was given a time to live.

    Guarantees (C-13): the key is the query type, its fields and the tenant, so that no tenant
    sees another's answers; an answer that was begun before an invalidation is never served after
    it, not even by another process that shares the cache; errors are not kept; answers are
    copies. A query asked inside a unit of work goes past the cache, because it may see what is
    not committed. Identical queries asked at one time are answered by one run, also in several
    processes that share the cache. A cache that is away is passed over.

    Answers live in the type of ``Query[R]``. What they depend on has to be a field: the current
    user is no part of the key. Without an event that invalidates it, an answer may be as old as
    its time to live; so it may when it was read from a projection that lags behind the event.

    Args:
        cache: Keeps the answers; share it to share them between processes.
        registry: Where ``invalidate_on`` registers event handlers.
        default_ttl: Seconds for query types that were not configured; ``None``: not cached.
        patience: For how many seconds others wait for the process that answers a query, before
            they answer it themselves; a process that dies delays them as long.
    """

    def __init__(
        self,
        cache: ICache,
        registry: HandlerRegistry,
        *,
        default_ttl: float | None = None,
        patience: float = 5.0,
    ) -> None:
        self._answers = AnswerCache(cache, patience=patience)
        self._registry = registry
        self._default = _Policy(checked_ttl(default_ttl), ())
        self._policies: dict[type[Any], _Policy] = {}
        self._codecs: dict[type[Any], ResultCodec] = {}

    def applies_to(self, message_type: type[Any]) -> bool:
        return issubclass(message_type, Query)

    def configure(
        self, query_type: type[Query[Any]], *, ttl: float | None, tags: TagsOf = ()
    ) -> None:
        """Say how long answers of a type are kept, and under which tags.

        Args:
            query_type: Exactly this type.
            ttl: Seconds; ``None`` for not at all.
            tags: Such as ``["orders"]`` or ``lambda query: [f"order:{query.order_id}"]``.

        Raises:
            ConfigurationError: The declared answer cannot be kept as JSON.
        """
        if ttl is not None:
            self._codec(query_type)
        self._policies[query_type] = _Policy(checked_ttl(ttl), tags)

    def invalidate_on(
        self,
        event_type: type[DomainEvent],
        *query_types: type[Query[Any]],
        tags: TagsOf = (),
    ) -> None:
        """Forget answers after the commit of each event of a class or its subclasses.

        Args:
            event_type: The class of the events.
            query_types: All answers of these types.
            tags: Answers under these tags, or under those computed from the event.
        """

        async def forget(event: DomainEvent) -> None:
            await self.invalidate(*query_types, tags=_tags(tags, event))

        self._registry.register_event_handler(event_type, forget, synchronous=False)

    async def invalidate(
        self, *targets: Query[Any] | type[Query[Any]], tags: Iterable[str] = ()
    ) -> None:
        """Forget answers of the current tenant: of single queries, of query types, under tags."""
        scopes = [_of_type(one) if isinstance(one, type) else _of_query(one) for one in targets]
        await self._answers.forget([*scopes, *map(_of_tag, tags)])

    async def clear(self) -> None:
        """Empty the whole cache, of all tenants and whatever else is in it."""
        await self._answers.clear()

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        policy = self._policies.get(type(message), self._default)
        ttl = _take_requested_ttl() or policy.ttl
        if ttl is None or current_scope() is not None or not _is_told_by_json(message):
            return await next_handler(message)
        answer = await self._answers.get(
            _scopes(message, policy),
            partial(_result, message, next_handler),
            ttl=ttl,
            codec=self._codec(type(message)),
        )
        return QueryResponse(answer.result, from_cache=answer.from_cache)

    def _codec(self, query_type: type[Any]) -> ResultCodec:
        if query_type not in self._codecs:
            self._codecs[query_type] = ResultCodec(query_type)
        return self._codecs[query_type]


async def _result(query: Query[Any], next_handler: NextHandler) -> Any:
    response: QueryResponse[Any] = await next_handler(query)
    return response.result


def _take_requested_ttl() -> float | None:
    ttl = _requested_ttl.get()
    if ttl is not None:
        # Not for the queries asked by the handler of this one.
        _requested_ttl.set(None)
    return ttl


def _is_told_by_json(query: Query[Any]) -> bool:
    """Whether the JSON of a query holds all of it: a secret or excluded field is not there."""
    try:
        is_same: bool = type(query).model_validate_json(query.model_dump_json()) == query
    except (PydanticSerializationError, ValidationError):
        is_same = False
    if not is_same:
        _logger.warning("%s is not cached: its JSON does not hold all of it", type(query).__name__)
    return is_same


def _tags(tags: TagsOf, subject: Any) -> list[str]:
    found = tags(subject) if callable(tags) else tags
    return [found] if isinstance(found, str) else sorted(found)


def _scopes(query: Query[Any], policy: _Policy) -> list[str]:
    tags = map(_of_tag, _tags(policy.tags, query))
    return [_of_type(type(query)), _of_query(query), *tags]


def _of_type(query_type: type[Query[Any]]) -> str:
    return answer_scope("type", query_type.__module__, query_type.__qualname__)


def _of_query(query: Query[Any]) -> str:
    fields = query.model_dump_json(exclude={"query_id", "correlation_id"})
    return answer_scope("query", type(query).__module__, type(query).__qualname__, fields)


def _of_tag(tag: str) -> str:
    return answer_scope("tag", tag)
