"""The wire: exact, bounded, and nothing is guessed."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import (
    AWKWARD_TEXT,
    MOMENT,
    SampleOrderPlaced,
    awkward_message,
    new_event,
    new_message,
)
from cqrs_ddd_infrastructure_messaging import (
    EncodedMessage,
    EnvelopeSerializer,
    MalformedMessageError,
    MessageLimits,
)

_SERIALIZER = EnvelopeSerializer(source="/orders")
_SECRET = "jane@example.com"
_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_EARLIEST = MOMENT.replace(year=2, tzinfo=None)

_json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_json_objects = st.dictionaries(st.text(max_size=5), _json_values, max_size=4)
_texts = st.text(max_size=20)
_offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_headers = _json_objects | st.dictionaries(
    st.sampled_from(["traceparent", "tracestate", "reply_to", "user_id"]), _json_values
)
_messages = st.builds(
    OutboxMessage,
    message_id=st.uuids(),
    kind=st.sampled_from(MessageKind),
    message_type=st.text(min_size=1, max_size=20),
    payload=st.builds(
        lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(),
        _json_objects,
        st.booleans(),
    ),
    stream=_texts,
    occurred_at=st.datetimes(
        _EARLIEST, _EARLIEST.replace(year=9998), timezones=st.just(UTC) | _offsets
    ),
    schema_version=st.integers(1, 2**31 - 1),
    correlation_id=st.none() | _texts,
    causation_id=st.none() | _texts,
    tenant_id=_texts,
    headers=_headers,
)


@given(_messages)
def test_every_message_comes_back_as_it_was_sent(message: OutboxMessage) -> None:
    envelope = _SERIALIZER.decode(*_SERIALIZER.encode(message))
    assert envelope.to_message() == message
    assert envelope.source == "/orders"


@given(_messages)
def test_headers_are_printable_ascii_whatever_a_message_holds(message: OutboxMessage) -> None:
    headers = _SERIALIZER.encode(message).headers
    assert all(name.isascii() and name == name.lower() for name in headers)
    assert all(
        value.isascii() and "\n" not in value and "\r" not in value and "\0" not in value
        for value in headers.values()
    )


@given(st.binary(max_size=60), st.dictionaries(st.text(max_size=10), _texts, max_size=4))
def test_whatever_arrives_is_read_or_refused(body: bytes, changes: dict[str, str]) -> None:
    headers = {**_SERIALIZER.encode(new_message()).headers, **changes}
    with suppress(MalformedMessageError):
        assert _SERIALIZER.decode(body, headers).data == body


@pytest.mark.parametrize("message", [new_message(), awkward_message()])
def test_the_body_is_the_payload_byte_for_byte(message: OutboxMessage) -> None:
    """X-7: a serialiser of our own would be one more place where values lose their types."""
    assert _SERIALIZER.encode(message).body is message.payload


def test_an_event_is_read_at_the_other_end_as_it_was_raised() -> None:
    """C-9, X-7: money, ids, dates and text, with the ids of the request that caused them."""
    stored = new_event()
    message = OutboxMessage(
        stored.event_id,
        MessageKind.EVENT,
        stored.event_type,
        stored.payload,
        "SampleOrder-o1",
        stored.occurred_at,
        correlation_id="request-1",
        causation_id="command-1",
        headers=stored.metadata,
    )
    received = _SERIALIZER.decode(*_SERIALIZER.encode(message)).to_message()
    reader = EventSerializer(EventTypeRegistry([SampleOrderPlaced]))
    (event,) = reader.hydrate_message(received)
    assert isinstance(event, SampleOrderPlaced)
    assert (event.total, event.customer) == (Decimal("1234567890.10"), AWKWARD_TEXT)
    assert (event.correlation_id, event.causation_id) == ("request-1", "command-1")
    assert event.metadata == stored.metadata


def test_the_trace_goes_along_where_tracing_systems_look_for_it() -> None:
    message = replace(new_message(), headers={"traceparent": _TRACEPARENT, "user_id": "u-1"})
    encoded = _SERIALIZER.encode(message)
    assert encoded.headers["ce-traceparent"] == _TRACEPARENT
    assert encoded.headers["cqrs-headers"] == '{"user_id":"u-1"}'
    assert _SERIALIZER.decode(*encoded).traceparent == _TRACEPARENT


def test_the_attributes_are_those_of_cloudevents() -> None:
    message = OutboxMessage(
        UUID(int=7), MessageKind.COMMAND, "ShipOrder", b"{}", "Order-o 1", MOMENT, tenant_id="acme"
    )
    serializer = EnvelopeSerializer(source="/orders", schemas="https://example.com/schemas/")
    assert serializer.encode(message) == EncodedMessage(
        b"{}",
        {
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "00000000-0000-0000-0000-000000000007",
            "ce-source": "/orders",
            "ce-type": "ShipOrder",
            "ce-time": "2026-03-29T01:59:59.999999+00:00",
            "ce-subject": "Order-o%201",
            "ce-dataschema": "https://example.com/schemas/ShipOrder/1",
            "ce-kind": "command",
            "ce-schemaversion": "1",
            "ce-tenantid": "acme",
        },
    )


def test_an_event_of_another_system_needs_only_what_cloudevents_asks_for() -> None:
    headers = {
        "Content-Type": "Application/JSON; charset=UTF-8",
        "CE-SpecVersion": "1.0",
        "CE-Id": "00000000-0000-0000-0000-000000000007",
        "CE-Source": "https://example.com/crm",
        "CE-Type": "Customer%20moved",
        "CE-Time": "2026-03-29T03:59:59+02:00",
        "CE-Something": "else",
        "x-death": [{"count": 3}],
    }
    envelope = _SERIALIZER.decode(b'{"a": 1.10}', headers)
    assert envelope.to_message() == OutboxMessage(
        UUID(int=7),
        MessageKind.EVENT,
        "Customer moved",
        b'{"a": 1.10}',
        "00000000-0000-0000-0000-000000000007",
        datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC),
    )
    assert (envelope.attempt, envelope.reply_to) == (1, None)


def test_the_transport_counts_attempts() -> None:
    encoded = _SERIALIZER.encode(new_message())
    assert _SERIALIZER.decode(encoded.body, {**encoded.headers, "ce-attempt": "3"}).attempt == 3


_MALFORMED: list[tuple[dict[str, str | None], str]] = [
    ({"ce-id": None}, "it has no ce-id"),
    ({"ce-id": ""}, "its ce-id is no UUID"),
    ({"ce-id": _SECRET}, "its ce-id is no UUID"),
    ({"ce-type": None}, "it has no ce-type"),
    ({"ce-type": ""}, "it has no ce-type"),
    ({"ce-type": "%ff"}, "its ce-type is no UTF-8"),
    ({"ce-source": None}, "it has no ce-source"),
    ({"ce-specversion": None}, "its ce-specversion is not 1.0"),
    ({"ce-specversion": "0.3"}, "its ce-specversion is not 1.0"),
    ({"ce-time": None}, "it has no ce-time"),
    ({"ce-time": _SECRET}, "its ce-time is no RFC 3339 time"),
    ({"ce-time": "2026-03-29T01:59:59"}, "its ce-time has no offset from UTC"),
    ({"ce-time": "0001-01-01T00:00:00+10:00"}, "its ce-time is no RFC 3339 time"),
    ({"ce-kind": "query"}, "its ce-kind is neither event nor command"),
    ({"ce-schemaversion": "0"}, "its ce-schemaversion is no number from 1"),
    ({"ce-schemaversion": "1_0"}, "its ce-schemaversion is no number from 1"),
    ({"ce-schemaversion": "\u0663"}, "its ce-schemaversion is no number from 1"),
    ({"ce-schemaversion": "9" * 5000}, "its ce-schemaversion is no number from 1"),
    ({"ce-attempt": "-1"}, "its ce-attempt is no number from 1"),
    ({"content-type": None}, "its content-type is not application/json"),
    ({"content-type": "text/plain"}, "its content-type is not application/json"),
    ({"content-type": "application/cloudevents+json"}, "its content-type is not application/json"),
    ({"content-type": "application/json; charset=utf-16"}, "its charset is not utf-8"),
    ({"cqrs-headers": "[]"}, "its cqrs-headers is no JSON object"),
    ({"cqrs-headers": "{"}, "its cqrs-headers is no JSON"),
    ({"cqrs-headers": '{"ü":1}'}, "its cqrs-headers is not in ASCII"),
    ({"cqrs-headers": '{"a":1,"a":2}'}, "its cqrs-headers has a key twice in one object"),
    (
        {"cqrs-headers": '{"a":' * 65 + "1" + "}" * 65},
        "its cqrs-headers nests deeper than 64 levels",
    ),
    ({"CE-Id": "00000000-0000-0000-0000-000000000007"}, "a header is there twice"),
]


@pytest.mark.parametrize("changes, reason", _MALFORMED)
def test_a_header_that_says_nothing_sensible_is_refused(
    changes: dict[str, str | None], reason: str
) -> None:
    """Nothing is made up: with another id, a second delivery would have a second effect."""
    _assert_refused(b"{}", changes, reason)


_UNREADABLE: list[tuple[bytes, str]] = [
    (b"", "its body is no JSON"),
    (b"jane@example.com", "its body is no JSON"),
    (b'{"email": "jane@example.com",}', "its body is no JSON"),
    (b'{"email": "jane@example.com"} {}', "its body is no JSON"),
    (b'"jane@example.com"', "its body is no JSON object"),
    (b"[1]", "its body is no JSON object"),
    (b'{"a": NaN}', "its body is no JSON"),
    (b'{"a": [-Infinity]}', "its body is no JSON"),
    (b'{"a": 1, "b": 2, "a": 1}', "its body has a key twice in one object"),
    (b'{"a": [{"b": 1, "\\u0062": 2}]}', "its body has a key twice in one object"),
    (b'{"a": "\\ud800"}', "its body is no JSON"),
    (b'{"a": "\xff"}', "its body is no JSON"),
    (b'\xef\xbb\xbf{"a": 1}', "its body is no JSON"),
    ('{"a": 1}'.encode("utf-16"), "its body is no JSON"),
    (b'{"a": ' + b"9" * 5000 + b"}", "its body is no JSON"),
    (b'{"a": "\n"}', "its body is no JSON"),
    (b"]" * 10_000, "its body is no JSON"),
    (b'{"a":"' + b"[" * 10_000, "its body is no JSON"),
    (b'{"a":"' + b'\\"' * 490_000 + b"[" * 100, "its body is no JSON"),
]


@pytest.mark.parametrize("body, reason", _UNREADABLE)
def test_a_body_that_is_no_proper_json_object_is_refused(body: bytes, reason: str) -> None:
    _assert_refused(body, {}, reason)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 900_000,
        b'{"a":[' + b"[]," * 100_000 + b"[" * 10_000,
        b"[" * 65 + b'"' + b'\\"' * 490_000,
    ],
)
def test_depth_is_refused_before_a_parser_goes_down_there(body: bytes) -> None:
    _assert_refused(body, {}, "its body nests deeper than 64 levels")


@pytest.mark.parametrize("depth, is_read", [(64, True), (65, False)])
def test_the_depth_is_exact(depth: int, is_read: bool) -> None:
    payload = b'{"a":' * depth + b'"' + b"[{" * 100 + b'\\""' + b"}" * depth
    encode_and_decode = (
        lambda: _SERIALIZER.encode(replace(new_message(), payload=payload)),
        lambda: _SERIALIZER.decode(payload, _SERIALIZER.encode(new_message()).headers),
    )
    for step in encode_and_decode:
        if is_read:
            step()
        else:
            with pytest.raises(MalformedMessageError, match="nests deeper"):
                step()


def test_the_greatest_depth_that_may_be_set_is_read() -> None:
    deep = EnvelopeSerializer(source="/orders", limits=MessageLimits(max_depth=200))
    payload = b'{"a":' * 200 + b'"\\u00e9"' + b"}" * 200
    message = replace(new_message(), payload=payload)
    assert deep.decode(*deep.encode(message)).to_message() == message


def test_a_wide_body_is_not_a_deep_one() -> None:
    payload = b'{"a":[' + b"{}," * 10_000 + b"{}]}"
    message = replace(new_message(), payload=payload)
    assert _SERIALIZER.decode(*_SERIALIZER.encode(message)).data == payload


@pytest.mark.parametrize("length, is_read", [(100, True), (101, False)])
def test_a_body_over_the_limit_is_refused_when_sent_and_when_received(
    length: int, is_read: bool
) -> None:
    strict = EnvelopeSerializer(source="/orders", limits=MessageLimits(max_bytes=100))
    payload = b'{"a":"' + b"x" * (length - 8) + b'"}'
    message = replace(new_message(), payload=payload)
    encoded = _SERIALIZER.encode(message)
    if is_read:
        assert strict.decode(*strict.encode(message)).data == payload
        return
    for refused in (lambda: strict.encode(message), lambda: strict.decode(*encoded)):
        with pytest.raises(MalformedMessageError, match="101 bytes, and 100 are allowed") as caught:
            refused()
        assert caught.value.message_id == message.message_id


def test_too_many_or_too_long_headers_are_refused_when_sent_and_when_received() -> None:
    message = new_message()
    encoded = _SERIALIZER.encode(message)
    for limits, reason in (
        (MessageLimits(max_headers=5), "it has more than 5 headers"),
        (MessageLimits(max_header_bytes=50), "its headers are longer than 50 bytes"),
    ):
        strict = EnvelopeSerializer(source="/orders", limits=limits)
        with pytest.raises(MalformedMessageError, match=reason):
            strict.encode(message)
        with pytest.raises(MalformedMessageError, match=reason):
            strict.decode(*encoded)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"message_type": ""}, "it has no type"),
        ({"message_type": "\ud800"}, "an attribute is no valid Unicode"),
        ({"occurred_at": MOMENT.replace(tzinfo=None)}, "its time has no offset from UTC"),
        (
            {"occurred_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))},
            "its time is outside of what UTC can say",
        ),
        ({"headers": {"a": float("nan")}}, "a header of it cannot be written as JSON"),
        ({"headers": {"a": object()}}, "a header of it cannot be written as JSON"),
        ({"payload": b"no json"}, "its body is no JSON"),
        ({"payload": b"[]"}, "its body is no JSON object"),
        ({"payload": b'{"a": NaN}'}, "its body is no JSON"),
    ],
)
def test_what_no_receiver_could_read_is_not_sent(changes: dict[str, Any], reason: str) -> None:
    """G9: it is parked once in the outbox, and not once by every consumer."""
    message = replace(new_message(), **changes)
    with pytest.raises(MalformedMessageError) as caught:
        _SERIALIZER.encode(message)
    assert (caught.value.reason, caught.value.message_id) == (reason, message.message_id)


@pytest.mark.parametrize("source", ["", "my orders", "/orders\n"])
def test_a_source_is_a_uri_reference(source: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URI reference"):
        EnvelopeSerializer(source=source)


@pytest.mark.parametrize(
    "limits", [{"max_bytes": 0}, {"max_depth": 0}, {"max_depth": 201}, {"max_headers": -1}]
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        MessageLimits(**limits)


def _assert_refused(body: bytes, changes: dict[str, str | None], reason: str) -> None:
    headers = {**_SERIALIZER.encode(new_message()).headers, **changes}
    present = {name: value for name, value in headers.items() if value is not None}
    with pytest.raises(MalformedMessageError) as caught:
        _SERIALIZER.decode(body, present)
    assert caught.value.reason == reason
    assert _SECRET not in "".join(traceback.format_exception(caught.value))
