"""The in-memory inbox keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.testing import InboxConformance, InboxSubject


class TestInMemoryInbox(InboxConformance):
    @pytest.fixture
    def subject(self) -> InboxSubject:
        database = InMemoryDatabase()
        return InboxSubject(
            InMemoryInbox(database),
            lambda: InMemoryUnitOfWork(database),
            InMemoryEventStore(database),
        )
