"""Without the extra everything can be imported, and what needs it says so."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
sys.modules["pyarrow"] = None
from cqrs_ddd_advanced_core.export import PayloadColumns, export_events
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore

try:
    asyncio.run(export_events(InMemoryEventStore(InMemoryDatabase()), "nowhere"))
except ImportError as error:
    print(error)
"""


def test_the_missing_extra_is_named_when_it_is_needed() -> None:
    told = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).splitlines()
    assert told == ["exporting events needs an extra: pip install 'cqrs-ddd-advanced-core[arrow]'"]
