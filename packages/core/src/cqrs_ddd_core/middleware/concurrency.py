"""Commands on one resource run one after the other."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.critical_section import CriticalSection
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.locking import ILockStrategy, ResourceIdentifier
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["ConcurrencyGuardMiddleware"]

_sections: ContextVar[tuple[CriticalSection, ...]] = ContextVar("cqrs_ddd_sections", default=())


class ConcurrencyGuardMiddleware(IMiddleware):
    """Locks what ``command.get_critical_resources()`` names until the command has committed.

    Locks taken by a nested command are held until the outermost one has committed; what that one
    holds already is not locked again (C-7). The handler runs once: waiting in vain raises before
    it is called. Locks save retries under contention; what keeps data right is the version check,
    also when a lock ends early because its ``ttl`` was too short. Tenants do not exclude each
    other.

    Args:
        lock_strategy: Locks and unlocks.
        timeout: Seconds a command waits for all it names.
        ttl: Seconds after which a lock ends by itself; longer than any command takes.
    """

    def __init__(
        self, lock_strategy: ILockStrategy, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> None:
        self._strategy = lock_strategy
        self._timeout = timeout
        self._ttl = ttl

    def applies_to(self, message_type: type[Any]) -> bool:
        return issubclass(message_type, Command)

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Run the rest of the pipeline under the locks.

        Raises:
            LockAcquisitionError: Some resource was not free in time; the handler did not run.
            ConfigurationError: The locks would not be held until the commit.
        """
        resources = [_of_tenant(resource) for resource in message.get_critical_resources()]
        section = self._section()
        if section is None:
            return await self._run_guarded(message, next_handler, resources)
        await section.acquire(resources)
        return await next_handler(message)

    async def _run_guarded(
        self, message: Any, next_handler: NextHandler, resources: Sequence[ResourceIdentifier]
    ) -> Any:
        if resources and current_scope() is not None:
            msg = (
                f"{type(message).__name__} was sent in a unit of work that no guarded command "
                "opened: its locks would end before the commit; send a command that sends it"
            )
            raise ConfigurationError(msg)
        # Opened without resources too: the commands it sends may name some.
        section = CriticalSection(self._strategy, resources, timeout=self._timeout, ttl=self._ttl)
        token = _sections.set((*_sections.get(), section))
        try:
            async with section:
                return await next_handler(message)
        finally:
            _sections.reset(token)

    def _section(self) -> CriticalSection | None:
        # A task started by a handler runs beside it, so that it must wait like anybody else.
        task = asyncio.current_task()
        for section in reversed(_sections.get()):
            if section.owner is task and section.strategy is self._strategy:
                return section
        return None


def _of_tenant(resource: ResourceIdentifier) -> ResourceIdentifier:
    tenant_id = get_context().tenant_id
    if not tenant_id:
        return resource
    return replace(resource, resource_type=f"{tenant_id}/{resource.resource_type}")
