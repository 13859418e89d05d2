"""What every store of subject keys must do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.testing import Conformance
from cqrs_ddd_core.testing.conformance import Veto, elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

__all__ = ["SubjectKeysConformance", "SubjectKeysSubject"]

_ANY_BYTES = bytes(range(256))


@dataclass(frozen=True)
class SubjectKeysSubject:
    """An empty store of subject keys, and the units of work of its database."""

    store: ISubjectKeyStore
    unit_of_work: UnitOfWorkFactory


class SubjectKeysConformance(Conformance):
    """One key per subject, and none for ever once it is shredded."""

    @pytest.fixture
    def subject(self) -> SubjectKeysSubject:
        raise NotImplementedError("yield a SubjectKeysSubject with an empty store")

    @pytest.fixture
    def store(self, subject: SubjectKeysSubject) -> ISubjectKeyStore:
        return subject.store

    async def test_a_key_is_found_as_it_was_stored(self, store: ISubjectKeyStore) -> None:
        before = utc_now()
        made = await store.get_or_create({AWKWARD_TEXT: _ANY_BYTES})
        found = await store.find([AWKWARD_TEXT])
        assert made == found
        key = found[AWKWARD_TEXT]
        assert (key.subject, key.wrapped_key, key.shredded_at) == (AWKWARD_TEXT, _ANY_BYTES, None)
        assert key.created_at.utcoffset() == timedelta(0)
        assert abs(key.created_at - before) < timedelta(minutes=5)

    async def test_an_unknown_subject_is_left_out(self, store: ISubjectKeyStore) -> None:
        await store.get_or_create({"anna": b"a"})
        assert set(await store.find(["anna", "ben"])) == {"anna"}
        assert await store.find([]) == {}
        assert await store.get_or_create({}) == {}

    async def test_the_first_key_stays(self, store: ISubjectKeyStore) -> None:
        first = await store.get_or_create({"anna": b"first"})
        again = await store.get_or_create({"anna": b"second", "ben": b"other"})
        assert again["anna"] == first["anna"]
        assert again["ben"].wrapped_key == b"other"

    async def test_many_subjects_are_looked_up_at_once(self, store: ISubjectKeyStore) -> None:
        proposed = {f"subject-{number}": str(number).encode() for number in range(500)}
        made = await store.get_or_create(proposed)
        assert {name: key.wrapped_key for name, key in made.items()} == proposed
        assert await store.find(list(proposed)) == made

    async def test_each_tenant_has_keys_of_its_own(self, store: ISubjectKeyStore) -> None:
        for tenant in ("", "a", "b"):
            with message_context(tenant_id=tenant):
                made = await store.get_or_create({"anna": tenant.encode() or b"none"})
                assert made["anna"].wrapped_key == (tenant.encode() or b"none")
        with message_context(tenant_id="a"):
            assert await store.shred("anna")
            assert (await store.find(["anna"]))["anna"].wrapped_key is None
        with message_context(tenant_id="b"):
            assert (await store.find(["anna"]))["anna"].wrapped_key == b"b"

    async def test_of_many_writers_of_a_new_subject_all_get_one_key(
        self, subject: SubjectKeysSubject
    ) -> None:
        async def write(number: int) -> SubjectKey:
            async with subject.unit_of_work():
                made = await subject.store.get_or_create({"anna": str(number).encode()})
                await asyncio.sleep(0.001)
                return made["anna"]

        keys = await asyncio.gather(*(write(number) for number in range(16)))
        assert len(set(keys)) == 1
        assert (await subject.store.find(["anna"]))["anna"] == keys[0]

    async def test_writers_outside_of_units_of_work_get_one_key_too(
        self, store: ISubjectKeyStore
    ) -> None:
        made = await asyncio.gather(
            *(store.get_or_create({"anna": str(n).encode(), "ben": b"b"}) for n in range(16))
        )
        assert len({keys["anna"] for keys in made}) == 1

    async def test_a_rolled_back_key_never_was(self, subject: SubjectKeysSubject) -> None:
        async with rolled_back(subject.unit_of_work):
            made = await subject.store.get_or_create({"anna": b"lost"})
            assert await subject.store.find(["anna"]) == made
        assert await subject.store.find(["anna"]) == {}
        made = await subject.store.get_or_create({"anna": b"kept"})
        assert made["anna"].wrapped_key == b"kept"

    async def test_a_waiting_writer_makes_the_key_after_a_rollback(
        self, subject: SubjectKeysSubject
    ) -> None:
        failures = iter([True, True, False])

        async def write(number: int) -> bytes | None:
            async with subject.unit_of_work():
                made = await subject.store.get_or_create({"anna": str(number).encode()})
                await asyncio.sleep(0.01)
                if made["anna"].wrapped_key == str(number).encode() and next(failures):
                    raise Veto
                return made["anna"].wrapped_key

        found = await asyncio.gather(*(write(n) for n in range(5)), return_exceptions=True)
        assert sum(isinstance(outcome, Veto) for outcome in found) == 2
        kept = {outcome for outcome in found if not isinstance(outcome, BaseException)}
        assert len(kept) == 1
        assert (await subject.store.find(["anna"]))["anna"].wrapped_key in kept

    @needs("concurrent_transactions")
    async def test_others_see_a_key_after_its_commit(self, subject: SubjectKeysSubject) -> None:
        async with subject.unit_of_work():
            await subject.store.get_or_create({"anna": b"a"})
            assert await elsewhere(subject.store.find(["anna"])) == {}
        assert set(await subject.store.find(["anna"])) == {"anna"}

    async def test_a_shredded_subject_has_no_key(self, store: ISubjectKeyStore) -> None:
        made = await store.get_or_create({"anna": b"a", "ben": b"b"})
        assert await store.shred("anna")
        found = await store.find(["anna", "ben"])
        shredded = found["anna"]
        assert shredded.wrapped_key is None
        assert shredded.created_at == made["anna"].created_at
        assert shredded.shredded_at is not None
        assert shredded.shredded_at.utcoffset() == timedelta(0)
        assert found["ben"] == made["ben"]

    async def test_a_key_is_never_made_anew(self, store: ISubjectKeyStore) -> None:
        await store.get_or_create({"anna": b"a"})
        await store.shred("anna")
        for number in range(2):
            made = await store.get_or_create({"anna": str(number).encode(), "ben": b"b"})
            assert made["anna"].wrapped_key is None
            assert made["ben"].wrapped_key == b"b"

    async def test_shredding_again_changes_nothing(self, store: ISubjectKeyStore) -> None:
        await store.get_or_create({"anna": b"a"})
        assert await store.shred("anna") is True
        first = await store.find(["anna"])
        assert await store.shred("anna") is False
        assert await store.find(["anna"]) == first

    async def test_an_unknown_subject_is_shredded_for_good(self, store: ISubjectKeyStore) -> None:
        assert await store.shred("anna") is True
        assert await store.shred("anna") is False
        made = await store.get_or_create({"anna": b"a"})
        assert made["anna"].wrapped_key is None
        assert made["anna"].shredded_at is not None

    async def test_a_rolled_back_shred_never_was(self, subject: SubjectKeysSubject) -> None:
        made = await subject.store.get_or_create({"anna": b"a"})
        async with rolled_back(subject.unit_of_work):
            assert await subject.store.shred("anna")
            assert (await subject.store.find(["anna"]))["anna"].wrapped_key is None
        assert await subject.store.find(["anna"]) == made
        assert await subject.store.shred("anna") is True

    async def test_of_many_shreds_one_did_it(self, store: ISubjectKeyStore) -> None:
        await store.get_or_create({"anna": b"a"})
        done = await asyncio.gather(*(store.shred("anna") for _ in range(8)))
        assert done.count(True) == 1

    async def test_a_shred_that_races_with_the_first_key_wins(
        self, subject: SubjectKeysSubject
    ) -> None:
        """Whoever comes first: afterwards there is no key."""

        async def write(name: str) -> None:
            async with subject.unit_of_work():
                await subject.store.get_or_create({name: b"key"})
                await asyncio.sleep(0.001)

        names = [f"subject-{number}" for number in range(8)]
        await asyncio.gather(*map(write, names), *map(subject.store.shred, names))
        found = await subject.store.find(names)
        assert [found[name].wrapped_key for name in names] == [None] * 8
