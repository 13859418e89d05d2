"""Commands in this process, projections in another: waiting for them, and switching them."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.projections import ProjectionMonitor, ProjectionWaiter
from cqrs_ddd_advanced_core.testing.projection_lifecycle import ProjectionLifecycleSubject
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import Bank, deposited
from cqrs_ddd_persistence_sqlalchemy import (
    PostgresWakeUp,
    SQLAlchemyEventStore,
    SQLAlchemyProjectionStore,
)

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from sqlalchemy.ext.asyncio import AsyncEngine

#: Carries the projection on until its standard input ends. It looks by itself once an hour.
WORKER: Final = """
import asyncio, sys
from cqrs_ddd_advanced_core.projections import ProjectionWorker
from cqrs_ddd_advanced_core.testing.projection_lifecycle import ProjectionLifecycleSubject
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import Bank
from cqrs_ddd_persistence_sqlalchemy import (
    PostgresWakeUp, SQLAlchemyEventStore, SQLAlchemyProjectionStore, create_engine
)

async def main():
    engine = create_engine(sys.argv[1])
    subject = ProjectionLifecycleSubject(
        SQLAlchemyEventStore(engine), SQLAlchemyProjectionStore(engine)
    )
    wake_up = PostgresWakeUp(engine) if sys.argv[2] == "wakes" else None
    if wake_up is not None:
        await wake_up.start()
    worker = ProjectionWorker(
        Bank(subject).registry, subject.event_store, owner="other", wake_up=wake_up,
        poll_interval=3600 if wake_up is not None else 0.01,
    )
    await worker.start()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await worker.stop()
    if wake_up is not None:
        await wake_up.stop()
    await engine.dispose()

asyncio.run(main())
"""


@asynccontextmanager
async def _worker(engine: AsyncEngine, mode: str) -> AsyncIterator[None]:
    url = engine.url.render_as_string(hide_password=False)
    process: Process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, url, mode, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        _, errors = await process.communicate(b"")
        # A switch takes the projection from the worker, which says so, but is no failure.
        assert (process.returncode, b"Traceback" in errors) == (0, False)


def _bank(engine: AsyncEngine, wake_up: PostgresWakeUp | None) -> Bank:
    events = SQLAlchemyEventStore(engine, wake_up=wake_up)
    return Bank(ProjectionLifecycleSubject(events, SQLAlchemyProjectionStore(engine)))


async def test_a_query_waits_for_what_its_command_has_done(postgres_engine: AsyncEngine) -> None:
    """Woken both ways: the worker by the append, who waits by the batch."""
    wake_up = PostgresWakeUp(postgres_engine)
    await wake_up.start()
    bank = _bank(postgres_engine, wake_up)
    waiter = ProjectionWaiter(bank.registry, bank.events, wake_up=wake_up)
    async with _worker(postgres_engine, "wakes"):
        for number in range(1, 21):
            position = await bank.run(deposited("a1"))
            await waiter.wait_for("accounts", position, timeout=30)
            assert await bank.balances() == {"a1": number, "total": number}
    await wake_up.stop()


async def test_polling_is_enough_and_a_switch_needs_no_other_process(engine: AsyncEngine) -> None:
    """G6: what the worker of another process has not applied is applied by the switch."""
    bank = _bank(engine, None)
    waiter = ProjectionWaiter(bank.registry, bank.events)
    monitor = ProjectionMonitor(bank.registry, bank.events)
    async with _worker(engine, "polls"):
        position = await bank.run(deposited("a3"))
        await waiter.wait_for("accounts", position, timeout=30)
        status = await monitor.status("accounts")
        assert (status.owners, status.lag, status.lag_seconds) == (["other"], 0, 0.0)
        for turn in range(1, 4):
            for _ in range(5):
                await bank.run(deposited("a1"))
            await bank.switch.to_inline("accounts")
            await bank.run(deposited("a2"))
            balances = await bank.balances()
            assert balances == {"a1": 5 * turn, "a2": turn, "a3": 1, "total": 6 * turn + 1}
            await bank.switch.to_asynchronous("accounts")
