"""Prove an adapter: one conformance suite per port, run by every adapter."""

from __future__ import annotations

from cqrs_ddd_core.primitives.exceptions import MissingExtraError as _MissingExtraError

try:
    import pytest
except ImportError as _error:
    raise _MissingExtraError("the conformance suites", "cqrs-ddd-core", "testing") from _error

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "cache",
            "consumer",
            "event_store",
            "inbox",
            "locking",
            "outbox",
            "publisher",
            "repository",
            "specification",
            "unit_of_work",
            "wake_up",
        )
    )
)

# ruff: noqa: E402 - the suites are imported after the rewrite is registered
from cqrs_ddd_core.testing.cache import CacheConformance, CacheSubject
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.consumer import ConsumerConformance, ConsumerSubject
from cqrs_ddd_core.testing.event_store import EventStoreConformance, EventStoreSubject
from cqrs_ddd_core.testing.inbox import InboxConformance, InboxSubject
from cqrs_ddd_core.testing.locking import LockingConformance
from cqrs_ddd_core.testing.outbox import OutboxConformance, OutboxSubject
from cqrs_ddd_core.testing.publisher import PublisherConformance, PublisherSubject
from cqrs_ddd_core.testing.repository import RepositoryConformance, RepositorySubject
from cqrs_ddd_core.testing.specification import SpecificationConformance, SpecificationSubject
from cqrs_ddd_core.testing.unit_of_work import UnitOfWorkConformance, UnitOfWorkSubject
from cqrs_ddd_core.testing.wake_up import WakeUpConformance, WakeUpSubject

__all__ = [
    "CacheConformance",
    "CacheSubject",
    "Conformance",
    "ConsumerConformance",
    "ConsumerSubject",
    "EventStoreConformance",
    "EventStoreSubject",
    "InboxConformance",
    "InboxSubject",
    "LockingConformance",
    "OutboxConformance",
    "OutboxSubject",
    "PublisherConformance",
    "PublisherSubject",
    "RepositoryConformance",
    "RepositorySubject",
    "SpecificationConformance",
    "SpecificationSubject",
    "UnitOfWorkConformance",
    "UnitOfWorkSubject",
    "WakeUpConformance",
    "WakeUpSubject",
]
