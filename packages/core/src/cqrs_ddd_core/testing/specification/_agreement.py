"""Whatever is asked, the answer is that of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject, SpecificationSuite
from cqrs_ddd_core.testing.specimens import Specimen, query_options, specifications, specimens

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["AgreementTests"]

_property = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # every example stores its own specimens
        HealthCheck.differing_executors,  # one suite is run by several classes
        HealthCheck.too_slow,
    ],
)


class AgreementTests(SpecificationSuite):
    @_property
    @given(items=specimens(), wanted=st.lists(specifications(), min_size=1, max_size=6))
    async def test_it_selects_what_is_satisfied_in_memory(
        self, subject: SpecificationSubject, items: list[Specimen], wanted: list[Specification]
    ) -> None:
        await subject.store(items)
        for specification in wanted:
            options = QueryOptions(specification)
            assert await subject.find(options) == _ids(options.apply(items)), specification

    @_property
    @given(items=specimens(), wanted=st.lists(query_options(), min_size=1, max_size=4))
    async def test_it_orders_and_pages_as_in_memory(
        self, subject: SpecificationSubject, items: list[Specimen], wanted: list[QueryOptions]
    ) -> None:
        await subject.store(items)
        for options in wanted:
            assert await subject.find(options) == _ids(options.apply(items)), options

    @_property
    @given(items=specimens(), options=query_options(), size=st.integers(1, 3))
    async def test_pages_after_cursors_show_everything_once_and_in_order(
        self, subject: SpecificationSubject, items: list[Specimen], options: QueryOptions, size: int
    ) -> None:
        await subject.store(items)
        by_id = {item.id: item for item in items}
        everything = QueryOptions(ordering=options.ordering)
        seen: list[str] = []
        page = everything.with_pagination(limit=size)
        while found := await subject.find(page):
            seen += found
            page = page.after_cursor(page.cursor(by_id[found[-1]]))
        assert seen == _ids(everything.apply(items))


def _ids(found: list[Specimen]) -> list[str]:
    return [item.id for item in found]
