"""Read models in memory and what keeps them up to date."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectorError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.projections import InMemoryProjectionManager, ReadModel
from cqrs_ddd_core import DomainEvent, StreamId
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.primitives.clock import FixedClock, utc_now


class Checked(DomainEvent):
    score: int


class Ignored(DomainEvent):
    pass


class Dashboard(ReadModel):
    def __init__(self) -> None:
        self.scores: list[int] = []
        self.poison: int | None = None

    async def handle_event(self, event: Checked) -> None:
        self.scores.append(event.score)
        if event.score == self.poison:
            msg = f"{event.score} is too much"
            raise ValueError(msg)

    def get_supported_events(self) -> list[type]:
        return [Checked]


class Shop:
    def __init__(self) -> None:
        database = InMemoryDatabase()
        self.events = InMemoryEventStore(database)
        self.bus = EventDispatcher()
        self._database = database

    async def happens(self, *events: DomainEvent) -> None:
        """Store events as a mediator does, and tell the bus."""
        located = [
            event.model_copy(update={"aggregate_type": "Order", "aggregate_id": "1"})
            for event in events
        ]
        async with InMemoryUnitOfWork(self._database) as uow:
            uow.record_with(EventRecorder([self.bus], event_store=self.events).record)
            uow.add_events(located)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_read_model_holds_what_has_happened_and_what_happens(shop: Shop) -> None:
    await shop.happens(Checked(score=1), Ignored())
    manager, dashboard = InMemoryProjectionManager(shop.events, shop.bus), Dashboard()
    await manager.register_projection(dashboard)
    assert dashboard.scores == [1]
    await shop.happens(Checked(score=2), Checked(score=3))
    assert dashboard.scores == [1, 2, 3]


async def test_without_a_bus_somebody_has_to_look(shop: Shop) -> None:
    manager, dashboard = InMemoryProjectionManager(shop.events, batch_size=1), Dashboard()
    await manager.register_projection(dashboard)
    await shop.happens(Checked(score=1), Checked(score=2))
    assert dashboard.scores == []
    assert await manager.catch_up() == 2
    assert await manager.catch_up() == 0
    assert dashboard.scores == [1, 2]


async def test_it_follows_in_the_background(shop: Shop) -> None:
    manager = InMemoryProjectionManager(shop.events, poll_interval=0.001)
    dashboard = Dashboard()
    await manager.register_projection(dashboard)
    await manager.start()
    await shop.happens(Checked(score=1))
    async with asyncio.timeout(10):
        while not dashboard.scores:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0)
    await manager.stop()


async def test_events_come_once_however_many_announce_them(shop: Shop) -> None:
    manager, dashboard = InMemoryProjectionManager(shop.events, shop.bus), Dashboard()
    await manager.register_projection(dashboard)
    await asyncio.gather(
        *(shop.happens(Checked(score=number)) for number in range(20)),
        *(manager.catch_up() for _ in range(20)),
    )
    assert sorted(dashboard.scores) == list(range(20))


async def test_a_rebuild_replaces_the_state_at_once(shop: Shop) -> None:
    manager, dashboard = InMemoryProjectionManager(shop.events, shop.bus), Dashboard()
    await manager.register_projection(dashboard)
    await shop.happens(Checked(score=1), Checked(score=2))
    dashboard.scores.append(99)
    await manager.rebuild_projection(Dashboard)
    assert dashboard.scores == [1, 2]
    await shop.happens(Checked(score=3))
    assert dashboard.scores == [1, 2, 3]


async def test_a_failure_stops_it_until_it_is_rebuilt(shop: Shop) -> None:
    """It may have changed halfway, so that trying again could count twice."""
    manager, dashboard = InMemoryProjectionManager(shop.events), Dashboard()
    healthy = type("Healthy", (Dashboard,), {})()
    await manager.register_projection(dashboard)
    await manager.register_projection(healthy)
    dashboard.poison = 2
    await shop.happens(Checked(score=1), Checked(score=2), Checked(score=3))
    with pytest.raises(ProjectorError, match="2 is too much"):
        await manager.catch_up()
    assert await manager.catch_up() == 0
    assert (dashboard.scores, healthy.scores) == ([1, 2], [1, 2, 3])
    status = await manager.get_projection_status(Dashboard)
    assert (status.state, status.failures, status.is_current) == ("halted", 1, False)
    assert "2 is too much" in str(status.error)
    await manager.rebuild_projection(Dashboard)
    assert dashboard.scores == [1, 2, 3]
    assert (await manager.get_projection_status(Dashboard)).is_current


async def test_a_rebuild_that_fails_leaves_it_as_it_was(shop: Shop) -> None:
    class Strict(Dashboard):
        limit = 10

        async def handle_event(self, event: Checked) -> None:
            await super().handle_event(event)
            if event.score > Strict.limit:
                raise ValueError

    manager, dashboard = InMemoryProjectionManager(shop.events, shop.bus), Strict()
    await manager.register_projection(dashboard)
    await shop.happens(Checked(score=5))
    Strict.limit = 1
    with pytest.raises(ProjectorError):
        await manager.rebuild_projection(Strict)
    assert dashboard.scores == [5]
    Strict.limit = 10
    await shop.happens(Checked(score=6))
    assert dashboard.scores == [5, 6]


async def test_the_status_says_how_far_it_is(shop: Shop) -> None:
    clock = FixedClock(utc_now())
    manager = InMemoryProjectionManager(shop.events, clock=clock)
    await manager.register_projection(Dashboard())
    await shop.happens(Checked(score=1))
    clock.advance(60)
    status = await manager.get_projection_status(Dashboard)
    assert (status.name, status.position, status.head, status.lag) == ("Dashboard", 0, 1, 1)
    assert 30 < status.lag_seconds < 90
    await manager.catch_up()
    status = await manager.get_projection_status(Dashboard)
    assert (status.position, status.lag, status.lag_seconds) == (1, 0, 0.0)


async def test_metrics_count(shop: Shop) -> None:
    manager = InMemoryProjectionManager(shop.events, shop.bus)
    await manager.register_projection(Dashboard())
    await shop.happens(Checked(score=1), Checked(score=2))
    await manager.rebuild_projection(Dashboard)
    metrics = manager.get_metrics()["Dashboard"]
    assert (metrics.events, metrics.failures, metrics.rebuilds, metrics.position) == (4, 0, 1, 2)
    assert metrics.seconds > 0


async def test_a_read_model_belongs_to_one_tenant(shop: Shop) -> None:
    manager, dashboard = InMemoryProjectionManager(shop.events, shop.bus), Dashboard()
    await manager.register_projection(dashboard)
    with message_context(tenant_id="other"):
        await shop.happens(Checked(score=1))
        assert dashboard.scores == []
    await shop.events.append(StreamId("Order", "2"), [serialize_event(Checked(score=2))])
    await manager.catch_up()
    assert dashboard.scores == [2]


async def test_definitions_that_cannot_work_are_refused(shop: Shop) -> None:
    manager = InMemoryProjectionManager(shop.events)
    await manager.register_projection(Dashboard())
    with pytest.raises(ProjectionDefinitionError, match="registered already"):
        await manager.register_projection(Dashboard())
    with pytest.raises(UnknownProjectionError, match="there is Dashboard"):
        await manager.rebuild_projection(type("Unknown", (Dashboard,), {}))

    class Locked(Dashboard):
        def __init__(self) -> None:
            super().__init__()
            self.generator = (number for number in range(3))

    with pytest.raises(ProjectionDefinitionError, match="cannot be copied"):
        await manager.register_projection(Locked())
