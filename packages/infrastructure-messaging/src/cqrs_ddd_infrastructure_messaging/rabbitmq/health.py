"""Whether messages can go out and come in at this moment."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
    from cqrs_ddd_infrastructure_messaging.rabbitmq.publisher import RabbitMQPublisher
    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings

__all__ = ["ConsumerLiveness", "RabbitMQHealth", "RabbitMQStatus"]


class ConsumerLiveness(Protocol):
    """What a consumer tells about itself."""

    @property
    @abstractmethod
    def is_consuming(self) -> bool:
        """Whether the broker delivers to it at this moment."""
        ...


@dataclass(frozen=True, slots=True)
class RabbitMQStatus:
    """How it is.

    Attributes:
        problems: Why messages cannot go out or come in; none when all is well.
        warnings: What an operator should look at meanwhile.
        last_confirmed: When the broker confirmed a message of the publisher the last time,
            aware UTC.
        unroutable: How many messages wait that no queue wanted; ``None`` if that is not known.
        consumers: Whether the broker delivers to each.
    """

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    last_confirmed: datetime | None = None
    unroutable: int | None = None
    consumers: Mapping[str, bool] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing stands in the way of any message."""
        return not self.problems


class RabbitMQHealth:
    """Asks the broker, and does not believe that a connection is well because it once was.

    A broker that is low on memory or disk stops only those who publish, and tells them only when
    they do; hence the publisher's last failure counts as a problem until a later call succeeds.

    Args:
        connection: It is asked through the publishing connection, which is opened if it has to be.
        publisher: Whose last confirmation is told, and its last failure.
        consumers: Those that are to run in this process, under any names.
        settings: Names of what is looked at.
    """

    def __init__(
        self,
        connection: RabbitMQConnection,
        *,
        publisher: RabbitMQPublisher | None = None,
        consumers: Mapping[str, ConsumerLiveness] | None = None,
        settings: RabbitMQSettings | None = None,
    ) -> None:
        self._link = connection.publishing
        self._publisher = publisher
        self._consumers = dict(consumers or {})
        self._topology = topology = RabbitMQTopology(settings)
        self._link.require(topology.shared(), may_declare=topology.settings.may_declare)

    async def check(self) -> RabbitMQStatus:
        """Return how it is now; takes no longer than the connection's timeouts."""
        publisher = self._publisher
        problems, warnings = [], []
        unroutable: int | None = None
        if publisher is not None and publisher.error is not None:
            problems.append(f"not everything was published the last time: {publisher.error}")
        if await self._link.is_blocked():
            problems.append(f"{self._link}: blocked, the broker is low on memory or disk")
        else:
            try:
                unroutable = await self._count_unroutable()
            except BrokerUnavailableError as error:
                problems.append(str(error))
        if unroutable:
            warnings.append(
                f"{unroutable} messages in {self._topology.unroutable!r} found no queue"
            )
        consumers = {name: one.is_consuming for name, one in self._consumers.items()}
        problems += [
            f"consumer {name!r} receives nothing" for name, up in consumers.items() if not up
        ]
        return RabbitMQStatus(
            tuple(problems),
            tuple(warnings),
            publisher.last_confirmed if publisher else None,
            unroutable,
            consumers,
        )

    async def _count_unroutable(self) -> int | None:
        if self._topology.settings.unroutable == "keep":
            return await self._link.queue_length(self._topology.unroutable)
        await self._link.close_channel(await self._link.channel())
        return None
