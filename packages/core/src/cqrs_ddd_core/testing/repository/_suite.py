"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.samples import SampleOrder

__all__ = ["RepositorySubject", "RepositorySuite", "ids_of"]


@dataclass(frozen=True)
class RepositorySubject:
    """An empty repository of ``SampleOrder`` and the units of work of its database."""

    repository: IRepository[SampleOrder]
    unit_of_work: UnitOfWorkFactory


class RepositorySuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> RepositorySubject:
        raise NotImplementedError("yield a RepositorySubject with an empty repository")

    @pytest.fixture
    def repository(self, subject: RepositorySubject) -> IRepository[SampleOrder]:
        return subject.repository

    @pytest.fixture
    def unit_of_work(self, subject: RepositorySubject) -> UnitOfWorkFactory:
        return subject.unit_of_work


def ids_of(orders: Sequence[SampleOrder]) -> list[str]:
    return [order.id for order in orders]
