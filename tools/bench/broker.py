"""A RabbitMQ for the benchmarks: the one that is named, or one of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tools.services import rabbitmq

__all__ = ["broker_url"]


@contextmanager
def broker_url() -> Iterator[str]:
    """Yield the address of a broker, which is stopped afterwards if it was started for this."""
    given = os.environ.get("CQRS_DDD_TEST_RABBITMQ_URL")
    if given:
        yield given
        return
    server = rabbitmq.find_local()
    if server is None:
        msg = "no RabbitMQ: install one, or name one in CQRS_DDD_TEST_RABBITMQ_URL"
        raise RuntimeError(msg)
    server.start()
    try:
        yield server.url
    finally:
        server.close()
