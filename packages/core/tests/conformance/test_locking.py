"""The in-memory locks keep the promises of their port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryLockStrategy
from cqrs_ddd_core.testing import LockingConformance


class TestInMemoryLockStrategy(LockingConformance):
    @pytest.fixture
    def subject(self) -> InMemoryLockStrategy:
        return InMemoryLockStrategy()
