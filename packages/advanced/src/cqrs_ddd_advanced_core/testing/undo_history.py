"""What every undo history must do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from cqrs_ddd_advanced_core.ports.undo_history import (
    IN_EFFECT,
    IUndoHistory,
    UndoEntry,
    UndoStatus,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import IEventStore
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import (
    OptimisticConcurrencyError,
    UniqueViolationError,
    UnitOfWorkError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance, elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_events, new_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

__all__ = ["UndoHistoryConformance", "UndoHistorySubject"]

_SCOPE: Final = "user:1"
_LATER: Final = MOMENT + timedelta(hours=1)


@dataclass(frozen=True)
class UndoHistorySubject:
    """An empty history, the units of work of its database, and a store for effects in it."""

    history: IUndoHistory
    unit_of_work: UnitOfWorkFactory
    event_store: IEventStore


class UndoHistoryConformance(Conformance):
    """Executed commands, kept in the transaction of their effects."""

    @pytest.fixture
    def subject(self) -> UndoHistorySubject:
        raise NotImplementedError("yield an UndoHistorySubject with an empty history")

    @pytest.fixture
    def history(self, subject: UndoHistorySubject) -> IUndoHistory:
        return subject.history

    async def test_an_entry_comes_back_as_it_was(self, history: IUndoHistory) -> None:
        entry = replace(
            _entry(AWKWARD_TEXT, group_id=new_id()),
            command_type=AWKWARD_TEXT,
            schema_version=3,
            command='{"text": "é 日本語",  "price": 1.10}'.encode(),
            memento=b"\x00\xff",
            error=AWKWARD_TEXT,
            user_id=AWKWARD_TEXT,
            correlation_id=AWKWARD_TEXT,
        )
        with message_context(tenant_id=AWKWARD_TEXT):
            added = await history.add(entry)
            assert await history.get(entry.token) == added
            assert await history.find(AWKWARD_TEXT) == [added]
        expected = replace(entry, tenant_id=AWKWARD_TEXT, revision=1, sequence=added.sequence)
        assert added == expected
        assert added.created_at.utcoffset() == timedelta(0)

    async def test_what_is_left_out_is_none(self, history: IUndoHistory) -> None:
        added = await history.add(_entry())
        assert await history.get(added.token) == added
        left_out = (added.memento, added.group_id, added.error, added.user_id)
        assert left_out == (None, None, None, None)

    async def test_a_large_command_is_kept_exactly(self, history: IUndoHistory) -> None:
        command, memento = b'"' + b"x" * 1_000_000 + b'"', bytes(range(256)) * 1_000
        added = await history.add(replace(_entry(), command=command, memento=memento))
        found = await history.get(added.token)
        assert found is not None
        assert (found.command == command, found.memento == memento) == (True, True)

    async def test_nothing_is_known_of_other_tokens(self, history: IUndoHistory) -> None:
        await history.add(_entry())
        assert await history.get(new_id()) is None
        assert await history.get_group(_SCOPE, new_id()) == []
        assert await history.find("another") == []

    async def test_a_token_has_one_entry(self, subject: UndoHistorySubject) -> None:
        entry = _entry()
        async with subject.unit_of_work():
            added = await subject.history.add(entry)
            with pytest.raises(UniqueViolationError):
                await subject.history.add(replace(entry, command=b'"other"'))
            await subject.history.add(_entry())
        assert await subject.history.get(entry.token) == added
        assert len(await subject.history.find(_SCOPE)) == 2

    async def test_entry_and_effect_commit_together(self, subject: UndoHistorySubject) -> None:
        """G1."""
        stream, entry = new_stream(), _entry()
        async with subject.unit_of_work():
            await subject.event_store.append(stream, new_events(1))
            await subject.history.add(entry)
            assert await subject.history.get(entry.token) is not None
        assert await subject.history.get(entry.token) is not None
        assert await subject.event_store.get_stream_version(stream) == 1

    @needs("concurrent_transactions")
    async def test_others_see_nothing_before_the_commit(self, subject: UndoHistorySubject) -> None:
        known, entry = await subject.history.add(_entry()), _entry()
        async with subject.unit_of_work():
            await subject.history.add(entry)
            await subject.history.update(_as(known, "undone"))
            assert await elsewhere(subject.history.find(_SCOPE)) == [known]
        found = await elsewhere(subject.history.find(_SCOPE))
        assert [one.token for one in found] == [entry.token, known.token]

    async def test_entry_and_effect_vanish_together(self, subject: UndoHistorySubject) -> None:
        """G1."""
        stream, known, entry = new_stream(), await subject.history.add(_entry()), _entry()
        undone = await subject.history.update(_as(await subject.history.add(_entry()), "undone"))
        async with rolled_back(subject.unit_of_work):
            await subject.history.lock(_SCOPE)
            await subject.event_store.append(stream, new_events(1))
            await subject.history.add(entry)
            await subject.history.update(_as(known, "undone"))
            await subject.history.discard_undone(_SCOPE, "because", _LATER)
            await subject.history.trim(_SCOPE, keep=0)
        assert await subject.history.find(_SCOPE, newest_first=False) == [known, undone]
        assert await subject.event_store.get_stream_version(stream) == 0

    async def test_an_update_is_seen_with_a_new_revision(self, history: IUndoHistory) -> None:
        added = await history.add(_entry())
        changed = replace(
            added,
            status=UndoStatus.UNDO_FAILED,
            error=AWKWARD_TEXT,
            command_type="AddItems",
            schema_version=2,
            command=b'"again"',
            memento=b'"other"',
            updated_at=_LATER,
        )
        updated = await history.update(changed)
        assert updated == replace(changed, revision=2)
        assert await history.get(added.token) == updated

    @pytest.mark.parametrize("status", list(UndoStatus))
    async def test_every_status_can_be_kept(
        self, history: IUndoHistory, status: UndoStatus
    ) -> None:
        added = await history.add(_entry())
        updated = await history.update(_as(added, status))
        assert updated.status is status
        assert (await history.find(_SCOPE, statuses=[status])) == [updated]

    async def test_a_stale_update_is_refused_and_the_unit_of_work_goes_on(
        self, subject: UndoHistorySubject
    ) -> None:
        added = await subject.history.add(_entry())
        await subject.history.update(_as(added, "undone"))
        async with subject.unit_of_work():
            for stale in (added, _entry()):
                with pytest.raises(OptimisticConcurrencyError):
                    await subject.history.update(_as(stale, "discarded"))
            await subject.history.add(_entry())
        found = await subject.history.find(_SCOPE)
        assert [one.status for one in found] == [UndoStatus.DONE, UndoStatus.UNDONE]

    async def test_of_many_updates_of_one_revision_one_wins(
        self, subject: UndoHistorySubject
    ) -> None:
        """H-6."""
        stream, added = new_stream(), await subject.history.add(_entry())

        async def undo() -> None:
            async with subject.unit_of_work():
                await subject.history.update(_as(added, "undone"))
                await asyncio.sleep(0)
                await subject.event_store.append(stream, new_events(1))

        outcomes = await asyncio.gather(*(undo() for _ in range(16)), return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, OptimisticConcurrencyError)]
        assert (outcomes.count(None), len(refused)) == (1, 15)
        assert await subject.event_store.get_stream_version(stream) == 1

    async def test_of_many_entries_of_one_token_one_is_added(
        self, subject: UndoHistorySubject
    ) -> None:
        stream, entry = new_stream(), _entry()

        async def execute() -> None:
            async with subject.unit_of_work():
                await subject.history.add(entry)
                await asyncio.sleep(0)
                await subject.event_store.append(stream, new_events(1))

        outcomes = await asyncio.gather(*(execute() for _ in range(16)), return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, UniqueViolationError)]
        assert (outcomes.count(None), len(refused)) == (1, 15)
        assert await subject.event_store.get_stream_version(stream) == 1

    async def test_a_locked_scope_has_one_writer_who_sees_all_before_him(
        self, subject: UndoHistorySubject
    ) -> None:
        seen: list[int] = []

        async def execute() -> None:
            async with subject.unit_of_work():
                await subject.history.lock(_SCOPE)
                found = await subject.history.find(_SCOPE)
                seen.append(len(found))
                await asyncio.sleep(0)
                await subject.history.add(_entry())

        await asyncio.gather(*(execute() for _ in range(16)))
        assert seen == list(range(16))
        found = await subject.history.find(_SCOPE, newest_first=False)
        assert [one.sequence for one in found] == sorted(one.sequence for one in found)

    async def test_a_lock_needs_a_unit_of_work(self, history: IUndoHistory) -> None:
        with pytest.raises(UnitOfWorkError):
            await history.lock(_SCOPE)

    async def test_entries_are_found_in_order_page_by_page(self, history: IUndoHistory) -> None:
        added = []
        for number in range(7):
            added.append(await history.add(_entry()))
            await history.add(_entry(f"other {number}"))
        assert await _pages(history, newest_first=False) == added
        assert await _pages(history, newest_first=True) == added[::-1]

    async def test_entries_are_found_by_status(self, history: IUndoHistory) -> None:
        added = [await history.add(_entry()) for _ in range(4)]
        for entry, status in zip(added[:3], ("undone", "undo_failed", "discarded"), strict=True):
            await history.update(_as(entry, status))
        in_effect = await history.find(_SCOPE, statuses=IN_EFFECT, newest_first=False)
        assert [one.token for one in in_effect] == [added[1].token, added[3].token]
        assert await history.find(_SCOPE, statuses=IN_EFFECT, limit=1) == [added[3]]
        assert await history.find(_SCOPE, statuses=[]) == []

    async def test_a_group_belongs_to_a_scope(self, history: IUndoHistory) -> None:
        group_id = new_id()
        first = await history.add(_entry(group_id=group_id))
        await history.add(_entry())
        await history.add(_entry("another", group_id=group_id))
        second = await history.add(_entry(group_id=group_id))
        assert await history.get_group(_SCOPE, group_id) == [first, second]

    async def test_what_is_undone_is_discarded_together(self, history: IUndoHistory) -> None:
        done = await history.add(_entry())
        undone = await history.update(_as(await history.add(_entry()), "undone"))
        elsewhere_undone = await history.update(_as(await history.add(_entry("other")), "undone"))
        assert await history.discard_undone(_SCOPE, AWKWARD_TEXT, _LATER) == 1
        assert await history.discard_undone(_SCOPE, "again", _LATER) == 0
        assert await history.get(done.token) == done
        assert await history.get(elsewhere_undone.token) == elsewhere_undone
        assert await history.get(undone.token) == replace(
            undone,
            status=UndoStatus.DISCARDED,
            error=AWKWARD_TEXT,
            updated_at=_LATER,
            revision=3,
        )

    async def test_tenants_do_not_see_each_other(self, history: IUndoHistory) -> None:
        entry, added = _entry(group_id=new_id()), {}
        for tenant in ("", "a", "b"):
            with message_context(tenant_id=tenant):
                added[tenant] = await history.add(entry)
        with message_context(tenant_id="a"):
            await history.update(_as(added["a"], "undone"))
            assert await history.discard_undone(_SCOPE, "because", _LATER) == 1
            assert await history.trim(_SCOPE, keep=0) == 1
            assert await history.get(entry.token) is None
        for tenant in ("", "b"):
            with message_context(tenant_id=tenant):
                assert await history.get(entry.token) == added[tenant]
                assert await history.find(_SCOPE) == [added[tenant]]
                assert await history.get_group(_SCOPE, _group(entry)) == [added[tenant]]

    async def test_old_entries_are_purged_for_all_tenants(self, history: IUndoHistory) -> None:
        for tenant in ("", "a", "b"):
            with message_context(tenant_id=tenant):
                await history.add(_entry())
        young = await history.add(_entry(at=_LATER))
        assert await history.purge(MOMENT) == 0
        assert await history.purge(_LATER, limit=2) == 2
        assert await history.purge(_LATER) == 1
        assert await history.purge(_LATER) == 0
        assert await history.find(_SCOPE) == [young]

    async def test_a_group_is_purged_whole_or_not_at_all(self, history: IUndoHistory) -> None:
        old, mixed = new_id(), new_id()
        for _ in range(3):
            await history.add(_entry(group_id=old))
            await history.add(_entry(group_id=mixed))
        await history.add(_entry(group_id=mixed, at=_LATER))
        assert await history.purge(_LATER, limit=1) == 3
        assert await history.purge(_LATER, limit=1) == 0
        assert len(await history.get_group(_SCOPE, mixed)) == 4

    async def test_failures_are_not_purged(self, history: IUndoHistory) -> None:
        for status in UndoStatus:
            await history.update(_as(await history.add(_entry()), status, at=MOMENT))
        assert await history.purge(_LATER) == 4
        assert await history.trim(_SCOPE, keep=0) == 0
        left = {one.status for one in await history.find(_SCOPE)}
        assert left == {UndoStatus.UNDO_FAILED, UndoStatus.COMPENSATION_FAILED}

    async def test_a_scope_is_trimmed_to_its_newest_entries(self, history: IUndoHistory) -> None:
        group_id, other = new_id(), await history.add(_entry("other"))
        alone = [await history.add(_entry()) for _ in range(3)]
        group = [await history.add(_entry(group_id=group_id)) for _ in range(3)]
        assert await history.trim(_SCOPE, keep=10) == 0
        assert await history.trim(_SCOPE, keep=4) == 2
        assert await history.find(_SCOPE, newest_first=False) == [alone[2], *group]
        assert await history.trim(_SCOPE, keep=1) == 1
        assert await history.find(_SCOPE, newest_first=False) == group
        assert await history.trim(_SCOPE, keep=0) == 3
        assert await history.find("other") == [other]


def _entry(
    scope: str = _SCOPE, *, group_id: UUID | None = None, at: datetime = MOMENT
) -> UndoEntry:
    command = b'{"item": "widget"}'
    return UndoEntry(new_id(), scope, "AddItem", command, at, at, group_id=group_id)


def _as(entry: UndoEntry, status: str, *, at: datetime = _LATER) -> UndoEntry:
    return replace(entry, status=UndoStatus(status), updated_at=at)


def _group(entry: UndoEntry) -> UUID:
    assert entry.group_id is not None
    return entry.group_id


async def _pages(history: IUndoHistory, *, newest_first: bool) -> Sequence[UndoEntry]:
    found: list[UndoEntry] = []
    while page := await history.find(
        _SCOPE,
        newest_first=newest_first,
        after=found[-1].sequence if found else None,
        limit=3,
    ):
        found += page
    return found
