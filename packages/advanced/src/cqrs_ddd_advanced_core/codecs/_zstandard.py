"""Zstandard frames, from the library ``zstandard``."""

from __future__ import annotations

import threading
from typing import Final

from cqrs_ddd_advanced_core.codecs.exceptions import PayloadTamperedError, PayloadTooLargeError
from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    import zstandard
except ImportError as error:
    raise MissingExtraError("compression", "cqrs-ddd-advanced-core", "zstd") from error

__all__ = ["Zstandard"]

_UNKNOWN_SIZE: Final = zstandard.CONTENTSIZE_UNKNOWN


class Zstandard(threading.local):
    """Compresses and decompresses; each thread has its own, for they cannot be shared.

    Args:
        level: How hard it tries.
        max_size: How many bytes may come out of decompression.
    """

    def __init__(self, level: int, max_size: int) -> None:
        self._max_size = max_size
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, data: bytes) -> bytes:
        """Return a frame that says the size of its content."""
        return self._compressor.compress(data)

    def decompress(self, frame: bytes) -> bytes:
        """Return the content of a frame, without ever holding more than allowed.

        Raises:
            PayloadTooLargeError: The content is larger than that.
            PayloadTamperedError: It is no whole frame.
        """
        try:
            # Checked by hand: the library obeys a size in the frame and not its own limit.
            size = zstandard.get_frame_parameters(frame).content_size
            if size == _UNKNOWN_SIZE or size > self._max_size:
                raise PayloadTooLargeError(None if size == _UNKNOWN_SIZE else size, self._max_size)
            return self._decompressor.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as error:
            msg = f"it cannot be decompressed: {error}"
            raise PayloadTamperedError(msg) from error
