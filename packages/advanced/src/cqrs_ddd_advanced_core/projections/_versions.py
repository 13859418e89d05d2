"""Which version of a projection serves: swap, roll back, drop, pause and resume."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._building import Builder
from cqrs_ddd_advanced_core.projections._patience import patiently
from cqrs_ddd_advanced_core.projections._placement import placed, serving_version
from cqrs_ddd_advanced_core.projections._swap import Swap
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
from cqrs_ddd_advanced_core.projections.progress import LogProgress, Throttle
from cqrs_ddd_advanced_core.projections.reaction import EventReaction
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.progress import OnProgress, RebuildProgress
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_advanced_core.projections.verification import Verification
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["VersionSwitchboard"]

_logger = logging.getLogger(__name__)


class VersionSwitchboard:
    """What a rebuilder does with versions that are built; see ``ProjectionRebuilder``."""

    def __init__(
        self,
        projector_registry: ProjectorRegistry,
        event_store: IEventStore,
        *,
        batch_size: int = 5000,
        error_policy: ErrorPolicy = ErrorPolicy.HALT,
        throttle: Throttle | None = None,
        on_progress: OnProgress | None = None,
        lease_seconds: float = 30.0,
        poll_interval: float = 0.2,
        timeout: float = 60.0,
    ) -> None:
        if batch_size < 1 or min(lease_seconds, poll_interval, timeout) <= 0:
            msg = "a rebuild needs batch_size of at least 1, and times above 0"
            raise ConfigurationError(msg)
        self.projector_registry: ProjectorRegistry = projector_registry
        self.event_store: IEventStore = event_store
        self.on_progress: OnProgress = on_progress or LogProgress()
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._timeout = timeout
        self._builder = Builder(
            event_store,
            batch_size=batch_size,
            error_policy=error_policy,
            throttle=throttle or Throttle(),
            on_progress=self._report,
            lease_seconds=lease_seconds,
            poll_interval=poll_interval,
        )

    async def swap(
        self,
        name: str,
        *,
        verification: Verification | None = None,
        unverified_because: str | None = None,
    ) -> None:
        """Let a build serve, in one transaction; the version that served is kept beside it.

        Whoever reads sees all old rows or all new ones, and none older than before.

        Args:
            name: Of the projection.
            verification: That they are equal.
            unverified_because: Why that need not be; it is logged.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: Neither is given, they differ, there is no build, or it could not be done
                in time; then the version that served goes on.
        """
        projection, build, serving = await self._build_of(name)
        if not await projection.store.checkpoints.tenants(name, build.version):
            msg = (
                f"{name} version {serving} serves, and version {build.version} was not built: "
                "call build() first"
            )
            raise RebuildError(msg)
        _check_verified(build, serving, verification, unverified_because)
        swap = Swap(
            projection, serving, build.version, self.event_store, batch_size=self._batch_size
        )

        async def attempt() -> None:
            for tenant_id in await self._tenants(build, serving):
                await self._builder.catch_up(build, serving, tenant_id)
            await swap.run(completes=True)

        await self._patiently(attempt, f"swapping {name}")
        _log_swap(name, serving, build.version, unverified_because)

    async def roll_back(self, name: str, *, version: int | None = None) -> int:
        """Let a version serve again that did before, at once and in one transaction.

        Its rows are as they were when it was replaced; its workers, which need its definition,
        carry them on from there. The version that served is kept beside it.

        Args:
            name: Of the projection.
            version: Which one; the only one that is kept when not given.

        Returns:
            The version that serves.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: No such version is kept, or several are, or it could not be done in time.
        """
        projection = self._projection(name)
        serving = await serving_version(projection)
        target = await self._kept(projection, version)
        swap = Swap(projection, serving, target, self.event_store, batch_size=self._batch_size)
        await self._patiently(lambda: swap.run(completes=False), f"rolling {name} back")
        _log_swap(name, serving, target, "it is rolled back")
        return abs(target)

    async def drop(self, name: str, version: int) -> None:
        """Remove a version that does not serve, with its rows and checkpoints, for all tenants.

        Args:
            name: Of the projection.
            version: Which one; below 0 for the same definition once more.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: It serves.
        """
        projection = self._projection(name)
        store = projection.store
        async with store.unit_of_work():
            for shape in placed(projection, version).shapes.values():
                await store.drop(shape.schema)
            if await serving_version(projection) == version:
                msg = f"{name} is served from version {version}, so it cannot be dropped"
                raise RebuildError(msg)
            for tenant_id in await store.checkpoints.tenants(name, version):
                with message_context(tenant_id=tenant_id):
                    await store.checkpoints.delete(name, version)
                    await store.parked_events.clear(name, version)

    async def pause(self, name: str) -> int:
        """Stop the workers of the version that serves, for the tenant of the context.

        Returns:
            How many partitions were running.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        projection = self.projector_registry.get(name)
        serving = await serving_version(projection)
        return await projection.store.checkpoints.pause(name, serving)

    async def resume(self, name: str) -> int:
        """Let the version that serves go on, for the tenant of the context.

        Returns:
            How many partitions were halted or paused.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        projection = self.projector_registry.get(name)
        serving = await serving_version(projection)
        return await projection.store.checkpoints.resume(name, serving)

    # --- helpers ------------------------------------------------------------------------------

    async def _patiently(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        await patiently(work, timeout=self._timeout, what=what)

    def _projection(self, name: str) -> Projection:
        projection = self.projector_registry.get(name)
        if isinstance(projection.projector, EventReaction):
            raise RebuildError(f"{name} is a reaction: what it has done outside stays done")
        return projection

    async def _build_of(self, name: str) -> tuple[Projection, Projection, int]:
        """Return a projection, the build of it beside, and the version that serves."""
        projection = self._projection(name)
        serving = await serving_version(projection)
        version = projection.version
        build = placed(projection, -version if version == serving else version)
        return projection, build, serving

    async def _tenants(self, projection: Projection, version: int) -> list[str]:
        """Return whose rows there are; the tenant of the context where there are none."""
        there = await projection.store.checkpoints.tenants(projection.name, version)
        return list(there) or [get_context().tenant_id]

    async def _kept(self, projection: Projection, version: int | None) -> int:
        checkpoints = await projection.store.checkpoints.get(projection.name)
        kept = {one.key.version for one in checkpoints if one.state is CheckpointState.KEPT}
        wanted = kept if version is None else kept & {version, -version}
        if len(wanted) != 1:
            listed = ", ".join(map(str, sorted(kept))) or "none"
            msg = f"{projection.name} keeps these versions: {listed}; say which one is to serve"
            raise RebuildError(msg)
        return wanted.pop()

    def _report(self, progress: RebuildProgress) -> None:
        self.on_progress(progress)


def _check_verified(
    build: Projection, serving: int, found: Verification | None, because: str | None
) -> None:
    if found is None and not because:
        msg = f"{build.name} is not verified: verify it, or say why it need not be"
        raise RebuildError(msg)
    if found is None:
        return
    wanted = (build.name, serving, build.version)
    if (found.projection, found.serving_version, found.new_version) != wanted:
        raise RebuildError(f"what was verified is not version {build.version} of {build.name}")
    if not found.is_equal:
        msg = (
            f"{found.differing} rows of {build.name} differ; leave out what is expected to, or "
            f"say why they may\n{found.to_markdown()}"
        )
        raise RebuildError(msg)


def _log_swap(name: str, before: int, now: int, because: str | None) -> None:
    reason = f", not verified: {because}" if because else ""
    _logger.info("%s: version %d serves instead of %d%s", name, now, before, reason)
