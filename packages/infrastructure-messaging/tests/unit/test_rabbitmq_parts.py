"""What of the RabbitMQ transport needs no broker: addresses, names, bytes."""

from __future__ import annotations

import subprocess
import sys
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging._slots import SLOTS, slot_of
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQSettings,
    RabbitMQTopology,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq._properties import WireProperties
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import (
    Binding,
    Exchange,
    Queue,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MALFORMED = [
    "amqp://user:s3cret#@host/",
    "amqp://user:s3cret/with@host:x/",
    "postgresql://user:s3cret@host/",
    "amqp://user:s3cret@host:99999999/",
    "amqp://",
    "s3cret",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_address_is_refused_without_being_quoted(url: str) -> None:
    """F55."""
    with pytest.raises(ConfigurationError) as caught:
        RabbitMQConnection(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
    assert "s3cret" not in str(caught.value)


def test_verification_of_certificates_cannot_be_switched_off_in_passing() -> None:
    """F57."""
    with pytest.raises(ConfigurationError, match="ssl_context"):
        RabbitMQConnection("amqps://user:secret@host/?no_verify_ssl=1")


def test_a_connection_shows_where_and_who_but_no_secret() -> None:
    """F55."""
    connection = RabbitMQConnection("amqp://user:p%40ss%2Fw%23rd@host:5672/vhost?auth=plain")
    assert repr(connection) == "<RabbitMQConnection amqp://user@host:5672/vhost>"
    assert "ss" not in repr(connection.publishing).replace("Link", "").replace("publishing", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": ""},
        {"prefix": "x" * 61},
        {"delivery_limit": 0},
        {"max_queued": 0},
        {"publish_timeout": 0},
        {"unroutable": "drop"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        RabbitMQSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a.b", "unroutable", "x" * 61, "ünïcode", "a b"])
def test_what_cannot_name_a_consumer_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        RabbitMQTopology().queues(name)


@pytest.mark.parametrize("partitions", [-1, SLOTS + 1])
def test_a_number_of_partitions_that_cannot_be_is_refused(partitions: int) -> None:
    with pytest.raises(ConfigurationError):
        RabbitMQTopology().queues("billing", partitions=partitions)


def test_names_are_those_of_the_documentation() -> None:
    topology = RabbitMQTopology()
    assert topology.exchange == "cqrs.messages"
    assert topology.unroutable == "cqrs.unroutable"
    assert topology.dead == "cqrs.dead"
    assert topology.queues("billing") == ("cqrs.billing",)
    assert topology.queues("billing", partitions=2) == ("cqrs.billing.0", "cqrs.billing.1")
    assert topology.dead_queue("billing") == "cqrs.billing.dead"
    assert topology.retry_exchange("billing", 1.5) == "cqrs.billing.retry.1500"


def test_where_something_ends_is_declared_before_what_leads_there() -> None:
    """X-2: a dead letter exchange that does not exist would lose what is sent to it."""
    topology = RabbitMQTopology()
    known: set[str] = {""}
    for declared in topology.of_consumer("billing", ["orders.#"], delays=[1, 2]):
        if isinstance(declared, Binding):
            assert {declared.queue, declared.exchange} <= known
            continue
        known.add(declared.name)
        leads_to = declared.arguments.get("x-dead-letter-exchange", "")
        assert leads_to in known
        assert declared.arguments.get("alternate-exchange", "") in known


def test_every_queue_survives_a_restart_and_none_drops_what_it_cannot_hold() -> None:
    settings = RabbitMQSettings(delivery_limit=7, max_queued=9)
    declared = RabbitMQTopology(settings).of_consumer("billing", ["#"], delays=[1])
    queues = {one.name: one.arguments for one in declared if isinstance(one, Queue)}
    assert {arguments["x-queue-type"] for arguments in queues.values()} == {"quorum"}
    leading_on = [
        arguments for arguments in queues.values() if "x-dead-letter-exchange" in arguments
    ]
    assert len(leading_on) == 2
    for arguments in leading_on:
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"
    work = queues["cqrs.billing"]
    assert (work["x-delivery-limit"], work["x-max-length"]) == (7, 9)
    assert "x-single-active-consumer" not in work


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, SLOTS])
def test_each_slot_leads_to_exactly_one_partition(partitions: int) -> None:
    topology = RabbitMQTopology()
    declared = topology.of_consumer("billing", ["orders.*"], partitions=partitions)
    bound = [
        one for one in declared if isinstance(one, Binding) and one.exchange == topology.exchange
    ]
    assert sorted(one.routing_key for one in bound) == [f"orders.*.{n:02d}" for n in range(SLOTS)]
    assert {one.queue for one in bound} == set(topology.queues("billing", partitions=partitions))
    work = [one for one in declared if isinstance(one, Queue) and not one.name.endswith("dead")]
    assert all(
        one.arguments["x-single-active-consumer"] for one in work if one.name != topology.unroutable
    )


def test_a_stream_has_one_slot_and_streams_of_other_tenants_have_their_own() -> None:
    message = replace(new_message("Order-1"), tenant_id="t")
    key = RabbitMQTopology().routing_key("orders.placed", message)
    assert key == f"orders.placed.{slot_of('t', 'Order-1'):02d}"
    # Never to change: messages of a stream would be in two queues at the time of the change.
    assert slot_of("", "Order-1") == 16
    slots = {slot_of("", f"Order-{number}") for number in range(1000)}
    assert slots == set(range(SLOTS))


def test_without_a_place_for_the_unroutable_none_is_declared() -> None:
    topology = RabbitMQTopology(RabbitMQSettings(unroutable="refuse"))
    assert [one.name for one in topology.shared() if not isinstance(one, Binding)] == [
        "cqrs.dead",
        "cqrs.messages",
    ]
    [messages] = [
        one for one in topology.shared() if isinstance(one, Exchange) and one.type == "topic"
    ]
    assert not messages.arguments


_texts = st.text(st.characters(codec="ascii"), max_size=300)


@given(
    headers=st.dictionaries(
        st.text(st.characters(codec="ascii"), min_size=1, max_size=50), _texts, max_size=20
    ),
    correlation_id=st.none() | st.text(max_size=100),
    message_type=st.text(min_size=1, max_size=100),
    # The driver takes later times for milliseconds when it reads them.
    occurred_at=st.datetimes(max_value=datetime(2106, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_properties_are_read_by_the_driver_as_they_were_written(
    headers: dict[str, str],
    correlation_id: str | None,
    message_type: str,
    occurred_at: datetime,
) -> None:
    message = replace(
        new_message(),
        correlation_id=correlation_id,
        message_type=message_type,
        occurred_at=occurred_at,
    )
    written = ContentHeader(properties=WireProperties(message, headers), body_size=5).marshal()
    read = ContentHeader(properties=Basic.Properties())
    read.unmarshal(written)
    properties = read.properties
    assert read.body_size == 5
    assert properties.message_id == str(message.message_id)
    assert properties.delivery_mode == 2
    # A decoder may leave an empty text out.
    assert properties.content_type == (headers.pop("content-type", None) or None)
    assert properties.headers == headers
    assert (properties.correlation_id or "") in {correlation_id or "", ""}
    assert properties.message_type in {message_type, None}
    if occurred_at >= datetime(1970, 1, 1, tzinfo=UTC):
        assert properties.timestamp == occurred_at.replace(microsecond=0)
    else:
        assert properties.timestamp is None


def test_without_the_driver_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['aio_pika'] = None\n"
        "import cqrs_ddd_infrastructure_messaging\n"
        "from cqrs_ddd_core.primitives.exceptions import MissingExtraError\n"
        "try:\n"
        "    import cqrs_ddd_infrastructure_messaging.rabbitmq\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'cqrs-ddd-infrastructure-messaging[rabbitmq]'" in done.stdout
