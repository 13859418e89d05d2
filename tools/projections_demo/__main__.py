"""`make demo-projections`: a rebuild beside, through kills, swapped, and exact in the end."""

from __future__ import annotations

import asyncio
import signal
import sys
from random import Random

from record_store.projections import open_read_side
from rich.console import Console

from tools.messaging_demo.faults import Fault, plan
from tools.messaging_demo.files import emptied, shortened
from tools.messaging_demo.processes import ProgramFailedError
from tools.projections_demo.options import Options, parse_options
from tools.projections_demo.programs import NEXT, VICTIMS, prepared
from tools.projections_demo.run import Run
from tools.projections_demo.showing import Display
from tools.services.kind import MissingServerError
from tools.services.postgres import create_database, drop_database
from tools.services.resolver import Services


def main() -> int:
    """Run the demo; 0 only if the read models are exact."""
    options = parse_options()
    # Ended politely or from the keyboard, it takes its programs and servers with it.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console(highlight=False, soft_wrap=True)
    try:
        with Services() as services:
            database_url = create_database(services.url("postgres"))
            try:
                return asyncio.run(_run(options, console, database_url))
            finally:
                drop_database(database_url)
    except (MissingServerError, ProgramFailedError) as error:
        print(f"demo-projections: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(options: Options, console: Console, database_url: str) -> int:
    folder = emptied(options.folder.resolve())
    log = shortened(options.input, options.lines, folder)
    kills = _plan(options)
    display = Display(console)
    display.say(f"To have the same past and the same kills again: --seed {options.seed}")
    async with (
        open_read_side(database_url, version=NEXT) as read_side,
        prepared(database_url, log, folder) as programs,
    ):
        run = Run(read_side, programs, display, folder)
        await run.load(options.input, events=options.events, seed=options.seed)
        await run.serve(events=options.events)
        await run.rebuild(kills, events=options.events)
        verifications = await run.swap()
        await run.close()
        verdict = await run.verdict(database_url)
    console.print("", display.summary())
    killed = sum(program.kills for program in programs.values())
    crashes = sum(program.crashes for program in programs.values())
    console.print(f"{killed} killed, {crashes} gave up and were started again")
    print(verdict)
    is_equal = all(one.is_equal for one in verifications)
    return 0 if verdict.is_right and is_equal and killed == options.kills else 1


def _plan(options: Options) -> list[Fault]:
    chance = Random(options.seed)  # noqa: S311 - not for secrets
    return plan(chance, VICTIMS, purchases=options.events, kills=options.kills, cuts=0)


if __name__ == "__main__":
    sys.exit(main())
