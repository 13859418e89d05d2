"""The shop that stays open: purchases of a log, one after the other, as commands."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path

from record_store.purchase_log import PurchaseLog
from record_store.store import open_store

from tools.projections_demo.waiting import told_to_stop


async def _sell(options: Namespace) -> None:
    """Send each line and note that it was answered; begun anew, lines that are in cost no time."""
    stop = told_to_stop()
    log = PurchaseLog(options.input)
    with options.answered.open("a", encoding="utf-8") as answered:
        async with open_store(options.database_url, event_sourced=True) as mediator:
            print("ready", flush=True)
            for line in log.lines:
                command = line.to_command()
                response = await mediator.send(command)
                print(command.command_id, file=answered, flush=True)
                if stop.is_set():
                    return
                if not response.replayed:
                    await _pause(stop, 1 / options.rate)
            await stop.wait()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


if __name__ == "__main__":
    parser = ArgumentParser("shop", description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--answered", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=20, help="purchases a second")
    asyncio.run(_sell(parser.parse_args()))
