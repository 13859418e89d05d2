"""Every documented import path of what exists leads somewhere, and to one thing."""

from __future__ import annotations

import pkgutil

import pytest

PACKAGE = "cqrs_ddd_advanced_core"

#: Where each name can be imported from; "" is the package itself.
DOCUMENTED = {
    "EventSourcedMediator": ("", "event_sourcing", "cqrs"),
    "EventSourcedMediatorFactory": ("", "event_sourcing", "cqrs"),
    "EventSourcedPersistenceOrchestrator": ("", "event_sourcing"),
    "EventSourcedLoader": ("", "event_sourcing"),
    "EventSourcedRepository": ("", "event_sourcing"),
    "EventSourcedAggregateMixin": ("", "domain", "domain.aggregate_mixin"),
    "aggregate_event_handler": ("", "domain", "domain.event_handlers"),
    "EventValidator": ("domain", "domain.event_validation"),
    "EventValidationConfig": ("domain", "domain.event_validation"),
    "non_event_sourced": ("", "decorators", "decorators.event_sourcing"),
    "EventHandlerError": ("", "domain", "domain.exceptions"),
    "MissingEventHandlerError": ("", "domain", "domain.exceptions"),
    "InvalidEventHandlerError": ("", "domain", "domain.exceptions"),
    "StrictValidationViolationError": ("", "domain", "domain.exceptions"),
    "EventSourcedAggregateRequiredError": ("", "domain", "domain.exceptions"),
    "EventSourcingConfigurationError": ("", "domain", "domain.exceptions"),
    "SnapshotStore": ("snapshots", "snapshots.store"),
    "EveryNEventsStrategy": ("snapshots", "snapshots.strategy"),
    "SnapshotStrategyRegistry": ("snapshots", "snapshots.registry"),
    "EventUpcaster": ("upcasting", "upcasting.upcaster"),
    "UpcasterRegistry": ("upcasting", "upcasting.registry"),
    "DeepMergeStrategy": ("conflict", "conflict.resolution"),
    "FieldLevelMergeStrategy": ("conflict", "conflict.resolution"),
    "LastWinsStrategy": ("conflict", "conflict.resolution"),
    "TimestampLastWinsStrategy": ("conflict", "conflict.resolution"),
    "UnionListMergeStrategy": ("conflict", "conflict.resolution"),
    "ResilientCommandHandler": ("cqrs", "cqrs.handlers"),
    "RetryableCommandHandler": ("cqrs", "cqrs.handlers"),
    "ConflictCommandHandler": ("cqrs", "cqrs.handlers"),
    "UndoService": ("undo", "undo.service"),
    "UndoExecutorRegistry": ("undo", "undo.registry"),
    "IUndoExecutor": ("undo", "undo.executor"),
    "InMemoryEventStore": ("adapters.memory",),
    "InMemorySnapshotStore": ("adapters.memory",),
    "InMemoryUndoHistory": ("adapters.memory",),
    "ISnapshotStore": ("ports", "ports.snapshot_store"),
    "IUndoHistory": ("ports", "ports.undo_history"),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_name_is_the_same_wherever_it_is_imported_from(name: str) -> None:
    rooms = (".".join(filter(None, (PACKAGE, room))) for room in DOCUMENTED[name])
    found = [pkgutil.resolve_name(f"{room}:{name}") for room in rooms]
    assert all(one is found[0] for one in found)


def test_the_memory_event_store_is_the_one_of_the_core() -> None:
    from_core = pkgutil.resolve_name("cqrs_ddd_core.adapters.memory:InMemoryEventStore")
    assert pkgutil.resolve_name(f"{PACKAGE}.adapters.memory:InMemoryEventStore") is from_core
