"""Hypothesis strategies for property tests: events, and the histories of aggregates."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.strategies._events import events, events_of
from cqrs_ddd_advanced_core.testing.strategies._histories import (
    Call,
    aggregates,
    calls,
    histories,
)

__all__ = ["Call", "aggregates", "calls", "events", "events_of", "histories"]
