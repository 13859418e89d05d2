"""The AsyncAPI document follows the rules of its specification, and tells the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.domain.value_object import ValueObject
from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, awkward_message, new_message
from cqrs_ddd_infrastructure_messaging import (
    ConsumerDescription,
    EnvelopeSerializer,
    TopicRouter,
    TopologyDescription,
    asyncapi_document,
    asyncapi_json,
    route_to,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQSettings, describe_topology


class Line(ValueObject):
    product: str
    price: Decimal


@route_to("described.orders")
class DescribedOrderPlaced(DomainEvent):
    """A customer has placed an order.

    With everything in it.
    """

    schema_version = 3

    lines: list[Line]
    note: str | None = None


@route_to("described.orders")
class DescribedOrderShipped(DomainEvent):
    pass


class Awkward(DomainEvent):
    event_type = AWKWARD_TEXT

    line: Line


class DescribedShip(Command):
    parcel: str


class DescribedPaid(DomainEvent):
    """Another context says so."""

    amount: Decimal


def _registries() -> tuple[EventTypeRegistry, MessageRegistry]:
    events = EventTypeRegistry(
        [DescribedOrderPlaced, DescribedOrderShipped, Awkward, DescribedPaid]
    )
    events.register_alias("OrderPlacedLongAgo", DescribedOrderPlaced)
    commands = MessageRegistry()
    commands.register_command(DescribedShip)
    return events, commands


def _topology() -> TopologyDescription:
    return TopologyDescription(
        servers={"production": {"host": "rabbit.example.com:5671", "protocol": "amqps"}},
        publishes=["DescribedOrderPlaced", "DescribedOrderShipped", AWKWARD_TEXT],
        consumers={
            "shipping": ConsumerDescription(
                message_types=["DescribedShip", "DescribedPaid"],
                description="Ships what is paid.",
                bindings={"amqp": {"ack": True, "bindingVersion": "0.3.0"}},
            ),
            "über statistics": ConsumerDescription(message_types=["DescribedOrderPlaced"]),
        },
        channel_bindings={"amqp": {"is": "routingKey", "bindingVersion": "0.3.0"}},
        publish_bindings={"amqp": {"deliveryMode": 2, "mandatory": True}},
    )


def _document() -> dict[str, Any]:
    events, commands = _registries()
    return asyncapi_document(
        "Orders",
        "1.2.0",
        description="Takes orders.",
        events=events,
        commands=commands,
        router=TopicRouter("orders", routes={"DescribedPaid": "payments.paid"}),
        topology=_topology(),
    )


def test_the_document_obeys_the_specification() -> None:
    _check_document(_document())


def test_a_document_of_nothing_obeys_it_too() -> None:
    document = asyncapi_document("Nothing", "1")
    _check_document(document)
    assert "channels" not in document


def test_the_document_is_the_same_whatever_the_order_of_registration() -> None:
    events = EventTypeRegistry(
        [DescribedPaid, Awkward, DescribedOrderShipped, DescribedOrderPlaced]
    )
    _, commands = _registries()
    again = asyncapi_document(
        "Orders",
        "1.2.0",
        description="Takes orders.",
        events=events,
        commands=commands,
        router=TopicRouter("orders", routes={"DescribedPaid": "payments.paid"}),
        topology=_topology(),
    )
    assert asyncapi_json(again) == asyncapi_json(_document())
    assert json.loads(asyncapi_json(again)) == again


def test_operations_say_what_is_sent_and_received_where() -> None:
    operations = {
        key: (
            one["action"],
            one["channel"]["$ref"],
            [m["$ref"].rpartition("/")[2] for m in one["messages"]],
        )
        for key, one in _document()["operations"].items()
    }
    awkward = next(key for key in operations if key.startswith("publish.event.orders"))
    assert operations.pop(awkward)[0] == "send"
    assert operations == {
        "publish.described.orders": (
            "send",
            "#/channels/described.orders",
            ["event.DescribedOrderPlaced", "event.DescribedOrderShipped"],
        ),
        "consume.shipping.command.orders.DescribedShip": (
            "receive",
            "#/channels/command.orders.DescribedShip",
            ["command.DescribedShip"],
        ),
        "consume.shipping.payments.paid": (
            "receive",
            "#/channels/payments.paid",
            ["event.DescribedPaid"],
        ),
        "consume.-fc-ber-20-statistics.described.orders": (
            "receive",
            "#/channels/described.orders",
            ["event.DescribedOrderPlaced"],
        ),
    }


def test_without_a_topology_everything_registered_is_published() -> None:
    events, commands = _registries()
    document = asyncapi_document("Orders", "1", events=events, commands=commands)
    _check_document(document)
    assert {one["action"] for one in document["operations"].values()} == {"send"}
    assert len(document["components"]["messages"]) == 5


def test_bindings_come_from_the_transport() -> None:
    document = _document()
    assert document["operations"]["publish.described.orders"]["bindings"]["amqp"]["mandatory"]
    assert document["operations"]["consume.shipping.payments.paid"]["bindings"]["amqp"]["ack"]
    assert all(one["bindings"]["amqp"]["is"] for one in document["channels"].values())


def test_the_topology_of_rabbitmq_describes_itself() -> None:
    described = describe_topology(
        RabbitMQSettings(prefix="shop"),
        publishes=["DescribedOrderPlaced"],
        consumers={"shipping": ["DescribedOrderShipped"]},
        partitions={"shipping": 2},
    )
    events = EventTypeRegistry([DescribedOrderPlaced, DescribedOrderShipped])
    document = asyncapi_document("Shop", "1", events=events, topology=described)
    _check_document(document)
    channel = document["channels"]["described.orders"]["bindings"]["amqp"]
    assert channel["exchange"]["name"] == "shop.messages"
    received = document["operations"]["consume.shipping.described.orders"]["bindings"]["amqp"]
    assert received["x-queues"] == ["shop.shipping.0", "shop.shipping.1"]
    assert received["x-dead-letter-queue"] == "shop.shipping.dead"


def test_payloads_are_described_as_they_are_sent() -> None:
    document = _document()
    message = document["components"]["messages"]["event.DescribedOrderPlaced"]
    assert message["summary"] == "A customer has placed an order."
    payload = _resolve(document, message["payload"])
    assert payload["required"] == ["lines"]
    assert not ENVELOPE_FIELDS & payload["properties"].keys()
    line = _resolve(document, payload["properties"]["lines"]["items"])
    assert line["properties"]["price"]["type"] == "string"
    command = document["components"]["messages"]["command.DescribedShip"]
    assert "command_id" in _resolve(document, command["payload"])["properties"]


@pytest.mark.parametrize("attempt", [None, "2"])
def test_every_header_that_is_sent_is_described(attempt: str | None) -> None:
    trace = {"traceparent": "00-a-b-01", "tracestate": "a=b", "reply_to": "q", "user_id": "u"}
    serializer = EnvelopeSerializer(source="/orders", schemas="https://example.com")
    sent = serializer.encode(new_message(headers=trace, tenant_id="acme")).headers
    sent |= {"ce-attempt": attempt} if attempt else {}
    described = _document()["components"]["messageTraits"]["envelope"]["headers"]
    assert sent.keys() - {"content-type"} <= described["properties"].keys()
    always = serializer.encode(awkward_message()).headers.keys()
    assert set(described["required"]) <= always


def test_the_fixed_headers_of_a_message_are_those_on_the_wire() -> None:
    serializer = EnvelopeSerializer(source="/orders")
    for key, described in _document()["components"]["messages"].items():
        kind = MessageKind(key.partition(".")[0])
        version = int(described["headers"]["properties"]["ce-schemaversion"]["const"])
        sent = serializer.encode(
            new_message(message_type=described["name"], kind=kind, schema_version=version)
        ).headers
        for name, rule in described["headers"]["properties"].items():
            assert sent[name] == rule["const"]


def test_a_type_that_nobody_registered_is_refused() -> None:
    topology = TopologyDescription(
        consumers={"shipping": ConsumerDescription(message_types=["Unknown"])}
    )
    with pytest.raises(ConfigurationError, match=r"consumer 'shipping' receives \['Unknown'\]"):
        asyncapi_document("Orders", "1", topology=topology)


def test_credentials_do_not_get_into_the_document() -> None:
    topology = TopologyDescription(
        servers={"production": {"host": "guest:secret@rabbit", "protocol": "amqp"}}
    )
    with pytest.raises(ConfigurationError) as caught:
        asyncapi_document("Orders", "1", topology=topology)
    assert "secret" not in str(caught.value)


def test_a_field_without_json_schema_is_a_mistake_of_the_definition() -> None:
    class Calls(DomainEvent):
        back: Callable[[], None]

    with pytest.raises(ConfigurationError, match="without JSON Schema"):
        asyncapi_document("Orders", "1", events=EventTypeRegistry([Calls]))


# The rules of https://www.asyncapi.com/docs/reference/specification/v3.0.0 that concern us.

_KEY = re.compile(r"[A-Za-z0-9._-]+")
_ROOT = {
    "asyncapi",
    "id",
    "info",
    "defaultContentType",
    "servers",
    "channels",
    "operations",
    "components",
}
_MESSAGE = {
    "headers",
    "payload",
    "correlationId",
    "contentType",
    "name",
    "title",
    "summary",
    "description",
    "tags",
    "externalDocs",
    "bindings",
    "examples",
    "traits",
}
_OPERATION = {
    "action",
    "channel",
    "title",
    "summary",
    "description",
    "security",
    "tags",
    "externalDocs",
    "bindings",
    "traits",
    "messages",
    "reply",
}


def _check_document(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document.keys() <= _ROOT
    assert {"title", "version"} <= document["info"].keys()
    for server in document.get("servers", {}).values():
        assert {"host", "protocol"} <= server.keys()
    for key, channel in document.get("channels", {}).items():
        assert _KEY.fullmatch(key)
        assert isinstance(channel["address"], str)
        for message in channel["messages"].values():
            assert message["$ref"].startswith("#/components/messages/")
    for key, operation in document.get("operations", {}).items():
        assert _KEY.fullmatch(key)
        _check_operation(document, operation)
    for key, message in document["components"]["messages"].items():
        assert _KEY.fullmatch(key)
        assert message.keys() <= _MESSAGE
        assert message["headers"]["type"] == "object"
    assert all(map(_KEY.fullmatch, document["components"]["schemas"]))
    for reference in _references(document):
        _resolve(document, {"$ref": reference})


def _check_operation(document: dict[str, Any], operation: dict[str, Any]) -> None:
    assert operation.keys() <= _OPERATION
    assert operation["action"] in ("send", "receive")
    channel = operation["channel"]["$ref"]
    assert channel.startswith("#/channels/")
    # The messages of an operation must be those of its channel, and referred to there.
    assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value
