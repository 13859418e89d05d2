"""Events of a database in files: from the command line, and after kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import dataset

from cqrs_ddd_advanced_core.export import export_events
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.testing.samples import new_event, new_events
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, create_engine, create_schema
from cqrs_ddd_persistence_sqlalchemy.__main__ import main

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

EVENTS = 200

#: Exports, and dies in the middle of a file, a row group of which is written.
DYING = """
import asyncio, os, signal, sys
from cqrs_ddd_advanced_core.export import export_events
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, create_engine

def die(progress):
    if progress.events == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

store = SQLAlchemyEventStore(create_engine(sys.argv[1]))
asyncio.run(export_events(
    store, sys.argv[2], batch_size=5, row_group_size=10, events_per_file=40, progress=die,
))
"""


def rows(path: Path) -> list[dict[str, Any]]:
    table = dataset.dataset(path, format="parquet").to_table()
    found: list[dict[str, Any]] = table.sort_by("position").to_pylist()
    return found


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/test.db"
    engine = create_engine(url)
    await create_schema(engine)
    store = SQLAlchemyEventStore(engine)
    for number in range(0, EVENTS, 10):
        await store.append(StreamId("Order", str(number)), new_events(10))
    await engine.dispose()
    return url


async def test_a_database_is_exported_as_it_is(engine: AsyncEngine, tmp_path: Path) -> None:
    store = SQLAlchemyEventStore(engine)
    for number in range(3):
        await store.append(StreamId("Order", str(number)), new_events(4))
    summary = await export_events(store, tmp_path / "out", batch_size=5)
    assert summary.events == 12
    stored = [event async for event in store.read_all()]
    assert [
        (row["position"], row["event_id"], row["payload"], row["recorded_at"], row["version"])
        for row in rows(tmp_path / "out")
    ] == [
        (
            event.position,
            str(event.event_id),
            event.payload_bytes.decode(),
            event.recorded_at,
            event.version,
        )
        for event in stored
    ]


@pytest.mark.slow
def test_an_export_that_is_killed_goes_on_behind_the_last_whole_file(
    url: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for died_at, whole in ((25, 0), (70, 40), (35, 40), (100, 120)):
        command = [sys.executable, "-c", DYING, url, str(out), str(died_at)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert (len(rows(out)) if any(out.glob("events-*")) else 0) == whole
    assert (out / ".events.unfinished").exists()
    assert main(["export", "--url", url, "--out", str(out)]) == 0
    assert [row["position"] for row in rows(out)] == list(range(1, EVENTS + 1))
    assert not (out / ".events.unfinished").exists()


def test_the_command_exports_what_was_asked_for(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("CQRS_DDD_DATABASE_URL", url)
    arguments = ["export", "--out", str(out), "--after", "5", "--up-to", "20"]
    types = ["--event-type", new_event().event_type, "--aggregate-type", "Order"]
    assert main([*arguments, *types]) == 0
    assert "15 events up to position 20" in capsys.readouterr().out
    assert [row["position"] for row in rows(out)] == list(range(6, 21))
    assert main(["export", "--out", str(out), "--tenant", "acme"]) == 1
    assert "another format, tenant, filter" in capsys.readouterr().err


def test_progress_is_told_line_by_line_where_there_is_no_terminal(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cqrs_ddd_persistence_sqlalchemy._export_command._LINE_INTERVAL"
    monkeypatch.setattr(name, 0.0)
    assert main(["export", "--url", url, "--out", str(tmp_path / "out")]) == 0
    assert f"{EVENTS} events, position {EVENTS} of {EVENTS}" in capsys.readouterr().err


def test_progress_is_a_bar_on_a_terminal(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", os.environ.get("TERM", "dumb"))
    assert main(["export", "--url", url, "--out", str(tmp_path / "out")]) == 0
    assert f"{EVENTS}/{EVENTS}" in capsys.readouterr().err
