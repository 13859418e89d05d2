"""Event sourcing with what a system wants of it, from one configuration."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cqrs_ddd_advanced_core.codecs import AesGcmCodec, EncodedEventStore, PayloadCodecs, ZstdCodec
from cqrs_ddd_advanced_core.conflict import MergeStrategyRegistry
from cqrs_ddd_advanced_core.domain.exceptions import EventSourcingConfigurationError
from cqrs_ddd_advanced_core.projections.manager import InMemoryProjectionManager
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStrategyRegistry
from cqrs_ddd_core.adapters.memory.event_store import InMemoryEventStore
from cqrs_ddd_core.ports.event_store import ANY
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.codecs import KeyRing
    from cqrs_ddd_advanced_core.conflict import IMergeStrategy
    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.event_dispatcher import IEventDispatcher
    from cqrs_ddd_core.ports.event_store import (
        AppendResult,
        ExpectedVersion,
        IEventStore,
        NewEvent,
        StreamId,
    )

__all__ = ["EventSourcingConfiguration", "create_event_sourcing_infrastructure"]

_logger = logging.getLogger(__name__)

_STORES: Final = ("memory", "file", "database")
_LEVELS: Final = ("strong", "session", "eventual")
#: What the strategy that takes the last value was called before it had its name.
_ALIASES: Final = {"last_write_wins": "last_wins"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourcingConfiguration:
    """What is switched on, and the limits.

    Attributes:
        event_store_type: ``memory``, or ``file`` and ``database`` for a store that is given.
        enable_snapshots: Whether ``snapshot_strategies`` takes any.
        snapshot_frequency: After how many events of a stream.
        compression_enabled: Compress payloads (extra ``zstd``).
        encryption_enabled: Encrypt payloads (extra ``encryption``).
        batch_size: How many events a read model is fed at once.
        consistency_level: When read models show what was stored: with ``strong`` when the append
            or the commit returns, with ``session`` when who reads has awaited ``catch_up()`` of
            the projection manager, with ``eventual`` some time after it was started.
        conflict_resolution: Name of the strategy that merges concurrent changes.

    Raises:
        EventSourcingConfigurationError: A value is none of those.
    """

    event_store_type: Literal["memory", "file", "database"] = "memory"
    enable_snapshots: bool = True
    snapshot_frequency: int = 100
    compression_enabled: bool = False
    encryption_enabled: bool = False
    batch_size: int = 1000
    consistency_level: Literal["strong", "session", "eventual"] = "strong"
    conflict_resolution: str = "last_write_wins"

    def __post_init__(self) -> None:
        _check("event_store_type", self.event_store_type, _STORES)
        _check("consistency_level", self.consistency_level, _LEVELS)
        if min(self.snapshot_frequency, self.batch_size) < 1:
            msg = "snapshot_frequency and batch_size count events, from 1"
            raise EventSourcingConfigurationError(msg)

    def snapshot_strategies(self) -> SnapshotStrategyRegistry:
        """Return when repositories and loaders take snapshots."""
        strategy = EveryNEventsStrategy(self.snapshot_frequency) if self.enable_snapshots else None
        return SnapshotStrategyRegistry(strategy)

    def merge_strategy(self) -> IMergeStrategy:
        """Return how command handlers merge concurrent changes.

        Raises:
            ConfigurationError: No strategy has that name.
        """
        name = _ALIASES.get(self.conflict_resolution, self.conflict_resolution)
        return MergeStrategyRegistry.get_stock_registry().create(name)


def create_event_sourcing_infrastructure(
    configuration: EventSourcingConfiguration | None = None,
    *,
    event_store: IEventStore | None = None,
    event_bus: IEventDispatcher | None = None,
    encryption_keys: KeyRing | None = None,
    event_registry: EventTypeRegistry | None = None,
    upcaster_registry: UpcasterRegistry | None = None,
) -> tuple[IEventStore, InMemoryProjectionManager]:
    """Return an event store, and what keeps read models up to date with it.

    Args:
        configuration: What is switched on; everything as it stands there when not given.
        event_store: Where events are kept, such as a ``SQLAlchemyEventStore``; in memory when
            not given.
        event_bus: Tells when events were committed, such as that of a mediator.
        encryption_keys: What encrypts payloads.
        event_registry: The events that may be read; those read models support when not given.
        upcaster_registry: How events of older shapes are read.

    Raises:
        EventSourcingConfigurationError: A store or keys are asked for and not given.
        MissingExtraError: An extra is not installed.
    """
    settings = configuration or EventSourcingConfiguration()
    codecs = PayloadCodecs(_codecs(settings, encryption_keys))
    store = _FollowedEventStore(_plain_store(settings, event_store), codecs)
    manager = InMemoryProjectionManager(
        store,
        event_bus,
        event_registry=event_registry,
        upcaster_registry=upcaster_registry,
        batch_size=settings.batch_size,
    )
    if settings.consistency_level == "strong":
        store.follow_with(manager)
    return store, manager


class _FollowedEventStore(EncodedEventStore):
    """An event store whose appends are in the read models when they return or commit."""

    _manager: InMemoryProjectionManager | None = None

    def follow_with(self, manager: InMemoryProjectionManager) -> None:
        self._manager = manager

    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        result = await super().append(stream, events, expected_version=expected_version)
        if self._manager is not None:
            uow = get_current_uow()
            if uow is None:
                await self._catch_up()
            else:
                uow.on_commit(self._catch_up)
        return result

    async def _catch_up(self) -> None:
        assert self._manager is not None  # noqa: S101 - only then it is called
        try:
            await self._manager.catch_up()
        except Exception:
            # The events are stored, whatever a read model makes of them; its status tells.
            _logger.exception("a read model could not follow the event store")


def _plain_store(
    settings: EventSourcingConfiguration, event_store: IEventStore | None
) -> IEventStore:
    if event_store is not None:
        return event_store
    if settings.event_store_type != "memory":
        msg = (
            f"event_store_type {settings.event_store_type!r} needs a store: give event_store=, "
            "such as the SQLAlchemyEventStore of cqrs-ddd-persistence-sqlalchemy"
        )
        raise EventSourcingConfigurationError(msg)
    return InMemoryEventStore()


def _codecs(
    settings: EventSourcingConfiguration, keys: KeyRing | None
) -> list[ZstdCodec | AesGcmCodec]:
    codecs: list[ZstdCodec | AesGcmCodec] = []
    if settings.compression_enabled:
        codecs.append(ZstdCodec())
    if settings.encryption_enabled:
        if keys is None:
            msg = "encryption_enabled needs encryption_keys=, a KeyRing"
            raise EventSourcingConfigurationError(msg)
        codecs.append(AesGcmCodec(keys))
    return codecs


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"{name} is {value!r}, and can be {', '.join(known)}"
        raise EventSourcingConfigurationError(msg)
