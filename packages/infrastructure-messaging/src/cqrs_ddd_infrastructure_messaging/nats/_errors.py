"""What the driver raises, by its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, MessagingError
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError, QueueFullError
from cqrs_ddd_infrastructure_messaging.nats._driver import nats

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["FAILURES", "is_missing", "publish_failure", "unavailable"]

#: All that the driver raises on purpose, and what its socket does.
FAILURES = (nats.errors.Error, OSError, TimeoutError)

# https://github.com/nats-io/nats-server/blob/main/server/errors.json
_STORE_FAILED = 10077
_OVERSIZE = (10054, 10056)


def unavailable(what: str, error: BaseException) -> BrokerUnavailableError:
    """Return that the server is away, and why."""
    return BrokerUnavailableError(f"{what}: {_reason(error)}")


def is_missing(error: BaseException) -> bool:
    """Whether a stream that should be there is not."""
    return isinstance(error, nats.js.errors.NoStreamResponseError | nats.js.errors.NotFoundError)


def publish_failure(message_id: UUID, error: BaseException) -> MessagingError:
    """Return why a message is not confirmed."""
    if isinstance(error, nats.errors.MaxPayloadError):
        return MalformedMessageError("it is longer than the server allows", message_id)
    if isinstance(error, nats.js.errors.APIError):
        if error.err_code == _STORE_FAILED:
            return QueueFullError(message_id)
        if error.err_code in _OVERSIZE:
            return MalformedMessageError("it is longer than its stream allows", message_id)
        if (error.code or 500) < 500 and not is_missing(error):
            return MessagingError(f"message {message_id} was refused: {error.description}")
    return unavailable("a message was not confirmed", error)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    return f"{type(error).__name__}: {error}"
