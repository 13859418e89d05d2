"""Payloads encrypted as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.codecs.codec import IPayloadCodec

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.codecs.key_ring import KeyRing

__all__ = ["AesGcmCodec"]


class AesGcmCodec(IPayloadCodec):
    """Encrypts payloads with a master key (AES-256-GCM).

    A payload that was changed, or moved to another event, stream or tenant, is refused. The
    length of a payload can still be seen.

    Args:
        key_ring: The key that encrypts, and those that decrypt what older ones did.
    """

    def __init__(self, key_ring: KeyRing) -> None:
        self._keys = key_ring

    @property
    def codec_id(self) -> str:
        return "aes-gcm"

    @property
    def encrypts(self) -> bool:
        return True

    def encode(self, data: bytes, associated: bytes) -> bytes:
        return self._keys.encrypt(data, associated)

    def decode(self, data: bytes, associated: bytes) -> bytes:
        return self._keys.decrypt(data, associated)
