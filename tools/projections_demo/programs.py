"""The processes of the demo: a shop, workers of two releases, and one that rebuilds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tools.messaging_demo.processes import Program

#: The version that serves at first, and the one that is built beside it.
SERVING, NEXT = 1, 2
SHOP, REBUILD, NEW_WORKER = "shop", "rebuild", "worker-3"
WORKERS = ("worker-1", "worker-2")
#: Who is killed while the rebuild is under way.
VICTIMS = (REBUILD, *WORKERS, SHOP)
#: File in the folder of the demo.
ANSWERED = "answered.txt"
_PACKAGE = "tools.projections_demo"


@asynccontextmanager
async def prepared(database_url: str, log: Path, folder: Path) -> AsyncIterator[dict[str, Program]]:
    """Yield all programs, not started yet, and end them whatever happens."""
    database = ["--database-url", database_url]
    worker = [f"{_PACKAGE}.worker", *database, "--version"]
    rebuild = [f"{_PACKAGE}.rebuilding", *database, "--version", str(NEXT)]
    answered = ["--answered", str(folder / ANSWERED)]
    commands = {
        SHOP: [f"{_PACKAGE}.shop", *database, "--input", str(log), *answered],
        **{name: [*worker, str(SERVING)] for name in WORKERS},
        NEW_WORKER: [*worker, str(NEXT)],
        REBUILD: rebuild,
    }
    programs = {name: Program(name, command, folder) for name, command in commands.items()}
    try:
        yield programs
    finally:
        for program in programs.values():
            await program.abandon()
