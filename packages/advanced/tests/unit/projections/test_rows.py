"""What handlers do to rows is folded row by row, and comes to the same as one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import ProjectionRows
from cqrs_ddd_advanced_core.projections._row_buffer import TableShape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TABLE = ProjectionSchema(
    "items",
    {
        "id": ProjectionColumn(int),
        "name": ProjectionColumn(str, default="new"),
        "count": ProjectionColumn(int, default=10),
        "total": ProjectionColumn(Decimal, nullable=True),
    },
    ("id",),
)
SEEN = ProjectionSchema(
    "seen", {"left": ProjectionColumn(int), "right": ProjectionColumn(str)}, ("right", "left")
)

Step = "Callable[[ProjectionRows], None]"

keys = st.integers(0, 2)
values = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]),
        "count": st.integers(-5, 5),
        "total": st.none() | st.decimals(-5, 5, places=2),
    },
)
amounts = st.fixed_dictionaries(
    {}, optional={"count": st.integers(-5, 5), "total": st.decimals(-5, 5, places=2)}
)
steps = st.one_of(
    st.builds(lambda key, row: lambda rows: rows.put("items", {"id": key, **row}), keys, values),
    st.builds(lambda key, row: lambda rows: rows.update(TABLE, key, **row), keys, values),
    st.builds(lambda key, row: lambda rows: rows.add("items", (key,), **row), keys, amounts),
    st.builds(lambda key: lambda rows: rows.delete("items", key), keys),
)


def new_rows(store: InMemoryProjectionStore) -> ProjectionRows:
    return ProjectionRows(store, {one.name: TableShape(one) for one in (TABLE, SEEN)})


async def new_store() -> InMemoryProjectionStore:
    store = InMemoryProjectionStore()
    for schema in (TABLE, SEEN):
        await store.ensure(schema)
    return store


async def contents(store: InMemoryProjectionStore) -> dict[Any, Any]:
    found = await store.fetch(TABLE, [(key,) for key in range(3)])
    return {
        key: ({name: row[name] for name in TABLE.columns}, row["_last_position"])
        for key, row in found.items()
    }


@given(before=st.lists(steps, max_size=4), batch=st.lists(steps, max_size=8))
async def test_folding_is_the_same_as_one_by_one(
    before: Sequence[Callable[[ProjectionRows], None]],
    batch: Sequence[Callable[[ProjectionRows], None]],
) -> None:
    folded, single = await new_store(), await new_store()
    for position, step in enumerate([*before, *batch], 1):
        rows = new_rows(single)
        rows.position = position
        step(rows)
        assert await rows.write() == 0
    for first, part in ((1, before), (len(before) + 1, batch)):
        rows = new_rows(folded)
        for position, step in enumerate(part, first):
            rows.position = position
            step(rows)
        seen = {key: await rows.get("items", key) for key in range(3)}
        assert await rows.write() == 0
        assert seen == {key: await rows.get("items", key) for key in range(3)}
    assert await contents(folded) == await contents(single)


async def test_a_row_is_written_once_however_many_events_change_it() -> None:
    store = await new_store()
    rows = new_rows(store)
    for position in range(1, 101):
        rows.position = position
        rows.add("items", 1, count=1)
    await rows.write()
    row = (await store.fetch(TABLE, [(1,)]))[1,]
    assert (row["count"], row["_version"], row["_last_position"]) == (110, 1, 100)


async def test_reading_sees_the_batch_so_far() -> None:
    store = await new_store()
    rows = new_rows(store)
    rows.position = 1
    rows.put("items", {"id": 1, "total": Decimal(1)})
    await rows.write()
    rows.position = 2
    assert await rows.get("items", 1) == {"id": 1, "name": "new", "count": 10, "total": Decimal(1)}
    rows.add("items", 1, count=5)
    rows.update("items", 2, name="second")
    assert await rows.get(TABLE, (1,)) == {"id": 1, "name": "new", "count": 15, "total": 1}
    assert await rows.get("items", 2) == {"id": 2, "name": "second", "count": 10, "total": None}
    rows.delete("items", 1)
    assert await rows.get("items", 1) is None
    assert await rows.get("items", 3) is None


async def test_a_row_that_was_read_can_be_put_back() -> None:
    rows = new_rows(await new_store())
    rows.update("items", 1, name="a")
    row = await rows.get("items", 1)
    assert row is not None
    row["count"] += 1
    rows.put("items", row)
    assert await rows.get("items", 1) == {"id": 1, "name": "a", "count": 11, "total": None}


async def test_a_row_may_be_nothing_but_its_key() -> None:
    store = await new_store()
    rows = new_rows(store)
    rows.put("seen", {"left": 1, "right": "a"})
    rows.put("seen", {"left": 2, "right": "a"})
    rows.delete("seen", ("a", 2))
    await rows.write()
    assert list(await store.fetch(SEEN, [("a", 1), ("a", 2)])) == [("a", 1)]


def test_doing_nothing_makes_no_row() -> None:
    rows = new_rows(InMemoryProjectionStore())
    rows.add("items", 1)
    rows.update("items", 1)
    assert rows.buffers["items"].changes == {}


@pytest.mark.parametrize(
    "step",
    [
        lambda rows: rows.put("items", {"name": "a"}),
        lambda rows: rows.put("items", {"id": 1, "unknown": "a"}),
        lambda rows: rows.update("items", 1, unknown=1),
        lambda rows: rows.update("items", 1, id=2),
        lambda rows: rows.add("items", 1, name=1),
        lambda rows: rows.add("items", 1, unknown=1),
        lambda rows: rows.add("items", (1, 2), count=1),
        lambda rows: rows.delete("seen", 1),
    ],
)
def test_what_cannot_be_a_change_is_refused(step: Callable[[ProjectionRows], None]) -> None:
    rows = new_rows(InMemoryProjectionStore())
    with pytest.raises(ProjectionValueError):
        step(rows)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ProjectionDefinitionError, match="items, seen"):
        new_rows(InMemoryProjectionStore()).add("unknown", 1, count=1)
