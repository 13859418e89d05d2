"""Which of my events may follow which of theirs, although I did not know of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar

from cqrs_ddd_advanced_core.domain.lifecycle import LIFECYCLE_EVENTS
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EventConflictPolicy", "EventConflictRule", "EventVerdict"]

M = TypeVar("M", bound=DomainEvent)
T = TypeVar("T", bound=DomainEvent)

_Condition: TypeAlias = Callable[[Any, Any], bool]


class EventVerdict(Enum):
    """What becomes of an event of mine when one of theirs came first."""

    #: It is stored after theirs as it is.
    COMMUTES = "commutes"
    #: The decision that led to it is made again, on the state with theirs in it.
    RERUNS = "reruns"
    #: It is refused, and making the decision again would not help.
    CONFLICTS = "conflicts"


@dataclass(frozen=True, slots=True)
class EventConflictRule:
    """A verdict, the reason a user is given for it, and when it holds; always if not said."""

    verdict: EventVerdict
    because: str = ""
    when: _Condition | None = None

    def holds(self, mine: DomainEvent, theirs: DomainEvent) -> bool:
        """Whether it says something of these two."""
        return self.when is None or self.when(mine, theirs)


_UNDECLARED: Final = EventConflictRule(EventVerdict.RERUNS)


class EventConflictPolicy:
    """Says for pairs of event types what a lost race at append means.

    Each declaration names my event, which lost, and theirs, which was stored first; it says
    nothing of the reverse. A pair that is not declared re-runs. A class stands for its
    subclasses too, the nearest declaration counts, and that of my event's class before that of
    theirs; but deleting or restoring an aggregate commutes with nothing.

    Declare as commuting only what is right for the decision too: ``Withdrawn`` and ``Withdrawn``
    give the same balance in either order, but the second may overdraw the account.
    ``assert_commutes`` tests that the order makes no difference to the state.
    """

    def __init__(self) -> None:
        self._rules: defaultdict[
            tuple[type[DomainEvent], type[DomainEvent]], list[EventConflictRule]
        ] = defaultdict(list)

    def commutes(
        self, mine: type[M], theirs: type[T], *, when: Callable[[M, T], bool] | None = None
    ) -> Self:
        """Store my event after theirs as if it had come second in the first place.

        Args:
            mine: The event that lost.
            theirs: The event that was stored first.
            when: Limits it to some, such as ``lambda mine, theirs: mine.seat != theirs.seat``.

        Raises:
            ConfigurationError: No event types, a deletion, or the pair is decided already.
        """
        if issubclass(mine, LIFECYCLE_EVENTS) or issubclass(theirs, LIFECYCLE_EVENTS):
            msg = f"{mine.__name__} and {theirs.__name__}: a deletion commutes with nothing"
            raise ConfigurationError(msg)
        return self._declare(mine, theirs, EventConflictRule(EventVerdict.COMMUTES, when=when))

    def reruns(
        self, mine: type[M], theirs: type[T], *, when: Callable[[M, T], bool] | None = None
    ) -> Self:
        """Make the decision again on fresh state, as far as somebody retries the command.

        Raises:
            ConfigurationError: No event types, or the pair is decided already.
        """
        return self._declare(mine, theirs, EventConflictRule(EventVerdict.RERUNS, when=when))

    def conflicts(
        self,
        mine: type[M],
        theirs: type[T],
        *,
        because: str,
        when: Callable[[M, T], bool] | None = None,
    ) -> Self:
        """Refuse my event for good.

        Args:
            mine: The event that lost.
            theirs: The event that was stored first.
            because: The reason, for the user.
            when: Limits it to some.

        Raises:
            ConfigurationError: No event types, no reason, or the pair is decided already.
        """
        if not because:
            msg = "tell the user why: because='...'"
            raise ConfigurationError(msg)
        rule = EventConflictRule(EventVerdict.CONFLICTS, because, when)
        return self._declare(mine, theirs, rule)

    def judge(self, mine: DomainEvent, theirs: DomainEvent) -> EventConflictRule:
        """Return the rule for two events; undeclared ones re-run."""
        for pair in _pairs(mine, theirs):
            for rule in self._rules.get(pair, ()):
                if rule.holds(mine, theirs):
                    return rule
        return _UNDECLARED

    def declared(
        self, verdict: EventVerdict
    ) -> tuple[tuple[type[DomainEvent], type[DomainEvent]], ...]:
        """Return the pairs of event types with some rule of that verdict, as declared."""
        return tuple(
            pair
            for pair, rules in self._rules.items()
            if any(rule.verdict is verdict for rule in rules)
        )

    def _declare(
        self, mine: type[DomainEvent], theirs: type[DomainEvent], rule: EventConflictRule
    ) -> Self:
        _require_event_class(mine)
        _require_event_class(theirs)
        rules = self._rules[mine, theirs]
        if any(known.when is None for known in rules):
            msg = (
                f"{mine.__name__} after {theirs.__name__} is decided already; declare it once, "
                "and rules with when= before the one without"
            )
            raise ConfigurationError(msg)
        rules.append(rule)
        return self


def _require_event_class(event_type: Any) -> None:
    if not (isinstance(event_type, type) and issubclass(event_type, DomainEvent)):
        msg = f"{event_type!r} is no event class"
        raise ConfigurationError(msg)


def _pairs(
    mine: DomainEvent, theirs: DomainEvent
) -> Iterator[tuple[type[DomainEvent], type[DomainEvent]]]:
    for my_class in _lineage(mine):
        for their_class in _lineage(theirs):
            yield my_class, their_class


def _lineage(event: DomainEvent) -> tuple[type[Any], ...]:
    own = type(event)
    return (own,) if isinstance(event, LIFECYCLE_EVENTS) else own.__mro__
