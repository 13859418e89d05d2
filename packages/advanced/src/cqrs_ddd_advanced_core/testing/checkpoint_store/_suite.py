"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    Checkpoint,
    CheckpointKey,
    CheckpointLease,
    ICheckpointStore,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.conformance import Conformance

__all__ = [
    "KEY",
    "KEYS",
    "LONG",
    "SHORT",
    "CheckpointStoreSubject",
    "CheckpointStoreSuite",
    "checkpoint_of",
    "leased",
]

KEY: Final = CheckpointKey("orders")
KEYS: Final = [CheckpointKey("orders", 1, number) for number in range(4)]
#: Seconds of a lease that outlasts a test, and of one that does not.
LONG: Final = 60.0
SHORT: Final = 0.05


@dataclass(frozen=True)
class CheckpointStoreSubject:
    """An empty store, and the units of work of its database."""

    checkpoints: ICheckpointStore
    unit_of_work: UnitOfWorkFactory


class CheckpointStoreSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> CheckpointStoreSubject:
        raise NotImplementedError("yield a CheckpointStoreSubject with an empty store")

    @pytest.fixture
    def store(self, subject: CheckpointStoreSubject) -> ICheckpointStore:
        return subject.checkpoints


async def leased(
    store: ICheckpointStore, key: CheckpointKey, *, seconds: float = LONG
) -> CheckpointLease:
    await store.ensure([key])
    [lease] = await store.lease("a", [key], seconds=seconds)
    return lease


async def checkpoint_of(store: ICheckpointStore) -> Checkpoint:
    [found] = await store.get(KEY.projection, KEY.version)
    return found
