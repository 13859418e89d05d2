"""The story is the one the README shows, on every database and whenever it is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bank import __file__ as package_file

BANK = Path(package_file).parent
README = (BANK / "README.md").read_text(encoding="utf-8")
TEXT, MERMAID = re.findall(r"^```(?:text|mermaid)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "bank", *arguments],
        env={**os.environ, "PYTHONPATH": str(BANK.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(
    params=[
        pytest.param("memory", marks=pytest.mark.slow),
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.slow),
    ]
)
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "memory":
        return []
    if request.param == "sqlite":
        return ["--database-url", f"sqlite:///{tmp_path}/bank.db"]
    return ["--database-url", request.getfixturevalue("postgres_database")]


def test_the_story_is_the_one_in_the_readme(arguments: list[str]) -> None:
    first, again = run(*arguments), run(*arguments)

    assert first.stderr == ""
    assert first.stdout.strip() == f"{TEXT.strip()}\n{MERMAID.strip()}"
    assert again.stdout == first.stdout


def test_what_cannot_work_is_said_in_one_line() -> None:
    result = run("--database-url", "mysql://localhost/x")

    assert result.returncode == 1
    assert result.stderr.startswith("bank: ")
    assert len(result.stderr.splitlines()) == 1
