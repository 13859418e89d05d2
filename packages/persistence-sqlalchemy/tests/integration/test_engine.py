"""Engines of ``create_engine``: what they leave behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from cqrs_ddd_persistence_sqlalchemy import create_engine


def test_a_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    async def connect() -> None:
        async with create_engine(f"sqlite:///{tmp_path}/missing/test.db").connect():
            pass

    before = set(threading.enumerate())
    with pytest.raises(OperationalError, match="unable to open"):
        asyncio.run(connect())
    assert set(threading.enumerate()) <= before
