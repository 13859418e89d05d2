"""The in-memory store of subject keys keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.testing import SubjectKeysConformance, SubjectKeysSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork


class TestInMemorySubjectKeys(SubjectKeysConformance):
    @pytest.fixture
    def subject(self) -> SubjectKeysSubject:
        database = InMemoryDatabase()
        return SubjectKeysSubject(
            InMemorySubjectKeyStore(database), lambda: InMemoryUnitOfWork(database)
        )
