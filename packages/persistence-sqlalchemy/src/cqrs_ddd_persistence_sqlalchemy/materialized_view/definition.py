"""What a materialised view shows, what makes it stale, and how often it may be refreshed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
from cqrs_ddd_core.ports.event_store import EventFilter
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import SelectBase, TextClause

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["MaterializedView", "RefreshPolicy"]

_Definition: TypeAlias = "SelectBase | TextClause | str"


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """When a stale view is refreshed: after a burst of events, not too often, not too late.

    Attributes:
        min_interval: Seconds from the end of a refresh to the next one, at least.
        settle: Seconds without another event that concerns the view, after which it is refreshed.
        max_delay: Seconds after the first event it does not show yet, at which it is refreshed
            although more events keep coming.
        timeout: Seconds a refresh may take; on PostgreSQL.
        lock_timeout: Seconds it waits for a lock of others; on PostgreSQL.

    Raises:
        ConfigurationError: A time is negative, or the longest is shorter than the others.
    """

    min_interval: float = 10.0
    settle: float = 1.0
    max_delay: float = 60.0
    timeout: float = 300.0
    lock_timeout: float = 5.0

    def __post_init__(self) -> None:
        if min(self.min_interval, self.settle) < 0 or min(self.timeout, self.lock_timeout) <= 0:
            msg = "a refresh policy needs times that are not negative, and timeouts above 0"
            raise ConfigurationError(msg)
        if self.max_delay < max(self.min_interval, self.settle):
            msg = "a refresh policy needs a max_delay not below min_interval and settle"
            raise ConfigurationError(msg)

    def due_at(
        self,
        now: datetime,
        *,
        refreshed_at: datetime | None,
        stale_since: datetime,
        changed_at: datetime,
    ) -> datetime:
        """Return when a stale view is to be refreshed.

        Args:
            now: By the clock of the other times, which may have been set back since.
            refreshed_at: When its last refresh ended.
            stale_since: When the first event came that it does not show.
            changed_at: When the last event came that concerns it.
        """
        settled = min(changed_at, now) + timedelta(seconds=self.settle)
        wanted = min(settled, stale_since + timedelta(seconds=self.max_delay))
        if refreshed_at is None:
            return wanted
        return max(wanted, min(refreshed_at, now) + timedelta(seconds=self.min_interval))


@dataclass(frozen=True, slots=True)
class MaterializedView:
    """A query whose answer is kept and refreshed: ``MaterializedView(schema, definition, ...)``.

    On PostgreSQL it is a materialised view of that name, on SQLite a table. Its columns have
    the types of the schema, whatever the definition returns.

    Attributes:
        schema: Name, columns, key and indexes. The key tells rows apart, or a refresh fails.
        definition: A SELECT that returns the columns by name, of SQLAlchemy or as SQL text.
        after: Names of the projections whose tables it reads; the view shows what they show, and
            is built anew when another version of one serves. None of them when it reads what is
            written together with the events.
        event_types: Classes or registered names of the events that make it stale; all of them
            when not given.
        tenant_column: A column of the definition, and not of the schema, that says whose a row
            is. Rows are then seen by their tenant only; a view without it is refused to
            tenants.
        version: Raise it with the definition while processes of both run: the highest is
            served. Of two definitions with one version, that of the process that started last.
        policy: When it is refreshed.

    Raises:
        ProjectionDefinitionError: The tenant column is one of the schema, or cannot be a name.
    """

    schema: ProjectionSchema
    definition: _Definition
    after: Collection[str] = ()
    event_types: Collection[str | type[DomainEvent]] | None = None
    tenant_column: str | None = None
    version: int = 1
    policy: RefreshPolicy = field(default_factory=RefreshPolicy)

    def __post_init__(self) -> None:
        if isinstance(self.after, str) or isinstance(self.event_types, str):
            msg = f"{self.name}: after and event_types are lists of names"
            raise ProjectionDefinitionError(msg)
        tenant = self.tenant_column
        if tenant is not None and (not tenant.isidentifier() or tenant in self.schema.columns):
            msg = f"{self.name}: the tenant column {tenant!r} is no name, or in the schema already"
            raise ProjectionDefinitionError(msg)
        if self.version < 1:
            raise ProjectionDefinitionError(f"{self.name}: versions count from 1")

    @property
    def name(self) -> str:
        """Name of the view, or table."""
        return self.schema.name

    @property
    def event_filter(self) -> EventFilter | None:
        """The events that make it stale."""
        if self.event_types is None:
            return None
        names = (one if isinstance(one, str) else one.event_type for one in self.event_types)
        return EventFilter(event_types=frozenset(names))
