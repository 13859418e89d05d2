"""An export holds one row group, however long the feed is (G11)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, resource, sys
from cqrs_ddd_advanced_core.export import export_events
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore
from cqrs_ddd_core.ports.event_store import EventPage, StoredEvent, StreamId
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.id_generator import new_id

COUNT, NOW = int(sys.argv[1]), utc_now()


class Feed(InMemoryEventStore):
    async def get_latest_position(self):
        return COUNT

    async def read_page(self, after_position=0, *, limit=500, event_filter=None):
        last = min(after_position + limit, COUNT)
        events = [self.event(position) for position in range(after_position + 1, last + 1)]
        return EventPage(events, last, is_last=last == COUNT)

    def event(self, position):
        payload = b'{"total": "1.10", "note": "%d%s"}' % (position, b"x" * 500)
        stream = StreamId("Order", str(position))
        return StoredEvent(position, *stream, 1, new_id(), "Placed", 1, payload, NOW, NOW)


asyncio.run(export_events(Feed(InMemoryDatabase()), sys.argv[2], row_group_size=5000))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(events: int, directory: Path) -> int:
    command = [sys.executable, "-c", PROGRAM, str(events), str(directory)]
    return int(subprocess.check_output(command, text=True))


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    short, long = peak(20_000, tmp_path / "short"), peak(200_000, tmp_path / "long")
    assert long / short < 1.3
