"""Deciders on SQLite and PostgreSQL: their states live in snapshots too."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.cqrs import DeciderHandler
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedMediator, EventSourcedRepository
from cqrs_ddd_advanced_core.ports import ISnapshotStore
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    ApprovedClaim,
    FileClaim,
    SampleClaim,
)
from cqrs_ddd_core import HandlerRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

STREAM = StreamId("SampleClaim", "c")


async def test_a_decided_aggregate_goes_on_from_its_snapshot(engine: AsyncEngine) -> None:
    event_store, snapshots = SQLAlchemyEventStore(engine), SnapshotStore(engine, _often())
    claims = EventSourcedRepository(event_store, SampleClaim, snapshot_store=snapshots)
    registry = HandlerRegistry()
    DeciderHandler(claims, id_of=lambda command: command.claim_id).register(registry)
    mediator = EventSourcedMediator(registry, lambda: SQLAlchemyUnitOfWork(engine))

    await mediator.send(FileClaim(claim_id="c"))
    for cents in range(3):
        await mediator.send(AddEstimate(claim_id="c", amount=Decimal(cents) / 100))
    await mediator.send(ApproveClaim(claim_id="c"))
    await mediator.send(ApproveClaim(claim_id="c"))
    await snapshots.drain()

    assert (snapshots.failures, await _versions(snapshots.store)) == (0, [4])
    replayed = await EventSourcedRepository(event_store, SampleClaim).get("c")
    # What the snapshot stands for is gone, so that nothing but it can give the state back.
    async with SQLAlchemyUnitOfWork(engine):
        await event_store.delete_events(STREAM, up_to_version=3)
    again = SnapshotStore(engine, _often())
    claim = await EventSourcedRepository(event_store, SampleClaim, snapshot_store=again).get("c")
    assert claim.state == replayed.state
    assert claim.state == ApprovedClaim(
        holder="Ada",
        happened_on=date(2026, 2, 28),
        estimates=(Decimal("0.00"), Decimal("0.01"), Decimal("0.02")),
    )
    assert (claim.version, again.ignored) == (5, 0)


def _often() -> EveryNEventsStrategy:
    return EveryNEventsStrategy(frequency=2)


async def _versions(store: ISnapshotStore) -> list[int]:
    newest = await store.get_latest_snapshot(STREAM)
    return [] if newest is None else [newest.version]
