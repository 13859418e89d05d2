"""How NATS JetStream is used: names, limits and waits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["NATSSettings"]

_is_prefix = re.compile(r"[A-Za-z0-9_-]{1,60}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class NATSSettings:
    """What publishers and consumers of one pair of JetStream streams agree on.

    Args:
        prefix: First part of every name; ``cqrs`` gives the streams ``cqrs-messages`` and
            ``cqrs-dead``.
        replicas: On how many servers of a cluster each message is stored.
        max_bytes: How many bytes may wait for consumers; more is refused, and stays in the
            outbox. ``None`` for no limit.
        duplicate_window: Seconds in which the server knows a message id again and drops the
            second one.
        ack_wait: Seconds after which a message comes again whose consumer has given no sign of
            life; a handler may take longer, for its consumer gives the sign.
        delivery_limit: How often a message may come back unanswered beyond the tries of the
            ladder, until it is a dead letter.
        publish_timeout: Seconds the server has to confirm a batch; keep it below half the lease
            of the outbox.
        may_declare: Whether this account makes streams. If not, they are only looked for.
    """

    prefix: str = "cqrs"
    replicas: int = 1
    max_bytes: int | None = None
    duplicate_window: float = 120.0
    ack_wait: float = 30.0
    delivery_limit: int = 20
    publish_timeout: float = 10.0
    may_declare: bool = True

    def __post_init__(self) -> None:
        if not _is_prefix(self.prefix):
            raise ConfigurationError("a prefix has 1 to 60 letters, digits, '-' and '_'")
        if not 1 <= self.replicas <= 5:
            raise ConfigurationError("replicas must be from 1 to 5")
        if self.delivery_limit < 1 or (self.max_bytes is not None and self.max_bytes < 1):
            raise ConfigurationError("delivery_limit and max_bytes must be at least 1")
        if self.publish_timeout <= 0 or self.duplicate_window < 0.1 or self.ack_wait < 0.1:
            msg = "publish_timeout, duplicate_window and ack_wait must be at least 0.1 seconds"
            raise ConfigurationError(msg)
