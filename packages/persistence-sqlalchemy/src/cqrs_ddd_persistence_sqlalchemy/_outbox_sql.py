"""The statements of the outbox: one round trip each, fenced by the epoch of a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BACKLOG",
    "COUNT_PARTITIONS",
    "COUNT_PENDING",
    "DISCARD_PARKED",
    "EDIT_PARKED",
    "FORGET_OWNERS",
    "FREE",
    "GO_AWAY",
    "LIST_OWNERS",
    "LIST_PARKED",
    "LOCK_PARTITIONS",
    "MARK_FAILED",
    "MARK_PUBLISHED",
    "PURGE_PUBLISHED",
    "RELEASE",
    "RENEW",
    "REPLAY_PARKED",
    "RETURN_CLAIMED",
    "SAVE_EACH",
    "SAVE_MANY",
    "SHOW_UP",
    "TAKE",
    "claim",
]

_SAVED: Final = (
    "message_id, kind, message_type, payload, stream, partition, tenant_id, headers, "
    "correlation_id, causation_id, occurred_at, schema_version"
)

#: What a pending message is read from, in this order; JSON as text, whatever the driver's codecs.
_COLUMNS: Final = "sequence, attempts, status, error, " + _SAVED.replace(
    "headers", "CAST(headers AS text)"
)

# Positions of one statement follow the order of the arrays, because the rows are sorted by it.
SAVE_MANY: Final = f"""
INSERT INTO cqrs_outbox ({_SAVED})
SELECT message_id, kind, message_type, payload, stream, partition, tenant_id, headers::jsonb,
       correlation_id, causation_id, occurred_at, schema_version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::integer[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::integer[])
     WITH ORDINALITY AS m({_SAVED}, place)
ORDER BY place
ON CONFLICT (tenant_id, message_id) DO NOTHING
"""  # noqa: S608 - made of constants

SAVE_EACH: Final = f"""
INSERT INTO cqrs_outbox ({_SAVED})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (tenant_id, message_id) DO NOTHING
"""  # noqa: S608 - made of constants

COUNT_PARTITIONS: Final = "SELECT count(*) FROM cqrs_outbox_partitions"

# All rows are locked in one order, so that two owners neither deadlock nor take the same one, and
# whoever comes second sees what the first has taken.
LOCK_PARTITIONS: Final = """
SELECT number, owner, lease_until IS NOT NULL AND lease_until > {now}
FROM cqrs_outbox_partitions ORDER BY number {for_update}
"""

FORGET_OWNERS: Final = "DELETE FROM cqrs_outbox_owners WHERE here_until <= {now}"

SHOW_UP: Final = """
INSERT INTO cqrs_outbox_owners (owner, wants, here_until) VALUES ($1, $2, {later $3})
ON CONFLICT (owner) DO UPDATE SET wants = excluded.wants, here_until = excluded.here_until
"""

LIST_OWNERS: Final = "SELECT owner, wants FROM cqrs_outbox_owners"

GO_AWAY: Final = "DELETE FROM cqrs_outbox_owners WHERE owner = $1"

# A lease that ended gets a new epoch even if nobody else had it meanwhile.
TAKE: Final = """
UPDATE cqrs_outbox_partitions
SET owner = $1, lease_until = {later $2},
    epoch = epoch + CASE WHEN owner = $1 AND lease_until > {now} THEN 0 ELSE 1 END
WHERE number {in $3}
RETURNING number, epoch
"""

RENEW: Final = """
UPDATE cqrs_outbox_partitions SET lease_until = {later $2}
WHERE owner IS NOT NULL AND EXISTS (
    SELECT 1 FROM {leases $1}
    WHERE l.number = cqrs_outbox_partitions.number AND l.epoch = cqrs_outbox_partitions.epoch)
RETURNING number, epoch
"""

# The row stays, for its epoch must only ever grow.
FREE: Final = """
UPDATE cqrs_outbox_partitions SET owner = NULL, lease_until = NULL
WHERE owner = $1 AND number {in $2}
"""

RELEASE: Final = """
UPDATE cqrs_outbox_partitions SET owner = NULL, lease_until = NULL WHERE owner = $1
"""

# Locked until the statement has ended: a lease cannot change hands between check and effect.
_OWNED: Final = """
    SELECT p.number FROM cqrs_outbox_partitions p
    JOIN {leases $1} ON l.number = p.number AND l.epoch = p.epoch
    WHERE p.owner IS NOT NULL {for_share}
"""

# Only failed messages have a time, so that a small index answers what holds a stream back. The
# rest keeps PostgreSQL on the indexes whatever its statistics say, which are old when a burst
# comes: OFFSET forbids it to join all failed messages instead of looking one up, "not parked" does
# not look rare, and a limit it does not know makes reading in order cheaper than sorting.
_DUE: Final = """
        o.status <> 'published' AND o.status <> 'parked'
        AND COALESCE(o.available_at <= {now}, true)
        AND o.sequence {not_in $3}
        AND NOT EXISTS (
            SELECT 1 FROM cqrs_outbox b
            WHERE b.stream = o.stream AND b.tenant_id = o.tenant_id AND b.sequence < o.sequence
              AND b.status <> 'published' AND b.available_at IS NOT NULL
            LIMIT 1 OFFSET 0)
        ORDER BY o.sequence LIMIT
"""
_LIMIT: Final = "(SELECT CAST($2 AS bigint))"


def _due_of_each(limit: str) -> str:
    """Return what is due in each partition, each read along its index up to a limit.

    One condition on all of them would sort everything that waits.
    """
    return f"""
    SELECT number, d.sequence AS place FROM owned CROSS JOIN LATERAL (
        SELECT o.sequence FROM cqrs_outbox o WHERE o.partition = owned.number AND {_DUE} {limit}
    ) d
"""  # noqa: S608 - made of constants


# To look for all that is wanted in each partition takes longer than everything else. Twice its
# share is mostly enough: nothing older is missing up to where the first of them was cut off. Only
# when that is too little, as when few partitions have messages, is everything looked for.
_SHARE: Final = "(SELECT CAST($2 AS bigint) * 2 / greatest(count(*), 1) + 1 FROM owned)"
_REST: Final = """(
    SELECT CASE WHEN cut.place IS NULL OR (SELECT count(*) FROM oldest) >= $2
           THEN 0 ELSE CAST($2 AS bigint) END FROM cut)"""
_CLAIM_POSTGRES: Final = f"""
WITH owned AS MATERIALIZED ({_OWNED}), shares AS MATERIALIZED ({_due_of_each(_SHARE)}),
cut AS MATERIALIZED (
    SELECT min(place) AS place FROM (
        SELECT max(place) AS place FROM shares GROUP BY number HAVING count(*) = {_SHARE}
    ) ends
), oldest AS MATERIALIZED (
    SELECT shares.place FROM shares, cut WHERE cut.place IS NULL OR shares.place <= cut.place
), due AS (
    SELECT place FROM oldest UNION SELECT place FROM ({_due_of_each(_REST)}) rest
    ORDER BY place LIMIT $2
)
UPDATE cqrs_outbox SET attempts = attempts + 1 FROM due WHERE sequence = place
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants

_CLAIM_SQLITE: Final = f"""
WITH owned AS MATERIALIZED ({_OWNED}), due AS (%s)
UPDATE cqrs_outbox SET attempts = attempts + 1
WHERE sequence IN (SELECT place FROM due ORDER BY place LIMIT $2)
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants

_DUE_IN_ONE_PARTITION: Final = f"""
    SELECT place FROM (
        SELECT o.sequence AS place FROM cqrs_outbox o
        WHERE o.partition = %d AND o.partition IN (SELECT number FROM owned) AND {_DUE} {_LIMIT}
    )
"""  # noqa: S608 - made of constants

RETURN_CLAIMED: Final = f"""
WITH owned AS MATERIALIZED ({_OWNED})
UPDATE cqrs_outbox SET attempts = attempts - 1
WHERE sequence {{in $2}} AND status = 'pending' AND attempts > 0
  AND partition IN (SELECT number FROM owned)
RETURNING sequence
"""  # noqa: S608 - made of constants

# RETURNING, because sqlite3 does not count the rows of a statement that begins with WITH.
MARK_PUBLISHED: Final = f"""
WITH owned AS MATERIALIZED ({_OWNED})
UPDATE cqrs_outbox SET status = 'published', published_at = {{now}}
WHERE sequence {{in $2}} AND status = 'pending' AND partition IN (SELECT number FROM owned)
RETURNING sequence
"""  # noqa: S608 - made of constants

MARK_FAILED: Final = f"""
WITH owned AS MATERIALIZED ({_OWNED})
UPDATE cqrs_outbox
SET error = $3,
    status = CASE WHEN CAST($4 AS double precision) IS NULL THEN 'parked' ELSE 'pending' END,
    available_at = COALESCE({{later $4}}, {{now}})
WHERE sequence = $2 AND status = 'pending' AND partition IN (SELECT number FROM owned)
RETURNING sequence
"""  # noqa: S608 - made of constants

LIST_PARKED: Final = f"""
SELECT {_COLUMNS} FROM cqrs_outbox
WHERE status = 'parked' AND status <> 'published' AND available_at IS NOT NULL
  AND sequence > $2
ORDER BY sequence LIMIT $1
"""  # noqa: S608 - made of constants

REPLAY_PARKED: Final = """
UPDATE cqrs_outbox SET status = 'pending', attempts = 0, available_at = NULL
WHERE sequence {in $1} AND status = 'parked'
"""

EDIT_PARKED: Final = """
UPDATE cqrs_outbox SET payload = $2 WHERE sequence = $1 AND status = 'parked'
"""

DISCARD_PARKED: Final = """
DELETE FROM cqrs_outbox WHERE sequence {in $1} AND status = 'parked'
"""

COUNT_PENDING: Final = """
SELECT count(*) FROM cqrs_outbox WHERE status = 'pending' AND status <> 'published'
"""

BACKLOG: Final = """
WITH waiting AS (
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'parked') AS parked,
           min(sequence) FILTER (WHERE status = 'pending') AS oldest
    FROM cqrs_outbox WHERE status <> 'published')
SELECT pending, parked, occurred_at FROM waiting LEFT JOIN cqrs_outbox ON sequence = oldest
"""

# Along the primary key: the oldest rows stand first, and no index has to be kept for this.
PURGE_PUBLISHED: Final = """
DELETE FROM cqrs_outbox WHERE sequence IN (
    SELECT sequence FROM cqrs_outbox WHERE status = 'published' AND published_at < $1
    ORDER BY sequence LIMIT $2
)
"""


def claim(partitions: Iterable[int], *, postgres: bool) -> str:
    """Return the statement that claims due messages of leased partitions.

    Args:
        partitions: Their numbers; PostgreSQL takes them from the leases alone.
        postgres: For PostgreSQL; otherwise for SQLite, which has no LATERAL.
    """
    if postgres:
        return sql(_CLAIM_POSTGRES, postgres=True)
    due = " UNION ALL ".join(_DUE_IN_ONE_PARTITION % number for number in sorted(partitions))
    return sql(_CLAIM_SQLITE.replace("%s", due), postgres=False)
