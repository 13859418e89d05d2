"""Aggregates that a decider runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cqrs_ddd_advanced_core.cqrs import DeciderHandler
from cqrs_ddd_advanced_core.domain import UnknownCommandError
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedMediator, EventSourcedRepository
from cqrs_ddd_advanced_core.testing.event_sourcing._suite import (
    EventSourcingSubject,
    EventSourcingSuite,
    queued,
)
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    ApprovedClaim,
    ClaimState,
    FileClaim,
    FiledClaim,
    SampleClaim,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import (
    EntityNotFoundError,
    InvariantViolationError,
    OptimisticConcurrencyError,
)
from cqrs_ddd_core.testing.conformance import rolled_back

__all__ = ["DeciderTests"]

_STREAM = StreamId("SampleClaim", "c")
_DAY = date(2026, 2, 28)


class WithdrawClaim(Command[ClaimState]):
    claim_id: str


@dataclass(frozen=True)
class _Office:
    """Claims, and the mediator that handles their commands."""

    claims: EventSourcedRepository[Any]
    mediator: EventSourcedMediator


class DeciderTests(EventSourcingSuite):
    """A decided aggregate is stored and loaded like any other."""

    @pytest.fixture
    def office(self, subject: EventSourcingSubject) -> _Office:
        registry = HandlerRegistry()
        claims = EventSourcedRepository(subject.event_store, SampleClaim)
        handler = DeciderHandler(claims, id_of=lambda command: command.claim_id)
        handler.max_retries, handler.retry_delay = 20, 0.01
        handler.register(registry)
        registry.register_command_handler(WithdrawClaim, handler)
        return _Office(claims, subject.mediator(registry))

    async def test_commands_need_no_handler_of_their_own(
        self, subject: EventSourcingSubject, office: _Office
    ) -> None:
        filed = await office.mediator.send(FileClaim(claim_id="c"))
        assert filed.result == FiledClaim(holder="Ada", happened_on=_DAY)
        response = await office.mediator.send(AddEstimate(claim_id="c", amount=Decimal("0.10")))
        assert response.result == FiledClaim(
            holder="Ada", happened_on=_DAY, estimates=(Decimal("0.10"),)
        )
        events = await subject.event_store.get_events(_STREAM)
        assert [event.event_type for event in events] == ["ClaimFiled", "EstimateAdded"]
        assert [event.version for event in events] == [1, 2]
        assert response.position == events[-1].position
        assert await queued(subject) == {event.event_id for event in events}

    async def test_a_state_comes_back_as_the_same_class(self, office: _Office) -> None:
        for command in (FileClaim, ApproveClaim):
            await office.mediator.send(command(claim_id="c"))
        claim = await office.claims.get("c")
        assert claim.state == ApprovedClaim(holder="Ada", happened_on=_DAY)
        assert (claim.version, claim.get_uncommitted_events()) == (2, [])

    async def test_nothing_decided_is_nothing_written(
        self, subject: EventSourcingSubject, office: _Office
    ) -> None:
        for command in (FileClaim, ApproveClaim):
            await office.mediator.send(command(claim_id="c"))
        response = await office.mediator.send(ApproveClaim(claim_id="c"))
        assert response.result == ApprovedClaim(holder="Ada", happened_on=_DAY)
        assert (response.events, response.position) == ([], None)
        assert await subject.event_store.get_stream_version(_STREAM) == 2

    async def test_what_is_refused_leaves_nothing(
        self, subject: EventSourcingSubject, office: _Office
    ) -> None:
        with pytest.raises(InvariantViolationError, match="AddEstimate"):
            await office.mediator.send(AddEstimate(claim_id="c", amount=Decimal(1)))
        with pytest.raises(UnknownCommandError, match="WithdrawClaim"):
            await office.mediator.send(WithdrawClaim(claim_id="c"))
        assert await subject.event_store.get_stream_version(_STREAM) == 0
        assert await queued(subject) == set()

    async def test_who_loses_a_race_decides_again(self, office: _Office) -> None:
        """G2."""
        await office.mediator.send(FileClaim(claim_id="c"))
        commands = [AddEstimate(claim_id="c", amount=Decimal(number)) for number in range(8)]
        await asyncio.gather(*(office.mediator.send(command) for command in commands))
        claim = await office.claims.get("c")
        assert sorted(claim.state.estimates) == list(range(8))
        assert claim.version == 9

    async def test_of_two_first_commands_one_is_decided_on_nothing(self, office: _Office) -> None:
        outcomes = await asyncio.gather(
            *(office.mediator.send(FileClaim(claim_id="c")) for _ in range(2)),
            return_exceptions=True,
        )
        [refused] = [one for one in outcomes if isinstance(one, Exception)]
        assert isinstance(refused, InvariantViolationError)
        assert (await office.claims.get("c")).version == 1

    async def test_a_unit_of_work_decides_on_what_it_has_saved(
        self, subject: EventSourcingSubject, office: _Office
    ) -> None:
        async with rolled_back(subject.unit_of_work):
            for command in (FileClaim(claim_id="c"), ApproveClaim(claim_id="c")):
                claim = await office.claims.get_or_blank("c")
                claim.execute(command)
                await office.claims.save(claim)
            saved = await office.claims.get("c")
            assert isinstance(saved.state, ApprovedClaim)
        assert (await office.claims.get_or_blank("c")).state is None

    async def test_a_deleted_aggregate_is_not_begun_again(self, office: _Office) -> None:
        await office.mediator.send(FileClaim(claim_id="c"))
        await office.claims.delete(await office.claims.get("c"))
        with pytest.raises(EntityNotFoundError):
            await office.claims.get("c")
        begun = await office.claims.get_or_blank("c")
        begun.execute(FileClaim(claim_id="c"))
        with pytest.raises(OptimisticConcurrencyError):
            await office.claims.save(begun)
        restored = await office.claims.restore("c")
        assert restored.state == FiledClaim(holder="Ada", happened_on=_DAY)
