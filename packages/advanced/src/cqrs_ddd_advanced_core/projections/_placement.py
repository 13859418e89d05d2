"""Where the rows of a version are: under the plain names while it serves, beside them otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections._projection import Projection

__all__ = ["is_beside", "located", "placed", "serves", "serving_version", "table_beside"]


def table_beside(table: str, version: int) -> str:
    """Return where the rows of a version that does not serve are.

    A version below 0 stands for the same definition once more: of 3 there is -3 beside.
    """
    return f"{table}__v{version}" if version > 0 else f"{table}__again{-version}"


async def serving_version(projection: Projection) -> int:
    """Return which version queries are answered from: at first the one that is first asked for."""
    checkpoints = projection.store.checkpoints
    found = await checkpoints.serving_version(projection.name)
    if found is None:
        await checkpoints.serve(projection.name, projection.version, unless_set=True)
        found = await checkpoints.serving_version(projection.name)
    return projection.version if found is None else found


async def serves(projection: Projection) -> bool:
    """Whether queries are answered from this version, so that its rows have the plain names."""
    return await serving_version(projection) == projection.version


async def is_beside(projection: Projection) -> bool:
    """Whether another version serves, so that its rows are beside those."""
    return not await serves(projection)


def placed(projection: Projection, version: int) -> Projection:
    """Return a projection with another version, and its rows beside those that serve."""
    moved = projection.stored_as(
        {
            name: shape.schema.named(table_beside(shape.schema.name, version))
            for name, shape in projection.shapes.items()
        }
    )
    moved.version = version
    return moved


async def located(projection: Projection) -> Projection:
    """Return a projection with its rows where they are now.

    Inside a unit of work that has locked one of its checkpoints they stay there.
    """
    if await serves(projection):
        return projection
    return placed(projection, projection.version)
