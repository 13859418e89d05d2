from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from pydantic import Field

from cqrs_ddd_advanced_core.domain import (
    EventSourcedAggregateMixin,
    EventValidationConfig,
    EventValidator,
    InvalidEventHandlerError,
    MissingEventHandlerError,
    StrictValidationViolationError,
    aggregate_event_handler,
    aggregate_event_handler_validator,
    exceptions,
    get_handler_event_type,
    is_aggregate_event_handler,
)
from cqrs_ddd_core.domain import AggregateRoot, DomainEvent
from cqrs_ddd_core.primitives.exceptions import CQRSDDDError


class Opened(DomainEvent):
    owner: str


class Deposited(DomainEvent):
    amount: Decimal


class BonusDeposited(Deposited):
    campaign: str


class Renamed(DomainEvent):
    event_type = "account.renamed"
    owner: str


class Account(EventSourcedAggregateMixin, AggregateRoot[str]):
    owner: str = ""
    balance: Decimal = Decimal(0)

    @aggregate_event_handler
    def on_opened(self, event: Opened) -> None:
        self.owner = event.owner

    def apply_Deposited(self, event: Deposited) -> None:  # noqa: N802 - the convention
        self.balance += event.amount

    def _apply_renamed(self, event: Renamed) -> None:
        self.owner = event.owner


class WithWhen(EventSourcedAggregateMixin, AggregateRoot[str]):
    seen: list[str] = Field(default_factory=list)

    def _when(self, event: DomainEvent) -> None:
        self.seen = [*self.seen, event.event_type]


def test_a_raised_event_is_applied_at_once_and_recorded() -> None:
    account = Account(id="a")
    account.raise_event(Opened(owner="Ada"))
    account.raise_event(Deposited(amount=Decimal("1.50")))
    assert (account.owner, account.balance, account.version) == ("Ada", Decimal("1.50"), 0)
    events = account.get_uncommitted_events()
    assert [event.event_type for event in events] == ["Opened", "Deposited"]
    assert {(event.aggregate_type, event.aggregate_id) for event in events} == {("Account", "a")}


def test_a_handler_that_raises_keeps_the_event_from_being_recorded() -> None:
    class Strict(EventSourcedAggregateMixin, AggregateRoot[str]):
        @aggregate_event_handler(Opened)
        def on_opened(self, event: DomainEvent) -> None:
            raise ValueError(event.event_type)

    strict = Strict(id="a")
    with pytest.raises(ValueError, match="Opened"):
        strict.raise_event(Opened(owner="Ada"))
    assert strict.get_uncommitted_events() == []


def test_history_is_applied_like_live_events_and_counts_versions() -> None:
    account = Account(id="a")
    account.load_from_history([Opened(owner="Ada"), Deposited(amount=Decimal(100))])
    assert (account.owner, account.balance, account.version) == ("Ada", Decimal(100), 2)
    assert account.get_uncommitted_events() == []


@pytest.mark.parametrize(
    "name", ["apply_Deposited", "apply_deposited", "_apply_deposited", "apply_MoneyIn"]
)
def test_the_naming_conventions(name: str) -> None:
    seen: list[DomainEvent] = []
    event_class = type("MoneyIn", (Deposited,), {"__module__": __name__}) if "In" in name else None
    method = lambda self, event: seen.append(event)  # noqa: E731
    kind = type("Kind", (EventSourcedAggregateMixin, AggregateRoot[str]), {name: method})
    event = (event_class or Deposited)(amount=Decimal(1))
    kind(id="a").raise_event(event)
    assert seen == [event]


@pytest.mark.parametrize("name", ["apply_bonus_deposited", "_apply_bonusdeposited"])
def test_longer_names_in_snake_case_and_in_lower_case(name: str) -> None:
    seen: list[DomainEvent] = []
    method = lambda self, event: seen.append(event)  # noqa: E731
    kind = type("Kind", (EventSourcedAggregateMixin, AggregateRoot[str]), {name: method})
    kind(id="a").raise_event(BonusDeposited(amount=Decimal(1), campaign="c"))
    assert len(seen) == 1


def test_a_derived_event_finds_the_handler_of_its_base() -> None:
    account = Account(id="a")
    account.raise_event(BonusDeposited(amount=Decimal(2), campaign="c"))
    assert account.balance == 2


def test_the_stored_name_of_an_event_counts_too() -> None:
    class Person(EventSourcedAggregateMixin, AggregateRoot[str]):
        name: str = ""

        def _when(self, event: DomainEvent) -> None:
            assert isinstance(event, Renamed)
            self.name = event.owner

    person = Person(id="a")
    person.raise_event(Renamed(owner="Ada"))
    assert person.name == "Ada"


@pytest.mark.parametrize("name", ["_when", "apply_event"])
def test_a_fallback_takes_everything_else(name: str) -> None:
    seen: list[str] = []
    method = lambda self, event: seen.append(event.event_type)  # noqa: E731
    kind = type("Kind", (EventSourcedAggregateMixin, AggregateRoot[str]), {name: method})
    aggregate = kind(id="a")
    aggregate.raise_event(Opened(owner="Ada"))
    aggregate.raise_event(Deposited(amount=Decimal(1)))
    assert seen == ["Opened", "Deposited"]


def test_a_subclass_overrides_a_handler() -> None:
    class Doubling(Account):
        def apply_Deposited(self, event: Deposited) -> None:  # noqa: N802
            self.balance += 2 * event.amount

    doubling = Doubling(id="a")
    doubling.raise_event(Deposited(amount=Decimal(3)))
    assert doubling.balance == 6


def test_an_event_without_a_handler_is_an_error_by_default() -> None:
    class Closed(DomainEvent):
        pass

    account = Account(id="a")
    with pytest.raises(MissingEventHandlerError, match="apply_Closed") as caught:
        account.raise_event(Closed())
    assert (caught.value.aggregate_type, caught.value.event_type) == ("Account", "Closed")
    assert account.get_uncommitted_events() == []


def test_a_lenient_class_ignores_it() -> None:
    @aggregate_event_handler_validator(enabled=False)
    class Lenient(Account):
        pass

    lenient = Lenient(id="a")
    lenient.raise_event(type("Closed", (DomainEvent,), {"__module__": __name__})())
    assert len(lenient.get_uncommitted_events()) == 1


def test_a_strict_class_wants_a_handler_of_its_own_for_each_event() -> None:
    @aggregate_event_handler_validator(strict=True)
    class Strict(Account):
        def _when(self, event: DomainEvent) -> None: ...

    strict = Strict(id="a")
    strict.raise_event(Deposited(amount=Decimal(1)))
    with pytest.raises(StrictValidationViolationError) as caught:
        strict.raise_event(BonusDeposited(amount=Decimal(1), campaign="c"))
    assert "apply_BonusDeposited" in caught.value.reason


def test_a_class_may_do_without_its_fallback() -> None:
    @aggregate_event_handler_validator(allow_fallback=False)
    class NoFallback(WithWhen):
        pass

    with pytest.raises(MissingEventHandlerError):
        NoFallback(id="a").raise_event(Opened(owner="Ada"))


def test_a_validator_checks_all_events_of_a_class_at_once() -> None:
    EventValidator().validate_all(Account, [Opened, Deposited, Renamed])
    strict = EventValidator(EventValidationConfig(strict_mode=True))
    with pytest.raises(StrictValidationViolationError):
        strict.validate_all(Account, [Opened, BonusDeposited])
    assert strict.validate_handler_exists(Account, Opened) is Account.on_opened


def test_what_can_be_asked_of_a_class() -> None:
    assert Account.supported_event_types() == (Deposited, Opened, Renamed)
    assert Account.has_handler_for_event(BonusDeposited)
    assert not Account.has_handler_for_event(DomainEvent)
    assert Account.get_handler_for_event(Opened) is Account.on_opened
    assert is_aggregate_event_handler(Account.on_opened)
    assert not is_aggregate_event_handler(Account.apply_Deposited)
    assert get_handler_event_type(Account.on_opened) is Opened
    assert WithWhen.supported_event_types() == ()


def test_a_handler_for_a_class_that_is_defined_in_a_function() -> None:
    class Local(DomainEvent):
        pass

    class Kind(EventSourcedAggregateMixin, AggregateRoot[str]):
        count: int = 0

        @aggregate_event_handler
        def on_local(self, event: Local) -> None:
            self.count += 1

    kind = Kind(id="a")
    kind.raise_event(Local())
    assert kind.count == 1


@pytest.mark.parametrize(
    "name,source,reason",
    [
        ("on_opened", "async def on_opened(self, event: Opened): ...", "async"),
        ("on_opened", "def on_opened(self): ...", "take the event"),
        ("on_opened", "def on_opened(self, event, more): ...", "take the event"),
        ("on_opened", "def on_opened(self, event): ...", "neither"),
        ("apply_Opened", "async def apply_Opened(self, event): ...", "async"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_with_the_class(
    name: str, source: str, reason: str
) -> None:
    scope: dict[str, object] = {"Opened": Opened}
    exec(source, scope)  # noqa: S102 - so that one test covers them all
    method = scope[name]
    if name.startswith("on"):
        method = aggregate_event_handler(method)  # type: ignore[call-overload]
    with pytest.raises(InvalidEventHandlerError, match=reason):
        type("Kind", (EventSourcedAggregateMixin, AggregateRoot[str]), {name: method})


def test_two_handlers_of_one_event_are_refused() -> None:
    with pytest.raises(InvalidEventHandlerError, match="another handler"):

        class Twice(EventSourcedAggregateMixin, AggregateRoot[str]):
            @aggregate_event_handler
            def one(self, event: Opened) -> None: ...

            @aggregate_event_handler
            def two(self, event: Opened) -> None: ...


def test_all_errors_are_errors_of_the_toolkit() -> None:
    for name in exceptions.__all__:
        assert issubclass(getattr(exceptions, name), CQRSDDDError)


def test_blank_takes_ids_of_any_type_as_text() -> None:
    class ByUuid(EventSourcedAggregateMixin, AggregateRoot[UUID]):
        owner: str

        def apply_Opened(self, event: Opened) -> None:  # noqa: N802
            self.owner = event.owner

    entity_id = uuid4()
    blank = ByUuid.blank(str(entity_id))
    assert blank.id == entity_id
    assert "owner" not in blank.__dict__
    blank.raise_event(Opened(owner="Ada"))
    assert blank.owner == "Ada"
