"""Command handlers that retry and resolve conflicts; the event-sourced mediator."""

from __future__ import annotations

from cqrs_ddd_advanced_core.cqrs.conflict_behavior import ConflictBehavior, lost_race_of
from cqrs_ddd_advanced_core.cqrs.decider_handler import DeciderHandler
from cqrs_ddd_advanced_core.cqrs.handlers import (
    ConflictCommandHandler,
    ResilientCommandHandler,
    RetryableCommandHandler,
)
from cqrs_ddd_advanced_core.cqrs.pipeline import PipelinedCommandHandler
from cqrs_ddd_advanced_core.cqrs.retry_behavior import RetryBehavior
from cqrs_ddd_advanced_core.event_sourcing.factory import EventSourcedMediatorFactory
from cqrs_ddd_advanced_core.event_sourcing.mediator import EventSourcedMediator

__all__ = [
    "ConflictBehavior",
    "ConflictCommandHandler",
    "DeciderHandler",
    "EventSourcedMediator",
    "EventSourcedMediatorFactory",
    "PipelinedCommandHandler",
    "ResilientCommandHandler",
    "RetryBehavior",
    "RetryableCommandHandler",
    "lost_race_of",
]
