"""Type-check all code with mypy, then each package's public interface with pyright.

Test files of different packages share names (`tests/conformance/test_event_store.py`), and a
package folder is no valid module name, so mypy sees one package's tests at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
WITHOUT_DOCSTRING = "No docstring found"  # pyright counts these; ruff decides which are needed
SHARED = ("tools", "tests", "conftest.py", "docs/snippets", "docs/examples")


def main() -> int:
    """Run every check, and fail when one of them did."""
    failures = [name for name, succeeded in _checks() if not succeeded]
    if failures:
        print(f"\nType checks failed: {', '.join(failures)}")
    return 1 if failures else 0


def _checks() -> list[tuple[str, bool]]:
    sources = [next((package / "src").iterdir()) for package in PACKAGES]
    shared = [ROOT / part for part in SHARED]
    checks = [("src, tools, docs", _mypy(sources + shared, base=ROOT))]
    for package in PACKAGES:
        parts = [package / "tests", package / "examples"]
        checks.append((f"{package.name} tests", _mypy(parts, base=package)))
    return checks + [(f"{path.name} interface", _verify_types(path.name)) for path in sources]


def _mypy(paths: list[Path], *, base: Path) -> bool:
    paths = [path for path in paths if path.suffix == ".py" or any(path.rglob("*.py"))]
    if not paths:
        return True
    names = [str(path.relative_to(ROOT)) for path in paths]
    print(f"mypy {' '.join(names)}", flush=True)
    # The base makes a module's name start at the package: tests.conformance.test_event_store.
    return _run([sys.executable, "-m", "mypy", *names], MYPYPATH=str(base))


def _verify_types(import_name: str) -> bool:
    print(f"pyright --verifytypes {import_name}", flush=True)
    result = subprocess.run(
        ["pyright", "--verifytypes", import_name, "--ignoreexternal", "--outputjson"],
        cwd=ROOT,
        # pyright looks for the package with the first python on the path.
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if not result.stdout.startswith("{"):
        print(result.stdout + result.stderr)
        return False
    return _is_complete(json.loads(result.stdout)["typeCompleteness"])


def _is_complete(report: dict[str, Any]) -> bool:
    unclear = [symbol for symbol in report["symbols"] if _is_unclear(symbol)]
    complete = not any(symbol["isExported"] for symbol in unclear)
    if not complete:
        # A public name may be unclear through a private one, which then holds the reason.
        _print_reasons(unclear)
    # A missing py.typed leaves nothing to verify; that must not count as success.
    return complete and "pyTypedPath" in report


def _print_reasons(symbols: list[dict[str, Any]]) -> None:
    for symbol in symbols:
        for diagnostic in symbol["diagnostics"]:
            if not diagnostic["message"].startswith(WITHOUT_DOCSTRING):
                print(f"  {symbol['name']}: {diagnostic['message']}")


def _is_unclear(symbol: dict[str, Any]) -> bool:
    return symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]


def _run(command: list[str], **environment: str) -> bool:
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False)
    return result.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
