"""The process that builds a version of all projections beside the one that serves."""

from __future__ import annotations

import asyncio
import logging
from argparse import ArgumentParser, Namespace

from record_store.projections import open_read_side

from cqrs_ddd_advanced_core.projections import ProjectionRebuilder
from tools.projections_demo.worker import LEASE


async def _build(options: Namespace) -> None:
    async with open_read_side(options.database_url, version=options.version) as read_side:
        rebuilder = ProjectionRebuilder(
            read_side.registry, read_side.events, lease_seconds=LEASE, poll_interval=0.2
        )
        async with asyncio.TaskGroup() as group:
            for projection in read_side.registry.projections():
                group.create_task(rebuilder.build(projection.name))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    parser = ArgumentParser("rebuilding", description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--version", type=int, required=True)
    asyncio.run(_build(parser.parse_args()))
