"""Envelope attributes as text headers and back, as the CloudEvents HTTP binding writes them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import UUID

from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_infrastructure_messaging._json import load_object
from cqrs_ddd_infrastructure_messaging.envelope import MessageEnvelope
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["from_headers", "header_text", "id_in", "to_headers"]

_SPEC_VERSION = "1.0"
_JSON = "application/json"
_KINDS = {kind.value: kind for kind in MessageKind}
# A message's free headers, as one JSON object in ASCII.
_FREE_HEADERS = "cqrs-headers"
# Those that are attributes on the wire.
_PROMOTED = (
    ("traceparent", "ce-traceparent"),
    ("tracestate", "ce-tracestate"),
    ("reply_to", "ce-replyto"),
)

# CloudEvents HTTP binding 1.0.2, section 3.1.3.2: printable ASCII stays as it is, but for the
# space, the double quote and the percent sign.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_is_plain = re.compile(f"[{re.escape(_SAFE)}]*").fullmatch

_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def to_headers(envelope: MessageEnvelope) -> dict[str, str]:
    """Return the headers of an envelope.

    Raises:
        MalformedMessageError: An attribute cannot be written.
    """
    if not envelope.type:
        raise MalformedMessageError("it has no type")
    free = dict(envelope.message.headers)
    headers = _quoted(_attributes(envelope, free))
    headers["content-type"] = _JSON
    if free:
        headers[_FREE_HEADERS] = _dump(free)
    return headers


def from_headers(
    message_id: UUID, headers: Mapping[str, str], body: bytes, *, max_depth: int
) -> MessageEnvelope:
    """Return the envelope of a message.

    Args:
        message_id: What ``id_in`` found.
        headers: Under lower-case names.
        body: The payload.
        max_depth: How deep the free headers may nest.

    Raises:
        MalformedMessageError: A header is missing or says nothing sensible.
    """
    _check_formats(headers)
    subject = _text(headers, "ce-subject")
    message = OutboxMessage(
        message_id,
        _kind(headers),
        _required(headers, "ce-type"),
        body,
        # What says no stream is a stream of its own, as in the outbox.
        str(message_id) if subject is None else subject,
        _time(headers),
        _count(headers, "ce-schemaversion"),
        _text(headers, "ce-correlationid"),
        _text(headers, "ce-causationid"),
        _text(headers, "ce-tenantid") or "",
        _message_headers(headers, max_depth),
    )
    return MessageEnvelope(
        message=message,
        source=_required(headers, "ce-source"),
        dataschema=_text(headers, "ce-dataschema"),
        attempt=_count(headers, "ce-attempt"),
    )


def id_in(headers: Mapping[str, str]) -> UUID:
    """Return the message id.

    Raises:
        MalformedMessageError: There is none. One is never made up: two deliveries of one message
            would not be recognised as such.
    """
    text = headers.get("ce-id")
    if text is None:
        raise MalformedMessageError("it has no ce-id")
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError("its ce-id is no UUID") from None


def header_text(text: str) -> str:
    """Return text as the value of a header."""
    return quote(text, safe=_SAFE)


def _attributes(envelope: MessageEnvelope, free: dict[str, Any]) -> dict[str, str]:
    """Return the attributes as text, and take out of the free headers those that are among them."""
    message = envelope.message
    attributes = {
        "ce-specversion": _SPEC_VERSION,
        "ce-id": str(message.message_id),
        "ce-source": envelope.source,
        "ce-type": message.message_type,
        "ce-time": _format_time(message.occurred_at),
        "ce-subject": message.stream,
        "ce-kind": message.kind.value,
        "ce-schemaversion": str(message.schema_version),
    }
    optional = (
        ("ce-dataschema", envelope.dataschema),
        ("ce-correlationid", message.correlation_id),
        ("ce-causationid", message.causation_id),
        ("ce-tenantid", message.tenant_id or None),
        ("ce-attempt", None if envelope.attempt == 1 else str(envelope.attempt)),
    )
    attributes.update((name, value) for name, value in optional if value is not None)
    for key, name in _PROMOTED:
        if isinstance(free.get(key), str):
            attributes[name] = free.pop(key)
    return attributes


def _quoted(attributes: dict[str, str]) -> dict[str, str]:
    # Most have nothing to quote, and one look at all of them is quicker than one at each.
    if _is_plain("".join(attributes.values())):
        return attributes
    try:
        return {name: header_text(value) for name, value in attributes.items()}
    except UnicodeEncodeError:
        raise MalformedMessageError("an attribute is no valid Unicode") from None


def _dump(headers: dict[str, Any]) -> str:
    try:
        return _encoder.encode(headers)
    except (TypeError, ValueError, RecursionError):
        raise MalformedMessageError("a header of it cannot be written as JSON") from None


def _format_time(time: datetime) -> str:
    if time.tzinfo is None:
        raise MalformedMessageError("its time has no offset from UTC")
    try:
        return time.astimezone(UTC).isoformat()
    except OverflowError:
        raise MalformedMessageError("its time is outside of what UTC can say") from None


def _check_formats(headers: Mapping[str, str]) -> None:
    content_type = headers.get("content-type", "")
    if content_type != _JSON:
        _check_content_type(content_type)
    if headers.get("ce-specversion") != _SPEC_VERSION:
        raise MalformedMessageError(f"its ce-specversion is not {_SPEC_VERSION}")


def _check_content_type(content_type: str) -> None:
    media_type, *parameters = content_type.lower().replace(" ", "").split(";")
    if media_type != _JSON:
        raise MalformedMessageError(f"its content-type is not {_JSON}")
    charsets = {one.replace('"', "") for one in parameters if one.startswith("charset=")}
    if not charsets <= {"charset=utf-8", "charset=us-ascii"}:
        raise MalformedMessageError("its charset is not utf-8")


def _kind(headers: Mapping[str, str]) -> MessageKind:
    kind = _KINDS.get(headers.get("ce-kind", "event"))
    if kind is None:
        raise MalformedMessageError("its ce-kind is neither event nor command")
    return kind


def _time(headers: Mapping[str, str]) -> datetime:
    try:
        time = datetime.fromisoformat(_required(headers, "ce-time"))
        if time.tzinfo is None:
            raise MalformedMessageError("its ce-time has no offset from UTC")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedMessageError("its ce-time is no RFC 3339 time") from None


def _count(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name)
    if text is None or text == "1":
        return 1
    # CloudEvents integers have 32 bits.
    if len(text) > 10 or not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 2**31:
        raise MalformedMessageError(f"its {name} is no number from 1")
    return int(text)


def _required(headers: Mapping[str, str], name: str) -> str:
    text = _text(headers, name)
    if not text:
        raise MalformedMessageError(f"it has no {name}")
    return text


def _text(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None or "%" not in value:
        return value
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise MalformedMessageError(f"its {name} is no UTF-8") from None


def _message_headers(headers: Mapping[str, str], max_depth: int) -> dict[str, Any]:
    found = _free_headers(headers, max_depth) if _FREE_HEADERS in headers else {}
    for key, name in _PROMOTED:
        value = _text(headers, name)
        if value is not None:
            found[key] = value
    return found


def _free_headers(headers: Mapping[str, str], max_depth: int) -> dict[str, Any]:
    try:
        text = headers[_FREE_HEADERS].encode("ascii")
    except UnicodeEncodeError:
        raise MalformedMessageError(f"its {_FREE_HEADERS} is not in ASCII") from None
    return load_object(text, f"its {_FREE_HEADERS}", max_depth=max_depth)
