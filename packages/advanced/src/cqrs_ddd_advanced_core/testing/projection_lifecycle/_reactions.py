"""What events lead to outside, and projections that wait for others."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    ErrorPolicy,
    EventReaction,
    FunctionProjector,
    ProjectionRows,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import (
    ACCOUNTS,
    Bank,
    Deposited,
    ProjectionLifecycleSuite,
    deposited,
)
from cqrs_ddd_core.correlation import get_causation_id
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["ReactionTests", "StagedTests"]


class Mailer:
    """Remembers what it sent; some addresses it cannot reach."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.unreachable: set[str] = set()
        self.causes: list[str | None] = []

    async def send(self, event: Deposited) -> None:
        # No connection of a database waits for a mail server.
        assert get_current_uow() is None
        assert event.aggregate_id is not None
        if event.aggregate_id in self.unreachable:
            msg = f"no mailbox for {event.aggregate_id}"
            raise ValueError(msg)
        self.sent.append(event.aggregate_id)
        self.causes.append(get_causation_id())


class ReactionTests(ProjectionLifecycleSuite):
    @pytest.fixture
    def mailer(self) -> Mailer:
        return Mailer()

    async def test_each_event_has_its_effect(self, bank: Bank, mailer: Mailer) -> None:
        mails = self._mails(bank, mailer, starts="beginning")
        await bank.run(deposited("a1"), deposited("a2"))
        await bank.run(deposited("a3"))
        for _ in range(2):
            await self._work(bank, mails)
        assert mailer.sent == ["a1", "a2", "a3"]
        stored = [event async for event in bank.events.read_all()]
        assert mailer.causes == [str(event.event_id) for event in stored]

    async def test_the_past_has_no_effects(self, bank: Bank, mailer: Mailer) -> None:
        """Muted before its start, also when nothing happened for a while."""
        await bank.run(deposited("a1"))
        mails = self._mails(bank, mailer)
        await self._work(bank, mails)
        await bank.run(deposited("a2"))
        await self._work(bank, self._mails(bank, mailer))
        assert mailer.sent == ["a2"]

    async def test_a_start_at_a_position(self, bank: Bank, mailer: Mailer) -> None:
        first = await bank.run(deposited("a1"))
        await bank.run(deposited("a2"))
        await self._work(bank, self._mails(bank, mailer, starts=first))
        assert mailer.sent == ["a2"]

    async def test_rebuilding_a_projection_repeats_no_effect(
        self, bank: Bank, mailer: Mailer
    ) -> None:
        mails = self._mails(bank, mailer, starts="beginning")
        await bank.run(deposited("a1"))
        await bank.work()
        await self._work(bank, mails)
        async with bank.store.unit_of_work():
            await bank.store.clear(ACCOUNTS)
            await bank.store.checkpoints.set_position("accounts", 1, 0)
        await bank.work()
        await self._work(bank, mails)
        assert await bank.balances() == {"a1": 1, "total": 1}
        assert mailer.sent == ["a1"]

    async def test_effects_before_a_failure_are_not_repeated(
        self, bank: Bank, mailer: Mailer
    ) -> None:
        """P-2: only what failed is tried again."""
        mailer.unreachable = {"a3"}
        mails = self._mails(bank, mailer, starts="beginning")
        await bank.run(*(deposited(f"a{number}") for number in range(1, 6)))
        await self._work(bank, mails, runs=4)
        assert mailer.sent == ["a1", "a2"]
        [checkpoint] = await bank.store.checkpoints.get("mails")
        assert checkpoint.state == "halted"
        assert "no mailbox for a3" in str(checkpoint.error)
        mailer.unreachable = set()
        await bank.store.checkpoints.resume("mails", 1)
        await self._work(bank, mails)
        assert mailer.sent == ["a1", "a2", "a3", "a4", "a5"]

    async def test_a_failed_effect_may_be_parked(self, bank: Bank, mailer: Mailer) -> None:
        """Later events of its stream wait, others do not."""
        mailer.unreachable = {"a1"}
        mails = self._mails(bank, mailer, starts="beginning", error_policy=ErrorPolicy.PARK)
        await bank.run(deposited("a1"), deposited("a2"))
        await bank.run(deposited("a1"), deposited("a3"))
        await self._work(bank, mails, runs=4)
        assert mailer.sent == ["a2", "a3"]
        assert await bank.store.parked_events.count("mails", 1) == 2

    def test_an_effect_takes_the_event_only(self) -> None:
        with pytest.raises(ProjectionDefinitionError, match="take the event"):
            EventReaction("mails", {Deposited: lambda _, __: None})  # type: ignore[dict-item, misc]

    def _mails(self, bank: Bank, mailer: Mailer, **options: Any) -> ProjectorRegistry:
        return ProjectorRegistry(
            [EventReaction("mails", {Deposited: mailer.send}, **options)], store=bank.store
        )

    async def _work(self, bank: Bank, registry: ProjectorRegistry, *, runs: int = 1) -> None:
        await _work(bank, registry, runs=runs)


RICH = ProjectionSchema(
    "rich", {"account": ProjectionColumn(str), "balance": ProjectionColumn(int)}, key=("account",)
)


class StagedTests(ProjectionLifecycleSuite):
    async def test_a_projection_reads_what_another_has_made_of_the_event(self, bank: Bank) -> None:
        registry = self._staged(bank)
        for amount in (3, 4, 5):
            await bank.run(deposited("a1", amount))
        await _work(bank, registry, runs=3)
        assert await self._rich(bank) == {"a1": 12}

    async def test_it_does_not_pass_its_upstream(self, bank: Bank) -> None:
        registry = self._staged(bank)
        await bank.run(deposited("a1", 3))
        await _work(bank, registry, runs=3)
        await bank.store.checkpoints.pause("accounts", 1)
        await bank.run(deposited("a1", 4))
        await _work(bank, registry, runs=2)
        assert await self._rich(bank) == {"a1": 3}
        await bank.store.checkpoints.resume("accounts", 1)
        await _work(bank, registry, runs=3)
        assert await self._rich(bank) == {"a1": 7}

    async def test_an_inline_upstream_holds_nobody_back(self, bank: Bank) -> None:
        registry = self._staged(bank)
        await bank.become_inline()
        await bank.run(deposited("a1", 3))
        await _work(bank, registry)
        assert await self._rich(bank) == {"a1": 3}

    def test_a_circle_is_refused_when_it_is_closed(self) -> None:
        registry = ProjectorRegistry()
        registry.register(_waiting("first", "second"))
        registry.register(_waiting("second", "third"))
        with pytest.raises(ProjectionDefinitionError, match="first -> second -> third -> first"):
            registry.register(_waiting("third", "first"))
        with pytest.raises(ProjectionDefinitionError, match="itself -> itself"):
            registry.register(_waiting("itself", "itself"))

    def _staged(self, bank: Bank) -> ProjectorRegistry:
        async def keep(event: Deposited, rows: ProjectionRows) -> None:
            key = (event.aggregate_id,)
            row = (await bank.store.fetch(ACCOUNTS, [key]))[key]
            rows.put(RICH, {"account": event.aggregate_id, "balance": row["balance"]})

        registry = bank.registry
        registry.register(
            FunctionProjector("rich", {Deposited: keep}, tables=(RICH,), depends_on=("accounts",))
        )
        return registry

    async def _rich(self, bank: Bank) -> dict[str, int]:
        rows = await bank.store.fetch(RICH, [("a1",)])
        return {key[0]: row["balance"] for key, row in rows.items()}


def _waiting(name: str, *upstreams: str) -> FunctionProjector:
    def nothing(_: Deposited, __: ProjectionRows) -> None: ...

    return FunctionProjector(name, {Deposited: nothing}, tables=(), depends_on=upstreams)


async def _work(bank: Bank, registry: ProjectorRegistry, *, runs: int = 1) -> None:
    worker = ProjectionWorker(registry, bank.events, backoff=ExponentialBackoff(initial=0))
    try:
        for _ in range(runs):
            await worker.run_once()
    finally:
        await worker.stop()
