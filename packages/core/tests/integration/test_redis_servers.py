"""Redis as a node of a cluster, for an account with few rights, and behind TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import CacheUnavailableError, LayeredCache, RedisCache
from cqrs_ddd_core.testing import CacheConformance, CacheSubject
from tools.services import redis
from tools.services.local import HOST
from tools.services.redis import RedisServer


def binary() -> Path:
    found = redis.find_binary()
    if found is None:
        pytest.skip("no redis-server on the path")
    return found


class ClusterNode(RedisServer):
    def _command(self) -> Sequence[str]:
        nodes = self.folder / "nodes.conf"
        options = ["--cluster-enabled", "yes", "--cluster-config-file", str(nodes)]
        return [*super()._command(), *options]


@pytest.fixture(scope="module")
def cluster_node() -> Iterator[ClusterNode]:
    node = ClusterNode(binary())
    node.start()
    yield node
    node.close()


@pytest.fixture
async def cluster_cache(cluster_node: ClusterNode) -> AsyncIterator[RedisCache]:
    async with RedisCache(cluster_node.url, timeout=5) as cache:
        if "state:ok" not in await _command(cache, "CLUSTER", "INFO"):
            await _command(cache, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(20):
                while "state:ok" not in await _command(cache, "CLUSTER", "INFO"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await cache.clear()
        yield cache


async def _command(cache: RedisCache, *words: object) -> str:
    work = lambda client: client.execute_command(*words)  # noqa: E731 - its type is the driver's
    return str(await cache.link.run(work))


class TestRedisCacheOnANodeOfACluster(CacheConformance):
    """A node refuses a command whose keys may belong to two nodes."""

    @pytest.fixture
    def subject(self, cluster_cache: RedisCache) -> CacheSubject:
        return CacheSubject(cluster_cache)


#: What docs/howto/caching.md says an account needs.
RIGHTS = (
    "~shop:* &__redis__:invalidate +get +mget +set +pttl +pexpire +persist +unlink +eval +scan "
    "+ping +client|id +client|tracking +subscribe"
)


@pytest.fixture
async def restricted_cache(redis_server: RedisServer) -> AsyncIterator[RedisCache]:
    async with RedisCache(redis_server.url, timeout=5) as owner:
        await _command(owner, "ACL", "SETUSER", "app", "reset", "on", ">secret", *RIGHTS.split())
    url = redis_server.url.replace("://", "://app:secret@")
    async with RedisCache(url, prefix="shop", timeout=5) as cache:
        await cache.clear()
        yield cache


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer(binary())
    server.start()
    yield server
    server.close()


class TestLayeredCacheOfAnAccountWithFewRights(CacheConformance):
    @pytest.fixture
    async def subject(self, restricted_cache: RedisCache) -> AsyncIterator[CacheSubject]:
        async with LayeredCache(InMemoryCache(), restricted_cache, max_staleness=5) as cache:
            async with asyncio.timeout(20):
                while not cache.is_local:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            yield CacheSubject(cache)


class SecureServer(RedisServer):
    def __init__(self, certificates: Path) -> None:
        super().__init__(binary())
        self.certificates: Path = certificates

    def _command(self) -> Sequence[str]:
        key, certificate = self.certificates / "key.pem", self.certificates / "certificate.pem"
        files = ["--tls-key-file", str(key), "--tls-cert-file", str(certificate)]
        ports = ["--tls-port", str(self.port), "--port", "0", "--tls-auth-clients", "no"]
        return [*super()._command(), *ports, *files]

    def _answers(self) -> bool:
        try:
            ssl.get_server_certificate((HOST, self.port), timeout=1)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    folder = tmp_path_factory.mktemp("certificates")
    _write_certificate(folder)
    server = SecureServer(folder)
    server.start()
    yield server
    server.close()


def _write_certificate(folder: Path) -> None:
    """Write a certificate for 127.0.0.1 and no other name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cache")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)


@pytest.mark.parametrize(
    "host, is_trusted", [("127.0.0.1", True), ("127.0.0.1", False), ("localhost", True)]
)
async def test_a_server_is_known_by_its_certificate_and_name(
    secure_server: SecureServer, host: str, is_trusted: bool
) -> None:
    """F57: of a trusted authority and for this host, or there is no cache."""
    trusted = secure_server.certificates / "certificate.pem"
    url = f"rediss://{host}:{secure_server.port}/0"
    url += f"?ssl_ca_certs={trusted}" if is_trusted else ""
    async with RedisCache(url, timeout=5) as cache:
        await cache.set("key", b"1", ttl=60)
        if host == HOST and is_trusted:
            assert await cache.get("key") == b"1"
            return
        with pytest.raises(CacheUnavailableError, match="certificate verify failed"):
            await cache.clear()
