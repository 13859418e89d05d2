"""The command for operators of projections."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.projections.__main__ import app
from cqrs_ddd_advanced_core.projections.progress import RebuildProgress
from cqrs_ddd_advanced_core.projections.progress_bar import ProgressBar
from cqrs_ddd_advanced_core.testing import RebuildSubject
from cqrs_ddd_advanced_core.testing.rebuild._suite import RebuiltShop
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_advanced_core.projections import ProjectionRebuilder


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> RebuiltShop:
    """Somebody's module, with a shop that has sold something."""
    database = InMemoryDatabase()
    shop = RebuiltShop(
        RebuildSubject(InMemoryProjectionStore(database), InMemoryEventStore(database))
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[ProjectionRebuilder]:
        yield shop.rebuilder()

    module = ModuleType("read_models")
    vars(module).update(rebuilder=shop.rebuilder(), opened=opened, other=7)
    monkeypatch.setitem(sys.modules, "read_models", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    asyncio.run(shop.open())
    return shop


def _run(*arguments: str, target: str = "read_models:rebuilder") -> Result:
    return CliRunner().invoke(app, ["--app", target, *arguments])


def test_a_projection_is_rebuilt_and_rolled_back(shop: RebuiltShop) -> None:
    result = _run("rebuild", "shop")
    assert result.exit_code == 0, result.output
    assert "customers" in result.output
    assert asyncio.run(shop.serving()) == 2
    assert _run("rollback", "shop", target="read_models:opened").exit_code == 0
    assert asyncio.run(shop.serving()) == 1
    assert _run("swap", "shop").exit_code == 1
    assert _run("build", "shop").exit_code == 0
    assert _run("swap", "shop").exit_code == 0
    assert _run("drop", "shop", "1").exit_code == 0
    assert asyncio.run(shop.rows()) == asyncio.run(shop.fold())
    assert _run("rebuild", "shop", "--in-place").exit_code == 0


def test_differences_are_shown_and_left_out(shop: RebuiltShop) -> None:
    asyncio.run(shop.spoil())
    assert _run("build", "shop").exit_code == 0
    result = _run("verify", "shop")
    assert result.exit_code == 1
    assert "total" in result.output
    assert _run("swap", "shop").exit_code == 1
    assert _run("swap", "shop", "--leave-out", "customers.total").exit_code == 0
    assert asyncio.run(shop.rows()) == asyncio.run(shop.fold())


def test_status_pause_and_resume(shop: RebuiltShop) -> None:
    assert _run("pause", "shop").exit_code == 0
    assert "paused" in _run("status").output
    assert _run("resume", "shop").exit_code == 0
    assert "running" in _run("status").output
    assert "position" in _run("parked", "shop").output
    assert "0 applied" in _run("parked", "shop", "--retry").output


def test_mistakes_are_told(shop: RebuiltShop) -> None:
    assert _run("build", "unknown").exit_code == 1
    assert _run("status", target="read_models:other").exit_code == 2
    assert _run("status", target="read_models:missing").exit_code == 2


def test_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    progress = RebuildProgress("shop", 2, done=50, total=100, rate=10.0)
    terminal = Console(force_terminal=True, width=120)
    with terminal.capture() as shown, ProgressBar(terminal) as bar:
        bar(progress)
    assert "shop v2" in shown.get()
    assert "5 s to go" in shown.get()
    file = Console(force_terminal=False, width=120)
    with file.capture() as written, ProgressBar(file) as bar:
        bar(progress)
        bar(progress)
    assert written.get() == "shop version 2: 50 of 100 (50.0%), 10 a second, 5 s to go\n"
