"""Read models that follow the events: projectors, the worker that carries them on, its policies."""

from __future__ import annotations

from cqrs_ddd_advanced_core.projections._sources import (
    AGGREGATE_ID,
    AGGREGATE_TYPE,
    CAUSATION_ID,
    CORRELATION_ID,
    EVENT_ID,
    EVENT_TYPE,
    OCCURRED_AT,
    EnvelopeField,
    Fixed,
)
from cqrs_ddd_advanced_core.projections.event_projector import EventProjector
from cqrs_ddd_advanced_core.projections.inline import InlineProjections
from cqrs_ddd_advanced_core.projections.live import LiveProjection
from cqrs_ddd_advanced_core.projections.manager import (
    InMemoryProjectionManager,
    ProjectionManager,
    ReadModelMetrics,
)
from cqrs_ddd_advanced_core.projections.mapping import MappedProjector
from cqrs_ddd_advanced_core.projections.monitor import ProjectionHealth, ProjectionMonitor
from cqrs_ddd_advanced_core.projections.parked import ParkedEventService
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
from cqrs_ddd_advanced_core.projections.progress import (
    LogProgress,
    OnProgress,
    RebuildProgress,
    Throttle,
)
from cqrs_ddd_advanced_core.projections.projector import (
    FunctionProjector,
    Projector,
    projects,
)
from cqrs_ddd_advanced_core.projections.reaction import EventReaction
from cqrs_ddd_advanced_core.projections.read_model import ReadModel
from cqrs_ddd_advanced_core.projections.rebuild import ProjectionRebuilder
from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
from cqrs_ddd_advanced_core.projections.status import ProjectionStatus, Staleness
from cqrs_ddd_advanced_core.projections.switching import ProjectionSwitch
from cqrs_ddd_advanced_core.projections.topics import projection_topic
from cqrs_ddd_advanced_core.projections.verification import (
    RowDifference,
    TableComparison,
    Verification,
)
from cqrs_ddd_advanced_core.projections.waiting import ProjectionWaiter
from cqrs_ddd_advanced_core.projections.worker import (
    PartitionHealth,
    ProjectionWorker,
    WorkerHealth,
)
from cqrs_ddd_core.domain import QueryOptions, SpecificationBuilder

__all__ = [
    "AGGREGATE_ID",
    "AGGREGATE_TYPE",
    "CAUSATION_ID",
    "CORRELATION_ID",
    "EVENT_ID",
    "EVENT_TYPE",
    "OCCURRED_AT",
    "EnvelopeField",
    "ErrorPolicy",
    "EventProjector",
    "EventReaction",
    "Fixed",
    "FunctionProjector",
    "InMemoryProjectionManager",
    "InlineProjections",
    "LiveProjection",
    "LogProgress",
    "MappedProjector",
    "OnProgress",
    "ParkedEventService",
    "PartitionHealth",
    "ProjectionHealth",
    "ProjectionManager",
    "ProjectionMonitor",
    "ProjectionRebuilder",
    "ProjectionRows",
    "ProjectionStatus",
    "ProjectionSwitch",
    "ProjectionWaiter",
    "ProjectionWorker",
    "Projector",
    "ProjectorRegistry",
    "QueryOptions",
    "ReadModel",
    "ReadModelMetrics",
    "RebuildProgress",
    "RowDifference",
    "SpecificationBuilder",
    "Staleness",
    "TableComparison",
    "Throttle",
    "Verification",
    "WorkerHealth",
    "projection_topic",
    "projects",
]
