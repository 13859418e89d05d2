"""What all conformance suites have in common."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["Conformance", "Veto", "elsewhere", "needs", "rolled_back"]

F = TypeVar("F", bound="Callable[..., object]")
T = TypeVar("T")

_NEEDS: Final = "__needs__"


class Conformance:
    """The base of every suite.

    A suite has one fixture to supply, ``subject``: what is tested, new and empty for each test.
    Tests decorated with ``@needs("...")`` ask for more than the minimum.

    Attributes:
        lacks: What an adapter cannot do, with the reason; the tests that need it are skipped.
    """

    lacks: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _skip_what_is_lacking(self, request: pytest.FixtureRequest) -> None:
        marked = (name for marker in request.node.iter_markers("needs") for name in marker.args)
        for capability in (*getattr(request.function, _NEEDS, ()), *marked):
            if capability in self.lacks:
                pytest.skip(f"{capability}: {self.lacks[capability]}")


def needs(capability: str) -> Callable[[F], F]:
    """Say that a test of a suite asks for more than the minimum; see ``Conformance.lacks``."""

    # No mark of pytest: everybody who imports a suite would have to register it.
    def decorate(test: F) -> F:
        setattr(test, _NEEDS, (*getattr(test, _NEEDS, ()), capability))
        return test

    return decorate


async def elsewhere(work: Coroutine[object, object, T]) -> T:
    """Run something in a task of its own, so outside of the current unit of work."""
    return await asyncio.create_task(work)


class Veto(Exception):  # noqa: N818 - not an error of the toolkit
    """Ends a unit of work on purpose."""


@asynccontextmanager
async def rolled_back(unit_of_work: UnitOfWorkFactory) -> AsyncIterator[UnitOfWork]:
    """Open a unit of work that an exception ends."""
    try:
        async with unit_of_work() as uow:
            yield uow
            raise Veto
    except Veto:
        return
    pytest.fail("the unit of work swallowed an exception")
