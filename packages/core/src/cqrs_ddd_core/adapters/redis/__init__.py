"""A cache that processes share, on Redis or Valkey; needs the extra ``redis``."""

from __future__ import annotations

from cqrs_ddd_core.adapters.redis._link import CacheUnavailableError
from cqrs_ddd_core.adapters.redis.cache import RedisCache
from cqrs_ddd_core.adapters.redis.layered_cache import LayeredCache

__all__ = ["CacheUnavailableError", "LayeredCache", "RedisCache"]
