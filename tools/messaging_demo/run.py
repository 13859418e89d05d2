"""One run: everything is started, disturbed, drained, stopped and compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from tools.messaging_demo.audit import Expected, Verdict, judge
from tools.messaging_demo.broker import DemoBroker
from tools.messaging_demo.databases import Databases, Progress
from tools.messaging_demo.faults import Fault, disturb
from tools.messaging_demo.processes import Program
from tools.messaging_demo.showing import Display
from tools.services.proxy import TcpProxy

#: Seconds without any progress after which the demo gives up waiting, and counts.
PATIENCE = 120.0
STOP_SECONDS = 30.0
LOOK_EVERY = 0.2
INGEST, LOYALTY, RELAYS = "ingest", "loyalty", ("relay-1", "relay-2")


@dataclass(frozen=True)
class Addresses:
    """Where the two services keep their data, and where the broker is behind the proxy."""

    store: str
    loyalty: str
    broker: str
    prefix: str


@asynccontextmanager
async def running(
    addresses: Addresses, log: Path, folder: Path
) -> AsyncIterator[dict[str, Program]]:
    """Start all programs, the receiver first, and end them all whatever happens."""
    to_broker = ["--broker-url", addresses.broker, "--prefix", addresses.prefix]
    in_store = ["--database-url", addresses.store]
    take_in = ["record_store", *in_store, "--announce", "--input", str(log), "--every", "500"]
    relay = ["record_store.relay", *in_store, *to_broker]
    serve = ["loyalty", "--database-url", addresses.loyalty, *to_broker]
    commands = {LOYALTY: serve, INGEST: take_in, **dict.fromkeys(RELAYS, relay)}
    programs = {name: Program(name, command, folder) for name, command in commands.items()}
    try:
        for name in (LOYALTY, INGEST, *RELAYS):
            programs[name].start()
            if name == LOYALTY:
                # From now on the broker keeps what is published for it.
                await programs[name].ready()
        yield programs
    finally:
        for program in programs.values():
            await program.abandon()


class Run:
    """Carries faults out while the programs work, until nothing is left to do."""

    def __init__(
        self,
        programs: dict[str, Program],
        databases: Databases,
        network: TcpProxy,
        broker: DemoBroker,
        display: Display,
    ) -> None:
        """Watch the programs through their databases and the broker."""
        self._programs = programs
        self._databases = databases
        self._network = network
        self._broker = broker
        self._display = display
        self._last = Progress()

    async def disturb(self, faults: Sequence[Fault]) -> None:
        """Carry out the faults, each when its victim has come far enough."""
        for fault in faults:
            if not await self._until(partial(self._is_due, fault)):
                return
            await self._carry_out(fault)

    async def drain(self, purchases: int) -> None:
        """Wait until all purchases are recorded, published and handled, and no queue holds any."""
        await self._until(partial(self._is_drained, purchases))

    async def stop(self) -> None:
        """Stop relays and service politely.

        Raises:
            ProgramFailedError: One of them does not end well.
        """
        for name in (*RELAYS, LOYALTY):
            await self._programs[name].stop(seconds=STOP_SECONDS)

    async def verdict(self, expected: Expected) -> Verdict:
        """Compare what is in the loyalty service's database with what must be."""
        return judge(expected, await self._databases.ledger(), await self._databases.accounts())

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether something came true before everything stood still for too long."""
        moved = monotonic()
        while monotonic() - moved < PATIENCE:
            moved = monotonic() if await self._look() else moved
            if await holds():
                return True
            await asyncio.sleep(LOOK_EVERY)
        return False

    async def _look(self) -> bool:
        before, self._last = self._last, await self._databases.progress()
        self._display.show(self._last)
        for program in self._programs.values():
            program.check()
        return self._last != before

    async def _is_due(self, fault: Fault) -> bool:
        come_so_far = self._last.recorded if fault.victim == INGEST else self._last.rewarded
        return come_so_far >= fault.after

    async def _carry_out(self, fault: Fault) -> None:
        counts = f"{self._last.recorded:,} recorded, {self._last.rewarded:,} rewarded"
        self._display.say(f"{fault.what:<46} ({counts})")
        if fault.victim:
            await self._programs[fault.victim].kill()
        else:
            await disturb(self._network, fault.what)

    async def _is_drained(self, purchases: int) -> bool:
        done = self._programs[INGEST].check() and min(self._last) >= purchases
        return done and await self._broker.waiting() == 0
