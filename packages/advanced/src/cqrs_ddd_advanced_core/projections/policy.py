"""What becomes of an event that a projection cannot apply."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionConflictError
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    TransientPersistenceError,
)

__all__ = ["ErrorPolicy", "is_transient"]

_TRANSIENT: Final = (
    TransientPersistenceError,
    CommitOutcomeUnknownError,
    ConnectionError,
    ProjectionConflictError,
    TimeoutError,
)


class ErrorPolicy(StrEnum):
    """What becomes of an event that fails again and again, alone."""

    #: The projection stops before it, with the error in its checkpoint, until somebody resumes it.
    HALT = "halt"
    #: It is parked with its error, and later events of its stream wait behind it; others go on.
    PARK = "park"
    #: It is logged, counted and left out for good.
    SKIP = "skip"


def is_transient(error: Exception) -> bool:
    """Whether an error says nothing about an event: it is tried again without end."""
    return isinstance(error, _TRANSIENT)
