"""The driver, or what to install; and a client that ends when its connection does."""

from __future__ import annotations

from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    import nats.errors
    import nats.js.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext, api
except ImportError as error:
    raise MissingExtraError("NATS", "cqrs-ddd-infrastructure-messaging", "nats") from error

__all__ = ["JetStreamContext", "MortalClient", "Msg", "api", "nats"]


class MortalClient(Client):
    """A client that forgets what it could not send when its connection is lost.

    The driver writes it to the broken socket first, fails at that, and then neither tells
    anybody of the loss nor closes the socket.
    """

    def forget(self) -> None:
        """Send nothing that is not sent yet."""
        self._pending.clear()
        self._pending_data_size = 0

    async def _process_op_err(self, e: Exception) -> None:
        self.forget()
        await super()._process_op_err(e)
