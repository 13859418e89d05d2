"""Commands, queries, their handlers, and the mediator that runs them."""

from __future__ import annotations

from cqrs_ddd_core.cqrs.batching import CommandBatcher
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.cqrs.handler import CommandHandler, EventHandler, QueryHandler
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.cqrs.registry import HandlerRegistry

__all__ = [
    "Command",
    "CommandBatcher",
    "CommandHandler",
    "CommandResponse",
    "EventDispatcher",
    "EventHandler",
    "EventSerializer",
    "HandlerRegistry",
    "Mediator",
    "Query",
    "QueryHandler",
    "QueryResponse",
    "serialize_event",
]
