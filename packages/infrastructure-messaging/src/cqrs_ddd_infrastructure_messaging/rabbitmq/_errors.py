"""What the driver raises, by its meaning."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, MessagingError
from cqrs_ddd_infrastructure_messaging.exceptions import (
    MalformedMessageError,
    QueueFullError,
    UnroutableMessageError,
)

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["MISMATCHES", "is_lost", "publish_failure", "unavailable"]

_REFUSED = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed)
#: Something exists and is different, is missing, or is not for us.
MISMATCHES = (ChannelPreconditionFailed, ChannelNotFoundEntity, ChannelAccessRefused)


def is_lost(error: BaseException) -> bool:
    """Whether the driver says that a channel or connection is gone.

    When a connection ends the driver fails what waits with its reason, which is a cancellation
    when it was closed on our side, and a bare ``Exception`` when the broker just hung up.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    # A channel that is closed already is told by a plain RuntimeError in places.
    return type(error) is Exception or isinstance(error, AMQPError | RuntimeError | OSError)


def unavailable(what: str, error: BaseException) -> BrokerUnavailableError:
    """Return that the broker is away, and why."""
    return BrokerUnavailableError(f"{what}: {_reason(error)}")


def publish_failure(
    message_id: UUID, error: BaseException, *, channel_is_closed: bool
) -> MessagingError:
    """Return why a message is not confirmed.

    What waits on a channel fails with whatever closed it, which may be any error.
    """
    if isinstance(error, PublishError):
        return UnroutableMessageError(message_id, str(error.args[1]))
    if isinstance(error, DeliveryError):
        return QueueFullError(message_id)
    if channel_is_closed or is_lost(error):
        return unavailable("the connection was lost before a message was confirmed", error)
    return MalformedMessageError(f"RabbitMQ cannot carry it: {type(error).__name__}", message_id)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, _REFUSED):
        return f"it refused the user: {error}"
    if isinstance(error.__cause__, ssl.SSLError):
        return f"its certificate is not trusted: {error.__cause__.reason}"
    return f"{type(error).__name__}: {error}"
