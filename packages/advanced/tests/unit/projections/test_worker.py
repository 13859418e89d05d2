"""The worker: its options, its wake-ups, its health."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionSchemaMismatchError,
)
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    AGGREGATE_ID,
    FunctionProjector,
    MappedProjector,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
from cqrs_ddd_core.adapters.memory import InMemoryEventStore, InMemoryWakeUp
from cqrs_ddd_core.background.polling import WorkerState
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    DatabaseUnavailableError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import ProjectionRows

COUNTS = ProjectionSchema(
    "counts",
    {"id": ProjectionColumn(str), "n": ProjectionColumn(int, default=0)},
    ("id",),
)


class Happened(DomainEvent):
    pass


class HappenedTwice(DomainEvent):
    pass


def counting() -> MappedProjector:
    return MappedProjector("counts", COUNTS).on(Happened, key=AGGREGATE_ID, adds={"n": 1})


async def happen(event_store: InMemoryEventStore, count: int = 1) -> None:
    events = [serialize_event(Happened()) for _ in range(count)]
    await event_store.append(StreamId("Thing", "t-1"), events)


async def counted(store: Any) -> int:
    found = await store.fetch(COUNTS, [("t-1",)])
    return found["t-1",]["n"] if found else 0


async def test_the_first_snippet_works() -> None:
    event_store, projector_registry = InMemoryEventStore(), ProjectorRegistry([counting()])
    await happen(event_store, 250)
    worker = ProjectionWorker(
        projector_registry=projector_registry, event_store=event_store, batch_size=100
    )
    await worker.start()
    async with asyncio.timeout(10):
        while not worker.status.processed:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    await worker.stop()
    assert await counted(projector_registry.store) == 250


async def test_a_wake_up_is_as_good_as_polling() -> None:
    event_store, registry = InMemoryEventStore(), ProjectorRegistry([counting()])
    wake_up = InMemoryWakeUp()
    worker = ProjectionWorker(registry, event_store, poll_interval=3600, wake_up=wake_up)
    await worker.start()
    async with asyncio.timeout(10):
        for count in (1, 2):
            while worker.status.runs < count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            await happen(event_store)
            wake_up.announce(EVENTS_TOPIC)
            while await counted(registry.store) < count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
    await worker.stop()
    wake_up.announce(EVENTS_TOPIC)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"attempts": 0}, {"max_concurrency": 0}, {"lease_seconds": 0}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        ProjectionWorker(ProjectorRegistry(), InMemoryEventStore(), **options)


async def test_a_worker_without_projections_has_nothing_to_do() -> None:
    worker = ProjectionWorker(ProjectorRegistry(), InMemoryEventStore())
    assert await worker.run_once() == 0
    await worker.stop()


async def test_a_table_that_looks_different_is_refused_at_the_start() -> None:
    registry = ProjectorRegistry([counting()])
    await registry.store.ensure(ProjectionSchema("counts", {"id": ProjectionColumn(str)}, ("id",)))
    worker = ProjectionWorker(registry, InMemoryEventStore())
    with pytest.raises(ProjectionSchemaMismatchError, match="column n is missing"):
        await worker.start()
    assert worker.status.state is WorkerState.STOPPED


async def test_a_database_that_is_down_at_the_start_is_waited_for() -> None:
    class Down(InMemoryProjectionStore):
        is_down = True

        async def ensure(self, schema: ProjectionSchema) -> None:
            if self.is_down:
                raise DatabaseUnavailableError("no connection")
            await super().ensure(schema)

    store, event_store = Down(), InMemoryEventStore()
    await happen(event_store)
    worker = ProjectionWorker(
        ProjectorRegistry([counting()], store=store),
        event_store,
        backoff=ExponentialBackoff(initial=0.001),
    )
    await worker.start()
    async with asyncio.timeout(10):
        while worker.status.state is not WorkerState.FAILING:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        store.is_down = False
        while not worker.status.processed:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    await worker.stop()
    assert await counted(store) == 1


async def test_health_tells_how_each_projection_is() -> None:
    def fail(event: Happened, rows: ProjectionRows) -> None:
        msg = "the table is locked"
        raise TransientPersistenceError(msg)

    broken = FunctionProjector("broken", {Happened: fail}, tables=[])
    event_store = InMemoryEventStore()
    await happen(event_store, 3)
    worker = ProjectionWorker(ProjectorRegistry([counting(), broken]), event_store)
    await worker.run_once()
    found = {one.key.projection: one for one in worker.health.partitions}
    assert (found["counts"].position, found["counts"].failures) == (3, 0)
    assert (found["broken"].position, found["broken"].failures) == (0, 1)
    assert found["broken"].last_error == "TransientPersistenceError: the table is locked"
    assert worker.health.status.runs == 1
    await worker.stop()


async def test_a_failed_projection_waits_before_it_tries_again() -> None:
    tries: list[int] = []

    def fail(event: Happened, rows: ProjectionRows) -> None:
        tries.append(1)
        raise TransientPersistenceError("down")

    broken = FunctionProjector("broken", {Happened: fail}, tables=[])
    event_store = InMemoryEventStore()
    await happen(event_store)
    backoff = ExponentialBackoff(initial=3600, maximum=3600, jitter=0)
    worker = ProjectionWorker(ProjectorRegistry([broken]), event_store, backoff=backoff)
    for _ in range(3):
        await worker.run_once()
    await worker.stop()
    assert len(tries) == 1


async def test_an_upcaster_may_make_several_events_of_one_or_none() -> None:
    upcasters = UpcasterRegistry()

    upcasters.drop("Gone", source_version=1)

    @upcasters.upcaster("HappenedTwice", source_version=1, target_version=1, target_type="Happened")
    def once(data: dict[str, Any]) -> dict[str, Any]:
        return data

    registry = ProjectorRegistry(
        [counting()],
        event_registry=EventTypeRegistry([Happened]),
        upcaster_registry=upcasters,
    )
    assert registry.get("counts").event_filter.event_types == frozenset(
        {"Happened", "HappenedTwice"}
    )
    event_store = InMemoryEventStore()
    stream, now = StreamId("Thing", "t-1"), utc_now()
    await event_store.append(stream, [NewEvent(new_id(), "HappenedTwice", b"{}", now)])
    await event_store.append(stream, [NewEvent(new_id(), "Gone", b"{}", now)])
    worker = ProjectionWorker(registry, event_store)
    await worker.run_once()
    await worker.stop()
    assert await counted(registry.store) == 1
