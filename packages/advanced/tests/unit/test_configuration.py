"""Event sourcing from one configuration."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_advanced_core import (
    EventSourcingConfiguration,
    EventSourcingConfigurationError,
    create_event_sourcing_infrastructure,
)
from cqrs_ddd_advanced_core.codecs import KeyRing
from cqrs_ddd_advanced_core.conflict import LastWinsStrategy
from cqrs_ddd_advanced_core.projections import ReadModel
from cqrs_ddd_core import DomainEvent, StreamId
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

STREAM = StreamId("Note", "1")


class Noted(DomainEvent):
    text: str


class Notes(ReadModel):
    def __init__(self) -> None:
        self.texts: list[str] = []

    async def handle_event(self, event: Noted) -> None:
        if event.text == "poison":
            raise ValueError
        self.texts.append(event.text)

    def get_supported_events(self) -> list[type]:
        return [Noted]


def noted(text: str) -> list[Any]:
    return [serialize_event(Noted(text=text))]


async def test_strongly_consistent_read_models_show_what_was_appended() -> None:
    store, manager = create_event_sourcing_infrastructure()
    notes = Notes()
    await manager.register_projection(notes)
    await store.append(STREAM, noted("a"))
    assert notes.texts == ["a"]


async def test_in_a_unit_of_work_they_show_it_after_the_commit() -> None:
    database = InMemoryDatabase()
    store, manager = create_event_sourcing_infrastructure(event_store=InMemoryEventStore(database))
    notes = Notes()
    await manager.register_projection(notes)
    async with InMemoryUnitOfWork(database) as uow:
        await store.append(STREAM, noted("a"))
        await uow.rollback()
    async with InMemoryUnitOfWork(database):
        await store.append(STREAM, noted("b"))
        assert notes.texts == []
    assert notes.texts == ["b"]


async def test_a_read_model_that_fails_does_not_fail_the_append(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, manager = create_event_sourcing_infrastructure()
    await manager.register_projection(Notes())
    result = await store.append(STREAM, noted("poison"))
    assert result.version == 1
    assert (await manager.get_projection_status(Notes)).state == "halted"
    assert "could not follow" in caplog.text


async def test_others_follow_when_they_are_asked_to() -> None:
    settings = EventSourcingConfiguration(consistency_level="session")
    store, manager = create_event_sourcing_infrastructure(settings)
    notes = Notes()
    await manager.register_projection(notes)
    await store.append(STREAM, noted("a"))
    assert notes.texts == []
    await manager.catch_up()
    assert notes.texts == ["a"]


async def test_payloads_are_compressed_and_encrypted() -> None:
    plain = InMemoryEventStore()
    settings = EventSourcingConfiguration(compression_enabled=True, encryption_enabled=True)
    keys = KeyRing({"k1": KeyRing.generate_key()})
    store, manager = create_event_sourcing_infrastructure(
        settings, event_store=plain, encryption_keys=keys
    )
    notes = Notes()
    await manager.register_projection(notes)
    await store.append(STREAM, noted("secret " * 100))
    [stored] = await plain.get_events(STREAM)
    assert b"secret" not in stored.payload_bytes
    assert len(stored.payload_bytes) < 400
    assert notes.texts == ["secret " * 100]


@pytest.mark.parametrize(
    "options, match",
    [
        ({"event_store_type": "tape"}, "event_store_type is 'tape'"),
        ({"consistency_level": "some"}, "strong, session, eventual"),
        ({"snapshot_frequency": 0}, "count events"),
        ({"batch_size": 0}, "count events"),
    ],
)
def test_values_that_are_none_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(EventSourcingConfigurationError, match=match):
        EventSourcingConfiguration(**options)


def test_what_is_asked_for_has_to_be_given() -> None:
    for settings in (
        EventSourcingConfiguration(event_store_type="database"),
        EventSourcingConfiguration(encryption_enabled=True),
    ):
        with pytest.raises(EventSourcingConfigurationError, match="needs"):
            create_event_sourcing_infrastructure(settings)


def test_snapshots_and_merging_come_from_it_too() -> None:
    settings = EventSourcingConfiguration(snapshot_frequency=7)
    assert settings.snapshot_strategies().get("Order").frequency == 7  # type: ignore[union-attr]
    off = EventSourcingConfiguration(enable_snapshots=False)
    assert off.snapshot_strategies().get("Order") is None
    assert isinstance(settings.merge_strategy(), LastWinsStrategy)
    with pytest.raises(ConfigurationError, match="no merge strategy"):
        EventSourcingConfiguration(conflict_resolution="hope").merge_strategy()
