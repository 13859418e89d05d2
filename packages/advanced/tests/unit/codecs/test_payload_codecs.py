"""Payload codecs give back exactly what they were given, or say why they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    IPayloadCodec,
    KeyRing,
    PayloadCodecs,
    PayloadPlace,
    ZstdCodec,
)
from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadCodecError,
    PayloadTamperedError,
    UnencryptedPayloadError,
    UnknownEncryptionKeyError,
    UnknownPayloadCodecError,
)
from cqrs_ddd_advanced_core.codecs.payload_codecs import _checksum, _header
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import new_event, new_message

OLD, NEW = KeyRing.generate_key(), KeyRing.generate_key()
RING = KeyRing({"2025": OLD, "2026": NEW})
ZSTD, AES = ZstdCodec(min_size=32), AesGcmCodec(RING)
CHAINS: list[list[IPayloadCodec]] = [[], [ZSTD], [AES], [ZSTD, AES]]
PLACE = PayloadPlace("stream", "", ("Order", "o-1"), "Placed", 1, UUID(int=7))
JSON = b'{"customer": "anna", "lines": "' + b"abc" * 100 + b'"}'


class Reversed(IPayloadCodec):
    """A codec of a user's own."""

    codec_id = "reversed"
    encrypts = False

    def encode(self, data: bytes, associated: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes, associated: bytes) -> bytes:
        return data[::-1]


places = st.builds(
    PayloadPlace,
    st.sampled_from(["stream", "event", "command"]),
    st.text(max_size=5),
    st.tuples(st.text(max_size=5), st.text(max_size=5)),
    st.text(max_size=5),
    st.integers(1, 9),
    st.uuids(),
)
payloads = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=20).map(lambda part: part * 40),
    st.binary(max_size=20).map(lambda part: b'{"' + part),
    st.binary(max_size=20).map(lambda part: b"\xc0\x01\xc0" + part),
    st.binary(max_size=20).map(lambda part: b"\xc0{" + part),
)
chains = st.sampled_from([*CHAINS, [Reversed(), ZSTD, AES], [ZSTD, Reversed()]])


@given(payloads, chains, places)
def test_what_was_encoded_is_decoded_exactly(
    payload: bytes, chain: list[IPayloadCodec], place: PayloadPlace
) -> None:
    codecs = PayloadCodecs(chain)
    assert codecs.decode(codecs.encode(payload, place), place) == payload


@given(st.data(), payloads, chains.filter(bool))
def test_a_changed_byte_is_an_error_and_never_another_payload(
    data: st.DataObject, payload: bytes, chain: list[IPayloadCodec]
) -> None:
    codecs = PayloadCodecs(chain)
    stored = bytearray(codecs.encode(payload, PLACE))
    if stored == payload:
        return
    index = data.draw(st.integers(0, len(stored) - 1))
    stored[index] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PayloadCodecError):
        codecs.decode(bytes(stored), PLACE)


def test_every_changed_byte_of_an_encrypted_payload_is_noticed() -> None:
    codecs = PayloadCodecs([ZSTD, AES])
    stored = codecs.encode(JSON, PLACE)
    for index in range(len(stored)):
        for bit in range(8):
            changed = bytearray(stored)
            changed[index] ^= 1 << bit
            with pytest.raises(PayloadCodecError):
                codecs.decode(bytes(changed), PLACE)


@given(st.integers(0, 400), chains.filter(bool))
def test_a_cut_payload_is_an_error(length: int, chain: list[IPayloadCodec]) -> None:
    codecs = PayloadCodecs(chain)
    stored = codecs.encode(JSON, PLACE)
    if length < len(stored):
        with pytest.raises(PayloadCodecError):
            codecs.decode(stored[:length], PLACE)


@pytest.mark.parametrize("chain", CHAINS[1:], ids=["zstd", "aes-gcm", "both"])
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"kind": "event"},
        {"tenant_id": "other"},
        {"owner": ("Order", "o-2")},
        {"owner": ("Ordero", "-1")},
        {"type_name": "Shipped"},
        {"schema_version": 2},
        {"message_id": UUID(int=8)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_payload_is_read_in_its_own_place_only(
    chain: list[IPayloadCodec], elsewhere: dict[str, Any]
) -> None:
    codecs = PayloadCodecs(chain)
    stored = codecs.encode(JSON, PLACE)
    with pytest.raises(PayloadTamperedError, match="another place"):
        codecs.decode(stored, PLACE._replace(**elsewhere))


def test_encryption_alone_notices_what_was_moved_or_forged_with_a_fitting_checksum() -> None:
    codecs, other = PayloadCodecs([ZSTD, AES]), PLACE._replace(owner=("Order", "o-2"))
    header = _header("zstd,aes-gcm")
    body = codecs.encode(JSON, PLACE)[len(header) : -8]
    moved = header + body + _checksum(header, other.to_bytes(), body)
    with pytest.raises(PayloadTamperedError, match="another place or with another key"):
        codecs.decode(moved, other)
    only = _header("aes-gcm")
    relabelled = only + body + _checksum(only, PLACE.to_bytes(), body)
    with pytest.raises(PayloadTamperedError):
        codecs.decode(relabelled, PLACE)


def test_plain_and_encoded_payloads_stand_side_by_side() -> None:
    encrypted, compressed = PayloadCodecs([ZSTD, AES]), PayloadCodecs([ZSTD])
    for stored in (JSON, encrypted.encode(JSON, PLACE), compressed.encode(JSON, PLACE)):
        assert encrypted.decode(stored, PLACE) == JSON


def test_a_plain_payload_is_stored_as_it_is() -> None:
    for payload in (b"{}", b'{"a": 1}', b'{ \n"a": 1}'):
        assert PayloadCodecs().encode(payload, PLACE) is payload
        assert PayloadCodecs().decode(payload, PLACE) is payload


def test_what_is_neither_json_nor_encoded_is_refused() -> None:
    for stored in (b"", b"[]", b"{1", b"\xc0\x02", b"\xc0\x01\xc0", b"{broken"):
        with pytest.raises(PayloadTamperedError, match="neither a JSON object nor encoded"):
            PayloadCodecs().decode(stored, PLACE)


def test_each_type_has_the_chain_it_is_given() -> None:
    codecs = PayloadCodecs([ZSTD, AES], per_type={"Open": [], "Small": [ZSTD]})
    assert codecs.encode(JSON, PLACE._replace(type_name="Open")) == JSON
    small = codecs.encode(JSON, PLACE._replace(type_name="Small"))
    assert small.startswith(b"\xc0\x01\xc0\x04zstd")
    assert codecs.encode(JSON, PLACE).startswith(b"\xc0\x01\xc0\x0czstd,aes-gcm")


def test_a_type_may_have_keys_of_its_own() -> None:
    own = KeyRing({"2026": KeyRing.generate_key()})
    codecs = PayloadCodecs([AES], per_type={"Secret": [AesGcmCodec(own)]})
    secret = PLACE._replace(type_name="Secret")
    for place in (PLACE, secret):
        assert codecs.decode(codecs.encode(JSON, place), place) == JSON
    assert PayloadCodecs([AesGcmCodec(own)]).decode(codecs.encode(JSON, secret), secret) == JSON


def test_a_codec_no_longer_in_use_is_still_read_if_it_is_known() -> None:
    stored = PayloadCodecs([ZSTD, AES]).encode(JSON, PLACE)
    assert PayloadCodecs(readable=[ZSTD, AES]).decode(stored, PLACE) == JSON
    with pytest.raises(UnknownPayloadCodecError, match=r"'zstd'.*readable") as caught:
        PayloadCodecs([AES]).decode(stored, PLACE)
    assert caught.value.codec_id == "zstd"
    assert "the payload of Placed" in str(caught.value)


def test_old_keys_decrypt_and_the_newest_encrypts() -> None:
    before = PayloadCodecs([AesGcmCodec(KeyRing({"2025": OLD}))])
    after = PayloadCodecs([AES])
    old = before.encode(JSON, PLACE)
    assert after.decode(old, PLACE) == JSON
    assert b"\x042025" in old
    assert b"\x042026" in after.encode(JSON, PLACE)


def test_a_key_that_is_missing_is_named() -> None:
    stored = PayloadCodecs([AES]).encode(JSON, PLACE)
    with pytest.raises(UnknownEncryptionKeyError, match=r"'2026'.*'2025'") as caught:
        PayloadCodecs([AesGcmCodec(KeyRing({"2025": OLD}))]).decode(stored, PLACE)
    assert (caught.value.key_id, caught.value.known) == ("2026", ("2025",))


def test_another_key_under_the_same_id_is_an_error() -> None:
    stored = PayloadCodecs([AES]).encode(JSON, PLACE)
    wrong = KeyRing({"2026": KeyRing.generate_key()})
    with pytest.raises(PayloadTamperedError, match="another key"):
        PayloadCodecs([AesGcmCodec(wrong)]).decode(stored, PLACE)


def test_no_two_encryptions_are_the_same() -> None:
    codecs = PayloadCodecs([AES])
    assert len({codecs.encode(JSON, PLACE) for _ in range(100)}) == 100


def test_payloads_in_clear_are_refused_where_encryption_is_required() -> None:
    codecs = PayloadCodecs([ZSTD, AES], per_type={"Open": [ZSTD]}, require_encryption=True)
    assert codecs.decode(codecs.encode(JSON, PLACE), PLACE) == JSON
    for stored in (JSON, PayloadCodecs([ZSTD]).encode(JSON, PLACE)):
        with pytest.raises(UnencryptedPayloadError):
            codecs.decode(stored, PLACE)
    assert codecs.decode(JSON, PLACE._replace(type_name="Open")) == JSON


def test_a_chain_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="encryption comes last"):
        PayloadCodecs([AES, ZSTD])
    with pytest.raises(ConfigurationError, match="different"):
        PayloadCodecs(per_type={"Placed": [ZSTD, ZstdCodec()]})


def test_events_messages_and_commands_have_places_of_their_own() -> None:
    event, message = new_event(), new_message("Order-o-1")
    with message_context(tenant_id="a"):
        in_stream = PayloadPlace.in_stream(StreamId("Order", "o-1"), event)
    assert (in_stream.tenant_id, in_stream.aggregate_id) == ("a", "o-1")
    in_outbox = PayloadPlace.in_outbox(message)
    assert (in_outbox.kind, in_outbox.is_event, in_outbox.aggregate_id) == ("event", True, "o-1")
    lonely = replace(message, stream=str(message.message_id))
    assert PayloadPlace.in_outbox(lonely).aggregate_id is None
    assert PayloadPlace.in_outbox(replace(message, stream="orders")).aggregate_id is None
    dashed = StreamId("sales-order", "o-1")
    assert PayloadPlace.in_stream(dashed, event).aggregate_id == "o-1"
    assert PayloadPlace.in_outbox(new_message(str(dashed))).aggregate_id == "o-1"


class TestKeyRing:
    def test_the_last_key_encrypts_unless_another_one_is_named(self) -> None:
        assert RING.current_key_id == "2026"
        staged = KeyRing({"2025": OLD, "2026": NEW}, current="2025")
        assert staged.current_key_id == "2025"
        assert RING.decrypt(staged.encrypt(b"text", b"here"), b"here") == b"text"

    def test_keys_are_never_shown(self) -> None:
        assert repr(RING) == "KeyRing(2025, 2026; current 2026)"

    @pytest.mark.parametrize(
        "keys, current",
        [
            ({}, None),
            ({"a": b"short"}, None),
            ({"a": bytes(32)}, "b"),
            ({"": bytes(32)}, None),
            ({"a b": bytes(32)}, None),
            ({"x" * 65: bytes(32)}, None),
        ],
        ids=["empty", "short key", "unknown current", "no id", "bad id", "long id"],
    )
    def test_a_ring_that_cannot_work_is_refused(
        self, keys: dict[str, bytes], current: str | None
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            KeyRing(keys, current=current)
        assert "short" not in str(caught.value)

    @pytest.mark.parametrize(
        "sealed", [b"", b"\x00", b"\xff2026", b"\x042026", b"\x04\xff\xff\xff\xff"]
    )
    def test_what_it_never_encrypted_is_refused(self, sealed: bytes) -> None:
        with pytest.raises(PayloadTamperedError):
            RING.decrypt(sealed, b"")
