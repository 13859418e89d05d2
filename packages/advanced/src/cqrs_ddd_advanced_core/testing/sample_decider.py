"""An aggregate written as a decider: what the suites decide on, store and load."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TypeAlias

from cqrs_ddd_advanced_core.domain import DecidedAggregate, Decider, aggregate_of
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.domain import DomainEvent, ValueObject
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError

__all__ = [
    "AddEstimate",
    "ApproveClaim",
    "ApprovedClaim",
    "ClaimApproved",
    "ClaimFiled",
    "ClaimState",
    "EstimateAdded",
    "FileClaim",
    "FiledClaim",
    "SampleClaim",
    "claim_decider",
]


class FiledClaim(ValueObject):
    holder: str
    happened_on: date
    estimates: tuple[Decimal, ...] = ()


# The same fields on purpose: only the name of the class says which state it is.
class ApprovedClaim(ValueObject):
    holder: str
    happened_on: date
    estimates: tuple[Decimal, ...] = ()


ClaimState: TypeAlias = FiledClaim | ApprovedClaim | None


class ClaimFiled(DomainEvent):
    holder: str
    happened_on: date


class EstimateAdded(DomainEvent):
    amount: Decimal


class ClaimApproved(DomainEvent):
    pass


class FileClaim(Command[ClaimState]):
    claim_id: str
    holder: str = "Ada"
    happened_on: date = date(2026, 2, 28)


class AddEstimate(Command[ClaimState]):
    claim_id: str
    amount: Decimal


class ApproveClaim(Command[ClaimState]):
    claim_id: str


ClaimCommand: TypeAlias = FileClaim | AddEstimate | ApproveClaim
ClaimEvent: TypeAlias = ClaimFiled | EstimateAdded | ClaimApproved


def decide(state: ClaimState, command: ClaimCommand) -> list[ClaimEvent]:
    match command, state:
        case FileClaim(), None:
            return [ClaimFiled(holder=command.holder, happened_on=command.happened_on)]
        case AddEstimate(), FiledClaim():
            return [EstimateAdded(amount=command.amount)]
        case ApproveClaim(), FiledClaim():
            return [ClaimApproved()]
        case ApproveClaim(), ApprovedClaim():
            return []
    msg = f"{command.command_type} is not possible in {state!r}"
    raise InvariantViolationError(msg)


def evolve(state: ClaimState, event: ClaimEvent) -> ClaimState:
    match event, state:
        case ClaimFiled(), _:
            return FiledClaim(holder=event.holder, happened_on=event.happened_on)
        case EstimateAdded(), FiledClaim():
            return state.model_copy(update={"estimates": (*state.estimates, event.amount)})
        case ClaimApproved(), FiledClaim():
            return ApprovedClaim(**dict(state))
    return state


claim_decider: Decider[ClaimCommand, ClaimState, ClaimEvent] = Decider(
    decide, evolve, initial_state=None
)
SampleClaim: type[DecidedAggregate[ClaimCommand, ClaimState, ClaimEvent]] = aggregate_of(
    claim_decider, "SampleClaim"
)
