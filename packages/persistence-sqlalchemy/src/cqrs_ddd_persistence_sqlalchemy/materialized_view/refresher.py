"""The worker that keeps materialised views fresh."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.projections import projection_topic
from cqrs_ddd_core.background.polling import PollingLoop
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cqrs_ddd_core.ports.wake_up import IWakeUp
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff
    from cqrs_ddd_persistence_sqlalchemy.materialized_view.views import MaterializedViews

__all__ = ["MaterializedViewRefresher"]

_logger = logging.getLogger(__name__)

#: Seconds from a hint to a look, so that many hints cost one.
_COALESCE: Final = 0.25


class MaterializedViewRefresher(PollingLoop):
    """Builds and refreshes views, each as its policy says.

    Any number of processes may run one: a view is refreshed by one of them at a time, and by
    another as soon as that one dies. A view that fails is tried again later, shows so in its
    status, and does not keep the others from being refreshed. They take turns in one worker; run
    several for views that take long.

    Args:
        views: The views.
        wake_up: Tells when something was committed, and is told under ``projection_topic`` of its
            name when a view was refreshed; without it, polling does.
        topics: What else to listen to, besides events and the projections that views read.
        poll_interval: Seconds until it looks again when nobody wakes it.
        backoff: How long to wait, in seconds, after runs in which something failed.
        stop_timeout: Seconds the refresh under way may take to finish after ``stop``.
    """

    def __init__(
        self,
        views: MaterializedViews,
        *,
        wake_up: IWakeUp | None = None,
        topics: Sequence[str] = (),
        poll_interval: float = 5.0,
        backoff: ExponentialBackoff | None = None,
        stop_timeout: float = 30.0,
    ) -> None:
        super().__init__(
            self._refresh_due,
            name="materialized views",
            poll_interval=poll_interval,
            backoff=backoff,
            stop_timeout=stop_timeout,
        )
        self._views = views
        self._hints = wake_up
        projections = {name for view in views.views for name in view.after}
        self._topics = {EVENTS_TOPIC, *map(projection_topic, projections), *topics}
        self._leave: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        if self._hints is not None and not self._leave:
            self._leave = [
                self._hints.listen(topic, lambda: self._wake_in(_COALESCE))
                for topic in self._topics
            ]
        await super().start()

    async def stop(self) -> None:
        for leave in self._leave:
            leave()
        self._leave.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await super().stop()

    async def _refresh_due(self) -> int:
        done, failures = 0, []
        for view in self._views.views:
            try:
                visit = await self._views.refresh_if_due(view.name)
            except Exception as error:
                _logger.exception("view %s could not be refreshed; it is as it was", view.name)
                failures.append(error)
                continue
            done += visit.is_done
            if visit.is_done and self._hints is not None:
                self._hints.announce(projection_topic(view.name))
            if visit.seconds is not None:
                self._wake_in(visit.seconds)
        if failures:
            raise failures[0]
        return done

    def _wake_in(self, seconds: float) -> None:
        """Look again in so many seconds, or when that was to be sooner."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.trigger()
