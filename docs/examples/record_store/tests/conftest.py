"""The program on each database."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_store.tests.program import Program


@pytest.fixture
def sqlite_program(tmp_path: Path) -> Program:
    return Program(f"sqlite:///{tmp_path}/record_store.db", tmp_path)


@pytest.fixture
def postgres_program(tmp_path: Path, postgres_database: str) -> Program:
    return Program(postgres_database, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def program(request: pytest.FixtureRequest) -> Program:
    """The program on each database in turn."""
    program: Program = request.getfixturevalue(f"{request.param}_program")
    return program


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def event_sourced(request: pytest.FixtureRequest) -> Program:
    """The program that keeps events only, on each database in turn."""
    program: Program = request.getfixturevalue(f"{request.param}_program")
    return Program(program.database_url, program.folder, event_sourced=True)
