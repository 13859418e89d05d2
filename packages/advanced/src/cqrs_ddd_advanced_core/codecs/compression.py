"""Payloads compressed."""

from __future__ import annotations

from cqrs_ddd_advanced_core.codecs.codec import IPayloadCodec
from cqrs_ddd_advanced_core.codecs.exceptions import PayloadTooLargeError
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError

try:
    from cqrs_ddd_advanced_core.codecs._zstandard import Zstandard
except MissingExtraError as _error:
    _missing: MissingExtraError | None = _error
else:
    _missing = None

__all__ = ["ZstdCodec"]


class ZstdCodec(IPayloadCodec):
    """Compresses payloads (Zstandard, RFC 8878) where it makes them smaller.

    Args:
        min_size: Payloads below so many bytes are left alone: there is little to gain.
        level: 1 is fastest, 22 smallest.
        max_size: A payload larger than so many bytes is refused, before it is written and before
            it is decompressed, so that a forged one cannot fill the memory.

    Raises:
        ConfigurationError: A number is out of range.
        MissingExtraError: The extra ``zstd`` is not installed.
    """

    def __init__(
        self, *, min_size: int = 256, level: int = 3, max_size: int = 64 * 1024 * 1024
    ) -> None:
        if _missing is not None:
            raise _missing
        if not (0 <= min_size <= max_size and 1 <= level <= 22):
            msg = "zstd needs 0 <= min_size <= max_size and a level from 1 to 22"
            raise ConfigurationError(msg)
        self._min_size = min_size
        self._max_size = max_size
        self._zstandard = Zstandard(level, max_size)

    @property
    def codec_id(self) -> str:
        return "zstd"

    @property
    def encrypts(self) -> bool:
        return False

    def encode(self, data: bytes, associated: bytes) -> bytes | None:  # noqa: ARG002 - no secret
        if len(data) > self._max_size:
            raise PayloadTooLargeError(len(data), self._max_size)
        if len(data) < self._min_size:
            return None
        compressed = self._zstandard.compress(data)
        return compressed if len(compressed) < len(data) else None

    def decode(self, data: bytes, associated: bytes) -> bytes:  # noqa: ARG002 - no secret
        return self._zstandard.decompress(data)
