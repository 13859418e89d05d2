"""Work that runs beside the requests."""

from __future__ import annotations

from cqrs_ddd_core.background.polling import PollingLoop, WorkerState, WorkerStatus

__all__ = ["PollingLoop", "WorkerState", "WorkerStatus"]
