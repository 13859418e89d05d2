"""What all conformance suites have in common."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["Conformance", "Veto", "elsewhere", "rolled_back"]

T = TypeVar("T")


class Conformance:
    """The base of every suite.

    A suite has one fixture to supply, ``subject``: what is tested, new and empty for each test.
    Tests marked ``@pytest.mark.needs("...")`` ask for more than the minimum.

    Attributes:
        lacks: What an adapter cannot do, with the reason; the tests that need it are skipped.
    """

    lacks: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _skip_what_is_lacking(self, request: pytest.FixtureRequest) -> None:
        for marker in request.node.iter_markers("needs"):
            for capability in marker.args:
                if capability in self.lacks:
                    pytest.skip(f"{capability}: {self.lacks[capability]}")


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
