"""What every snapshot store must do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta, timezone

import pytest

from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing import Conformance
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_stream

__all__ = ["SnapshotStoreConformance", "SnapshotStoreSubject"]

_ATHENS = timezone(timedelta(hours=3))


@dataclass(frozen=True)
class SnapshotStoreSubject:
    """An empty snapshot store, and the units of work of its database."""

    store: ISnapshotStore
    unit_of_work: UnitOfWorkFactory


class SnapshotStoreConformance(Conformance):
    """The newest state of each stream, and nobody else's."""

    @pytest.fixture
    def subject(self) -> SnapshotStoreSubject:
        raise NotImplementedError("yield a SnapshotStoreSubject with an empty store")

    async def test_an_unknown_stream_has_none(self, subject: SnapshotStoreSubject) -> None:
        assert await subject.store.get_latest_snapshot(new_stream()) is None
        assert await subject.store.delete_snapshots(new_stream()) == 0
        assert await subject.store.delete_snapshots(new_stream(), keep=3) == 0
        assert await subject.store.clear() == 0
        assert await subject.store.get_snapshot_count() == 0

    @pytest.mark.parametrize(
        "state", [b"", b"{}", '{"note": "é 日本語",  "n": 1.10}'.encode(), bytes(range(256))]
    )
    async def test_what_was_saved_comes_back_exactly(
        self, subject: SnapshotStoreSubject, state: bytes
    ) -> None:
        saved = Snapshot(new_stream(), 7, "shape", state, MOMENT)
        await subject.store.save_snapshot(saved)
        found = await subject.store.get_latest_snapshot(saved.stream)
        assert found == saved
        assert type(found.state) is bytes

    async def test_the_time_is_a_moment_in_any_zone(self, subject: SnapshotStoreSubject) -> None:
        saved = Snapshot(new_stream(), 1, "shape", b"{}", MOMENT.astimezone(_ATHENS))
        await subject.store.save_snapshot(saved)
        found = await subject.store.get_latest_snapshot(saved.stream)
        assert found is not None
        assert found.created_at == MOMENT
        assert found.created_at.tzinfo is not None

    @pytest.mark.parametrize("aggregate_id", ["", " ", "1", AWKWARD_TEXT, "x" * 500])
    async def test_ids_are_text_of_any_kind(
        self, subject: SnapshotStoreSubject, aggregate_id: str
    ) -> None:
        stream = StreamId(AWKWARD_TEXT, aggregate_id)
        await subject.store.save_snapshot(_snapshot(stream, 1))
        assert await subject.store.get_latest_snapshot(stream) == _snapshot(stream, 1)
        assert await subject.store.get_latest_snapshot(StreamId("Other", aggregate_id)) is None

    async def test_a_big_state_is_kept(self, subject: SnapshotStoreSubject) -> None:
        saved = Snapshot(new_stream(), 1, "shape", b"0123456789abcdef" * 131_072, MOMENT)
        await subject.store.save_snapshot(saved)
        assert await subject.store.get_latest_snapshot(saved.stream) == saved

    async def test_the_highest_version_wins_in_whatever_order_they_come(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = await _saved(subject, 200, 1000, 30)
        assert await _latest_version(subject, stream) == 1000

    async def test_versions_go_beyond_32_bits(self, subject: SnapshotStoreSubject) -> None:
        stream = await _saved(subject, 2**31, 2**40)
        assert await _latest_version(subject, stream) == 2**40

    @pytest.mark.parametrize(
        "up_to_version, expected", [(9, None), (10, 10), (19, 10), (20, 20), (2**40, 30)]
    )
    async def test_one_can_ask_for_none_newer_than_a_version(
        self, subject: SnapshotStoreSubject, up_to_version: int, expected: int | None
    ) -> None:
        stream = await _saved(subject, 10, 20, 30)
        found = await subject.store.get_latest_snapshot(stream, up_to_version=up_to_version)
        assert (None if found is None else found.version) == expected

    async def test_one_can_ask_for_a_shape(self, subject: SnapshotStoreSubject) -> None:
        stream = await _saved(subject, 10, 20)
        await subject.store.save_snapshot(_snapshot(stream, 30, fingerprint="new"))
        find = subject.store.get_latest_snapshot
        assert await find(stream, fingerprint="shape") == _snapshot(stream, 20)
        assert await find(stream, fingerprint="shape", up_to_version=15) == _snapshot(stream, 10)
        assert await find(stream, fingerprint="new", up_to_version=29) is None
        assert await find(stream, fingerprint="unknown") is None

    async def test_the_same_version_is_replaced(self, subject: SnapshotStoreSubject) -> None:
        """S-27."""
        stream = await _saved(subject, 10)
        newer = Snapshot(stream, 10, "other", b"[1]", MOMENT + timedelta(days=1))
        await subject.store.save_snapshot(newer)
        assert await subject.store.get_latest_snapshot(stream) == newer
        assert await subject.store.get_snapshot_count() == 1

    async def test_saving_one_version_at_the_same_time_leaves_one(
        self, subject: SnapshotStoreSubject
    ) -> None:
        """S-27."""
        stream = new_stream()
        saved = [Snapshot(stream, 5, f"shape-{n}", f"[{n}]".encode(), MOMENT) for n in range(8)]
        await asyncio.gather(*(subject.store.save_snapshot(snapshot) for snapshot in saved))
        assert await subject.store.get_latest_snapshot(stream) in saved
        assert await subject.store.get_snapshot_count() == 1

    @pytest.mark.parametrize("keep, removed", [(0, 4), (1, 3), (2, 2), (4, 0), (9, 0)])
    async def test_the_newest_can_be_kept(
        self, subject: SnapshotStoreSubject, keep: int, removed: int
    ) -> None:
        """S-27."""
        stream, other = await _saved(subject, 40, 10, 30, 20), await _saved(subject, 1, 2)
        assert await subject.store.delete_snapshots(stream, keep=keep) == removed
        left = await subject.store.get_snapshot_count()
        assert left == 4 - removed + 2
        oldest = await subject.store.get_latest_snapshot(stream, up_to_version=10 * (removed + 1))
        assert (oldest is None) == (removed == 4)
        assert await subject.store.get_latest_snapshot(stream, up_to_version=10 * removed) is None
        assert await _latest_version(subject, other) == 2

    async def test_a_deleted_version_can_be_saved_again(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = await _saved(subject, 10)
        await subject.store.delete_snapshots(stream)
        await subject.store.save_snapshot(_snapshot(stream, 10))
        assert await _latest_version(subject, stream) == 10

    async def test_all_of_a_type_or_all_can_be_cleared(self, subject: SnapshotStoreSubject) -> None:
        for aggregate_type, version in (("Order", 1), ("Order", 2), ("Account", 3)):
            await subject.store.save_snapshot(_snapshot(new_stream(aggregate_type), version))
        assert await subject.store.get_snapshot_count() == 3
        assert await subject.store.get_snapshot_count("Order") == 2
        assert await subject.store.get_snapshot_count("Unknown") == 0
        assert await subject.store.clear("Order") == 2
        assert await subject.store.get_snapshot_count() == 1
        assert await subject.store.clear() == 1

    async def test_each_tenant_has_its_own(self, subject: SnapshotStoreSubject) -> None:
        stream = new_stream()
        for version, tenant in enumerate(("", "a", "b"), 1):
            with message_context(tenant_id=tenant):
                assert await subject.store.get_latest_snapshot(stream) is None
                await subject.store.save_snapshot(_snapshot(stream, version))
        with message_context(tenant_id="a"):
            assert await subject.store.get_snapshot_count() == 1
            assert await _latest_version(subject, stream) == 2
            assert await subject.store.delete_snapshots(stream) == 1
            assert await subject.store.clear() == 0
        with message_context(tenant_id="b"):
            assert await _latest_version(subject, stream) == 3
            assert await subject.store.clear() == 1
        assert await _latest_version(subject, stream) == 1

    async def test_a_unit_of_work_sees_what_it_saved_and_others_do_not(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = new_stream()
        async with subject.unit_of_work():
            await subject.store.save_snapshot(_snapshot(stream, 1))
            assert await _latest_version(subject, stream) == 1
            assert await subject.store.get_snapshot_count() == 1
        assert await _latest_version(subject, stream) == 1

    @needs("concurrent_transactions")
    async def test_others_do_not_see_it_before_the_commit(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = new_stream()
        async with subject.unit_of_work():
            await subject.store.save_snapshot(_snapshot(stream, 1))
            assert await elsewhere(subject.store.get_latest_snapshot(stream)) is None

    async def test_a_rollback_takes_back_what_was_saved(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = await _saved(subject, 1)
        async with rolled_back(subject.unit_of_work):
            await subject.store.save_snapshot(_snapshot(stream, 1, fingerprint="other"))
            await subject.store.save_snapshot(_snapshot(stream, 2))
        assert await subject.store.get_latest_snapshot(stream) == _snapshot(stream, 1)

    async def test_a_rollback_brings_back_what_was_removed(
        self, subject: SnapshotStoreSubject
    ) -> None:
        stream = await _saved(subject, 1, 2)
        async with rolled_back(subject.unit_of_work):
            assert await subject.store.delete_snapshots(stream, keep=1) == 1
            assert await subject.store.delete_snapshots(stream) == 1
            assert await subject.store.get_latest_snapshot(stream) is None
        async with rolled_back(subject.unit_of_work):
            assert await subject.store.clear() == 2
        assert await subject.store.get_snapshot_count() == 2


def _snapshot(stream: StreamId, version: int, *, fingerprint: str = "shape") -> Snapshot:
    return Snapshot(stream, version, fingerprint, f'{{"version": {version}}}'.encode(), MOMENT)


async def _saved(subject: SnapshotStoreSubject, *versions: int) -> StreamId:
    stream = new_stream()
    for version in versions:
        await subject.store.save_snapshot(_snapshot(stream, version))
    return stream


async def _latest_version(subject: SnapshotStoreSubject, stream: StreamId) -> int | None:
    found = await subject.store.get_latest_snapshot(stream)
    return None if found is None else found.version
