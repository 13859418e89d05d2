"""Install each wheel alone in an empty environment and import all its public modules.

`python -m tools.check_wheels dist` after `uv build --all-packages --out-dir dist`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.uv import find_uv

PROBE = Path(__file__).with_name("wheel_probe.py")
CORE = "cqrs-ddd-core"
# What core may bring; whatever these need themselves comes along.
CORE_NEEDS = ("pydantic", "typing-extensions", "uuid-utils")


@dataclass(frozen=True)
class WheelReport:
    """What one wheel did in an environment of its own."""

    name: str
    imported: int
    optional: int
    problems: tuple[str, ...]


def check_wheels(folder: Path) -> list[WheelReport]:
    """Check every wheel of `folder`, each in a new environment."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise SystemExit(f"{folder} holds no wheel: run `make build`")
    return [_check(wheel) for wheel in wheels]


def _check(wheel: Path) -> WheelReport:
    import_name = wheel.name.split("-")[0]
    name = import_name.replace("_", "-")
    with tempfile.TemporaryDirectory() as scratch:
        python = _environment(Path(scratch), wheel)
        found = json.loads(_output([str(python), "-I", str(PROBE), import_name, *CORE_NEEDS]))
    problems = list(found["problems"])
    if name == CORE and (extra := set(found["installed"]) - {CORE, *found["closure"]}):
        problems.append(f"brings {', '.join(sorted(extra))}, which core must not need")
    return WheelReport(name, found["imported"], found["optional"], tuple(problems))


def _environment(folder: Path, wheel: Path) -> Path:
    uv = find_uv()
    if uv is None:
        raise SystemExit("uv is missing: run `make install`")
    _output([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    _output([*install, "--find-links", str(wheel.parent), str(wheel)])
    return python


def _output(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr}")
    return result.stdout


def main() -> int:
    """Print one line per wheel, and fail when one has a problem."""
    reports = check_wheels(Path(sys.argv[1]).resolve())
    for report in reports:
        counts = f"{report.imported} modules imported, {report.optional} wait for an extra"
        print(f"{report.name}: {counts}", *report.problems, sep="\n  problem: ")
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
