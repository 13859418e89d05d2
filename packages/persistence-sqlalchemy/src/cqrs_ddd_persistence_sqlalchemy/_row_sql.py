"""The statements that read and write the rows of one read model, any number of them at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_persistence_sqlalchemy._row_codec import POSTGRES, SQLITE
from cqrs_ddd_persistence_sqlalchemy._row_table import COUNTERS, TENANT, codecs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Dialect, Table

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_persistence_sqlalchemy._row_codec import RowCodec

__all__ = ["RowSQL"]

#: First and last position and the expected version of a change, behind its other values.
_GUARDS: Final = ("_first", "_last", "_expected")
#: What an upsert needs of these: it has one first position for all, and expects nothing.
_LAST: Final = ("_last",)


class RowSQL:
    """The statements of one table.

    Rows travel as the table ``c`` of a statement: an array for each column on PostgreSQL, one
    JSON text on SQLite. Its column ``_n`` is their order, which is the order they are locked in.

    Args:
        schema: What the rows are.
        table: Where they are.
        dialect: Of the database.
    """

    def __init__(self, schema: ProjectionSchema, table: Table, dialect: Dialect) -> None:
        self._postgres = dialect.name == "postgresql"
        preparer = dialect.identifier_preparer
        self._quote = preparer.quote
        self._table = preparer.format_table(table)
        self.schema: ProjectionSchema = schema
        self.codecs: dict[str, RowCodec] = codecs_of(schema, table, postgres=self._postgres)
        self.columns: tuple[str, ...] = (*schema.columns, *COUNTERS)
        integers = (POSTGRES if self._postgres else SQLITE)[int]
        self._carried = {**self.codecs, **dict.fromkeys(_GUARDS, integers)}
        self._names = ", ".join(map(self._quote, schema.key))
        self._is_row = " AND ".join(
            [
                f"t.{TENANT} = $1",
                *(f"t.{self._quote(key)} = {self._value(key)}" for key in schema.key),
            ]
        )
        #: What is known of kinds of changes, for who writes them.
        self.kinds: dict[tuple[object, ...], Any] = {}
        self.upsert = lru_cache(maxsize=256)(self._upsert)
        self.update = lru_cache(maxsize=256)(self._update)

    # --- statements: $1 is the tenant, the rows are next ----------------------------------------

    def clear(self) -> str:
        """Remove all rows of the tenant."""
        return f"DELETE FROM {self._table} WHERE {TENANT} = $1"  # noqa: S608 - quoted names

    def fetch(self) -> str:
        """Read rows by key."""
        read = (self.codecs[name].read.format(f"t.{self._quote(name)}") for name in self.columns)
        return (
            f"SELECT {', '.join(read)} FROM {self._source(self.schema.key)} "  # noqa: S608
            f"JOIN {self._table} AS t ON {self._is_row}"
        )

    def lock(self) -> str:
        """Lock the rows that are there, in their order, and return their keys."""
        lock = " FOR UPDATE OF t" if self._postgres else ""
        return (
            f"SELECT {self._keys_of_t()} FROM {self._source(self.schema.key)} "  # noqa: S608
            f"JOIN {self._table} AS t ON {self._is_row} ORDER BY c._n{lock}"
        )

    def delete(self, *, guarded: bool) -> str:
        """Remove rows by key and guards, and return their keys; they are locked already."""
        source = self._source((*self.schema.key, *_GUARDS))
        return (
            f"DELETE FROM {self._table} WHERE {TENANT} = $1 AND ({self._names}) IN ("  # noqa: S608
            f"SELECT {self._keys_of_t()} FROM {source} JOIN {self._table} AS t ON {self._is_row} "
            f"WHERE {self._guard(guarded=guarded)}) RETURNING {self._names}"
        )

    def _update(self, sets: tuple[str, ...], adds: tuple[str, ...], guarded: bool) -> str:  # noqa: FBT001
        """Change rows that are there, and return their keys; each is judged by its own guards."""
        changes = [f"{self._quote(name)} = {self._value(name)}" for name in sets]
        changes += [f"{self._quote(name)} = {self._sum(name, self._value(name))}" for name in adds]
        return (
            f"UPDATE {self._table} AS t SET {', '.join([*changes, *self._counted('c._last')])} "  # noqa: S608
            f"FROM {self._source(self.carried(sets, adds))} "
            f"WHERE {self._is_row} AND {self._guard(guarded=guarded)} RETURNING {self._names}"
        )

    def insert(self, names: tuple[str, ...]) -> str:
        """Make rows that are not there, and return their keys; the others are left alone."""
        return (
            f"{self._insert(names, ())} ON CONFLICT ({TENANT}, {self._names}) DO NOTHING "
            f"RETURNING {self._names}"
        )

    def _upsert(
        self,
        sets: tuple[str, ...],
        adds: tuple[str, ...],
        defaults: tuple[str, ...],
        guarded: bool,  # noqa: FBT001
    ) -> str:
        """Make or change rows, and return their keys.

        A row is left alone that has a change of a position given behind the defaults, or of a
        later one: that of the first change of all, for what is proposed for a row has no place
        for a position of its own.
        """
        excluded = {name: f"excluded.{self._quote(name)}" for name in (*sets, *adds)}
        changes = [f"{self._quote(name)} = {excluded[name]}" for name in sets]
        changes += [f"{self._quote(name)} = {self._sum(name, excluded[name])}" for name in adds]
        changes += self._counted(f"excluded.{LAST_POSITION}")
        floor = self._first_free(self.proposed(sets, adds)) + len(defaults)
        guard = f"WHERE t.{LAST_POSITION} < ${floor} " if guarded else ""
        return (
            f"{self._insert((*sets, *adds), defaults)} ON CONFLICT ({TENANT}, {self._names}) "
            f"DO UPDATE SET {', '.join(changes)} {guard}RETURNING {self._names}"
        )

    def _insert(self, names: tuple[str, ...], defaults: tuple[str, ...]) -> str:
        source = self.proposed(names, ())
        into = [TENANT, *map(self._quote, (*self.schema.key, *names, *defaults, *COUNTERS))]
        free = self._first_free(source)
        given = [self._value(name) for name in (*self.schema.key, *names)]
        given += [self._scalar(name, free + place) for place, name in enumerate(defaults)]
        # WHERE tells SQLite that what follows is no join.
        return (
            f"INSERT INTO {self._table} AS t ({', '.join(into)}) "  # noqa: S608 - quoted names
            f"SELECT $1, {', '.join([*given, '1', 'c._last'])} FROM {self._source(source)} "
            "WHERE true ORDER BY c._n"
        )

    # --- their arguments ------------------------------------------------------------------------

    def carried(self, sets: tuple[str, ...], adds: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is given of every row for a change, in this order."""
        return (*self.schema.key, *sets, *adds, *_GUARDS)

    def proposed(self, sets: tuple[str, ...], adds: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is given of every row that may have to be made, in this order."""
        return (*self.schema.key, *sets, *adds, *_LAST)

    def args(self, columns: Sequence[list[Any]]) -> list[Any]:
        """Return carried values of rows as arguments."""
        if self._postgres:
            return list(columns)
        return [to_json(list(zip(*columns, strict=True))).decode()]

    def decoded_key(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return a fetched key."""
        return tuple(map(self._decode, self.schema.key, row))

    def decoded(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return a fetched row by column name."""
        return dict(zip(self.columns, map(self._decode, self.columns, row), strict=True))

    def _decode(self, name: str, value: Any) -> Any:
        decode = self.codecs[name].decode
        return value if decode is None or value is None else decode(value)

    # --- parts ----------------------------------------------------------------------------------

    def _source(self, names: Sequence[str]) -> str:
        places = range(len(names))
        columns = [self._place(name) for name in names]
        if self._postgres:
            arrays = (
                f"${place + 2}::{self._carried[name].carried}[]"
                for place, name in zip(places, names, strict=True)
            )
            return f"unnest({', '.join(arrays)}) WITH ORDINALITY AS c({', '.join(columns)}, _n)"
        values = (
            f"json_extract(value, '$[{place}]') AS {column}" for place, column in enumerate(columns)
        )
        # Without LIMIT, SQLite reads the JSON anew for every row of the tenant.
        return f"(SELECT {', '.join(values)}, key AS _n FROM json_each($2) LIMIT -1) AS c"  # noqa: S608

    def _place(self, name: str) -> str:
        # Apart from all columns of tables, which begin with a letter or have these very names.
        return name if name in _GUARDS else f"_v{self.columns.index(name)}"

    def _value(self, name: str) -> str:
        return self._carried[name].unpack.format(f"c.{self._place(name)}")

    def _scalar(self, name: str, place: int) -> str:
        codec = self.codecs[name]
        parameter = f"${place}::{codec.carried}" if self._postgres else f"${place}"
        return codec.unpack.format(parameter)

    def _first_free(self, names: Sequence[str]) -> int:
        return 2 + (len(names) if self._postgres else 1)

    def _sum(self, name: str, amount: str) -> str:
        return self.codecs[name].add.format(f"t.{self._quote(name)}", amount)

    def _counted(self, last: str) -> Iterable[str]:
        highest = "greatest" if self._postgres else "max"
        return (
            f"{ROW_VERSION} = t.{ROW_VERSION} + 1",
            f"{LAST_POSITION} = {highest}(t.{LAST_POSITION}, {last})",
        )

    def _guard(self, *, guarded: bool) -> str:
        expected = f"(c._expected IS NULL OR c._expected = t.{ROW_VERSION})"
        return f"{expected} AND t.{LAST_POSITION} < c._first" if guarded else expected

    def _keys_of_t(self) -> str:
        return ", ".join(f"t.{self._quote(key)}" for key in self.schema.key)
