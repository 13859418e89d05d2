"""The event-sourced mediator, and who decides what is stored where."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cqrs_ddd_advanced_core import (
    EventSourcedAggregateRequiredError,
    EventSourcedMediator,
    EventSourcedMediatorFactory,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
    EventSourcingConfigurationError,
    non_event_sourced,
)
from cqrs_ddd_advanced_core.testing.samples import (
    MoneyDeposited,
    OpenAccount,
    SampleAccount,
    register_account_handlers,
)
from cqrs_ddd_core import AggregateRoot, Command, DomainEvent, HandlerRegistry, Mediator
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs import CommandResponse
from cqrs_ddd_core.primitives.exceptions import UnrecordedEventsError

EXAMPLE = Path(__file__).parents[1] / "examples" / "event_sourcing" / "mediator_extension.py"


class ThemeChosen(DomainEvent):
    theme: str


@non_event_sourced
class Preferences(AggregateRoot[str]):
    theme: str = "light"

    def choose(self, theme: str) -> None:
        self.theme = theme
        self.raise_event(ThemeChosen(theme=theme))


class Profile(Preferences):
    """Saved like preferences, and nobody said whether it is event-sourced."""


class Choose(Command[None]):
    theme: str = "dark"


class ChooseForProfile(Command[None]):
    pass


@dataclass
class World:
    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    registry: HandlerRegistry = field(default_factory=HandlerRegistry)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = InMemoryEventStore(self.database)
        self.outbox = InMemoryOutboxStorage(self.database)
        self.accounts = EventSourcedRepository(self.store, SampleAccount)
        self.preferences = InMemoryRepository(Preferences, self.database)
        self.profiles = InMemoryRepository(Profile, self.database)
        register_account_handlers(self.registry, self.accounts)
        self.registry.register_command_handler(Choose, self._choose)
        self.registry.register_command_handler(ChooseForProfile, self._choose_for_profile)
        self.registry.register_event_handler(ThemeChosen, self._hear)

    def unit_of_work(self) -> InMemoryUnitOfWork:
        return InMemoryUnitOfWork(self.database)

    def factory(self, **options: Any) -> EventSourcedMediatorFactory:
        return EventSourcedMediatorFactory(self.store, self.unit_of_work, self.registry, **options)

    async def stored(self, store: InMemoryEventStore | None = None) -> list[str]:
        return [event.event_type async for event in (store or self.store).read_all()]

    async def _choose(self, command: Choose) -> None:
        preferences = Preferences(id="ada")
        preferences.choose(command.theme)
        await self.preferences.save(preferences)

    async def _choose_for_profile(self, command: ChooseForProfile) -> None:
        profile = Profile(id="ada")
        profile.choose("dark")
        await self.profiles.save(profile)

    async def _hear(self, event: ThemeChosen) -> None:
        self.heard.append(event.theme)


@pytest.fixture
def world() -> World:
    return World()


def test_event_sourced_mediator_extends_core_mediator(world: World) -> None:
    mediator = EventSourcedMediator(registry=world.registry, uow_factory=world.unit_of_work)
    assert isinstance(mediator, Mediator)
    assert mediator.registry is world.registry


async def test_send_command_with_persistence(world: World) -> None:
    orchestrator = EventSourcedPersistenceOrchestrator(default_event_store=world.store)
    orchestrator.register_event_sourced_type("SampleAccount")
    mediator = EventSourcedMediator(
        registry=world.registry,
        uow_factory=world.unit_of_work,
        event_persistence_orchestrator=orchestrator,
    )
    response = await mediator.send(OpenAccount(account_id="a"))
    assert response.result == "a"
    assert response.position == 1
    assert await world.stored() == ["AccountOpened"]


async def test_non_event_sourced_aggregate_events_skipped(world: World) -> None:
    """A-9: the decorator alone keeps them out; handlers hear of them all the same."""
    mediator = world.factory(outbox=world.outbox).create()
    response = await mediator.send(Choose())
    assert [event.event_type for event in response.events] == ["ThemeChosen"]
    assert await world.stored() == []
    assert world.heard == ["dark"]
    assert await world.outbox.count_pending() == 1
    assert (await world.preferences.get("ada")).theme == "dark"


async def test_configure_event_sourced_type(world: World) -> None:
    mediator = world.factory().create()
    mediator.configure_event_sourced_type("Profile")
    await mediator.send(ChooseForProfile())
    assert await world.stored() == ["ThemeChosen"]


async def test_configure_non_event_sourced_type(world: World) -> None:
    mediator = world.factory().create()
    mediator.configure_non_event_sourced_type("Profile")
    await mediator.send(ChooseForProfile())
    assert await world.stored() == []


async def test_factory_creates_configured_mediator(world: World) -> None:
    factory = world.factory()
    factory.register_event_sourced_type("SampleAccount")
    factory.register_non_event_sourced_type("Profile")
    mediator = factory.create()
    assert isinstance(mediator, EventSourcedMediator)
    await mediator.send(ChooseForProfile())
    await mediator.send(OpenAccount(account_id="a"))
    assert await world.stored() == ["AccountOpened"]


def test_configure_without_orchestrator_raises(world: World) -> None:
    mediator = EventSourcedMediator(world.registry, world.unit_of_work)
    with pytest.raises(EventSourcingConfigurationError, match="event_persistence_orchestrator"):
        mediator.configure_event_sourced_type("Order")
    with pytest.raises(EventSourcingConfigurationError):
        mediator.configure_non_event_sourced_type("Order")


async def test_an_unregistered_type_is_refused_and_nothing_is_left(world: World) -> None:
    mediator = world.factory().create()
    with pytest.raises(EventSourcedAggregateRequiredError, match="register_event_sourced_type"):
        await mediator.send(ChooseForProfile())
    assert not await world.profiles.exists("ada")
    assert await world.stored() == []


async def test_without_enforcement_it_is_not_stored(world: World) -> None:
    mediator = world.factory(enforce_registration=False).create()
    await mediator.send(ChooseForProfile())
    assert await world.stored() == []


async def test_a_type_may_have_an_event_store_of_its_own(world: World) -> None:
    own = InMemoryEventStore(world.database)
    factory = world.factory()
    factory.register_event_sourced_type("Profile", event_store=own)
    await factory.create().send(ChooseForProfile())
    assert await world.stored(own) == ["ThemeChosen"]
    assert await world.stored() == []


async def test_the_repository_decides_where_its_streams_are(world: World) -> None:
    own = InMemoryEventStore(world.database)
    accounts = EventSourcedRepository(own, SampleAccount)
    registry = HandlerRegistry()
    register_account_handlers(registry, accounts)
    for mediator in (
        Mediator(registry, world.unit_of_work),
        EventSourcedMediator(registry, world.unit_of_work, event_store=world.store),
    ):
        await mediator.send(OpenAccount(account_id=type(mediator).__name__))
    assert await world.stored(own) == ["AccountOpened", "AccountOpened"]
    assert await world.stored() == []


async def test_a_failing_commit_leaves_no_event(world: World) -> None:
    """A-6."""

    class Failing(InMemoryUnitOfWork):
        async def _commit(self) -> None:
            raise ConnectionError

    factory = EventSourcedMediatorFactory(
        world.store, lambda: Failing(world.database), world.registry
    )
    factory.register_event_sourced_type("SampleAccount")
    with pytest.raises(ConnectionError):
        await factory.create().send(OpenAccount(account_id="a"))
    assert await world.stored() == []


def test_a_type_cannot_be_both(world: World) -> None:
    orchestrator = EventSourcedPersistenceOrchestrator(world.store)
    orchestrator.register_event_sourced_type("Order")
    with pytest.raises(EventSourcingConfigurationError, match="keep one"):
        orchestrator.register_non_event_sourced_type("Order")
    orchestrator.unregister_event_sourced_type("Order")
    orchestrator.register_non_event_sourced_type("Order")
    with pytest.raises(EventSourcingConfigurationError, match="keep one"):
        orchestrator.register_event_sourced_type("Order")


def test_clearing_forgets_both_kinds(world: World) -> None:
    """A-9."""
    orchestrator = EventSourcedPersistenceOrchestrator(world.store)
    orchestrator.register_event_sourced_type("Order")
    orchestrator.register_non_event_sourced_type("Draft")
    assert orchestrator.is_event_sourced("Order")
    assert orchestrator.get_event_store("Draft") is None
    orchestrator.clear_registrations()
    assert not orchestrator.is_event_sourced("Order")
    with pytest.raises(EventSourcedAggregateRequiredError):
        orchestrator.get_event_store("Draft")


def test_the_decorator_refuses_an_aggregate_that_is_made_of_its_events() -> None:
    with pytest.raises(EventSourcingConfigurationError, match="mixin or the decorator"):
        non_event_sourced(type("Derived", (SampleAccount,), {}))


def test_an_event_store_and_an_orchestrator_are_one_too_many(world: World) -> None:
    with pytest.raises(EventSourcingConfigurationError, match="leave event_store out"):
        EventSourcedMediator(
            world.registry,
            world.unit_of_work,
            event_store=world.store,
            event_persistence_orchestrator=EventSourcedPersistenceOrchestrator(world.store),
        )


@pytest.fixture
def orchestrator(world: World) -> EventSourcedPersistenceOrchestrator:
    orchestrator = EventSourcedPersistenceOrchestrator(world.store)
    orchestrator.register_event_sourced_type("SampleAccount")
    orchestrator.register_non_event_sourced_type("Draft")
    return orchestrator


def _deposit(aggregate_type: str | None = "SampleAccount", aggregate_id: str = "a") -> DomainEvent:
    return MoneyDeposited.model_validate(
        {"amount": 1, "aggregate_type": aggregate_type, "aggregate_id": aggregate_id}
    )


async def test_events_of_no_saved_aggregate_are_persisted_by_hand(
    world: World, orchestrator: EventSourcedPersistenceOrchestrator
) -> None:
    response = CommandResponse(None)
    events = [_deposit(), _deposit("Draft"), _deposit(None), _deposit(), _deposit(aggregate_id="b")]
    await orchestrator.persist_events(events, response)
    assert response.position == 3
    stored = [event async for event in world.store.read_all()]
    assert [(event.aggregate_id, event.version) for event in stored] == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]


async def test_persisted_by_hand_in_a_unit_of_work_they_commit_with_it_once(
    world: World, orchestrator: EventSourcedPersistenceOrchestrator
) -> None:
    event = _deposit()
    async with world.unit_of_work() as uow:
        await orchestrator.persist_event(event)
        await orchestrator.persist_event(event)
        assert await world.store.get_latest_position() == 0
    assert await world.stored() == ["MoneyDeposited"]
    assert uow.position == 1


async def test_events_that_nobody_stores_refuse_the_commit(world: World) -> None:
    with pytest.raises(UnrecordedEventsError):
        async with world.unit_of_work() as uow:
            uow.add_events([_deposit()])


def test_the_three_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == [
        "1. order-1 of ada is pending at version 1",
        "2. stored: OrderCreated",
        "3. heard of 1 change, stored 0 events",
    ]
