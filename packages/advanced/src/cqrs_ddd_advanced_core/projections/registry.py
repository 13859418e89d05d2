"""The registry of projectors: which there are, and where each keeps its rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from cqrs_ddd_advanced_core.adapters.memory.projection_store import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.projections._projection import Projection
from cqrs_ddd_advanced_core.projections.staging import check_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
    from cqrs_ddd_advanced_core.projections.projector import Projector
    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry

__all__ = ["ProjectorRegistry"]

P = TypeVar("P", bound="Projector")
_is_name: Final = re.compile(r"[A-Za-z][\w.:-]{0,99}", re.ASCII).fullmatch


class ProjectorRegistry:
    """Which projections there are, under which names.

    Args:
        projectors: Those to register at once.
        store: Where they keep their rows; in memory when not given.
        event_registry: The events that may be read, also under former names; those the handlers
            name, when not given.
        upcaster_registry: How events of older shapes are read.

    Raises:
        ProjectionDefinitionError: One of them cannot be registered.
    """

    def __init__(
        self,
        projectors: Iterable[Projector] = (),
        *,
        store: IProjectionStore | None = None,
        event_registry: EventTypeRegistry | None = None,
        upcaster_registry: UpcasterRegistry | None = None,
    ) -> None:
        self._store = store or InMemoryProjectionStore()
        self._event_registry = event_registry
        self._upcasters = upcaster_registry
        self._projections: dict[str, Projection] = {}
        for projector in projectors:
            self.register(projector)

    @property
    def store(self) -> IProjectionStore:
        """Where projections keep their rows unless they have a store of their own."""
        return self._store

    def register(self, projector: P, *, store: IProjectionStore | None = None) -> P:
        """Add a projector and return it.

        Args:
            projector: Its name and tables belong to no other one.
            store: Where it keeps its rows; that of the registry when not given.

        Raises:
            ProjectionDefinitionError: Its name or a table is taken, its definition cannot work, or
                it would wait for itself.
        """
        _check(projector)
        check_stages(
            {one.name: one.projector.depends_on for one in self._projections.values()}
            | {projector.name: projector.depends_on}
        )
        store = store or self._store
        for other in self._projections.values():
            _check_apart(projector, store, other)
        self._projections[projector.name] = Projection(
            projector, store, self._event_registry, self._upcasters
        )
        return projector

    def get(self, name: str) -> Projection:
        """Return what is registered under a name.

        Raises:
            UnknownProjectionError: Nothing is.
        """
        try:
            return self._projections[name]
        except KeyError:
            raise UnknownProjectionError(name, sorted(self._projections)) from None

    def projections(self) -> Sequence[Projection]:
        """Return all of them by name.

        Raises:
            UnknownProjectionError: One waits for a projection that is not registered.
        """
        for one in self._projections.values():
            one.upstreams = [self.get(name) for name in one.projector.depends_on]
        return [self._projections[name] for name in sorted(self._projections)]

    def __contains__(self, name: str) -> bool:
        """Whether something is registered under that name."""
        return name in self._projections


def _check(projector: Projector) -> None:
    name, tables = projector.name, [one.name for one in projector.tables]
    if not _is_name(name):
        msg = f"{name!r} names no projection: use letters, digits and _.:-, a letter first"
        raise ProjectionDefinitionError(msg)
    if projector.version < 1 or projector.partitions < 1:
        raise ProjectionDefinitionError(f"{name} needs version >= 1 and partitions >= 1")
    if len(set(tables)) < len(tables):
        raise ProjectionDefinitionError(f"{name} lists a table twice")


def _check_apart(projector: Projector, store: IProjectionStore, other: Projection) -> None:
    if projector.name == other.name:
        msg = f"a projection {projector.name!r} is registered already; give this one its own name"
        raise ProjectionDefinitionError(msg)
    if store is not other.store:
        return
    for table in projector.tables:
        if table.name in other.shapes:
            msg = f"{projector.name} and {other.name} both write {table.name!r}: rename one"
            raise ProjectionDefinitionError(msg)
