"""A message that cannot be decoded is set aside with its reason, and the others go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    EncodedOutboxStorage,
    KeyRing,
    PayloadCodecs,
    ZstdCodec,
)
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryOutboxStorage
from cqrs_ddd_core.ports.outbox import OutboxMessage, PendingMessage
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.testing.samples import new_message

OLD, NEW = KeyRing.generate_key(), KeyRing.generate_key()


class Outboxes:
    """The rows, and two processes: one knows the new key already."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.rows = InMemoryOutboxStorage(InMemoryDatabase(), clock=self.clock)
        self.old = self._encoded(KeyRing({"old": OLD}))
        self.new = self._encoded(KeyRing({"old": OLD, "new": NEW}))

    def _encoded(self, ring: KeyRing) -> EncodedOutboxStorage:
        codecs = PayloadCodecs([ZstdCodec(), AesGcmCodec(ring)])
        return EncodedOutboxStorage(self.rows, codecs, retry_seconds=60)

    async def claim(self, storage: EncodedOutboxStorage) -> list[OutboxMessage]:
        leases = await storage.lease_partitions("relay", seconds=3600)
        return [item.message for item in await storage.claim_pending(leases)]

    async def parked(self) -> list[PendingMessage]:
        return await self.old.list_parked()


@pytest.fixture
def outboxes() -> Outboxes:
    return Outboxes()


async def test_a_tampered_message_is_parked_and_holds_back_only_its_stream(
    outboxes: Outboxes,
) -> None:
    before, behind = new_message("Order-1"), new_message("Order-1")
    other = new_message("Order-2")
    await outboxes.old.save_messages([before])
    tampered = new_message("Order-1", payload=b"\xc0\x01\xc0\x00 whatever")
    await outboxes.rows.save_messages([tampered])
    await outboxes.old.save_messages([behind, other])
    assert await outboxes.claim(outboxes.old) == [before, other]
    [parked] = await outboxes.parked()
    assert parked.message == tampered
    assert parked.error is not None
    assert parked.error.startswith("PayloadTamperedError: the payload of SampleOrderPlaced")
    await outboxes.old.discard_parked([parked.sequence])
    assert behind in await outboxes.claim(outboxes.old)


async def test_a_key_not_known_yet_is_waited_for(outboxes: Outboxes) -> None:
    """While keys are rotated, processes with the old ring go on."""
    first, second = new_message("Order-1"), new_message("Order-1")
    other = new_message("Order-2")
    await outboxes.new.save_messages([first])
    await outboxes.old.save_messages([second, other])
    assert await outboxes.claim(outboxes.old) == [other]
    assert await outboxes.parked() == []
    assert await outboxes.claim(outboxes.new) == [other]
    outboxes.clock.advance(61)
    assert first in await outboxes.claim(outboxes.new)


async def test_messages_from_before_encryption_are_handed_out(outboxes: Outboxes) -> None:
    message = new_message()
    await outboxes.rows.save_messages([message])
    assert await outboxes.claim(outboxes.old) == [message]


async def test_parked_messages_are_listed_in_clear(outboxes: Outboxes) -> None:
    message = new_message()
    await outboxes.old.save_messages([message])
    leases = await outboxes.old.lease_partitions("relay", seconds=60)
    [claimed] = await outboxes.old.claim_pending(leases)
    await outboxes.old.mark_failed(leases, claimed.sequence, error="no", retry_in=None)
    assert [item.message for item in await outboxes.parked()] == [message]


async def test_commands_of_a_type_may_be_left_plain(outboxes: Outboxes) -> None:
    codecs = PayloadCodecs([AesGcmCodec(KeyRing({"k": OLD}))], per_type={"Open": []})
    storage = EncodedOutboxStorage(outboxes.rows, codecs)
    secret = new_message("Order-1")
    plain = replace(new_message("Order-2"), message_type="Open")
    await storage.save_messages([secret, plain])
    leases = await storage.lease_partitions("relay", seconds=60)
    stored = {
        item.message.stream: item.message for item in await outboxes.rows.claim_pending(leases)
    }
    assert stored["Order-2"] == plain
    assert stored["Order-1"].payload.startswith(b"\xc0\x01\xc0\x07aes-gcm")
