"""The shop that stays open: purchases of a log, one after the other, as commands."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import uuid5

from record_store.purchase_log import PurchaseLog
from record_store.record_purchase import RecordPurchase
from record_store.store import open_store

from tools.projections_demo.answers import answered
from tools.projections_demo.waiting import told_to_stop


async def _sell(options: Namespace) -> None:
    """Send command after command, and note each that was answered; begun anew, those are left out.

    One that was recorded and not answered is sent again, which changes nothing.
    """
    stop = told_to_stop()
    known = answered(options.answered)
    with options.answered.open("a", encoding="utf-8") as notes:
        async with open_store(options.database_url, event_sourced=True) as mediator:
            print("ready", flush=True)
            for command in _commands(PurchaseLog(options.input)):
                if str(command.command_id) in known:
                    continue
                await mediator.send(command)
                print(command.command_id, file=notes, flush=True)
                await _pause(stop, 1 / options.rate)
                if stop.is_set():
                    return


def _commands(log: PurchaseLog) -> Iterator[RecordPurchase]:
    """Yield the purchases of a log, then again those of other customers, without end."""
    for number in count():
        for line in log.lines:
            command = line.to_command()
            if number:
                command = command.model_copy(
                    update={
                        "command_id": uuid5(command.command_id, str(number)),
                        "customer_id": f"{command.customer_id}-{number}",
                    }
                )
            yield command


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
