"""Answers that are kept until what they depend on changes, and computed by one who asks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from pydantic_core import to_json

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.single_flight import SingleFlight
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    InfrastructureError,
    SerializationError,
)
from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from cqrs_ddd_core.ports.cache import ICache

__all__ = ["Answer", "AnswerCache", "AnswerCodec", "answer_scope", "checked_ttl"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Long enough to be worth it, yet a generation must not stay for ever where nobody asks again.
_GENERATIONS_OUTLIVE: Final = 10
#: How often a process looks whether another one has computed the answer, in seconds.
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1
_UNKNOWN: Final[Mapping[str, bytes]] = MappingProxyType({})


class AnswerCodec(Protocol[T]):
    """Writes answers as bytes and reads them."""

    def dump(self, answer: T, /) -> bytes:
        """Return the bytes of an answer."""
        ...

    def load(self, data: bytes, /) -> T:
        """Return the answer again.

        Raises:
            SerializationError: Another release wrote it in another shape.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was asked for.

    Attributes:
        result: A copy of its own.
        from_cache: Whether it was taken from the cache.
    """

    result: T
    from_cache: bool


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    compute: Callable[[], Awaitable[T]]
    ttl: float
    codec: AnswerCodec[T]
    accept: Callable[[T], bool]

    def read(self, data: bytes | None) -> Answer[T] | None:
        if data is None:
            return None
        try:
            result = self.codec.load(data)
        except SerializationError:
            # Another release wrote it in another shape; the new answer takes its place.
            return None
        return Answer(result, from_cache=True) if self.accept(result) else None


@dataclass(frozen=True, slots=True)
class _Run(Generic[T]):
    answer: Answer[T]
    data: bytes


class AnswerCache:
    """Keeps answers, each until one of the scopes it depends on is forgotten.

    A scope is whatever changes as one, such as a tag or a table. The cache holds a random number
    for each, its generation, and an answer is kept under the generations of its scopes; forgetting
    a scope throws its generation away.

    Guarantees (C-13): an answer whose computation began before a scope was forgotten is never
    given once the cache has forgotten it, by no process that shares it; deleting the answers
    themselves would race with those under way. Errors are not kept. Of all who ask for one thing
    at one time, in whatever process, one computes; a process that dies meanwhile, or takes
    longer, delays the others by ``patience`` at most. A cache that is away is passed over.

    Args:
        cache: Where answers are kept; share it to share them between processes.
        patience: For how many seconds others wait for the process that computes an answer, before
            they compute it themselves.
    """

    def __init__(self, cache: ICache, *, patience: float = 5.0) -> None:
        if patience <= 0:
            raise ConfigurationError(f"patience is a positive number of seconds, not {patience:g}")
        self._cache = cache
        self._patience = patience
        self._flights: SingleFlight[_Run[Any]] = SingleFlight()

    async def get(
        self,
        scopes: Sequence[str],
        compute: Callable[[], Awaitable[T]],
        *,
        ttl: float,
        codec: AnswerCodec[T],
        accept: Callable[[T], bool] | None = None,
    ) -> Answer[T]:
        """Return the answer of some scopes, computed when it is not there.

        Args:
            scopes: What it depends on, from ``answer_scope``; the same scopes in the same order
                are the same question.
            compute: Finds the answer.
            ttl: For how many seconds the answer is kept.
            codec: Writes and reads it.
            accept: Whether a kept answer will do; otherwise it is computed and replaced.
        """
        key = await self._key(scopes, ttl)
        if key is None:
            return Answer(await compute(), from_cache=False)
        question = _Question(compute, ttl, codec, accept or _anything)
        kept = question.read(await _quiet(self._cache.get(key), None))
        if kept is not None:
            return kept
        run, is_shared = await self._flights.run(key, partial(self._run, key, question))
        if not is_shared:
            return run.answer
        # Who shares an answer must not see what another does to it, and it may not do for all.
        shared = question.read(run.data)
        if shared is None:
            return (await self._compute(key, question)).answer
        return Answer(shared.result, run.answer.from_cache)

    async def forget(self, scopes: Iterable[str]) -> None:
        """Forget all answers that depend on any of the scopes."""
        await self._cache.delete(*scopes)

    async def clear(self) -> None:
        """Empty the whole cache, of all tenants and whatever else is in it."""
        await self._cache.clear()

    async def _key(self, scopes: Sequence[str], ttl: float) -> str | None:
        """Return what no answer begun before the last change can be under, ``None`` if unknown."""
        new = new_id().bytes
        generations = dict.fromkeys(scopes, new)
        known = await _quiet(
            self._cache.get_or_set(generations, ttl=ttl * _GENERATIONS_OUTLIVE), _UNKNOWN
        )
        if known.keys() != generations.keys():
            return None
        parts = to_json([[scope, known[scope].hex()] for scope in scopes])
        return f"answer:{blake2b(parts, digest_size=32).hexdigest()}"

    async def _run(self, key: str, question: _Question[T]) -> _Run[T]:
        claim, token = f"claim:{key}", new_id().bytes
        try:
            run = await self._wait(key, question, claim, token)
            return run or await self._compute(key, question)
        finally:
            await _quiet(self._cache.delete_if(claim, token), None)

    async def _wait(
        self, key: str, question: _Question[T], claim: str, token: bytes
    ) -> _Run[T] | None:
        """Return what another process computes; ``None`` when it is up to this one."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, _FIRST_PAUSE
        while True:
            claims = await _quiet(
                self._cache.get_or_set({claim: token}, ttl=self._patience), _UNKNOWN
            )
            # After the claim: whoever had it before has kept the answer first.
            data = await _quiet(self._cache.get(key), None)
            answer = question.read(data)
            if data is not None and answer is not None:
                return _Run(answer, data)
            if claims.get(claim, token) == token or loop.time() >= deadline:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _compute(self, key: str, question: _Question[T]) -> _Run[T]:
        result = await question.compute()
        data = question.codec.dump(result)
        await _quiet(self._cache.set(key, data, ttl=question.ttl), None)
        return _Run(Answer(result, from_cache=False), data)


def answer_scope(*parts: str, tenant_id: str | None = None) -> str:
    """Return the name of a scope.

    Args:
        parts: What it is, such as ``("table", "orders")``.
        tenant_id: Whose; the tenant of the current context when not given.
    """
    tenant = get_context().tenant_id if tenant_id is None else tenant_id
    # As JSON, so that no tenant or tag can be spelt to look like another.
    return f"scope:{blake2b(to_json([tenant, *parts]), digest_size=32).hexdigest()}"


def checked_ttl(ttl: float | None) -> float | None:
    """Return a time to live.

    Raises:
        ConfigurationError: It is no positive number of seconds.
    """
    if ttl is not None and ttl <= 0:
        msg = f"a time to live is a positive number of seconds or None, not {ttl:g}"
        raise ConfigurationError(msg)
    return ttl


async def _quiet(work: Awaitable[T], instead: T) -> T:
    try:
        return await work
    except InfrastructureError:
        _logger.warning("the cache cannot be read or written and is passed over", exc_info=True)
        return instead


def _anything(_: object) -> bool:
    return True
