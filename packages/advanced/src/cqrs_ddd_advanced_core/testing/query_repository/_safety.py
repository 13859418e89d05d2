"""Names, values and cursors of strangers do no harm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_advanced_core.testing.query_repository._suite import (
    LINES,
    SPECIMENS,
    Line,
    QueryRepositorySubject,
    QuerySuite,
    ids_of,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import (
    AttributeSpecification,
    SpecificationBuilder,
    field,
    words,
)
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.primitives.exceptions import SpecificationError, UnknownOperatorError
from cqrs_ddd_core.testing.specimens import INJECTIONS, Address, Specimen

__all__ = ["SafetyTests"]


class SafetyTests(QuerySuite):
    @pytest.mark.parametrize("hostile", INJECTIONS)
    async def test_a_hostile_value_is_only_a_value(
        self, subject: QueryRepositorySubject, hostile: str
    ) -> None:
        """S-22, F53: in conditions on text and JSON, as a key, and in a cursor."""
        async with _unharmed(subject):
            specimens = await subject.fill_specimens(
                [
                    Specimen(id=hostile, name=hostile, address=Address(city=hostile)),
                    Specimen(id="~", name="~", details={"size": "~"}),
                ]
            )
            pattern = hostile.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            for specification in (
                field("name") == hostile,
                field("address.city").in_([hostile]),
                field("name").is_(Op.CONTAINS, hostile),
                field("address.city").is_(Op.LIKE, pattern),
                field("name").is_(Op.BETWEEN, (hostile, hostile)),
                field("id") == hostile,
            ):
                assert ids_of(await specimens.query(specification)) == [hostile], specification
            assert await specimens.query(field("details.size") == hostile) == []
            if words(hostile):
                found = await specimens.query(field("name").is_(Op.FTS, hostile))
                assert ids_of(found) == [hostile]
            assert (await specimens.get(hostile) or Specimen(id="")).name == hostile
            page = await specimens.page(QueryOptions(limit=1).with_ordering("name"))
            rest = QueryOptions(limit=5).with_ordering("name").after_cursor(page.next_cursor)
            assert ids_of(page) == [hostile]
            assert ids_of((await specimens.page(rest)).items) == ["~"]

    @pytest.mark.parametrize("hostile", [*INJECTIONS, "__class__", "details.__class__", "a b", ""])
    async def test_a_hostile_name_operator_or_cursor_is_refused(
        self, subject: QueryRepositorySubject, hostile: str
    ) -> None:
        """F53, F54: as field, JSON key, operator, order, chosen field and cursor."""
        async with _unharmed(subject):
            specimens = await subject.fill_specimens([Specimen(id="x", name="x")])
            for name in (hostile, f"details.{hostile}", f"name.{hostile}"):
                with pytest.raises(SpecificationError):
                    await specimens.query(AttributeSpecification(name, Op.EQUAL, "x"))
                with pytest.raises(SpecificationError):
                    await specimens.query(QueryOptions().with_ordering(name))
                with pytest.raises(SpecificationError):
                    await specimens.rows(QueryOptions().with_fields(name))
            with pytest.raises(UnknownOperatorError):
                SpecificationBuilder().where("name", hostile, "x")
            with pytest.raises(SpecificationError):
                await specimens.page(QueryOptions().after_cursor(hostile))

    async def test_what_is_no_column_is_refused(self, subject: QueryRepositorySubject) -> None:
        """S-24: columns of the store's own among it."""
        specimens = await subject.fill_specimens([Specimen(id="x")])
        for name in ("price", "tenant_id", "_tenant_id", "name.length", "model_fields"):
            with pytest.raises(SpecificationError):
                await specimens.query(field(name) == "x")
            with pytest.raises(SpecificationError):
                await specimens.count(field(name) == "x")
            with pytest.raises(SpecificationError):
                await specimens.query(QueryOptions().with_ordering(name))


@asynccontextmanager
async def _unharmed(subject: QueryRepositorySubject) -> AsyncIterator[None]:
    """Check that tables are there afterwards, with the rows they had."""
    marker = [Line("marker", 1, "untouched")]
    lines = await subject.fill_lines(marker)
    yield
    assert await lines.query() == marker
    assert await subject.store.exists(LINES)
    assert await QueryRepository(subject.store, SPECIMENS, Specimen).count() > 0
