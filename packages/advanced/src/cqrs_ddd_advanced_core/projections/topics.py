"""What those who wait for projections listen to."""

from __future__ import annotations

__all__ = ["projection_topic"]


def projection_topic(projection: str) -> str:
    """Return the topic that is announced when a projection has moved on."""
    return f"projection:{projection}"
