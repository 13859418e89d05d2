"""One opened connection to NATS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from cqrs_ddd_infrastructure_messaging.nats._driver import JetStreamContext, MortalClient

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

__all__ = ["NATSLink"]

T = TypeVar("T")


class NATSLink:
    """One opened connection; when it is lost another one takes its place.

    Attributes:
        client: The driver's.
        jetstream: The driver's.
        lost: Set when it is gone.
        declared: Settings whose streams are there.
    """

    def __init__(self) -> None:
        self.client: MortalClient = MortalClient()
        self.jetstream: JetStreamContext = self.client.jetstream()
        self.lost: asyncio.Event = asyncio.Event()
        self.declared: set[object] = set()

    @property
    def is_open(self) -> bool:
        """Whether it is there, as far as anybody can know."""
        return self.client.is_connected and not self.lost.is_set()

    def check_again(self, topology: NATSTopology) -> None:
        """Have the streams declared again; for who was told that one is gone."""
        self.declared.discard(topology.settings)

    async def answer(self, work: Coroutine[None, None, T], *, timeout: float) -> T:
        """Wait for an answer, no longer than so many seconds and than the connection lives.

        Raises:
            TimeoutError: There was none in time.
            ConnectionError: The connection was lost.
        """
        working = asyncio.create_task(work)
        lost = asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait(
                (working, lost), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                return working.result()
            if lost.done():
                raise ConnectionError("the connection was lost before the answer")
            raise TimeoutError
        finally:
            lost.cancel()
            working.cancel()
            await asyncio.wait((working, lost))
