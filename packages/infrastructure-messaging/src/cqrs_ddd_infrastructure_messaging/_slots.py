"""Slots: how streams are spread over the queues of a consumer, the same in every process."""

from __future__ import annotations

from cqrs_ddd_core.ports.outbox import partition_of

__all__ = ["SLOTS", "slot_of"]

#: Streams are spread over so many slots. The slot travels in the routing key or the subject, so
#: that a consumer can divide its streams among up to as many queues with nothing but topics.
SLOTS = 32


def slot_of(tenant_id: str, stream: str) -> int:
    """Return the slot of a stream: the same in every process and version."""
    return partition_of(f"{tenant_id}/{stream}", SLOTS)
