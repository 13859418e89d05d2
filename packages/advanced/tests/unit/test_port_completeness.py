"""Every port has a suite, a memory adapter, and tests that bring them together on each database."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from cqrs_ddd_advanced_core import ports, testing
from cqrs_ddd_advanced_core.adapters import memory
from cqrs_ddd_core.testing import Conformance

#: Modules of ports without a store behind them.
WITHOUT_SUITE = {
    "projection_schema": "it describes rows, and has no adapter",
    "snapshot_strategy": "a strategy is a pure function of its arguments",
}
MODULES = sorted(
    module.name for module in iter_modules(ports.__path__) if not module.name.startswith("_")
)
WITH_SUITE = [name for name in MODULES if name not in WITHOUT_SUITE]

PACKAGES = Path(__file__).parents[3]
CONFORMANCE = [
    PACKAGES / name / "tests" / "conformance" for name in ("advanced", "persistence-sqlalchemy")
]
#: Each suite with the module it is the suite of, those of services among them.
SUITES = {
    name: suite
    for module in iter_modules(testing.__path__, f"{testing.__name__}.")
    for name, suite in inspect.getmembers(import_module(module.name), inspect.isclass)
    if name.endswith("Conformance") and suite is not Conformance
}


def _abstract_classes(module: str) -> list[type]:
    found = inspect.getmembers(import_module(f"{ports.__name__}.{module}"), inspect.isabstract)
    return [port for _, port in found if port.__module__ == f"{ports.__name__}.{module}"]


def _suite_name(module: str) -> str:
    return "".join(word.capitalize() for word in module.split("_")) + "Conformance"


def _module_of(suite: str) -> str:
    name = suite.removesuffix("Conformance")
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)[1:]


@pytest.mark.parametrize("module", WITH_SUITE)
def test_a_port_has_a_suite(module: str) -> None:
    assert _suite_name(module) in testing.__all__
    assert issubclass(getattr(testing, _suite_name(module)), Conformance)


@pytest.mark.parametrize("module", WITH_SUITE)
def test_a_port_has_a_memory_adapter_and_is_offered(module: str) -> None:
    [port] = _abstract_classes(module)
    exported = [getattr(memory, name) for name in memory.__all__]
    assert any(port in adapter.__mro__ for adapter in exported)
    assert port.__name__ in ports.__all__


@pytest.mark.parametrize("suite", sorted(SUITES))
@pytest.mark.parametrize("folder", CONFORMANCE, ids=lambda path: path.parents[1].name)
def test_a_suite_is_run_in_memory_and_on_databases(suite: str, folder: Path) -> None:
    test = folder / f"test_{_module_of(suite)}.py"
    assert test.is_file()
    assert suite in test.read_text()


def test_all_suites_are_looked_at() -> None:
    assert {_suite_name(module) for module in WITH_SUITE} <= SUITES.keys()


def test_the_exceptions_exist() -> None:
    assert set(WITHOUT_SUITE) <= set(MODULES)
