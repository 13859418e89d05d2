"""The in-memory repository keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork
from cqrs_ddd_core.testing import RepositoryConformance, RepositorySubject
from cqrs_ddd_core.testing.samples import SampleOrder


class TestInMemoryRepository(RepositoryConformance):
    @pytest.fixture
    def subject(self) -> RepositorySubject:
        database = InMemoryDatabase()
        return RepositorySubject(
            InMemoryRepository(SampleOrder, database), lambda: InMemoryUnitOfWork(database)
        )
