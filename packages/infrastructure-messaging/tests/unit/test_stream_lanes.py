from __future__ import annotations

import asyncio
from collections import defaultdict

from cqrs_ddd_infrastructure_messaging._lanes import StreamLanes

Item = tuple[str, int]


class _Work:
    """Holds every item until it is let go."""

    def __init__(self) -> None:
        self.begun: list[Item] = []
        self.gates: defaultdict[Item, asyncio.Event] = defaultdict(asyncio.Event)
        self.lanes = StreamLanes(self, name="lanes")

    async def __call__(self, item: Item) -> None:
        self.begun.append(item)
        await self.gates[item].wait()

    def put(self, *items: Item) -> None:
        for item in items:
            self.lanes.put(item[0], item)


async def test_a_stream_waits_for_itself_and_for_no_other() -> None:
    work = _Work()
    work.put(("a", 1), ("a", 2), ("b", 1))
    await _settle()
    assert work.begun == [("a", 1), ("b", 1)]
    work.gates["a", 1].set()
    await _settle()
    assert work.begun == [("a", 1), ("b", 1), ("a", 2)]
    work.gates["a", 2].set()
    work.gates["b", 1].set()
    assert await work.lanes.drain(timeout=10)


async def test_a_lane_is_gone_when_its_work_is_done() -> None:
    work = _Work()
    work.gates["a", 1].set()
    work.put(("a", 1))
    assert work.lanes.is_busy("a")
    await work.lanes.drain(timeout=10)
    assert not work.lanes.is_busy("a")


async def test_work_that_raises_does_not_stop_its_lane() -> None:
    done = list[int]()

    async def work(item: int) -> None:
        if item == 1:
            raise RuntimeError
        done.append(item)

    lanes = StreamLanes(work, name="lanes")
    for item in (1, 2):
        lanes.put("a", item)
    assert await lanes.drain(timeout=10)
    assert done == [2]


async def test_what_is_late_is_cancelled() -> None:
    work = _Work()
    work.put(("a", 1), ("b", 1))
    await _settle()
    work.gates["b", 1].set()
    assert not await work.lanes.drain(timeout=0.01)
    assert not work.lanes.is_busy("a")


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
