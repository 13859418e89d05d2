"""What is tested, and a bank whose balances are projected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
from cqrs_ddd_advanced_core.projections import (
    FunctionProjector,
    InlineProjections,
    ProjectionRows,
    ProjectionSwitch,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import IEventStore
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = [
    "ACCOUNTS",
    "Bank",
    "Deposited",
    "Noted",
    "Opened",
    "ProjectionLifecycleSubject",
    "ProjectionLifecycleSuite",
    "deposited",
]


class Deposited(DomainEvent):
    amount: int


class Opened(DomainEvent):
    """Its projection reads a row before it writes it."""


class Noted(DomainEvent):
    """Nobody projects it."""


ACCOUNTS: Final = ProjectionSchema(
    "accounts",
    {
        "account": ProjectionColumn(str),
        "balance": ProjectionColumn(int, default=0),
        "deposits": ProjectionColumn(int, default=0),
        "opened": ProjectionColumn(int, default=0),
    },
    key=("account",),
)


@dataclass(frozen=True)
class ProjectionLifecycleSubject:
    """An empty event store, and an empty store of projections in the same database."""

    event_store: IEventStore
    store: IProjectionStore


def deposited(account: str, amount: int = 1) -> Deposited:
    return Deposited(amount=amount, aggregate_type="Account", aggregate_id=account)


class Bank:
    """Commands that store events, and the projection of balances; ``total`` is of all accounts."""

    def __init__(self, subject: ProjectionLifecycleSubject) -> None:
        self.events: IEventStore = subject.event_store
        self.store: IProjectionStore = subject.store
        self.fails_on: str | None = None
        self.registry: ProjectorRegistry = ProjectorRegistry(store=subject.store)
        self.registry.register(
            FunctionProjector(
                "accounts",
                {Deposited: self._deposited, Opened: self._opened},
                tables=(ACCOUNTS,),
            )
        )
        self.inline: InlineProjections = InlineProjections(self.registry, ["accounts"])
        self.switch: ProjectionSwitch = ProjectionSwitch(
            self.registry, self.events, batch_size=10, poll_interval=0.002
        )

    def unit_of_work(self) -> UnitOfWork:
        """Return the unit of work of a command."""
        uow = self.inline.attach(self.store.unit_of_work())
        uow.record_with(EventRecorder((), event_store=self.events).record)
        return uow

    async def run(self, *events: DomainEvent) -> int:
        """Store events as a command does, and return the position."""
        async with self.unit_of_work() as uow:
            uow.add_events(events)
        return uow.position or 0

    async def become_inline(self) -> None:
        await self.switch.to_inline("accounts")

    async def work(self) -> int:
        """Let a worker do what there is to do, and go away."""
        worker = ProjectionWorker(self.registry, self.events, batch_size=7)
        try:
            return await worker.run_once()
        finally:
            await worker.stop()

    async def account(self, name: str) -> dict[str, Any]:
        """Return a committed row; an empty one when there is none."""
        row = (await self.store.fetch(ACCOUNTS, [(name,)])).get((name,))
        return {} if row is None else dict(row)

    async def balances(self) -> dict[str, int]:
        """Return all balances by account."""
        keys = [("total",), *((f"a{number}",) for number in range(10))]
        rows = await self.store.fetch(ACCOUNTS, keys)
        return {key[0]: row["balance"] for key, row in rows.items()}

    async def state(self) -> str:
        [checkpoint] = await self.store.checkpoints.get("accounts")
        return checkpoint.state.value

    def _deposited(self, event: Deposited, rows: ProjectionRows) -> None:
        assert event.aggregate_id is not None
        if event.aggregate_id == self.fails_on:
            msg = f"{event.aggregate_id} is closed"
            raise ValueError(msg)
        for account in (event.aggregate_id, "total"):
            rows.add(ACCOUNTS, account, balance=event.amount, deposits=1)

    async def _opened(self, _: Opened, rows: ProjectionRows) -> None:
        row = await rows.get(ACCOUNTS, "total")
        opened = 0 if row is None else row["opened"]
        rows.update(ACCOUNTS, "total", opened=opened + 1)


class ProjectionLifecycleSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> ProjectionLifecycleSubject:
        raise NotImplementedError("yield a ProjectionLifecycleSubject with an empty database")

    @pytest.fixture
    async def bank(self, subject: ProjectionLifecycleSubject) -> Bank:
        await subject.store.ensure(ACCOUNTS)
        return Bank(subject)
