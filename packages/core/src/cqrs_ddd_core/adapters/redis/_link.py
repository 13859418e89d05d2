"""The way to a Redis server: short time limits, and no waiting for a server that is away."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from cqrs_ddd_core.adapters.redis._driver import (
    AbstractConnection,
    ConnectionPool,
    NoBackoff,
    OutOfMemoryError,
    Redis,
    RedisError,
    Retry,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["FAILURES", "CacheUnavailableError", "Client", "RedisLink"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")
Client: TypeAlias = Redis

#: All that the driver raises on purpose, and what its socket does.
FAILURES: Final = (RedisError, OSError, TimeoutError)


class CacheUnavailableError(InfrastructureError):
    """The cache server does not answer, or refuses what it is told."""


class RedisLink:
    """Runs commands on a server, unless it is known to be away.

    After a failure nobody turns to the server for ``retry_after`` seconds; then one caller tries,
    and the others go on without it until that has worked. A command is never sent twice: a server
    that was slow may still do what it was told first.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` where the server's certificate
            and host name are verified, or ``unix://``.
        timeout: Seconds a piece of work may take.
        retry_after: Seconds before the next try after a failure.
        max_connections: At most so many at one time; further work waits for one.

    Raises:
        ConfigurationError: The address is malformed, or a number makes no sense.
    """

    def __init__(
        self, url: str, *, timeout: float, retry_after: float, max_connections: int
    ) -> None:
        if timeout <= 0 or retry_after <= 0 or max_connections < 1:
            msg = "a cache needs timeout > 0, retry_after > 0 and max_connections >= 1"
            raise ConfigurationError(msg)
        self.retry_after: float = retry_after
        self.timeout: float = timeout
        self._shown = _shown(url)
        self._pool = _pool(url, timeout, max_connections)
        self._client: Client = Redis(connection_pool=self._pool)
        self._slots = asyncio.Semaphore(max_connections)
        self._is_away = False
        self._reason = ""
        self._next_try = 0.0

    def __str__(self) -> str:
        return self._shown

    @property
    def is_away(self) -> bool:
        """Whether the last try failed."""
        return self._is_away

    async def run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Return what some commands return.

        Raises:
            CacheUnavailableError: They failed, took too long, or were not tried.
        """
        async with self._slots:
            self._check_time()
            try:
                async with asyncio.timeout(self.timeout):
                    result = await work(self._client)
            except OutOfMemoryError as error:
                # Reading goes on.
                _logger.warning("%s has no room left: %s", self, error)
                raise CacheUnavailableError(f"{self} has no room left") from error
            except FAILURES as error:
                await self._failed(error)
                raise CacheUnavailableError(f"{self} is away: {self._reason}") from error
            self._worked()
            return result

    def new_connection(self) -> AbstractConnection:
        """Return a connection of the caller's own, not opened yet, which may wait for ever."""
        settings = {**self._pool.connection_kwargs, "socket_timeout": None}
        return self._pool.connection_class(**settings)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.disconnect()

    def _check_time(self) -> None:
        if not self._is_away:
            return
        now = time.monotonic()
        if now < self._next_try:
            raise CacheUnavailableError(f"{self} is away: {self._reason}")
        # The others go on without it while this caller tries.
        self._next_try = now + self.retry_after

    async def _failed(self, error: BaseException) -> None:
        self._reason = _reason(error)
        if not self._is_away:
            _logger.warning("%s is away, and passed over until it is back: %s", self, self._reason)
        self._is_away = True
        self._next_try = time.monotonic() + self.retry_after
        # The name may belong to another server by then, and a demoted one refuses to write.
        await self._pool.disconnect(inuse_connections=False)

    def _worked(self) -> None:
        if self._is_away:
            _logger.info("%s is back", self)
            self._is_away = False


def _pool(url: str, timeout: float, max_connections: int) -> ConnectionPool:
    # Asked for by name: in older drivers a host name was not verified by default.
    secure = {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
    try:
        return ConnectionPool.from_url(
            url,
            max_connections=max_connections,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            **secure,
        )
    except ValueError:
        raise ConfigurationError(_MALFORMED) from None


# Not quoted: whatever is wrong with it, there may be a password in it.
_MALFORMED: Final = (
    "the address of the cache is not like redis://user:password@host:6379/0, rediss://... or "
    "unix://...; characters such as '@', '/' and '#' of a password are percent-encoded"
)


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(_MALFORMED) from None
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ConfigurationError(_MALFORMED)
    host = parts.hostname or ""
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}{parts.path}"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"
