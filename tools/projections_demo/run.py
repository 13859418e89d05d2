"""One run: a past is loaded, serves, is rebuilt beside that, swapped, and compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

from record_store.projections import ReadSide

from cqrs_ddd_advanced_core.projections import ProjectionRebuilder, Verification
from tools.messaging_demo.faults import Fault
from tools.messaging_demo.processes import Program, ProgramFailedError
from tools.projections_demo.answers import answered
from tools.projections_demo.audit import Verdict, judge
from tools.projections_demo.history import load, read_customers, resampled
from tools.projections_demo.programs import (
    ANSWERED,
    NEW_WORKER,
    NEXT,
    REBUILD,
    SERVING,
    SHOP,
    WORKERS,
)
from tools.projections_demo.showing import Display

#: Seconds without any progress after which the demo gives up.
PATIENCE = 120.0
STOP_SECONDS = 30.0
LOOK_EVERY = 0.2


class Run:
    """Goes through the stages; `read_side` has the projections of the next version."""

    def __init__(
        self, read_side: ReadSide, programs: dict[str, Program], display: Display, folder: Path
    ) -> None:
        """Watch the programs through their database."""
        self._read_side = read_side
        self._programs = programs
        self._display = display
        self._folder = folder
        self._names = [one.name for one in read_side.registry.projections()]
        self._rebuilder = ProjectionRebuilder(
            read_side.registry, read_side.events, on_progress=_nothing
        )

    async def load(self, log: Path, *, events: int, seed: int) -> None:
        """Append the past."""
        past = resampled(read_customers(log), seed)
        with self._display.stage("Loading the past", total=events) as show:
            async for done in load(past, events, self._read_side.events):
                show(done, events)

    async def serve(self, *, events: int) -> None:
        """Let the workers of the first release apply it, and open the shop."""
        for name in (*WORKERS, SHOP):
            self._programs[name].start()
        with self._display.stage("First build", total=events) as show:
            await self._until_current(SERVING, show)

    async def rebuild(self, kills: Sequence[Fault], *, events: int) -> None:
        """Build the next version beside, and kill processes meanwhile."""
        for name in (NEW_WORKER, REBUILD):
            self._programs[name].start()
        with self._display.stage("Rebuilding beside", total=events) as show:
            for kill in kills:
                await self._until(partial(self._has_come, NEXT, kill.after, show))
                done, head = await self._position(NEXT)
                self._display.say(f"{kill.what:<18} ({done:,} of {head:,} rebuilt)")
                await self._programs[kill.victim].kill()
            await self._until(partial(self._is_built, show))

    async def swap(self) -> list[Verification]:
        """Verify the new version and let it serve, roll back, and swap again."""
        with self._display.stage("Verifying"):
            found = [await self._verify(name) for name in self._names]
        with self._display.stage("Swapping"):
            for verification in found:
                await self._rebuilder.swap(verification.projection, verification=verification)
        self._display.say(f"Version {NEXT} serves")
        with self._display.stage("Rolling back"):
            for name in self._names:
                await self._rebuilder.roll_back(name)
        self._display.say(f"Rolled back: version {SERVING} serves")
        with self._display.stage("First release goes on"):
            await self._until_current(SERVING, _nothing)
        with self._display.stage("Verifying and swapping again"):
            again = [await self._rebuilder.rebuild(name) for name in self._names]
        self._display.say(f"Version {NEXT} serves")
        return found + [one for one in again if one is not None]

    async def close(self) -> None:
        """Close the shop, let the read models come to its last purchase, and stop everything.

        Raises:
            ProgramFailedError: One of them does not end well.
        """
        with self._display.stage("Closing the shop"):
            await self._programs[SHOP].stop(seconds=STOP_SECONDS)
            await self._until_current(NEXT, _nothing)
            for name in (*WORKERS, NEW_WORKER):
                await self._programs[name].stop(seconds=STOP_SECONDS)

    async def verdict(self, database_url: str) -> Verdict:
        """Compare what serves with a fold of all events."""
        with self._display.stage("Folding all events in SQL"):
            return await judge(
                database_url, version=NEXT, answered=answered(self._folder / ANSWERED)
            )

    async def _verify(self, name: str) -> Verification:
        verification = await self._rebuilder.verify(name)
        self._display.say(
            f"{name}: {verification.rows:,} rows, {verification.differing} differ "
            f"at position {verification.position:,}"
        )
        return verification

    async def _position(self, version: int) -> tuple[int, int]:
        """Return how far a version has come, the average of its projections, and the head."""
        checkpoints = self._read_side.store.checkpoints
        found = [one for name in self._names for one in await checkpoints.get(name, version)]
        head = await self._read_side.events.get_head_position()
        return sum(one.position for one in found) // len(self._names), head

    async def _has_come(
        self, version: int, position: int, show: Callable[[int, int], None]
    ) -> tuple[bool, int]:
        done, head = await self._position(version)
        show(done, head)
        return done >= position, done

    async def _is_built(self, show: Callable[[int, int], None]) -> tuple[bool, int]:
        _, done = await self._has_come(NEXT, 0, show)
        return self._programs[REBUILD].check(), done

    async def _until_current(self, version: int, show: Callable[[int, int], None]) -> None:
        """Wait until a version shows everything that is there by now."""
        head = await self._read_side.events.get_head_position()
        await self._until(partial(self._has_come, version, head, show))

    async def _until(self, look: Callable[[], Awaitable[tuple[bool, int]]]) -> None:
        """Look again and again until something is true.

        Raises:
            ProgramFailedError: Everything stands still.
        """
        moved, last = monotonic(), -1
        while monotonic() - moved < PATIENCE:
            is_true, done = await look()
            if is_true:
                return
            if done != last:
                moved, last = monotonic(), done
            for program in self._programs.values():
                program.check()
            await asyncio.sleep(LOOK_EVERY)
        raise ProgramFailedError(f"nothing has moved for {PATIENCE:.0f} s, at position {last:,}")


def _nothing(*_: object) -> None:
    """Show nothing."""
