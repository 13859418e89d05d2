"""Move checkpoints of a serving version back, with or without its rows, and let builds go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection

__all__ = [
    "KEPT_BY_COMMANDS",
    "let_go_on",
    "move_back",
    "refuse_kept_by_commands",
    "start_over",
]

#: States in which commands apply events themselves, or are about to.
KEPT_BY_COMMANDS: Final = (CheckpointState.INLINE, CheckpointState.SWITCHING)


async def start_over(projection: Projection) -> None:
    """Empty the tables of the current tenant and go back to the beginning, in one transaction.

    Raises:
        RebuildError: It is kept by commands.
    """
    store = projection.store
    async with store.unit_of_work():
        # Rows before checkpoints, as in the batches of workers: nobody waits in a circle.
        for shape in projection.shapes.values():
            await store.clear(shape.schema)
        await move_back(projection, 0)
        await store.parked_events.clear(projection.name, projection.version)


async def move_back(projection: Projection, position: int) -> None:
    """Move all partitions in the current unit of work, and let halted ones go on.

    Raises:
        RebuildError: It is kept by commands.
    """
    checkpoints = projection.store.checkpoints
    for key in projection.keys:
        _refuse([await checkpoints.lock(key)])
    await checkpoints.set_position(
        projection.name, projection.version, position, state=CheckpointState.RUNNING
    )


async def refuse_kept_by_commands(projection: Projection, version: int) -> None:
    """Refuse to rebuild beside rows that commands change, for the current tenant.

    Raises:
        RebuildError: They do.
    """
    _refuse(await projection.store.checkpoints.get(projection.name, version))


def _refuse(checkpoints: Iterable[Checkpoint | None]) -> None:
    for one in checkpoints:
        if one is not None and one.state in KEPT_BY_COMMANDS:
            msg = f"{one.key.projection} is kept by commands: make it asynchronous first"
            raise RebuildError(msg)


async def let_go_on(build: Projection) -> None:
    """Let a build of the current tenant go on that was halted, paused or kept.

    Raises:
        RebuildError: It is no build, but the rows before the last swap of the same version.
    """
    checkpoints = build.store.checkpoints
    name, version = build.name, build.version
    for one in await checkpoints.get(name, version):
        if one.state is CheckpointState.KEPT and version < 0:
            msg = (
                f"the rows {name} had before the last swap are kept beside, where it would be "
                f"built: drop version {version} first, or roll back to it"
            )
            raise RebuildError(msg)
        if one.state is not CheckpointState.RUNNING:
            await _run(build, one.key.partition)


async def _run(build: Projection, partition: int) -> None:
    checkpoints = build.store.checkpoints
    async with build.store.unit_of_work():
        known = await checkpoints.lock(build.keys[partition])
        if known is not None and known.state is not CheckpointState.RUNNING:
            await checkpoints.set_position(
                build.name,
                build.version,
                known.position,
                partition=partition,
                state=CheckpointState.RUNNING,
            )
