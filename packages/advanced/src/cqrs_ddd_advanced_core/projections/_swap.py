"""Let another build serve: one transaction, whoever reads or writes meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._exact import (
    MovedMeanwhileError,
    Positions,
    complete,
    positions_of,
)
from cqrs_ddd_advanced_core.projections._placement import serving_version, table_beside
from cqrs_ddd_advanced_core.projections._resetting import KEPT_BY_COMMANDS
from cqrs_ddd_core.correlation import message_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["Swap"]


class _Sides(NamedTuple):
    """The checkpoints of one tenant."""

    serving: Sequence[Checkpoint]
    new: Sequence[Checkpoint]


class Swap:
    """Makes another build serve, and keeps the one that did.

    Guarantee: all of it happens in one transaction. Readers see all rows of the one build or all
    of the other, workers of the one that is kept are fenced, and a crash leaves everything as it
    was. The tables of all tenants are swapped at once.

    Args:
        projection: As it is registered.
        serving: The version that serves.
        new: The version that is to serve; minus that one for the same definition once more.
        event_store: Has the events.
        batch_size: How many events may be missing at most.
    """

    def __init__(
        self,
        projection: Projection,
        serving: int,
        new: int,
        event_store: IEventStore,
        *,
        batch_size: int,
    ) -> None:
        self._projection = projection
        self._store = projection.store
        self._checkpoints = projection.store.checkpoints
        self._name = projection.name
        self._serving = serving
        self._new = new
        self._event_store = event_store
        self._batch_size = batch_size

    @property
    def _is_exchange(self) -> bool:
        """Whether both are the same definition, which stays under its version."""
        return self._new == -self._serving

    async def run(self, *, completes: bool) -> None:
        """Swap once.

        Args:
            completes: Whether the build is brought to where the other one is before, so that
                readers never see less than they have seen; the projection is its definition then.

        Raises:
            RebuildError: Another version serves by now, or it is kept by commands.
            MovedMeanwhileError: The build is not near enough any more, or lacks a new tenant.
            TransientPersistenceError: A reader did not let go of a table, or the database is away.
        """
        async with self._store.unit_of_work():
            # Tables before checkpoints, as in the batches of workers: nobody waits in a circle.
            await self._store.rename(await self._names())
            await self._check_serving()
            for tenant_id in await self._tenants():
                with message_context(tenant_id=tenant_id):
                    await self._swap_tenant(completes=completes)
            if not self._is_exchange:
                await self._checkpoints.serve(self._name, self._new)

    async def _tenants(self) -> list[str]:
        versions = (self._serving, self._new)
        found = [await self._checkpoints.tenants(self._name, version) for version in versions]
        return sorted(set().union(*found))

    async def _names(self) -> list[tuple[str, str]]:
        names: list[tuple[str, str]] = []
        for shape in self._projection.shapes.values():
            table, there = shape.schema, table_beside(shape.schema.name, self._new)
            is_here = await self._store.exists(table)
            is_there = await self._store.exists(table.named(there))
            kept = there if self._is_exchange else table_beside(table.name, self._serving)
            names += _exchange(table.name, kept, there, is_here=is_here, is_there=is_there)
        return names

    async def _check_serving(self) -> None:
        serving = await serving_version(self._projection)
        if serving != self._serving:
            msg = (
                f"{self._name} is served from version {serving} by now, and not from "
                f"{self._serving}: somebody else has swapped it"
            )
            raise RebuildError(msg)

    async def _swap_tenant(self, *, completes: bool) -> None:
        sides = _Sides(await self._lock(self._serving), await self._lock(self._new))
        if any(one.state in KEPT_BY_COMMANDS for one in sides.serving):
            msg = f"{self._name} is kept by commands: make it asynchronous before the swap"
            raise RebuildError(msg)
        reached = positions_of(sides.new)
        if completes:
            reached = await self._complete(sides)
        if self._is_exchange:
            await self._exchange_checkpoints(sides, reached)
        else:
            await self._move(self._serving, positions_of(sides.serving), CheckpointState.KEPT)
            await self._move(self._new, reached, CheckpointState.RUNNING)

    async def _lock(self, version: int) -> list[Checkpoint]:
        there = await self._checkpoints.get(self._name, version)
        locked = [await self._checkpoints.lock(one.key) for one in there]
        return [one for one in locked if one is not None]

    async def _complete(self, sides: _Sides) -> dict[int, int]:
        if not sides.new:
            # Its rows would vanish from the tables that serve.
            raise MovedMeanwhileError(f"{self._name} has a tenant that was not built")
        there, here = positions_of(sides.serving), positions_of(sides.new)
        target: Positions = there
        if there.keys() != here.keys():
            target = dict.fromkeys(here, max(there.values(), default=0))
        return await complete(
            self._projection, self._event_store, sides.new, target, batch_size=self._batch_size
        )

    async def _exchange_checkpoints(self, sides: _Sides, reached: Positions) -> None:
        """Let the rows that serve now have the checkpoints and parked events they had beside."""
        await self._move(self._serving, reached, CheckpointState.RUNNING)
        await self._move(self._new, positions_of(sides.serving), CheckpointState.KEPT)
        move = self._store.parked_events.move
        for version, to_version in (
            (self._serving, 0),
            (self._new, self._serving),
            (0, self._new),
        ):
            await move(self._name, version, to_version)

    async def _move(self, version: int, positions: Positions, state: CheckpointState) -> None:
        for number, position in positions.items():
            await self._checkpoints.set_position(
                self._name, version, position, partition=number, state=state
            )


def _exchange(
    table: str, kept: str, there: str, *, is_here: bool, is_there: bool
) -> list[tuple[str, str]]:
    """Return how tables are renamed, so that the one beside has the plain name."""
    if not (is_here and is_there):
        # Only one of both definitions has this table.
        return [(table, kept)] * is_here + [(there, table)] * is_there
    aside = f"{there}_x"
    return [(there, aside), (table, kept), (aside, table)]
