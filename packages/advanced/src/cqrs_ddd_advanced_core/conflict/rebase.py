"""Events that lost a race are stored after those that won it, where a policy allows that."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.conflict.event_policy import EventVerdict
from cqrs_ddd_advanced_core.domain.exceptions import EventConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cqrs_ddd_advanced_core.conflict.event_policy import (
        EventConflictPolicy,
        EventConflictRule,
    )
    from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent
    from cqrs_ddd_core.ports.pending_stream import PendingStream
    from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError

__all__ = ["EventRebase"]


class EventRebase:
    """Resolves lost races of one stream in one unit of work, as a policy says.

    ``pending.on_conflict = EventRebase(policy, pending, serializer)``. When all pairs of pending
    and stored events commute, the pending ones follow the stored ones in the same unit of work.
    When some pair re-runs, the conflict passes, for a retry to make the decision again.

    Args:
        policy: Which events may follow which.
        pending: The stream and what is going to be appended to it.
        serializer: Reads what the others have stored.
        max_tries: How often at most, for others may go on appending; the conflict passes then.
    """

    def __init__(
        self,
        policy: EventConflictPolicy,
        pending: PendingStream,
        serializer: EventSerializer,
        *,
        max_tries: int = 50,
    ) -> None:
        self._policy = policy
        self._pending = pending
        self._serializer = serializer
        self._tries_left = max_tries
        self._judged = 0

    async def __call__(
        self, conflict: OptimisticConcurrencyError, events: Sequence[NewEvent]
    ) -> int:
        """Return the version to append after.

        Raises:
            OptimisticConcurrencyError: Some decision has to be made again.
            EventConflictError: Some event may not follow what is stored.
        """
        if not self._tries_left:
            raise conflict
        self._tries_left -= 1
        theirs = await self._read_theirs(conflict)
        judged = list(self._judge(self._mine(conflict, events), theirs))
        refused = [
            (mine, stored, rule.because)
            for mine, stored, rule in judged
            if rule.verdict is EventVerdict.CONFLICTS
        ]
        if refused:
            raise EventConflictError(self._pending.stream, refused) from conflict
        if any(rule.verdict is EventVerdict.RERUNS for _, _, rule in judged):
            raise conflict
        self._judged = theirs[-1].version
        return self._judged

    async def _read_theirs(self, conflict: OptimisticConcurrencyError) -> list[StoredEvent]:
        known = max(self._judged, self._pending.version)
        theirs = await self._pending.store.get_events(self._pending.stream, after_version=known)
        versions = [event.version for event in theirs]
        if not versions or versions != list(range(known + 1, known + 1 + len(versions))):
            # Not to be seen in this transaction, or removed: nobody can say whether they commute.
            raise conflict
        return theirs

    def _mine(
        self, conflict: OptimisticConcurrencyError, events: Sequence[NewEvent]
    ) -> Sequence[DomainEvent]:
        # All of them, not only those of this append: later ones meet no conflict any more.
        mine = self._pending.events
        if not {event.event_id for event in events} <= {event.event_id for event in mine}:
            raise conflict
        return mine

    def _judge(
        self, mine: Sequence[DomainEvent], theirs: Sequence[StoredEvent]
    ) -> Iterator[tuple[DomainEvent, StoredEvent, EventConflictRule]]:
        for stored in theirs:
            for event, my_event in product(self._serializer.hydrate(stored), mine):
                yield my_event, stored, self._policy.judge(my_event, event)
