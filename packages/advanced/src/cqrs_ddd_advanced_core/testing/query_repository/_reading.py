"""Keys and objects."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_advanced_core.testing.query_repository._suite import (
    LINES,
    SPECIMENS,
    Line,
    QueryRepositorySubject,
    QuerySuite,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.specimens import Address, Colour, Specimen

__all__ = ["ReadingTests"]


@dataclass(frozen=True)
class _View:
    """What no column can hold: an enum, a nested object, a tuple."""

    id: str
    colour: Colour | None
    address: Address | None
    tags: tuple[str, ...]
    reference: UUID | None = None


class ReadingTests(QuerySuite):
    async def test_an_object_is_found_by_its_key(self, subject: QueryRepositorySubject) -> None:
        specimens = await subject.fill_specimens([Specimen(id="a", name="x"), Specimen(id="b")])
        assert await specimens.get("a") == Specimen(id="a", name="x")
        assert await specimens.get("c") is None
        found = await specimens.get_many(["b", "c", "a", "b"])
        assert list(found) == ["b", "a"]
        assert await specimens.get_many([]) == {}

    async def test_an_object_is_found_by_a_key_of_several_columns(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines([Line("o", 1, "x"), Line("o", 2), Line("p", 1)])
        assert await lines.get(("o", 1)) == Line("o", 1, "x")
        assert await lines.get(("p", 2)) is None
        assert list(await lines.get_many([("p", 1), ("o", 2), ("q", 1)])) == [("p", 1), ("o", 2)]

    async def test_what_cannot_be_a_key_is_refused(self, subject: QueryRepositorySubject) -> None:
        lines = await subject.fill_lines([Line("o", 1)])
        for wrong in ("o", ("o",), ("o", 1, 2), ("o", "1"), (1, "o"), ("o", None), ("o", True)):
            with pytest.raises(ProjectionValueError):
                await lines.get(wrong)

    async def test_an_object_has_what_no_column_can_hold(
        self, subject: QueryRepositorySubject
    ) -> None:
        await subject.fill_specimens(
            [
                Specimen(id="a", colour=Colour.BLUE, address=Address(city="x"), tags=["s", "t"]),
                Specimen(id="b", reference=UUID(int=7)),
            ]
        )
        views = QueryRepository(subject.store, SPECIMENS, _View)
        assert await views.query() == [
            _View("a", Colour.BLUE, Address(city="x"), ("s", "t")),
            _View("b", None, None, (), UUID(int=7)),
        ]

    async def test_a_tenant_sees_its_own_rows_only(self, subject: QueryRepositorySubject) -> None:
        """F56: not even with a key or a cursor of another tenant."""
        options = QueryOptions(limit=1)
        with message_context(tenant_id="a"):
            lines = await subject.fill_lines(Line("o", number) for number in range(3))
            cursor = (await lines.page(options)).next_cursor
        with message_context(tenant_id="b"):
            await subject.fill_lines([Line("p", 5)])
            assert await lines.query() == [Line("p", 5)]
            assert await lines.count() == 1
            assert await lines.get(("o", 1)) is None
            assert (await lines.page(options.after_cursor(cursor))).items == [Line("p", 5)]

    async def test_a_stream_goes_on_for_the_tenant_it_began_with(
        self, subject: QueryRepositorySubject
    ) -> None:
        with message_context(tenant_id="b"):
            await subject.fill_lines(Line("b", number) for number in range(4))
        with message_context(tenant_id="a"):
            lines = await subject.fill_lines(Line("a", number) for number in range(4))
            stream = lines.stream(batch_size=1)
            seen = [await anext(stream)]
        with message_context(tenant_id="b"):
            seen += [line async for line in stream]
        assert [line.order_id for line in seen] == ["a"] * 4

    async def test_a_unit_of_work_sees_its_own_rows(self, subject: QueryRepositorySubject) -> None:
        lines = await subject.fill_lines([Line("o", 1)])
        async with rolled_back(subject.store.unit_of_work):
            await subject.store.clear(LINES)
            assert await lines.query() == []
        assert await lines.count() == 1
