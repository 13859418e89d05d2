"""What happens to payloads between the application and a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.codecs._sealed_payload import is_sealed
from cqrs_ddd_advanced_core.codecs.exceptions import PayloadCodecError
from cqrs_ddd_advanced_core.codecs.payload_codecs import PayloadCodecs
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace
    from cqrs_ddd_advanced_core.codecs.personal_data_codec import PersonalDataCodec

__all__ = ["PayloadBoundary"]


class PayloadBoundary:
    """Encrypts personal values, then encodes the whole; and back.

    Args:
        codecs: What encodes whole payloads; nothing when not given.
        personal_data: What encrypts personal values; nothing when not given.
    """

    def __init__(
        self, codecs: PayloadCodecs | None, personal_data: PersonalDataCodec | None
    ) -> None:
        self._codecs = codecs or PayloadCodecs()
        self._personal_data = personal_data

    @property
    def personal_data(self) -> PersonalDataCodec:
        """What encrypts personal values.

        Raises:
            ConfigurationError: It was not given.
        """
        if self._personal_data is None:
            msg = "personal data needs a codec: give the store personal_data=PersonalDataCodec(...)"
            raise ConfigurationError(msg)
        return self._personal_data

    async def encode(
        self, payloads: Sequence[bytes], places: Sequence[PayloadPlace]
    ) -> list[bytes]:
        """Return what is stored of payloads.

        Raises:
            PersonalDataError: Personal data cannot be written.
            PayloadCodecError: A payload could not be decoded again.
        """
        if self._personal_data is not None:
            payloads = await self._personal_data.protect(payloads, places)
        return [self._codecs.encode(*item) for item in zip(payloads, places, strict=True)]

    async def decode(self, stored: Sequence[bytes], places: Sequence[PayloadPlace]) -> list[bytes]:
        """Return the payloads of what is stored.

        Raises:
            PayloadCodecError: One of them cannot be decoded.
        """
        return list(_all_decoded(await self.try_decode(stored, places)))

    async def try_decode(
        self, stored: Sequence[bytes], places: Sequence[PayloadPlace]
    ) -> list[bytes | PayloadCodecError]:
        """Return the payloads of what is stored, and why where one cannot be decoded."""
        decoded = [self._try(*item) for item in zip(stored, places, strict=True)]
        if any(isinstance(payload, bytes) and is_sealed(payload) for payload in decoded):
            decoded = await self.personal_data.reveal(decoded, places)
        for payload, place in zip(decoded, places, strict=True):
            if isinstance(payload, PayloadCodecError):
                payload.place = str(place)
        return decoded

    def decode_sealed(self, stored: bytes, place: PayloadPlace) -> bytes:
        """Return a payload whose personal values are still encrypted.

        Raises:
            PayloadCodecError: It cannot be decoded.
        """
        return self._codecs.decode(stored, place)

    def _try(self, stored: bytes, place: PayloadPlace) -> bytes | PayloadCodecError:
        try:
            return self._codecs.decode(stored, place)
        except PayloadCodecError as error:
            return error


def _all_decoded(decoded: Sequence[bytes | PayloadCodecError]) -> Iterator[bytes]:
    for payload in decoded:
        if isinstance(payload, PayloadCodecError):
            raise payload
        yield payload
