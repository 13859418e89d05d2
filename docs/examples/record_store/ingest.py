"""Sending a purchase log through the mediator, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqrs_ddd_core import DomainError
from record_store.purchase_log import MalformedLineError
from record_store.rejects import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cqrs_ddd_core import Mediator
    from record_store.purchase_log import Line

__all__ = ["Summary", "ingest"]


@dataclass(slots=True)
class Summary:
    """What became of the lines.

    Attributes:
        recorded: Taken in now.
        known: Taken in by an earlier run; nothing was changed.
        rejected: Refused, by their form or by a rule of the domain.
    """

    recorded: int = 0
    known: int = 0
    rejected: int = 0

    @property
    def lines(self) -> int:
        """How many lines there were."""
        return self.recorded + self.known + self.rejected

    def __str__(self) -> str:
        return (
            f"{self.recorded:,} recorded, {self.known:,} known already, {self.rejected:,} rejected"
        )


async def ingest(
    lines: Iterable[Line], mediator: Mediator, reject: Callable[[Reject], object]
) -> Summary:
    """Send a command for each line, in order, each in a transaction of its own.

    It can be stopped at any moment, even by a power cut, and run again: a line has its effect
    once, because its command always carries the same id.
    """
    summary = Summary()
    for line in lines:
        try:
            response = await mediator.send(line.to_command())
        except (MalformedLineError, DomainError) as error:
            reject(Reject(line.number, str(error), line.text))
            summary.rejected += 1
        else:
            summary.known += response.replayed
            summary.recorded += not response.replayed
    return summary
