"""What the tables must hold, worked out from the events in plain SQL, and what they do hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import asyncpg

_PURCHASES: Final = """
CREATE TEMPORARY TABLE purchase AS
SELECT json->>'customer_id' AS customer_id, (json->>'purchased_on')::date AS day,
       (json->>'units')::bigint AS units, (json->>'amount')::numeric AS amount
FROM (SELECT convert_from(payload, 'UTF8')::jsonb AS json FROM cqrs_events
      WHERE event_type = 'PurchaseRecorded') AS event
"""
_COHORTED: Final = """
CREATE TEMPORARY TABLE cohorted AS
SELECT cohort, customer_id, amount,
       (extract(year FROM day) - extract(year FROM cohort))::int * 12
           + (extract(month FROM day) - extract(month FROM cohort))::int AS months_since
FROM (SELECT *, date_trunc('month', min(day) OVER (PARTITION BY customer_id))::date AS cohort
      FROM purchase) AS first
"""


class _Table(NamedTuple):
    """What tells the rows of a table apart, what they hold, and how that follows from purchases."""

    key: tuple[str, ...]
    values: tuple[str, ...]
    expected: str


_SALES: Final = "count(*) AS purchases, sum(units) AS units, sum(amount) AS revenue"
_TABLES: Final[Mapping[str, _Table]] = {
    "customer_value": _Table(
        ("customer_id",),
        ("last_purchase", "purchases", "revenue"),
        """SELECT customer_id, max(day) AS last_purchase, count(*) AS purchases,
                  sum(amount) AS revenue FROM purchase GROUP BY 1""",
    ),
    "month_sales": _Table(
        ("month",),
        ("purchases", "units", "revenue"),
        f"SELECT date_trunc('month', day)::date AS month, {_SALES} FROM purchase GROUP BY 1",  # noqa: S608
    ),
    "weekday_sales": _Table(
        ("weekday",),
        ("purchases", "units", "revenue"),
        f"SELECT extract(isodow FROM day)::int AS weekday, {_SALES} FROM purchase GROUP BY 1",  # noqa: S608
    ),
    "cohorts": _Table(
        ("cohort", "months_since"),
        ("customers", "purchases", "revenue"),
        """SELECT cohort, months_since, count(DISTINCT customer_id) AS customers,
                  count(*) AS purchases, sum(amount) AS revenue FROM cohorted GROUP BY 1, 2""",
    ),
}
_DIFFERENCES: Final = """
SELECT count(*) FROM ({expected}) AS e FULL JOIN {table} AS f USING ({key})
WHERE ({must}) IS DISTINCT FROM ({found})
"""
_COUNTS: Final = """
SELECT coalesce(sum(greatest(coalesce(e.n, 0) - coalesce(f.n, 0), 0)), 0)::bigint AS lost,
       coalesce(sum(greatest(coalesce(f.n, 0) - coalesce(e.n, 0), 0)), 0)::bigint AS doubled
FROM (SELECT customer_id, count(*) AS n FROM purchase GROUP BY 1) AS e
FULL JOIN (SELECT customer_id, purchases AS n FROM customer_value) AS f USING (customer_id)
"""
#: A version that does not serve has seen nothing.
_REBUILT: Final = """
SELECT count(*) FROM cqrs_events WHERE position <= (
    SELECT min(CASE WHEN s.version = c.version THEN c.position ELSE 0 END)
    FROM cqrs_projection_checkpoints AS c JOIN cqrs_projection_serving AS s USING (projection)
    WHERE c.version = $1)
"""
_SOLD: Final = "SELECT aggregate_id FROM cqrs_events WHERE aggregate_type = 'Purchase'"


@dataclass(frozen=True)
class Verdict:
    """How far the tables are from a fold of all events.

    Attributes:
        events: How many there are.
        rebuilt: How many of them the version that serves has seen.
        differences: Rows that are not what they must be, of all tables.
        lost: Purchases that no customer's row counts, and those the shop was told of that are not
            among the events.
        doubled: Purchases that were counted, or recorded, more often than once.
    """

    events: int
    rebuilt: int
    differences: int
    lost: int
    doubled: int

    def __str__(self) -> str:
        """Return the line that ends the demo."""
        return (
            f"events={self.events} rebuilt={self.rebuilt} differences={self.differences} "
            f"lost={self.lost} doubled={self.doubled}"
        )

    @property
    def is_right(self) -> bool:
        """Whether nothing is amiss."""
        is_complete = 0 < self.events == self.rebuilt
        return is_complete and not (self.differences or self.lost or self.doubled)


async def judge(database_url: str, *, version: int, answered: Collection[str]) -> Verdict:
    """Compare the tables that serve with the events.

    Args:
        database_url: Of PostgreSQL.
        version: The one that has to serve.
        answered: Ids of the purchases whose commands were answered.
    """
    connection = await asyncpg.connect(database_url)
    try:
        return await _judge(connection, version, set(answered))
    finally:
        await connection.close()


async def _judge(connection: Any, version: int, answered: set[str]) -> Verdict:
    await connection.execute(_PURCHASES)
    await connection.execute(_COHORTED)
    lost, doubled = await connection.fetchrow(_COUNTS)
    sold = [row[0] for row in await connection.fetch(_SOLD)]
    return Verdict(
        events=await connection.fetchval("SELECT count(*) FROM cqrs_events"),
        rebuilt=await _rebuilt(connection, version),
        differences=sum([await _differing(connection, table) for table in _TABLES]),
        lost=lost + len(answered - set(sold)),
        doubled=doubled + len(sold) - len(set(sold)),
    )


async def _differing(connection: Any, name: str) -> int:
    key, values, expected = _TABLES[name]
    statement = _DIFFERENCES.format(
        expected=expected,
        table=name,
        key=", ".join(key),
        must=", ".join(f"e.{value}" for value in values),
        found=", ".join(f"f.{value}" for value in values),
    )
    return int(await connection.fetchval(statement))


async def _rebuilt(connection: Any, version: int) -> int:
    """Return how many events the projection has seen that is furthest behind."""
    return int(await connection.fetchval(_REBUILT, version))
