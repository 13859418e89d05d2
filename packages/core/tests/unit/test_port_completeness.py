"""Every port has a conformance suite, a memory adapter, and a test that brings them together."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from cqrs_ddd_core import ports, testing
from cqrs_ddd_core.adapters import memory

#: Ports that are code around messages, not stores: their one implementation has unit tests.
WITHOUT_SUITE = {
    "background_worker": "background/polling.py is the one loop",
    "event_dispatcher": "cqrs/event_dispatcher.py is the one dispatcher",
    "middleware": "each middleware has its own behaviour",
    "payload_condition": "part of a filter; the suite of the event store asks for it",
    "pending_stream": "what a unit of work remembers; the suite of the unit of work asks for it",
    "retry": "a policy is a pure function of its arguments",
    "stored_event": "a value; the suite of the event store asks for it",
    "unit_of_work_scope": "the suite of the unit of work asks it for the current one",
    "upcasting": "the advanced package has the one registry",
    "validation": "each validator has its own behaviour",
}
MODULES = sorted(module.name for module in iter_modules(ports.__path__))
WITH_SUITE = [name for name in MODULES if name not in WITHOUT_SUITE]
CONFORMANCE = Path(__file__).parents[1] / "conformance"


def _abstract_classes(module: str) -> list[type]:
    names = vars(import_module(f"cqrs_ddd_core.ports.{module}")).values()
    return [
        value
        for value in names
        if inspect.isclass(value)
        and inspect.isabstract(value)
        and value.__module__ == f"cqrs_ddd_core.ports.{module}"
    ]


@pytest.mark.parametrize("module", WITH_SUITE)
def test_a_port_has_a_suite(module: str) -> None:
    suite = "".join(word.capitalize() for word in module.split("_")) + "Conformance"
    assert suite in testing.__all__
    assert issubclass(getattr(testing, suite), testing.Conformance)


@pytest.mark.parametrize("module", WITH_SUITE)
def test_a_port_has_a_memory_adapter(module: str) -> None:
    [port] = _abstract_classes(module)
    exported = [getattr(memory, name) for name in memory.__all__]
    assert any(port in adapter.__mro__ for adapter in exported)


@pytest.mark.parametrize("module", WITH_SUITE)
def test_the_memory_adapter_runs_the_suite(module: str) -> None:
    assert (CONFORMANCE / f"test_{module}.py").is_file()


def test_the_exceptions_exist() -> None:
    assert set(WITHOUT_SUITE) <= set(MODULES)
