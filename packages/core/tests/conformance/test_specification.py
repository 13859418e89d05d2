"""Evaluation in memory agrees with itself on what is stored and read again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import field_kind
from cqrs_ddd_core.testing import SpecificationConformance, SpecificationSubject
from cqrs_ddd_core.testing.specimens import Specimen


class InMemorySpecimens:
    def __init__(self) -> None:
        self._stored: list[bytes] = []

    async def store(self, items: Sequence[Specimen]) -> None:
        self._stored = [item.model_dump_json().encode() for item in items]

    async def find(self, options: QueryOptions) -> list[str]:
        options.check(partial(field_kind, Specimen))
        items = [Specimen.model_validate_json(stored) for stored in self._stored]
        return [item.id for item in options.apply(items)]


class TestSpecificationInMemory(SpecificationConformance):
    @pytest.fixture
    def subject(self) -> SpecificationSubject:
        specimens = InMemorySpecimens()
        return SpecificationSubject(specimens.store, specimens.find)
