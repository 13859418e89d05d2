"""Read models in memory are rebuilt while the shop is open."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.testing import RebuildConformance, RebuildSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore


class TestInMemoryRebuild(RebuildConformance):
    @pytest.fixture
    def subject(self) -> RebuildSubject:
        database = InMemoryDatabase()
        return RebuildSubject(InMemoryProjectionStore(database), InMemoryEventStore(database))
