"""The query side: read models as typed objects, found, ordered and paged."""

from __future__ import annotations

from cqrs_ddd_advanced_core.queries.cached_store import CachedProjectionStore
from cqrs_ddd_advanced_core.queries.freshness import read_since
from cqrs_ddd_advanced_core.queries.query_repository import CatchUp, QueryRepository, RowSource

__all__ = ["CachedProjectionStore", "CatchUp", "QueryRepository", "RowSource", "read_since"]
