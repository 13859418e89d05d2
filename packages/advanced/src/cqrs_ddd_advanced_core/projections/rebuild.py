"""Rebuild read models: in place, or beside the ones that serve while the shop is open."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._building import Builder
from cqrs_ddd_advanced_core.projections._patience import patiently
from cqrs_ddd_advanced_core.projections._placement import placed, serving_version
from cqrs_ddd_advanced_core.projections._resetting import (
    let_go_on,
    move_back,
    refuse_kept_by_commands,
    start_over,
)
from cqrs_ddd_advanced_core.projections._same_moment import same_moment
from cqrs_ddd_advanced_core.projections._swap import Swap
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
from cqrs_ddd_advanced_core.projections.progress import LogProgress, Throttle
from cqrs_ddd_advanced_core.projections.reaction import EventReaction
from cqrs_ddd_advanced_core.projections.verification import Verification, compare_tables
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.progress import OnProgress
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_advanced_core.projections.verification import TableComparison
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["ALL_COLUMNS", "ProjectionRebuilder"]

_logger = logging.getLogger(__name__)

#: Leaves a whole table out of a comparison.
ALL_COLUMNS: Final = "*"


class ProjectionRebuilder:
    """Makes read models anew from the events, for all tenants that have rows.

    Guarantees: a rebuilt read model is the fold of all events, each applied once, however many
    workers and rebuilders are at it and whichever of them are killed (G6); after a crash the same
    call goes on where it was. Only one batch is held in memory (G11). While a build beside the
    serving one is under way, that one is answered from and carried on by its workers as before.
    Reactions to events are not repeated: a rebuild changes rows and nothing else.

    A version other than the serving one has its rows in ``<table>__v<version>``; where the
    definition is the same, the new rows are in ``<table>__again<version>``. So a projector with
    SQL of its own, which names its table, is rebuilt in place only.

    Args:
        projector_registry: The projections as they are to be.
        event_store: Has the events.
        batch_size: How many events one transaction applies at most.
        error_policy: What becomes of an event that cannot be applied, where its projector does
            not say.
        throttle: How much of the database it may take from others.
        on_progress: Is told how far it has come, after every batch; log lines when not given.
        lease_seconds: How long a partition stays with a rebuilder that has died.
        poll_interval: Seconds until it looks again at what it waits for.
        timeout: Seconds to try to bring two builds to one position, and to swap them.

    Raises:
        ConfigurationError: A number makes no sense.
    """

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
        self._registry = projector_registry
        self._event_store = event_store
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._timeout = timeout
        self._builder = Builder(
            event_store,
            batch_size=batch_size,
            error_policy=error_policy,
            throttle=throttle or Throttle(),
            on_progress=on_progress or LogProgress(),
            lease_seconds=lease_seconds,
            poll_interval=poll_interval,
        )

    # --- in place -----------------------------------------------------------------------------

    async def rebuild_in_place(self, name: str) -> None:
        """Empty the tables and fill them again; for read models that are small.

        Rows and checkpoint go back in one transaction that fences all workers, so nothing is
        doubled; but until it has caught up, answers lack what is not there yet. Killed, it is
        finished by the workers, or by ``replay`` from where it is.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: Another version serves, it is kept by commands, or an event cannot be
                applied.
        """
        projection = await self._serving(name)
        for tenant_id in await self._tenants(projection, projection.version):
            with message_context(tenant_id=tenant_id):
                await projection.prepare()
                await self._patiently(lambda: start_over(projection), f"emptying {name}")
            await self._builder.catch_up(projection, projection.version, tenant_id)

    async def replay(self, name: str, *, after: int) -> None:
        """Go through the events behind a position again, for the tenant of the context.

        Rows take what they have not had, so this mends rows that were lost or brought back from
        an older copy, and changes no others.

        Args:
            name: Of the projection.
            after: The position before the first event.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: Another version serves, it is kept by commands, or it has several
                partitions, whose rows cannot tell what they have had.
        """
        projection = await self._serving(name)
        if projection.projector.partitions > 1:
            msg = f"{name} has several partitions, so it cannot be replayed: rebuild it in place"
            raise RebuildError(msg)
        await projection.prepare()
        async with projection.store.unit_of_work():
            await move_back(projection, after)
        await self._builder.catch_up(projection, projection.version, get_context().tenant_id)

    # --- beside -------------------------------------------------------------------------------

    async def rebuild(
        self,
        name: str,
        *,
        leave_out: Mapping[str, Collection[str]] | None = None,
        serving_tables: Collection[ProjectionSchema] = (),
        unverified_because: str | None = None,
    ) -> Verification | None:
        """Build beside, verify and swap; the arguments are those of ``verify`` and ``swap``.

        Returns:
            How both compared; ``None`` when that was not asked for.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: They differ, or a step was not possible; the version that served goes on.
        """
        await self.build(name)
        verification = None
        if unverified_because is None:
            verification = await self.verify(
                name, leave_out=leave_out, serving_tables=serving_tables
            )
        await self.swap(name, verification=verification, unverified_because=unverified_because)
        return verification

    async def build(self, name: str) -> int:
        """Build the registered definition beside the version that serves, up to the head.

        It goes on where an earlier call ended or was killed. Several processes may call it at
        once, and share the partitions.

        Returns:
            The version of the build; below 0 when the same version serves, for it is built once
            more.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: An event cannot be applied, it is kept by commands, or the rows before
                the last swap are in the way: drop them first.
        """
        _, build, serving = await self._build_of(name)
        for tenant_id in await self._tenants(build, serving):
            with message_context(tenant_id=tenant_id):
                await refuse_kept_by_commands(build, serving)
                await let_go_on(build)
            await self._builder.catch_up(build, serving, tenant_id)
        return build.version

    async def verify(
        self,
        name: str,
        *,
        leave_out: Mapping[str, Collection[str]] | None = None,
        serving_tables: Collection[ProjectionSchema] = (),
        samples: int = 20,
    ) -> Verification:
        """Compare all rows of a build with those that serve, after the same events.

        The serving version goes on meanwhile: both are read as they were at one position.

        Args:
            name: Of the projection.
            leave_out: By table, the columns that are expected to differ, because the definition
                has changed; ``"*"`` leaves out the whole table.
            serving_tables: What the tables that serve look like, where their columns differ.
            samples: How many differences of a table to name.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            RebuildError: There is no build, or the two did not meet at one position in time.
        """
        projection, build, serving = await self._build_of(name)
        schemas = {table: shape.schema for table, shape in projection.shapes.items()}
        schemas |= {one.name: one for one in serving_tables}
        position, tables = 0, []
        for tenant_id in await self._tenants(build, serving):
            await self._builder.catch_up(build, serving, tenant_id)
            with message_context(tenant_id=tenant_id):
                found, compared = await self._compare(
                    build, serving, schemas, leave_out or {}, samples
                )
            position = max(position, found)
            tables += compared
        return Verification(name, serving, build.version, position, tuple(tables))

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
            RebuildError: Neither is given, they differ, there is no build, or it could not be
                done in time; then the version that served goes on.
        """
        projection, build, serving = await self._build_of(name)
        _check_verified(build, serving, verification, unverified_because)
        swap = Swap(
            projection, serving, build.version, self._event_store, batch_size=self._batch_size
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
        swap = Swap(projection, serving, target, self._event_store, batch_size=self._batch_size)
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

    # --- helpers ------------------------------------------------------------------------------

    async def _patiently(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        await patiently(work, timeout=self._timeout, what=what)

    def _projection(self, name: str) -> Projection:
        projection = self._registry.get(name)
        if isinstance(projection.projector, EventReaction):
            raise RebuildError(f"{name} is a reaction: what it has done outside stays done")
        return projection

    async def _serving(self, name: str) -> Projection:
        projection = self._projection(name)
        serving = await serving_version(projection)
        if serving != projection.version:
            msg = (
                f"{name} is served from version {serving}, and version {projection.version} is "
                "registered: build that beside it"
            )
            raise RebuildError(msg)
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

    async def _compare(
        self,
        build: Projection,
        serving: int,
        schemas: Mapping[str, ProjectionSchema],
        leave_out: Mapping[str, Collection[str]],
        samples: int,
    ) -> tuple[int, list[TableComparison]]:
        """Compare the rows of the tenant of the context; return after which position, too."""
        async with same_moment(
            build,
            serving,
            self._event_store,
            batch_size=self._batch_size,
            poll_interval=self._poll_interval,
            timeout=self._timeout,
        ) as moment:
            compared = [
                await compare_tables(
                    (moment.serving, schemas[table]),
                    (moment.new, shape.schema),
                    table=table,
                    left_out=leave_out.get(table, ()),
                    samples=samples,
                )
                for table, shape in build.shapes.items()
                if ALL_COLUMNS not in leave_out.get(table, ())
            ]
            return moment.position, compared


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
