"""Reading a million events takes no more memory than reading a tenth of them (G11)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

#: Its peak is read from the kernel: that of getrusage begins with what the parent had.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, create_engine


async def read(url, count):
    engine = create_engine(url)
    seen = total = 0
    async for event in SQLAlchemyEventStore(engine).read_all(batch_size=5000):
        seen += 1
        total += event.payload["units"]
        if seen == count:
            break
    await engine.dispose()
    assert seen == total == count


asyncio.run(read(sys.argv[1], int(sys.argv[2])))
[peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(peak.split()[1])
"""
#: A past as imports leave it: long streams, one after the other.
FILL = """
INSERT INTO cqrs_events (aggregate_type, aggregate_id, version, event_id, event_type, payload,
                         occurred_at, recorded_at)
SELECT 'Import', (n / 5000)::text, n % 5000 + 1, gen_random_uuid(), 'PurchaseRecorded',
       convert_to('{"customer_id": "c' || n || '", "units": 1, "amount": "12.30"}', 'UTF8'),
       now(), now()
FROM generate_series(0, 999999) AS n
"""


def peak(url: str, events: int) -> int:
    """Return the largest resident memory of a process that reads so many events, in kB."""
    command = [sys.executable, "-c", PROGRAM, url, str(events)]
    return int(subprocess.check_output(command, text=True))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the kernel of Linux")
async def test_reading_a_million_events_takes_no_more_memory_than_a_tenth_of_them(
    postgres_engine: AsyncEngine,
) -> None:
    async with postgres_engine.begin() as connection:
        await connection.execute(text(FILL))
    url = postgres_engine.url.render_as_string(hide_password=False)

    few, many = peak(url, 100_000), peak(url, 1_000_000)

    print(f"peak: {few:,} kB for 100,000 events, {many:,} kB for 1,000,000")
    assert many / few < 1.1
