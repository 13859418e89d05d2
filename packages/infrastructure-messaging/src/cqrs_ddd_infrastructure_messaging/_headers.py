"""Envelope attributes as text headers and back, as the CloudEvents HTTP binding writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import UUID

from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_infrastructure_messaging._json import load_object
from cqrs_ddd_infrastructure_messaging.envelope import MessageEnvelope
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTENT_TYPE", "FREE_HEADERS", "from_headers", "id_in", "to_headers"]

#: The header that says what the body is.
CONTENT_TYPE = "content-type"
#: The header that holds a message's free headers, as one JSON object in ASCII.
FREE_HEADERS = "cqrs-headers"

_SPEC_VERSION = "1.0"
_JSON = "application/json"

# Attributes that are plain text or absent, with their names on the wire.
_TEXTS = {
    "dataschema": "ce-dataschema",
    "correlation_id": "ce-correlationid",
    "causation_id": "ce-causationid",
    "traceparent": "ce-traceparent",
    "tracestate": "ce-tracestate",
    "reply_to": "ce-replyto",
}

# CloudEvents HTTP binding 1.0.2, section 3.1.3.2: printable ASCII stays, but for space, the
# double quote and the percent sign.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def to_headers(envelope: MessageEnvelope) -> dict[str, str]:
    """Return the headers of an envelope.

    Raises:
        MalformedMessageError: An attribute cannot be written.
    """
    if not envelope.type:
        raise MalformedMessageError("it has no type", envelope.id)
    headers = {
        CONTENT_TYPE: _JSON,
        "ce-specversion": _SPEC_VERSION,
        "ce-id": str(envelope.id),
        "ce-source": _quote(envelope.source, envelope),
        "ce-type": _quote(envelope.type, envelope),
        "ce-time": _format_time(envelope),
        "ce-subject": _quote(envelope.subject, envelope),
        "ce-kind": envelope.kind.value,
        "ce-schemaversion": str(envelope.schema_version),
    }
    for attribute, name in _TEXTS.items():
        value = getattr(envelope, attribute)
        if value is not None:
            headers[name] = _quote(value, envelope)
    if envelope.tenant_id:
        headers["ce-tenantid"] = _quote(envelope.tenant_id, envelope)
    if envelope.attempt != 1:
        headers["ce-attempt"] = str(envelope.attempt)
    if envelope.headers:
        headers[FREE_HEADERS] = _dump(envelope)
    return headers


def from_headers(headers: Mapping[str, str], body: bytes, *, max_depth: int) -> MessageEnvelope:
    """Return the envelope of a message whose body was checked.

    Args:
        headers: Under lower-case names.
        body: The payload.
        max_depth: How deep the free headers may nest.

    Raises:
        MalformedMessageError: A header is missing or says nothing sensible.
    """
    message_id = _message_id(headers)
    try:
        return _build(message_id, headers, body, max_depth)
    except MalformedMessageError as error:
        raise MalformedMessageError(error.reason, message_id) from None


def id_in(headers: Mapping[str, str]) -> UUID | None:
    """Return the message id, where it can be read."""
    try:
        return _message_id(headers)
    except MalformedMessageError:
        return None


def _build(
    message_id: UUID, headers: Mapping[str, str], body: bytes, max_depth: int
) -> MessageEnvelope:
    _check_formats(headers)
    texts = {attribute: _text(headers, name) for attribute, name in _TEXTS.items()}
    subject = _text(headers, "ce-subject")
    return MessageEnvelope(
        id=message_id,
        source=_required(headers, "ce-source"),
        type=_required(headers, "ce-type"),
        time=_time(headers),
        # What says no stream is a stream of its own, as in the outbox.
        subject=str(message_id) if subject is None else subject,
        data=body,
        kind=_kind(headers),
        schema_version=_count(headers, "ce-schemaversion"),
        tenant_id=_text(headers, "ce-tenantid") or "",
        attempt=_count(headers, "ce-attempt"),
        headers=_free_headers(headers, max_depth),
        **texts,
    )


def _check_formats(headers: Mapping[str, str]) -> None:
    media_type, _, parameters = headers.get(CONTENT_TYPE, "").lower().partition(";")
    if media_type.strip() != _JSON:
        raise MalformedMessageError(f"its {CONTENT_TYPE} is not {_JSON}")
    charset = parameters.replace(" ", "").replace('"', "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=us-ascii"):
        raise MalformedMessageError("its charset is not utf-8")
    if headers.get("ce-specversion") != _SPEC_VERSION:
        raise MalformedMessageError(f"its ce-specversion is not {_SPEC_VERSION}")


def _message_id(headers: Mapping[str, str]) -> UUID:
    # Never made up: two deliveries of one message would not be recognised as such.
    text = headers.get("ce-id")
    if text is None:
        raise MalformedMessageError("it has no ce-id")
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError("its ce-id is no UUID") from None


def _kind(headers: Mapping[str, str]) -> MessageKind:
    try:
        return MessageKind(headers.get("ce-kind", MessageKind.EVENT))
    except ValueError:
        raise MalformedMessageError("its ce-kind is neither event nor command") from None


def _time(headers: Mapping[str, str]) -> datetime:
    try:
        time = datetime.fromisoformat(_required(headers, "ce-time"))
    except ValueError:
        raise MalformedMessageError("its ce-time is no RFC 3339 time") from None
    if time.tzinfo is None:
        raise MalformedMessageError("its ce-time has no offset from UTC")
    return time.astimezone(UTC)


def _format_time(envelope: MessageEnvelope) -> str:
    if envelope.time.tzinfo is None:
        raise MalformedMessageError("its time has no offset from UTC", envelope.id)
    return envelope.time.astimezone(UTC).isoformat()


def _count(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "1")
    # CloudEvents integers have 32 bits.
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**31):
        raise MalformedMessageError(f"its {name} is no whole number")
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


def _quote(text: str, envelope: MessageEnvelope) -> str:
    try:
        return quote(text, safe=_SAFE)
    except UnicodeEncodeError:
        raise MalformedMessageError("an attribute is no valid Unicode", envelope.id) from None


def _free_headers(headers: Mapping[str, str], max_depth: int) -> dict[str, Any]:
    text = headers.get(FREE_HEADERS)
    if text is None:
        return {}
    return load_object(text.encode(errors="surrogatepass"), FREE_HEADERS, max_depth=max_depth)


def _dump(envelope: MessageEnvelope) -> str:
    try:
        return json.dumps(dict(envelope.headers), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        reason = "a header of it cannot be written as JSON"
        raise MalformedMessageError(reason, envelope.id) from None
