"""The subject keys in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cqrs_ddd_core.adapters.memory.database import Transaction

__all__ = ["InMemorySubjectKeyStore"]

#: Tenant and subject.
_Key: TypeAlias = tuple[str, str]


class InMemorySubjectKeyStore(ISubjectKeyStore):
    """Keeps the keys of subjects in memory.

    Args:
        database: Shared with the event store, so that keys commit with what they encrypt.
        clock: Tells when keys are made and shredded.
    """

    def __init__(
        self, database: InMemoryDatabase | None = None, *, clock: IClock | None = None
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._clock = clock or SystemClock()
        self._keys: Table[_Key, SubjectKey] = Table()

    async def find(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        return self._find(subjects, current_transaction(self._database))

    async def get_or_create(self, proposed: Mapping[str, bytes]) -> dict[str, SubjectKey]:
        async with write_transaction(self._database) as transaction:
            known, now = self._find(proposed, transaction), self._clock.now()
            for subject, wrapped_key in proposed.items():
                if subject not in known:
                    known[subject] = SubjectKey(subject, wrapped_key, now)
                    self._keys.put(_key(subject), known[subject], transaction)
            return known

    async def shred(self, subject: str) -> bool:
        async with write_transaction(self._database) as transaction:
            key, now = _key(subject), self._clock.now()
            known = self._keys.get(key, transaction)
            if known is not None and known.shredded_at is not None:
                return False
            created_at = now if known is None else known.created_at
            self._keys.put(key, SubjectKey(subject, None, created_at, now), transaction)
            return True

    def _find(
        self, subjects: Collection[str], transaction: Transaction | None
    ) -> dict[str, SubjectKey]:
        found = {subject: self._keys.get(_key(subject), transaction) for subject in subjects}
        return {subject: key for subject, key in found.items() if key is not None}


def _key(subject: str) -> _Key:
    return get_context().tenant_id, subject
