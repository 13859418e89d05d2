"""Commands on SQLite and PostgreSQL can be undone and redone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.undo_service import (
    Basket,
    UndoServiceConformance,
    UndoServiceSubject,
)
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyInbox,
    SQLAlchemyRepository,
    SQLAlchemyUndoHistory,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> UndoServiceSubject:
    return UndoServiceSubject(
        history=SQLAlchemyUndoHistory(engine),
        unit_of_work=lambda: SQLAlchemyUnitOfWork(engine),
        inbox=SQLAlchemyInbox(engine),
        baskets=SQLAlchemyRepository(Basket, engine),
    )


class TestSQLiteUndoService(UndoServiceConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> UndoServiceSubject:
        return _subject(sqlite_engine)


class TestPostgresUndoService(UndoServiceConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> UndoServiceSubject:
        return _subject(postgres_engine)


class Note(Command[None]):
    text: str


async def test_recording_a_command_costs_four_statements(postgres_engine: AsyncEngine) -> None:
    """The scope is locked, the token looked up, what was undone discarded, the entry added."""
    handlers, executors, statements = HandlerRegistry(), UndoExecutorRegistry(), []

    @handlers.command_handler
    async def note(_: Note) -> None:
        """Touch no table."""

    executors.undo(Note)(lambda command: None)
    mediator = Mediator(handlers, lambda: SQLAlchemyUnitOfWork(postgres_engine))
    service = UndoService(mediator, SQLAlchemyUndoHistory(postgres_engine), executors)
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: statements.append(record.query.split()[0]))
        await service.execute(Note(text="something"))
    # The driver tells of a statement a little later: of the last ones perhaps not yet.
    assert statements[:4] == ["SELECT", "SELECT", "UPDATE", "INSERT"]
    assert statements[4:] in ([], ["COMMIT"])
