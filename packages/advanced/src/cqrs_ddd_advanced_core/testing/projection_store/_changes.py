"""What becomes of rows: made, set, counted up, replaced, removed, and guarded."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_advanced_core.testing.projection_store._suite import (
    ORDERS,
    PAIRS,
    ProjectionStoreSuite,
    apply,
    change,
    delete,
    row_of,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore

__all__ = ["ChangeTests"]

_GUARD = (ROW_VERSION, LAST_POSITION)


class ChangeTests(ProjectionStoreSuite):
    """What becomes of rows."""

    async def test_a_new_row_has_the_defaults(self, store: IProjectionStore) -> None:
        """S-19: the key is in the row, though nobody repeated it."""
        assert list(await apply(store, change(1, customer="Ada"))) == []
        assert await row_of(store) == {
            "id": "o-1",
            "customer": "Ada",
            "note": None,
            "lines": 0,
            "total": Decimal(0),
            "extra": None,
        }

    async def test_columns_are_set_and_others_kept(self, store: IProjectionStore) -> None:
        await apply(store, change(1, customer="Ada", note="first", lines=3))
        await apply(store, change(2, note=None, total=Decimal("1.10")))
        assert await row_of(store, "o-1", "customer", "note", "lines", "total") == (
            "Ada",
            None,
            3,
            Decimal("1.10"),
        )

    async def test_numbers_are_added_to_what_is_there(self, store: IProjectionStore) -> None:
        await apply(store, change(1, customer="Ada", adds={"lines": 2, "total": Decimal("0.10")}))
        await apply(store, change(2, adds={"lines": -5, "total": Decimal("0.20")}, customer="Bob"))
        found = await row_of(store, "o-1", "customer", "lines", "total")
        assert found == ("Bob", -3, Decimal("0.30"))

    async def test_adding_to_nothing_begins_at_zero(self, store: IProjectionStore) -> None:
        await apply(store, change(1, customer="Ada", adds={"extra": Decimal("1.5")}))
        await apply(store, change(2, adds={"extra": Decimal("1.5")}))
        assert await row_of(store, "o-1", "extra") == (Decimal(3),)
        await apply(store, change(3, extra=None))
        await apply(store, change(4, adds={"extra": 2}))
        assert await row_of(store, "o-1", "extra") == (Decimal(2),)

    async def test_a_removed_row_is_gone(self, store: IProjectionStore) -> None:
        await apply(store, change(1, customer="Ada"), change(1, "o-2", customer="Bob"))
        await apply(store, delete(2), delete(2, "o-3"))
        assert await row_of(store) is None
        assert await store.count(ORDERS) == 1

    async def test_a_replaced_row_keeps_nothing(self, store: IProjectionStore) -> None:
        await apply(store, change(1, customer="Ada", note="first", lines=3))
        await apply(store, change(2, deletes=True, customer="Bob", adds={"lines": 1}))
        found = await row_of(store, "o-1", "customer", "note", "lines")
        assert found == ("Bob", None, 1)

    async def test_a_replaced_row_may_be_new(self, store: IProjectionStore) -> None:
        await apply(store, change(2, deletes=True, customer="Bob", adds={"lines": 1}))
        assert await row_of(store, "o-1", "customer", "note", "lines") == ("Bob", None, 1)

    async def test_a_row_may_be_nothing_but_its_key(self, store: IProjectionStore) -> None:
        one, two = UUID(int=1), UUID(int=2)
        pairs = [change(1, (5, one), deletes=True), change(1, (5, two), deletes=True)]
        await apply(store, *pairs, schema=PAIRS)
        await apply(store, change(2, (5, one), deletes=True), delete(3, (5, two)), schema=PAIRS)
        found = await store.fetch(PAIRS, [(5, one), (5, two)])
        assert {key: (row["left"], row["right"]) for key, row in found.items()} == {
            (5, one): (one, 5)
        }

    async def test_many_rows_are_changed_in_many_ways_at_once(
        self, store: IProjectionStore
    ) -> None:
        await apply(store, *(change(1, f"o-{n}", customer="Ada", lines=n) for n in range(700)))
        changes = []
        for n in range(1000):
            if n % 4 == 0:
                changes.append(delete(2, f"o-{n}"))
            elif n % 4 == 1:
                changes.append(change(2, f"o-{n}", customer="Bob", adds={"lines": 1}))
            elif n % 4 == 2:
                changes.append(change(2, f"o-{n}", deletes=True, customer=AWKWARD_TEXT, lines=7))
            else:
                changes.append(change(2, f"o-{n}", customer="Eve", note="x"))
        assert list(await apply(store, *changes)) == []
        found = {row["id"]: row for row in await store.query(ORDERS, QueryOptions())}
        assert len(found) == 750
        for n in range(1000):
            row = found.get(f"o-{n}")
            if n % 4 == 0:
                assert row is None
                continue
            assert row is not None
            was = n if n < 700 else 0
            lines = (0, was + 1, 7, was)[n % 4]
            customer = ("", "Bob", AWKWARD_TEXT, "Eve")[n % 4]
            assert (row["customer"], row["lines"]) == (customer, lines)

    async def test_nothing_to_change_is_fine(self, store: IProjectionStore) -> None:
        assert list(await apply(store)) == []
        assert list(await store.fetch(ORDERS, [])) == []

    # --- the guard --------------------------------------------------------------------------

    async def test_a_row_counts_its_changes_and_knows_the_last_event(
        self, store: IProjectionStore
    ) -> None:
        """S-17."""
        await apply(store, change(1, customer="Ada"))
        assert await row_of(store, "o-1", *_GUARD) == (1, 1)
        await apply(store, change(2, last=8, adds={"lines": 1}))
        assert await row_of(store, "o-1", *_GUARD) == (2, 8)
        await apply(store, change(9, deletes=True, customer="Bob"))
        assert await row_of(store, "o-1", *_GUARD) == (3, 9)

    async def test_a_row_refuses_what_is_not_newer(self, store: IProjectionStore) -> None:
        """S-17: upserts at positions 1, 5, 3 (stale) and 5 (twice)."""
        assert list(await apply(store, change(1, customer="one"))) == []
        assert list(await apply(store, change(5, customer="five"))) == []
        assert list(await apply(store, change(3, customer="three"))) == [("o-1",)]
        assert list(await apply(store, change(5, adds={"lines": 1}))) == [("o-1",)]
        assert list(await apply(store, change(5, deletes=True, customer="x"))) == [("o-1",)]
        assert list(await apply(store, delete(4))) == [("o-1",)]
        assert await row_of(store, "o-1", "customer", "lines", *_GUARD) == ("five", 0, 2, 5)

    async def test_a_batch_that_began_before_is_refused(self, store: IProjectionStore) -> None:
        await apply(store, change(5, customer="five"))
        assert list(await apply(store, change(4, last=9, adds={"lines": 1}))) == [("o-1",)]
        assert await row_of(store, "o-1", "lines", *_GUARD) == (0, 1, 5)

    async def test_rows_that_accept_are_changed_beside_those_that_refuse(
        self, store: IProjectionStore
    ) -> None:
        await apply(store, change(5, customer="five"), change(5, "o-3", customer="five"))
        refused = await apply(
            store, change(5, customer="x"), change(5, "o-2", customer="new"), delete(5, "o-3")
        )
        assert sorted(refused) == [("o-1",), ("o-3",)]
        assert await row_of(store, "o-1", "customer") == ("five",)
        assert await row_of(store, "o-2", "customer") == ("new",)
        assert await row_of(store, "o-3", "customer") == ("five",)

    async def test_without_guard_late_events_are_applied(self, store: IProjectionStore) -> None:
        """Partitions that share a row, and parked events that are retried."""
        await apply(store, change(5, customer="five", lines=1))
        late = change(3, adds={"lines": 1})
        assert list(await apply(store, late, guarded=False)) == []
        assert await row_of(store, "o-1", "customer", "lines", *_GUARD) == ("five", 2, 2, 5)
        assert list(await apply(store, delete(3), guarded=False)) == []
        assert await row_of(store) is None
