"""Which codecs a payload goes through, and how that is written down with it."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadCodecError,
    PayloadTamperedError,
    UnencryptedPayloadError,
    UnknownPayloadCodecError,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_advanced_core.codecs.codec import IPayloadCodec, PayloadPlace

__all__ = ["PayloadCodecs"]

#: Encoded payloads begin with it, in format 1; 0xC0 is no part of any UTF-8 text.
_ENCODED: Final = b"\xc0\x01\xc0"
#: What is stored as it is: a JSON object, or one whose personal values are encrypted.
_PLAIN: Final = re.compile(rb'\xc0?\{[ \t\r\n]*["}]')
_CODEC_ID: Final = re.compile(r"[a-z0-9-]{1,32}")
_LONGEST_IDS: Final = 255
_CHECKSUM_BYTES: Final = 8


class PayloadCodecs:
    """Says through which codecs a payload goes, and undoes whatever one has gone through.

    Encoded bytes say how they were encoded, and a plain payload is JSON as ever: old and new
    payloads stand side by side, and the codecs may change at any time.

    An encoded payload is three bytes of format, the length of the list of codec ids and that
    list, the encoded bytes, and a checksum over all of it and its place. The checksum finds
    damage; only encryption also stops somebody who forges payloads on purpose.

    Args:
        default: The codecs of every type that has none of its own, in the order of encoding.
        per_type: The codecs of event and command types by name; an empty list leaves payloads
            plain.
        readable: Codecs that are only used to read what they once encoded.
        require_encryption: Refuse to read a payload in clear where the codecs of its type encrypt
            today. Without it, somebody who can write to the database can put a plain payload in
            the place of an encrypted one; with it, what was stored before encryption is refused.

    Raises:
        ConfigurationError: Two codecs of one chain have the same id, or one follows encryption.
    """

    def __init__(
        self,
        default: Sequence[IPayloadCodec] = (),
        *,
        per_type: Mapping[str, Sequence[IPayloadCodec]] | None = None,
        readable: Iterable[IPayloadCodec] = (),
        require_encryption: bool = False,
    ) -> None:
        self._default = tuple(default)
        self._per_type = {name: tuple(chain) for name, chain in (per_type or {}).items()}
        self._require_encryption = require_encryption
        chains = (self._default, *self._per_type.values())
        for chain in chains:
            _check_chain(chain)
        codecs = [*readable, *(codec for chain in reversed(chains) for codec in chain)]
        self._readers = {codec.codec_id: codec for codec in codecs}

    def encode(self, payload: bytes, place: PayloadPlace) -> bytes:
        """Return what is stored of a payload.

        Raises:
            PayloadCodecError: It is too large to be decoded again.
        """
        try:
            return self._encode(payload, place)
        except PayloadCodecError as error:
            error.place = str(place)
            raise

    def decode(self, stored: bytes, place: PayloadPlace) -> bytes:
        """Return the payload of what is stored, byte for byte.

        Raises:
            UnknownPayloadCodecError: None of the codecs here has encoded it.
            UnknownEncryptionKeyError: It was encrypted with a key that is not in the ring.
            PayloadTamperedError: It is not what was written for this place.
            PayloadTooLargeError: It is larger than a codec allows.
            UnencryptedPayloadError: It is not encrypted, and has to be.
        """
        try:
            return self._decode(stored, place)
        except PayloadCodecError as error:
            error.place = str(place)
            raise

    def _encode(self, payload: bytes, place: PayloadPlace) -> bytes:
        chain = self._chain(place)
        if not chain and _PLAIN.match(payload):
            return payload
        where, ids, data = place.to_bytes(), "", payload
        for codec in chain:
            next_ids = f"{ids},{codec.codec_id}" if ids else codec.codec_id
            encoded = codec.encode(data, _header(next_ids) + where)
            if encoded is not None:
                ids, data = next_ids, encoded
        if not ids and _PLAIN.match(payload):
            return payload
        header = _header(ids)
        return header + data + _checksum(header, where, data)

    def _decode(self, stored: bytes, place: PayloadPlace) -> bytes:
        if _PLAIN.match(stored):
            self._check_encryption(place, ())
            return stored
        where = place.to_bytes()
        ids, data = _split(stored, where)
        readers = [self._reader(codec_id, place) for codec_id in ids]
        self._check_encryption(place, readers)
        for count in range(len(ids), 0, -1):
            header = _header(",".join(ids[:count]))
            data = readers[count - 1].decode(data, header + where)
        return data

    def _chain(self, place: PayloadPlace) -> tuple[IPayloadCodec, ...]:
        return self._per_type.get(place.type_name, self._default)

    def _reader(self, codec_id: str, place: PayloadPlace) -> IPayloadCodec:
        # A type may have the same codec with keys or limits of its own.
        for codec in self._chain(place):
            if codec.codec_id == codec_id:
                return codec
        try:
            return self._readers[codec_id]
        except KeyError:
            raise UnknownPayloadCodecError(codec_id) from None

    def _check_encryption(self, place: PayloadPlace, codecs: Iterable[IPayloadCodec]) -> None:
        if not self._require_encryption or any(codec.encrypts for codec in codecs):
            return
        if any(codec.encrypts for codec in self._chain(place)):
            msg = (
                "it is not encrypted, and require_encryption refuses that; leave it out if there "
                "are payloads from before encryption"
            )
            raise UnencryptedPayloadError(msg)


def _check_chain(chain: Sequence[IPayloadCodec]) -> None:
    ids = [codec.codec_id for codec in chain]
    is_valid = len(set(ids)) == len(ids) and all(map(_CODEC_ID.fullmatch, ids))
    if not is_valid or len(",".join(ids)) > _LONGEST_IDS:
        msg = f"codec ids are few, different, and of the characters a-z 0-9 -; these are {ids}"
        raise ConfigurationError(msg)
    if any(codec.encrypts for codec in chain[:-1]):
        msg = f"encryption comes last, for encrypted bytes cannot be compressed: {ids}"
        raise ConfigurationError(msg)


def _header(ids: str) -> bytes:
    return _ENCODED + bytes([len(ids)]) + ids.encode()


def _split(stored: bytes, where: bytes) -> tuple[list[str], bytes]:
    """Return the codec ids and the encoded bytes."""
    start = len(_ENCODED) + 1
    if not stored.startswith(_ENCODED) or len(stored) < start + _CHECKSUM_BYTES:
        msg = "it is neither a JSON object nor encoded in a known format"
        raise PayloadTamperedError(msg)
    end = start + stored[start - 1]
    header, data = stored[:end], stored[end:-_CHECKSUM_BYTES]
    if stored[-_CHECKSUM_BYTES:] != _checksum(header, where, data):
        msg = "it was changed, or written for another place"
        raise PayloadTamperedError(msg)
    ids = header[start:].decode("ascii", "replace")
    return ids.split(",") if ids else [], data


def _checksum(header: bytes, where: bytes, data: bytes) -> bytes:
    return blake2b(header + where + data, digest_size=_CHECKSUM_BYTES).digest()
