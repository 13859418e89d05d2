"""The statements of checkpoints: one round trip each, fenced by the epoch of a lease."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ADVANCE",
    "DELETE",
    "ENSURE",
    "FORGET_OWNERS",
    "FREE",
    "GO_AWAY",
    "HALT",
    "LIST_ALL",
    "LIST_LEASABLE",
    "LIST_OF_PROJECTION",
    "LIST_OWNERS",
    "LOCK",
    "LOCK_SHARED",
    "PAUSE",
    "RELEASE",
    "RENEW",
    "RESUME",
    "SERVE",
    "SERVE_FIRST",
    "SERVING_VERSION",
    "SET_POSITION",
    "SHOW_UP",
    "TAKE",
    "TENANTS",
]

_TABLE: Final = "cqrs_projection_checkpoints"
_KEY: Final = "projection, version, partition"
_ONE: Final = "tenant_id = $1 AND projection = $2 AND version = $3 AND partition = $4"
_GIVE_BACK: Final = "owner = NULL, lease_until = NULL"


def _of_tenant(condition: str, *, keys: str = "", lock: str = "{p_for_update}") -> str:
    """Return the condition for some rows ``p``, ``keys`` naming a parameter that lists them.

    They are always locked in one order, so that calls about several of them do not deadlock.
    """
    joined = (
        f"JOIN {{keys {keys}}} ON k.projection = p.projection AND k.version = p.version "
        "AND k.partition = p.partition"
    )
    return f"""tenant_id = $1 AND ({_KEY}) IN (
        SELECT p.projection, p.version, p.partition FROM {_TABLE} p {joined if keys else ""}
        WHERE p.tenant_id = $1 AND {condition}
        ORDER BY p.projection, p.version, p.partition {lock})"""  # noqa: S608 - of constants


def _of_version(condition: str = "true") -> str:
    return _of_tenant(f"p.projection = $2 AND p.version = $3 AND {condition}")


# In the order of the keys, or two processes would wait for each other's new rows.
ENSURE: Final = f"""
INSERT INTO {_TABLE} (tenant_id, {_KEY}, epoch, updated_at)
SELECT $1, k.projection, k.version, k.partition, $3, {{now}} FROM {{keys $2}}
WHERE true ORDER BY k.projection, k.version, k.partition
ON CONFLICT (tenant_id, {_KEY}) DO NOTHING
"""  # noqa: S608 - made of constants

SHOW_UP: Final = """
INSERT INTO cqrs_projection_owners (tenant_id, owner, wants, here_until)
VALUES ($1, $2, {json $3}, {later $4})
ON CONFLICT (tenant_id, owner) DO UPDATE
SET wants = excluded.wants, here_until = excluded.here_until
"""

# Others may be about to show up again: nobody waits for them.
FORGET_OWNERS: Final = """
DELETE FROM cqrs_projection_owners WHERE tenant_id = $1 AND owner IN (
    SELECT p.owner FROM cqrs_projection_owners p
    WHERE p.tenant_id = $1 AND p.here_until <= {now} {p_skip_locked})
"""

LIST_OWNERS: Final = """
SELECT owner, CAST(wants AS text) FROM cqrs_projection_owners
WHERE tenant_id = $1 AND here_until > {now}
"""

GO_AWAY: Final = "DELETE FROM cqrs_projection_owners WHERE tenant_id = $1 AND owner = $2"

LIST_LEASABLE: Final = f"""
SELECT {_KEY}, CASE WHEN lease_until > {{now}} THEN owner END
FROM {_TABLE} WHERE tenant_id = $1 AND state = 'running'
"""  # noqa: S608 - made of constants

# What looked free may have been taken meanwhile, hence the condition; a row that is locked is at
# work. A lease that ended gets a new epoch even if nobody else had it meanwhile.
TAKE: Final = f"""
UPDATE {_TABLE} SET owner = $2, lease_until = {{later $3}},
    epoch = epoch + CASE WHEN owner = $2 AND lease_until > {{now}} THEN 0 ELSE 1 END
WHERE {
    _of_tenant(
        "p.state = 'running' AND (p.owner IS NULL OR p.owner = $2 OR p.lease_until <= {now})",
        keys="$4",
        lock="{p_skip_locked}",
    )
}
RETURNING {_KEY}, epoch, position
"""  # noqa: S608 - made of constants

FREE: Final = f"""
UPDATE {_TABLE} SET {_GIVE_BACK} WHERE {_of_tenant("p.owner = $2", keys="$3")}
"""  # noqa: S608 - made of constants

RENEW: Final = f"""
UPDATE {_TABLE} SET lease_until = {{later $3}}
WHERE {_of_tenant("p.owner IS NOT NULL AND k.epoch = p.epoch", keys="$2")}
RETURNING {_KEY}, epoch
"""  # noqa: S608 - made of constants

RELEASE: Final = f"""
UPDATE {_TABLE} SET {_GIVE_BACK} WHERE {_of_tenant("p.owner = $2")}
"""  # noqa: S608 - made of constants

# One compare-and-set: of two owners of a checkpoint the former one fails.
ADVANCE: Final = f"""
UPDATE {_TABLE} SET position = $7,
    updated_at = CASE WHEN position = $7 THEN updated_at ELSE {{now}} END
WHERE {_ONE} AND epoch = $5 AND position = $6 AND owner IS NOT NULL AND state = 'running'
"""  # noqa: S608 - made of constants

HALT: Final = f"""
UPDATE {_TABLE} SET state = 'halted', error = $6, {_GIVE_BACK}
WHERE {_ONE} AND epoch = $5 AND owner IS NOT NULL AND state = 'running'
"""  # noqa: S608 - made of constants

PAUSE: Final = f"""
UPDATE {_TABLE} SET state = 'paused', {_GIVE_BACK} WHERE {_of_version("p.state = 'running'")}
"""  # noqa: S608 - made of constants

RESUME: Final = f"""
UPDATE {_TABLE} SET state = 'running', error = NULL
WHERE {_of_version("p.state IN ('halted', 'paused')")}
"""  # noqa: S608 - made of constants

SET_POSITION: Final = f"""
UPDATE {_TABLE} SET position = $4, state = coalesce($6, state), updated_at = {{now}},
    error = CASE WHEN $6 IS NULL THEN error END, epoch = epoch + 1, {_GIVE_BACK}
WHERE {_of_version("p.partition = coalesce($5, p.partition)")}
"""  # noqa: S608 - made of constants

DELETE: Final = f"DELETE FROM {_TABLE} WHERE {_of_version()}"  # noqa: S608 - made of constants

_CHECKPOINT: Final = f"""
SELECT {_KEY}, position, state, error, CASE WHEN lease_until > {{now}} THEN owner END, updated_at
FROM {_TABLE} WHERE tenant_id = $1
"""  # noqa: S608 - made of constants

# Those who share it keep out those who want it alone, and its owner may still move it. Row locks
# alone have no line: as long as commands overlap, who wants it alone would never get it.
LOCK: Final = f"{_CHECKPOINT} AND {_ONE} {{alone $5}}"
LOCK_SHARED: Final = f"{_CHECKPOINT} AND {_ONE} {{together $5}}"

LIST_ALL: Final = f"{_CHECKPOINT} ORDER BY {_KEY}"

LIST_OF_PROJECTION: Final = f"""
{_CHECKPOINT} AND projection = $2 AND version = coalesce($3, version) ORDER BY {_KEY}
"""

TENANTS: Final = f"""
SELECT DISTINCT tenant_id FROM {_TABLE} WHERE projection = $1 AND version = $2 ORDER BY tenant_id
"""  # noqa: S608 - made of constants

SERVING_VERSION: Final = """
SELECT version FROM cqrs_projection_serving WHERE tenant_id = $1 AND projection = $2
"""

_SERVE: Final = """
INSERT INTO cqrs_projection_serving (tenant_id, projection, version) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, projection)"""

SERVE: Final = f"{_SERVE} DO UPDATE SET version = excluded.version"

SERVE_FIRST: Final = f"{_SERVE} DO NOTHING"
