"""Staged projections: those that consume what others have produced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_advanced_core.projections._projection import Projection

__all__ = ["check_stages", "reached_position"]


def check_stages(depends_on: Mapping[str, Iterable[str]]) -> None:
    """Refuse projections that wait for each other in a circle.

    Args:
        depends_on: The names a projection waits for, by its name; those unknown yet are left out.

    Raises:
        ProjectionDefinitionError: There is a circle; it is named.
    """
    done: set[str] = set()
    for name in depends_on:
        _visit(name, depends_on, [], done)


def _visit(
    name: str, depends_on: Mapping[str, Iterable[str]], path: list[str], done: set[str]
) -> None:
    if name in path:
        circle = " -> ".join([*path[path.index(name) :], name])
        raise ProjectionDefinitionError(f"projections wait for each other: {circle}")
    if name not in done:
        for upstream in depends_on.get(name, ()):
            _visit(upstream, depends_on, [*path, name], done)
        done.add(name)


async def reached_position(upstreams: Sequence[Projection]) -> int | None:
    """Return how far all of them have come; ``None`` when none of them holds anybody back."""
    reached = [await _reached(upstream) for upstream in upstreams]
    return min((position for position in reached if position is not None), default=None)


async def _reached(projection: Projection) -> int | None:
    """Return how far one has come; ``None`` if commands apply their events themselves."""
    found = await projection.store.checkpoints.get(projection.name, projection.version)
    if len(found) < len(projection.keys):
        return 0
    if all(checkpoint.state is CheckpointState.INLINE for checkpoint in found):
        return None
    return min(checkpoint.position for checkpoint in found)
