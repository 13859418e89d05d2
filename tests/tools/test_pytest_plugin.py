from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.services import redis
from tools.uv import ROOT

ASKS_FOR_REDIS = "def test_it(redis_url): print(redis_url)"
WAITS_WITH_REDIS = """
import pathlib, time
def test_it(redis_url):
    pathlib.Path("port").write_text(redis_url.split(":")[2].split("/")[0])
    time.sleep(60)
"""
NO_ENGINE = "unix:///nowhere/docker.sock"


def command(folder: Path, test: str) -> list[str]:
    (folder / "test_it.py").write_text(test)
    options = ["-p", "tools.services.pytest_plugin", "-c", os.devnull, "--rootdir", str(folder)]
    return [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CQRS_DDD")}
    return {**kept, "PYTHONPATH": str(ROOT), "DOCKER_HOST": NO_ENGINE, **changes}


def run(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, ASKS_FOR_REDIS),
        cwd=folder,
        env=environment(PATH="", **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_server_is_a_skip_and_is_listed_at_the_end(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 0
    assert "1 skipped" in result.stdout
    assert "MISSING SERVERS" in result.stdout
    assert "CQRS_DDD_TEST_REDIS_URL=redis://host:6379/0" in result.stdout


def test_a_missing_server_fails_the_run_when_servers_are_required(tmp_path: Path) -> None:
    result = run(tmp_path, CQRS_DDD_REQUIRE_SERVICES="1")
    assert result.returncode == 1
    assert "Redis is missing" in result.stdout
    assert "MISSING SERVERS" in result.stdout


def test_a_given_address_is_used_as_it_is(tmp_path: Path) -> None:
    result = run(tmp_path, CQRS_DDD_TEST_REDIS_URL="redis://nobody-asks", PYTEST_ADDOPTS="-s")
    assert "redis://nobody-asks" in result.stdout
    assert "MISSING SERVERS" not in result.stdout


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell ignores interrupts in what it runs in the background, and children inherit it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_its_servers(tmp_path: Path, how: signal.Signals) -> None:
    if redis.find_binary() is None:
        pytest.skip("no redis-server on the path")
    test = command(tmp_path, WAITS_WITH_REDIS)
    with subprocess.Popen(
        test, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        port = wait_for_port(tmp_path / "port")
        process.send_signal(how)
        assert process.wait(timeout=30) == 2
    assert not redis.answers("127.0.0.1", port)


def wait_for_port(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the server was not started"
        time.sleep(0.05)
    return int(path.read_text())
