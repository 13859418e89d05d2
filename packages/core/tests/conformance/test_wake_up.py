"""The in-memory wake-up keeps what its port says."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork, InMemoryWakeUp
from cqrs_ddd_core.testing import WakeUpConformance, WakeUpSubject


class TestInMemoryWakeUp(WakeUpConformance):
    @pytest.fixture
    def subject(self) -> WakeUpSubject:
        wake_up = InMemoryWakeUp()
        return WakeUpSubject(wake_up, wake_up, InMemoryUnitOfWork)
