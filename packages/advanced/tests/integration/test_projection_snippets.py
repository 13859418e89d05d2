"""What the guide to advanced patterns shows of read models runs as it was written.

Its imports are of an application; here the names come from this package.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any, Final

from cqrs_ddd_advanced_core import (
    EventSourcedAggregateMixin,
    EventSourcedRepository,
    EventSourcingConfiguration,
    create_event_sourcing_infrastructure,
)
from cqrs_ddd_advanced_core.projections import (
    EventProjector,
    InMemoryProjectionManager,
    ReadModel,
)
from cqrs_ddd_core import AggregateRoot, DomainEvent, StreamId
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_serializer import serialize_event

READ_MODEL: Final = '''
class DataProcessingDashboardReadModel(ReadModel):
    def __init__(self):
        self.dashboard_data = {
            "total_datasets_processed": 0,
            "average_quality_score": 0.0,
            "recent_activities": [],
            "processing_trends": []
        }

    async def handle_event(self, event: DomainEvent):
        """Update read model based on domain events"""
        if isinstance(event, DataQualityCheckCompleted):
            self.dashboard_data["total_datasets_processed"] += 1
            self._update_quality_average(event.overall_score)
            self._add_recent_activity(f"Quality check completed: {event.dataset_id}")

    def get_supported_events(self) -> List[type]:
        return [DataQualityCheckCompleted, AnomalyDetected, DataProcessingStarted]

    def _update_quality_average(self, score):
        data = self.dashboard_data
        count = data["total_datasets_processed"]
        data["average_quality_score"] += (score - data["average_quality_score"]) / count

    def _add_recent_activity(self, activity):
        self.dashboard_data["recent_activities"].append(activity)
'''

MANAGEMENT: Final = """
projection_manager = InMemoryProjectionManager(event_store, event_bus)

# Register read models
dashboard_read_model = DataProcessingDashboardReadModel()
await projection_manager.register_projection(dashboard_read_model)

# Rebuild projection from event history
await projection_manager.rebuild_projection(DataProcessingDashboardReadModel)

# Get projection status
status = await projection_manager.get_projection_status(DataProcessingDashboardReadModel)

# Projection metrics
projection_metrics = projection_manager.get_metrics()
"""

CONFIGURATION: Final = """
config = EventSourcingConfiguration(
    event_store_type="memory",           # memory, file, database
    enable_snapshots=True,               # Create aggregate snapshots
    snapshot_frequency=100,              # Snapshot every N events
    compression_enabled=False,           # Compress event data
    encryption_enabled=False,            # Encrypt sensitive events
    batch_size=1000,                     # Events per batch
    consistency_level="strong",          # strong, eventual, session
    conflict_resolution="last_write_wins" # Conflict resolution strategy
)
"""

SETUP: Final = """
config = EventSourcingConfiguration()
event_store, projection_manager = create_event_sourcing_infrastructure(config)
repository = EventSourcedRepository(event_store, MyAggregate)

# Use aggregate
aggregate = MyAggregate("agg_001")
aggregate.do_something({"key": "value"})
await repository.save(aggregate)
"""


class DataQualityCheckCompleted(DomainEvent):
    dataset_id: str
    overall_score: float


class AnomalyDetected(DomainEvent):
    dataset_id: str


class DataProcessingStarted(DomainEvent):
    dataset_id: str


class SomethingHappened(DomainEvent):
    data: dict[str, Any]


class MyAggregate(EventSourcedAggregateMixin, AggregateRoot[str]):
    seen: int = 0

    def __init__(self, *ids: str, **fields: Any) -> None:
        super().__init__(**dict(zip(["id"], ids, strict=False)), **fields)

    def do_something(self, data: dict[str, Any]) -> None:
        self.raise_event(SomethingHappened(aggregate_id=self.id, data=data))

    def apply_something_happened(self, _: SomethingHappened) -> None:
        self.seen += 1


async def run(code: str, names: dict[str, Any]) -> None:
    compiled = compile(code, "guide", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # noqa: S307 - the texts above
    if inspect.iscoroutine(result):
        await result


def guide() -> dict[str, Any]:
    return {
        "List": list,
        "AnomalyDetected": AnomalyDetected,
        "DataProcessingStarted": DataProcessingStarted,
        "DataQualityCheckCompleted": DataQualityCheckCompleted,
        "DomainEvent": DomainEvent,
        "EventSourcedRepository": EventSourcedRepository,
        "EventSourcingConfiguration": EventSourcingConfiguration,
        "InMemoryProjectionManager": InMemoryProjectionManager,
        "MyAggregate": MyAggregate,
        "ReadModel": ReadModel,
        "create_event_sourcing_infrastructure": create_event_sourcing_infrastructure,
        "event_bus": EventDispatcher(),
        "event_store": InMemoryEventStore(),
    }


async def test_read_models_are_managed() -> None:
    names = guide()
    checked = DataQualityCheckCompleted(dataset_id="d-1", overall_score=0.5)
    await names["event_store"].append(StreamId("Dataset", "d-1"), [serialize_event(checked)])
    await run(READ_MODEL, names)
    await run(MANAGEMENT, names)
    data = names["dashboard_read_model"].dashboard_data
    assert (data["total_datasets_processed"], data["average_quality_score"]) == (1, 0.5)
    assert data["recent_activities"] == ["Quality check completed: d-1"]
    assert (names["status"].position, names["status"].lag) == (1, 0)
    assert names["projection_metrics"]["DataProcessingDashboardReadModel"].rebuilds == 1


async def test_the_configuration_is_that_of_the_guide() -> None:
    names = guide()
    await run(CONFIGURATION, names)
    assert names["config"] == EventSourcingConfiguration()


async def test_the_setup_stores_what_an_aggregate_did() -> None:
    names = guide()
    await run(SETUP, names)
    assert (await names["repository"].get("agg_001")).seen == 1


async def test_an_event_projector_keeps_what_its_functions_return() -> None:
    projector, sent = EventProjector(), list[str]()

    def welcome(event: DataProcessingStarted, projection: dict[str, Any]) -> dict[str, Any]:
        sent.append(event.dataset_id)
        return {**projection, "id": event.dataset_id, "created": event.occurred_at}

    projector.register_projector("DataProcessingStarted", welcome)
    event = DataProcessingStarted(dataset_id="d-1")
    projector.project("activeDatasets", event, {})
    assert projector.get_projection("activeDatasets") == {"id": "d-1", "created": event.occurred_at}
    assert sent == ["d-1"]
