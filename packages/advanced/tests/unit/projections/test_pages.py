"""The next page is read while one is worked off, and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs_ddd_advanced_core.projections._pages import FeedPages
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.ports.event_store import EventFilter, EventPage
from cqrs_ddd_core.testing.samples import new_event, new_stream


class _Store(InMemoryEventStore):
    """Notes what is asked for, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.failing: set[int] = set()

    async def read_page(self, after_position: int = 0, **options: Any) -> EventPage:
        self.asked.append(after_position)
        await asyncio.sleep(0)
        if after_position in self.failing:
            raise ConnectionError("it is away")
        return await super().read_page(after_position, **options)


async def _pages() -> tuple[_Store, FeedPages]:
    store = _Store()
    await store.append(new_stream(), [new_event() for _ in range(5)])
    return store, FeedPages(store, EventFilter(), limit=2)


async def test_a_page_that_was_read_ahead_is_not_read_again() -> None:
    store, pages = await _pages()
    first = await pages.after(0)
    pages.read_ahead(first.position)
    second = await pages.after(first.position)
    assert [event.position for event in second.events] == [3, 4]
    assert store.asked == [0, 2]
    await pages.close()


async def test_another_page_than_expected_is_read_for_itself() -> None:
    store, pages = await _pages()
    pages.read_ahead(2)
    assert [event.position for event in (await pages.after(3)).events] == [4, 5]
    assert store.asked[-1] == 3
    await pages.close()


async def test_a_page_that_cannot_be_read_ahead_fails_when_it_is_asked_for() -> None:
    store, pages = await _pages()
    store.failing = {2}
    pages.read_ahead(2)
    with pytest.raises(ConnectionError):
        await pages.after(2)
    store.failing = set()
    assert (await pages.after(2)).events


@pytest.mark.parametrize("failing", [set[int](), {2}])
async def test_what_is_not_asked_for_leaves_nothing_behind(failing: set[int]) -> None:
    store, pages = await _pages()
    store.failing = failing
    for waits in range(4):
        pages.read_ahead(2)
        for _ in range(waits):
            await asyncio.sleep(0)
        await pages.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
