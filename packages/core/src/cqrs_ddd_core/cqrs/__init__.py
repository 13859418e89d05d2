"""Commands, queries, their handlers, and the mediator that runs them."""

from __future__ import annotations

from cqrs_ddd_core.cqrs.answer_cache import Answer, AnswerCache, AnswerCodec, answer_scope
from cqrs_ddd_core.cqrs.batching import BatchHandler, CommandBatcher
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.critical_section import CriticalSection
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, EventWriter, serialize_event
from cqrs_ddd_core.cqrs.handler import (
    CommandHandler,
    EventHandler,
    HandlerFactory,
    HandlerFunction,
    QueryHandler,
)
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.cqrs.query_cache import QueryCacheMiddleware, TagsOf, cache_for
from cqrs_ddd_core.cqrs.registry import EventSubscription, HandlerRegistry

__all__ = [
    "Answer",
    "AnswerCache",
    "AnswerCodec",
    "BatchHandler",
    "Command",
    "CommandBatcher",
    "CommandHandler",
    "CommandResponse",
    "CriticalSection",
    "EventDispatcher",
    "EventHandler",
    "EventSerializer",
    "EventSubscription",
    "EventWriter",
    "HandlerFactory",
    "HandlerFunction",
    "HandlerRegistry",
    "Mediator",
    "MessageRegistry",
    "Query",
    "QueryCacheMiddleware",
    "QueryHandler",
    "QueryResponse",
    "TagsOf",
    "answer_scope",
    "cache_for",
    "serialize_event",
]
