"""Making an engine from an ordinary database URL."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from threading import Thread

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["create_engine"]

_DRIVERS: Final = {
    "postgresql": ("asyncpg", "postgres", "PostgreSQL"),
    "postgres": ("asyncpg", "postgres", "PostgreSQL"),
    "sqlite": ("aiosqlite", "sqlite", "SQLite"),
}


def create_engine(url: str | URL, **options: Any) -> AsyncEngine:
    """Return an async engine for ``postgresql://...`` or ``sqlite:///file.db``.

    The driver is added to the URL. An engine of ``create_async_engine`` works just as well.

    Args:
        url: Database URL, with or without the driver.
        options: Passed on to ``create_async_engine``, such as ``pool_size``.

    Raises:
        ConfigurationError: The database is not supported.
        MissingExtraError: Its driver is not installed.
    """
    parsed = make_url(url)
    name = parsed.get_backend_name()
    if name not in _DRIVERS:
        msg = f"{name!r} is not supported; the URL starts with postgresql:// or sqlite:///"
        raise ConfigurationError(msg)
    driver, extra, label = _DRIVERS[name]
    try:
        module = import_module(driver)
    except ImportError as error:
        raise MissingExtraError(label, "cqrs-ddd-persistence-sqlalchemy", extra) from error
    if name == "sqlite":
        opening = {"async_creator_fn": partial(_open, module.connect)}
        options["connect_args"] = opening | options.get("connect_args", {})
    dialect = "sqlite" if name == "sqlite" else "postgresql"
    return create_async_engine(parsed.set(drivername=f"{dialect}+{driver}"), **options)


async def _open(connect: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    """Open a file with aiosqlite; when that fails, leave no thread behind."""
    connection = connect(*args, **options)
    # Before version 0.22 the connection itself is the thread.
    thread = cast("Thread", getattr(connection, "_thread", connection))
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        # It is told to stop, and would answer to an event loop that may be closed by then.
        await asyncio.to_thread(thread.join)
        raise
