"""How RabbitMQ is used: names, limits and waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["RabbitMQSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQSettings:
    """What publishers and consumers of one set of exchanges and queues agree on.

    Everything here but the times is part of the declared exchanges and queues: processes that
    share a prefix need equal settings, and one that differs is told so when it connects.

    Args:
        prefix: First part of every name; ``cqrs`` gives the exchange ``cqrs.messages``.
        unroutable: What becomes of a message that no queue wants. ``keep`` puts it into the queue
            ``<prefix>.unroutable``, from where it can be taken and sent again; health tells how
            many are there. ``refuse`` makes publishing it fail, so that it stays in the outbox
            and holds back its stream.
        delivery_limit: How often the broker delivers a message whose consumer vanished before
            it answered, until it becomes a dead letter.
        max_queued: How many messages a consumer's queue holds; more are refused, and stay in
            the outbox. ``None`` for no limit.
        publish_timeout: Seconds the broker has to confirm a batch; keep it below half the lease
            of the outbox.
        may_declare: Whether this account makes exchanges and queues. If not, they are only
            looked for.
    """

    prefix: str = "cqrs"
    unroutable: Literal["keep", "refuse"] = "keep"
    delivery_limit: int = 20
    max_queued: int | None = None
    publish_timeout: float = 10.0
    may_declare: bool = True

    def __post_init__(self) -> None:
        if not self.prefix or len(self.prefix.encode()) > 60:
            raise ConfigurationError("a prefix has 1 to 60 bytes")
        if self.unroutable not in ("keep", "refuse"):
            raise ConfigurationError("unroutable is 'keep' or 'refuse'")
        if self.delivery_limit < 1 or (self.max_queued is not None and self.max_queued < 1):
            raise ConfigurationError("delivery_limit and max_queued must be at least 1")
        if self.publish_timeout <= 0:
            raise ConfigurationError("publish_timeout must be above 0 seconds")
