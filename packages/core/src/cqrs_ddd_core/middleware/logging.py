"""One log record per message, with ids, outcome and duration."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.middleware._message import id_of, is_success, kind_of, name_of
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError, DomainError, ValidationError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["LoggingMiddleware"]

# What a caller or another writer caused: nothing is broken, so no traceback.
_EXPECTED = (ConcurrencyError, DomainError, ValidationError)


class LoggingMiddleware(IMiddleware):
    """Logs every message after it was handled, with structured fields in ``extra``.

    The fields are ``message_kind``, ``message_type``, ``message_id``, ``correlation_id``,
    ``tenant_id``, ``user_id``, ``outcome`` and ``duration_ms``. Unexpected errors are logged
    with their traceback.

    Args:
        logger: Where to; the logger of this module when not given.
        level: Of messages that were handled.
        payloads: Whether to add the message's fields as ``payload``. They may hold what does
            not belong into a log.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        level: int = logging.INFO,
        payloads: bool = False,
    ) -> None:
        self._logger = logger or logging.getLogger(__name__)
        self._level = level
        self._payloads = payloads

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        started = perf_counter()
        try:
            response = await next_handler(message)
        except asyncio.CancelledError:
            self._log(self._level, "cancelled", message, started)
            raise
        except _EXPECTED as error:
            self._log(logging.WARNING, "refused", message, started, error)
            raise
        except Exception as error:
            self._log(logging.ERROR, "failed", message, started, error)
            raise
        self._log(self._level, _outcome(response), message, started)
        return response

    def _log(
        self,
        level: int,
        outcome: str,
        message: Any,
        started: float,
        error: Exception | None = None,
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        duration_ms = (perf_counter() - started) * 1000
        extra = {**self._describe(message), "outcome": outcome, "duration_ms": duration_ms}
        because = "" if error is None else f": {type(error).__name__}"
        self._logger.log(
            level,
            "%s %s %s in %.1f ms%s",
            extra["message_kind"],
            extra["message_type"],
            outcome,
            duration_ms,
            because,
            extra=extra,
            exc_info=error if level >= logging.ERROR else None,
        )

    def _describe(self, message: Any) -> dict[str, Any]:
        context = get_context()
        fields = {
            "message_kind": kind_of(type(message)),
            "message_type": name_of(type(message)),
            "message_id": str(id_of(message)),
            "correlation_id": context.correlation_id,
            "tenant_id": context.tenant_id,
            "user_id": context.user_id,
        }
        return {**fields, "payload": message.model_dump()} if self._payloads else fields


def _outcome(response: Any) -> str:
    if getattr(response, "replayed", False):
        return "replayed"
    return "handled" if is_success(response) else "rolled back"
