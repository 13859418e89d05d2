"""Run inside an empty environment: import all public modules of one package, print what happened.

It uses the standard library only, for nothing else is installed beside the wheel.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

MIGRATIONS = "migrations"  # scripts that Alembic runs; nobody imports them
NAME = re.compile(r"[A-Za-z0-9._-]+")


def main(import_name: str, needed: list[str]) -> None:
    """Print a JSON object: counts, problems, and the installed distributions."""
    problems: list[str] = []
    outcomes = [_import(module, problems) for module in _public_modules(import_name)]
    result = {
        "imported": outcomes.count(True),
        "optional": outcomes.count(False),
        "problems": problems,
        "installed": sorted(_requirements()),
        "closure": sorted(_closure(needed)),
    }
    print(json.dumps(result))


def _public_modules(import_name: str) -> Iterator[str]:
    spec = importlib.util.find_spec(import_name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{import_name} is not installed")
    folder = Path(spec.origin).parent
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") or part == MIGRATIONS for part in parts):
            yield ".".join(parts)


def _import(module: str, problems: list[str]) -> bool:
    """Return whether the module is there; a missing extra has to name its pip command."""
    try:
        importlib.import_module(module)
    except ImportError as exc:
        if "pip install" not in str(exc):
            problems.append(f"{module}: {exc!r} does not say what to install")
        return False
    except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs into the report
        problems.append(f"{module}: {exc!r}")
        return False
    return True


def _requirements() -> dict[str, list[str]]:
    return {_normal(dist.metadata["Name"]): dist.requires or [] for dist in distributions()}


def _closure(names: list[str]) -> set[str]:
    known, todo, seen = _requirements(), list(names), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [_normal(need) for need in known.get(name, []) if "extra ==" not in need]
    return seen


def _normal(requirement: str) -> str:
    match = NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match.group().lower()) if match else requirement


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
