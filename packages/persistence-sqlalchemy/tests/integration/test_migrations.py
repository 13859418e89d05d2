"""The migrations make the tables that the models describe, once, all or nothing (G12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from cqrs_ddd_core.primitives.exceptions import PersistenceError
from cqrs_ddd_persistence_sqlalchemy import create_engine, drop_schema, upgrade
from cqrs_ddd_persistence_sqlalchemy.__main__ import main
from cqrs_ddd_persistence_sqlalchemy._schema import metadata
from cqrs_ddd_persistence_sqlalchemy.schema import VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

NewEngine = Callable[[], "AsyncEngine"]


@pytest.fixture(params=["sqlite", "postgres"])
async def new_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NewEngine]:
    """Makes engines, as of several processes, on one empty database."""
    url = f"sqlite:///{tmp_path}/test.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    async with AsyncExitStack() as engines:

        def new() -> AsyncEngine:
            engine = create_engine(url)
            engines.push_async_callback(engine.dispose)
            return engine

        yield new


async def run(engine: AsyncEngine, work: Callable[[Connection], Any]) -> Any:
    async with engine.connect() as connection:
        return await connection.run_sync(work)


async def tables(engine: AsyncEngine) -> set[str]:
    return set(await run(engine, lambda connection: inspect(connection).get_table_names()))


async def test_migrations_make_what_the_models_describe(new_engine: NewEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_type": False}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    engine = new_engine()
    await upgrade(engine)
    assert await tables(engine) == {*metadata.tables, VERSION_TABLE}
    assert await run(engine, differences) == []


async def test_of_many_runners_one_makes_the_tables(new_engine: NewEngine) -> None:
    """G12."""
    await asyncio.gather(*(upgrade(new_engine()) for _ in range(5)))
    versions = await run(new_engine(), _versions)
    assert len(versions) == 1


async def test_upgrading_again_changes_nothing(new_engine: NewEngine) -> None:
    engine = new_engine()
    await upgrade(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE cqrs_event_horizon SET position = 7"))
    await upgrade(engine)
    horizon = text("SELECT position FROM cqrs_event_horizon")
    assert await run(engine, lambda connection: connection.scalar(horizon)) == 7


async def test_a_failed_upgrade_changes_nothing(new_engine: NewEngine) -> None:
    """G12: a table of that name is in the way, behind others that were made by then."""
    engine = new_engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE cqrs_locks (mine INTEGER)"))
    with pytest.raises(PersistenceError, match="cqrs_locks"):
        await upgrade(engine)
    assert await tables(engine) == {"cqrs_locks"}


async def test_an_application_keeps_its_own_tables_and_versions(new_engine: NewEngine) -> None:
    engine = new_engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        await connection.execute(text("INSERT INTO alembic_version VALUES ('mine')"))
    await upgrade(engine)
    await drop_schema(engine)
    assert await tables(engine) == {"alembic_version"}
    own = text("SELECT version_num FROM alembic_version")
    assert await run(engine, lambda connection: connection.scalar(own)) == "mine"


def _versions(connection: Connection) -> list[str]:
    return list(connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")))  # noqa: S608


def test_a_deployment_upgrades_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    assert main(["upgrade", "--url", url]) == 0
    assert main(["upgrade", "--url", url]) == 0
    assert main(["upgrade", "--url", f"sqlite:///{tmp_path}"]) == 1
    assert "unable to open database file" in capsys.readouterr().err


def test_the_command_line_takes_the_address_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQRS_DDD_DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    assert main(["upgrade"]) == 0
    assert (tmp_path / "test.db").exists()
