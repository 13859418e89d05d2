"""The query side: read models as typed objects, found, ordered and paged."""

from __future__ import annotations

from cqrs_ddd_advanced_core.queries.query_repository import CatchUp, QueryRepository

__all__ = ["CatchUp", "QueryRepository"]
