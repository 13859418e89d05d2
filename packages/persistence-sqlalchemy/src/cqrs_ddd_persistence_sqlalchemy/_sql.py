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
    "uuids": "(SELECT value::uuid FROM json_array_elements_text({0}::text::json)) AS m(value)",
    "for_update": "FOR UPDATE",
    "for_share": "FOR SHARE OF p",
    "skip_locked": "FOR UPDATE SKIP LOCKED",
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
    "uuids": "json_each({0}) AS m",
    # One transaction writes at a time: its rows need no locks of their own.
    "for_update": "",
    "for_share": "",
    "skip_locked": "",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?: (\$\d+))?\}")


@lru_cache(maxsize=256)
def sql(template: str, *, postgres: bool) -> str:
    """Return a statement for one of the databases.

    Args:
        template: SQL with these placeholders: ``{now}``, the database's clock; ``{later $n}``, so
            many seconds after now; ``{json $n}``, JSON given as text; ``{in $n}``, one of
            the integers of a JSON array, and ``{not_in $n}``, none of them; ``{leases $n}``, a JSON
            array of objects as table ``l(number, epoch)``; ``{uuids $n}``, a JSON array of UUIDs in
            hexadecimal, as table ``m(value)``; ``{for_update}``, ``{for_share}`` (of table ``p``),
            and ``{skip_locked}``, where rows have locks.
        postgres: For PostgreSQL; otherwise for SQLite.
    """
    spellings = _POSTGRES if postgres else _SQLITE

    def spell(found: re.Match[str]) -> str:
        return spellings[found[1]].replace("{0}", found[2] or "")

    return _PLACEHOLDER.sub(spell, template)
