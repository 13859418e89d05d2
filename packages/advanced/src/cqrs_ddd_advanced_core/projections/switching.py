"""From asynchronous to inline and back, while commands run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionSwitchError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._placement import serves
from cqrs_ddd_advanced_core.projections.inline import inline_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent

__all__ = ["ProjectionSwitch"]


class ProjectionSwitch:
    """Makes projections inline or asynchronous, for the current tenant.

    Guarantee (G6): whichever way and under whatever load, every event is applied once. The
    checkpoint is locked for a moment, which waits for the commands under way; then commands that
    concern the projection are refused with a ``ProjectionSwitchingError``, to be tried again,
    until the last events were applied. That takes as long as the longest writing transaction of
    the database does, so switch when there is none that takes minutes.

    What was interrupted is taken up by calling either method again: a projection in state
    ``switching`` is at the position up to which all events were applied.

    Args:
        registry: Has the projections.
        event_store: Has the events.
        batch_size: How many events are applied in one transaction.
        poll_interval: Seconds between two looks at what others have to finish.
    """

    def __init__(
        self,
        registry: ProjectorRegistry,
        event_store: IEventStore,
        *,
        batch_size: int = 500,
        poll_interval: float = 0.02,
    ) -> None:
        self._registry = registry
        self._event_store = event_store
        self._batch_size = batch_size
        self._poll_interval = poll_interval

    async def to_inline(self, name: str, *, max_lag: int = 1000, timeout: float = 30.0) -> None:
        """Apply what is left and let commands apply their events from then on.

        The events of the past are applied by a worker before, beside the commands: this only
        begins when it is nearly done. ``InlineProjections`` has to be attached in every process
        that runs commands.

        Args:
            name: Of the projection.
            max_lag: How many positions may be left to apply while commands are refused.
            timeout: Seconds within which it has to be done.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            ProjectionDefinitionError: It cannot be inline.
            ProjectionSwitchError: It is halted, paused, too far behind or has parked events,
                another version serves, or it was not done in time; it is asynchronous as before.
            ProjectorError: An event could not be applied; it is asynchronous as before.
        """
        projection = self._registry.get(name)
        inline_key(projection)
        if not await serves(projection):
            msg = f"{name} is served by another version than {projection.version}: rebuild it first"
            raise ProjectionSwitchError(msg)
        await projection.prepare()
        before = await self._close(projection, max_lag)
        if before is CheckpointState.INLINE:
            return
        try:
            async with asyncio.timeout(timeout):
                head = await self._event_store.get_head_position()
                await self._apply_up_to(projection, head)
                await self._finish(projection, CheckpointState.INLINE)
        except TimeoutError as error:
            await self._finish(projection, CheckpointState.RUNNING)
            msg = f"{name} did not become inline within {timeout:g} s; it is asynchronous as before"
            raise ProjectionSwitchError(msg) from error
        except BaseException:
            await self._finish(projection, CheckpointState.RUNNING)
            raise

    async def to_asynchronous(self, name: str, *, timeout: float = 30.0) -> None:
        """Let workers apply the events that are stored from then on.

        Args:
            name: Of the projection.
            timeout: Seconds within which it has to be done.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            ProjectionDefinitionError: It cannot be inline.
            ProjectionSwitchError: It was not done in time; call it again, for commands that
                concern it are refused meanwhile.
        """
        projection = self._registry.get(name)
        inline_key(projection)
        position = await self._close_inline(projection)
        if position is None:
            return
        try:
            async with asyncio.timeout(timeout):
                # Nobody has a position at or before it any more who might see it running.
                while await self._event_store.get_latest_position() < position:  # noqa: ASYNC110
                    await asyncio.sleep(self._poll_interval)
                await self._finish(projection, CheckpointState.RUNNING)
        except TimeoutError as error:
            msg = f"{name} did not become asynchronous within {timeout:g} s: call it again"
            raise ProjectionSwitchError(msg) from error

    async def _close(self, projection: Projection, max_lag: int) -> CheckpointState:
        """Refuse commands from now on, unless it is inline; return what it was."""
        store, key = projection.store, inline_key(projection)
        head = await self._event_store.get_head_position()
        async with store.unit_of_work():
            # Waits for all commands that saw it asynchronous: they have committed by then.
            checkpoint = await store.checkpoints.lock(key)
            assert checkpoint is not None  # noqa: S101 - prepared just before
            if checkpoint.state is not CheckpointState.INLINE:
                _check_ready(checkpoint, head, max_lag)
                await self._refuse_parked(projection)
                await self._set(projection, checkpoint.position, CheckpointState.SWITCHING)
            return checkpoint.state

    async def _close_inline(self, projection: Projection) -> int | None:
        """Refuse commands from now on, and return up to where all events are applied.

        ``None`` when it is asynchronous.
        """
        store, key = projection.store, inline_key(projection)
        async with store.unit_of_work():
            # Waits for all commands that saw it inline: what they stored is committed by then.
            checkpoint = await store.checkpoints.lock(key)
            if checkpoint is None:
                return None
            if checkpoint.state is CheckpointState.SWITCHING:
                return checkpoint.position
            if checkpoint.state is not CheckpointState.INLINE:
                return None
            head = await self._event_store.get_head_position()
            await self._set(projection, head, CheckpointState.SWITCHING)
            return head

    async def _apply_up_to(self, projection: Projection, head: int) -> None:
        """Apply all events up to the head, as they settle."""
        while (position := await self._position(projection)) < head:
            page = await self._event_store.read_page(
                position, limit=self._batch_size, event_filter=projection.event_filter
            )
            if page.position > position:
                await self._apply(projection, page.events, position, page.position)
            else:
                await asyncio.sleep(self._poll_interval)

    async def _apply(
        self, projection: Projection, events: Sequence[StoredEvent], position: int, until: int
    ) -> None:
        async with projection.store.unit_of_work() as uow:
            if not await self._is_at(projection, position):
                return
            if not await projection.apply(events):
                await self._set(projection, until, CheckpointState.SWITCHING)
                return
            await uow.rollback()
        # Rows are ahead of the checkpoint, which was moved back: they take what is new to them.
        async with projection.store.unit_of_work():
            if await self._is_at(projection, position):
                await projection.apply_one_by_one(events)
                await self._set(projection, until, CheckpointState.SWITCHING)

    async def _is_at(self, projection: Projection, position: int) -> bool:
        """Whether nobody else has gone on from there; nobody can, until the commit."""
        checkpoint = await projection.store.checkpoints.lock(inline_key(projection))
        if checkpoint is None or checkpoint.state is not CheckpointState.SWITCHING:
            msg = f"{projection.name} was switched by somebody else meanwhile"
            raise ProjectionSwitchError(msg)
        return checkpoint.position == position

    async def _position(self, projection: Projection) -> int:
        name, version = projection.name, projection.version
        [checkpoint] = await projection.store.checkpoints.get(name, version)
        return checkpoint.position

    async def _finish(self, projection: Projection, state: CheckpointState) -> None:
        """Let it go on in a state, unless somebody else has done that."""
        store, key = projection.store, inline_key(projection)
        async with store.unit_of_work():
            checkpoint = await store.checkpoints.lock(key)
            if checkpoint is not None and checkpoint.state is CheckpointState.SWITCHING:
                await self._set(projection, checkpoint.position, state)

    async def _set(self, projection: Projection, position: int, state: CheckpointState) -> None:
        name, version = projection.name, projection.version
        await projection.store.checkpoints.set_position(name, version, position, state=state)

    async def _refuse_parked(self, projection: Projection) -> None:
        parked = projection.store.parked_events
        if await parked.count(projection.name, projection.version):
            msg = f"{projection.name} has parked events: retry or discard them first"
            raise ProjectionSwitchError(msg)


def _check_ready(checkpoint: Checkpoint, head: int, max_lag: int) -> None:
    name = checkpoint.key.projection
    if checkpoint.state not in (CheckpointState.RUNNING, CheckpointState.SWITCHING):
        msg = f"{name} is {checkpoint.state.value}: let it go on first"
        raise ProjectionSwitchError(msg)
    if head - checkpoint.position > max_lag:
        msg = (
            f"{name} is {head - checkpoint.position} positions behind, and commands would be "
            f"refused until they were applied: let a worker bring it within {max_lag} first"
        )
        raise ProjectionSwitchError(msg)
