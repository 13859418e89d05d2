"""Which faults happen when: chance decides, and the same seed decides the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from tools.services.proxy import TcpProxy

CUT = "the connections to the broker are cut"
OUTAGE = "the broker cannot be reached for a second"


class Fault(NamedTuple):
    """What is to happen once so many purchases have come so far.

    Attributes:
        after: How many purchases the victim has dealt with by then.
        victim: Name of the program to kill, or empty for a fault of the network.
        what: In words.
    """

    after: int
    victim: str
    what: str


def plan(
    chance: Random, programs: Sequence[str], *, purchases: int, kills: int, cuts: int
) -> list[Fault]:
    """Return faults all over the run; each program is killed once, if there are enough kills."""
    victims = [*chance.sample(programs, len(programs)), *chance.choices(programs, k=kills)][:kills]
    faults = [(name, f"kill -9 {name}") for name in victims]
    faults += [("", (CUT, OUTAGE)[number % 2]) for number in range(cuts)]
    chance.shuffle(faults)
    # In even steps with a random offset each: neighbours should not cancel each other out.
    step = purchases * 0.9 / max(len(faults), 1)
    return [
        Fault(1 + int(step * (number + chance.random())), victim, what)
        for number, (victim, what) in enumerate(faults)
    ]


async def disturb(network: TcpProxy, what: str) -> None:
    """Let a fault of the network happen, and end."""
    if what == CUT:
        await network.cut()
        return
    await network.refuse()
    await asyncio.sleep(1)
    await network.heal()
