"""A worker of one release: it carries on the projections that serve in its version."""

from __future__ import annotations

import asyncio
import gc
import logging
from argparse import ArgumentParser, Namespace

from record_store.projections import open_read_side

from cqrs_ddd_advanced_core.projections import ProjectionWorker
from tools.projections_demo.waiting import told_to_stop

#: Seconds until others take over what one that was killed had leased.
LEASE = 3.0


async def _work(options: Namespace) -> None:
    stop = told_to_stop()
    async with open_read_side(options.database_url, version=options.version) as read_side:
        worker = ProjectionWorker(
            read_side.registry,
            read_side.events,
            batch_size=5000,
            poll_interval=0.2,
            lease_seconds=LEASE,
        )
        await worker.start()
        # The garbage collector need not look at what stays anyway.
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        await stop.wait()
        await worker.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    parser = ArgumentParser("worker", description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--version", type=int, required=True)
    asyncio.run(_work(parser.parse_args()))
