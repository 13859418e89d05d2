"""Messages built from names and JSON, from a closed list."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.primitives.exceptions import (
    MessageTypeRegistrationError,
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
