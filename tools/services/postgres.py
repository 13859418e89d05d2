"""PostgreSQL of our own: clusters that a test may stop, crash, dump and restore."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import uuid
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tools.services.kind import Image, ServerKind
from tools.services.local import HOST, LocalServer, ServerStartError
from tools.services.process import Account, run_tool, unprivileged_account

DEBIAN = Path("/usr/lib/postgresql")
OLDEST_MAJOR = 13  # pg_current_xact_id()
SPEED_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
SETTINGS = {"listen_addresses": HOST, "unix_socket_directories": "", "max_connections": "200"}

#: Whether somebody else is connected to the database.
IN_USE = """
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND backend_type = 'client backend')
"""
#: Whether more was changed in the database than what the schema `public` holds.
MARKED = """
SELECT EXISTS (SELECT FROM pg_namespace
               WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('public', 'information_schema'))
    OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')
    OR EXISTS (SELECT FROM pg_event_trigger)
    OR EXISTS (SELECT FROM pg_publication)
    OR EXISTS (SELECT FROM pg_largeobject_metadata)
    OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
    OR EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
               WHERE datname = current_database())
"""

T = TypeVar("T")


class PostgresServer(LocalServer):
    """A cluster of its own, with the matching client programs in `bin_dir`.

    A crash keeps all data, for what is lost is the process and not the machine. `durable` makes
    every commit wait for the disk, as in production; without it tests run faster.
    """

    name = "postgres"
    foreign_variables = ("PG",)
    stop_signal = signal.SIGINT  # "fast": open connections are closed

    def __init__(
        self, bin_dir: Path, *, durable: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """Use the programs in `bin_dir`; `settings` go into the server's configuration."""
        super().__init__(account=unprivileged_account())
        self.bin_dir = bin_dir
        speed = {} if durable else SPEED_SETTINGS
        self._settings = {**SETTINGS, **speed, **(settings or {})}
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        """The address of the `postgres` database."""
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def crash(self) -> None:
        """End the server at once, as a power cut would; `start` then recovers."""
        self._end(signal.SIGQUIT)

    def new_database(self) -> str:
        """Create an empty database and return its address."""
        return create_database(self.url)

    def tool(self, program: str, *arguments: str) -> str:
        """Run a client program such as pg_dump of this server's version; return its output."""
        command = [str(self.bin_dir / program), *arguments]
        result = run_tool(
            command, folder=self.folder, account=self._account, environment=self._environment()
        )
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed: {result.stderr.strip()}")
        return result.stdout

    def _prepare(self) -> None:
        if self._data.exists():
            return
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        try:
            self.tool("initdb", "--pgdata", str(self._data), "--no-sync", *options)
        except RuntimeError as exc:
            raise ServerStartError(str(exc)) from exc

    def _command(self) -> Sequence[str]:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        data = ["-D", str(self._data), "-p", str(self.port)]
        return [str(self.bin_dir / "postgres"), *data, *settings]

    def _answers(self) -> bool:
        return answers(self.url)


def find_bin_dir() -> Path | None:
    """Return the newest PostgreSQL on this machine that we are allowed to run."""
    account = unprivileged_account()
    found = [(_major(folder, account), folder) for folder in _candidates()]
    usable = [(major, folder) for major, folder in found if major >= OLDEST_MAJOR]
    return max(usable)[1] if usable else None


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from DEBIAN.glob("*/bin")
    if (wheel := find_spec("pgserver")) is not None and wheel.origin is not None:
        # Imported, pgserver would add its own folders and exit hooks; its programs are enough.
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def _major(bin_dir: Path, account: Account | None) -> int:
    """Return the major version, or 0 when the programs are not there for us."""
    command = [str(bin_dir / "postgres"), "--version"]
    try:
        result = run_tool(command, folder=Path("/"), account=account, environment={})
    except OSError:
        return 0
    match = re.search(r"\) (\d+)", result.stdout)
    return int(match.group(1)) if match else 0


def answers(url: str) -> bool:
    """Tell whether a PostgreSQL server accepts statements at the address."""
    try:
        _run(_execute(url, "SELECT 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def create_database(url: str) -> str:
    """Create an empty database on the server at `url`, and return the address of it."""
    name = f"test_{uuid.uuid4().hex}"
    _run(_execute(url, f'CREATE DATABASE "{name}"'))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str) -> None:
    """Drop a database made by `create_database`, closing what is still connected to it."""
    name = urlsplit(url).path.lstrip("/")
    if not name.startswith("test_"):
        raise ValueError(f"{name!r} was not made by create_database, so it is not dropped")
    server = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    _run(_execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


class Databases:
    """Empty databases, used one after the other: to empty one takes a twentieth of making one."""

    def __init__(self, url: str) -> None:
        """Make them on the server at `url`."""
        self._url = url
        self._free: list[str] = []

    def take(self) -> str:
        """Return the address of an empty database that nobody else has."""
        return self._free.pop() if self._free else create_database(self._url)

    def give_back(self, url: str) -> None:
        """Empty a database for whoever comes next; drop it when it would not be as good as new."""
        if _run(_empty(url)):
            self._free.append(url)
        else:
            drop_database(url)

    def close(self) -> None:
        """Drop all of them."""
        while self._free:
            drop_database(self._free.pop())


async def _empty(url: str) -> bool:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        if not await _is_left(connection) or await connection.fetchval(MARKED):
            return False
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return True
    finally:
        await connection.close()


async def _is_left(connection: asyncpg.Connection[Any]) -> bool:
    # A session that was closed is still there for a moment.
    for _ in range(50):
        if not await connection.fetchval(IN_USE):
            return True
        await asyncio.sleep(0.01)
    return False


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    # In a thread, because a test that calls us may have a running event loop already.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(asyncio.run, work).result()


def find_local(*, durable: bool = False) -> PostgresServer | None:
    """Return a new cluster, not started, when this machine has a PostgreSQL."""
    bin_dir = find_bin_dir()
    return PostgresServer(bin_dir, durable=durable) if bin_dir else None


def _container_url(host: str, port: int) -> str:
    return f"postgresql://postgres:postgres@{host}:{port}/postgres"


KIND = ServerKind(
    name="postgres",
    title="PostgreSQL",
    install="install PostgreSQL 13 or later (Debian: apt-get install postgresql)",
    example_url="postgresql://user:password@host:5432/database",
    image=Image(
        reference="postgres:17-alpine",
        port=5432,
        url=_container_url,
        ready=lambda host, port: answers(_container_url(host, port)),
        environment={"POSTGRES_PASSWORD": "postgres"},
        command="postgres -c fsync=off -c full_page_writes=off -c max_connections=200",
    ),
    find_local=find_local,
)
