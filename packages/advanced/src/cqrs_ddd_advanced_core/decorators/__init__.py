"""Decorators that say how an aggregate is stored."""

from cqrs_ddd_advanced_core.decorators.event_sourcing import non_event_sourced

__all__ = ["non_event_sourced"]
