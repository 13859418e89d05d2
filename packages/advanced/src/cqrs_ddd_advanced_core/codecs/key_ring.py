"""Master keys by id."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadTamperedError,
    UnknownEncryptionKeyError,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

try:
    from cqrs_ddd_advanced_core.codecs._aes_gcm import Cipher
except MissingExtraError as _error:
    _missing: MissingExtraError | None = _error
else:
    _missing = None

__all__ = ["KeyRing"]

_KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class KeyRing:
    """Master keys by id: one encrypts, all of them decrypt (AES-256-GCM).

    What it encrypts says the id of its key. To rotate, first give every process a ring that has
    the new key but ``current`` still the old one, then a ring where the new one is current; an
    old key stays in the ring for as long as something is stored that it encrypted. One key may
    encrypt about four billion times (2^32, NIST SP 800-38D), then a new one has to follow.

    Args:
        keys: 32 random bytes per id, such as ``KeyRing.generate_key()`` makes; oldest first.
        current: The id of the key that encrypts; the last one when not given.

    Raises:
        ConfigurationError: There is no key, an id or key is malformed, or ``current`` is unknown.
        MissingExtraError: The extra ``encryption`` is not installed.
    """

    def __init__(self, keys: Mapping[str, bytes], *, current: str | None = None) -> None:
        if _missing is not None:
            raise _missing
        for key_id, key in keys.items():
            _check_key(key_id, key)
        if not keys or current not in {None, *keys}:
            msg = f"a key ring needs a key to encrypt with; {current!r} is none of {list(keys)}"
            raise ConfigurationError(msg)
        self._current = list(keys)[-1] if current is None else current
        self._ciphers = {key_id: Cipher(key) for key_id, key in keys.items()}

    @staticmethod
    def generate_key() -> bytes:
        """Return a new random key. Keep it where secrets are kept: without it, all is lost."""
        return secrets.token_bytes(_KEY_BYTES)

    @property
    def current_key_id(self) -> str:
        """The id of the key that encrypts."""
        return self._current

    def encrypt(self, data: bytes, associated: bytes) -> bytes:
        """Encrypt with the current key; the result begins with its id."""
        key_id = self._current.encode()
        return (
            bytes([len(key_id)]) + key_id + self._ciphers[self._current].encrypt(data, associated)
        )

    def decrypt(self, sealed: bytes, associated: bytes) -> bytes:
        """Return what was encrypted with any key of the ring.

        Raises:
            UnknownEncryptionKeyError: The ring has no such key.
            PayloadTamperedError: It is not what was encrypted with that associated data.
        """
        end = 1 + sealed[0] if sealed else 0
        key_id = sealed[1:end].decode("ascii", "replace")
        if not _KEY_ID.fullmatch(key_id):
            msg = "it has no key id where one should be"
            raise PayloadTamperedError(msg)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnknownEncryptionKeyError(key_id, self._ciphers)
        return cipher.decrypt(sealed[end:], associated)

    def wrap_new_key(self, associated: bytes) -> bytes:
        """Make a new key and return it encrypted with the current one."""
        return self.encrypt(self.generate_key(), associated)

    def unwrap_key(self, wrapped: bytes, associated: bytes) -> Cipher:
        """Return the cipher of a key that was wrapped.

        Raises:
            UnknownEncryptionKeyError: The ring has not the key it was wrapped with.
            PayloadTamperedError: It is not what was wrapped with that associated data.
        """
        return Cipher(self.decrypt(wrapped, associated))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._ciphers)}; current {self._current})"


def _check_key(key_id: str, key: bytes) -> None:
    if not _KEY_ID.fullmatch(key_id):
        msg = f"the key id {key_id!r} has to be 1 to 64 of the characters A-Z a-z 0-9 . _ -"
        raise ConfigurationError(msg)
    if len(key) != _KEY_BYTES:
        msg = (
            f"the key {key_id!r} has {len(key)} bytes and not {_KEY_BYTES}: make one with "
            "KeyRing.generate_key()"
        )
        raise ConfigurationError(msg)
