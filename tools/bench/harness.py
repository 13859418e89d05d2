"""Runs two ways of doing one thing in turns, so that a drifting machine disturbs both alike."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeAlias

__all__ = ["Comparison", "Measurement", "Opened", "Operation", "measure", "repeat"]

#: Does the work once and returns how much was done, in the comparison's unit.
Operation: TypeAlias = Callable[[], Awaitable[int]]
#: What a comparison opens: the raw way and ours, ready to be run.
Opened: TypeAlias = AbstractAsyncContextManager[tuple[Operation, Operation]]


@dataclass(frozen=True)
class Comparison:
    """One thing done the raw way and our way.

    Attributes:
        name: What is done, unique.
        unit: What is counted.
        baseline: What the raw way is.
        open: Makes both operations ready.
        concurrency: How many tasks repeat the operation at once.
        aim: The ratio to reach.
        slowdown: Whether the ratio is raw rate / our rate and has to stay below the aim,
            instead of our rate / raw rate, which has to be at least the aim.
    """

    name: str
    unit: str
    baseline: str
    open: Callable[[], Opened]
    concurrency: int = 1
    aim: float | None = None
    slowdown: bool = False


@dataclass(frozen=True)
class Measurement:
    """What a comparison came to: a rate per second of both ways for each round."""

    comparison: Comparison
    raw: Sequence[float]
    ours: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """One ratio per round, of neighbours in time."""
        pairs = zip(self.raw, self.ours, strict=True)
        return [raw / ours if self.comparison.slowdown else ours / raw for raw, ours in pairs]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return median(self.ratios)

    @property
    def is_reached(self) -> bool:
        """Whether the aim, if there is one, was reached."""
        aim = self.comparison.aim
        if aim is None:
            return True
        return self.ratio < aim if self.comparison.slowdown else self.ratio >= aim


async def measure(
    comparison: Comparison, *, rounds: int, seconds: float, on_round: Callable[[], None]
) -> Measurement:
    """Measure both ways in turns; ``on_round`` is called after every round."""
    raw: list[float] = []
    ours: list[float] = []
    async with comparison.open() as (baseline, candidate):
        for operation in (baseline, candidate):
            await repeat(operation, comparison.concurrency, seconds / 4)
        with _frozen_heap():
            for number in range(rounds):
                turns = [(baseline, raw), (candidate, ours)]
                # A B, B A, A B: whoever comes second meets the warmer machine.
                for operation, rates in turns if number % 2 == 0 else reversed(turns):
                    rates.append(await repeat(operation, comparison.concurrency, seconds))
                on_round()
    return Measurement(comparison, raw, ours)


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Keep the garbage collector away from what is there, as our worker programs do.

    Otherwise both ways pay for the modules that this program has imported.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def repeat(operation: Operation, concurrency: int, seconds: float) -> float:
    """Repeat an operation in several tasks for some seconds and return the rate per second."""
    gc.collect()
    started = perf_counter()
    deadline = started + seconds

    async def work() -> int:
        done = await operation()
        while perf_counter() < deadline:
            done += await operation()
        return done

    if concurrency == 1:
        done = await work()
    else:
        done = sum(await asyncio.gather(*(work() for _ in range(concurrency))))
    return done / (perf_counter() - started)
