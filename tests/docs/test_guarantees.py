"""A guarantee that names a test which does not exist is no guarantee."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Iterator

import pytest

from tools.uv import ROOT

PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
DATABASES = ("memory", "SQLite", "PostgreSQL")
TRANSPORTS = ("memory", "RabbitMQ", "NATS")
CACHES = ("memory", "Redis", "layered")
NODE = re.compile(r"`([\w./-]+\.py)::(\w+)`")
SUITE = re.compile(r"`(\w+Conformance)`")
SUITE_TEST = re.compile(r"`(\w+Conformance)::(test_\w+)`")
YES = "✓"
HOMES = [
    pkgutil.resolve_name(name)
    for name in (
        "cqrs_ddd_core.testing",
        "cqrs_ddd_advanced_core.testing",
        "cqrs_ddd_advanced_core.testing.event_sourcing",
        "cqrs_ddd_advanced_core.testing.event_replay",
        "cqrs_ddd_advanced_core.testing.undo_service",
        "cqrs_ddd_infrastructure_messaging.testing",
    )
]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


CELLS = list(rows(PAGE))
SUITES = {match[1]: cells[1:] for cells in CELLS if (match := SUITE.fullmatch(cells[0]))}
SUITE_TESTS = [match.groups() for cells in CELLS if (match := SUITE_TEST.fullmatch(cells[0]))]
NODES = sorted({node for cells in CELLS for cell in cells[1:] for node in NODE.findall(cell)})


def definitions(file: str) -> dict[str, ast.stmt]:
    """The classes and functions of a file of tests, by name."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    return {item.name: item for item in body if isinstance(item, ast.ClassDef | AnyFunction)}


AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.mark.parametrize("file, name", NODES)
def test_a_test_that_a_guarantee_names_exists(file: str, name: str) -> None:
    assert name in definitions(file)


@pytest.mark.parametrize("suite, name", SUITE_TESTS)
def test_a_suite_has_the_test_that_a_guarantee_names(suite: str, name: str) -> None:
    [home] = [module for module in HOMES if hasattr(module, suite)]
    assert callable(getattr(getattr(home, suite), name))
    assert suite in SUITES


@pytest.mark.parametrize("suite", SUITES)
def test_each_database_runs_the_suite(suite: str) -> None:
    for cell in SUITES[suite]:
        [(file, name)] = NODE.findall(cell)
        found = definitions(file)[name]
        assert isinstance(found, ast.ClassDef)
        assert [ast.unparse(base) for base in found.bases] == [suite]
    assert len(SUITES[suite]) == len(DATABASES)


def test_each_guarantee_is_delivered_or_said_not_to_be() -> None:
    delivered = set(re.findall(r"^## (G\d+)\b", PAGE, re.MULTILINE))
    not_yet = set(re.findall(r"^\| (G\d+) \|", PAGE, re.MULTILINE))
    assert delivered | not_yet == {f"G{number}" for number in range(1, 14)}
    assert delivered & not_yet == set()


@pytest.mark.parametrize("section", PAGE.split("\n## ")[1:-1], ids=lambda text: text[:3].strip())
def test_a_delivered_guarantee_is_proven_on_each_database(section: str) -> None:
    tables = list(proven(section))
    assert [columns for columns, _ in tables] in ([DATABASES], [DATABASES, TRANSPORTS], [CACHES])
    for columns, found in tables:
        without_schema = columns == DATABASES and "Memory has no schema" in section
        assert set(columns) - found == ({"memory"} if without_schema else set())


def proven(section: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The columns of each table of a section, and those in which a test is named."""
    for table in re.findall(r"(?:^\|.*\n?)+", section, re.MULTILINE):
        (_, *columns), *tests = rows(table)
        yield (
            tuple(columns),
            {
                column
                for number, column in enumerate(columns, 1)
                if any(YES in cells[number] or NODE.search(cells[number]) for cells in tests)
            },
        )
