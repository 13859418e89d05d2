"""Results, ids, clocks and correlation."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from cqrs_ddd_core.correlation import (
    get_causation_id,
    get_context,
    get_correlation_id,
    message_context,
)
from cqrs_ddd_core.primitives.clock import FixedClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, ValidationError
from cqrs_ddd_core.primitives.id_generator import (
    SequentialIDGenerator,
    UUID4Generator,
    UUID7Generator,
)
from cqrs_ddd_core.primitives.result import Result, ResultStatus


def test_a_success_carries_its_data() -> None:
    result = Result.success(3)
    assert result.is_success
    assert result.data == 3


def test_a_failure_has_a_reason_and_no_data() -> None:
    result = Result.failure("sold out")
    assert result.is_failure
    assert result.error == "sold out"
    with pytest.raises(ConfigurationError, match="sold out"):
        _ = result.data


def test_a_validation_error_has_messages_per_field() -> None:
    result = Result.validation_error({"code": "is empty", "price": ["is negative", "is odd"]})
    assert result.status is ResultStatus.VALIDATION_ERROR
    assert result.errors == {"code": ["is empty"], "price": ["is negative", "is odd"]}


def test_a_validation_exception_names_every_field() -> None:
    error = ValidationError({"code": ["is empty"], "price": ["is negative"]})
    assert str(error) == "code: is empty; price: is negative"


def test_ids_of_the_default_generator_sort_by_time() -> None:
    generator = UUID7Generator()
    ids = [generator.next_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert {i.version for i in ids} == {7}
    assert UUID4Generator().next_id().version == 4


def test_a_test_can_name_the_ids_it_expects() -> None:
    generator = SequentialIDGenerator()
    assert [generator.next_id(), generator.next_id()] == [UUID(int=1), UUID(int=2)]


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(1.5)
    assert (clock.now() - before).total_seconds() == 1.5
    assert SystemClock().now().tzinfo is not None


def test_outside_any_context_there_is_no_correlation() -> None:
    assert get_correlation_id() is None
    assert get_causation_id() is None
    assert get_context().tenant_id == ""


def test_a_context_ends_with_its_block_and_keeps_what_is_not_given() -> None:
    with message_context(correlation_id="c1", tenant_id="t1"):
        with message_context(user_id="u1"):
            assert get_correlation_id() == "c1"
            assert get_context().tenant_id == "t1"
            assert get_context().user_id == "u1"
        assert get_context().user_id is None
    assert get_correlation_id() is None


def test_all_work_in_one_context_shares_one_correlation_id() -> None:
    with message_context(user_id="u1") as context:
        child = context.caused_by(uuid4())
        assert child.correlation_id == context.correlation_id
        assert context.correlation_id is not None


async def test_a_context_follows_into_tasks_without_leaking_back() -> None:
    async def child() -> str | None:
        with message_context(correlation_id="inner"):
            return get_correlation_id()

    with message_context(correlation_id="outer"):
        assert await asyncio.create_task(child()) == "inner"
        assert get_correlation_id() == "outer"
