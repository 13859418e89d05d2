"""The administrator's switch: without it the database refuses to change events."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_core.primitives.exceptions import CQRSDDDError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["event_changes_allowed"]

#: How the switch is read and set for the current transaction, and what stands for on.
_POSTGRES: Final = (
    "SELECT current_setting('cqrs_ddd.allow_event_changes', true)",
    "SELECT set_config('cqrs_ddd.allow_event_changes', coalesce($1, 'off'), true)",
    "on",
)
_SQLITE: Final = (
    "SELECT allowed FROM cqrs_event_changes",
    "UPDATE cqrs_event_changes SET allowed = $1",
    1,
)


@asynccontextmanager
async def event_changes_allowed(driver: DriverConnection, *, postgres: bool) -> AsyncIterator[None]:
    """Let a transaction change events inside the block; afterwards it is as it was before."""
    read, write, on = _POSTGRES if postgres else _SQLITE
    before: Any = (await driver.fetch(read))[0][0]
    await driver.execute(write, on)
    try:
        yield
    except BaseException:
        # After an error of the database the transaction can only roll back, the switch with it.
        with suppress(CQRSDDDError):
            await driver.execute(write, before)
        raise
    await driver.execute(write, before)
