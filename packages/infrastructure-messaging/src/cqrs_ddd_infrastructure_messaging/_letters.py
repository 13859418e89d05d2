"""Why a message died, as headers beside those it came with; the same with every broker."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from uuid import UUID

from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, DeathReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cqrs_ddd_infrastructure_messaging._handling import Death

__all__ = ["DEATH", "death_headers", "letter_in", "without_death"]

#: Prefix of the headers that say why a message died.
DEATH = "cqrs-dead-"

_ATTEMPT = "ce-attempt"
_LONGEST_ERROR = 500
# Printable ASCII stays as it is, so that people can read it.
_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_is_id = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


def death_headers(letter_id: UUID, death: Death) -> dict[str, str]:
    """Return the headers that make a message a dead letter."""
    error = f"{type(death.error).__name__}: {death.error}"[:_LONGEST_ERROR]
    return {
        f"{DEATH}id": str(letter_id),
        f"{DEATH}consumer": death.consumer,
        f"{DEATH}reason": death.reason.value,
        f"{DEATH}error": quote(error, safe=_SAFE, errors="replace"),
        f"{DEATH}attempts": str(death.attempts),
        f"{DEATH}at": utc_now().isoformat(),
    }


def letter_in(body: bytes, headers: Mapping[str, str]) -> DeadLetter:
    """Return the dead letter that was stored as a message."""
    message_id = headers.get("ce-id", "")
    return DeadLetter(
        letter_id=UUID(headers[f"{DEATH}id"]),
        message_id=UUID(message_id) if _is_id(message_id) else None,
        consumer=headers[f"{DEATH}consumer"],
        reason=DeathReason(headers[f"{DEATH}reason"]),
        error=unquote(headers[f"{DEATH}error"]),
        attempts=int(headers[f"{DEATH}attempts"]),
        died_at=datetime.fromisoformat(headers[f"{DEATH}at"]),
        body=body,
        headers={name: value for name, value in headers.items() if not name.startswith(DEATH)},
    )


def without_death(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a letter as those of a message that was never tried."""
    return {
        name: value
        for name, value in headers.items()
        if name != _ATTEMPT and not name.startswith(DEATH)
    }
