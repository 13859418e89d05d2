"""Errors of encoded payloads and of personal data; all of them are errors of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, DomainError, SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PayloadCodecError",
    "PayloadTamperedError",
    "PayloadTooLargeError",
    "PersonalDataDefinitionError",
    "PersonalDataError",
    "SubjectKeyMissingError",
    "SubjectMissingError",
    "SubjectShreddedError",
    "UnencryptedPayloadError",
    "UnknownEncryptionKeyError",
    "UnknownPayloadCodecError",
]


class PayloadCodecError(SerializationError):
    """A payload cannot be encoded or decoded.

    Attributes:
        reason: What is wrong.
        place: Which payload, once that is known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place: str | None = None

    def __str__(self) -> str:
        return self.reason if self.place is None else f"{self.place}: {self.reason}"


class UnknownPayloadCodecError(PayloadCodecError):
    """A payload was encoded by something that nobody here can decode."""

    def __init__(self, codec_id: str) -> None:
        super().__init__(
            f"it was encoded with {codec_id!r}: give PayloadCodecs(..., readable=[...]) that codec"
        )
        self.codec_id = codec_id


class UnknownEncryptionKeyError(PayloadCodecError):
    """A payload or a subject's key was encrypted with a master key that the key ring lacks."""

    def __init__(self, key_id: str, known: Iterable[str]) -> None:
        self.known: tuple[str, ...] = tuple(known)
        super().__init__(
            f"it was encrypted with the key {key_id!r}, and the key ring has only "
            f"{', '.join(map(repr, self.known))}: keep old keys in the ring"
        )
        self.key_id = key_id


class PayloadTamperedError(PayloadCodecError):
    """A payload is not what was written: damaged, forged, or moved here from another place."""


class PayloadTooLargeError(PayloadCodecError):
    """A payload is larger than its codec allows."""

    def __init__(self, size: int | None, limit: int) -> None:
        found = "a size it does not tell" if size is None else f"{size:,} bytes"
        super().__init__(f"it has {found}, and the limit is {limit:,} bytes; raise max_size")
        self.size = size
        self.limit = limit


class UnencryptedPayloadError(PayloadCodecError):
    """A payload stands in clear where only encrypted ones are accepted."""


class SubjectKeyMissingError(PayloadCodecError):
    """Personal data cannot be read: nothing is stored of its subject, not even that it is shredded.

    The keys were lost, or are kept in another database than the one that is asked.
    """

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"there is no key of the subject {subject!r}, and it was not shredded either: restore "
            "the table of the keys, or shred the subject to read markers"
        )
        self.subject = subject


class PersonalDataError(DomainError):
    """Personal data cannot be written."""


class SubjectShreddedError(PersonalDataError):
    """Personal data of a subject that was shredded; nothing was written."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"the personal data of {subject!r} was shredded, and no key will be made for it again: "
            "refuse the command, or use a new subject id for someone who comes back"
        )
        self.subject = subject


class SubjectMissingError(PersonalDataError):
    """Nobody can tell whose a personal value is."""

    def __init__(self, event_type: str, field: str, source: str) -> None:
        super().__init__(
            f"{event_type}.{field} is personal data, and {source} does not say whose: it has to "
            "be a text or a whole number"
        )
        self.event_type = event_type
        self.field = field


class PersonalDataDefinitionError(ConfigurationError):
    """Personal data is declared in a way that could not be protected, or not be read back."""
