"""Read models that follow the events: projectors, the worker that carries them on, its policies."""

from __future__ import annotations

from cqrs_ddd_advanced_core.projections._sources import (
    AGGREGATE_ID,
    AGGREGATE_TYPE,
    CAUSATION_ID,
    CORRELATION_ID,
    EVENT_ID,
    OCCURRED_AT,
    EnvelopeField,
    Fixed,
)
from cqrs_ddd_advanced_core.projections.mapping import MappedProjector
from cqrs_ddd_advanced_core.projections.parked import ParkedEventService
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
from cqrs_ddd_advanced_core.projections.projector import (
    FunctionProjector,
    Projector,
    projects,
)
from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
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
    "OCCURRED_AT",
    "EnvelopeField",
    "ErrorPolicy",
    "Fixed",
    "FunctionProjector",
    "MappedProjector",
    "ParkedEventService",
    "PartitionHealth",
    "ProjectionRows",
    "ProjectionWorker",
    "Projector",
    "ProjectorRegistry",
    "QueryOptions",
    "SpecificationBuilder",
    "WorkerHealth",
    "projects",
]
