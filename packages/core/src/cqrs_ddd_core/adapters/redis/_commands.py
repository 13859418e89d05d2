"""What the cache tells the server, some keys at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cqrs_ddd_core.adapters.redis._link import Client

__all__ = ["DELETE_IF", "keep", "milliseconds", "ping", "unlink"]

#: Keeps a value where there is nothing and returns what is there. A value with tags was looked at
#: before and found to be outdated. The version of a tag lives as long as the values that carry it.
_GET_OR_SET: Final = """
local kept = redis.call('GET', KEYS[1])
if not kept or (ARGV[3] == 'value' and string.byte(kept) ~= 0) then
    if ARGV[2] == '' then redis.call('SET', KEYS[1], ARGV[1])
    else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
    return ARGV[1]
end
if ARGV[3] == 'version' then
    local left = redis.call('PTTL', KEYS[1])
    if left >= 0 and ARGV[2] == '' then redis.call('PERSIST', KEYS[1])
    elseif left >= 0 and left < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return kept
"""
DELETE_IF: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end"


async def ping(client: Client) -> None:
    """Ask whether the server is there."""
    await client.ping()


async def unlink(names: Collection[bytes], client: Client) -> None:
    """Remove keys."""
    if names:
        async with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.unlink(name)
            await pipeline.execute()


async def keep(
    client: Client, values: Mapping[bytes, bytes], ttl: float | None, kind: str
) -> list[bytes]:
    """Keep values where there are none, and return what is kept then, in the same order.

    Args:
        client: The driver's.
        values: By name.
        ttl: In seconds.
        kind: ``"value"``, or ``"version"`` of a tag.
    """
    limit = milliseconds(ttl)
    async with client.pipeline(transaction=False) as pipeline:
        for name, value in values.items():
            pipeline.eval(_GET_OR_SET, 1, name, value, "" if limit is None else limit, kind)
        kept: list[bytes] = await pipeline.execute()
    return kept


def milliseconds(ttl: float | None) -> int | None:
    """Return a time to live as the server counts it."""
    return None if ttl is None else max(1, math.ceil(ttl * 1000))
