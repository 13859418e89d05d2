"""Materialised views as a kind of projection: queries whose answers are kept and refreshed."""

from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import (
    MaterializedView,
    RefreshPolicy,
)
from cqrs_ddd_persistence_sqlalchemy.materialized_view.refresher import MaterializedViewRefresher
from cqrs_ddd_persistence_sqlalchemy.materialized_view.views import (
    MaterializedViews,
    MaterializedViewStatus,
)

__all__ = [
    "MaterializedView",
    "MaterializedViewRefresher",
    "MaterializedViewStatus",
    "MaterializedViews",
    "RefreshPolicy",
]
