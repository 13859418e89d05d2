"""What can run around every command and query."""

from __future__ import annotations

from cqrs_ddd_core.middleware.concurrency import ConcurrencyGuardMiddleware
from cqrs_ddd_core.middleware.history import CommandHistory, ExecutedCommand
from cqrs_ddd_core.middleware.idempotency import IdempotencyMiddleware
from cqrs_ddd_core.middleware.lifecycle import LifecycleHooks
from cqrs_ddd_core.middleware.logging import LoggingMiddleware
from cqrs_ddd_core.middleware.metrics import MessageMetrics, MetricsMiddleware
from cqrs_ddd_core.middleware.retry import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.middleware.timeout import TimeoutMiddleware
from cqrs_ddd_core.middleware.tracing import TracingMiddleware
from cqrs_ddd_core.middleware.trigger import TriggerMiddleware
from cqrs_ddd_core.middleware.validation import (
    CompositeValidator,
    PydanticValidator,
    ValidationMiddleware,
    messages_of,
)

__all__ = [
    "CommandHistory",
    "CompositeValidator",
    "ConcurrencyGuardMiddleware",
    "ExecutedCommand",
    "IdempotencyMiddleware",
    "LifecycleHooks",
    "LoggingMiddleware",
    "MessageMetrics",
    "MetricsMiddleware",
    "PydanticValidator",
    "RetryMiddleware",
    "RetryPolicy",
    "TimeoutMiddleware",
    "TracingMiddleware",
    "TriggerMiddleware",
    "ValidationMiddleware",
    "messages_of",
]
