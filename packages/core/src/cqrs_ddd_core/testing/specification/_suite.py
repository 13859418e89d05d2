"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.specimens import Specimen

__all__ = ["SpecificationSubject", "SpecificationSuite"]


@dataclass(frozen=True)
class SpecificationSubject:
    """An evaluator with a place to store specimens.

    Args:
        store: Keeps these specimens and no others.
        find: Returns the ids of what the options select, in their order.
    """

    store: Callable[[Sequence[Specimen]], Awaitable[None]]
    find: Callable[[QueryOptions], Awaitable[list[str]]]


class SpecificationSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> SpecificationSubject:
        raise NotImplementedError("yield a SpecificationSubject")
