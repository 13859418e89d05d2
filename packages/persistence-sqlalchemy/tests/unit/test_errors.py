"""Each error of a driver has one meaning."""

from __future__ import annotations

import sqlite3

import asyncpg
import pytest
from sqlalchemy import exc as sa
from sqlalchemy.orm.exc import StaleDataError

from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConfigurationError,
    DatabaseUnavailableError,
    EventStoreError,
    OptimisticConcurrencyError,
    PersistenceError,
    SchemaNotInstalledError,
    TransientPersistenceError,
    UniqueViolationError,
    UnitOfWorkError,
)
from cqrs_ddd_persistence_sqlalchemy import create_engine
from cqrs_ddd_persistence_sqlalchemy._database import database_of
from cqrs_ddd_persistence_sqlalchemy._errors import translate
from cqrs_ddd_persistence_sqlalchemy._horizon import refuse_unusable_sequence


def _sqlite(text: str, code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error, expected",
    [
        (asyncpg.SerializationError("x"), TransientPersistenceError),
        (asyncpg.DeadlockDetectedError("x"), TransientPersistenceError),
        (asyncpg.LockNotAvailableError("x"), TransientPersistenceError),
        (asyncpg.QueryCanceledError("x"), TransientPersistenceError),
        (asyncpg.TooManyConnectionsError("x"), DatabaseUnavailableError),
        (asyncpg.AdminShutdownError("x"), DatabaseUnavailableError),
        (asyncpg.ConnectionDoesNotExistError("x"), DatabaseUnavailableError),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailableError),
        (ConnectionResetError("x"), DatabaseUnavailableError),
        (TimeoutError(), DatabaseUnavailableError),
        (sa.TimeoutError("QueuePool limit"), DatabaseUnavailableError),
        (asyncpg.UniqueViolationError("x"), UniqueViolationError),
        (asyncpg.UndefinedTableError('relation "cqrs_events" does not exist'),
         SchemaNotInstalledError),
        (asyncpg.UndefinedTableError('relation "orders" does not exist'), PersistenceError),
        (asyncpg.InFailedSQLTransactionError("x"), UnitOfWorkError),
        (asyncpg.ReadOnlySQLTransactionError("x"), PersistenceError),
        (asyncpg.DivisionByZeroError("x"), PersistenceError),
        (asyncpg.DataError("x"), PersistenceError),
        (_sqlite("database is locked", 5), TransientPersistenceError),
        (_sqlite("database is locked", 517), TransientPersistenceError),
        (_sqlite("database table is locked", 6), TransientPersistenceError),
        (_sqlite("UNIQUE constraint failed: cqrs_events.event_id", 2067), UniqueViolationError),
        (_sqlite("UNIQUE constraint failed: orders.id", 1555), UniqueViolationError),
        (_sqlite("no such table: cqrs_outbox", 1), SchemaNotInstalledError),
        (_sqlite("no such table: orders", 1), PersistenceError),
        (StaleDataError("x"), OptimisticConcurrencyError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else repr(value),
)  # fmt: skip
def test_a_driver_error_has_one_meaning(
    error: Exception, expected: type[PersistenceError | ConcurrencyError]
) -> None:
    assert type(translate(error)) is expected
    wrapped = sa.DBAPIError("SELECT 1", {}, error)
    assert isinstance(error, (sa.SQLAlchemyError, StaleDataError)) or (
        type(translate(wrapped)) is expected
    )


@pytest.mark.parametrize(
    "error",
    [asyncpg.ConnectionDoesNotExistError("x"), asyncpg.AdminShutdownError("x"), BrokenPipeError()],
    ids=repr,
)
def test_a_connection_lost_while_committing_leaves_the_outcome_open(error: Exception) -> None:
    assert type(translate(error, committing=True)) is CommitOutcomeUnknownError
    assert not isinstance(translate(error, committing=True), TransientPersistenceError)


def test_a_unique_violation_names_its_constraint() -> None:
    error = _sqlite("UNIQUE constraint failed: cqrs_events.event_id", 2067)
    translated = translate(error)
    assert isinstance(translated, UniqueViolationError)
    assert translated.constraint == "cqrs_events.event_id"


def test_an_error_of_the_toolkit_stays_what_it_is() -> None:
    error = EventStoreError("x")
    assert translate(error) is error


def test_values_do_not_get_into_messages() -> None:
    """F55: PostgreSQL tells the key of a violation in its detail."""
    error = asyncpg.UniqueViolationError("duplicate key\nDETAIL: Key (email)=(a@b.c) exists")
    assert "a@b.c" not in str(translate(error))


@pytest.mark.parametrize(
    "is_standby, cache, increment",
    [(True, 1, 1), (False, 50, 1), (False, 1, 2), (False, None, None)],
)
def test_positions_that_cannot_be_settled_are_refused(
    is_standby: bool, cache: int | None, increment: int | None
) -> None:
    with pytest.raises(EventStoreError):
        refuse_unusable_sequence(is_standby=is_standby, cache=cache, increment=increment)


def test_another_database_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="mysql"):
        create_engine("mysql://localhost/x")
    with pytest.raises(ConfigurationError, match="AsyncEngine"):
        database_of("sqlite://")  # type: ignore[arg-type]
