"""An outbox whose rows hold encoded payloads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.codecs._boundary import PayloadBoundary
from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace
from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadCodecError,
    UnknownEncryptionKeyError,
    UnknownPayloadCodecError,
)
from cqrs_ddd_core.ports.outbox import IOutboxStorage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from cqrs_ddd_advanced_core.codecs.payload_codecs import PayloadCodecs
    from cqrs_ddd_advanced_core.codecs.personal_data_codec import PersonalDataCodec
    from cqrs_ddd_core.ports.outbox import (
        OutboxBacklog,
        OutboxMessage,
        OutboxPartition,
        PendingMessage,
    )

__all__ = ["EncodedOutboxStorage"]

#: What another process may know already, and this one after its next deployment.
_UNKNOWN: Final = (UnknownEncryptionKeyError, UnknownPayloadCodecError)


class EncodedOutboxStorage(IOutboxStorage):
    """Compresses and encrypts payloads while they wait in an outbox; relays see them in clear.

    It keeps every promise of the outbox it wraps. A message that cannot be decoded is never
    handed out: it is parked with the reason, or, when only its key or codec is unknown here,
    tried again later. Its stream waits behind it, other streams go on.

    Args:
        storage: Where the messages are.
        codecs: What whole payloads go through; nothing when not given.
        personal_data: What encrypts the personal values of events; nothing when not given.
        retry_seconds: After how many seconds a message whose key or codec is unknown is claimed
            again.
    """

    def __init__(
        self,
        storage: IOutboxStorage,
        codecs: PayloadCodecs | None = None,
        *,
        personal_data: PersonalDataCodec | None = None,
        retry_seconds: float = 60.0,
    ) -> None:
        self._storage = storage
        self._boundary = PayloadBoundary(codecs, personal_data)
        self._retry_seconds = retry_seconds

    @property
    def partitions(self) -> int:
        return self._storage.partitions

    async def save_messages(self, messages: Sequence[OutboxMessage]) -> None:
        """Add messages, as the port says.

        Raises:
            SubjectShreddedError: The subject of a personal value was shredded.
            PersonalDataError: Personal data cannot be written for another reason.
            PayloadCodecError: A payload is too large to be decoded again.
        """
        encoded = await self._boundary.encode(
            [message.payload for message in messages],
            [PayloadPlace.in_outbox(message) for message in messages],
        )
        rows = [
            message if payload is message.payload else replace(message, payload=payload)
            for message, payload in zip(messages, encoded, strict=True)
        ]
        await self._storage.save_messages(rows)

    async def lease_partitions(
        self, owner: str, *, seconds: float, limit: int | None = None
    ) -> list[OutboxPartition]:
        return await self._storage.lease_partitions(owner, seconds=seconds, limit=limit)

    async def renew_partitions(
        self, leases: Collection[OutboxPartition], *, seconds: float
    ) -> list[OutboxPartition]:
        return await self._storage.renew_partitions(leases, seconds=seconds)

    async def release_partitions(self, owner: str) -> None:
        await self._storage.release_partitions(owner)

    async def claim_pending(
        self,
        leases: Collection[OutboxPartition],
        *,
        limit: int = 100,
        excluding: Collection[int] = (),
    ) -> list[PendingMessage]:
        claimed = await self._storage.claim_pending(leases, limit=limit, excluding=excluding)
        readable: list[PendingMessage] = []
        held: set[tuple[str, str]] = set()
        for item, payload in zip(claimed, await self._decode(claimed), strict=True):
            stream = item.message.tenant_id, item.message.stream
            if stream in held:
                continue
            if isinstance(payload, PayloadCodecError):
                held.add(stream)
                await self._set_aside(leases, item, payload)
            else:
                readable.append(_with_payload(item, payload))
        return readable

    async def _set_aside(
        self, leases: Collection[OutboxPartition], item: PendingMessage, error: PayloadCodecError
    ) -> None:
        retry_in = self._retry_seconds if isinstance(error, _UNKNOWN) else None
        await self._storage.mark_failed(
            leases, item.sequence, error=f"{type(error).__name__}: {error}", retry_in=retry_in
        )

    async def return_claimed(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        return await self._storage.return_claimed(leases, sequences)

    async def mark_published(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        return await self._storage.mark_published(leases, sequences)

    async def mark_failed(
        self,
        leases: Collection[OutboxPartition],
        sequence: int,
        *,
        error: str,
        retry_in: float | None,
    ) -> bool:
        return await self._storage.mark_failed(leases, sequence, error=error, retry_in=retry_in)

    async def list_parked(self, *, limit: int = 100, after: int = 0) -> list[PendingMessage]:
        """Return parked messages; what cannot be decoded is shown as it is stored."""
        parked = await self._storage.list_parked(limit=limit, after=after)
        return [
            item if isinstance(payload, PayloadCodecError) else _with_payload(item, payload)
            for item, payload in zip(parked, await self._decode(parked), strict=True)
        ]

    async def edit_parked(self, sequence: int, payload: bytes) -> bool:
        found = await self._storage.list_parked(limit=1, after=sequence - 1)
        if not found or found[0].sequence != sequence:
            return False
        place = PayloadPlace.in_outbox(found[0].message)
        [encoded] = await self._boundary.encode([payload], [place])
        return await self._storage.edit_parked(sequence, encoded)

    async def replay_parked(self, sequences: Collection[int]) -> int:
        return await self._storage.replay_parked(sequences)

    async def discard_parked(self, sequences: Collection[int]) -> int:
        return await self._storage.discard_parked(sequences)

    async def count_pending(self) -> int:
        return await self._storage.count_pending()

    async def backlog(self) -> OutboxBacklog:
        return await self._storage.backlog()

    async def purge_published(self, before: datetime, *, limit: int = 10_000) -> int:
        return await self._storage.purge_published(before, limit=limit)

    async def _decode(self, items: Sequence[PendingMessage]) -> list[bytes | PayloadCodecError]:
        return await self._boundary.try_decode(
            [item.message.payload for item in items],
            [PayloadPlace.in_outbox(item.message) for item in items],
        )


def _with_payload(item: PendingMessage, payload: bytes) -> PendingMessage:
    if payload is item.message.payload:
        return item
    return item._replace(message=replace(item.message, payload=payload))
