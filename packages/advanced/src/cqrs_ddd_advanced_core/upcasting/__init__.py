"""Upcasting: stored payloads of older shapes are read as those of today."""

from cqrs_ddd_advanced_core.upcasting.catalogue import (
    CatalogueComparison,
    SchemaCatalogue,
    SchemaProblem,
)
from cqrs_ddd_advanced_core.upcasting.registry import UpcasterRegistry
from cqrs_ddd_advanced_core.upcasting.upcaster import (
    CommandUpcaster,
    EventDowncaster,
    EventSplitter,
    EventUpcaster,
)

__all__ = [
    "CatalogueComparison",
    "CommandUpcaster",
    "EventDowncaster",
    "EventSplitter",
    "EventUpcaster",
    "SchemaCatalogue",
    "SchemaProblem",
    "UpcasterRegistry",
]
