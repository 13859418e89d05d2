"""Publishing what transactions left in the outbox."""

from __future__ import annotations

from cqrs_ddd_core.outbox.service import OutboxService
from cqrs_ddd_core.outbox.worker import OutboxWorker

__all__ = ["OutboxService", "OutboxWorker"]
