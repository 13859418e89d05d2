"""Errors of the drivers and of SQLAlchemy, translated by meaning, in this one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import exc as sa
from sqlalchemy.orm.exc import StaleDataError

from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    DatabaseUnavailableError,
    OptimisticConcurrencyError,
    PersistenceError,
    SchemaNotInstalledError,
    TransientPersistenceError,
    UniqueViolationError,
    UnitOfWorkError,
)

__all__ = ["connection_was_lost", "is_value_error", "translate"]

_UPGRADE = (
    "the tables of cqrs-ddd are missing or of an older version: run "
    "`await upgrade(engine)` from cqrs_ddd_persistence_sqlalchemy, or "
    "`python -m cqrs_ddd_persistence_sqlalchemy upgrade --url ...`"
)
_NO_CONNECTION = (
    "no database connection became free in time; the pool is too small for the number of "
    "concurrent units of work, or a connection is kept for too long"
)
_UNKNOWN = (
    "the connection was lost while committing, so the outcome is unknown; "
    "repeat only what is recognised as a repeat, by its command or event ids"
)
_ABORTED = (
    "an earlier statement of this unit of work failed, so nothing of it can be committed; "
    "repeat the whole command in a new unit of work"
)

# PostgreSQL's SQLSTATE says what happened in every language of the server.
_TRANSIENT_STATES: Final[Mapping[str, str]] = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "lock not available in time",
    "57014": "statement cancelled or timed out",
}
# What the drivers say without a state. The last one is asyncpg's when the server has hung up on an
# idle connection, and it has not looked yet.
_LOST_SIGNS: Final = ("connection is closed", "connection closed", "cannot switch to state")
_LOST_STATES: Final = ("53300", "57P01", "57P02", "57P03", "57P05", "25P03")
_MISSING_STATES: Final = ("42P01", "42703", "3F000")

_SQLITE_BUSY: Final = 5
_SQLITE_LOCKED: Final = 6
_SQLITE_UNIQUE: Final = (1555, 2067)  # primary key, unique
_SQLITE_VALUES: Final = (18, 20, 275, 1299)  # too big, mismatch, check, not null


def translate(error: BaseException, *, committing: bool = False) -> Exception:
    """Return the error of the toolkit for an error of a driver or of SQLAlchemy.

    Args:
        error: What was raised; an error this toolkit made is returned unchanged.
        committing: The statement would have made its changes durable by itself, so that a lost
            connection leaves open whether it has.
    """
    if isinstance(error, sa.TimeoutError):
        return DatabaseUnavailableError(f"{_NO_CONNECTION}: {_first_line(error)}")
    if isinstance(error, StaleDataError):
        return OptimisticConcurrencyError(_first_line(error), "the one that was loaded")
    cause = _driver_error(error)
    if connection_was_lost(cause):
        return _lost(cause, committing=committing)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _from_sqlstate(state, cause)
    code = getattr(cause, "sqlite_errorcode", None)
    return _from_sqlite(code, cause) if isinstance(code, int) else _from_type(cause)


def is_value_error(error: BaseException) -> bool:
    """Whether a driver's error says that a value does not fit its column."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        # Data exceptions; a column that must not be NULL; a check of the table.
        return state.startswith("22") or state in ("23502", "23514")
    code = getattr(error, "sqlite_errorcode", None)
    return code in _SQLITE_VALUES or "user-defined function" in str(error)


def connection_was_lost(error: BaseException) -> bool:
    """Whether the error says that the connection to the server is gone."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith("08") or state in _LOST_STATES
    if isinstance(error, TimeoutError):
        return False
    if isinstance(error, OSError):
        return True
    return any(sign in str(error).lower() for sign in _LOST_SIGNS)


def _lost(error: BaseException, *, committing: bool) -> Exception:
    if committing:
        return CommitOutcomeUnknownError(f"{_UNKNOWN}: {_first_line(error)}")
    return DatabaseUnavailableError(f"no connection to the database: {_first_line(error)}")


def _driver_error(error: BaseException) -> BaseException:
    """Look through SQLAlchemy's wrapper at the error of the driver."""
    if isinstance(error, sa.DBAPIError) and error.orig is not None:
        # asyncpg errors are wrapped twice; the inner one has the constraint and the state.
        return error.orig.__cause__ or error.orig
    return error


def _from_sqlstate(state: str, error: BaseException) -> Exception:
    text = _first_line(error)
    if state == "23505":
        return UniqueViolationError(str(getattr(error, "constraint_name", "")), text)
    if state in _TRANSIENT_STATES:
        return TransientPersistenceError(f"{_TRANSIENT_STATES[state]}: {text}")
    if state in _MISSING_STATES and "cqrs_" in text:
        return SchemaNotInstalledError(f"{_UPGRADE} ({text})")
    if state == "25P02":
        return UnitOfWorkError(_ABORTED)
    if state == "25006":
        return PersistenceError(f"this server only reads; connect to the primary: {text}")
    return PersistenceError(f"{text} (SQLSTATE {state})")


def _from_sqlite(code: int, error: BaseException) -> Exception:
    text = _first_line(error)
    if code in _SQLITE_UNIQUE:
        return UniqueViolationError(text.partition("failed: ")[2], text)
    if code & 0xFF in {_SQLITE_BUSY, _SQLITE_LOCKED}:
        return TransientPersistenceError(f"another process holds the write lock: {text}")
    if text.startswith(("no such table: cqrs_", "table cqrs_")):
        return SchemaNotInstalledError(f"{_UPGRADE} ({text})")
    return PersistenceError(text)


def _from_type(error: BaseException) -> Exception:
    if isinstance(error, TimeoutError):
        return DatabaseUnavailableError("the database did not answer in time")
    if not isinstance(error, Exception) or not _is_driver_error(error):
        return error if isinstance(error, Exception) else PersistenceError(repr(error))
    return PersistenceError(_first_line(error))


def _is_driver_error(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in {"asyncpg", "sqlite3", "sqlalchemy"}


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
