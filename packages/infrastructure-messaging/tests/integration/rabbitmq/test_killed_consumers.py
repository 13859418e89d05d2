"""Consumers that are killed between the commit and the acknowledgement, or anywhere."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing.samples import new_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker
    from tests.integration.conftest import Stores

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from tools.services.proxy import TcpProxy

TYPE = "SampleOrderPlaced"
_PROGRAM = Path(__file__).with_name("consumer_process.py")


class _Consumers:
    """Starts consumer processes on one broker and one database."""

    def __init__(self, broker: Broker, database: str, *, partitions: int = 0) -> None:
        self.broker = broker
        self.database = database
        self.partitions = partitions
        wanted = broker.topology.of_consumer(
            "suite",
            ["*.*.SampleOrderPlaced"],
            partitions=partitions,
            delays=() if partitions else (1.0, 5.0, 30.0, 300.0),
        )
        self.link = broker.connection().consuming
        self.link.require(wanted)

    async def declare(self) -> None:
        """Make the queues, so that messages may be published before a consumer is there."""
        await self.link.channel()

    async def start(
        self, *, die_after: int = 0, batch_size: int = 0, url: str | None = None
    ) -> Process:
        options = {"partitions": self.partitions, "batch_size": batch_size, "die_after": die_after}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_PROGRAM),
            url or self.broker.url,
            self.database,
            self.broker.settings.prefix,
            json.dumps(options),
            stdout=PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    async def drained(self, messages: Sequence[OutboxMessage], stores: Stores) -> None:
        """Wait until each message had an effect and no queue has any left."""
        expected = {str(message.message_id) for message in messages}
        async with asyncio.timeout(120):
            while expected - (await stores.effects()).keys():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        queues = self.broker.topology.queues("suite", partitions=self.partitions)
        await self.broker.wait_until_empty(*queues)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    assert await process.wait() == 0


@pytest.mark.parametrize("batch_size", [0, pytest.param(20, marks=pytest.mark.fault)])
async def test_a_kill_between_commit_and_acknowledgement_doubles_nothing(
    broker: Broker, postgres_stores: Stores, postgres_database: str, batch_size: int
) -> None:
    """F27: what is delivered again is known."""
    consumers = _Consumers(broker, postgres_database)
    await consumers.declare()
    messages = [new_message(f"Order-{number % 11}") for number in range(100)]
    assert set(await broker.publisher().publish(messages)) == {None}
    first = await consumers.start(die_after=40, batch_size=batch_size)
    assert await first.wait() == -9
    queue = broker.topology.queues("suite")[0]
    done = await postgres_stores.effects()
    assert 40 <= done.total() < 100
    # Something that was committed will be delivered again.
    while await broker.count(queue) <= 100 - done.total():  # noqa: ASYNC110 - no broker tells
        await asyncio.sleep(0.05)
    second = await consumers.start(batch_size=batch_size)
    await consumers.drained(messages, postgres_stores)
    await _end(second)
    assert await postgres_stores.effects() == postgres_stores.once(messages)


@pytest.mark.fault
@pytest.mark.parametrize("batch_size", [0, 50])
async def test_kills_and_cuts_at_random_lose_double_and_reorder_nothing(
    broker: Broker,
    proxy: TcpProxy,
    postgres_stores: Stores,
    postgres_database: str,
    batch_size: int,
) -> None:
    """F18, F27: two processes on partitions, ten kills, ten cuts; first effects in order."""
    consumers = _Consumers(broker, postgres_database, partitions=4)
    await consumers.declare()
    random = Random(7)  # noqa: S311 - which process dies next
    messages = [new_message(f"Order-{number % 60}") for number in range(3_000)]
    processes = [await consumers.start(batch_size=batch_size, url=proxy.url) for _ in range(2)]
    publisher = broker.publisher()
    for number in range(10):
        part = messages[number * 300 : (number + 1) * 300]
        publishing = asyncio.create_task(publisher.publish(part))
        await asyncio.sleep(random.uniform(0, 1))
        victim = random.randrange(2)
        processes[victim].kill()
        await processes[victim].wait()
        await proxy.cut()
        processes[victim] = await consumers.start(batch_size=batch_size, url=proxy.url)
        assert set(await publishing) == {None}
    await consumers.drained(messages, postgres_stores)
    await asyncio.gather(*map(_end, processes))
    assert await postgres_stores.effects() == postgres_stores.once(messages)
    by_stream: defaultdict[str, list[str]] = defaultdict(list)
    for message in messages:
        by_stream[message.stream].append(str(message.message_id))
    for stream, expected in by_stream.items():
        assert await postgres_stores.effects_in_order(stream) == expected
