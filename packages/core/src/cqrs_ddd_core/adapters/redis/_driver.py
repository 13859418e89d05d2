"""The driver, or what to install."""

from __future__ import annotations

from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.connection import AbstractConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
except ImportError as error:
    raise MissingExtraError("The Redis cache", "cqrs-ddd-core", "redis") from error

__all__ = [
    "AbstractConnection",
    "ConnectionPool",
    "NoBackoff",
    "OutOfMemoryError",
    "Redis",
    "RedisError",
    "ResponseError",
    "Retry",
]
