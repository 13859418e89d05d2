"""Compression makes payloads smaller, and never a process larger."""

from __future__ import annotations

import asyncio

import pytest
import zstandard

from cqrs_ddd_advanced_core.codecs import ZstdCodec
from cqrs_ddd_advanced_core.codecs.exceptions import PayloadTamperedError, PayloadTooLargeError
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

TEXT = b'{"text": "' + b"again and " * 1000 + b'"}'


def test_a_large_payload_becomes_smaller() -> None:
    codec = ZstdCodec()
    encoded = codec.encode(TEXT, b"")
    assert encoded is not None
    assert len(encoded) < len(TEXT) / 50
    assert codec.decode(encoded, b"") == TEXT


def test_a_small_payload_is_left_alone() -> None:
    codec = ZstdCodec(min_size=100)
    assert codec.encode(b"a" * 99, b"") is None
    assert codec.encode(b"a" * 100, b"") is not None


def test_what_does_not_become_smaller_is_left_alone() -> None:
    assert ZstdCodec(min_size=0).encode(bytes(range(256)), b"") is None
    assert ZstdCodec(min_size=0).encode(b"", b"") is None


def test_a_payload_above_the_limit_is_refused_before_it_is_written() -> None:
    with pytest.raises(PayloadTooLargeError, match=r"1,025 bytes.*1,024 bytes") as caught:
        ZstdCodec(max_size=1024).encode(b"x" * 1025, b"")
    assert (caught.value.size, caught.value.limit) == (1025, 1024)
    assert ZstdCodec(max_size=1024).encode(b"x" * 1024, b"") is not None


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = zstandard.compress(bytes(100_000_000))
    assert len(bomb) < 10_000
    with pytest.raises(PayloadTooLargeError):
        ZstdCodec(max_size=1024 * 1024).decode(bomb, b"")


def test_a_bomb_that_hides_its_size_is_refused() -> None:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = stream.compress(bytes(10_000_000)) + stream.flush()
    with pytest.raises(PayloadTooLargeError, match="does not tell"):
        ZstdCodec(max_size=1024 * 1024).decode(bomb, b"")


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    honest = zstandard.compress(bytes(10_000_000))
    parameters = zstandard.get_frame_parameters(honest)
    assert parameters.content_size == 10_000_000
    lying = honest.replace((10_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"), 1)
    assert zstandard.get_frame_parameters(lying).content_size == 1000
    with pytest.raises(PayloadTamperedError):
        ZstdCodec(max_size=1024).decode(lying, b"")


@pytest.mark.parametrize("frame", [b"", b"no frame at all", zstandard.compress(TEXT)[:-5]])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(PayloadTamperedError):
        ZstdCodec().decode(frame, b"")


def test_bytes_behind_a_frame_are_refused() -> None:
    with pytest.raises(PayloadTamperedError):
        ZstdCodec().decode(zstandard.compress(TEXT) + b"more", b"")


@pytest.mark.parametrize(
    "arguments", [{"min_size": -1}, {"level": 0}, {"min_size": 9, "max_size": 8}]
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        ZstdCodec(**arguments)


async def test_threads_may_share_a_codec() -> None:
    codec = ZstdCodec(min_size=0)
    texts = [f"{number} ".encode() * 5000 for number in range(16)]

    def round_trip(text: bytes) -> bytes:
        for _ in range(20):
            encoded = codec.encode(text, b"")
            assert encoded is not None
            text = codec.decode(encoded, b"")
        return text

    assert await asyncio.gather(*(asyncio.to_thread(round_trip, text) for text in texts)) == texts
