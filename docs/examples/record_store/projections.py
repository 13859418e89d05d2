"""The projections of the store, and a process that lets them follow the purchases."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_advanced_core.projections import (
    ProjectionRebuilder,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyProjectionStore,
    create_engine,
    upgrade,
)
from record_store.cohorts import CohortProjector
from record_store.customer_value import CustomerValueProjector
from record_store.sales import sales_projector

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator

    from cqrs_ddd_advanced_core.ports import IProjectionStore
    from cqrs_ddd_advanced_core.projections import Projector
    from cqrs_ddd_core import IEventStore

__all__ = ["ReadSide", "open_read_side", "open_rebuilder", "projectors"]


class ReadSide(NamedTuple):
    """What projections work with: where events come from, and where rows go."""

    events: IEventStore
    store: IProjectionStore
    registry: ProjectorRegistry


def projectors(*, version: int = 1) -> list[Projector]:
    """Return all of them.

    Args:
        version: Of the definitions; a release in which rows have to change raises it.
    """
    found: list[Projector] = [CustomerValueProjector(), sales_projector(), CohortProjector()]
    for projector in found:
        projector.version = version
    return found


@asynccontextmanager
async def open_read_side(database_url: str, *, version: int = 1) -> AsyncIterator[ReadSide]:
    """Yield the projections of a database, of SQLite or PostgreSQL, that the store writes to."""
    engine = create_engine(database_url)
    try:
        await upgrade(engine)
        store = SQLAlchemyProjectionStore(engine)
        registry = ProjectorRegistry(projectors(version=version), store=store)
        yield ReadSide(SQLAlchemyEventStore(engine), store, registry)
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_rebuilder() -> AsyncIterator[ProjectionRebuilder]:
    """Yield what operators work with, on the database of ``RECORD_STORE_DATABASE_URL``."""
    async with open_read_side(os.environ["RECORD_STORE_DATABASE_URL"]) as read_side:
        yield ProjectionRebuilder(read_side.registry, read_side.events)


def main() -> int:
    """Run a worker until SIGTERM or Ctrl-C; any number of them share the work."""
    parser = ArgumentParser("record_store.projections", description=__doc__)
    parser.add_argument("--database-url", required=True, help="where the record store keeps all")
    logging.basicConfig(level=logging.WARNING, format="projections: %(message)s")
    asyncio.run(_follow(parser.parse_args()))
    return 0


async def _follow(options: Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_read_side(options.database_url) as read_side:
        worker = ProjectionWorker(read_side.registry, read_side.events, poll_interval=0.2)
        await worker.start()
        # The garbage collector need not look at what stays anyway.
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        await stop.wait()
        await worker.stop()


if __name__ == "__main__":
    sys.exit(main())
