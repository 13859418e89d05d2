from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tools.uv import ROOT

LONGEST_MODULE = 400
MIGRATIONS = "migrations"  # scripts that Alembic runs; nobody imports them
SOURCES = sorted(path for path in ROOT.glob("packages/*/src/*") if path.is_dir())
MODULES = sorted(path for source in SOURCES for path in source.rglob("*.py"))


def dotted(path: Path) -> str:
    source = next(source for source in SOURCES if path.is_relative_to(source))
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_public(path: Path) -> bool:
    parts = dotted(path).split(".")
    return not any(part.startswith("_") or part == MIGRATIONS for part in parts)


PUBLIC = [path for path in MODULES if is_public(path)]
ROOMS = [path for path in PUBLIC if path.name == "__init__.py"]


def imported_names(path: Path) -> set[str]:
    """The names that a package's `__init__` brings in from its own modules."""
    tree = ast.parse(path.read_text())
    froms = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    ours = [node for node in froms if (node.module or "").startswith("cqrs_ddd") or node.level]
    return {alias.asname or alias.name for node in ours for alias in node.names}


def test_there_are_five_packages() -> None:
    assert [source.name for source in SOURCES] == [
        "cqrs_ddd_advanced_core",
        "cqrs_ddd_core",
        "cqrs_ddd_infrastructure_messaging",
        "cqrs_ddd_persistence_mongo",
        "cqrs_ddd_persistence_sqlalchemy",
    ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_package_is_typed(source: Path) -> None:
    assert (source / "py.typed").exists()


@pytest.mark.parametrize("path", PUBLIC, ids=dotted)
def test_a_public_module_imports_and_has_what_it_lists(path: Path) -> None:
    module = importlib.import_module(dotted(path))
    listed = getattr(module, "__all__", [])
    assert [name for name in listed if not hasattr(module, name)] == []
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("path", ROOMS, ids=dotted)
def test_a_room_lists_exactly_what_it_offers(path: Path) -> None:
    module = importlib.import_module(dotted(path))
    listed = set(getattr(module, "__all__", []))
    missing = {name for name in imported_names(path) if not name.startswith("_")} - listed
    assert missing == set(), "imported into the room, and not in its __all__"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE
