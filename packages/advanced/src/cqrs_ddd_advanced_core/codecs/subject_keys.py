"""The keys of subjects in use: made, unwrapped, cached and shredded."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pydantic_core import to_json

from cqrs_ddd_advanced_core.codecs._key_cache import KeyCache, SubjectId
from cqrs_ddd_advanced_core.codecs.exceptions import SubjectShreddedError
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cqrs_ddd_advanced_core.codecs._aes_gcm import Cipher
    from cqrs_ddd_advanced_core.codecs.key_ring import KeyRing
    from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["SubjectKeys"]


class SubjectKeys:
    """One key per subject, wrapped by a master key.

    Writing always asks the store, in the transaction of what is written; a unit of work asks once
    per subject. Reading asks once for all subjects of a page that are not cached.

    After a shred was committed, another process may go on reading the subject's data with a
    cached key for up to ``cache_seconds``, and not longer; this process stops at once. A key that
    a unit of work has made is cached when that has committed, so that none is used that was
    rolled back.

    Args:
        store: Keeps the wrapped keys.
        key_ring: The master keys.
        cache_seconds: How long a key is cached for reading; 0 asks the store for every page.
        max_cached: How many keys are cached at most.
        timer: Seconds that only ever grow.
    """

    def __init__(
        self,
        store: ISubjectKeyStore,
        key_ring: KeyRing,
        *,
        cache_seconds: float = 30.0,
        max_cached: int = 10_000,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._key_ring = key_ring
        self._timer = timer
        self._cache = KeyCache(cache_seconds, max_cached)
        # What units of work have read in their own transactions; None stands for shredded.
        self._in_units: WeakKeyDictionary[UnitOfWork, dict[SubjectId, Cipher | None]] = (
            WeakKeyDictionary()
        )

    async def for_writing(self, subjects: Collection[str]) -> dict[str, Cipher]:
        """Return the keys of subjects, made now where there is none.

        Raises:
            SubjectShreddedError: One of them was shredded.
            TransientPersistenceError: The store asks for a new try.
        """
        known = self._known_in_unit(subjects)
        missing = sorted(set(subjects) - known.keys())
        if missing:
            known |= await self._make(missing)
        ciphers: dict[str, Cipher] = {}
        for subject in subjects:
            cipher = known[subject]
            if cipher is None:
                raise SubjectShreddedError(subject)
            ciphers[subject] = cipher
        return ciphers

    async def for_reading(self, subjects: Collection[str]) -> dict[str, Cipher | None]:
        """Return the keys of subjects, ``None`` for those that were shredded.

        A subject that nothing is stored of is left out.
        """
        known = self._known_in_unit(subjects)
        now, tenant_id = self._timer(), get_context().tenant_id
        for subject in set(subjects) - known.keys():
            cached = self._cache.get((tenant_id, subject), now)
            if cached is not None:
                known[subject] = cached
        missing = sorted(set(subjects) - known.keys())
        if missing:
            known |= self._unwrap(await self._store.find(missing), now)
        return known

    async def shred(self, subject: str) -> bool:
        """Remove the key of a subject for good; ``False`` if it had been done before.

        It belongs to the current unit of work, which no longer reads the subject's data from now
        on; the others read it until the commit.
        """
        done = await self._store.shred(subject)
        key = get_context().tenant_id, subject
        self._cache.forget(key)
        unit = get_current_uow()
        if unit is not None:
            self._in_units.setdefault(unit, {})[key] = None
            # Others may have cached it again before the commit.
            unit.on_commit(partial(self._forget, key))
        return done

    async def _make(self, subjects: Collection[str]) -> dict[str, Cipher | None]:
        now = self._timer()
        found = await self._store.find(subjects)
        shredded = next((key for key in found.values() if key.wrapped_key is None), None)
        if shredded is not None:
            raise SubjectShreddedError(shredded.subject)
        new = {
            subject: self._key_ring.wrap_new_key(_where(subject))
            for subject in subjects
            if subject not in found
        }
        if new:
            found |= await self._store.get_or_create(new)
        return self._unwrap(found, now)

    def _unwrap(self, keys: Mapping[str, SubjectKey], read_at: float) -> dict[str, Cipher | None]:
        ciphers = {
            subject: None
            if key.wrapped_key is None
            else self._key_ring.unwrap_key(key.wrapped_key, _where(subject))
            for subject, key in keys.items()
        }
        tenant_id = get_context().tenant_id
        self._remember({(tenant_id, name): cipher for name, cipher in ciphers.items()}, read_at)
        return ciphers

    def _remember(self, ciphers: Mapping[SubjectId, Cipher | None], read_at: float) -> None:
        unit = get_current_uow()
        if unit is None:
            self._put(ciphers, read_at)
            return
        in_unit = self._in_units.setdefault(unit, {})
        in_unit.update(ciphers)
        unit.on_commit(partial(self._promote, tuple(ciphers), in_unit, read_at))

    async def _promote(
        self,
        keys: Collection[SubjectId],
        in_unit: Mapping[SubjectId, Cipher | None],
        read_at: float,
    ) -> None:
        """Cache what a unit of work has read or made and not shredded, now that it committed."""
        self._put({key: in_unit[key] for key in keys}, read_at)

    def _put(self, ciphers: Mapping[SubjectId, Cipher | None], read_at: float) -> None:
        for key, cipher in ciphers.items():
            if cipher is not None:
                self._cache.put(key, cipher, read_at)

    async def _forget(self, key: SubjectId) -> None:
        self._cache.forget(key)

    def _known_in_unit(self, subjects: Collection[str]) -> dict[str, Cipher | None]:
        unit = get_current_uow()
        known = {} if unit is None else self._in_units.get(unit, {})
        tenant_id = get_context().tenant_id
        return {name: known[tenant_id, name] for name in subjects if (tenant_id, name) in known}


def _where(subject: str) -> bytes:
    """Return what binds a wrapped key to its subject."""
    return to_json(["subject-key", get_context().tenant_id, subject])
