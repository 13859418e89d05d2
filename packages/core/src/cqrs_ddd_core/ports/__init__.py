"""What the toolkit asks of databases, brokers, caches, locks and middlewares."""

from __future__ import annotations

from cqrs_ddd_core.ports.background_worker import IBackgroundWorker
from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.ports.consumer import IMessageConsumer, MessageHandler
from cqrs_ddd_core.ports.event_dispatcher import IEventDispatcher
from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    AppendResult,
    EventFilter,
    EventPage,
    ExpectedVersion,
    IEventStore,
    NewEvent,
    StoredEvent,
    StreamId,
    StreamState,
)
from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
from cqrs_ddd_core.ports.locking import ActiveLock, ILockStrategy, LockMode, ResourceIdentifier
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope, NextHandler
from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    MessageKind,
    OutboxBacklog,
    OutboxMessage,
    OutboxPartition,
    OutboxStatus,
    PendingMessage,
    partition_of,
    partition_quota,
)
from cqrs_ddd_core.ports.payload_condition import PayloadCondition
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.retry import IRetryPolicy
from cqrs_ddd_core.ports.unit_of_work import (
    EventSource,
    RecordedAppend,
    UnitOfWork,
    UnitOfWorkState,
)
from cqrs_ddd_core.ports.unit_of_work_scope import (
    EventRecording,
    UnitOfWorkFactory,
    UnitOfWorkScope,
    current_scope,
    get_current_uow,
    hand_over_events,
    require_recording,
    track_loaded,
)
from cqrs_ddd_core.ports.validation import IValidator, ValidationResult
from cqrs_ddd_core.ports.wake_up import (
    EVENTS_TOPIC,
    OUTBOX_TOPIC,
    IWakeUp,
    announce_after_commit,
)

__all__ = [
    "ANY",
    "EVENTS_TOPIC",
    "NO_STREAM",
    "OUTBOX_TOPIC",
    "STREAM_EXISTS",
    "ActiveLock",
    "AppendResult",
    "EventFilter",
    "EventPage",
    "EventRecording",
    "EventSource",
    "ExpectedVersion",
    "IBackgroundWorker",
    "ICache",
    "IEventDispatcher",
    "IEventStore",
    "IInbox",
    "ILockStrategy",
    "IMessageConsumer",
    "IMessagePublisher",
    "IMiddleware",
    "IOutboxStorage",
    "IRepository",
    "IRetryPolicy",
    "IValidator",
    "IWakeUp",
    "InboxEntry",
    "LockMode",
    "MessageHandler",
    "MessageKind",
    "MiddlewareScope",
    "NewEvent",
    "NextHandler",
    "OutboxBacklog",
    "OutboxMessage",
    "OutboxPartition",
    "OutboxStatus",
    "PayloadCondition",
    "PendingMessage",
    "PublishOutcome",
    "RecordedAppend",
    "ResourceIdentifier",
    "StoredEvent",
    "StreamId",
    "StreamState",
    "UnitOfWork",
    "UnitOfWorkFactory",
    "UnitOfWorkScope",
    "UnitOfWorkState",
    "ValidationResult",
    "announce_after_commit",
    "current_scope",
    "get_current_uow",
    "hand_over_events",
    "partition_of",
    "partition_quota",
    "require_recording",
    "track_loaded",
]
