"""Messages built from names and JSON, from a closed list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import Field

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    MessageTypeRegistrationError,
    SchemaVersionError,
    SerializationError,
    UnknownMessageTypeError,
)


class Pay(Command[None]):
    amount: Decimal
    to: UUID


class Refund(Command[None]):
    command_type = "payments.refund"


class Balance(Query[Decimal]):
    account: str


def test_a_command_survives_the_way_through_json() -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    command = Pay(amount=Decimal("10.50"), to=UUID(int=7), correlation_id="r-1")
    assert registry.hydrate_command("Pay", command.model_dump_json()) == command


def test_a_query_is_built_from_bytes() -> None:
    registry = MessageRegistry()
    registry.register_query(Balance)
    query = registry.hydrate_query("Balance", b'{"account":"a"}')
    assert isinstance(query, Balance)
    assert query.account == "a"


def test_a_class_goes_by_its_type_name_or_another_one() -> None:
    registry = MessageRegistry()
    registry.register_command(Refund)
    registry.register_command(Refund, name="refund")
    registry.register_command(Refund, name="refund")
    assert set(registry.commands) == {"payments.refund", "refund"}
    assert registry.get_command("refund") is Refund


def test_a_name_belongs_to_one_class() -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    with pytest.raises(MessageTypeRegistrationError, match=r"'Pay' is taken by .*Pay; give Refund"):
        registry.register_command(Refund, name="Pay")


def test_registering_decorates() -> None:
    registry = MessageRegistry()

    @registry.register_query
    class Total(Query[int]):
        pass

    assert registry.queries == {"Total": Total}


@pytest.mark.parametrize("name", ["Unknown", "builtins.eval", "os.system"])
def test_a_name_that_is_not_listed_is_refused(name: str) -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    with pytest.raises(UnknownMessageTypeError, match="register_command"):
        registry.hydrate_command(name, b"{}")
    with pytest.raises(UnknownMessageTypeError, match="register_query"):
        registry.hydrate_query("Pay", b"{}")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"amount":"NaN","to":"00000000-0000-0000-0000-000000000007"}',
        b'{"amount":"1","to":"00000000-0000-0000-0000-000000000007","admin":true}',
        b'\xff{"amount":"1"}',
    ],
)
def test_json_that_does_not_fit_is_refused(payload: bytes) -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    with pytest.raises(SerializationError, match="'Pay' cannot be read as Pay"):
        registry.hydrate_command("Pay", payload)


def test_an_error_tells_the_field_but_not_its_value() -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    with pytest.raises(SerializationError) as caught:
        registry.hydrate_command("Pay", b'{"amount":"secret-1234","to":"x"}')
    assert "amount" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_field_with_an_alias_is_read_under_its_name_too() -> None:
    """``model_dump_json`` writes the name, and only the alias was read."""

    class Aliased(Command[None]):
        customer: str = Field(alias="customerId")

    registry = MessageRegistry()
    registry.register_command(Aliased)
    command = Aliased(customerId="c-1")
    assert registry.hydrate_command("Aliased", command.model_dump_json()) == command


class Transfer(Command[None]):
    schema_version: ClassVar[int] = 2

    amount: Decimal
    currency: str


class Upcasters(IUpcasterRegistry):
    """Version 1 of Transfer had no currency; it was called Move before; Twice becomes two."""

    def check(self) -> None:
        pass

    def has_upcasters(self, event_type: str, schema_version: int) -> bool:
        return event_type in ("Transfer", "Move", "Twice") and schema_version == 1

    def latest_version(self, event_type: str) -> int | None:
        return 2

    def upcast(
        self, event_type: str, schema_version: int, payload: dict[str, Any]
    ) -> Sequence[UpcastPayload]:
        assert not payload.keys() & {"command_id", "correlation_id"}
        upcast = UpcastPayload("Transfer", 2, {**payload, "currency": "EUR"})
        return [upcast] * (2 if event_type == "Twice" else 1)

    def downcaster(
        self, event_type: str, source_version: int, target_version: int
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        raise ConfigurationError("no way")


def _versioned() -> MessageRegistry:
    registry = MessageRegistry(Upcasters())
    registry.register_command(Transfer)
    return registry


OLD = b'{"command_id":"00000000-0000-0000-0000-000000000007","correlation_id":"c","amount":"1.50"}'


@pytest.mark.parametrize("name", ["Transfer", "Move"])
def test_a_command_of_an_older_shape_keeps_its_identity(name: str) -> None:
    command = _versioned().hydrate_command(name, OLD, schema_version=1)
    assert command == Transfer(
        command_id=UUID(int=7), correlation_id="c", amount=Decimal("1.50"), currency="EUR"
    )


def test_a_command_of_todays_version_is_not_upcast() -> None:
    command = Transfer(amount=Decimal(1), currency="USD")
    back = _versioned().hydrate_command("Transfer", command.model_dump_json(), schema_version=2)
    assert back == command


@pytest.mark.parametrize("version", [0, 3])
def test_a_command_of_an_unknown_version_is_refused(version: int) -> None:
    with pytest.raises(SchemaVersionError, match=f"'Transfer' is stored at version {version}"):
        _versioned().hydrate_command("Transfer", OLD, schema_version=version)


def test_a_renamed_command_is_read_under_both_names() -> None:
    registry = MessageRegistry()
    registry.register_command(Pay)
    registry.register_command(Pay, name="SendMoney")
    command = Pay(amount=Decimal(1), to=UUID(int=7))
    assert registry.hydrate_command("SendMoney", command.model_dump_json()) == command


def test_one_command_cannot_become_two() -> None:
    with pytest.raises(SerializationError, match="is read as 2 commands"):
        _versioned().hydrate_command("Twice", OLD, schema_version=1)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", "secret"])
def test_an_upcaster_only_ever_sees_a_json_object(payload: bytes | str) -> None:
    with pytest.raises(SerializationError, match="'Transfer' is no JSON object") as caught:
        _versioned().hydrate_command("Transfer", payload, schema_version=1)
    assert "secret" not in str(caught.value)
