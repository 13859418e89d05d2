from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_infrastructure_messaging.rabbitmq._acknowledging import Acknowledger

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel


class _Channel:
    """Keeps the rules of a broker: each delivery is acknowledged once."""

    is_closed = False

    def __init__(self, delivered: int) -> None:
        self.open = set(range(1, delivered + 1))
        self.frames = 0

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        assert not wait
        await asyncio.sleep(0)
        self.frames += 1
        assert tag in self.open, "the broker closes the channel"
        self.open -= {one for one in self.open if one <= tag} if multiple else {tag}


def _acknowledger(channel: _Channel, delivered: int) -> Acknowledger:
    made = Acknowledger(cast("AbstractChannel", channel), timeout=10)
    for tag in range(1, delivered + 1):
        made.expect(tag)
    return made


@given(st.permutations(range(1, 13)), st.integers(0, 12), st.integers(1, 4))
def test_exactly_what_is_settled_is_acknowledged_once(
    order: list[int], settled: int, size: int
) -> None:
    async def settle() -> set[int]:
        channel = _Channel(12)
        acknowledger = _acknowledger(channel, 12)
        parts = [order[start : min(start + size, settled)] for start in range(0, settled, size)]
        await asyncio.gather(*map(acknowledger.acknowledge, parts))
        await acknowledger.flush()
        return channel.open

    assert asyncio.run(settle()) == set(order[settled:])


async def test_what_is_settled_together_is_one_frame() -> None:
    channel = _Channel(100)
    acknowledger = _acknowledger(channel, 100)
    for tag in range(1, 101):
        await acknowledger.acknowledge([tag])
    assert not channel.open
    assert channel.frames < 10


async def test_an_acknowledgement_does_not_wait_for_what_takes_long() -> None:
    channel = _Channel(100)
    acknowledger = _acknowledger(channel, 100)
    await acknowledger.acknowledge([2])
    async with asyncio.timeout(10):
        while 2 in channel.open:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    assert len(channel.open) == 99
