"""What an application's model is made of: aggregates, entities, values, events, conditions."""

from __future__ import annotations

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.archivable import ArchivableMixin
from cqrs_ddd_core.domain.auditable import AuditableMixin
from cqrs_ddd_core.domain.entity import Entity
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.domain.page import Page
from cqrs_ddd_core.domain.query_options import Ordering, QueryOptions
from cqrs_ddd_core.domain.query_request import (
    QueryLimits,
    query_options_from_dict,
    query_options_to_dict,
)
from cqrs_ddd_core.domain.specification import (
    Specification,
    SpecificationBuilder,
    SpecificationOperator,
    field,
    specification_from_dict,
)
from cqrs_ddd_core.domain.value_object import ValueObject

__all__ = [
    "AggregateRoot",
    "ArchivableMixin",
    "AuditableMixin",
    "DomainEvent",
    "Entity",
    "EventTypeRegistry",
    "Ordering",
    "Page",
    "QueryLimits",
    "QueryOptions",
    "Specification",
    "SpecificationBuilder",
    "SpecificationOperator",
    "ValueObject",
    "field",
    "query_options_from_dict",
    "query_options_to_dict",
    "specification_from_dict",
]
