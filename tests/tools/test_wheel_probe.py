from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.uv import ROOT


def probe(folder: Path, **modules: str) -> dict[str, Any]:
    package = folder / "sample"
    package.mkdir()
    for name, content in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(content)
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "wheel_probe.py"), "sample", "pytest"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_missing_dependency_is_a_problem(tmp_path: Path) -> None:
    found = probe(tmp_path, broken="import not_installed_anywhere")
    assert found["imported"] == 1
    (problem,) = found["problems"]
    assert "sample.broken" in problem


def test_a_missing_extra_that_names_its_command_is_none(tmp_path: Path) -> None:
    found = probe(tmp_path, extra="raise ImportError(\"pip install 'sample[extra]'\")")
    assert (found["optional"], found["problems"]) == (1, [])


def test_a_private_module_is_left_alone(tmp_path: Path) -> None:
    found = probe(tmp_path, _private="raise RuntimeError")
    assert (found["imported"], found["problems"]) == (1, [])


def test_the_needs_of_a_need_count_as_needed(tmp_path: Path) -> None:
    assert {"pytest", "pluggy", "iniconfig"} <= set(probe(tmp_path)["closure"])
