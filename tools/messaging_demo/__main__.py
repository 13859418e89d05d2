"""`make demo-messaging`: two services and a relay, killed and cut off, and exact in the end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from time import perf_counter
from uuid import uuid4

from rich.console import Console

from tools.messaging_demo.audit import expect
from tools.messaging_demo.broker import DemoBroker
from tools.messaging_demo.databases import open_databases
from tools.messaging_demo.faults import plan
from tools.messaging_demo.files import emptied, shortened
from tools.messaging_demo.options import Options, parse_options
from tools.messaging_demo.processes import Program, ProgramFailedError
from tools.messaging_demo.run import INGEST, LOYALTY, RELAYS, Addresses, Run, running
from tools.messaging_demo.showing import Display
from tools.services.kind import MissingServerError
from tools.services.postgres import create_database, drop_database
from tools.services.proxy import TcpProxy
from tools.services.resolver import Services


def main() -> int:
    """Run the demo; 0 only if the totals are exact."""
    options = parse_options()
    # Ended politely or from the keyboard, it takes its programs and servers with it.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console(highlight=False, soft_wrap=True)
    try:
        with Services() as services, _store_database(services.url("postgres")) as store:
            return asyncio.run(_run(options, console, store, services.url("rabbitmq")))
    except (MissingServerError, ProgramFailedError) as error:
        print(f"demo-messaging: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(options: Options, console: Console, store: str, broker_url: str) -> int:
    folder = emptied(options.folder.resolve())
    log = shortened(options.input, options.lines, folder)
    expected = expect(log)
    prefix = f"demo-{uuid4().hex[:8]}"
    broker = DemoBroker(broker_url, prefix)
    faults = plan(
        Random(options.seed),  # noqa: S311 - not for secrets
        (INGEST, LOYALTY, *RELAYS),
        purchases=len(expected.purchases),
        kills=options.kills,
        cuts=options.cuts,
    )
    console.print(f"To have the same faults again: --seed {options.seed}")
    started = perf_counter()
    async with TcpProxy(broker_url) as network:
        addresses = Addresses(store, f"sqlite:///{folder}/loyalty.db", network.url, prefix)
        try:
            async with (
                running(addresses, log, folder) as programs,
                open_databases(addresses.store, addresses.loyalty) as databases,
            ):
                with Display(console, purchases=len(expected.purchases)) as display:
                    run = Run(programs, databases, network, broker, display)
                    await run.disturb(faults)
                    await run.drain(len(expected.purchases))
                await run.stop()
                verdict = await run.verdict(expected)
                left = await broker.waiting()
        finally:
            await broker.remove()
    totals = (programs[INGEST].lines() or ["nothing was recorded"])[-1]
    _report(console, programs, perf_counter() - started)
    points = sum(expected.points.values())
    print(totals)
    print(f"accounts={len(expected.points)} points={points} wrong={verdict.wrong_accounts}")
    print(verdict)
    exact = totals.startswith(f"{expected.totals} ") and verdict.is_right and left == 0
    return 0 if exact else 1


def _report(console: Console, programs: dict[str, Program], seconds: float) -> None:
    kills = sum(program.kills for program in programs.values())
    crashes = sum(program.crashes for program in programs.values())
    console.print(f"{seconds:.0f} s, {kills} killed, {crashes} gave up and were started again")


@contextmanager
def _store_database(server: str) -> Iterator[str]:
    url = create_database(server)
    try:
        yield url
    finally:
        drop_database(url)


if __name__ == "__main__":
    sys.exit(main())
