"""Projects the shop or rebuilds it, and kills itself at the n-th call of a method.

``python dying_program.py work|rebuild URL METHOD N before|after``
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from cqrs_ddd_advanced_core.testing import RebuildSubject
from cqrs_ddd_advanced_core.testing.rebuild._suite import RebuiltShop
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyCheckpointStore,
    SQLAlchemyEventStore,
    SQLAlchemyProjectionStore,
    SQLAlchemyUnitOfWork,
    create_engine,
)

OWNERS: dict[str, type[Any]] = {
    "apply": SQLAlchemyProjectionStore,
    "rename": SQLAlchemyProjectionStore,
    "_commit": SQLAlchemyUnitOfWork,
}


def make_deadly(method: str, number: int, when: str) -> None:
    """Let the process end at the n-th call of a method, before or after it."""
    owner = OWNERS.get(method, SQLAlchemyCheckpointStore)
    call: Callable[..., Awaitable[Any]] = getattr(owner, method)
    calls = count(1)

    async def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == number
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await call(self, *args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, dying)


async def main(what: str, url: str) -> None:
    engine = create_engine(url)
    shop = RebuiltShop(
        RebuildSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine))
    )
    if what == "rebuild":
        await shop.rebuilder(lease_seconds=0.5, batch_size=10).rebuild("shop")
    else:
        await shop.catch_up(lease_seconds=0.5, batch_size=10)
    print("done")


if __name__ == "__main__":
    make_deadly(sys.argv[3], int(sys.argv[4]), sys.argv[5])
    asyncio.run(main(sys.argv[1], sys.argv[2]))
