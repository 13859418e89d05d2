"""The few places where the two databases spell the same thing differently."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["sql"]

# Sorts and parses like what ``from_datetime`` writes.
_SQLITE_TIME: Final = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now'"

_POSTGRES: Final = {
    "now": "clock_timestamp()",
    "json": "{0}::text::jsonb",
    "later": "clock_timestamp() + make_interval(secs => {0})",
    # An array is looked up in an index whatever the planner guesses of its length.
    "in": "= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text({0}::text::json)))",
    "not_in": "NOT IN (SELECT value::bigint FROM json_array_elements_text({0}::text::json))",
    "leases": "json_to_recordset({0}::text::json) AS l(number integer, epoch bigint)",
    "keys": (
        "json_to_recordset({0}::text::json) "
        "AS k(projection text, version integer, partition integer, epoch bigint)"
    ),
    "uuids": "(SELECT value::uuid FROM json_array_elements_text({0}::text::json)) AS m(value)",
    "for_update": "FOR UPDATE",
    "for_share": "FOR SHARE OF p",
    "alone": "AND (SELECT pg_advisory_xact_lock({0}) IS NOT NULL) FOR UPDATE",
    "together": "AND (SELECT pg_advisory_xact_lock_shared({0}) IS NOT NULL) FOR KEY SHARE",
    "skip_locked": "FOR UPDATE SKIP LOCKED",
    "p_for_update": "FOR NO KEY UPDATE OF p",
    "p_skip_locked": "FOR NO KEY UPDATE OF p SKIP LOCKED",
}
_SQLITE: Final = {
    "now": f"{_SQLITE_TIME})",
    "json": "{0}",
    "later": f"{_SQLITE_TIME}, {{0}} || ' seconds')",
    "in": "IN (SELECT value FROM json_each({0}))",
    "not_in": "NOT IN (SELECT value FROM json_each({0}))",
    "leases": (
        "(SELECT json_extract(value, '$.number') AS number, "
        "json_extract(value, '$.epoch') AS epoch FROM json_each({0})) AS l"
    ),
    "keys": (
        "(SELECT json_extract(value, '$.projection') AS projection, "
        "json_extract(value, '$.version') AS version, "
        "json_extract(value, '$.partition') AS partition, "
        "json_extract(value, '$.epoch') AS epoch FROM json_each({0})) AS k"
    ),
    "uuids": "json_each({0}) AS m",
    # One transaction writes at a time: its rows need no locks of their own.
    "for_update": "",
    "for_share": "",
    "alone": "",
    "together": "",
    "skip_locked": "",
    "p_for_update": "",
    "p_skip_locked": "",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?: (\$\d+))?\}")


@lru_cache(maxsize=256)
def sql(template: str, *, postgres: bool) -> str:
    """Return a statement for one of the databases.

    Args:
        template: SQL with these placeholders: ``{now}``, the database's clock; ``{later $n}``, so
            many seconds after now; ``{json $n}``, JSON given as text; ``{in $n}``, one of
            the integers of a JSON array, and ``{not_in $n}``, none of them; ``{leases $n}``, a JSON
            array of objects as table ``l(number, epoch)``; ``{keys $n}``, the same as table
            ``k(projection, version, partition, epoch)``; ``{uuids $n}``, a JSON array of UUIDs in
            hexadecimal, as table ``m(value)``; ``{for_update}``, ``{for_share}`` (of table ``p``),
            ``{skip_locked}``, ``{p_for_update}`` and ``{p_skip_locked}`` (of table ``p``), where
            rows have locks; ``{alone $n}`` and ``{together $n}``, locks of one row that are waited
            for in line under that number; ``{together $n}`` does not keep ``{p_for_update}`` out.
        postgres: For PostgreSQL; otherwise for SQLite.
    """
    spellings = _POSTGRES if postgres else _SQLITE

    def spell(found: re.Match[str]) -> str:
        return spellings[found[1]].replace("{0}", found[2] or "")

    return _PLACEHOLDER.sub(spell, template)
