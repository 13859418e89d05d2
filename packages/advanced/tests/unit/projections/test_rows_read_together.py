"""Projectors that tell which rows they read get those of a batch at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import Row, RowKey
from cqrs_ddd_advanced_core.projections import (
    ErrorPolicy,
    ProjectionRows,
    ProjectionWorker,
    Projector,
    ProjectorRegistry,
    projects,
)
from cqrs_ddd_core import DomainEvent, StreamId
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event

PLAYERS = ProjectionSchema(
    "players", {"name": ProjectionColumn(str), "best": ProjectionColumn(int)}, ("name",)
)


class Played(DomainEvent):
    name: str
    points: int


class BestGame(Projector):
    name = "best_game"
    tables = (PLAYERS,)

    @projects
    async def played(self, event: Played, rows: ProjectionRows) -> None:
        known = await rows.get(PLAYERS, event.name)
        rows.update(PLAYERS, event.name, best=max(event.points, known["best"] if known else 0))


class BestGameTogether(BestGame):
    def reads(self, event: Any) -> Iterable[tuple[str | ProjectionSchema, Any]]:
        if event.points < 0:
            raise ValueError("nobody has less than nothing")
        yield PLAYERS, event.name


class CountingStore(InMemoryProjectionStore):
    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[set[RowKey]] = []

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        self.fetched.append(set(keys))
        return await super().fetch(schema, keys)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def events() -> InMemoryEventStore:
    return InMemoryEventStore()


async def play(events: InMemoryEventStore, *games: tuple[str, int]) -> None:
    played = [serialize_event(Played(name=name, points=points)) for name, points in games]
    await events.append(StreamId("Game", "1"), played)


async def run(store: CountingStore, events: InMemoryEventStore, projector: Projector) -> None:
    worker = ProjectionWorker(ProjectorRegistry([projector], store=store), events, attempts=1)
    await worker.run_once()
    await worker.stop()


async def best(store: CountingStore) -> dict[str, int]:
    rows = await store.fetch(PLAYERS, [("ann",), ("bob",), ("eve",)])
    return {row["name"]: row["best"] for row in rows.values()}


@pytest.mark.parametrize("projector", [BestGame, BestGameTogether])
async def test_rows_are_the_same_however_they_are_read(
    store: CountingStore, events: InMemoryEventStore, projector: type[Projector]
) -> None:
    await play(events, ("ann", 3), ("bob", 5), ("ann", 9), ("ann", 1))
    await run(store, events, projector())
    await play(events, ("bob", 2), ("ann", 10))
    await run(store, events, projector())
    assert await best(store) == {"ann": 10, "bob": 5}


async def test_a_batch_reads_its_rows_at_once(
    store: CountingStore, events: InMemoryEventStore
) -> None:
    await play(events, ("ann", 3), ("bob", 5), ("ann", 9))
    await run(store, events, BestGameTogether())
    assert store.fetched == [{("ann",), ("bob",)}]


async def test_an_event_of_which_nobody_can_tell_is_the_only_one_left_out(
    store: CountingStore, events: InMemoryEventStore
) -> None:
    await play(events, ("ann", 3), ("eve", -1), ("bob", 5))
    projector = BestGameTogether()
    projector.error_policy = ErrorPolicy.SKIP
    await run(store, events, projector)
    assert await best(store) == {"ann": 3, "bob": 5}
