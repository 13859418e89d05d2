"""Changing rows of a read model: one statement for each kind of change, in the order of keys."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from operator import attrgetter, is_not
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_core.correlation import get_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_advanced_core.ports.projection_store import RowChange, RowKey
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._row_sql import RowSQL

__all__ = ["RowWriter", "encoded_keys"]

#: Kinds of changes of one table that are remembered at most.
_KINDS_KNOWN: Final = 256
_NUMBERS: Final = (int, float, Decimal)

_key: Final = attrgetter("key")


class _Kind(NamedTuple):
    """What some changes have in common, so that one statement does them all.

    Attributes:
        deletes: Nothing is left of the rows.
        upserts: Rows that are not there can be made in the same statement.
        sets: Columns that are set.
        adds: Columns that are added to.
    """

    deletes: bool
    upserts: bool
    sets: tuple[str, ...]
    adds: tuple[str, ...]


_NOTHING: Final = _Kind(deletes=True, upserts=False, sets=(), adds=())


class RowWriter:
    """Applies changes to one table in one transaction.

    A kind of change that can make its rows is one conditional upsert: nothing is checked before,
    and rows are locked in the order of their keys. Where rows have to be there already, or a batch
    mixes kinds, they are locked in that order first. So two batches never wait for each other in
    a circle over rows that are there.

    Args:
        sql: The statements of the table.
        connection: In the transaction.
        guarded: Whether rows refuse changes that are not newer.
    """

    def __init__(self, sql: RowSQL, connection: DriverConnection, *, guarded: bool) -> None:
        self._sql = sql
        self._schema = sql.schema
        self._connection = connection
        self._guarded = guarded
        self._tenant_id = get_context().tenant_id

    async def apply(self, changes: Sequence[RowChange]) -> list[RowKey]:
        """Apply changes of different rows, and return the keys of the refused ones in order."""
        kinds: dict[_Kind, list[RowChange]] = {}
        for change in sorted(self._fitted(changes), key=_key):
            # Of a row of which nothing is left the new one is written whole.
            whole = change.deletes and not change.is_delete
            one = self._whole(change) if whole else change
            kinds.setdefault(self._kind(one), []).append(one)
        is_one_upsert = len(kinds) == 1 and next(iter(kinds)).upserts
        keys = [one.key for some in kinds.values() for one in some]
        present: set[RowKey] = set() if is_one_upsert else await self._lock(keys)
        left: list[RowChange] = []
        for kind, some in kinds.items():
            left += await self._write(kind, some, present)
        return sorted(one.key for one in left)

    async def _write(
        self, kind: _Kind, some: Sequence[RowChange], present: set[RowKey]
    ) -> list[RowChange]:
        """Do changes of one kind on locked rows, and return those that were refused."""
        if kind.upserts:
            return await self._upsert(kind, some)
        there = [one for one in some if one.key in present]
        missing = [one for one in some if one.key not in present]
        refused = [one for one in missing if one.expected_version]
        if kind.deletes:
            return [*await self._delete(there), *refused]
        made_by_others = await self._insert([one for one in missing if not one.expected_version])
        # Who expected nothing of them changes them as they are now.
        return [*refused, *await self._update(kind, [*there, *made_by_others])]

    # --- one statement each ---------------------------------------------------------------------

    async def _lock(self, keys: Sequence[RowKey]) -> set[RowKey]:
        args = self._sql.args(list(encoded_keys(self._sql, sorted(keys))))
        rows = await self._connection.fetch(self._sql.lock(), self._tenant_id, *args)
        return self._decoded(rows)

    async def _upsert(self, kind: _Kind, some: Sequence[RowChange]) -> list[RowChange]:
        defaults = tuple(self._defaults(kind))
        statement = self._sql.upsert(kind.sets, kind.adds, defaults, self._guarded)
        columns = self._schema.columns
        scalars = [
            _encoded(self._sql, name, [self._schema.fit(name, columns[name].default)])[0]
            for name in defaults
        ]
        if self._guarded:
            scalars.append(min([one.first_position for one in some]))
        left = await self._run(statement, some, self._proposed(kind, some), *scalars)
        # Each of them is judged by its own first position.
        return await self._update(kind, left)

    async def _update(self, kind: _Kind, some: Sequence[RowChange]) -> list[RowChange]:
        statement = self._sql.update(kind.sets, kind.adds, self._guarded)
        return await self._run(statement, some, self._guards(kind, some))

    async def _delete(self, some: Sequence[RowChange]) -> list[RowChange]:
        statement = self._sql.delete(guarded=self._guarded)
        return await self._run(statement, some, self._guards(_NOTHING, some))

    async def _insert(self, some: Sequence[RowChange]) -> list[RowChange]:
        """Make rows that were not there; return the changes of those others have made since."""
        names = tuple(name for name in self._schema.columns if name not in self._schema.key)
        whole = _Kind(deletes=False, upserts=False, sets=names, adds=())
        rows = [self._whole(one) for one in some]
        statement = self._sql.insert(names)
        left = {one.key for one in await self._run(statement, rows, self._proposed(whole, rows))}
        return [one for one in some if one.key in left]

    async def _run(
        self, statement: str, some: Sequence[RowChange], columns: list[list[Any]], *scalars: Any
    ) -> list[RowChange]:
        """Run a statement for some changes, and return those it left out."""
        if not some:
            return []
        args = self._sql.args(columns)
        written = await self._connection.fetch(statement, self._tenant_id, *args, *scalars)
        if len(written) == len(some):
            return []
        keys = self._decoded(written)
        return [one for one in some if one.key not in keys]

    # --- values ---------------------------------------------------------------------------------

    def _fitted(self, changes: Sequence[RowChange]) -> Sequence[RowChange]:
        """Return the changes with keys as the database keeps them, which they mostly are."""
        names = self._schema.key
        given = [[one.key[place] for one in changes] for place in range(len(names))]
        fitted = list(map(self._schema.fit_all, names, given))
        if not any(any(map(is_not, *columns)) for columns in zip(given, fitted, strict=True)):
            return changes
        keys = zip(*fitted, strict=True)
        return [replace(one, key=key) for one, key in zip(changes, keys, strict=True)]

    def _whole(self, change: RowChange) -> RowChange:
        """Return the change that makes the same of a row whatever it was."""
        try:
            return replace(change, sets=change.make(self._schema, None) or {}, adds={})
        except TypeError as error:
            raise ProjectionValueError(f"{self._schema.name}: {error}") from None

    def _kind(self, change: RowChange) -> _Kind:
        # Handlers make few kinds of changes, again and again.
        known = self._sql.kinds
        may_be_new = change.expected_version is None
        shape = (change.is_delete, may_be_new, *change.sets, None, *change.adds)
        kind = known.get(shape)
        if kind is None:
            kind = self._new_kind(change)
            if len(known) < _KINDS_KNOWN:
                known[shape] = kind
        return kind

    def _new_kind(self, change: RowChange) -> _Kind:
        if change.is_delete:
            return _NOTHING
        sets = tuple(sorted(change.sets.keys() - set(self._schema.key)))
        adds = tuple(sorted(change.adds))
        self._check_columns(sets, adds)
        kind = _Kind(deletes=False, upserts=True, sets=sets, adds=adds)
        return kind._replace(upserts=change.expected_version is None and self._can_make(kind))

    def _check_columns(self, sets: Iterable[str], adds: Iterable[str]) -> None:
        schema = self._schema
        for name in (*sets, *adds):
            if name not in schema.columns:
                raise ProjectionValueError(f"{schema.name} has no column {name!r}")
        for name in adds:
            if schema.columns[name].type not in _NUMBERS or name in schema.key:
                raise ProjectionValueError(f"{schema.name}.{name} holds nothing one can add to")

    def _can_make(self, kind: _Kind) -> bool:
        """Whether a row that is not there can be made of what every change of a kind has."""
        columns = self._schema.columns
        return not any(columns[name].default for name in kind.adds) and all(
            column.nullable or column.default is not None or name in self._schema.key
            for name, column in columns.items()
            if name not in kind.sets and name not in kind.adds
        )

    def _defaults(self, kind: _Kind) -> Iterable[str]:
        given = {*self._schema.key, *kind.sets, *kind.adds}
        columns = self._schema.columns.items()
        return (name for name, one in columns if name not in given and one.default is not None)

    def _proposed(self, kind: _Kind, some: Sequence[RowChange]) -> list[list[Any]]:
        """Return what is given of rows that may have to be made, column by column."""
        return [*self._values(kind, some), [one.last_position for one in some]]

    def _guards(self, kind: _Kind, some: Sequence[RowChange]) -> list[list[Any]]:
        """Return what is given of rows that are there, column by column."""
        return [
            *self._values(kind, some),
            [one.first_position for one in some],
            [one.last_position for one in some],
            [one.expected_version for one in some],
        ]

    def _values(self, kind: _Kind, some: Sequence[RowChange]) -> Iterable[list[Any]]:
        fit_all = self._schema.fit_all
        yield from encoded_keys(self._sql, [one.key for one in some])
        for name in kind.sets:
            values = [one.sets[name] for one in some]
            yield _encoded(self._sql, name, fit_all(name, values))
        for name in kind.adds:
            values = [one.adds[name] for one in some]
            yield _encoded(self._sql, name, fit_all(name, values))

    def _decoded(self, rows: Iterable[Any]) -> set[RowKey]:
        return {self._sql.decoded_key(row) for row in rows}


def encoded_keys(sql: RowSQL, keys: Sequence[RowKey]) -> Iterable[list[Any]]:
    """Yield keys of rows as they are carried, column by column.

    Raises:
        ProjectionValueError: One does not fit.
    """
    for place, name in enumerate(sql.schema.key):
        yield _encoded(sql, name, [key[place] for key in keys])


def _encoded(sql: RowSQL, name: str, values: list[Any]) -> list[Any]:
    encode = sql.codecs[name].encode
    if encode is None:
        return values
    try:
        return [None if value is None else encode(value) for value in values]
    except ArithmeticError:
        msg = f"{sql.schema.name}.{name}: the number has too many digits"
        raise ProjectionValueError(msg) from None
    except ValueError as error:
        raise ProjectionValueError(f"{sql.schema.name}.{name}: {error}") from None
