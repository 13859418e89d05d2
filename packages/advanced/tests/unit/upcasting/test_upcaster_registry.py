"""Payloads of older shapes are read as those of today, or the registry says why not."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import UpcasterRegistrationError, UpcastingError
from cqrs_ddd_advanced_core.upcasting import (
    CommandUpcaster,
    EventDowncaster,
    EventSplitter,
    EventUpcaster,
    UpcasterRegistry,
)
from cqrs_ddd_core.ports.upcasting import UpcastPayload
from cqrs_ddd_core.primitives.exceptions import SchemaVersionError


class AddCurrency(EventUpcaster):
    event_type = "OrderCreated"
    source_version = 1

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}


class NestAmount(EventUpcaster):
    event_type = "OrderCreated"
    source_version = 2

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        total = {"amount": Decimal(str(data.pop("amount"))), "currency": data.pop("currency")}
        return {**data, "total": total}


class Place(EventUpcaster):
    event_type = "OrderCreated"
    source_version = 3
    target_type = "OrderPlaced"
    target_version = 1

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


class SplitSold(EventSplitter):
    event_type = "Sold"
    source_version = 1
    targets: ClassVar[dict[str, int]] = {"OrderCreated": 1, "Paid": 1}

    def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "OrderCreated", data
        if data["amount"]:
            yield "Paid", {"amount": data["amount"]}


CHAIN = (AddCurrency(), NestAmount(), Place())
PLACED = {"id": "o", "total": {"amount": "10.5", "currency": "EUR"}}


# --- reading -------------------------------------------------------------------------------------


def test_a_payload_goes_through_every_version_up_to_today() -> None:
    registry = UpcasterRegistry([AddCurrency(), NestAmount()])
    assert registry.upcast("OrderCreated", 1, {"id": "o", "amount": 10.5}) == (
        UpcastPayload("OrderCreated", 3, PLACED),
    )


def test_an_upcaster_may_rename_the_type() -> None:
    registry = UpcasterRegistry(CHAIN)
    assert registry.upcast("OrderCreated", 1, {"id": "o", "amount": 10.5}) == (
        UpcastPayload("OrderPlaced", 1, PLACED),
    )


def test_one_event_becomes_several_which_are_upcast_on_in_their_order() -> None:
    registry = UpcasterRegistry([SplitSold(), *CHAIN])
    assert registry.upcast("Sold", 1, {"id": "o", "amount": 10.5}) == (
        UpcastPayload("OrderPlaced", 1, PLACED),
        UpcastPayload("Paid", 1, {"amount": 10.5}),
    )


def test_a_splitter_may_return_fewer_for_some_payloads() -> None:
    registry = UpcasterRegistry([SplitSold(), *CHAIN])
    assert len(registry.upcast("Sold", 1, {"id": "o", "amount": 0})) == 1


def test_a_dropped_type_becomes_nothing_from_any_version() -> None:
    registry = UpcasterRegistry()
    registry.upcaster("Viewed", source_version=1)(lambda data: data)
    registry.drop("Viewed", source_version=2)
    assert registry.upcast("Viewed", 1, {}) == registry.upcast("Viewed", 2, {}) == ()
    assert registry.latest_version("Viewed") is None
    assert registry.has_upcasters("Viewed", 2)


def test_a_renamed_type_keeps_its_version_and_its_shape() -> None:
    registry = UpcasterRegistry()
    registry.rename("Placed", "Ordered", source_version=1)
    assert registry.upcast("Placed", 1, {"a": 1}) == (UpcastPayload("Ordered", 1, {"a": 1}),)


def test_functions_may_be_upcasters() -> None:
    registry = UpcasterRegistry()

    @registry.upcaster("OrderCreated", source_version=1)
    def add_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    assert add_currency({}) == {"currency": "EUR"}
    assert registry.upcast("OrderCreated", 1, {}) == (
        UpcastPayload("OrderCreated", 2, {"currency": "EUR"}),
    )


def test_a_type_without_upcasters_is_read_as_it_is() -> None:
    registry = UpcasterRegistry(CHAIN)
    assert registry.upcast("Other", 7, {"a": 1}) == (UpcastPayload("Other", 7, {"a": 1}),)
    assert not registry.has_upcasters("Other", 7)
    assert registry.latest_version("Other") is None


def test_the_latest_version_is_that_of_the_last_upcaster() -> None:
    registry = UpcasterRegistry([NestAmount(), AddCurrency()])
    assert registry.latest_version("OrderCreated") == 3
    assert registry.has_upcasters("OrderCreated", 2)
    assert not registry.has_upcasters("OrderCreated", 3)


def test_a_type_that_is_renamed_away_has_no_latest_version() -> None:
    registry = UpcasterRegistry(CHAIN)
    assert registry.latest_version("OrderCreated") is None
    assert registry.latest_version("OrderPlaced") == 1


def test_the_chain_of_a_type_is_listed_oldest_first() -> None:
    place, nest, add = CHAIN[2], CHAIN[1], CHAIN[0]
    registry = UpcasterRegistry([place, nest, add, SplitSold()])
    assert registry.chain_for("OrderCreated") == (add, nest, place)
    assert registry.chain_for("Other") == ()
    assert registry.registered_event_types() == ("OrderCreated", "Sold")


def test_a_reader_of_one_type_learns_under_which_names_it_is_stored() -> None:
    registry = UpcasterRegistry([SplitSold(), *CHAIN])
    assert registry.stored_types("OrderPlaced") == {"OrderPlaced", "OrderCreated", "Sold"}
    assert registry.stored_types("Paid") == {"Paid", "Sold"}
    assert registry.stored_types("Other") == {"Other"}


def test_where_a_version_leads_is_known_without_a_payload() -> None:
    registry = UpcasterRegistry([SplitSold(), *CHAIN])
    assert registry.leads_to("Sold", 1) == {("OrderPlaced", 1), ("Paid", 1)}
    assert registry.leads_to("OrderPlaced", 1) == {("OrderPlaced", 1)}
    with pytest.raises(SchemaVersionError):
        registry.leads_to("OrderPlaced", 2)


# --- targets -------------------------------------------------------------------------------


def test_a_subclass_of_an_upcaster_has_its_own_target() -> None:
    """A-10: a subclass with source 2 inherited the target 2."""

    class Later(AddCurrency):
        source_version = 2

    class Elsewhere(Place):
        event_type = "CartCreated"

    assert (AddCurrency.target_version, Later.target_version) == (2, 3)
    assert Later.target_type == "OrderCreated"
    assert (Elsewhere.target_type, Elsewhere.target_version) == ("CartCreated", 1)


def test_a_base_class_may_leave_type_or_version_to_others() -> None:
    class FirstVersion(AddCurrency):
        source_version = 1
        target_version = 5

    class Cart(FirstVersion):
        event_type = "Cart"

    assert (Cart.source_version, Cart.target_version, Cart.target_type) == (1, 5, "Cart")


def test_a_command_upcaster_goes_by_the_type_of_its_command() -> None:
    class PayV1(CommandUpcaster):
        command_type = "Pay"
        source_version = 1

        def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "currency": "EUR"}

    registry = UpcasterRegistry([PayV1()])
    assert registry.upcast("Pay", 1, {}) == (UpcastPayload("Pay", 2, {"currency": "EUR"}),)


# --- the payload ---------------------------------------------------------------------------


def test_nothing_an_upcaster_does_reaches_the_payload_given() -> None:
    """A-10: the copy was shallow, and a nested change reached the store."""
    registry = UpcasterRegistry()

    @registry.upcaster("Placed", source_version=1)
    def spoil(data: dict[str, Any]) -> dict[str, Any]:
        data["lines"][0]["sku"] = "changed"
        data["lines"].append({})
        return data

    payload = {"lines": [{"sku": "a"}]}
    before = deepcopy(payload)
    [upcast] = registry.upcast("Placed", 1, payload)
    upcast.payload["lines"].clear()
    assert payload == before


def test_nothing_an_upcaster_does_reaches_another_event() -> None:
    registry = UpcasterRegistry()
    shared = {"city": "Rome"}

    @registry.upcaster("Placed", source_version=1)
    def add(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "address": shared}

    @registry.upcaster("Placed", source_version=2)
    def spoil(data: dict[str, Any]) -> dict[str, Any]:
        data["address"]["city"] += "!"
        return data

    for _ in range(2):
        [upcast] = registry.upcast("Placed", 1, {})
        assert upcast.payload == {"address": {"city": "Rome!"}}


def test_an_upcaster_sees_what_would_have_been_stored() -> None:
    """A decimal of the upcaster before it is text, as it is when it comes from the store."""
    registry = UpcasterRegistry()
    seen: list[Any] = []

    @registry.upcaster("Placed", source_version=1)
    def exact(data: dict[str, Any]) -> dict[str, Any]:
        return {"amount": Decimal("1.50"), "at": datetime(2026, 1, 2, tzinfo=UTC), "n": (1, 2)}

    @registry.upcaster("Placed", source_version=2)
    def look(data: dict[str, Any]) -> dict[str, Any]:
        seen.append(data)
        return data

    [upcast] = registry.upcast("Placed", 1, {})
    assert seen == [upcast.payload]
    assert upcast.payload == {"amount": "1.50", "at": "2026-01-02T00:00:00Z", "n": [1, 2]}


# --- definitions that are refused ----------------------------------------------------------------


def test_a_second_upcaster_of_one_version_is_refused() -> None:
    registry = UpcasterRegistry([AddCurrency()])
    with pytest.raises(UpcasterRegistrationError, match="second one of 'OrderCreated' version 1"):
        registry.register(AddCurrency())


def test_an_upcaster_and_a_splitter_of_one_version_are_one_too_many() -> None:
    registry = UpcasterRegistry([AddCurrency()])
    with pytest.raises(UpcasterRegistrationError, match="second one"):
        registry.drop("OrderCreated", source_version=1)


def test_a_gap_is_refused_at_start_up() -> None:
    """A-10: data of version 1 with an upcaster from 2 to 3 only stayed as it was."""
    with pytest.raises(UpcasterRegistrationError, match="no upcaster of 'OrderCreated' version 1"):
        UpcasterRegistry([NestAmount()])


def test_a_gap_in_the_middle_is_refused_and_all_gaps_are_named() -> None:
    registry = UpcasterRegistry()
    registry.upcaster("B", source_version=2)(lambda data: data)
    registry.upcaster("A", source_version=1)(lambda data: data)
    registry.upcaster("A", source_version=3)(lambda data: data)
    with pytest.raises(UpcasterRegistrationError, match="'A' version 2, 'B' version 1"):
        registry.check()


@pytest.mark.parametrize("use", ["upcast", "has_upcasters", "latest_version", "leads_to"])
def test_a_gap_is_refused_at_the_first_use(use: str) -> None:
    registry = UpcasterRegistry()
    registry.register(NestAmount())
    arguments: dict[str, tuple[Any, ...]] = {"upcast": (3, {}), "latest_version": ()}
    with pytest.raises(UpcasterRegistrationError, match="'OrderCreated' version 1"):
        getattr(registry, use)("OrderCreated", *arguments.get(use, (3,)))


def test_upcasters_may_arrive_in_any_order() -> None:
    registry = UpcasterRegistry()
    for upcaster in reversed(CHAIN):
        registry.register(upcaster)
    registry.check()
    assert registry.leads_to("OrderCreated", 1) == {("OrderPlaced", 1)}


def test_an_upcaster_that_arrives_later_is_used() -> None:
    registry = UpcasterRegistry([AddCurrency()])
    assert registry.latest_version("OrderCreated") == 2
    registry.register(NestAmount())
    assert registry.latest_version("OrderCreated") == 3


def test_a_target_that_is_no_last_version_needs_a_way_on() -> None:
    registry = UpcasterRegistry([AddCurrency()])
    registry.rename("CartCreated", "OrderCreated", source_version=1, target_version=1)
    registry.check()
    registry.rename("BasketCreated", "OrderCreated", source_version=1, target_version=7)
    with pytest.raises(UpcasterRegistrationError, match="no upcaster of 'OrderCreated' version 2"):
        registry.check()


def test_a_type_that_others_became_need_not_have_begun_at_version_1() -> None:
    registry = UpcasterRegistry()
    registry.rename("Cart", "Order", source_version=1, target_version=4)
    registry.upcaster("Order", source_version=4)(lambda data: data)
    registry.check()
    assert registry.latest_version("Order") == 5


def test_a_version_may_be_skipped() -> None:
    registry = UpcasterRegistry()
    registry.upcaster("A", source_version=1, target_version=3)(lambda data: data)
    assert registry.latest_version("A") == 3
    with pytest.raises(SchemaVersionError, match="version 3 is read today: register upcasters"):
        registry.upcast("A", 2, {})


def test_a_circle_of_names_is_refused() -> None:
    registry = UpcasterRegistry()
    registry.rename("A", "B", source_version=1)
    registry.rename("B", "C", source_version=1)
    with pytest.raises(UpcasterRegistrationError, match="lead 'C' version 1 back to itself"):
        registry.rename("C", "A", source_version=1)


def test_a_type_may_get_its_old_name_back() -> None:
    registry = UpcasterRegistry()
    registry.rename("A", "B", source_version=1)
    registry.rename("B", "A", source_version=1, target_version=2)
    assert registry.leads_to("A", 1) == {("A", 2)}


@pytest.mark.parametrize("source, target", [(2, 2), (2, 1), (0, 1), (1, 0), ("1", 2), (True, 2)])
def test_versions_that_make_no_sense_are_refused(source: Any, target: Any) -> None:
    registry = UpcasterRegistry()
    decorate = registry.upcaster("A", source_version=source, target_version=target)
    with pytest.raises(UpcasterRegistrationError):
        decorate(lambda data: data)


def test_a_version_that_is_no_number_is_refused_at_registration() -> None:
    class Text(AddCurrency):
        source_version = "1"  # type: ignore[assignment]

    with pytest.raises(UpcasterRegistrationError, match="Text names '1'"):
        UpcasterRegistry([Text()])


def test_what_is_no_upcaster_is_refused() -> None:
    class Nameless(EventUpcaster):
        source_version = 1

        def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
            return data

    registry = UpcasterRegistry()
    with pytest.raises(UpcasterRegistrationError, match="Nameless does not set event_type"):
        registry.register(Nameless())
    with pytest.raises(UpcasterRegistrationError, match="AddCurrency is a class: register an inst"):
        registry.register(AddCurrency)  # type: ignore[arg-type]
    with pytest.raises(UpcasterRegistrationError, match="str is no EventUpcaster"):
        registry.register("x")  # type: ignore[arg-type]


def test_an_upcaster_without_its_method_cannot_be_built() -> None:
    class Lazy(EventUpcaster):
        event_type = "A"
        source_version = 1

    with pytest.raises(TypeError, match="abstract"):
        Lazy()  # type: ignore[abstract]


# --- failures while reading ----------------------------------------------------------------------


def test_an_error_in_an_upcaster_names_type_and_versions() -> None:
    registry = UpcasterRegistry([AddCurrency(), NestAmount()])
    with pytest.raises(UpcastingError) as caught:
        registry.upcast("OrderCreated", 1, {"id": "o"})
    error = caught.value
    assert str(error) == (
        "'OrderCreated' version 2 cannot be made into 'OrderCreated' version 3: KeyError('amount')"
    )
    assert isinstance(error.__cause__, KeyError)
    assert (error.event_type, error.source_version) == ("OrderCreated", 2)
    assert error.targets == {"OrderCreated": 3}


@pytest.mark.parametrize("result", [None, [], "text", {"a": object()}, {"a": float("nan")}])
def test_what_is_no_json_object_is_refused(result: Any) -> None:
    """A forgotten return must not drop the event."""
    registry = UpcasterRegistry()
    registry.upcaster("A", source_version=1)(lambda data: result)
    with pytest.raises(UpcastingError, match="'A' version 1"):
        registry.upcast("A", 1, {})


def test_a_splitter_may_return_its_targets_only() -> None:
    class Stray(SplitSold):
        def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
            yield "Refunded", {}

    with pytest.raises(UpcastingError, match="'Refunded' is not one of its targets"):
        UpcasterRegistry([Stray()]).upcast("Sold", 1, {})


def test_a_version_newer_than_all_is_refused() -> None:
    registry = UpcasterRegistry([AddCurrency()])
    with pytest.raises(SchemaVersionError, match="written by a later release"):
        registry.upcast("OrderCreated", 3, {})


# --- downcasting ---------------------------------------------------------------------------------


class ForgetCurrency(EventDowncaster):
    event_type = "OrderCreated"
    source_version = 2

    def downcast(self, data: dict[str, Any]) -> dict[str, Any]:
        del data["currency"]
        return data


class FlattenAmount(EventDowncaster):
    event_type = "OrderCreated"
    source_version = 3

    def downcast(self, data: dict[str, Any]) -> dict[str, Any]:
        total = data.pop("total")
        return {**data, **total}


def test_a_downcaster_writes_what_older_processes_read() -> None:
    registry = UpcasterRegistry([*CHAIN[:2], ForgetCurrency(), FlattenAmount()])
    today = deepcopy(PLACED)
    assert registry.downcaster("OrderCreated", 3, 1)(today) == {"id": "o", "amount": "10.5"}
    assert registry.downcaster("OrderCreated", 3, 2)(today) == {
        "id": "o",
        "amount": "10.5",
        "currency": "EUR",
    }
    assert today == PLACED
    assert registry.latest_version("OrderCreated") == 3


def test_a_downcaster_of_todays_version_is_not_for_reading() -> None:
    registry = UpcasterRegistry([*CHAIN[:2], ForgetCurrency(), FlattenAmount()])
    assert not registry.has_upcasters("OrderCreated", 3)
    assert registry.upcast("OrderCreated", 3, PLACED)[0].payload == PLACED


def test_an_old_process_reads_newer_payloads_through_downcasters() -> None:
    registry = UpcasterRegistry([AddCurrency(), FlattenAmount()])
    assert registry.latest_version("OrderCreated") == 2
    assert registry.upcast("OrderCreated", 3, PLACED) == (
        UpcastPayload("OrderCreated", 2, {"id": "o", "amount": "10.5", "currency": "EUR"}),
    )


def test_a_type_at_its_first_version_is_read_from_newer_ones() -> None:
    registry = UpcasterRegistry([ForgetCurrency(), FlattenAmount()])
    assert registry.latest_version("OrderCreated") == 1
    [read] = registry.upcast("OrderCreated", 3, PLACED)
    assert read == UpcastPayload("OrderCreated", 1, {"id": "o", "amount": "10.5"})


def test_a_gap_between_downcasters_is_refused() -> None:
    class Fourth(FlattenAmount):
        source_version = 4

    with pytest.raises(UpcasterRegistrationError, match="'OrderCreated' version 3"):
        UpcasterRegistry([AddCurrency(), Fourth()])
    with pytest.raises(UpcasterRegistrationError, match="no downcaster of 'OrderCreated' from"):
        UpcasterRegistry([*CHAIN[:2], FlattenAmount()]).downcaster("OrderCreated", 3, 1)


def test_a_downcaster_leads_to_an_older_version() -> None:
    class Sideways(ForgetCurrency):
        target_version = 2

    with pytest.raises(UpcasterRegistrationError, match="not an older one"):
        UpcasterRegistry([Sideways()])


def test_an_error_in_a_downcaster_names_type_and_versions() -> None:
    downcast = UpcasterRegistry([AddCurrency(), ForgetCurrency()]).downcaster("OrderCreated", 2, 1)
    with pytest.raises(UpcastingError, match="'OrderCreated' version 2 cannot be made into"):
        downcast({})
