"""AES-GCM, from the library ``cryptography``."""

from __future__ import annotations

from os import urandom
from typing import Final

from cqrs_ddd_advanced_core.codecs.exceptions import PayloadTamperedError
from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    raise MissingExtraError("encryption", "cqrs-ddd-advanced-core", "encryption") from error

__all__ = ["Cipher"]

#: Bytes of a nonce, NIST SP 800-38D; a random one for each encryption.
_NONCE: Final = 12


class Cipher:
    """One key of AES-256 in Galois/counter mode.

    Args:
        key: 32 random bytes.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, data: bytes, associated: bytes) -> bytes:
        """Return the nonce, the encrypted data and the tag.

        Args:
            data: What nobody may read.
            associated: What has to be given again for decryption; it is not part of the result.
        """
        nonce = urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, data, associated)

    def decrypt(self, sealed: bytes, associated: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            PayloadTamperedError: A byte of it, the associated data or the key is another one.
        """
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], associated)
        except (InvalidTag, ValueError) as error:
            reason = "it was changed, or encrypted for another place or with another key"
            raise PayloadTamperedError(reason) from error
