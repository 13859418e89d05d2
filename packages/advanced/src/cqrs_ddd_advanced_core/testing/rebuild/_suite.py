"""What is tested, and a shop whose read models are rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from cqrs_ddd_advanced_core.ports.projection_store import RowChange
from cqrs_ddd_advanced_core.projections import ProjectionRebuilder, ProjectorRegistry
from cqrs_ddd_advanced_core.projections.progress import RebuildProgress
from cqrs_ddd_advanced_core.testing.projection._suite import (
    BASKETS,
    CUSTOMERS,
    ProjectionSubject,
    Shop,
    ShopProjector,
)
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
    from cqrs_ddd_advanced_core.projections import Projector

__all__ = ["AGAIN", "RebuildSubject", "RebuildSuite", "RebuiltShop", "ShopProjectorV2"]

#: An empty projection store, and an empty event store of the same database.
RebuildSubject: TypeAlias = ProjectionSubject

#: The version of what is built once more with the definition that serves.
AGAIN = -1


class ShopProjectorV2(ShopProjector):
    """A later version that makes the same rows."""

    version = 2


class RebuiltShop(Shop):
    """A shop with rebuilders."""

    def __init__(self, subject: RebuildSubject) -> None:
        super().__init__(subject)
        self.progress: list[RebuildProgress] = []

    def rebuilder(self, projector: Projector | None = None, **options: Any) -> ProjectionRebuilder:
        """Return a rebuilder that waits for nothing."""
        registry = ProjectorRegistry([projector or ShopProjectorV2()], store=self.store)
        options = {
            "poll_interval": 0.01,
            "batch_size": 7,
            "on_progress": self.progress.append,
            "timeout": 20,
            **options,
        }
        return ProjectionRebuilder(registry, self.event_store, **options)

    async def open(self, baskets: int = 3, each: int = 4) -> None:
        """Sell something, and project it with version 1."""
        await self.fill(baskets, each)
        await self.catch_up()

    async def spoil(self, customer: str = "customer 1", *, total: Decimal = Decimal(99)) -> None:
        """Write into the serving row of a customer what no event says."""
        position = await self.event_store.get_latest_position()
        change = RowChange((customer,), position, position, sets={"total": total})
        async with self.store.unit_of_work():
            await self.store.apply(CUSTOMERS, [change], guarded=False)

    async def states(self) -> dict[int, CheckpointState]:
        """Return the states of all versions."""
        checkpoints = await self.store.checkpoints.get("shop")
        return {one.key.version: one.state for one in checkpoints}

    async def serving(self) -> int | None:
        return await self.store.checkpoints.serving_version("shop")

    @asynccontextmanager
    async def working(self, *projectors: Projector) -> AsyncIterator[None]:
        """Let a worker of each projector go on in the background."""
        workers = [self.worker(projector, batch_size=20) for projector in projectors]
        for worker in workers:
            await worker.start()
        try:
            yield
        finally:
            for worker in workers:
                await worker.stop()

    @asynccontextmanager
    async def selling(self, baskets: int = 4) -> AsyncIterator[None]:
        """Let purchases keep arriving in the background."""
        async with background(lambda: self._sell(baskets)):
            yield

    async def _sell(self, baskets: int) -> None:
        for number in range(baskets):
            await self.buy(f"b-{number}")
            await asyncio.sleep(0.005)


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something again and again while the block runs, and at least once."""
    is_over = asyncio.Event()

    async def go_on() -> None:
        while True:
            await work()
            if is_over.is_set():
                return
            # Memory never waits for anything.
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        try:
            yield
        finally:
            is_over.set()


class RebuildSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> RebuildSubject:
        raise NotImplementedError("yield a RebuildSubject with empty stores")

    @pytest.fixture
    async def shop(self, subject: RebuildSubject) -> AsyncIterator[RebuiltShop]:
        yield RebuiltShop(subject)
        for schema in (CUSTOMERS, BASKETS):
            for suffix in ("", "__v1", "__v2", "__again1", "__again2"):
                await subject.store.drop(schema.named(f"{schema.name}{suffix}"))
