"""Make sure that the broker has what is declared, and nothing else under that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Exchange, Queue

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

    from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Declaration

__all__ = ["declare", "title_of"]


async def declare(channel: AbstractChannel, wanted: Declaration, *, may_declare: bool) -> None:
    """Declare it, which compares it with what is there; or only look for it.

    The broker closes the channel of what is missing or different.
    """
    passive = not may_declare
    if isinstance(wanted, Exchange):
        await channel.exchange_declare(
            wanted.name,
            exchange_type=wanted.type,
            passive=passive,
            durable=True,
            arguments=dict(wanted.arguments),
        )
    elif isinstance(wanted, Queue):
        await channel.queue_declare(
            wanted.name, passive=passive, durable=True, arguments=dict(wanted.arguments)
        )
    elif may_declare:
        await channel.queue_bind(
            wanted.queue, exchange=wanted.exchange, routing_key=wanted.routing_key
        )


def title_of(wanted: Declaration) -> str:
    """Name it for people."""
    if isinstance(wanted, Exchange):
        return f"exchange {wanted.name!r}"
    if isinstance(wanted, Queue):
        return f"queue {wanted.name!r}"
    return f"binding of queue {wanted.queue!r} to {wanted.exchange!r}"
