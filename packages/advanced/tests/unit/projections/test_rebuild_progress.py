"""How far a rebuild has come, and how fast it is."""

from __future__ import annotations

import logging

import pytest

from cqrs_ddd_advanced_core.projections import LogProgress, RebuildProgress, Throttle
from cqrs_ddd_advanced_core.projections.progress import RateMeter


class _Seconds:
    """A clock that tells what it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_seconds() -> None:
    seconds = _Seconds()
    meter = RateMeter(seconds)
    assert meter.note(0) == 0.0
    seconds.now = 10.0
    assert meter.note(1000) == 100.0
    for _ in range(10):
        seconds.now += 10.0
        meter.note(1000)
    assert meter.note(1000) == 0.0


def test_what_is_left_takes_as_long_as_the_rate_says() -> None:
    progress = RebuildProgress("totals", 2, done=250, total=1000, rate=50.0)
    assert (progress.share, progress.eta) == (0.25, 15.0)
    assert str(progress) == "totals version 2: 250 of 1,000 (25.0%), 50 a second, 15 s to go"
    assert RebuildProgress("totals", 2, done=0, total=1000, rate=0.0).eta is None
    assert RebuildProgress("totals", 2, done=0, total=0, rate=0.0).share == 1.0
    done = RebuildProgress("totals", 2, done=7, total=7, rate=0.0, tenant_id="a")
    assert done.eta == 0.0
    assert "of tenant 'a'" in str(done)


def test_lines_come_now_and_then_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    seconds = _Seconds()
    log = LogProgress(interval=10.0, monotonic=seconds)
    with caplog.at_level(logging.INFO):
        for done in range(0, 100, 10):
            log(RebuildProgress("totals", 2, done=done, total=100, rate=1.0))
            seconds.now += 4.0
        log(RebuildProgress("totals", 2, done=100, total=100, rate=1.0))
    assert [record.message.split()[3] for record in caplog.records] == [
        "0",
        "30",
        "60",
        "90",
        "100",
    ]


def test_a_throttle_waits_for_what_was_too_fast() -> None:
    throttle = Throttle(max_rate=100.0)
    assert throttle.pause(50, 0.1) == pytest.approx(0.4)
    assert throttle.pause(50, 1.0) == 0.0
    assert Throttle().pause(10**6, 0.0) == 0.0
