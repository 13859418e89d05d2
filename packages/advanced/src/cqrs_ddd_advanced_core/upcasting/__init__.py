"""Upcasting: stored payloads of older shapes are read as those of today."""

from cqrs_ddd_advanced_core.upcasting.registry import UpcasterRegistry
from cqrs_ddd_advanced_core.upcasting.upcaster import (
    CommandUpcaster,
    EventDowncaster,
    EventSplitter,
    EventUpcaster,
)

__all__ = [
    "CommandUpcaster",
    "EventDowncaster",
    "EventSplitter",
    "EventUpcaster",
    "UpcasterRegistry",
]
