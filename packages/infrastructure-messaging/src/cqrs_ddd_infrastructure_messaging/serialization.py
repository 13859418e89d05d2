"""Messages to bytes and headers and back, checked before anything is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._headers import from_headers, id_in, to_headers
from cqrs_ddd_infrastructure_messaging._json import check_own_object, load_object
from cqrs_ddd_infrastructure_messaging.envelope import MessageEnvelope, to_envelope
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["EncodedMessage", "EnvelopeSerializer", "MessageLimits"]


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How big a message may be; looked at before it is parsed and before it is sent.

    Args:
        max_bytes: The longest body, in bytes.
        max_depth: How many levels of lists and objects its JSON may have; at most 200.
        max_headers: How many headers it may have.
        max_header_bytes: How long they may be all together, names included, in bytes.
    """

    max_bytes: int = 1_000_000
    max_depth: int = 64
    max_headers: int = 64
    max_header_bytes: int = 65_536

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_depth, self.max_headers, self.max_header_bytes) < 1:
            raise ConfigurationError("a limit of messages must be at least 1")
        if self.max_depth > 200:
            raise ConfigurationError("no parser is asked for more than max_depth=200")


class EncodedMessage(NamedTuple):
    """A message as a broker carries it.

    Attributes:
        body: The payload, untouched.
        headers: Everything else, as printable ASCII under lower-case names.
    """

    body: bytes
    headers: dict[str, str]


class EnvelopeSerializer:
    """Writes and reads messages in the binary mode of CloudEvents 1.0.

    The body is the stored payload byte for byte (X-7), the attributes are ``ce-`` headers.
    ``decode(*encode(message)).to_message() == message`` holds for every message within the
    limits.

    Args:
        source: Who sends, as a URI reference such as ``/orders`` or ``https://example.com/orders``.
        limits: How big messages may be, on the way out and in.
        schemas: URI under which the JSON Schemas are published; messages then say
            ``<schemas>/<type>/<schema version>`` in ``dataschema``.

    Raises:
        ConfigurationError: The source is empty or holds a space.
    """

    def __init__(
        self, *, source: str, limits: MessageLimits | None = None, schemas: str | None = None
    ) -> None:
        if not source or any(character.isspace() for character in source):
            msg = f"source={source!r} is no URI reference: write it like '/orders'"
            raise ConfigurationError(msg)
        self._source = source
        self._limits = limits or MessageLimits()
        self._schemas = None if schemas is None else schemas.rstrip("/")

    @property
    def limits(self) -> MessageLimits:
        """How big messages may be."""
        return self._limits

    def encode(self, message: OutboxMessage) -> EncodedMessage:
        """Return the body and headers of a message.

        Raises:
            MalformedMessageError: It is over a limit, its payload is no JSON object, or a header
                cannot be written as JSON.
        """
        envelope = to_envelope(message, source=self._source, dataschema=self._schema_of(message))
        try:
            headers = to_headers(envelope)
            self._check_headers(headers, len(headers))
            self._check_size(message.payload)
            check_own_object(message.payload, "its body", max_depth=self._limits.max_depth)
        except MalformedMessageError as error:
            raise MalformedMessageError(error.reason, envelope.id) from None
        return EncodedMessage(envelope.data, headers)

    def decode(self, body: bytes, headers: Mapping[str, object]) -> MessageEnvelope:
        """Return the envelope of a message that arrived.

        Args:
            body: As received.
            headers: As received, in any case; those of others are left alone.

        Raises:
            MalformedMessageError: It has no usable id, another content type, a body that is no
                JSON object, a header that cannot be read, or is over a limit.
        """
        texts = _lowered(headers)
        message_id = id_in(texts)
        try:
            self._check_headers(texts, len(headers))
            self._check_size(body)
            envelope = from_headers(message_id, texts, body, max_depth=self._limits.max_depth)
            load_object(body, "its body", max_depth=self._limits.max_depth)
        except MalformedMessageError as error:
            raise MalformedMessageError(error.reason, message_id) from None
        return envelope

    def _schema_of(self, message: OutboxMessage) -> str | None:
        if self._schemas is None:
            return None
        return f"{self._schemas}/{quote(message.message_type, safe='')}/{message.schema_version}"

    def _check_headers(self, headers: Mapping[str, str], count: int) -> None:
        limits = self._limits
        if count > limits.max_headers:
            raise MalformedMessageError(f"it has more than {limits.max_headers} headers")
        if len("".join(headers)) + len("".join(headers.values())) > limits.max_header_bytes:
            reason = f"its headers are longer than {limits.max_header_bytes} bytes"
            raise MalformedMessageError(reason)

    def _check_size(self, body: bytes) -> None:
        limits = self._limits
        if len(body) > limits.max_bytes:
            reason = f"its body has {len(body)} bytes, and {limits.max_bytes} are allowed"
            raise MalformedMessageError(reason)


def _lowered(headers: Mapping[str, object]) -> dict[str, str]:
    """Return those headers that are text, under lower-case names."""
    texts = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    if len(texts) != len(headers) and len(texts) != sum(
        isinstance(value, str) for value in headers.values()
    ):
        raise MalformedMessageError("a header is there twice")
    return texts
