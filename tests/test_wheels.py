from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.check_wheels import WheelReport, check_wheels
from tools.uv import ROOT, find_uv


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WheelReport]:
    dist = tmp_path_factory.mktemp("dist")
    _build(dist)
    return {report.name: report for report in check_wheels(dist)}


def _build(dist: Path) -> None:
    uv = find_uv()
    assert uv is not None, "uv is missing: run `make install`"
    command = [uv, "build", "--quiet", "--wheel", "--all-packages", "--out-dir", str(dist)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_distribution_is_a_wheel(reports: dict[str, WheelReport]) -> None:
    assert sorted(reports) == [
        "cqrs-ddd-advanced-core",
        "cqrs-ddd-core",
        "cqrs-ddd-infrastructure-messaging",
        "cqrs-ddd-persistence-mongo",
        "cqrs-ddd-persistence-sqlalchemy",
    ]


def test_each_wheel_imports_alone_in_an_empty_environment(reports: dict[str, WheelReport]) -> None:
    assert [problem for report in reports.values() for problem in report.problems] == []
    assert all(report.imported for report in reports.values())
