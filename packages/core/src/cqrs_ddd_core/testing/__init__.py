"""Prove an adapter: one conformance suite per port, run by every adapter."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in ("event_store", "inbox", "outbox", "repository", "unit_of_work")
    )
)

from cqrs_ddd_core.testing.conformance import Conformance  # noqa: E402 - after the rewrite
from cqrs_ddd_core.testing.event_store import EventStoreConformance, EventStoreSubject  # noqa: E402
from cqrs_ddd_core.testing.inbox import InboxConformance, InboxSubject  # noqa: E402
from cqrs_ddd_core.testing.outbox import OutboxConformance, OutboxSubject  # noqa: E402
from cqrs_ddd_core.testing.repository import RepositoryConformance, RepositorySubject  # noqa: E402
from cqrs_ddd_core.testing.unit_of_work import (  # noqa: E402
    UnitOfWorkConformance,
    UnitOfWorkSubject,
)

__all__ = [
    "Conformance",
    "EventStoreConformance",
    "EventStoreSubject",
    "InboxConformance",
    "InboxSubject",
    "OutboxConformance",
    "OutboxSubject",
    "RepositoryConformance",
    "RepositorySubject",
    "UnitOfWorkConformance",
    "UnitOfWorkSubject",
]
