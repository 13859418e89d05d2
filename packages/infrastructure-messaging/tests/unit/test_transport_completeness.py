"""Every transport runs every suite, and the page about them says what each lacks."""

from __future__ import annotations

import ast
from pathlib import Path
from pkgutil import iter_modules

import pytest

import cqrs_ddd_infrastructure_messaging as package
from cqrs_ddd_infrastructure_messaging.testing import delivery, faults, transport
from tools.uv import ROOT

SUITES = ("PublisherConformance", "ConsumerConformance", "TransportConformance")
#: How the classes of a transport's room begin.
TECHNOLOGIES = {"memory": "InMemory", "nats": "NATS", "rabbitmq": "RabbitMQ"}
CONFORMANCE = Path(__file__).parents[1] / "conformance"
PAGE = ROOT / "docs" / "howto" / "transports.md"


def _classes() -> list[ast.ClassDef]:
    trees = [ast.parse(path.read_text()) for path in sorted(CONFORMANCE.glob("test_*.py"))]
    return [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]


def _runs(technology: str, suite: str) -> list[ast.ClassDef]:
    """The test classes in which a transport runs a suite."""
    return [
        one
        for one in _classes()
        if technology in one.name
        and any(isinstance(base, ast.Name) and base.id == suite for base in one.bases)
    ]


def _lacks(technology: str) -> dict[str, str]:
    [run] = _runs(technology, "TransportConformance")
    for statement in run.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "lacks":
            assert statement.value is not None
            found: dict[str, str] = ast.literal_eval(statement.value)
            return found
    return {}


def _capabilities() -> list[str]:
    """What tests of the suite ask for beyond the minimum, as its docstring lists it."""
    text = transport.TransportConformance.__doc__ or ""
    return text.split("a reason:")[-1].split("``")[1::2]


def test_the_rooms_of_the_package_are_known() -> None:
    rooms = {
        room.name
        for room in iter_modules(package.__path__)
        if room.ispkg
        and "consumer" in {m.name for m in iter_modules([f"{package.__path__[0]}/{room.name}"])}
    }
    assert rooms == TECHNOLOGIES.keys()


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("technology", TECHNOLOGIES.values())
def test_a_transport_runs_every_suite(technology: str, suite: str) -> None:
    assert _runs(technology, suite)


def test_the_suite_says_what_may_be_lacking() -> None:
    sources = [Path(module.__file__ or "").parent for module in (delivery, faults)]
    asked = {
        node.args[0].value
        for path in sources[0].glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "needs"
        and isinstance(node.args[0], ast.Constant)
    }
    assert asked == set(_capabilities())


@pytest.mark.parametrize("capability", _capabilities())
def test_the_page_says_who_has_what(capability: str) -> None:
    [row] = [line for line in PAGE.read_text().splitlines() if f"(`{capability}`)" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    wanted = [_lacks(TECHNOLOGIES[room]).get(capability) for room in ("memory", "rabbitmq", "nats")]
    assert cells == ["yes" if reason is None else f"no: {reason}" for reason in wanted]


def test_envelopes_are_built_in_one_place_and_read_in_one() -> None:
    """X-8: no transport has a way of its own."""
    root = Path(str(package.__file__)).parent
    builders = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func) == "MessageEnvelope"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert builders == {"envelope.py", "_headers.py"}
