"""Rebuild read models: in place, or beside the ones that serve while the shop is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.projections._placement import serving_version
from cqrs_ddd_advanced_core.projections._resetting import (
    let_go_on,
    move_back,
    refuse_kept_by_commands,
    start_over,
)
from cqrs_ddd_advanced_core.projections._same_moment import same_moment
from cqrs_ddd_advanced_core.projections._versions import VersionSwitchboard
from cqrs_ddd_advanced_core.projections.verification import Verification, compare_tables
from cqrs_ddd_core.correlation import get_context, message_context

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.verification import TableComparison

__all__ = ["ALL_COLUMNS", "ProjectionRebuilder"]

#: Leaves a whole table out of a comparison.
ALL_COLUMNS: Final = "*"


class ProjectionRebuilder(VersionSwitchboard):
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

    Attributes:
        projector_registry: As given.
        event_store: As given.
        on_progress: As given; it may be replaced.

    Raises:
        ConfigurationError: A number makes no sense.
    """

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
            RebuildError: The build is none any more, or the two did not meet at one position in
                time.
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
            self.event_store,
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
