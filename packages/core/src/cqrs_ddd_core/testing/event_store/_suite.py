"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.event_store import IEventStore, NewEvent, StoredEvent
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = ["EventStoreSubject", "EventStoreSuite", "ids_of", "is_increasing"]


@dataclass(frozen=True)
class EventStoreSubject:
    """An empty event store and the units of work of its database."""

    store: IEventStore
    unit_of_work: UnitOfWorkFactory


class EventStoreSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        raise NotImplementedError("yield an EventStoreSubject with an empty store")

    @pytest.fixture
    def store(self, subject: EventStoreSubject) -> IEventStore:
        return subject.store

    @pytest.fixture
    def unit_of_work(self, subject: EventStoreSubject) -> UnitOfWorkFactory:
        return subject.unit_of_work


def ids_of(events: Sequence[NewEvent | StoredEvent]) -> list[UUID]:
    return [event.event_id for event in events]


def is_increasing(numbers: list[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))
